package indices

import (
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

// upTo carries a run on a bench through so many steps, done.
func upTo(t *testing.T, op ops.Operation, b *opstest.Bench, steps int) {
	t.Helper()
	last := -1
	run(t, op, b, 0, func(step int, p ops.Progress) bool {
		if p.Phase == ops.Done {
			last = step
		}
		return last == steps-1
	})
	if last != steps-1 {
		t.Fatalf("step %d of %d; said %q", last, steps, b.Said())
	}
}

// A run cancelled after any of its phases puts everything back, until the aliases moved:
// then it says what is left, and es swap-back works.
func TestCopyCancelledAfterPhases(t *testing.T) {
	for _, flags := range []string{"writes=block", "writes=catchup", "writes=catchup no-swap=true", "writes=dual register=logical"} {
		for _, existing := range []bool{false, true} {
			for steps := 1; ; steps++ {
				over := false
				synctest.Test(t, func(t *testing.T) {
					s, book := doubled(t, 60)
					s.site.partSize = 20
					if existing {
						s.create(t, "v2", `{"settings":{"number_of_shards":2,"number_of_replicas":1,"refresh_interval":"7s"}}`)
						s.rest(t)
					}
					op := reindex{s.sites()}
					b := bench(t, op, flags, "v1", "v2")
					all := len(b.Run().Plan.Steps)
					over = steps >= all
					upTo(t, op, b, min(steps, all))
					entries := back(t, op, b, 0)
					moved := s.at1(t, "v1-alias") == "v2"
					if name := b.Run().Plan.Steps[steps-1].Name; moved != (slices.Contains([]string{"swap", "finish"}, name) && !strings.Contains(flags, "no-swap")) &&
						!(strings.Contains(flags, "dual") && name == "replicate") {
						t.Errorf("moved %v after %s", moved, name)
					}
					e := book.entries["logical"]
					switch {
					case over: // nothing was left to be undone
					case moved:
						for key, c := range entries {
							if c.State != ops.Left || !strings.Contains(c.Reason, "es swap-back v2 brings them back") {
								t.Errorf("%s: %+v", key, c)
							}
						}
						op := swapBack{s.sites()}
						if p := run(t, op, bench(t, op, "", "v2"), 0, nil); p.Phase != ops.Done {
							t.Errorf("%+v", p)
						}
					default:
						for key, c := range entries {
							if c.State != ops.Restored {
								t.Errorf("%s: %+v", key, c)
							}
						}
						if s.isBlocked(t, "v1") || s.at1(t, "v1-alias") != "v1" || e.Active != "v1" || !slices.Equal(e.Write, []string{"v1"}) {
							t.Errorf("alias at %s, register %+v", s.at1(t, "v1-alias"), e)
						}
						if !existing {
							s.onlyIndices(t, "v1")
						} else if x, err := s.site.metadata(t.Context(), "v2"); err != nil || x.Settings["index.refresh_interval"] != "7s" || x.Settings["index.number_of_replicas"] != "1" {
							t.Errorf("%v, %v", x.Settings, err)
						}
					}
				})
				if t.Failed() {
					t.Fatalf("%s, existing %v, cancelled after %d steps", flags, existing, steps)
				}
				if over {
					break
				}
			}
		}
	}
}

// While the server copies, a cancel ends its tasks, and a pause lets them go on.
func TestCopyCancelledWhileServerCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.site.partSize = 700 // each is more than the server writes at once
		s.small(t, "v1", 2, 4000)
		s.create(t, "v2", `{}`)
		s.rest(t)
		rig := s.rig(t)
		rig.Submit(runID, asked(reindex{}, "writes=block throttle=30", "v1", "v2"))
		go func() {
			time.Sleep(5 * time.Second)
			if tasks, err := s.site.tasks(t.Context(), runID+".0."); err != nil || len(tasks) == 0 {
				t.Errorf("tasks %v, %v", tasks, err)
			}
			rig.Engine.Cancel(t.Context(), runID, "UASKS")
		}()
		if run := rig.Finish(runID); run.State != ops.Cancelled {
			t.Fatalf("%s: %s", run.State, run.Reason)
		}
		s.onlyIndices(t, "v1", "v2")
		n := len(s.Docs("v2"))
		if time.Sleep(time.Minute); n == 0 || n > 3000 || len(s.Docs("v2")) != n {
			t.Errorf("%d copied, then %d", n, len(s.Docs("v2")))
		}
	})
}

