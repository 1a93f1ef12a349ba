package elasticsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// setting is a value as it was written: a text, or a list of texts. Numbers and
// booleans become texts, as on the server.
type setting struct {
	text string
	list []string // nil: text counts
}

// settings are values by flat key.
type settings map[string]setting

// values is what a list setting's reader sees: split at commas, trimmed, empty
// parts at the end dropped. Two settings whose values are equal are "unchanged",
// which is why "spot," does not differ from "spot".
func (s setting) values() []string {
	if s.list != nil {
		return s.list
	}
	parts := strings.Split(s.text, ",")
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func (s setting) json() any {
	if s.list != nil {
		return stringList(s.list)
	}
	return s.text
}

// flat returns the settings as one object of dotted keys.
func (s settings) flat() object {
	o := make(object, 0, len(s))
	for _, k := range sortedKeys(s) {
		o = append(o, member{k, s[k].json()})
	}
	return o
}

// nested returns the settings as a tree. A key that is both a value and the
// beginning of others keeps its dotted rest, as on the server.
func (s settings) nested() object {
	root := object{}
	for _, k := range sortedKeys(s) {
		root = insert(root, strings.Split(k, "."), s[k].json())
	}
	return root
}

func insert(o object, path []string, value any) object {
	for i := range o {
		if o[i].name != path[0] || len(path) == 1 {
			continue
		}
		inner, ok := o[i].value.(object)
		if !ok {
			return append(o, member{strings.Join(path, "."), value})
		}
		o[i].value = insert(inner, path[1:], value)
		return o
	}
	if len(path) == 1 {
		return append(o, member{path[0], value})
	}
	return append(o, member{path[0], insert(object{}, path[1:], value)})
}

func (s settings) render(flat bool) object {
	if flat {
		return s.flat()
	}
	return s.nested()
}

// change is a settings update: nil deletes the key, which may hold "*".
type change map[string]*setting

// parseChange flattens a JSON object of settings.
func parseChange(raw json.RawMessage) (change, error) {
	out := change{}
	if len(raw) == 0 || string(raw) == "null" {
		return out, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var tree map[string]any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	return out, flatten(out, "", tree)
}

func flatten(out change, prefix string, tree map[string]any) error {
	for name, v := range tree {
		key := prefix + name
		switch v := v.(type) {
		case nil:
			out[key] = nil
		case map[string]any:
			if err := flatten(out, key+".", v); err != nil {
				return err
			}
		case []any:
			l := make([]string, len(v))
			for i, e := range v {
				l[i] = fmt.Sprint(e)
			}
			out[key] = &setting{list: l}
		case string, bool, json.Number:
			out[key] = &setting{text: fmt.Sprint(v)}
		default:
			return fmt.Errorf("unexpected value of [%s]", key)
		}
	}
	return nil
}

// with returns a copy with the change made, and what of it was set.
func (s settings) with(ch change) (after, set settings) {
	after, set = maps.Clone(s), settings{}
	if after == nil {
		after = settings{}
	}
	for _, k := range sortedKeys(ch) {
		if v := ch[k]; v != nil {
			after[k], set[k] = *v, *v
			continue
		}
		for old := range s {
			if wildcard(k, old) {
				delete(after, old)
			}
		}
	}
	return after, set
}

// merged is the settings in force: transient wins over persistent.
func merged(persistent, transient settings) settings {
	m := maps.Clone(persistent)
	if m == nil {
		m = settings{}
	}
	maps.Copy(m, transient)
	return m
}

// get returns a setting in force, or its default.
func (c *Cluster) get(key string) string {
	if s, ok := c.inForce[key]; ok {
		return s.text
	}
	return clusterDefaults[key]
}

// number returns an integer setting in force; the values were checked when set.
func (c *Cluster) number(key string) int {
	n, err := strconv.Atoi(c.get(key))
	if err != nil {
		return 0
	}
	return n
}

// checkSetting refuses what the server refuses: unknown keys and bad values.
func checkSetting(scope, key string, v *setting) error {
	if v == nil {
		if strings.Contains(key, "*") || knownSetting(key) {
			return nil
		}
		return refusal("%s setting [%s], not recognized", scope, key)
	}
	if !knownSetting(key) {
		return refusal("%s setting [%s], not recognized", scope, key)
	}
	return checkValue(key, *v)
}

func checkValue(key string, v setting) error {
	switch {
	case key == allocationEnable:
		return oneOf(v.text, "decider.EnableAllocationDecider.Allocation", "all", "primaries", "new_primaries", "none")
	case key == rebalanceEnable:
		return oneOf(v.text, "decider.EnableAllocationDecider.Rebalance", "all", "primaries", "replicas", "none")
	case strings.HasSuffix(key, "_ip"):
		for _, ip := range v.values() {
			if !validIPPattern(ip) {
				return refusal("invalid IP address [%s] for [%s]", ip, key)
			}
		}
	case integerSettings[key]:
		if _, err := strconv.Atoi(v.text); err != nil {
			return refusal("Failed to parse value [%s] for setting [%s]", v.text, key)
		}
	case key == recoveryMaxBytes:
		if _, err := parseBytes(v.text); err != nil {
			return refusal("failed to parse setting [%s] with value [%s] as a size in bytes: unit is missing or unrecognized", key, v.text)
		}
	}
	return nil
}

func oneOf(text, enum string, allowed ...string) error {
	if slices.Contains(allowed, strings.ToLower(text)) {
		return nil
	}
	return refusal("No enum constant org.elasticsearch.cluster.routing.allocation.%s.%s", enum, strings.ToUpper(text))
}

func validIPPattern(s string) bool {
	if strings.Contains(s, "*") {
		return true
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}

// update changes the cluster's settings and lets the deciders of all live nodes
// see the difference. It reports what was set, per scope.
func (c *Cluster) update(persistent, transient change) (setP, setT settings, err error) {
	for scope, ch := range map[string]change{"persistent": persistent, "transient": transient} {
		for _, k := range sortedKeys(ch) {
			if err := checkSetting(scope, k, ch[k]); err != nil {
				return nil, nil, err
			}
		}
	}
	before := c.inForce
	c.persistent, setP = c.persistent.with(persistent)
	c.transient, setT = c.transient.with(transient)
	c.inForce = merged(c.persistent, c.transient)
	for family := range families {
		delta, changed := filterDelta(families[family], before, c.inForce)
		if !changed {
			continue
		}
		for _, n := range c.nodes {
			if n.alive {
				n.filters[family] = delta
			}
		}
	}
	c.recompute()
	c.bump()
	return setP, setT, nil
}
