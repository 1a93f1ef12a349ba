package indices

import (
	"fmt"
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

const backID = "01BACK"

// swappedBack carries es swap-back NAME to its end.
func (s pretend) swappedBack(t *testing.T, name string) (*opstest.Rig, ops.Run) {
	t.Helper()
	rig := s.rig(t)
	rig.Submit(backID, asked(swapBack{}, "", name))
	return rig, rig.Finish(backID)
}

// The way back brings what was written since, deletions and documents made again too; the
// writer goes on all the time and loses nothing.
func TestSwapBack(t *testing.T) {
	for _, writes := range []string{"block", "catchup"} {
		for _, n := range []int{0, 400, 21_000} {
			if n > 1000 && writes == "block" {
				continue
			}
			t.Run(fmt.Sprint(writes, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := copying(t)
					s.small(t, "v1", 3, n)
					s.act(t, rich)
					if err := s.PutIndexSettings("v1", `{"index.gc_deletes":"1s"}`); err != nil {
						t.Fatal(err)
					}
					for range 3 {
						s.fill(t, "v1", 0, min(n, 20))
					}
					texts := s.aliasTexts(t, "v1")
					w := s.writeTo("v1-alias", 11*time.Millisecond)
					rig, run := s.reindexed(t, "v1", "v2", "shards=2 writes="+writes)
					succeeded(t, rig, run)
					time.Sleep(5 * time.Second)
					s.faults(func(*http.Request) elasticsim.Fault { return elasticsim.Fault{Delay: 5 * time.Millisecond} })
					rig, run = s.swappedBack(t, "v2")
					time.Sleep(3 * time.Second)
					want := w.end()
					succeeded(t, rig, run)
					s.holds(t, "v1", want)
					if got := s.aliasTexts(t, "v1"); !slices.Equal(got, texts) {
						t.Errorf("aliases %q, want %q", got, texts)
					}
					if s.isBlocked(t, "v1") || !s.isBlocked(t, "v2") || w.refused == 0 {
						t.Error("blocks")
					}
					for _, e := range run.Journal {
						if e.State != ops.Kept {
							t.Errorf("%+v", e)
						}
					}
					// Nobody deletes v1 as the one that was replaced, or goes back again.
					if m, err := s.site.marksOf(t.Context(), []string{"v2"}); err != nil || !m["v2"].SwappedAt.IsZero() || m["v2"].Run != runID {
						t.Errorf("%+v, %v", m, err)
					}
					_, err := swapBack{s.sites()}.Plan(t.Context(), asked(swapBack{}, "", "v2"))
					if !strings.Contains(explained(err), "v2 is not an index that es reindex") {
						t.Error(explained(err))
					}
				})
			})
		}
	}
}

// Documents that were put aside are still where they were, and stay.
func TestSwapBackKeepsPutAside(t *testing.T) {
	for _, writes := range []string{"block", "catchup", "dual register=logical"} {
		synctest.Test(t, func(t *testing.T) {
			s, unfit := unfitting(t, 400, false)
			s.site.Register = &book{entries: map[string]Entry{"logical": {Active: "v1", Write: []string{"v1"}, Version: "0"}}}
			rig, run := s.reindexed(t, "v1", "v2", "quarantine=true writes="+writes)
			succeeded(t, rig, run)
			targets := []string{"v2"}
			if strings.HasPrefix(writes, "dual") {
				targets = []string{"v1", "v2"}
			}
			for _, name := range targets {
				s.PutDoc(name, "new", `{"n":1}`)
				s.PutDoc(name, numbered(1), `{"n":2}`)
				s.DeleteDoc(name, numbered(2))
			}
			want := s.content("v2", false)
			for _, id := range unfit {
				want[id] = s.content("v1", false)[id]
			}
			time.Sleep(10 * time.Second)
			rig, run = s.swappedBack(t, "v2")
			succeeded(t, rig, run)
			s.holds(t, "v1", want)
			if s.at1(t, "v1-alias") != "v1" {
				t.Errorf("alias at %s", s.at1(t, "v1-alias"))
			}
			if !strings.Contains(fmt.Sprint(run.Plan.Shown), "37 documents in v2-refused: they are still in v1") {
				t.Errorf("%v", run.Plan.Shown)
			}
		})
	}
}

