package elasticsim

import (
	"fmt"
	"slices"
	"strings"
)

const forcedPrefix = "cluster.routing.allocation.awareness.force."

func awareTarget(c *Cluster, s *shard, n *node, explain bool) (verdict, string) {
	return c.awareness(s, n, true, explain)
}

func awareRemain(c *Cluster, s *shard, explain bool) (verdict, string) {
	return c.awareness(s, s.node, false, explain)
}

// awareness spreads the copies of a shard over the values of the awareness
// attributes: each value may hold its share, rounded up. Forced values count even
// without nodes.
func (c *Cluster) awareness(s *shard, n *node, move, explain bool) (verdict, string) {
	attributes := c.inForce[awarenessAttrs].values()
	if len(attributes) == 0 {
		return yes, "allocation awareness is not enabled, set cluster setting [" + awarenessAttrs + "] to enable it"
	}
	for _, attr := range attributes {
		value, ok := n.attributes[attr]
		if !ok {
			return no, fmt.Sprintf("node does not contain the awareness attribute [%s]; required attributes cluster setting [%s=%s]",
				attr, awarenessAttrs, strings.Join(attributes, ","))
		}
		live := c.attributeValues(attr)
		forced := slices.Sorted(slices.Values(c.inForce[forcedPrefix+attr+".values"].values()))
		values := len(live)
		for _, f := range forced {
			if !slices.Contains(live, f) {
				values++
			}
		}
		copies := s.index.replicas + 1
		most := (copies + values - 1) / values
		here := s.copiesWith(attr, value)
		if move && (s.node == nil || s.node.attributes[attr] != value) {
			here++
		}
		if here <= most {
			continue
		}
		if !explain {
			return no, ""
		}
		force := "no forced awareness"
		if len(forced) > 0 {
			force = bracketed(forced) + " from forced awareness"
		}
		return no, fmt.Sprintf("there are [%d] copies of this shard and [%d] values for attribute [%s] (%s from nodes in the cluster and %s) so there may be at most [%d] copies of this shard allocated to nodes with each value, but (including this copy) there would be [%d] copies allocated to nodes with [node.attr.%s: %s]",
			copies, values, attr, bracketed(live), force, most, here, attr, value)
	}
	return yes, "node meets all awareness attribute requirements"
}

// copiesWith counts the shard's copies on nodes with the value; a relocating copy
// counts where it goes, the server's way.
func (s *shard) copiesWith(attr, value string) int {
	count := 0
	for _, o := range s.group() {
		at := o.node
		if o.target != nil {
			at = o.target
		}
		if at != nil && at.attributes[attr] == value {
			count++
		}
	}
	return count
}

// attributeValues are the values of an attribute among live data nodes, sorted.
func (c *Cluster) attributeValues(attr string) []string {
	var out []string
	for _, n := range c.nodes {
		if v, ok := n.attributes[attr]; ok && n.alive && n.data() && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

func bracketed(names []string) string { return "[" + strings.Join(names, ", ") + "]" }

// tierTarget honours index.routing.allocation.include._tier_preference.
func tierTarget(c *Cluster, s *shard, n *node, explain bool) (verdict, string) {
	prefer := s.index.tiers
	if len(prefer) == 0 {
		return yes, "index has no preference for tiers"
	}
	tier := ""
	for _, t := range prefer {
		if c.anyWithTier(t) {
			tier = t
			break
		}
	}
	list := strings.Join(prefer, ",")
	switch {
	case tier == "":
		return no, "index has a preference for tiers [" + list + "], but no nodes for any of those tiers are available in the cluster"
	case n.tier(tier) == "":
		return no, "index has a preference for tiers [" + list + "] and node does not meet the required [" + tier + "] tier"
	case !explain:
		return yes, ""
	}
	return yes, "index has a preference for tiers [" + list + "] and node has tier [" + n.tier(tier) + "]"
}

func (c *Cluster) anyWithTier(tier string) bool {
	for _, n := range c.nodes {
		if n.alive && n.tier(tier) != "" {
			return true
		}
	}
	return false
}

// tier is the role by which the node belongs to a tier, or "".
func (n *node) tier(tier string) string {
	switch {
	case n.has("data"):
		return "data"
	case n.has(tier):
		return tier
	}
	return ""
}
