package elasticsim

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// task is a reindex under way, or over. One that is sliced only waits for its slices.
type task struct {
	id      int64
	node    *node
	headers object
	began   time.Time
	ended   time.Time // zero: it runs
	parent  *task
	slices  []*task
	number  int // of a slice, or of the slice in the body; -1: none

	copy  *copying // what it does
	stats copyStatus

	due      time.Time // when the next thing happens to it
	writing  bool      // a batch ends at due; else one begins
	batchAt  time.Time // when the latest batch began
	paused   time.Time // since when it waits for its rate; zero: it does not
	throttle float64   // requests per second; infinite: none
	cancel   string    // by whom it was cancelled
	stopped  bool      // it was cancelled while it wrote: only then it says so when over
	held     time.Time // since when the batch cannot be written; zero: it can
	failures []copyFailure
	failure  *failure // it ended by this alone
}

// copyStatus is what a task tells of its progress.
type copyStatus struct {
	total, created, updated, conflicts, batches, retries int64
	throttled                                            time.Duration
}

// copyFailure is a document that could not be written, or a shard that could not be
// read.
type copyFailure struct {
	index, id string
	shard     int
	node      string // of a shard; empty: it is a document
	failure   *failure
}

func (f copyFailure) render() object {
	if f.node != "" {
		return object{{"index", f.index}, {"shard", f.shard}, {"node", f.node}, {"status", f.failure.status}, {"reason", f.failure.object()}}
	}
	return object{{"index", f.index}, {"id", f.id}, {"cause", f.failure.object()}, {"status", f.failure.status}}
}

func (t *task) name() string { return t.node.id + ":" + strconv.FormatInt(t.id, 10) }

// over reports whether the task has ended.
func (t *task) over() bool { return !t.ended.IsZero() }

// leaf reports whether the task copies itself.
func (t *task) leaf() bool { return len(t.slices) == 0 }

// newTask registers a running task on a node.
func (c *Cluster) newTask(n *node, headers object, now time.Time) *task {
	c.taskIDs += 1 + int64(c.requests%3)
	t := &task{id: c.taskIDs, node: n, headers: headers, began: now, number: -1, throttle: math.Inf(1)}
	c.tasks = append(c.tasks, t)
	return t
}

// nextBatch is when the next thing happens to a task.
func (c *Cluster) nextBatch() (at time.Time, ok bool) {
	for _, t := range c.tasks {
		if t.leaf() && !t.over() && (!ok || t.due.Before(at)) {
			at, ok = t.due, true
		}
	}
	return at, ok
}

// runTasks does what is due at a time, oldest task first.
func (c *Cluster) runTasks(at time.Time) {
	for _, t := range slices.Clone(c.tasks) {
		if t.leaf() && !t.over() && !t.due.After(at) {
			t.step(c, at)
		}
	}
	for _, t := range c.tasks {
		if !t.leaf() && !t.over() && !slices.ContainsFunc(t.slices, func(s *task) bool { return !s.over() }) {
			t.finish(c, at)
		}
	}
	c.tasks = slices.DeleteFunc(c.tasks, func(t *task) bool { return t.over() })
}

// share is what a batch of n documents takes: the node's tasks share its rate.
func (c *Cluster) share(t *task, n int) time.Duration {
	running := 0
	for _, o := range c.tasks {
		if o.node == t.node && o.leaf() && !o.over() && (o.writing || o == t) {
			running++
		}
	}
	d := time.Duration(float64(n*max(1, running)) / float64(c.opt.DocsPerSecond) * float64(time.Second))
	return max(d, time.Millisecond)
}

// delay is how long a task must wait after a batch of n that began at a time.
func (t *task) delay(now time.Time, n int) time.Duration {
	if math.IsInf(t.throttle, 1) {
		return 0
	}
	return max(0, t.batchAt.Add(time.Duration(float64(n)/t.throttle*float64(time.Second))).Sub(now))
}

func (t *task) finish(c *Cluster, at time.Time) {
	t.ended, t.writing = at, false
	if t.copy.refresh {
		if ix, _, _ := c.writeIndex(t.copy.dest); ix != nil {
			ix.refresh()
		}
	}
	t.copy.left, t.copy.parts = nil, nil
	c.bump()
}

// merged is the status of a task and of its slices.
func (t *task) merged() copyStatus {
	out := t.stats
	for _, s := range t.slices {
		o := s.stats
		out.total, out.created, out.updated, out.conflicts = out.total+o.total, out.created+o.created, out.updated+o.updated, out.conflicts+o.conflicts
		out.batches, out.retries, out.throttled = out.batches+o.batches, out.retries+o.retries, out.throttled+o.throttled
	}
	return out
}

// rate is requests_per_second as answers show it.
func rateShown(r float64) decimal {
	if math.IsInf(r, 1) {
		return -1
	}
	return decimal(r)
}

