package elasticsim

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// copying is the work of a reindex task: what a request asks for, and what of it is
// left.
type copying struct {
	description  string
	source, dest string
	kind         string // of the writes: index or create
	versions     string
	routing      string // keep, discard or =value
	pipeline     string
	alias        bool
	proceed      bool // version conflicts do not end it
	size         int
	most         int64 // max_docs; negative: all
	timeout      time.Duration
	refresh      bool
	search       *search

	parts []*part // the shards as they were at the start, and the nodes they are on
	nodes map[*node]string
	left  []hit
	batch []*operation // being written
}

// parseReindex reads the body.
func parseReindex(r *request) (*copying, *failure) {
	body, f := r.object()
	if f != nil {
		return nil, f
	}
	w := &copying{kind: "index", routing: "keep", size: 1000, most: -1, alias: r.flag("require_alias"), refresh: r.flag("refresh"),
		timeout: r.timeout("timeout", time.Minute), search: &search{total: 1 << 60, scroll: 5 * time.Minute, source: &sourceFilter{}}}
	unknown := func(outer, field string) *failure {
		return &failure{status: http.StatusBadRequest, kind: "x_content_parse_exception", reason: "[" + outer + "] unknown field [" + field + "]"}
	}
	var fields []string
	for _, m := range body {
		o, _ := m.value.(object)
		switch m.name {
		case "source":
			inner := object{}
			for _, p := range o {
				switch p.name {
				case "index":
					fields = names(p.value)
				case "size":
					w.size = whole(p.value, 1000)
				case "remote", "runtime_mappings":
					return nil, unsupported("[" + p.name + "] of a reindex")
				default:
					inner = append(inner, p)
				}
			}
			if f := w.search.parse(inner, []string{"query", "slice", "_source", "sort"}); f != nil {
				return nil, f
			}
		case "dest":
			for _, p := range o {
				text := scalarText(p.value)
				switch p.name {
				case "index":
					w.dest = text
				case "op_type":
					w.kind = text
				case "version_type":
					w.versions = text
				case "routing":
					w.routing = text
				case "pipeline":
					w.pipeline = text
				default:
					return nil, unknown("dest", p.name)
				}
			}
		case "conflicts":
			switch scalarText(m.value) {
			case "proceed":
				w.proceed = true
			case "abort":
			default:
				f := &failure{status: http.StatusBadRequest, kind: "x_content_parse_exception", reason: "[reindex] failed to parse field [conflicts]"}
				return nil, becauseOf(f, "illegal_argument_exception", "conflicts may only be \"proceed\" or \"abort\" but was ["+scalarText(m.value)+"]")
			}
		case "max_docs", "size":
			w.most = int64(whole(m.value, -1))
		case "script":
			return nil, unsupported("[script] of a reindex")
		default:
			return nil, unknown("reindex", m.name)
		}
	}
	w.source = strings.Join(fields, ",")
	w.search.size = w.size
	w.description = "reindex from [" + w.source + "] to [" + w.dest + "]"
	switch {
	case w.source == "":
		return nil, invalidFailure("use _all if you really want to copy from all existing indexes")
	case w.dest == "":
		return nil, invalidFailure("index must be specified")
	case w.most == 0:
		return nil, illegalFailure("[max_docs] should be >= [slices]")
	case w.kind != "index" && w.kind != "create":
		return nil, illegalFailure("opType must be 'create' or 'index', found: [%s]", w.kind)
	}
	return w, nil
}

// reindex answers POST /_reindex: at the end, or at once with the task's name.
func reindex(r *request) answer {
	c := r.cluster
	w, f := parseReindex(r)
	if f != nil {
		return r.failed(f)
	}
	rate := math.Inf(1)
	if v := r.query.Get("requests_per_second"); v != "" {
		if rate, f = parseRate(v); f != nil {
			return f.answer()
		}
	}
	targets, missing := c.targets(w.source)
	if f := w.validate(c, targets, r.now); f != nil {
		return f.answer()
	}
	most, f := w.slicing(r.query.Get("slices"), targets)
	if f != nil {
		return f.answer()
	}
	wait := r.query.Get("wait_for_completion") != "false"
	headers := object{}
	if id := r.Header.Get("X-Opaque-Id"); id != "" {
		headers = object{{"X-Opaque-Id", id}}
	}
	t := c.newTask(r.local, headers, r.now)
	t.copy, t.throttle = w, rate
	if w.search.slice != nil {
		t.number = w.search.slice.id
	}
	if missing != nil {
		t.failure = missing
	} else {
		t.failure = t.begin(c, r, targets, most)
	}
	if t.failure != nil {
		t.finish(c, r.now)
		c.tasks = slices.DeleteFunc(c.tasks, func(o *task) bool { return o == t || o.parent == t })
	}
	if !wait {
		c.results[t.name()] = t
		return answer{value: object{{"task", t.name()}}}
	}
	c.await(r, 365*24*time.Hour, func() bool { return t.over() || !t.node.alive })
	if t.failure != nil {
		return t.failure.answer()
	}
	a := answer{value: t.response(false)}
	for _, f := range t.allFailures() {
		a.status = max(a.status, f.failure.status)
	}
	a.bare = a.status == http.StatusForbidden
	return a
}

// validate refuses what the server refuses before it makes a task.
func (w *copying) validate(c *Cluster, targets []*target, now time.Time) *failure {
	ix, a, f := c.writeIndex(w.dest)
	switch {
	case f != nil:
		return f
	case w.alias && a == nil:
		return notAnAlias(w.dest)
	case ix == nil:
		return c.mayAutoCreate(w.dest)
	}
	for _, t := range targets {
		if t.index == ix {
			return invalidFailure("reindex cannot write into an index its reading from [" + w.dest + "]")
		}
	}
	return nil
}

// slicing is how many slices the task gets; 1: it is not sliced.
func (w *copying) slicing(text string, targets []*target) (int, *failure) {
	n := 1
	switch text {
	case "", "1":
	case "auto":
		for i, t := range targets {
			if shards := len(t.index.groups); i == 0 || shards < n {
				n = shards
			}
		}
	default:
		if n = whole(text, 0); n < 1 {
			return 0, illegalFailure("[slices] must be at least 1 but was [%s]", text)
		}
	}
	switch {
	case n > 1 && w.search.slice != nil:
		return 0, invalidFailure("can't specify both manual and automatic slicing at the same time")
	case w.most >= 0 && int64(n) > w.most:
		return 0, illegalFailure("[max_docs] should be >= [slices]")
	}
	return n, nil
}
