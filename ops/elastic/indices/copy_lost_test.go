package indices

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// Requests of a copy that change something.
var changing = []struct {
	name  string
	match func(*http.Request) bool
}{
	{"PUT index", is("PUT", "/v2")}, {"block", is("PUT", "/v1/_block/write")}, {"_reindex", is("POST", "/_reindex")},
	{"_bulk", is("POST", "/_bulk")}, {"_doc", func(r *http.Request) bool { return r.Method == "PUT" && strings.Contains(r.URL.Path, "/_doc/") }},
	{"_settings", is("PUT", "/_settings")}, {"_flush", is("POST", "/_flush")}, {"_aliases", is("POST", "/_aliases")},
	{"_mapping", is("PUT", "/_mapping")}, {"_rethrottle", is("POST", "/_rethrottle")}, {"PUT quarantine", is("PUT", "/v2-refused")},
}

// fallible is a world in which every kind of request happens: the writer writes meanwhile,
// one id is sent by itself, one document does not fit.
func fallible(t *testing.T, existing bool) (s pretend, flags string) {
	s = copying(t)
	s.site.partSize = 30
	s.small(t, "v1", 2, 60)
	s.PutDoc("v1", "\x01", `{"n":1}`)
	s.PutDoc("v1", "unfit", `{"n":1,"at":"not a date"}`)
	flags = "quarantine=true"
	s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["v2"],"template":{"settings":{"number_of_shards":2},"mappings":{"properties":{"at":{"type":"date"}}}}}`)
	if existing {
		s.create(t, "v2", `{}`)
		flags += " throttle=20"
	}
	s.rest(t)
	return s, flags
}

// arrived checks that the copy is complete, once, and nothing else is left.
func (s pretend) arrived(t *testing.T, journal []ops.Change) {
	t.Helper()
	s.Intercept(nil)
	want := s.content("v1", false)
	delete(want, "unfit")
	s.holds(t, "v2", want)
	s.onlyIndices(t, "v1", "v2", "v2-refused")
	if aside := s.Docs("v2-refused"); len(aside) != 1 || aside[0].ID != "unfit" {
		t.Errorf("put aside: %+v", aside)
	}
	if at := s.at1(t, "v1-alias"); at != "v2" || !s.isBlocked(t, "v1") {
		t.Errorf("alias at %s", at)
	}
	for _, e := range journal {
		if e.State != ops.Kept && (e.State != ops.Restored || !strings.HasPrefix(e.Key, "index v2 index.")) {
			t.Errorf("%+v", e)
		}
	}
}

// The reply to a request may be lost, of each kind in turn, the first or the second; or the
// request may not arrive at all. It is the same in the end, and each thing is done once.
func TestCopyLostReplies(t *testing.T) {
	seen := map[string]bool{}
	for _, existing := range []bool{false, true} {
		for _, kind := range changing {
			for n := 1; n <= 2; n++ {
				for _, lost := range []bool{true, false} {
					synctest.Test(t, func(t *testing.T) {
						s, flags := fallible(t, existing)
						left, written, deleted := n, false, false
						s.faults(func(r *http.Request) elasticsim.Fault {
							if !written && is("GET", "/_cluster/state/routing_table/v2")(r) {
								written = true
								s.edit(t, "v1", "late")
							}
							if written && !deleted && is("PUT", "/v1/_block/write")(r) {
								deleted = true
								s.DeleteDoc("v1", numbered(8))
							}
							if left > 0 && kind.match(r) {
								if left--; left == 0 {
									seen[kind.name] = true
									return elasticsim.Fault{LoseReply: lost, Refuse: !lost}
								}
							}
							return elasticsim.Fault{}
						})
						rig, run := s.reindexed(t, "v1", "v2", flags)
						succeeded(t, rig, run)
						s.arrived(t, run.Journal)
						made := 0
						for _, w := range s.Writes() {
							if w.Method == "PUT" && strings.HasPrefix(w.Path, "/v2?") && w.Status == 200 && w.OpaqueID != "other" {
								made++
							}
						}
						if made > 1 {
							t.Errorf("the destination was made %d times", made)
						}
					})
					if t.Failed() {
						t.Fatalf("existing %v, %s %d, lost reply %v", existing, kind.name, n, lost)
					}
				}
			}
		}
	}
	for _, kind := range changing {
		if !seen[kind.name] {
			t.Errorf("there was no %s", kind.name)
		}
	}
}

// The same where a run is cancelled: the deletion of the destination, the lifting of the
// block, the cancelling of tasks.
func TestCopyLostRepliesOfUndo(t *testing.T) {
	for _, kind := range []struct {
		name     string
		match    func(*http.Request) bool
		existing bool
	}{
		{"DELETE", is("DELETE", "/v2"), false}, {"unblock", is("PUT", "/v1/_settings"), false}, {"cancel", is("POST", "/_cancel"), true}, {"settings", is("PUT", "/v2/_settings"), true},
	} {
		for _, lost := range []bool{true, false} {
			t.Run(fmt.Sprint(kind.name, lost), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, flags := fallible(t, kind.existing)
					rig := s.rig(t)
					rig.Submit(runID, asked(reindex{}, flags+" writes=block", "v1", "v2"))
					undoing, came := false, false
					s.faults(func(r *http.Request) elasticsim.Fault {
						if (is("POST", "/v2/_bulk")(r) || is("POST", "/_reindex")(r)) && !undoing {
							undoing = true
							if err := rig.Engine.Cancel(t.Context(), runID, "UASKS"); err != nil {
								t.Error(err)
							}
						}
						if undoing && !came && kind.match(r) {
							came = true
							return elasticsim.Fault{LoseReply: lost, Refuse: !lost}
						}
						return elasticsim.Fault{}
					})
					run := rig.Finish(runID)
					s.Intercept(nil)
					if run.State != ops.Cancelled || !came {
						t.Fatalf("%s: %s; %s; the request came: %v", run.State, run.Reason, run.LastError, came)
					}
					want := []string{"v1"}
					if kind.existing {
						want = append(want, "v2")
					}
					s.onlyIndices(t, want...)
					if s.isBlocked(t, "v1") || s.at1(t, "v1-alias") != "v1" {
						t.Error("the source is not as it was")
					}
					for _, e := range run.Journal {
						if e.State != ops.Restored {
							t.Errorf("%+v", e)
						}
					}
				})
			})
		}
	}
}

// One request in four is turned away, or is answered by a node that cannot.
func TestCopyOnBusyCluster(t *testing.T) {
	for _, existing := range []bool{false, true} {
		for _, fault := range []elasticsim.Fault{{Status: 429}, {Status: 503}, {Refuse: true}, {LoseReply: true}} {
			synctest.Test(t, func(t *testing.T) {
				s, flags := fallible(t, existing)
				rig := s.rig(t)
				rig.Submit(runID, asked(reindex{}, flags, "v1", "v2"))
				chance, begun := rand.New(rand.NewPCG(4, 2)), false
				s.faults(func(r *http.Request) elasticsim.Fault {
					begun = begun || is("PUT", "/v2")(r) || is("PUT", "/v2/_settings")(r)
					if begun && chance.IntN(4) == 0 {
						return fault
					}
					return elasticsim.Fault{}
				})
				run := rig.Finish(runID)
				succeeded(t, rig, run)
				s.arrived(t, run.Journal)
			})
			if t.Failed() {
				t.Fatalf("existing %v, %+v", existing, fault)
			}
		}
	}
}

// Documents that a full queue turns away are written again, through Twokey and by the
// server, and the pace gives way.
func TestCopyTurnedAway(t *testing.T) {
	for _, n := range []int{2000, 21_000} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.site.partSize = 2000
			s.small(t, "v1", 3, n)
			pages := 0
			s.faults(func(r *http.Request) elasticsim.Fault {
				if is("POST", "/v2/_bulk")(r) || is("POST", "/_reindex")(r) {
					if pages++; pages%2 == 1 && pages < 8 {
						s.RejectWrites("n1", 100)
						s.RejectWrites("n2", 100)
					}
				}
				return elasticsim.Fault{}
			})
			rig, run := s.reindexed(t, "v1", "v2", "")
			succeeded(t, rig, run)
			s.holds(t, "v2", s.content("v1", false))
			if !slices.ContainsFunc(s.Writes(), func(w elasticsim.Write) bool {
				return strings.Contains(w.Path, "_bulk") || strings.Contains(w.Path, "_reindex")
			}) {
				t.Error("nothing written")
			}
		})
	}
}
