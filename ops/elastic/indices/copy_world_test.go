package indices

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// copying is a cluster of three nodes in the zones a, b and spot.
func copying(t *testing.T) pretend {
	return pretended(t, elasticsim.Node{Name: "n1", Zone: "a"}, elasticsim.Node{Name: "n2", Zone: "b"}, elasticsim.Node{Name: "n3", Zone: "spot"})
}

// small makes an index of so many shards with n documents, behind the alias NAME-alias.
func (s pretend) small(t *testing.T, name string, shards, n int) {
	t.Helper()
	s.create(t, name, fmt.Sprintf(`{"settings":{"number_of_shards":%d,"number_of_replicas":1},"mappings":{"properties":{"n":{"type":"long"}}},"aliases":{"%s-alias":{"is_write_index":true}}}`, shards, name))
	s.fill(t, name, 0, n)
	s.ask(t, "POST", "/"+name+"/_refresh", "")
	s.rest(t)
}

// everywhere gives every node a copy of each shard.
func (s pretend) everywhere(t *testing.T, name string) {
	t.Helper()
	if err := s.PutIndexSettings(name, `{"index.number_of_replicas":2}`); err != nil {
		t.Fatal(err)
	}
	s.rest(t)
}

// fill writes documents, from and to as numbers.
func (s pretend) fill(t *testing.T, name string, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := s.PutDoc(name, numbered(i), sourceOf(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func numbered(i int) string { return fmt.Sprintf("d%05d", i) }
func sourceOf(i int) string { return fmt.Sprintf(`{"n": %d, "text": "number %d"}`, i, i) }

// ask sends a request as somebody else, which must be carried out.
func (s pretend) ask(t *testing.T, method, path, body string) {
	t.Helper()
	var b any
	if body != "" {
		b = jsonBody(body)
	}
	if err := s.site.Write(t.Context(), method, path, nil, b, "other"); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// content is what an index holds: by id and routing, the source, or with versions that and
// the version.
type content map[string]string

func (s pretend) content(name string, versions bool) content {
	c := content{}
	for _, d := range s.Docs(name) {
		key, value := d.ID, d.Source
		if d.Routing != "" {
			key += " at " + d.Routing
		}
		if versions {
			value += fmt.Sprintf(" v%d", d.Version)
		}
		c[key] = value
	}
	return c
}

// holds compares an index to the letter.
func (s pretend) holds(t *testing.T, name string, want content) {
	t.Helper()
	got := s.content(name, false)
	if maps.Equal(got, want) {
		return
	}
	var missing, more, other []string
	for id, source := range want {
		if is, ok := got[id]; !ok {
			missing = append(missing, id)
		} else if is != source {
			other = append(other, fmt.Sprintf("%s is %s, want %s", id, is, source))
		}
	}
	for id := range got {
		if _, ok := want[id]; !ok {
			more = append(more, id)
		}
	}
	for _, list := range [][]string{missing, more, other} {
		slices.Sort(list)
	}
	t.Errorf("%s: missing %q; too much %q; different %q", name, brief(missing, 5), brief(more, 5), brief(other, 3))
}

// rig is the real engine for all operations on this cluster.
func (s pretend) rig(t *testing.T) *opstest.Rig {
	return opstest.NewRig(t, ops.Options{}, Operations(s.sites())...)
}

const runID = "01COPY"

// reindexed carries es reindex SRC DST to its end, or until it pauses.
func (s pretend) reindexed(t *testing.T, src, dst, flags string) (*opstest.Rig, ops.Run) {
	t.Helper()
	rig := s.rig(t)
	rig.Submit(runID, asked(reindex{}, flags, src, dst))
	return rig, rig.Finish(runID)
}

// succeeded wants a run to have ended well, and shows what it said if not.
func succeeded(t *testing.T, rig *opstest.Rig, run ops.Run) {
	t.Helper()
	if run.State == ops.Succeeded {
		return
	}
	for _, e := range rig.Said(run.ID) {
		t.Log(e.Text)
	}
	t.Fatalf("run is %s: %s %s", run.State, run.Reason, run.LastError)
}

// told are all that was said, as one text.
func told(rig *opstest.Rig, id string) string {
	var all []string
	for _, e := range rig.Said(id) {
		all = append(all, e.Text)
	}
	return strings.Join(all, "\n")
}

// saying wants parts in what was said.
func saying(t *testing.T, rig *opstest.Rig, id string, parts ...string) {
	t.Helper()
	all := told(rig, id)
	for _, p := range parts {
		if !strings.Contains(all, p) {
			t.Errorf("nobody said %q in:\n%s", p, all)
		}
	}
}

// onlyIndices wants exactly these indices, and no task of ours.
func (s pretend) onlyIndices(t *testing.T, want ...string) {
	t.Helper()
	got := s.names(t)
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("indices: %s", d)
	}
	if tasks, err := s.site.tasks(t.Context(), ""); err != nil || len(tasks) > 0 {
		t.Errorf("tasks %v, %v", tasks, err)
	}
}

// isBlocked reports whether an index takes no writes.
func (s pretend) isBlocked(t *testing.T, name string) bool {
	t.Helper()
	x, err := s.site.metadata(t.Context(), name)
	if err != nil {
		t.Fatal(explained(err))
	}
	return x.Settings[blockKey] == "true"
}

// at1 is where an alias stands, names joined.
func (s pretend) at1(t *testing.T, alias string) string {
	t.Helper()
	var answer map[string]json.RawMessage
	if err := s.site.Get(t.Context(), "/_alias/"+alias, nil, &answer); err != nil {
		return ""
	}
	return strings.Join(slices.Sorted(maps.Keys(answer)), ",")
}

// faults is Intercept for functions that keep count: requests come from several goroutines. f
// must not wait for time to pass, and what it asks as somebody else is not asked about.
func (s pretend) faults(f func(*http.Request) elasticsim.Fault) {
	var mu sync.Mutex
	s.Intercept(func(r *http.Request) elasticsim.Fault {
		if r.Header.Get("X-Opaque-Id") == "other" {
			return elasticsim.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		return f(r)
	})
}

// on calls f at the n-th request (from 1) that match is true for, before it is carried out.
func (s pretend) on(n int, match func(*http.Request) bool, f func()) {
	var seen atomic.Int64
	s.Intercept(func(r *http.Request) elasticsim.Fault {
		if match(r) && seen.Add(1) == int64(n) {
			f()
		}
		return elasticsim.Fault{}
	})
}

// is matches a method and the end of a path.
func is(method, suffix string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method && strings.HasSuffix(r.URL.Path, suffix) }
}

// within sleeps in steps until f is true.
func within(t *testing.T, d time.Duration, f func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
	}
}