// status is the task's progress; human adds durations in words, as stored results
// have them.
func (t *task) status(now time.Time, human bool) object {
	s := t.merged()
	out := object{}
	if t.number >= 0 {
		out = append(out, member{"slice_id", t.number})
	}
	until := time.Duration(0)
	if t.leaf() && !t.over() && !t.writing && t.stats.batches > 0 {
		until = max(0, t.due.Sub(now))
	}
	out = append(out, object{{"total", s.total}, {"updated", s.updated}, {"created", s.created}, {"deleted", 0}, {"batches", s.batches},
		{"version_conflicts", s.conflicts}, {"noops", 0}, {"retries", object{{"bulk", s.retries}, {"search", 0}}}}...)
	if human {
		out = append(out, member{"throttled", exactTook(s.throttled)})
	}
	out = append(out, member{"throttled_millis", s.throttled.Milliseconds()}, member{"requests_per_second", rateShown(t.throttle)})
	if t.cancel != "" {
		out = append(out, member{"canceled", t.cancel})
	}
	if human {
		out = append(out, member{"throttled_until", exactTook(until)})
	}
	out = append(out, member{"throttled_until_millis", until.Milliseconds()})
	if !t.leaf() {
		l := list{}
		for _, s := range t.slices {
			l = append(l, s.status(now, human))
		}
		out = append(out, member{"slices", l})
	}
	return out
}

// exactTook is a duration as stored results write it.
func exactTook(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	if d < time.Second {
		return strconv.FormatFloat(float64(d.Microseconds()/100)/10, 'f', -1, 64) + "ms"
	}
	return formatTook(d)
}

// response is the answer to the reindex.
func (t *task) response(human bool) object {
	out := append(object{{"took", t.ended.Sub(t.began).Milliseconds()}, {"timed_out", false}}, t.status(t.ended, human)...)
	failures := list{}
	for _, f := range t.allFailures() {
		failures = append(failures, f.render())
	}
	return append(out, member{"failures", failures})
}

func (t *task) allFailures() []copyFailure {
	out := t.failures
	for _, s := range t.slices {
		out = append(out, s.failures...)
	}
	return out
}

// info is the task as the task APIs show it.
func (t *task) info(now time.Time, detailed bool) object {
	out := object{{"node", t.node.id}, {"id", t.id}, {"type", "transport"}, {"action", "indices:data/write/reindex"}}
	if detailed {
		out = append(out, member{"status", t.status(now, false)}, member{"description", t.copy.description})
	}
	end := now
	if t.over() {
		end = t.ended
	}
	out = append(out, member{"start_time_in_millis", t.began.UnixMilli()}, member{"running_time_in_nanos", end.Sub(t.began).Nanoseconds()},
		member{"cancellable", true}, member{"cancelled", t.cancel != "" && (t.stopped || !t.over())})
	if t.parent != nil {
		out = append(out, member{"parent_task_id", t.parent.name()})
	}
	return append(out, member{"headers", t.headers})
}

// stop cancels a task: it ends after the batch it is writing.
func (t *task) stop(now time.Time) {
	for _, s := range t.slices {
		if !s.over() {
			s.stop(now)
		}
	}
	t.cancel, t.throttle, t.stopped = "by user request", math.Inf(1), t.writing
	if t.leaf() && !t.writing {
		t.due = now
	}
}

// rethrottle changes a task's rate. A slower one counts from the next batch on.
func (t *task) rethrottle(rate float64, now time.Time) {
	for _, s := range t.slices {
		if !s.over() {
			s.rethrottle(rate/float64(len(t.slices)), now)
		}
	}
	if left := t.due.Sub(now); t.leaf() && !t.writing && left > 0 && rate >= t.throttle {
		t.due = now.Add(time.Duration(float64(left) * t.throttle / rate))
	}
	t.throttle = rate
}

// parseRate reads requests_per_second.
func parseRate(text string) (float64, *failure) {
	bad := illegalFailure("[requests_per_second] must be a float greater than 0. Use -1 to disable throttling.")
	r, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil || r == 0 || r < 0 && r != -1:
		return 0, bad
	case r == -1:
		return math.Inf(1), nil
	}
	return r, nil
}

// Task is a reindex task as Tasks returns it.
type Task struct {
	ID, Node, OpaqueID string
	Source, Dest       string
	Total, Written     int64   // documents
	Rate               float64 // requests per second; 0: not throttled
	Slice              bool    // it is one slice of another task
}

// Tasks returns the running tasks, oldest first.
func (c *Cluster) Tasks() []Task {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(time.Now())
	var out []Task
	for _, t := range c.tasks {
		s := t.merged()
		o := Task{ID: t.name(), Node: t.node.Name, Source: t.copy.source, Dest: t.copy.dest, Total: s.total, Written: s.created + s.updated, Slice: t.parent != nil}
		if v, ok := t.headers.get("X-Opaque-Id").(string); ok {
			o.OpaqueID = v
		}
		if !math.IsInf(t.throttle, 1) {
			o.Rate = t.throttle
		}
		out = append(out, o)
	}
	return out
}

func noTask(name string) *failure {
	return &failure{status: http.StatusNotFound, kind: "resource_not_found_exception", reason: fmt.Sprintf("task [%s] isn't running and hasn't stored its results", name)}
}
