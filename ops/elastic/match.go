package elastic

import (
	"net/netip"
	"slices"
	"strings"
)

// Glob matches as Elasticsearch's filters do: * stands for any text, everything else
// for itself.
func Glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, p := range parts[1:last] {
		i := strings.Index(text, p)
		if i < 0 {
			return false
		}
		text = text[i+len(p):]
	}
	return strings.HasSuffix(text, parts[last])
}

// matchesKey reports whether a filter's token under key matches the node.
func matchesKey(key, token string, n Node) bool {
	switch key {
	case "_name":
		return Glob(token, n.Name)
	case "_id":
		return token == n.ID
	case "_ip", "_host_ip", "_publish_ip":
		return Glob(token, n.IP)
	case "_host":
		return Glob(token, n.Host) || Glob(token, n.IP)
	}
	value, ok := n.Attributes[key]
	return ok && Glob(token, value)
}

// matching are the keys of the family's live settings that match the node. For require,
// a key matches when all its tokens do.
func matching(family string, t texts, n Node) []string {
	var keys []string
	for _, s := range t.live() {
		found := func(token string) bool { return matchesKey(s.Key, token, n) }
		list := Tokens(t[s])
		hit := slices.ContainsFunc(list, found)
		if family == require {
			hit = !slices.ContainsFunc(list, func(token string) bool { return !found(token) })
		}
		if hit {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// turnsAway reports whether the family, were all of it in effect, keeps shards off the
// node.
func turnsAway(family string, t texts, n Node) bool {
	live := t.live()
	if len(live) == 0 {
		return false
	}
	hits := len(matching(family, t, n))
	switch family {
	case exclude:
		return hits > 0
	case require:
		return hits < len(live)
	}
	return hits == 0
}

// hostOf is the address without its port: "10.0.0.7:9300" → "10.0.0.7".
func hostOf(address string) string {
	if a, err := netip.ParseAddrPort(address); err == nil {
		return a.Addr().String()
	}
	return address
}
