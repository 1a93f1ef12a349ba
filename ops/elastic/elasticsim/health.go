package elasticsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func info(r *request) answer {
	c := r.cluster
	return answer{value: object{
		{"name", r.local.Name}, {"cluster_name", c.opt.Name}, {"cluster_uuid", c.uuid},
		{"version", object{
			{"number", r.local.Version}, {"build_flavor", "default"}, {"build_type", "zip"},
			{"build_hash", buildHash}, {"build_date", "2026-03-16T10:08:32.007626438Z"}, {"build_snapshot", false},
			{"lucene_version", "9.12.2"}, {"minimum_wire_compatibility_version", "7.17.0"},
			{"minimum_index_compatibility_version", "7.0.0"},
		}},
		{"tagline", "You Know, for Search"},
	}}
}

const buildHash = "f6279a2167a248af2bb287409231fb0cf52aa0db"

// count adds up some indices; nil stands for all and costs nothing.
func (c *Cluster) count(indices []*index) *counts {
	if indices == nil {
		return &c.counts
	}
	var n counts
	for _, ix := range indices {
		for _, group := range ix.groups {
			for _, s := range group {
				n.add(s, 1)
			}
		}
	}
	return &n
}

// status is red when a primary is missing, yellow when another copy is.
func (n *counts) status() string {
	switch {
	case n.total() > 0 && n.activePrimary < n.primaries():
		return "red"
	case n.byState[unassigned]+n.byState[initializing] > 0:
		return "yellow"
	}
	return "green"
}

var statusRank = []string{"green", "yellow", "red"}

func health(r *request) answer {
	c := r.cluster
	wantStatus := strings.ToLower(r.query.Get("wait_for_status"))
	if wantStatus != "" && !slices.Contains(statusRank, wantStatus) {
		return illegal("No enum constant org.elasticsearch.cluster.health.ClusterHealthStatus.%s", strings.ToUpper(wantStatus))
	}
	limit := r.timeout("timeout", 30*time.Second)
	local := r.flag("local")
	var indices []*index
	missing := false
	resolve := func() {
		indices, missing = nil, false
		if names := r.path["names"]; names != "" && names != "_all" {
			found, f := c.find(names)
			missing = f != nil
			indices = append([]*index{}, found...)
		}
	}
	satisfied := func() bool {
		resolve()
		if missing {
			return false
		}
		n := c.count(indices)
		if wantStatus != "" && slices.Index(statusRank, n.status()) > slices.Index(statusRank, wantStatus) {
			return false
		}
		if r.flag("wait_for_no_relocating_shards") && n.byState[relocating] > 0 {
			return false
		}
		if r.flag("wait_for_no_initializing_shards") && n.byState[initializing] > 0 {
			return false
		}
		if want := r.query.Get("wait_for_nodes"); want != "" && !nodesMatch(want, c.liveNodes()) {
			return false
		}
		switch want := r.query.Get("wait_for_active_shards"); want {
		case "":
		case "all":
			if n.active() < n.total() {
				return false
			}
		default:
			if k, err := strconv.Atoi(want); err == nil && n.active() < k {
				return false
			}
		}
		return true
	}
	if !local && !c.await(r, r.timeout("master_timeout", limit), func() bool { return c.master != nil }) {
		return masterNotDiscovered()
	}
	ok := c.await(r, limit, satisfied)
	if !local && c.master == nil {
		return masterNotDiscovered()
	}
	n := c.count(indices)
	status := n.status()
	if missing || c.master == nil {
		status = "red"
	}
	a := answer{value: append(object{
		{"cluster_name", c.opt.Name}, {"status", status}, {"timed_out", !ok},
		{"number_of_nodes", c.liveNodes()}, {"number_of_data_nodes", c.liveDataNodes()},
		{"active_primary_shards", n.activePrimary}, {"active_shards", n.active()},
		{"relocating_shards", n.byState[relocating]}, {"initializing_shards", n.byState[initializing]},
		{"unassigned_shards", n.byState[unassigned]}, {"unassigned_primary_shards", n.unassignedPrimary},
		{"delayed_unassigned_shards", c.delayedCount()}, {"number_of_pending_tasks", c.pending},
		{"number_of_in_flight_fetch", 0}, {"task_max_waiting_in_queue_millis", c.queueAge(r.now)},
		{"active_shards_percent_as_number", n.percent()},
	}, c.levels(r, indices)...)}
	if !ok {
		a.status = http.StatusRequestTimeout
	}
	return a
}

// levels adds the per-index part of level=indices and level=shards.
func (c *Cluster) levels(r *request, indices []*index) object {
	if level := r.query.Get("level"); level != "indices" && level != "shards" {
		return nil
	}
	if indices == nil {
		indices = c.sorted
	}
	out := object{}
	for _, ix := range indices {
		n := c.count([]*index{ix})
		out = append(out, member{ix.name, object{
			{"status", n.status()}, {"number_of_shards", len(ix.groups)}, {"number_of_replicas", ix.replicas},
			{"active_primary_shards", n.activePrimary}, {"active_shards", n.active()},
			{"relocating_shards", n.byState[relocating]}, {"initializing_shards", n.byState[initializing]},
			{"unassigned_shards", n.byState[unassigned]}, {"unassigned_primary_shards", n.unassignedPrimary},
		}})
	}
	return object{{"indices", out}}
}

func (n *counts) percent() decimal {
	if n.total() == 0 {
		return 100
	}
	return decimal(100 * float64(n.active()) / float64(n.total()))
}

// nodesMatch understands "3", ">=3", "<=3", ">3", "<3", "ge(3)" and so on.
func nodesMatch(want string, have int) bool {
	for _, op := range []struct {
		sign, word string
		holds      func(a, b int) bool
	}{
		{">=", "ge(", func(a, b int) bool { return a >= b }},
		{"<=", "le(", func(a, b int) bool { return a <= b }},
		{">", "gt(", func(a, b int) bool { return a > b }},
		{"<", "lt(", func(a, b int) bool { return a < b }},
		{"", "", func(a, b int) bool { return a == b }},
	} {
		number, ok := strings.CutPrefix(want, op.sign)
		if word, found := strings.CutPrefix(want, op.word); found && op.word != "" {
			number, ok = strings.TrimSuffix(word, ")"), true
		}
		if k, err := strconv.Atoi(number); ok && err == nil {
			return op.holds(have, k)
		}
	}
	return false
}

func (c *Cluster) liveNodes() int {
	n := 0
	for _, x := range c.nodes {
		if x.alive {
			n++
		}
	}
	return n
}

func (c *Cluster) liveDataNodes() int {
	n := 0
	for _, x := range c.nodes {
		if x.alive && x.data() {
			n++
		}
	}
	return n
}

// queueAge is how long the oldest pending task waits, in milliseconds.
func (c *Cluster) queueAge(now time.Time) int64 {
	if c.pending == 0 {
		return 0
	}
	return now.Sub(c.pendingSince).Milliseconds()
}

func (c *Cluster) delayedCount() int {
	n := 0
	for _, s := range c.unassigned {
		if !s.delayed.IsZero() && !s.primary {
			n++
		}
	}
	return n
}
