package elasticsim

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

type state uint8

const (
	unassigned state = iota
	initializing
	started
	relocating
)

var stateNames = [...]string{"UNASSIGNED", "INITIALIZING", "STARTED", "RELOCATING"}

func (s state) String() string { return stateNames[s] }

// index is an index: its settings and the copies of its shards.
type index struct {
	name     string
	uuid     string
	created  time.Time
	settings settings
	filters  [len(families)]filterSet
	perNode  int // index.routing.allocation.total_shards_per_node, -1: no limit
	replicas int
	tiers    []string   // _tier_preference
	groups   [][]*shard // by shard number: all copies, the primary first
	bytes    []int64    // by shard number
	mapping  *mapping
	aliases  map[string]*alias
	stores   []*store      // by shard number
	interval time.Duration // of refreshes; a year: never
	stale    time.Time     // the first write that no refresh made visible; zero: none

	writes, deletes int64 // so far
}

// shard is one copy of a shard.
type shard struct {
	index   *index
	number  int
	primary bool
	state   state
	node    *node // where it is; nil: unassigned
	target  *node // where a relocating copy goes
	pos     int   // in node.shards
	seq     uint64
	rec     *recovery
	stuck   bool // no node would take it when last tried

	searches searchCounts

	// Of an unassigned copy:
	reason  string
	details string
	since   time.Time
	delayed time.Time // not allocated before, zero: no delay
	last    *node     // holds the data, if it comes back
}

// counts is what _cluster/health adds up; kept up to date at every transition.
type counts struct {
	byState           [len(stateNames)]int
	unassignedPrimary int
	activePrimary     int
	startingPrimary   int
}

// active copies serve: started and relocating ones.
func (n *counts) active() int { return n.byState[started] + n.byState[relocating] }

func (n *counts) total() int {
	return n.byState[started] + n.byState[relocating] + n.byState[initializing] + n.byState[unassigned]
}

func (n *counts) add(s *shard, by int) {
	n.byState[s.state] += by
	if !s.primary {
		return
	}
	switch s.state {
	case unassigned:
		n.unassignedPrimary += by
	case initializing:
		n.startingPrimary += by
	case started, relocating:
		n.activePrimary += by
	}
}

func (n *counts) primaries() int {
	return n.activePrimary + n.startingPrimary + n.unassignedPrimary
}

func (s *shard) size() int64     { return s.index.bytes[s.number] }
func (s *shard) group() []*shard { return s.index.groups[s.number] }
func (s *shard) active() bool    { return s.state == started || s.state == relocating }

func (s *shard) kind() string {
	if s.primary {
		return "p"
	}
	return "r"
}

// leader is the primary of the copy's group.
func (s *shard) leader() *shard {
	for _, o := range s.group() {
		if o.primary {
			return o
		}
	}
	return nil
}

func (c *Cluster) setState(s *shard, to state) {
	c.counts.add(s, -1)
	s.state = to
	c.counts.add(s, 1)
}

// place puts an unassigned or moving copy on a node.
func (c *Cluster) place(s *shard, n *node) {
	c.take(s)
	s.node, s.pos = n, len(n.shards)
	n.shards = append(n.shards, s)
	n.perIndex[s.index]++
	n.bytes += s.size()
	c.stateID++
	s.seq = c.stateID<<20 ^ uint64(s.number)
}

// take removes a copy from its node, if it has one.
func (c *Cluster) take(s *shard) {
	n := s.node
	if n == nil {
		return
	}
	lastOne := n.shards[len(n.shards)-1]
	n.shards[s.pos], lastOne.pos = lastOne, s.pos
	n.shards = n.shards[:len(n.shards)-1]
	if n.perIndex[s.index]--; n.perIndex[s.index] == 0 {
		delete(n.perIndex, s.index)
	}
	n.bytes -= s.size()
	s.node = nil
}

// allocationID is the copy's allocation id; it changes when the copy moves.
func (s *shard) allocationID(salt uint64) string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], (s.seq+1)*0x9e3779b97f4a7c15^salt)
	binary.LittleEndian.PutUint64(b[8:], (s.seq+2)*0xbf58476d1ce4e5b9+uint64(len(s.index.name)))
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// text is the copy as the same_shard decider writes it.
func (s *shard) text() string {
	letter := "R"
	if s.primary {
		letter = "P"
	}
	return fmt.Sprintf("[[%s][%d], node[%s], [%s], s[%s], a[id=%s], failed_attempts[0]]",
		s.index.name, s.number, s.node.id, letter, s.state, s.allocationID(0))
}

// byName orders copies by index, number, primary first.
func byName(a, b *shard) int {
	if a.primary != b.primary && a.index == b.index && a.number == b.number {
		if a.primary {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.index.name, b.index.name), cmp.Compare(a.number, b.number))
}

// ordered returns a node's own copies and the arriving ones, by name.
func (n *node) ordered() []*shard {
	all := slices.Concat(n.shards, n.incoming)
	slices.SortFunc(all, byName)
	return all
}

// at returns the state of the copy as seen on a node: a relocating copy is
// INITIALIZING on its target.
func (s *shard) at(n *node) state {
	if s.target == n && s.node != n {
		return initializing
	}
	return s.state
}