// With dual both got every write: only the register and the aliases move.
func TestSwapBackDual(t *testing.T) {
	for _, gap := range []time.Duration{0, 15 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s, b := doubled(t, 300)
			w := s.carefully(t, b, 4, gap)
			time.Sleep(10 * time.Second)
			rig, run := s.reindexed(t, "v1", "v2", "writes=dual register=logical")
			succeeded(t, rig, run)
			time.Sleep(30 * time.Second)
			s.faults(func(*http.Request) elasticsim.Fault { return elasticsim.Fault{Delay: 10 * time.Millisecond} })
			rig, run = s.swappedBack(t, "v2")
			time.Sleep(30 * time.Second)
			want := w.end()
			succeeded(t, rig, run)
			s.holds(t, "v1", want)
			s.holds(t, "v2", want)
			if e := b.entries["logical"]; e.Active != "v1" || !slices.Equal(e.Write, []string{"v1", "v2"}) || s.at1(t, "v1-alias") != "v1" {
				t.Errorf("%+v", e)
			}
		})
	}
}

// Refused where the source takes writes, is gone, or is another index by now.
func TestSwapBackRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(t *testing.T, s pretend)
		want string
	}{
		{"the source takes writes", func(t *testing.T, s pretend) { s.ask(t, "PUT", "/v1/_settings", `{"index.blocks.write":null}`) }, "v1 takes writes"},
		{"it is gone", func(t *testing.T, s pretend) { s.remove(t, "v1") }, "v1 is gone: there is nothing to go back to."},
		{"it was made again", func(t *testing.T, s pretend) { s.remove(t, "v1"); s.create(t, "v1", `{}`) }, "v1 is gone: there is nothing to go back to."},
		{"no alias is left", func(t *testing.T, s pretend) { s.act(t, `{"remove":{"index":"v2","alias":"v1-alias"}}`) }, "v2 has no alias that could go back."},
		{"a primary is missing", func(t *testing.T, s pretend) { s.AddIndex("other", 1, 0, 1); s.LoseShard("other", 0) }, "staging is red"},
		{"nothing is the matter", func(t *testing.T, s pretend) {}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := copying(t)
				s.small(t, "v1", 1, 10)
				rig, run := s.reindexed(t, "v1", "v2", "")
				succeeded(t, rig, run)
				tt.f(t, s)
				_, err := swapBack{s.sites()}.Plan(t.Context(), asked(swapBack{}, "", "v2"))
				if (err == nil) != (tt.want == "") || !strings.Contains(explained(err), tt.want) {
					t.Error(explained(err))
				}
			})
		})
	}
}

// A crash at any write of the way back: back all the same, or not at all.
func TestSwapBackCrashes(t *testing.T) {
	var s pretend
	world := func(t *testing.T) (ops.Operation, *opstest.Bench) {
		s = copying(t)
		s.small(t, "v1", 2, 60)
		rig, run := s.reindexed(t, "v1", "v2", "")
		succeeded(t, rig, run)
		s.edit(t, "v2", "since")
		op := swapBack{s.sites()}
		return op, bench(t, op, "", "v2")
	}
	n := crashed(t, 1, 2, world, func(t *testing.T, b *opstest.Bench, cancelled bool) {
		moved := s.at1(t, "v1-alias") == "v1"
		if !cancelled && !moved {
			t.Error("not moved")
		}
		s.onlyIndices(t, "v1", "v2")
		if moved {
			s.holds(t, "v1", s.content("v2", false))
		}
		if s.isBlocked(t, "v1") == moved || s.isBlocked(t, "v2") != moved {
			t.Errorf("moved %v, v1 blocked %v, v2 blocked %v", moved, s.isBlocked(t, "v1"), s.isBlocked(t, "v2"))
		}
		for _, e := range b.Journal() {
			if !cancelled && e.State != ops.Kept || cancelled && !moved && e.State != ops.Restored {
				t.Errorf("%+v", e)
			}
		}
	})
	t.Logf("%d writes", n)
}
