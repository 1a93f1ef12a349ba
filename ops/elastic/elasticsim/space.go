package elasticsim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

func limitTarget(c *Cluster, s *shard, n *node, explain bool) (verdict, string) {
	return shardLimits(c, s, n, func(count, limit int) bool { return count >= limit }, explain)
}

func limitRemain(c *Cluster, s *shard, explain bool) (verdict, string) {
	return shardLimits(c, s, s.node, func(count, limit int) bool { return count > limit }, explain)
}

func shardLimits(c *Cluster, s *shard, n *node, over func(count, limit int) bool, explain bool) (verdict, string) {
	whole, own := c.number(totalPerNode), s.index.perNode
	if whole <= 0 && own <= 0 {
		return yes, "total shard limits are disabled: [index: -1, cluster: -1] <= 0"
	}
	gone := 0
	here := n.perIndex[s.index]
	for _, o := range n.shards {
		if o.state == relocating {
			gone++
			if o.index == s.index {
				here--
			}
		}
	}
	for _, o := range n.incoming {
		if o.index == s.index {
			here++
		}
	}
	all := n.held() - gone
	if whole > 0 && over(all, whole) {
		return no, fmt.Sprintf("too many shards [%d] allocated to this node, cluster setting [%s=%d]", all, totalPerNode, whole)
	}
	if own > 0 && over(here, own) {
		return no, fmt.Sprintf("too many shards [%d] allocated to this node for index [%s], index setting [index.routing.allocation.total_shards_per_node=%d]", here, s.index.name, own)
	}
	return yes, fmt.Sprintf("the shard count [%d] for this node is under the index limit [%d] and cluster level node limit [%d]", here, own, whole)
}

// diskThreshold is the free space a watermark asks for on a node.
func (c *Cluster) diskThreshold(key string, n *node) int64 {
	text := c.get(key)
	if b, err := parseBytes(text); err == nil {
		return b
	}
	ratio := 0.0
	if p, ok := strings.CutSuffix(text, "%"); ok {
		ratio, _ = strconv.ParseFloat(p, 64)
		ratio /= 100
	} else {
		ratio, _ = strconv.ParseFloat(text, 64)
	}
	need := n.DiskBytes - int64(math.Ceil(float64(n.DiskBytes)*ratio))
	if _, set := c.inForce[key]; !set { // the default has a ceiling of its own
		if ceiling, err := parseBytes(c.get(key + ".max_headroom")); err == nil {
			need = min(need, ceiling)
		}
	}
	return need
}

func usedPercent(n *node, free int64) string {
	return strconv.FormatFloat(math.Round(float64(n.DiskBytes-free)/float64(n.DiskBytes)*1000)/10, 'f', -1, 64) + "%"
}

func diskTarget(c *Cluster, s *shard, n *node, explain bool) (verdict, string) {
	if c.get(diskEnabled) != "true" {
		return yes, "the disk threshold decider is disabled"
	}
	free := n.free()
	for _, o := range n.incoming {
		free -= o.size()
	}
	free = max(0, free)
	if need := c.diskThreshold(diskLow, n); free < need {
		return no, fmt.Sprintf("the node is above the low watermark cluster setting [%s=%s], having less than the minimum required [%s] free space, actual free: [%s], actual used: [%s]",
			diskLow, c.get(diskLow), formatBytes(need), formatBytes(free), usedPercent(n, free))
	}
	size := s.size()
	if need := c.diskThreshold(diskHigh, n); free-size < need {
		return no, fmt.Sprintf("allocating the shard to this node will bring the node above the high watermark cluster setting [%s=%s] and cause it to have less than the minimum required [%s] of free space (free: [%s], estimated shard size: [%s])",
			diskHigh, c.get(diskHigh), formatBytes(need), formatBytes(free), formatBytes(size))
	}
	if !explain {
		return yes, ""
	}
	return yes, fmt.Sprintf("enough disk for shard on node, free: [%s], used: [%s], shard size: [%s], free after allocating shard: [%s]",
		formatBytes(free), usedPercent(n, free), formatBytes(size), formatBytes(free-size))
}

func diskRemain(c *Cluster, s *shard, explain bool) (verdict, string) {
	if c.get(diskEnabled) != "true" {
		return yes, "the disk threshold decider is disabled"
	}
	free, need := s.node.free(), c.diskThreshold(diskHigh, s.node)
	if free < need {
		for _, o := range s.node.shards {
			if o.state == relocating {
				free += o.size() // on its way out
			}
		}
	}
	if free < need {
		return no, fmt.Sprintf("the shard cannot remain on this node because it is above the high watermark cluster setting [%s=%s] and there is less than the required [%s] free space on node, actual free: [%s], actual used: [%s]",
			diskHigh, c.get(diskHigh), formatBytes(need), formatBytes(free), usedPercent(s.node, free))
	}
	if !explain {
		return yes, ""
	}
	return yes, fmt.Sprintf("there is enough disk on this node for the shard to remain, free: [%s]", formatBytes(free))
}
