package elasticsim

import (
	"net/netip"
	"slices"
	"strings"
)

// The three families of allocation filters, in the order they are checked.
var families = [...]string{"require", "include", "exclude"}

const clusterFilterPrefix = "cluster.routing.allocation."

// filterSet is what a decider holds of one family: values by attribute. Empty
// lists are left out.
type filterSet map[string][]string

// filterDelta returns the family's keys whose values differ between two settings:
// all that the decider keeps after the update. changed is false when none differs;
// then the decider keeps what it had.
func filterDelta(family string, before, after settings) (delta filterSet, changed bool) {
	prefix := clusterFilterPrefix + family + "."
	delta = filterSet{}
	for key, now := range after {
		if attr, ok := strings.CutPrefix(key, prefix); ok {
			if slices.Equal(before[key].values(), now.values()) { // absent is empty
				continue
			}
			changed = true
			if v := now.values(); len(v) > 0 {
				delta[attr] = v
			}
		}
	}
	for key, was := range before {
		if _, still := after[key]; !still && strings.HasPrefix(key, prefix) && len(was.values()) > 0 {
			changed = true
		}
	}
	return delta, changed
}

// loadFilters gives a node that just started its filters: all keys of the settings.
func (n *node) loadFilters(s settings) {
	for i, family := range families {
		n.filters[i], _ = filterDelta(family, nil, s)
	}
}

// text is the set as explanations write it.
func (f filterSet) text(family string) string {
	op := " OR "
	if family == "require" {
		op = " AND "
	}
	var parts []string
	for _, attr := range sortedKeys(f) {
		parts = append(parts, attr+`:"`+strings.Join(f[attr], op)+`"`)
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// match reports whether a node matches the set: for require every value of every
// attribute, otherwise any.
func (f filterSet) match(family string, n *node) bool {
	all := family == "require"
	for attr, values := range f {
		hit := n.matches(attr, values, all)
		if hit != all {
			return hit
		}
	}
	return all
}

func (n *node) matches(attr string, values []string, all bool) bool {
	for _, v := range values {
		var hit bool
		switch attr {
		case "_name", "name":
			hit = wildcard(v, n.Name)
		case "_id":
			hit = v == n.id
		case "_host":
			hit = wildcard(v, n.IP)
		case "_ip", "_host_ip", "_publish_ip":
			hit = ipMatch(v, n.IP)
		default:
			value, ok := n.attributes[attr]
			hit = ok && wildcard(v, value)
		}
		if hit != all {
			return hit
		}
	}
	return all
}

func ipMatch(pattern, ip string) bool {
	if p, err := netip.ParsePrefix(pattern); err == nil {
		a, err := netip.ParseAddr(ip)
		return err == nil && p.Contains(a)
	}
	return wildcard(pattern, ip)
}

// judgeNodes notes the cluster-level filters' verdict on every node. It follows the
// elected master's decider, not the settings.
func (c *Cluster) judgeNodes() {
	for _, n := range c.nodes {
		n.refused = ""
		if c.master != nil {
			n.refused = filterVerdict(c.master.filters, n, "cluster setting ["+clusterFilterPrefix, "]")
		}
	}
}

// filterVerdict says why the sets refuse the node, or "".
func filterVerdict(sets [len(families)]filterSet, n *node, prefix, suffix string) string {
	for i, family := range families {
		set := sets[i]
		if len(set) == 0 {
			continue
		}
		matched := set.match(family, n)
		if family == "exclude" {
			if matched {
				return "node matches " + prefix + family + suffix + " filters " + set.text(family)
			}
		} else if !matched {
			return "node does not match " + prefix + family + suffix + " filters " + set.text(family)
		}
	}
	return ""
}

// indexFilters reads an index's own filters, which are always all in effect.
// _tier_preference belongs to another decider.
func indexFilters(s settings) (sets [len(families)]filterSet) {
	for i, family := range families {
		prefix := "index.routing.allocation." + family + "."
		for key, v := range s {
			attr, ok := strings.CutPrefix(key, prefix)
			if !ok || attr == "_tier_preference" || len(v.values()) == 0 {
				continue
			}
			if sets[i] == nil {
				sets[i] = filterSet{}
			}
			sets[i][attr] = v.values()
		}
	}
	return sets
}
