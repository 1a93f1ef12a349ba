package elasticsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Fault is what happens to a request instead of, or beside, being answered. The
// zero Fault is none.
type Fault struct {
	// Delay passes before anything else.
	Delay time.Duration
	// Status, when not 0, is answered with Body, and the cluster sees nothing.
	Status int
	Body   string // default: an error of the status' usual type
	// Refuse drops the connection before the cluster sees the request.
	Refuse bool
	// LoseReply lets the request take effect and drops the connection instead of
	// answering.
	LoseReply bool
}

// Intercept sets a function that is asked for a Fault before each request; nil
// removes it. It runs outside the cluster's lock, so it may call any method.
func (c *Cluster) Intercept(f func(*http.Request) Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.intercept = f
}

// Kill stops a node as a crash does. Replicas of its primaries are promoted, its
// copies are unassigned, and when it was the master another is elected after
// Options.Election, if a majority of the voting configuration lives.
// It panics when there is no such node; so do Start and Elect.
func (c *Cluster) Kill(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.settle(now)
	n := c.mustNode(name)
	if !n.alive {
		return
	}
	n.alive, n.moves = false, nil
	c.tasks = slices.DeleteFunc(c.tasks, func(t *task) bool { return t.node == n })
	maps.DeleteFunc(c.results, func(_ string, t *task) bool { return t.node == n && !t.over() })
	for _, r := range slices.Clone(c.recoveries) {
		if r.target == n || r.source == n || r.shard.node == n {
			c.abort(r, now)
		}
	}
	for _, s := range slices.Clone(n.shards) {
		c.promote(s)
		c.lose(s, now, "NODE_LEFT", "node_left ["+n.id+"]", s.index.delay())
	}
	if c.master == n {
		c.depose(now)
	} else if !c.quorum() {
		c.master = nil
	}
	c.reconfigure()
	c.recompute()
	c.bump()
	c.schedule(now, false)
}

// promote hands a dying primary's place to a started replica, if there is one.
func (c *Cluster) promote(s *shard) {
	if !s.primary {
		return
	}
	for _, o := range s.group() {
		if o != s && o.active() && o.node.alive {
			c.counts.add(s, -1)
			c.counts.add(o, -1)
			s.primary, o.primary = false, true
			s.index.stores[s.number].term++
			c.counts.add(s, 1)
			c.counts.add(o, 1)
			return
		}
	}
}

// Start starts a dead node again: same id and disk, new ephemeral id, and filters
// read from the whole settings.
func (c *Cluster) Start(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.settle(now)
	n := c.mustNode(name)
	if n.alive {
		return
	}
	n.alive, n.started, n.ephemeral = true, now, c.newID()
	n.loadFilters(c.inForce)
	if c.master == nil && c.electAt.IsZero() && c.quorum() {
		c.electAt = now.Add(max(0, c.opt.Election))
	}
	c.reconfigure()
	c.recompute()
	c.bump()
	c.schedule(now, false)
}

// Elect makes a live master-eligible node the master, at once.
func (c *Cluster) Elect(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.settle(now)
	n := c.mustNode(name)
	if !n.alive || !n.eligible() {
		panic(fmt.Sprintf("elasticsim: %s cannot be master", name))
	}
	c.enthrone(n)
	c.schedule(now, false)
}

// LoseShard destroys the primary copy of a shard on its node. With a started replica
// that one is promoted and copied again; without one the index is red for good.
func (c *Cluster) LoseShard(name string, number int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.settle(now)
	ix := c.indices[name]
	if ix == nil || number < 0 || number >= len(ix.groups) {
		panic(fmt.Sprintf("elasticsim: no shard %d of index %q", number, name))
	}
	s := ix.groups[number][0].leader()
	if s.state == unassigned {
		return
	}
	for _, r := range slices.Clone(c.recoveries) {
		if r.shard == s || r.shard.index == ix && r.shard.number == number {
			c.abort(r, now)
		}
	}
	c.promote(s)
	if s.state != unassigned {
		c.lose(s, now, "ALLOCATION_FAILED", "failed shard on node ["+s.node.id+"]: shard failure, reason [corrupt file]", 0)
	}
	s.last = nil
	c.recompute()
	c.bump()
	c.schedule(now, false)
}

// LoseData destroys the disk of a dead node: what only it held is lost for good. It
// panics when the node lives.
func (c *Cluster) LoseData(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(time.Now())
	n := c.mustNode(name)
	if n.alive {
		panic(fmt.Sprintf("elasticsim: %s is alive", name))
	}
	for _, s := range c.unassigned {
		if s.last == n {
			s.last = nil
		}
	}
	c.bump()
}

// SetPending makes the master have n tasks it has not got round to.
func (c *Cluster) SetPending(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending, c.pendingSince = n, time.Now()
	c.bump()
}

// PutSettings updates the cluster's settings as somebody else's request would, with
// the body of PUT /_cluster/settings. It is not among Writes.
func (c *Cluster) PutSettings(body string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.settle(now)
	var in settingsBody
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		return err
	}
	persistent, transient, err := in.changes()
	if err != nil {
		return err
	}
	_, _, err = c.update(persistent, transient)
	c.schedule(now, false)
	return err
}

// PutIndexSettings updates an index's settings, as PutSettings does.
func (c *Cluster) PutIndexSettings(name, body string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.settle(now)
	ix := c.indices[name]
	if ix == nil {
		return fmt.Errorf("no such index [%s]", name)
	}
	ch, err := parseChange(json.RawMessage(body))
	if err != nil {
		return err
	}
	if f := c.changeIndex(ix, ch, now); f != nil {
		return refusal("%s", f.reason)
	}
	c.schedule(now, false)
	return nil
}

func (c *Cluster) mustNode(name string) *node {
	n := c.byName[name]
	if n == nil {
		panic(fmt.Sprintf("elasticsim: no node %q", name))
	}
	return n
}

// loggedBody is how much of a request's body Writes keeps.
const loggedBody = 16 << 10

// Write is a state-changing request that was seen.
type Write struct {
	At       time.Time
	Method   string
	Path     string // with the query
	Body     string // its first 16 KiB
	OpaqueID string // the X-Opaque-Id header
	// Status is the answer's; a lost reply had one too. 0: the request was refused
	// before the cluster saw it.
	Status int
}

// Writes returns all state-changing requests so far, oldest first.
func (c *Cluster) Writes() []Write {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.writes)
}

// Unknown returns "METHOD path" of every request that no route took.
func (c *Cluster) Unknown() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.unknown)
}

// Traffic is what one route served.
type Traffic struct {
	Requests int
	Bytes    int64 // of answers
}

// Traffic returns what each route served, by "METHOD /pattern".
func (c *Cluster) Traffic() map[string]Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]Traffic, len(c.traffic))
	for k, v := range c.traffic {
		out[k] = v
	}
	return out
}

// delay is how long the index's copies wait for a node that left.
func (ix *index) delay() time.Duration {
	s, ok := ix.settings["index.unassigned.node_left.delayed_timeout"]
	if !ok {
		return nodeLeftDelay
	}
	d, err := parseTime(s.text)
	if err != nil {
		return nodeLeftDelay
	}
	return d
}