// What somebody else did meanwhile is left alone, and named.
func TestCopyCancelledAmongOthers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		other func(t *testing.T, s pretend)
		key   string
		want  string
		check func(t *testing.T, s pretend)
	}{
		{"block lifted", func(t *testing.T, s pretend) { s.ask(t, "PUT", "/v1/_settings", `{"index.blocks.write":"false"}`) },
			"index v1 index.blocks.write", "somebody else changed it meanwhile", nil},
		{"block lifted as it was", func(t *testing.T, s pretend) { s.ask(t, "PUT", "/v1/_settings", `{"index.blocks.write":null}`) }, "index v1 index.blocks.write", "", nil},
		{"destination has an alias", func(t *testing.T, s pretend) { s.act(t, `{"add":{"index":"v2","alias":"theirs"}}`) },
			"index v2", "alias theirs points to it", func(t *testing.T, s pretend) { s.onlyIndices(t, "v1", "v2") }},
		{"destination made again", func(t *testing.T, s pretend) { s.remove(t, "v2"); s.create(t, "v2", `{}`) },
			"index v2", "this run did not make it", func(t *testing.T, s pretend) { s.onlyIndices(t, "v1", "v2") }},
		{"destination deleted", func(t *testing.T, s pretend) { s.remove(t, "v2") }, "index v2", "", nil},
		{"source deleted", func(t *testing.T, s pretend) { s.remove(t, "v1") }, "index v1 index.blocks.write", "the index is gone", nil},
		{"source made again", func(t *testing.T, s pretend) {
			s.remove(t, "v1")
			s.create(t, "v1", `{"settings":{"index.blocks.write":true}}`)
		},
			"index v1 index.blocks.write", "the index was made again by somebody else, and this one has a block", func(t *testing.T, s pretend) {
				if !s.isBlocked(t, "v1") {
					t.Error("another's block was lifted")
				}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := copying(t)
				s.small(t, "v1", 2, 60)
				op := reindex{s.sites()}
				b := bench(t, op, "writes=block", "v1", "v2")
				upTo(t, op, b, 4)
				tt.other(t, s)
				entries := back(t, op, b, 0)
				if e := entries[tt.key]; e.Reason != tt.want || (e.State == ops.Left) != (tt.want != "") {
					t.Errorf("%+v", e)
				}
				for key, e := range entries {
					if key != tt.key && e.State != ops.Restored {
						t.Errorf("%+v", e)
					}
				}
				if tt.check != nil {
					tt.check(t, s)
				}
			})
		})
	}
}

// Aliases that somebody else moved are not taken away from where they are; the run asks.
func TestCopyAliasesMovedByOthers(t *testing.T) {
	for _, actions := range []string{
		`{"remove":{"index":"v1","alias":"v1-alias"}},{"add":{"index":"v3","alias":"v1-alias"}}`,
		`{"remove":{"index":"v1","alias":"v1-alias"}}`,
		`{"add":{"index":"v2","alias":"v1-alias"}}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.small(t, "v1", 1, 30)
			s.create(t, "v3", `{}`)
			once := false
			s.faults(func(r *http.Request) elasticsim.Fault {
				if !once && is("GET", "/v1,v2/_alias")(r) {
					once = true
					s.act(t, actions)
				}
				return elasticsim.Fault{}
			})
			rig, run := s.reindexed(t, "v1", "v2", "")
			if run.State != ops.Paused || !strings.Contains(run.Reason, "lias v1-alias") {
				t.Fatalf("%s: %s", run.State, run.Reason)
			}
			was := s.at1(t, "v1-alias")
			rig.Engine.Cancel(t.Context(), runID, "UASKS")
			run = rig.Finish(runID)
			if s.at1(t, "v1-alias") != was || s.isBlocked(t, "v1") {
				t.Errorf("%s: alias at %s, was at %s", run.State, s.at1(t, "v1-alias"), was)
			}
			saying(t, rig, runID, "index v1: index.blocks.write restored")
		})
	}
}

// The source is deleted, or made again, while it is copied: nothing moves.
func TestCopySourceRecreated(t *testing.T) {
	for _, when := range []func(*http.Request) bool{is("PUT", "/v2"), is("POST", "/v2/_bulk"), is("POST", "/v1/_search"), is("PUT", "/v1/_block/write"), is("GET", "/_cluster/state/routing_table/v2")} {
		for _, again := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				s := copying(t)
				s.small(t, "v1", 2, 60)
				s.on(1, when, func() {
					s.remove(t, "v1")
					if again {
						s.small(t, "v1", 2, 5)
					}
				})
				rig, run := s.reindexed(t, "v1", "v2", "")
				if run.State == ops.Paused { // it was asked what is the matter
					rig.Engine.Cancel(t.Context(), runID, "UASKS")
					run = rig.Finish(runID)
				}
				if run.State == ops.Succeeded || again && (s.at1(t, "v1-alias") != "v1" || len(s.Docs("v1")) != 5 || s.isBlocked(t, "v1") && !strings.Contains(told(rig, runID), "this one has a block")) {
					t.Errorf("%s: %s; alias at %s, %d documents, indices %v", run.State, run.Reason, s.at1(t, "v1-alias"), len(s.Docs("v1")), s.names(t))
				}
				for _, e := range run.Journal {
					if e.State == ops.Intended || e.State == ops.Written {
						t.Errorf("%+v", e)
					}
				}
			})
		}
	}
}
