package indices

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// One index after the other fails, for good or for a while: it is given up and undone, the
// others go on; a resume tries it again.
func TestCampaignFailures(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(r *http.Request) elasticsim.Fault
		said  string
	}{
		{"cannot be made", func(r *http.Request) elasticsim.Fault {
			return elasticsim.Fault{Status: map[bool]int{true: 400}[is("PUT", "/v2_01")(r)]}
		}, "v2_01 cannot be made"},
		{"cannot be written to", func(r *http.Request) elasticsim.Fault {
			return elasticsim.Fault{Status: map[bool]int{true: 503}[is("POST", "/v2_01/_bulk")(r)]}
		}, "v1_01: "},
		{"cannot be blocked", func(r *http.Request) elasticsim.Fault {
			return elasticsim.Fault{Refuse: is("PUT", "/v1_01/_block/write")(r)}
		}, "v1_01: "},
		{"its aliases cannot move", func(r *http.Request) elasticsim.Fault {
			if is("GET", "/v1_01,v2_01/_alias")(r) {
				return elasticsim.Fault{Status: 500}
			}
			return elasticsim.Fault{}
		}, "v1_01: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := copying(t)
				s.olds(t, 10, 20, 30, 40)
				s.faults(tt.fault)
				rig, run := s.moving(t, "")
				if tt.name == "its aliases cannot move" { // nor can it be seen whether they did
					if run.State != ops.Paused {
						s.Intercept(nil)
						t.Fatalf("%s %s", run.State, run.Reason)
					}
				} else if run.State != ops.Paused || !strings.Contains(run.Reason, "3 of 4 indices moved; 1 failed, the first: v1_01: ") {
					t.Fatalf("%s %s", run.State, run.Reason)
				}
				if !strings.Contains(run.Reason, tt.said) {
					t.Error(run.Reason)
				}
				s.Intercept(nil)
				s.hasMoved(t, 0, 2, 3)
				if tt.name != "its aliases cannot move" {
					s.hasNotMoved(t, 1)
				}
				if err := rig.Engine.Resume(t.Context(), runID, "UASKS"); err != nil {
					t.Fatal(err)
				}
				run = rig.Finish(runID)
				if run.State == ops.Paused { // it was undone first
					rig.Engine.Resume(t.Context(), runID, "UASKS")
					run = rig.Finish(runID)
				}
				succeeded(t, rig, run)
				s.hasMoved(t, 0, 1, 2, 3)
				s.onlyIndices(t, "v1_00", "v1_01", "v1_02", "v1_03", "v2_00", "v2_01", "v2_02", "v2_03")
				for _, e := range run.Journal {
					if e.State != ops.Kept {
						t.Errorf("%+v", e)
					}
				}
			})
		})
	}
}

// A failure that passes is nobody's business.
func TestCampaignTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.olds(t, 10, 20, 30)
		n := map[string]int{}
		s.faults(func(r *http.Request) elasticsim.Fault {
			if kind := r.Method + r.URL.Path; r.Method != "GET" && !strings.HasPrefix(r.URL.Path, "/_") {
				if n[kind]++; n[kind] <= 4 && n[kind]%2 == 1 {
					return elasticsim.Fault{LoseReply: n[kind] == 1, Refuse: n[kind] == 3}
				}
			}
			return elasticsim.Fault{}
		})
		rig, run := s.moving(t, "")
		succeeded(t, rig, run)
		s.hasMoved(t, 0, 1, 2)
	})
}

// Cancelled in the middle: what moved stays, what was in work is undone, the rest was not
// touched, and the table says so.
func TestCampaignCancelled(t *testing.T) {
	for at := 2; at < 12; at += 3 {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.olds(t, 10, 20, 30, 40, 50, 60)
			rig := s.rig(t)
			rig.Submit(runID, asked(campaign{}, "to=v2_* at-once=2", "v1_*"))
			n := 0
			s.faults(func(r *http.Request) elasticsim.Fault {
				if is("POST", "/_bulk")(r) || is("PUT", "/_block/write")(r) {
					if n++; n == at {
						rig.Engine.Cancel(t.Context(), runID, "UASKS")
					}
					return elasticsim.Fault{Delay: 2 * time.Second}
				}
				return elasticsim.Fault{}
			})
			run := rig.Finish(runID)
			s.Intercept(nil)
			if run.State != ops.Cancelled {
				t.Fatalf("%s %s", run.State, run.Reason)
			}
			table := lastFile(t, rig, "campaign.tsv")
			moved := 0
			for i := range 6 {
				row := table[fmt.Sprintf("v1_%02d", i)]
				if s.at1(t, fmt.Sprintf("v1_%02d-alias", i)) == fmt.Sprintf("v2_%02d", i) {
					moved++
					s.hasMoved(t, i)
					if !strings.Contains(row, "\tmoved") {
						t.Errorf("%s", row)
					}
					continue
				}
				s.hasNotMoved(t, i)
				if !strings.Contains(row, "failed, undone") && !strings.Contains(row, "not begun") {
					t.Errorf("%s", row)
				}
			}
			for _, e := range run.Journal {
				if (e.State == ops.Left) != (moved > 0) || moved > 0 && !strings.Contains(e.Reason, "es swap-back") {
					t.Errorf("%d moved: %+v", moved, e)
				}
			}
			if moved == 6 {
				t.Error("not cancelled")
			}
		})
	}
}

