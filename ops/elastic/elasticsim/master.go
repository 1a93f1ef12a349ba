package elasticsim

import (
	"slices"
	"time"
)

// votingExclusion is an entry of cluster_coordination.voting_config_exclusions.
type votingExclusion struct{ id, name string }

const absentNode = "_absent_"

func (c *Cluster) excludedFromVoting(n *node) bool {
	return slices.ContainsFunc(c.exclusions, func(x votingExclusion) bool { return x.id == n.id })
}

// quorum reports whether a majority of the voting configuration lives.
func (c *Cluster) quorum() bool {
	live := 0
	for _, n := range c.config {
		if n.alive {
			live++
		}
	}
	return live*2 > len(c.config)
}

// depose leaves the cluster without a master until the next election.
func (c *Cluster) depose(now time.Time) {
	c.master, c.electAt = nil, time.Time{}
	if !c.quorum() {
		return
	}
	c.electAt = now.Add(max(0, c.opt.Election))
	if c.opt.Election < 0 {
		c.elect(now)
	}
}

// elect holds a due election: the first live voter wins.
func (c *Cluster) elect(at time.Time) {
	if c.electAt.IsZero() || c.electAt.After(at) {
		return
	}
	c.electAt = time.Time{}
	if !c.quorum() {
		return
	}
	for _, n := range c.nodes {
		if n.alive && n.eligible() && !c.excludedFromVoting(n) {
			c.enthrone(n)
			return
		}
	}
}

// enthrone makes n the master; from now on its decider's filters count.
func (c *Cluster) enthrone(n *node) {
	if c.master != n {
		c.term++
	}
	c.master, c.electAt = n, time.Time{}
	c.reconfigure()
	c.recompute()
	c.bump()
}

// reconfigure adapts the voting configuration to the live nodes: an odd number,
// the master first, never fewer than three once there were three.
func (c *Cluster) reconfigure() {
	if c.master == nil {
		return
	}
	var live, dead []*node
	for _, n := range c.nodes {
		if n.eligible() && n.alive && !c.excludedFromVoting(n) {
			live = append(live, n)
		}
	}
	kept := 0
	for _, n := range c.config {
		if !c.excludedFromVoting(n) {
			kept++
			if !n.alive {
				dead = append(dead, n)
			}
		}
	}
	rank := func(n *node) int {
		switch {
		case n == c.master:
			return 0
		case slices.Contains(c.config, n):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(live, func(a, b *node) int { return rank(a) - rank(b) })
	least := 1
	if kept >= 3 {
		least = 3
	}
	size := max(len(live)-(len(live)+1)%2, least)
	all := append(live, dead...)
	if len(all) == 0 {
		return
	}
	next := slices.Clone(all[:min(size, len(all))])
	alive := 0
	for _, n := range next {
		if n.alive {
			alive++
		}
	}
	if alive*2 > len(next) {
		c.config = next
	}
}

// exclude adds voting exclusions; an excluded master hands over.
func (c *Cluster) exclude(list []votingExclusion) {
	for _, x := range list {
		if !slices.Contains(c.exclusions, x) {
			c.exclusions = append(c.exclusions, x)
		}
	}
	c.reconfigure()
	if c.master != nil && c.excludedFromVoting(c.master) {
		for _, n := range c.nodes {
			if n.alive && n.eligible() && !c.excludedFromVoting(n) {
				c.enthrone(n)
				break
			}
		}
	}
	c.reconfigure()
	c.bump()
}
