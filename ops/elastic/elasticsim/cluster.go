package elasticsim

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Node describes a node of the cluster. Only Name is needed.
type Node struct {
	Name       string
	Zone       string            // node.attr.zone; empty: none
	IP         string            // default 10.0.0.<n>, n from 1
	Attributes map[string]string // other node.attr.*
	Roles      []string          // default: all roles
	Version    string            // default 8.19.13
	DiskBytes  int64             // default 1 TiB
	OtherBytes int64             // taken on the disk by other things than shards
}

// Options are a Cluster's settings. The zero value is a cluster without nodes.
type Options struct {
	Name  string // cluster name, default "elasticsim"
	Nodes []Node
	// Seed makes ids and the dealing of shards repeatable: equal options give equal
	// clusters.
	Seed uint64
	// BytesPerSecond is what one node can send or receive in recoveries, default
	// 40 MiB. indices.recovery.max_bytes_per_sec, when set and lower, wins.
	BytesPerSecond int64
	// DocsPerSecond is what the reindex tasks of one node write together, default
	// 50,000.
	DocsPerSecond int
	// Election is how long the cluster is without a master after its master died,
	// default 1 s; negative: no time.
	Election time.Duration
}

// Cluster is the simulated cluster. Its methods may be called concurrently.
type Cluster struct {
	mu      sync.Mutex
	opt     Options
	rng     *rand.Rand
	uuid    string
	stateID uint64
	version int64
	waiters []chan struct{} // closed and dropped at every change of state

	nodes   []*node // in the order given, dead ones too
	byID    map[string]*node
	byName  map[string]*node
	indices map[string]*index
	sorted  []*index // by name

	templates, legacy map[string]*template
	pipelines         map[string]*pipeline
	contexts          map[string]*context // scrolls and points in time

	persistent, transient, inForce settings

	term       int
	master     *node // nil: none
	electAt    time.Time
	config     []*node // the voting configuration
	exclusions []votingExclusion

	counts     counts
	recoveries []*recovery
	unassigned []*shard
	finished   []recoveryRecord // the latest, for _cat/recovery without active_only
	replan     bool             // who must move is to be worked out again
	balanced   bool             // nothing to rebalance until the next change
	unstuck    time.Time        // when stuck shards were last tried again

	tasks   []*task          // running, oldest first
	results map[string]*task // of tasks that were not waited for, by id
	taskIDs int64

	pending      int // tasks the master has not got round to
	pendingSince time.Time

	intercept func(*http.Request) Fault
	writes    []Write
	unknown   []string
	traffic   map[string]Traffic
	requests  int // numbers the requests, for the jitter in loads
}

// node is a Node and what runs on it.
type node struct {
	Node
	id         string
	ephemeral  string
	attributes map[string]string
	number     int
	alive      bool
	started    time.Time
	filters    [len(families)]filterSet
	refused    string // the cluster-level filters' verdict on the node; empty: passes

	shards   []*shard // assigned here; a relocating one stays until it has moved
	incoming []*shard // relocating to here
	moves    []*shard // of shards: those that may not remain
	perIndex map[*index]int
	bytes    int64 // of shards
	in, out  int   // running recoveries to and from this node

	reported   *Load // nil: none was set
	reject     int   // writes still to be refused
	rejections int64 // writes refused
	written    int64 // documents written to its primaries
}

// New returns a cluster whose nodes have all just started, the first
// master-eligible one elected. It panics when two nodes share a name.
func New(o Options) *Cluster {
	if o.Name == "" {
		o.Name = "elasticsim"
	}
	if o.BytesPerSecond == 0 {
		o.BytesPerSecond = 40 << 20
	}
	if o.DocsPerSecond == 0 {
		o.DocsPerSecond = 50_000
	}
	if o.Election == 0 {
		o.Election = time.Second
	}
	c := &Cluster{
		opt: o, rng: rand.New(rand.NewPCG(o.Seed, 819)), version: 1, term: 1,
		byID: map[string]*node{}, byName: map[string]*node{}, indices: map[string]*index{},
		inForce: settings{}, traffic: map[string]Traffic{}, templates: map[string]*template{}, pipelines: map[string]*pipeline{}, legacy: map[string]*template{}, contexts: map[string]*context{}, results: map[string]*task{}, taskIDs: 100,
	}
	c.uuid = c.newID()
	for i, n := range o.Nodes {
		c.addNode(i+1, n)
	}
	for _, n := range c.nodes {
		if n.eligible() && c.master == nil {
			c.master = n
		}
	}
	c.reconfigure()
	return c
}

