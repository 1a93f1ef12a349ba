package indices

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// edit is what a writer does at one moment: one document made, one changed, one deleted,
// one deleted and made again.
func (s pretend) edit(t *testing.T, name, tag string) {
	t.Helper()
	for _, err := range []error{
		s.PutDoc(name, "new-"+tag, `{"n":1}`), s.PutDoc(name, numbered(1), fmt.Sprintf(`{"n":2,"tag":%q}`, tag)),
		s.DeleteDoc(name, numbered(2)), s.DeleteDoc(name, numbered(3)), s.PutDoc(name, numbered(3), fmt.Sprintf(`{"n":3,"tag":%q}`, tag)),
		s.DeleteDoc(name, numbered(40)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever request of the copy a write comes before, the destination has it: the writer
// writes before the n-th request of each kind, while the source takes writes.
func TestCopyWrittenAtAnyMoment(t *testing.T) {
	moments := []struct {
		name  string
		match func(*http.Request) bool
	}{
		{"positions", is("GET", "/v1/_stats/store,docs")}, {"refresh of the source", is("POST", "/v1/_refresh")}, {"page", is("POST", "/v1/_search")},
		{"bulk", is("POST", "_bulk")}, {"server's copy", is("POST", "/_reindex")}, {"look at a task", func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/_tasks/") }},
		{"replicas", is("GET", "/_cluster/state/routing_table/v2")}, {"settings of the destination", is("PUT", "/v2/_settings")}, {"flush", is("POST", "/v2/_flush")},
		{"block", is("PUT", "/v1/_block/write")}, {"look at the source", is("GET", "/v1")}, {"refresh of the destination", is("POST", "/v2/_refresh")},
	}
	for _, small := range []bool{true, false} {
		for _, m := range moments {
			for n := 1; n <= 4; n++ {
				if n > 2 && testing.Short() {
					continue
				}
				came := false
				synctest.Test(t, func(t *testing.T) {
					s := copying(t)
					s.small(t, "v1", 2, 60)
					flags := "writes=catchup"
					if !small { // an index that exists is copied by the server
						s.create(t, "v2", `{"settings":{"number_of_shards":2}}`)
						s.rest(t)
					}
					blocked := false
					left := n
					s.faults(func(r *http.Request) elasticsim.Fault {
						if m.match(r) && !blocked {
							if left--; left == 0 {
								came = true
								s.edit(t, "v1", "moment")
							}
						}
						blocked = blocked || is("PUT", "/v1/_block/write")(r)
						return elasticsim.Fault{}
					})
					rig, run := s.reindexed(t, "v1", "v2", flags)
					succeeded(t, rig, run)
					s.holds(t, "v2", s.content("v1", false))
					if len(s.Docs("v1")) == 0 {
						t.Error("nothing there")
					}
				})
				if t.Failed() {
					t.Fatalf("write before request %d of %q, small %v", n, m.name, small)
				}
				if !came {
					break
				}
			}
		}
	}
}

// Documents whose versions in the source are lower than the copies': deleted and made again
// after the deletion was forgotten.
func TestCopyMadeAgainAfterForgetting(t *testing.T) {
	for _, when := range []string{"during the copy", "after everything was copied"} {
		for _, existing := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := copying(t)
				s.create(t, "v1", `{"settings":{"number_of_shards":2,"index.gc_deletes":"1s"},"aliases":{"v1-alias":{}}}`)
				s.fill(t, "v1", 0, 50)
				for range 5 {
					s.fill(t, "v1", 0, 20) // version 6
				}
				if existing {
					s.create(t, "v2", `{"settings":{"number_of_shards":2}}`)
				}
				s.rest(t)
				match := is("POST", "/v2/_bulk")
				switch {
				case when != "during the copy":
					match = is("GET", "/_cluster/state/routing_table/v2")
				case existing:
					match = is("POST", "/_reindex")
				}
				var once atomic.Bool
				s.Intercept(func(r *http.Request) elasticsim.Fault {
					if match(r) && once.CompareAndSwap(false, true) {
						for i := range 10 {
							s.DeleteDoc("v1", numbered(i))
						}
						time.Sleep(3 * time.Second)
						for i := 5; i < 15; i++ { // 0 to 4 stay deleted
							s.PutDoc("v1", numbered(i), `{"n":7,"again":true}`)
						}
					}
					return elasticsim.Fault{}
				})
				rig, run := s.reindexed(t, "v1", "v2", "")
				succeeded(t, rig, run)
				if !once.Load() {
					t.Fatal("not written")
				}
				s.holds(t, "v2", s.content("v1", false))
				if when != "during the copy" {
					saying(t, rig, runID, "Put right while comparing: 5 documents copied again, 5 deleted from v2.")
				}
			})
		}
	}
}

// A block that somebody lifts is set again, and what was written meanwhile, or deleted, is
// copied and compared, before anything moves.
func TestCopyBlockLifted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		match func(*http.Request) bool
		n     int
		// again: the block is back right after the writes
		again bool
	}{
		{"before the last pass", is("GET", "/v1"), 6, false},
		{"while comparing", is("POST", "/v2/_refresh"), 1, false},
		{"while comparing, and set again", is("POST", "/v2/_refresh"), 1, true},
		{"before the aliases move", is("GET", "/v1,v2/_alias"), 1, true},
	} {
		for _, writes := range []string{"block", "catchup"} {
			t.Run(tt.name+" "+writes, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := copying(t)
					s.small(t, "v1", 2, 60)
					blocked, lifted, n := false, false, tt.n
					s.faults(func(r *http.Request) elasticsim.Fault {
						if blocked && !lifted && tt.match(r) {
							if n--; n <= 0 || tt.n == 6 {
								lifted = true
								if err := s.PutIndexSettings("v1", `{"index.blocks.write":null}`); err != nil {
									t.Error(err)
								}
								s.edit(t, "v1", "lifted")
								if tt.again {
									s.PutIndexSettings("v1", `{"index.blocks.write":true}`)
								}
							}
						}
						blocked = blocked || is("PUT", "/v1/_block/write")(r)
						return elasticsim.Fault{}
					})
					rig, run := s.reindexed(t, "v1", "v2", "writes="+writes)
					succeeded(t, rig, run)
					if !lifted {
						t.Fatal("not lifted")
					}
					s.holds(t, "v2", s.content("v1", false))
					if at := s.at1(t, "v1-alias"); at != "v2" || !s.isBlocked(t, "v1") {
						t.Errorf("alias at %s", at)
					}
					for _, e := range run.Journal {
						if e.State != ops.Kept {
							t.Errorf("%+v", e)
						}
					}
				})
			})
		}
	}
}
