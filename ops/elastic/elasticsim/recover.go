package elasticsim

import (
	"slices"
	"time"
)

// A recovery takes at least this long, whatever its size.
const recoveryOverhead = 200 * time.Millisecond

// nodeLeftDelay is index.unassigned.node_left.delayed_timeout's default.
const nodeLeftDelay = time.Minute

// recovery copies a shard to a node: a relocation, or the allocation of an
// unassigned copy.
type recovery struct {
	shard  *shard
	source *node // the primary's node; nil: from the node's own disk
	target *node
	total  int64
	begun  time.Time
	done   int64     // bytes until since
	since  time.Time // when rate was set
	rate   int64     // bytes a second
}

// recoveryRecord is a finished recovery.
type recoveryRecord struct {
	recovery
	took time.Duration
}

func (r *recovery) end() time.Time {
	left := time.Duration(0)
	if r.total > r.done {
		left = time.Duration(float64(r.total-r.done) / float64(r.rate) * float64(time.Second))
	}
	if e := r.since.Add(left); e.After(r.begun.Add(recoveryOverhead)) {
		return e
	}
	return r.begun.Add(recoveryOverhead)
}

func (r *recovery) bytesAt(now time.Time) int64 {
	b := r.done + int64(now.Sub(r.since).Seconds()*float64(r.rate))
	return min(max(b, 0), r.total)
}

// rate is what one recovery gets: a node's share for each of its permitted ones.
func (c *Cluster) rate() int64 {
	rate := c.opt.BytesPerSecond
	if s, ok := c.inForce[recoveryMaxBytes]; ok {
		if limit, err := parseBytes(s.text); err == nil && limit > 0 {
			rate = min(rate, limit)
		}
	}
	return max(1, rate/int64(max(1, c.limit(outgoingLimit))))
}

// limit is a number of recoveries per node: its own setting or the common one.
func (c *Cluster) limit(key string) int {
	if _, own := c.inForce[key]; own {
		return c.number(key)
	}
	return c.number(nodeRecoveries)
}

// start begins a recovery of s onto n.
func (c *Cluster) start(s *shard, n *node, at time.Time) {
	r := &recovery{shard: s, target: n, total: s.size(), begun: at, since: at, rate: c.rate()}
	if p := s.leader(); p.active() && (s.active() || !s.primary) {
		r.source = p.node
		r.source.out++
	}
	n.in++
	if s.state == unassigned {
		if n == s.last { // its files are still there
			r.total = 0
		}
		c.unassigned = slices.DeleteFunc(c.unassigned, func(o *shard) bool { return o == s })
		c.setState(s, initializing)
		c.place(s, n)
	} else {
		s.target = n
		n.incoming = append(n.incoming, s)
		c.setState(s, relocating)
	}
	s.rec = r
	c.recoveries = append(c.recoveries, r)
	c.bump()
}

// release ends a recovery's hold on its nodes.
func (c *Cluster) release(r *recovery) {
	r.target.in--
	if r.source != nil {
		r.source.out--
	}
	r.shard.rec = nil
	if i := slices.Index(r.target.incoming, r.shard); i >= 0 {
		r.target.incoming = slices.Delete(r.target.incoming, i, i+1)
	}
	c.recoveries = slices.DeleteFunc(c.recoveries, func(o *recovery) bool { return o == r })
}

// finish completes a recovery.
func (c *Cluster) finish(r *recovery, at time.Time) {
	s := r.shard
	c.release(r)
	if s.target != nil {
		s.target = nil
		c.place(s, r.target)
	}
	c.setState(s, started)
	s.stuck, s.last, s.reason, s.details = false, nil, "", ""
	r.done, r.since = r.total, at
	c.finished = append(c.finished, recoveryRecord{*r, at.Sub(r.begun)})
	if len(c.finished) > 100 {
		c.finished = slices.Delete(c.finished, 0, 50)
	}
	c.balanced = false
	c.review(s)
	c.bump()
}

// review lists a copy that came to rest on a node where it may not remain.
func (c *Cluster) review(s *shard) {
	if s.node.alive && (s.node.refused != "" || c.mustLeave(s)) {
		s.node.moves = append(s.node.moves, s)
	}
}

// abort gives a recovery up: a relocating copy stays where it is, an initializing
// one is unassigned again.
func (c *Cluster) abort(r *recovery, at time.Time) {
	s := r.shard
	c.release(r)
	if s.target != nil {
		s.target = nil
		c.setState(s, started)
		c.review(s)
	} else {
		holder := s.last
		c.lose(s, at, "ALLOCATION_FAILED", "recovery source or target left", 0)
		s.last = holder
	}
}

// lose makes a copy unassigned.
func (c *Cluster) lose(s *shard, at time.Time, reason, details string, delay time.Duration) {
	if s.node != nil {
		s.last = s.node
		if s.primary {
			s.index.stores[s.number].term++
		}
	}
	c.take(s)
	c.setState(s, unassigned)
	s.reason, s.details, s.since, s.delayed = reason, details, at, time.Time{}
	if delay > 0 {
		s.delayed = at.Add(delay)
	}
	c.unassigned = append(c.unassigned, s)
}

// settle brings the cluster up to now: everything that was due happens in order.
func (c *Cluster) settle(now time.Time) {
	c.schedule(now, false)
	for {
		at, ok := c.nextMove()
		if due, some := c.nextBatch(); some && !due.After(now) && (!ok || due.Before(at)) {
			c.runTasks(due)
			continue
		}
		if !ok || at.After(now) {
			break
		}
		c.elect(at)
		for _, r := range slices.Clone(c.recoveries) {
			if !r.end().After(at) {
				c.finish(r, at)
			}
		}
		for _, s := range c.unassigned {
			if !s.delayed.IsZero() && !s.delayed.After(at) {
				s.delayed = time.Time{}
			}
		}
		c.schedule(at, true)
	}
}

// next is when the next thing is due.
func (c *Cluster) next() (at time.Time, ok bool) {
	at, ok = c.nextMove()
	if due, some := c.nextBatch(); some && (!ok || due.Before(at)) {
		return due, true
	}
	return at, ok
}

// nextMove is when the next election, recovery or delay ends.
func (c *Cluster) nextMove() (at time.Time, ok bool) {
	consider := func(t time.Time) {
		if !t.IsZero() && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	consider(c.electAt)
	for _, r := range c.recoveries {
		consider(r.end())
	}
	for _, s := range c.unassigned {
		consider(s.delayed)
	}
	return at, ok
}

// recompute reacts to a change of settings, nodes or indices: running recoveries
// get their new rate, and who must move is worked out again.
func (c *Cluster) recompute() {
	now, rate := time.Now(), c.rate()
	for _, r := range c.recoveries {
		r.done, r.since, r.rate = r.bytesAt(now), now, rate
	}
	c.judgeNodes()
	c.replan, c.balanced = true, false
}
