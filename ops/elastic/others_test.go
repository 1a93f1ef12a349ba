package elastic

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// A drain is cancelled after any number of its writes, each of which may lose its reply,
// while somebody else may have changed a filter after any of them. What others have
// written stays to the letter, ours is gone, absent is absent again, and every journal
// entry has an end.
func TestCancelAfterPartialWrites(t *testing.T) {
	starts := []string{
		`{"persistent":{}}`,
		`{"persistent":{"cluster.routing.allocation.exclude.zone":"spot"}}`,
		`{"persistent":{"cluster.routing.allocation.exclude._name":" n9, n8"},"transient":{"cluster.routing.allocation.exclude.zone":"spot"}}`,
		`{"persistent":{"cluster.routing.allocation.exclude.zone":"hidden","cluster.routing.allocation.exclude.rack":["r1","r2"]},"transient":{"cluster.routing.allocation.exclude.zone":"spot"}}`,
		`{"persistent":{"cluster.routing.allocation.exclude._name":""}}`,
	}
	others := []struct {
		name, body string
		change     func(texts)
	}{
		{"nobody", "", func(texts) {}},
		{"new text", `{"persistent":{"cluster.routing.allocation.exclude.zone":"moon"}}`, func(t texts) { t[pers("zone")] = "moon" }},
		{"removed", `{"persistent":{"cluster.routing.allocation.exclude.zone":null}}`, func(t texts) { delete(t, pers("zone")) }},
		{"transient", `{"transient":{"cluster.routing.allocation.exclude.zone":"moon"}}`, func(t texts) { t[trans("zone")] = "moon" }},
		{"transient removed", `{"transient":{"cluster.routing.allocation.exclude.zone":null}}`, func(t texts) { delete(t, trans("zone")) }},
	}
	cases := 0
	for i, start := range starts {
		for after := 0; after <= 3; after++ {
			for _, other := range others {
				for _, lost := range []bool{false, true} {
					name := fmt.Sprintf("start %d, after %d writes, %s, reply lost %t", i, after, other.name, lost)
					synctest.Test(t, func(t *testing.T) {
						s := three(t)
						s.AddIndex("logs", 6, 0, 100*mb)
						s.put(t, start)
						want := s.texts(t)
						b := begin(t, s.drain(), call("es drain", "", "n2"))
						puts := 0
						step, _ := s.drain().Step(b.Run().Plan.Steps[0])
						if after > 0 {
							s.Intercept(func(r *http.Request) elasticsim.Fault {
								if r.Method == http.MethodPut {
									if puts++; puts > after {
										return elasticsim.Fault{Refuse: true}
									}
									return elasticsim.Fault{LoseReply: lost && puts == after}
								}
								return elasticsim.Fault{}
							})
							for range 2 {
								_, _ = b.Advance(t.Context(), 0, step) // refused from some write on
							}
						}
						s.Intercept(nil)
						if other.body != "" {
							s.put(t, other.body)
							other.change(want)
						}
						for polls := 0; ; polls++ {
							p, err := b.Undo(t.Context(), 0, step)
							if err == nil && (p.Phase == ops.Done || p.Phase == ops.NotStarted) {
								break
							}
							if polls > 20 {
								t.Fatalf("%s: undo does not end: %+v %v", name, p, err)
							}
						}
						if got := s.texts(t); !maps.Equal(got, want) {
							t.Errorf("%s: settings %v, want %v", name, got, want)
						}
						for _, e := range b.Journal() {
							if e.State != ops.Restored && (e.State != ops.Left || !strings.Contains(e.Reason, "somebody else")) {
								t.Errorf("%s: %s is %s: %s", name, e.Key, e.State, e.Reason)
							}
						}
						for _, key := range s.effectBroken(t) {
							if after == 0 {
								break // the run wrote nothing, so what others broke is theirs
							}
							t.Errorf("%s: exclude.%s is not in effect", name, key)
						}
						cases++
					})
				}
			}
		}
	}
	t.Logf("figure: %d cancels after partial writes", cases)
}

// effectBroken are the keys of the exclude family that are set but not in effect in the
// simulation.
func (s sim) effectBroken(t *testing.T) []string {
	t.Helper()
	now, acts := s.texts(t), s.Filter(exclude)
	var keys []string
	for _, l := range now.live() {
		if !sameSet(Tokens(now[l]), acts[l.Key]) {
			keys = append(keys, l.Key)
		}
	}
	return keys
}

// Somebody who writes while the drain looks at the cluster is not overwritten with what
// was read before.
func TestWriteBetweenReadAndWriteIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.exclude(t, "zone", "spot")
		s.AddIndex("logs", 4, 0, mb)
		b := begin(t, s.drain(), call("es drain", "", "n2"))
		step, _ := s.drain().Step(b.Run().Plan.Steps[0])
		written := false
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if r.URL.Path == "/_cluster/allocation/explain" && !written {
				written = true
				s.exclude(t, "zone", "moon")
			}
			return elasticsim.Fault{}
		})
		if err := b.Start(t.Context(), 0, step); err == nil || !strings.Contains(err.Error(), "at the same moment") {
			t.Errorf("error %v", err)
		}
		if got := s.texts(t); !maps.Equal(got, texts{pers("zone"): "moon"}) || len(b.Journal()) > 0 {
			t.Errorf("filters %v, journal %v", got, b.Journal())
		}
		if p := drive(t, s.drain(), b, nil); p.Phase != ops.Done || s.texts(t)[pers("zone")] != "moon" {
			t.Errorf("%+v, filters %v", p, s.texts(t))
		}
	})
}
