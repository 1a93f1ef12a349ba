package elasticsim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// verdict is a decider's answer, in rising order of severity.
type verdict uint8

const (
	yes verdict = iota
	throttle
	no
)

var verdictNames = [...]string{"YES", "THROTTLE", "NO"}

func (v verdict) String() string { return verdictNames[v] }

// decider is one rule. text explains the verdict; it is empty when explain is
// false, since deciding happens far more often than explaining.
type decider struct {
	name   string
	target func(c *Cluster, s *shard, n *node, explain bool) (verdict, string) // may s go to n
	remain func(c *Cluster, s *shard, explain bool) (verdict, string)          // may s stay; nil: not asked
}

// The server's deciders in the order it lists them. Those of things that are not
// simulated always say yes, in the server's words.
var deciders = []decider{
	{name: "max_retry", target: always("shard has no previous failures")},
	{name: "replica_after_primary_active", target: afterPrimary},
	{name: "enable", target: enabled},
	{name: "index_version", target: indexVersion},
	{name: "node_version", target: nodeVersion},
	{name: "snapshot_in_progress", target: noSnapshots},
	{name: "restore_in_progress", target: always("ignored as shard is not being recovered from a snapshot")},
	{name: "node_shutdown", target: always("no nodes are shutting down"), remain: stays("no nodes are shutting down")},
	{name: "node_replacement", target: always("there are no ongoing node replacements"), remain: stays("there are no ongoing node replacements")},
	{name: "filter", target: filterTarget, remain: func(c *Cluster, s *shard, e bool) (verdict, string) { return filterTarget(c, s, s.node, e) }},
	{name: "same_shard", target: sameShard},
	{name: "disk_threshold", target: diskTarget, remain: diskRemain},
	{name: "throttling", target: throttling},
	{name: "shards_limit", target: limitTarget, remain: limitRemain},
	{name: "awareness", target: awareTarget, remain: awareRemain},
	{name: "data_tier", target: tierTarget, remain: func(c *Cluster, s *shard, e bool) (verdict, string) { return tierTarget(c, s, s.node, e) }},
}

func always(text string) func(*Cluster, *shard, *node, bool) (verdict, string) {
	return func(*Cluster, *shard, *node, bool) (verdict, string) { return yes, text }
}

func stays(text string) func(*Cluster, *shard, bool) (verdict, string) {
	return func(*Cluster, *shard, bool) (verdict, string) { return yes, text }
}

// canAllocate asks every decider whether the copy may go to the node now.
func (c *Cluster) canAllocate(s *shard, n *node) verdict {
	worst := yes
	for i := range deciders {
		v, _ := deciders[i].target(c, s, n, false)
		if v == no {
			return no
		}
		worst = max(worst, v)
	}
	return worst
}

// mustLeave reports whether a decider other than the cluster-level filter, which
// findMoves asks once per node, refuses to let the copy stay.
func (c *Cluster) mustLeave(s *shard) bool {
	for i := range deciders {
		d := &deciders[i]
		if d.remain == nil {
			continue
		}
		if v, _ := d.remain(c, s, false); v == no {
			return true
		}
	}
	return false
}

func afterPrimary(_ *Cluster, s *shard, _ *node, _ bool) (verdict, string) {
	if s.primary {
		return yes, "shard is primary and can be allocated"
	}
	if !s.leader().active() {
		return no, "primary shard for this replica is not yet active"
	}
	return yes, "primary shard for this replica is already active"
}

func enabled(c *Cluster, s *shard, _ *node, _ bool) (verdict, string) {
	mode, where := c.get(allocationEnable), "cluster setting ["+allocationEnable
	if own, ok := s.index.settings["index.routing.allocation.enable"]; ok {
		mode, where = own.text, "index setting [index.routing.allocation.enable"
	}
	if mode == "all" {
		return yes, "all allocations are allowed"
	}
	mode = strings.ToLower(mode)
	source := " due to " + where + "=" + mode + "]"
	switch {
	case mode == "none":
		return no, "no allocations are allowed" + source
	case mode == "new_primaries" && s.primary:
		return no, "non-new primary allocations are forbidden" + source
	case mode != "all" && !s.primary:
		return no, "replica allocations are forbidden" + source
	case mode == "all":
		return yes, "all allocations are allowed"
	}
	return yes, "primary allocations are allowed"
}

