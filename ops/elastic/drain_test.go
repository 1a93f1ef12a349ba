package elastic

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

const mb = 1 << 20

func TestDrainEndsEmptyAndKeepsOtherFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.exclude(t, "zone", "spot")
		s.AddIndex("logs", 8, 0, 40*mb)
		b := begin(t, s.drain(), call("es drain", "", "n2"))
		began, progressed := time.Now(), 0
		p := drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
			if got := s.Filter(exclude)["zone"]; !slices.Contains(got, "spot") {
				t.Errorf("after %s the zone filter is not in effect: %v", time.Since(began), s.Filter(exclude))
			}
			if p.Status.ETAHigh > 0 {
				progressed++
			}
			return false
		})
		if p.Phase != ops.Done || s.Shards("n2") != 0 || s.Shards("n3") != 0 {
			t.Fatalf("%+v; n2 has %d shards, n3 %d", p, s.Shards("n2"), s.Shards("n3"))
		}
		if p.Status.Headline != "n2 holds no shard" || !said(b, "n2 holds no shard. Seen twice in a row in two sources") {
			t.Errorf("headline %q, said %q", p.Status.Headline, b.Said())
		}
		if progressed == 0 {
			t.Error("no poll had an estimate of the time left")
		}
		want := texts{pers("_name"): "n2,n2", pers("zone"): "spot"}
		if got := s.texts(t); !maps.Equal(got, want) {
			t.Errorf("filters %v, want %v", got, want)
		}
		if e, _ := b.Entry(ownKey(pers("_name"))); e.State != ops.Kept || e.Before != nil || *e.After != "n2,n2" {
			t.Errorf("journal %+v", e)
		}
		for _, w := range s.Writes() {
			if !strings.HasPrefix(w.OpaqueID, "01TESTRUN-0-") {
				t.Errorf("write %s with token %q", w.Body, w.OpaqueID)
			}
		}
		u := begin(t, undrain{s.clusters()}, call("es undrain", "", "n2"))
		if p := drive(t, undrain{s.clusters()}, u, nil); p.Phase != ops.Done {
			t.Fatalf("undrain: %+v", p)
		}
		if got := s.texts(t); !maps.Equal(got, texts{pers("zone"): "spot"}) {
			t.Errorf("after undrain %v", got)
		}
		if f := s.Filter(exclude); !slices.Equal(f["zone"], []string{"spot"}) || f["_name"] != nil {
			t.Errorf("in effect after undrain: %v", f)
		}
		if e, _ := u.Entry(ownKey(pers("_name"))); e.State != ops.Kept || e.After != nil {
			t.Errorf("undrain's journal %+v", e)
		}
	})
}

func TestReleaseAdmitsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.AddIndex("logs", 4, 1, 10*mb)
		b := begin(t, s.drain(), call("es drain", "release", "n3"))
		if k := b.Run().Plan.Keeps; len(k) > 0 {
			t.Errorf("keeps %q", k)
		}
		empty := false
		p := drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
			empty = empty || step == 1 && p.Phase == ops.Done && s.Shards("n3") == 0
			return false
		})
		if p.Phase != ops.Done || !empty || len(s.texts(t)) > 0 || len(s.Filter(exclude)) > 0 {
			t.Errorf("%+v; empty %v, filters %v", p, empty, s.texts(t))
		}
		for _, c := range b.Journal() {
			if c.State != ops.Restored {
				t.Errorf("%s is %s", c.Key, c.State)
			}
		}
	})
}

func TestDecommissionTakesTheVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.AddIndex("logs", 2, 1, mb)
		b := begin(t, s.drain(), call("es drain", "decommission", "n3"))
		if p := drive(t, s.drain(), b, nil); p.Phase != ops.Done {
			t.Fatalf("%+v", p)
		}
		v, _, err := s.c.coordination(t.Context())
		if err != nil || !v.out(s.NodeID("n3")) {
			t.Errorf("%+v %v", v, err)
		}
		if e, _ := b.Entry("voting " + s.NodeID("n3")); e.State != ops.Kept {
			t.Errorf("journal %+v", e)
		}
		undo(t, s.drain(), b)
		if v, _, err = s.c.coordination(t.Context()); err != nil || len(v.Excluded) > 0 {
			t.Errorf("after undo %+v %v", v, err)
		}
	})
}