func (c *Cluster) addNode(number int, spec Node) {
	if c.byName[spec.Name] != nil {
		panic(fmt.Sprintf("elasticsim: two nodes are named %q", spec.Name))
	}
	if spec.IP == "" {
		spec.IP = "10.0.0." + strconv.Itoa(number)
	}
	if spec.Roles == nil {
		spec.Roles = allRoles
	}
	if spec.Version == "" {
		spec.Version = serverVersion
	}
	if spec.DiskBytes == 0 {
		spec.DiskBytes = 1 << 40
	}
	n := &node{
		Node: spec, id: c.newID(), ephemeral: c.newID(), number: number, alive: true,
		started: time.Now(), perIndex: map[*index]int{},
		attributes: map[string]string{"xpack.installed": "true"},
	}
	for k, v := range spec.Attributes {
		n.attributes[k] = v
	}
	if spec.Zone != "" {
		n.attributes["zone"] = spec.Zone
	}
	c.nodes = append(c.nodes, n)
	c.byID[n.id], c.byName[n.Name] = n, n
}

// newID makes an id as the server does: 16 bytes in 22 characters.
func (c *Cluster) newID() string {
	var b [16]byte
	for i := 0; i < len(b); i += 8 {
		v := c.rng.Uint64()
		for j := range 8 {
			b[i+j] = byte(v >> (8 * j))
		}
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// bump marks a change of the cluster state and wakes the requests that wait.
func (c *Cluster) bump() {
	c.version++
	c.stateID++
	for _, w := range c.waiters {
		close(w)
	}
	c.waiters = nil
}

// UUID is the cluster's id.
func (c *Cluster) UUID() string { return c.uuid }

// NodeID returns the id of the named node, or "".
func (c *Cluster) NodeID(name string) string {
	if n := c.byName[name]; n != nil {
		return n.id
	}
	return ""
}

// Shards counts the shard copies on the named node as its own stats do: also those
// that are still arriving.
func (c *Cluster) Shards(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(time.Now())
	if n := c.byName[name]; n != nil {
		return n.held()
	}
	return 0
}

// Master returns the elected master's name, or "".
func (c *Cluster) Master() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(time.Now())
	if c.master == nil {
		return ""
	}
	return c.master.Name
}

// Filter returns what the elected master's decider really applies of a family
// ("exclude", "include" or "require"): values by attribute.
func (c *Cluster) Filter(family string) map[string][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(time.Now())
	out := map[string][]string{}
	if c.master == nil {
		return out
	}
	for i, f := range families {
		if f == family {
			for attr, v := range c.master.filters[i] {
				out[attr] = append([]string(nil), v...)
			}
		}
	}
	return out
}

func (n *node) held() int { return len(n.shards) + len(n.incoming) }

func (n *node) has(role string) bool {
	for _, r := range n.Roles {
		if r == role {
			return true
		}
	}
	return false
}

func (n *node) eligible() bool { return n.has("master") }

// data reports whether shards may live on the node.
func (n *node) data() bool {
	for _, r := range n.Roles {
		if r == "data" || len(r) > 5 && r[:5] == "data_" {
			return true
		}
	}
	return false
}

func (n *node) transport() string { return n.IP + ":" + strconv.Itoa(9299+n.number) }
func (n *node) http() string      { return n.IP + ":9200" }
func (n *node) used() int64       { return n.OtherBytes + n.bytes }
func (n *node) free() int64       { return max(0, n.DiskBytes-n.used()) }
