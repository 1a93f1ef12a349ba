package elasticsim

import (
	"net/http"
	"strings"
	"time"
)

// begin reads what there is to copy, as one scroll or one per slice.
func (t *task) begin(c *Cluster, r *request, targets []*target, most int) *failure {
	w := t.copy
	chosen := *r
	chosen.query = nil // no preference, no routing
	if most == 1 {
		return t.open(c, &chosen, targets)
	}
	for i := range most {
		s := c.newTask(t.node, t.headers, r.now)
		part := *w
		search := *w.search
		search.slice = &slice{i, most}
		part.search = &search
		if w.most >= 0 {
			part.most = w.most / int64(most)
		}
		s.parent, s.copy, s.number, s.throttle = t, &part, i, t.throttle/float64(most)
		t.slices = append(t.slices, s)
		if f := s.open(c, &chosen, targets); f != nil {
			return f
		}
	}
	return nil
}

// open takes a snapshot of what the task copies.
func (t *task) open(c *Cluster, r *request, targets []*target) *failure {
	w := t.copy
	shards, f := r.shardsFor(targets)
	if f != nil {
		return f
	}
	for i, s := range shards {
		w.parts = append(w.parts, &part{searched: s, ordinal: i, from: t.node, data: s.index.stores[s.number].snapshot()})
	}
	if f := missingShards(w.parts); f != nil {
		return f
	}
	if len(w.search.sort) == 0 {
		w.search.sort = []sortKey{{field: "_doc"}}
	}
	w.left = w.search.run(w.parts, 1<<40, r.now)
	w.nodes = map[*node]string{}
	for _, p := range w.parts {
		if p.failure != nil {
			a := allFailed(w.parts)
			if a == nil {
				return p.failure
			}
			whole := a.value.(object).get("error").(object)
			return &failure{status: a.status, kind: "search_phase_execution_exception", reason: "all shards failed", root: p.failure.object(), more: whole[3:]}
		}
		w.nodes[p.copy.node] = p.copy.node.ephemeral
		p.copy.searches.add(nil, true, p.copy.node)
		p.hits = nil
	}
	if t.stats.total = int64(len(w.left)); w.most >= 0 {
		t.stats.total = min(t.stats.total, w.most)
	}
	t.due = r.now.Add(time.Millisecond)
	return nil
}

// step begins the batch that is due, or ends it.
func (t *task) step(c *Cluster, at time.Time) {
	w := t.copy
	if !t.writing {
		if !t.paused.IsZero() {
			t.stats.throttled += at.Sub(t.paused)
			t.paused = time.Time{}
		}
		if t.cancel != "" || len(w.left) == 0 {
			t.finish(c, at)
			return
		}
		if t.lostShard() {
			t.finish(c, at)
			return
		}
		n := min(w.size, len(w.left))
		if w.most >= 0 {
			n = min(n, int(w.most-t.processed()))
		}
		t.take(n)
		if t.failure != nil {
			t.finish(c, at)
			return
		}
		t.writing, t.batchAt = true, at
		t.due = at.Add(c.share(t, n))
		return
	}
	size := len(w.batch)
	if !t.write(c, at) {
		return // held, or to be tried again
	}
	t.writing = false
	t.stats.batches++
	if len(t.failures) > 0 || w.most >= 0 && t.processed() >= w.most {
		t.finish(c, at)
		return
	}
	wait := t.delay(at, size)
	if t.cancel != "" {
		wait = 0
	}
	if wait > 0 {
		t.paused = at
	}
	t.due = at.Add(wait)
}

// processed counts the documents dealt with.
func (t *task) processed() int64 { return t.stats.created + t.stats.updated + t.stats.conflicts }

// lostShard ends the task when a node with a shard it reads is gone, and its scroll
// with it.
func (t *task) lostShard() bool {
	for _, p := range t.copy.parts {
		for n, ephemeral := range t.copy.nodes {
			if n.alive && n.ephemeral == ephemeral {
				continue
			}
			t.failures = append(t.failures, copyFailure{index: p.index.name, shard: p.number, node: n.id,
				failure: &failure{status: http.StatusNotFound, kind: "search_context_missing_exception", reason: "No search context found for id [1]"}})
			return true
		}
	}
	return false
}

// take makes the next n documents the batch. The server refuses operations that no
// version type allows all at once.
func (t *task) take(n int) {
	w := t.copy
	hits := w.left[:n]
	w.left = w.left[n:]
	w.batch = w.batch[:0]
	var faults []string
	for _, h := range hits {
		if h.at.index.mapping.noSource {
			t.failure = illegalFailure("[%s][%s] didn't store _source", h.at.index.name, h.image.id)
			return
		}
		op := &operation{kind: w.kind, name: w.dest, id: h.image.id, routing: h.image.routing, source: h.image.source, ifSeq: -1, alias: w.alias, from: t.node}
		if v, ok := w.search.source.apply(h.image.source); ok {
			if filtered, changed := v.(object); changed {
				op.source = encode(filtered, false)
			}
		}
		switch {
		case w.routing == "discard":
			op.routing = ""
		case strings.HasPrefix(w.routing, "="):
			op.routing = w.routing[1:]
		}
		if w.versions != "" && w.versions != "internal" {
			op.versions, op.version, op.hasVer = w.versions, h.image.version, true
		}
		if why := op.check(); why != "" {
			faults = append(faults, why)
		}
		w.batch = append(w.batch, op)
	}
	if len(faults) > 0 {
		t.failure = validation(faults)
	}
}

// write writes the batch; false: it must wait for a shard, a master, or a free queue.
func (t *task) write(c *Cluster, at time.Time) bool {
	w := t.copy
	failures := make([]*failure, len(w.batch))
	stuck := map[int]int{}
	for i, op := range w.batch {
		if failures[i] = c.ingest(w.pipeline, op); failures[i] != nil {
			continue
		}
		if failures[i] = c.resolveWrite(op, at); failures[i] == nil && (c.master == nil || !op.index.serving(op.shard)) {
			stuck[op.shard]++
		}
	}
	if len(stuck) > 0 {
		if t.held.IsZero() {
			t.held = at
		}
		if at.Sub(t.held) < w.timeout {
			t.due = at.Add(min(100*time.Millisecond, w.timeout-at.Sub(t.held)))
			return false
		}
	}
	t.held = time.Time{}
	var again []*operation
	for i, op := range w.batch {
		f := failures[i]
		if f == nil && (c.master == nil || !op.index.serving(op.shard)) {
			what := op.describe()
			if n := stuck[op.shard]; n > 1 {
				what = scalarText(n) + "] requests"
			}
			f = unavailable(op.index, op.shard, w.timeout, what)
		}
		if f == nil && c.rejected(op) != nil {
			again = append(again, op)
			continue
		}
		o := outcome{failure: f}
		if f == nil {
			o = c.write(op, at)
		}
		t.count(op, o)
	}
	if len(again) > 0 {
		t.stats.retries++
		w.batch = again
		t.due = at.Add(500 * time.Millisecond)
		return false
	}
	return true
}

// count adds what became of a document to the status.
func (t *task) count(op *operation, o outcome) {
	switch {
	case o.failure == nil && o.result == "created":
		t.stats.created++
		return
	case o.failure == nil:
		t.stats.updated++
		return
	case o.failure.status == http.StatusConflict:
		if t.stats.conflicts++; t.copy.proceed {
			return
		}
	}
	name := op.name
	if op.index != nil {
		name = op.index.name
	}
	t.failures = append(t.failures, copyFailure{index: name, id: op.id, failure: o.failure})
}