func indexVersion(_ *Cluster, s *shard, _ *node, _ bool) (verdict, string) {
	const v = "[8.19.9-8.19.13]"
	if s.primary {
		return yes, "can relocate primary shard from a node with index version " + v + " to a node with equal-or-newer index version " + v
	}
	return yes, "can allocate replica shard to a node with index version " + v + " since this is equal-or-newer than the primary index version " + v
}

func nodeVersion(_ *Cluster, s *shard, n *node, explain bool) (verdict, string) {
	holder := s.leader().node
	if holder == nil {
		return yes, "no active primary shard yet"
	}
	older := compareVersions(n.Version, holder.Version) < 0
	if !older && !explain {
		return yes, ""
	}
	switch {
	case s.primary && older:
		return no, fmt.Sprintf("cannot relocate primary shard from a node with version [%s] to a node with older version [%s]", holder.Version, n.Version)
	case s.primary:
		return yes, fmt.Sprintf("can relocate primary shard from a node with version [%s] to a node with equal-or-newer version [%s]", holder.Version, n.Version)
	case older:
		return no, fmt.Sprintf("cannot allocate replica shard to a node with version [%s] since this is older than the primary version [%s]", n.Version, holder.Version)
	}
	return yes, fmt.Sprintf("can allocate replica shard to a node with version [%s] since this is equal-or-newer than the primary version [%s]", n.Version, holder.Version)
}

func compareVersions(a, b string) int {
	if a == b {
		return 0
	}
	number := func(v string) []int {
		var out []int
		for part := range strings.SplitSeq(v, ".") {
			n, _ := strconv.Atoi(part) // a part that is no number counts as 0
			out = append(out, n)
		}
		return out
	}
	return slices.Compare(number(a), number(b))
}

func noSnapshots(_ *Cluster, s *shard, _ *node, _ bool) (verdict, string) {
	if s.primary {
		return yes, "no snapshots are currently running"
	}
	return yes, "the shard is not being snapshotted"
}

func filterTarget(c *Cluster, s *shard, n *node, _ bool) (verdict, string) {
	if why := n.refused; why != "" {
		return no, why
	}
	if why := filterVerdict(s.index.filters, n, "index setting [index.routing.allocation.", "]"); why != "" {
		// The server's own text for this family ends in a stray dot.
		return no, strings.Replace(why, "allocation.exclude]", "allocation.exclude.]", 1)
	}
	return yes, "node passes include/exclude/require filters"
}

func sameShard(_ *Cluster, s *shard, n *node, explain bool) (verdict, string) {
	for _, o := range s.group() {
		if o == s || o.node != n && o.target != n {
			continue
		}
		if !explain {
			return no, ""
		}
		if o.node != n { // the arriving copy of a relocation
			arriving := *o
			arriving.node, arriving.state = n, initializing
			o = &arriving
		}
		return no, "a copy of this shard is already allocated to this node " + o.text()
	}
	return yes, "this node does not hold a copy of this shard"
}

func throttling(c *Cluster, s *shard, n *node, explain bool) (verdict, string) {
	in, out := c.limit(incomingLimit), c.limit(outgoingLimit)
	const also = "(can also be set via [" + nodeRecoveries + "])"
	if n.in >= in {
		if !explain {
			return throttle, ""
		}
		return throttle, fmt.Sprintf("reached the limit of incoming shard recoveries [%d], cluster setting [%s=%d] %s", n.in, incomingLimit, in, also)
	}
	holder := s.leader().node
	sending := 0
	if holder != nil {
		sending = holder.out
	}
	if sending >= out {
		if !explain {
			return throttle, ""
		}
		return throttle, fmt.Sprintf("reached the limit of outgoing shard recoveries [%d] on the node [%s] which holds the primary, cluster setting [%s=%d] %s",
			sending, holder.id, outgoingLimit, out, also)
	}
	if !explain {
		return yes, ""
	}
	return yes, fmt.Sprintf("below shard recovery limit of outgoing: [%d < %d] incoming: [%d < %d]", sending, out, n.in, in)
}
