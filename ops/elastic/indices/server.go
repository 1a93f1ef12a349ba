package indices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"twokey/ops/elastic"
)

// taskStatus is how far a reindex task of the server is, and the answer of one that is done.
type taskStatus struct {
	Total     int64 `json:"total"`
	Created   int64 `json:"created"`
	Updated   int64 `json:"updated"`
	Deleted   int64 `json:"deleted"`
	Noops     int64 `json:"noops"`
	Conflicts int64 `json:"version_conflicts"`
	Retries   struct {
		Bulk   int64 `json:"bulk"`
		Search int64 `json:"search"`
	} `json:"retries"`
	Failures []failure `json:"failures"`
	Canceled string    `json:"canceled"`
	TimedOut bool      `json:"timed_out"`
}

// failure is a document that could not be written, or without ID a search that failed.
type failure struct {
	ID     string `json:"id"`
	Status int    `json:"status"`
	Cause  cause  `json:"cause"`
	Reason cause  `json:"reason"` // of a search
}

type cause struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
	By     *cause `json:"caused_by"`
}

func (t taskStatus) dealtWith() int64 {
	return t.Created + t.Updated + t.Deleted + t.Noops + t.Conflicts
}

// patiently says when parts that run on the server are looked at again: whether at once,
// within this call, and if not, when.
type patiently struct {
	worth bool
	wait  time.Duration
}

// pollServers starts the parts of the server that are to run and have not begun, and looks
// at those that have.
func (j *job) pollServers(ctx context.Context, s *sweep) (patiently, error) {
	wait := patiently{wait: 900 * time.Millisecond}
	wait.wait = min(max(time.Since(s.Began)/20, 30*time.Millisecond), wait.wait)
	var adopted map[string]string
	for i := 0; i < len(s.Running); {
		p := &s.Running[i]
		if !p.Server {
			i++
			continue
		}
		if p.Task == "" {
			// Perhaps it was started by a process that did not live to write it down.
			if adopted == nil {
				tasks, err := j.tasks(ctx, j.token+".")
				if err != nil {
					return wait, err
				}
				adopted = map[string]string{}
				for _, t := range tasks {
					adopted[t.Name] = t.ID
				}
			}
			if p.Task = adopted[j.name(s, *p)]; p.Task == "" {
				id, err := j.startTask(ctx, s, *p)
				if err != nil {
					return wait, err
				}
				p.Task, p.Rate = id, j.Pace.each(len(s.Running))
			}
			i++
			continue
		}
		done, err := j.pollTask(ctx, s, p)
		if err != nil {
			return wait, err
		}
		if !done {
			i++
			continue
		}
		s.Running = slices.Delete(s.Running, i, i+1)
		wait.worth = true
	}
	return wait, j.rethrottle(ctx, s)
}

// startTask starts the server's own copy of one part. Its reply may be lost, and the task
// run all the same: then its name tells.
func (j *job) startTask(ctx context.Context, s *sweep, p part) (string, error) {
	dest := map[string]any{"index": j.Dest}
	switch s.How {
	case onlyIfNew:
		dest["op_type"] = "create"
	default:
		dest["version_type"] = s.How
	}
	if j.Pipeline != "" {
		dest["pipeline"] = j.Pipeline
	}
	source := map[string]any{"index": j.Source, "size": j.batch(), "query": between(p.From, p.To)}
	if n := len(s.To); n > 1 {
		// With as many slices as shards, each slice is the shard of its number.
		// https://www.elastic.co/guide/en/elasticsearch/reference/8.19/paginate-search-results.html#slice-scroll
		source["slice"] = map[string]int{"id": p.Shard, "max": n}
	}
	var answer struct {
		Task string `json:"task"`
	}
	q := elastic.Query("wait_for_completion", "false", "requests_per_second", perSecond(j.Pace.each(len(s.Running))))
	err := j.Do(ctx, elastic.Request{
		Method: http.MethodPost, Path: "/_reindex", Query: q, Token: j.name(s, p), Limit: 8 * time.Second, Answer: &answer,
		Body: map[string]any{
			"conflicts": "proceed",
			"source":    source,
			"dest":      dest,
		},
	})
	if err == nil && answer.Task == "" {
		err = fmt.Errorf("starting a copy: %w: no task", elastic.ErrAnswer)
	}
	return answer.Task, err
}

// perSecond is a throttle as Elasticsearch takes it.
func perSecond(docs float64) string {
	if docs <= 0 {
		return "-1"
	}
	return strconv.FormatFloat(docs, 'f', 2, 64)
}

// batch is how many documents are written at once: about 5 MB of them.
func (j *job) batch() int {
	most := int64(5_000)
	if j.MaxImpact == impactLow {
		most = 1_000
	}
	if j.Window > 0 {
		most = min(most, j.Window)
	}
	if j.DocBytes <= 0 {
		return 1_000
	}
	return int(min(max((5<<20)/(j.DocBytes*2), 10), most))
}

