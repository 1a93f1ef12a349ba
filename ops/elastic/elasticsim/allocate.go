package elasticsim

import (
	"cmp"
	"slices"
	"time"
)

// schedule starts the recoveries that may start at this moment: unassigned copies
// first, then copies that may not remain, then balancing. again says that something
// just finished, so copies that were stuck get another try, once a second.
func (c *Cluster) schedule(at time.Time, again bool) {
	if c.master == nil {
		return
	}
	if c.replan {
		c.replan = false
		c.findMoves()
	} else if !again {
		return
	}
	if at.Sub(c.unstuck) >= time.Second {
		c.unstuck = at
		for _, n := range c.nodes {
			for _, s := range n.moves {
				s.stuck = false
			}
		}
	}
	c.assign(at)
	c.move(at)
	c.rebalance(at)
}

// findMoves lists, per node, the copies that may not remain there. This is the only
// work that looks at every copy; it happens when settings, nodes or indices change.
func (c *Cluster) findMoves() {
	for _, n := range c.nodes {
		n.moves = nil
		for _, s := range n.shards {
			s.stuck = false
			if s.state == started && (n.refused != "" || c.mustLeave(s)) {
				n.moves = append(n.moves, s)
			}
		}
		slices.SortFunc(n.moves, byName)
	}
}

// assign starts unassigned copies, primaries first.
func (c *Cluster) assign(at time.Time) {
	if len(c.unassigned) == 0 {
		return
	}
	waiting := slices.Clone(c.unassigned)
	slices.SortStableFunc(waiting, func(a, b *shard) int {
		if a.primary != b.primary {
			if a.primary {
				return -1
			}
			return 1
		}
		return byName(a, b)
	})
	for _, s := range waiting {
		if n := c.homeFor(s); n != nil {
			c.start(s, n, at)
		}
	}
}

// homeFor chooses the node an unassigned copy is allocated to now, or nil.
func (c *Cluster) homeFor(s *shard) *node {
	if s.last != nil && s.last.alive && c.canAllocate(s, s.last) == yes {
		return s.last
	}
	if s.primary { // its data are nowhere else
		return nil
	}
	if !s.delayed.IsZero() || !s.leader().active() {
		return nil
	}
	return c.bestTarget(s)
}

// move starts relocations of copies that may not remain.
func (c *Cluster) move(at time.Time) {
	for _, n := range c.nodes {
		if len(n.moves) == 0 || !c.anyTarget() {
			continue
		}
		left := n.moves[:0]
		for _, s := range n.moves {
			if s.node != n || s.state != started {
				continue // moved, or lost meanwhile
			}
			left = append(left, s)
			if s.stuck || s.leader().node.out >= c.limit(outgoingLimit) {
				continue
			}
			if t := c.bestTarget(s); t != nil {
				c.start(s, t, at)
				left = left[:len(left)-1]
			}
		}
		clear(n.moves[len(left):])
		n.moves = left
	}
}

// anyTarget reports whether some node can still receive.
func (c *Cluster) anyTarget() bool {
	limit := c.limit(incomingLimit)
	for _, n := range c.nodes {
		if n.alive && n.data() && n.in < limit {
			return true
		}
	}
	return false
}

// bestTarget returns the lightest node that takes the copy now, or nil. It marks a
// copy stuck that no node would take even with free recovery slots.
func (c *Cluster) bestTarget(s *shard) *node {
	var best *node
	throttled := false
	for i := range c.nodes { // among equals, the primaries of an index go round
		n := c.nodes[(i+s.number)%len(c.nodes)]
		if !n.alive || !n.data() || n == s.node {
			continue
		}
		if best != nil && !lighter(s.index, n, best) {
			continue
		}
		switch c.canAllocate(s, n) {
		case yes:
			best = n
		case throttle:
			throttled = true
		}
	}
	s.stuck = best == nil && !throttled
	return best
}

// lighter reports whether a copy of ix weighs less on a than on b, by the
// balancer's two factors: copies of the index, copies at all; then by bytes.
func lighter(ix *index, a, b *node) bool {
	x, y := weight(ix, a), weight(ix, b)
	return x < y || x == y && a.bytes < b.bytes
}

func weight(ix *index, n *node) float64 {
	here := n.perIndex[ix]
	for _, s := range n.incoming {
		if s.index == ix {
			here++
		}
	}
	return 0.45*float64(n.held()) + 0.55*float64(here)
}

// rebalance starts relocations that even out the number of copies.
func (c *Cluster) rebalance(at time.Time) {
	if c.balanced || c.get(rebalanceEnable) == "none" {
		return
	}
	running := 0
	for _, r := range c.recoveries {
		if r.shard.state == relocating {
			running++
		}
	}
	for ; running < c.number(rebalanceLimit); running++ {
		s, to := c.unbalanced()
		if s == nil {
			c.balanced = true
			return
		}
		c.start(s, to, at)
	}
}

// unbalanced finds a copy on a full node that an emptier one would take. It looks
// at the five fullest and the five emptiest nodes.
func (c *Cluster) unbalanced() (*shard, *node) {
	var nodes []*node
	for _, n := range c.nodes {
		if n.alive && n.data() && n.refused == "" {
			nodes = append(nodes, n)
		}
	}
	slices.SortStableFunc(nodes, func(a, b *node) int { return cmp.Compare(a.held(), b.held()) })
	for _, to := range nodes[:min(5, len(nodes))] {
		for i := len(nodes) - 1; i >= max(0, len(nodes)-5); i-- {
			from := nodes[i]
			if from.held()-leaving(from)-to.held() < 2 {
				break
			}
			if s := c.spare(from, to); s != nil {
				return s, to
			}
		}
	}
	return nil, nil
}

// leaving counts the node's copies that are on their way out.
func leaving(n *node) int {
	gone := 0
	for _, s := range n.shards {
		if s.state == relocating {
			gone++
		}
	}
	return gone
}

// spare returns a copy that may go, the one whose index is densest on from.
func (c *Cluster) spare(from, to *node) *shard {
	var best *shard
	gain := 0
	for _, s := range from.shards {
		if s.state != started {
			continue
		}
		g := from.perIndex[s.index] - to.perIndex[s.index]
		if best != nil && (g < gain || g == gain && byName(s, best) >= 0) {
			continue
		}
		if c.canAllocate(s, to) == yes {
			best, gain = s, g
		}
	}
	return best
}