// A crash at any record write, then either going on or cancelling, ends with the settings
// text for text as they should be.
func TestCrashAnywhereEndsTheSame(t *testing.T) {
	writes := opstest.EveryCrash(func(at int, lost, cancel bool) (crashed bool) {
		synctest.Test(t, func(t *testing.T) {
			s := three(t)
			s.AddIndex("logs", 4, 0, mb)
			s.put(t, `{"persistent":{"cluster.routing.allocation.exclude._name":" n9, n8"},"transient":{"cluster.routing.allocation.exclude.zone":"spot"}}`)
			before := s.texts(t)
			b := begin(t, s.drain(), call("es drain", "", "n2"))
			b.Crash(at, lost)
			drive(t, s.drain(), b, func(int, ops.Progress) bool { return b.Crashed() })
			crashed = b.Crashed()
			b.Restart()
			if cancel {
				undo(t, s.drain(), b)
				if got := s.texts(t); !maps.Equal(got, before) {
					t.Errorf("crash at %d, cancelled: %v, want %v", at, got, before)
				}
				return
			}
			if p := drive(t, s.drain(), b, nil); p.Phase != ops.Done {
				t.Fatalf("crash at %d: %+v", at, p)
			}
			got := s.texts(t)
			if got[slot{transient, "zone"}] != "spot" || !sameSet(Tokens(got[pers("_name")]), []string{"n8", "n9", "n2"}) {
				t.Errorf("crash at %d: %v", at, got)
			}
			for _, c := range b.Journal() {
				if c.State != ops.Kept && c.State != ops.Restored {
					t.Errorf("crash at %d: %s is %s", at, c.Key, c.State)
				}
			}
		})
		return crashed
	})
	t.Logf("%d record writes, each crashed before and after", writes)
}

// What is about to be written stands in the journal first; a fenced worker writes nothing.
func TestJournalComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.exclude(t, "zone", "spot")
		s.AddIndex("logs", 2, 0, mb)
		b := begin(t, s.drain(), call("es drain", "", "n2"))
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if r.Method == http.MethodPut {
				if e, ok := b.Entry(ownKey(pers("_name"))); !ok || e.State != ops.Intended {
					t.Errorf("%s before its intent was journaled: %+v", r.URL.Path, e)
				}
			}
			return elasticsim.Fault{}
		})
		b.TakeOver()
		step, _ := s.drain().Step(b.Run().Plan.Steps[0])
		if err := b.Start(t.Context(), 0, step); !errors.Is(err, ops.ErrFenced) || len(s.Writes()) > 0 {
			t.Errorf("fenced: %v, writes %v", err, s.Writes())
		}
		b.Restart()
		if err := b.Start(t.Context(), 0, step); err != nil || len(s.Writes()) != 2 {
			t.Errorf("%v, writes %v", err, s.Writes())
		}
	})
}

func TestLostReplyIsSettledByReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.exclude(t, "zone", "spot")
		s.AddIndex("logs", 2, 0, mb)
		b := begin(t, s.drain(), call("es drain", "", "n2"))
		lost := 0
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if r.Method == http.MethodPut && lost < 2 {
				lost++
				return elasticsim.Fault{LoseReply: true}
			}
			return elasticsim.Fault{}
		})
		if p := drive(t, s.drain(), b, nil); p.Phase != ops.Done || lost != 2 {
			t.Fatalf("%+v, %d replies lost", p, lost)
		}
		if got := s.texts(t); !maps.Equal(got, texts{pers("_name"): "n2,n2", pers("zone"): "spot"}) {
			t.Errorf("filters %v", got)
		}
		if n := len(s.Writes()); n > 3 {
			t.Errorf("%d writes: one was repeated without reading", n)
		}
	})
}

func TestOthersWritesDuringADrain(t *testing.T) {
	tests := []struct {
		name    string
		write   func(t *testing.T, s sim)
		blocked string // part of the reason; empty: the drain goes on by itself
		said    string
	}{
		{"another key switches ours off", func(t *testing.T, s sim) { s.exclude(t, "rack", "r9") }, "", "switched off exclude._name and exclude.zone"},
		{"our key overwritten", func(t *testing.T, s sim) { s.exclude(t, "_name", "n7") }, "", "took n2 out of the exclusion; n2 is merged in again"},
		{"our key taken away", func(t *testing.T, s sim) {
			s.put(t, `{"persistent":{"cluster.routing.allocation.exclude._name":null}}`)
		}, "Somebody took n2 out", ""},
		{"hidden by a transient value", func(t *testing.T, s sim) {
			s.put(t, `{"transient":{"cluster.routing.allocation.exclude._name":"n7"}}`)
		}, "A transient setting hides ours: exclude._name=n7 (transient)", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := three(t)
				s.exclude(t, "zone", "spot")
				s.AddIndex("logs", 8, 0, 100*mb)
				b := begin(t, s.drain(), call("es drain", "", "n2"))
				done := false
				p := drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
					if step == 1 && !done {
						tt.write(t, s)
						done = true
					}
					return false
				})
				if tt.blocked != "" {
					if p.Phase != ops.Blocked || !strings.Contains(p.Reason, tt.blocked) {
						t.Fatalf("%+v", p)
					}
					s.put(t, `{"transient":{"*":null}}`)
					p = drive(t, s.drain(), b, nil) // resumed
				}
				if p.Phase != ops.Done || s.Shards("n2") > 0 || s.Shards("n3") > 0 {
					t.Fatalf("%+v; n2 has %d shards, n3 %d; said %q", p, s.Shards("n2"), s.Shards("n3"), b.Said())
				}
				if tt.said != "" && !said(b, tt.said) {
					t.Errorf("said %q", b.Said())
				}
				if f := s.Filter(exclude); !slices.Contains(f["_name"], "n2") || !slices.Contains(f["zone"], "spot") {
					t.Errorf("in effect at the end: %v", f)
				}
			})
		})
	}
}

func TestRepeatedBreakageAsksAPerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.exclude(t, "zone", "spot")
		s.AddIndex("logs", 8, 0, 100*mb)
		b := begin(t, s.drain(), call("es drain", "", "n2"))
		racks := 0
		p := drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
			if step == 1 && p.Phase == ops.Waiting {
				racks++
				s.exclude(t, "rack", strings.Repeat("r", racks))
			}
			return false
		})
		if p.Phase != ops.Blocked || !strings.Contains(p.Reason, "written again 3 times") {
			t.Fatalf("%+v", p)
		}
		if p := drive(t, s.drain(), b, nil); p.Phase != ops.Done {
			t.Errorf("resumed: %+v", p)
		}
	})
}

func TestStuckShardIsExplainedOnceAndFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.AddIndex("triple", 1, 2, mb)
		b := begin(t, s.drain(), call("es drain", "", "n3"))
		if w := b.Run().Plan.Warnings; len(w) == 0 || !strings.Contains(w[0], "number_of_replicas of triple to 1 or less") {
			t.Errorf("warnings %q", w)
		}
		var lines []string
		freed := false
		p := drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
			if step == 1 && len(b.Run().Journal) > 0 && time.Since(b.Run().StartedAt) > 10*time.Minute && !freed {
				lines, freed = p.Status.Lines, true
				if err := s.PutIndexSettings("triple", `{"index.number_of_replicas":1}`); err != nil {
					t.Fatal(err)
				}
			}
			return false
		})
		if p.Phase != ops.Done || !freed {
			t.Fatalf("%+v", p)
		}
		count := 0
		for _, text := range b.Said() {
			if strings.Contains(text, "n1, n2: already holds a copy of this shard") {
				count++
			}
		}
		if count != 1 {
			t.Errorf("said %d times: %q", count, b.Said())
		}
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "No movement for") }) {
			t.Errorf("status lines %q", lines)
		}
	})
}

func TestNodeGoneIsUnknownNotEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.AddIndex("logs", 6, 1, 200*mb)
		b := begin(t, s.drain(), call("es drain", "", "n3"))
		killed := false
		drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
			if step == 1 && !killed {
				s.Kill("n3")
				killed = true
				return false
			}
			if killed && p.Phase == ops.Done {
				t.Fatalf("done with n3 away: %+v", p)
			}
			return killed && said(b, "whether it holds shards is unknown")
		})
		for range 20 { // ten minutes later it is unknown still
			time.Sleep(30 * time.Second) // the bubble's clock
			if p := drive(t, s.drain(), b, func(int, ops.Progress) bool { return true }); p.Phase != ops.Waiting {
				t.Fatalf("%+v", p)
			}
		}
		s.Start("n3")
		if p := drive(t, s.drain(), b, nil); p.Phase != ops.Done || s.Shards("n3") > 0 {
			t.Errorf("%+v, n3 has %d shards", p, s.Shards("n3"))
		}
		if !said(b, "n3 restarted") {
			t.Errorf("said %q", b.Said())
		}
	})
}

func TestMasterChangeIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, elasticsim.Node{Name: "n1", Zone: "a"}, elasticsim.Node{Name: "n2", Zone: "b"},
			elasticsim.Node{Name: "n3", Zone: "spot"}, elasticsim.Node{Name: "n4", Zone: "a"})
		s.exclude(t, "zone", "spot")
		s.AddIndex("logs", 8, 1, 100*mb)
		b := begin(t, s.drain(), call("es drain", "", "n2"))
		state := 0
		p := drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
			switch {
			case step == 1 && state == 0:
				s.Kill(s.Master())
				state = 1
			case state == 1 && said(b, "n1 left the cluster"):
				s.Start("n1")
				state = 2
			}
			return false
		})
		if p.Phase != ops.Done || s.Shards("n2") > 0 || s.Shards("n3") > 0 || s.Master() == "n1" {
			t.Errorf("%+v; n2 has %d, n3 %d; master %s; said %q", p, s.Shards("n2"), s.Shards("n3"), s.Master(), b.Said())
		}
		if !said(b, "Holding still: ") || !said(b, "Going on.") {
			t.Errorf("said %q", b.Said())
		}
	})
}

func TestGuardAsksAPersonAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.AddIndex("logs", 3, 1, 10*mb)
		b := begin(t, s.drain(), call("es drain", "", "n3"))
		p := drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
			if step == 0 && p.Phase == ops.Done {
				s.Kill("n2")
			}
			return false
		})
		if p.Phase != ops.Blocked || !strings.Contains(p.Reason, "n2 left the cluster. Resume to go on all the same") {
			t.Fatalf("%+v; said %q", p, b.Said())
		}
		before := len(s.Writes())
		drive(t, s.drain(), b, func(_ int, p ops.Progress) bool { return p.Phase == ops.Waiting })
		if n := len(s.Writes()); n != before {
			t.Errorf("%d writes while nothing was broken", n-before)
		}
	})
}

func TestOtherClusterStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, other := three(t), three(t)
		s.AddIndex("logs", 2, 0, mb)
		b := begin(t, s.drain(), call("es drain", "", "n2"))
		b.Change(func(r *ops.Run) { r.Plan.Steps[0].Params["cluster"] = "another" })
		if p := drive(t, s.drain(), b, nil); p.Phase != ops.Blocked || !strings.Contains(p.Reason, "another cluster") || len(s.Writes())+len(other.Writes()) > 0 {
			t.Errorf("%+v", p)
		}
	})
}

// Done is said only after two polls in a row in which both sources say zero.
func TestDoneNeedsBothSourcesTwice(t *testing.T) {
	const none, noneHeld = `[{"node":"n2","shards":"0"}]`, `{"nodes":{"%s":{"indices":{"shard_stats":{"total_count":0},"store":{"size_in_bytes":0}}}}}`
	tests := []struct {
		name  string
		wrong func(r *http.Request, poll int, id string) string // body of a wrong answer, or ""
	}{
		{"the table says zero, the node not", func(r *http.Request, _ int, _ string) string {
			if strings.HasPrefix(r.URL.Path, "/_cat/allocation/") {
				return none
			}
			return ""
		}},
		{"the node says zero, the table not", func(r *http.Request, _ int, id string) string {
			if strings.HasSuffix(r.URL.Path, "/shard_stats,store") {
				return strings.ReplaceAll(noneHeld, "%s", id)
			}
			return ""
		}},
		{"both say zero, once", func(r *http.Request, poll int, id string) string {
			switch {
			case poll%2 == 0:
				return ""
			case strings.HasPrefix(r.URL.Path, "/_cat/allocation/"):
				return none
			case strings.HasSuffix(r.URL.Path, "/shard_stats,store"):
				return strings.ReplaceAll(noneHeld, "%s", id)
			}
			return ""
		}},
		{"no answer at all", func(r *http.Request, poll int, _ string) string {
			switch {
			case poll > 6:
				return ""
			case strings.HasPrefix(r.URL.Path, "/_cat/allocation/"):
				return `[{"node":"UNASSIGNED","shards":"0"}]`
			case strings.HasSuffix(r.URL.Path, "/shard_stats,store"):
				return `{}`
			}
			return ""
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := three(t)
				s.AddIndex("logs", 8, 0, 100*mb)
				b := begin(t, s.drain(), call("es drain", "", "n2"))
				poll, lies := 0, 0
				s.Intercept(func(r *http.Request) elasticsim.Fault {
					if body := tt.wrong(r, poll, s.NodeID("n2")); body != "" && s.Shards("n2") > 0 {
						lies++
						return elasticsim.Fault{Status: http.StatusOK, Body: body}
					}
					return elasticsim.Fault{}
				})
				p := drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
					poll++
					if step == 1 && p.Phase == ops.Done && s.Shards("n2") > 0 {
						t.Errorf("done with %d shards on n2", s.Shards("n2"))
					}
					return false
				})
				if p.Phase != ops.Done || lies == 0 {
					t.Errorf("%+v after %d wrong answers", p, lies)
				}
			})
		})
	}
}