// pollTask looks at a part's task and reports whether the part is over, done or not.
func (j *job) pollTask(ctx context.Context, s *sweep, p *part) (bool, error) {
	var answer struct {
		Completed bool            `json:"completed"`
		Response  *taskStatus     `json:"response"`
		Error     json.RawMessage `json:"error"`
		Task      struct {
			Status taskStatus `json:"status"`
		} `json:"task"`
	}
	err := j.Get(ctx, "/_tasks/"+url.PathEscape(p.Task), nil, &answer)
	switch {
	case elastic.IsStatus(err, http.StatusNotFound):
		// Its node is gone, and its result with it.
		s.again(*p, 0)
		return true, nil
	case err != nil:
		return false, err
	case !answer.Completed:
		st := answer.Task.Status
		if p.Seen = st.dealtWith(); st.Retries.Bulk+st.Retries.Search > 0 {
			s.Retries = max(s.Retries, st.Retries.Bulk+st.Retries.Search)
		}
		return false, nil
	case answer.Response == nil:
		s.again(*p, backoff(p.Tries))
		return true, nil
	}
	r := *answer.Response
	s.Retries += r.Retries.Bulk + r.Retries.Search
	unfit := slices.ContainsFunc(r.Failures, func(f failure) bool { return f.ID != "" && f.Status == http.StatusBadRequest })
	switch {
	case unfit:
		// The server gives up at the first document that does not fit, with all that come
		// after it. Written one page at a time, each is told apart from its neighbours.
		p.Server, p.Tries, p.After = false, 0, time.Time{}
		s.Queue = append([]part{*p}, s.Queue...)
	case len(r.Failures) > 0, r.TimedOut, r.Canceled != "", r.dealtWith() != r.Total:
		s.again(*p, backoff(p.Tries))
	default:
		s.end(j, *p, r.Total, r.Created+r.Updated, r.Conflicts)
	}
	return true, nil
}

// backoff is the wait before what failed so often in a row is tried again.
func backoff(tries int) time.Duration { return min(time.Second<<min(tries, 5), 30*time.Second) }

// task is a reindex task that runs on the server.
type task struct {
	ID   string
	Name string // X-Opaque-Id
}

// tasks lists the running reindex tasks whose names begin so.
func (s Site) tasks(ctx context.Context, prefix string) ([]task, error) {
	var answer struct {
		Failures []json.RawMessage `json:"node_failures"`
		Tasks    []struct {
			Node    string            `json:"node"`
			ID      int64             `json:"id"`
			Parent  string            `json:"parent_task_id"`
			Headers map[string]string `json:"headers"`
		} `json:"tasks"`
	}
	err := s.Get(ctx, "/_tasks", elastic.Query("actions", "*reindex", "group_by", "none", "timeout", "5s"), &answer)
	if err != nil {
		return nil, err
	}
	if len(answer.Failures) > 0 {
		return nil, fmt.Errorf("listing tasks: %d nodes did not answer", len(answer.Failures))
	}
	var found []task
	for _, t := range answer.Tasks {
		if name := t.Headers["X-Opaque-Id"]; t.Parent == "" && strings.HasPrefix(name, prefix) {
			found = append(found, task{fmt.Sprintf("%s:%d", t.Node, t.ID), name})
		}
	}
	return found, nil
}

// stopTasks cancels this copy's own tasks and reports whether none is left.
func (j *job) stopTasks(ctx context.Context) (bool, error) {
	tasks, err := j.tasks(ctx, j.token+".")
	if err != nil {
		return false, err
	}
	for _, t := range tasks {
		err := j.Write(ctx, http.MethodPost, "/_tasks/"+url.PathEscape(t.ID)+"/_cancel", nil, nil, j.token)
		if err != nil && !elastic.IsStatus(err, http.StatusNotFound) {
			return false, err
		}
	}
	return len(tasks) == 0, nil
}

// rethrottle gives running tasks their share of the pace, where it is another than theirs.
func (j *job) rethrottle(ctx context.Context, s *sweep) error {
	each := j.Pace.each(len(s.Running))
	if j.still {
		each = 10 // documents a second: it lives, and that is all
	}
	for i := range s.Running {
		p := &s.Running[i]
		if p.Task == "" || p.Rate == each || p.Rate > 0 && each > 0 && max(p.Rate, each)/min(p.Rate, each) < 1.2 && !j.still {
			continue
		}
		err := j.Write(ctx, http.MethodPost, "/_reindex/"+url.PathEscape(p.Task)+"/_rethrottle", elastic.Query("requests_per_second", perSecond(each)), nil, j.token)
		switch {
		case elastic.IsStatus(err, http.StatusNotFound): // over just now
		case err != nil:
			return err
		}
		p.Rate = each
	}
	return nil
}

// refusalOf is a failure for people.
func refusalOf(d document, reason string) refusal {
	return refusal{ID: d.ID, Routing: d.Routing, Field: fieldOf(reason), Reason: reason}
}

// fieldOf finds the field that a reason is about: "failed to parse field [n] of type
// [long]", "introduction of [x] within", `immense term in field="text"`. Empty: none named.
func fieldOf(reason string) string {
	for _, lead := range []string{"field [", "introduction of [", "field=\"", "object mapping for [", "mapper ["} {
		if _, rest, ok := strings.Cut(reason, lead); ok {
			if end := strings.IndexAny(rest, "]\""); end > 0 {
				return rest[:end]
			}
		}
	}
	return ""
}

// overloaded reports whether the cluster turned something away because it has too much to do.
func overloaded(err error) bool {
	return err != nil && (elastic.IsStatus(err, http.StatusTooManyRequests) || strings.Contains(err.Error(), "[429 ") ||
		errors.Is(err, errRejected))
}

var errRejected = errors.New("turned away: too many requests")
