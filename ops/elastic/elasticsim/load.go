package elasticsim

import (
	"net/http"
	"strings"
	"time"
)

// Load is how busy a node says it is.
type Load struct {
	CPU      int   // percent; negative: made up from its recoveries
	Queue    int   // of the write thread pool
	Rejected int64 // by the write thread pool, so far
	// Search is what a search of one shard adds to the statistics, default 1 ms.
	Search time.Duration
}

// SetLoad makes a node report a load; its own rejections come on top. It panics when
// there is no such node.
func (c *Cluster) SetLoad(name string, l Load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mustNode(name).reported = &l
}

// RejectWrites makes the next n document writes on a node's primaries fail with 429, as
// a full write queue does.
func (c *Cluster) RejectWrites(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mustNode(name).reject = n
}

// rejected is the 429 of a full write queue, or nil.
func (c *Cluster) rejected(op *operation) *failure {
	p := op.index.groups[op.shard][0].leader()
	if p.node.reject == 0 {
		return nil
	}
	p.node.reject--
	p.node.rejections++
	return &failure{status: http.StatusTooManyRequests, kind: "es_rejected_execution_exception",
		reason: "rejected execution of TimedRunnable{original=ActionRunnable#wrap[" + op.index.name + "][" + op.id + "]} on TaskExecutionTimeTrackingEsThreadPoolExecutor[name = " +
			p.node.Name + "/write, queue capacity = 10000]"}
}

// writePool is the write thread pool as _nodes/stats shows it.
func (n *node) writePool() object {
	l := n.busy()
	return object{{"threads", 2}, {"queue", l.Queue}, {"active", min(2, l.Queue)}, {"rejected", l.Rejected}, {"largest", 2}, {"completed", n.written}}
}

func (n *node) busy() Load {
	l := Load{CPU: -1}
	if n.reported != nil {
		l = *n.reported
	}
	l.Rejected += n.rejections
	return l
}

func catThreadPool(r *request) answer {
	t := table{columns: []column{{name: "node_name", aliases: "nn"}, {name: "name", aliases: "n"}, {name: "active", aliases: "a", right: true},
		{name: "queue", aliases: "q", right: true}, {name: "rejected", aliases: "r", right: true}}}
	for _, n := range r.cluster.nodes {
		l := n.busy()
		if wanted := r.path["names"]; n.alive && (wanted == "" || matchesPath(strings.Split(wanted, ","), "write")) {
			t.rows = append(t.rows, []any{n.Name, "write", min(2, l.Queue), l.Queue, int(l.Rejected)})
		}
	}
	return t.answer(r)
}

// indexed counts a write for the statistics.
func (ix *index) indexed(kind string) {
	if kind == "delete" {
		ix.deletes++
		return
	}
	ix.writes++
}