// lastFile are the rows of a file that was told, by their first cells.
func lastFile(t *testing.T, rig *opstest.Rig, name string) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, e := range rig.Said(runID) {
		if e.File != nil && e.File.Name == name {
			for line := range strings.Lines(e.File.Content) {
				first, _, _ := strings.Cut(line, "\t")
				rows[first] = line
			}
		}
	}
	if len(rows) == 0 {
		t.Errorf("no file %s", name)
	}
	return rows
}

// Paused, nothing is written; resumed, it goes on where it stood.
func TestCampaignPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.olds(t, 100, 100, 100, 100, 100)
		rig := s.rig(t)
		rig.Submit(runID, asked(campaign{}, "to=v2_* at-once=2 throttle=20", "v1_*"))
		go func() {
			time.Sleep(12 * time.Second)
			rig.Engine.Pause(t.Context(), runID, "UASKS")
		}()
		run := rig.Finish(runID)
		if run.State != ops.Paused {
			t.Fatalf("%s %s", run.State, run.Reason)
		}
		n := len(s.Writes())
		time.Sleep(time.Hour)
		if got := len(s.Writes()); got != n {
			t.Errorf("%d requests while paused", got-n)
		}
		rig.Engine.Resume(t.Context(), runID, "UASKS")
		succeeded(t, rig, rig.Finish(runID))
		s.hasMoved(t, 0, 1, 2, 3, 4)
	})
}

// Writers write to all of the indices, by their aliases.
func TestCampaignWhileWritten(t *testing.T) {
	for _, writes := range []string{"catchup", "block"} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.olds(t, 300, 200, 100)
			var all []*writer
			for i := range 3 {
				all = append(all, s.writeTo(fmt.Sprintf("v1_%02d-alias", i), 13*time.Millisecond))
			}
			s.faults(func(*http.Request) elasticsim.Fault { return elasticsim.Fault{Delay: 5 * time.Millisecond} })
			rig, run := s.moving(t, "shards=auto writes="+writes)
			time.Sleep(time.Second)
			for i, w := range all {
				want := w.end()
				s.holds(t, fmt.Sprintf("v2_%02d", i), want)
				if w.refused == 0 {
					t.Error("no block")
				}
			}
			succeeded(t, rig, run)
		})
	}
}

// One request in four is turned away, lost or refused.
func TestCampaignOnBusyCluster(t *testing.T) {
	for _, fault := range []elasticsim.Fault{{Status: 429}, {Status: 503}, {Refuse: true}, {LoseReply: true}} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.olds(t, 10, 20, 30)
			rig := s.rig(t)
			rig.Submit(runID, asked(campaign{}, "to=v2_*", "v1_*"))
			n, begun := 0, false
			s.faults(func(r *http.Request) elasticsim.Fault {
				begun = begun || strings.HasPrefix(r.URL.Path, "/v2_")
				if n++; begun && (n*n+n/5)%4 == 0 {
					return fault
				}
				return elasticsim.Fault{}
			})
			run := rig.Finish(runID)
			for range 5 { // some may have failed for now
				if run.State == ops.Paused {
					rig.Engine.Resume(t.Context(), runID, "UASKS")
					run = rig.Finish(runID)
				}
			}
			s.Intercept(nil)
			if run.State == ops.Paused {
				rig.Engine.Resume(t.Context(), runID, "UASKS")
				run = rig.Finish(runID)
			}
			succeeded(t, rig, run)
			s.hasMoved(t, 0, 1, 2)
			s.onlyIndices(t, "v1_00", "v1_01", "v1_02", "v2_00", "v2_01", "v2_02")
		})
	}
}
