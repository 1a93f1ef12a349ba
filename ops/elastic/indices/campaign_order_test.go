package indices

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// olds makes the indices v1_00, v1_01 and so on, with so many documents each.
func (s pretend) olds(t *testing.T, docs ...int) {
	t.Helper()
	for i, n := range docs {
		s.small(t, fmt.Sprintf("v1_%02d", i), 1, n)
	}
}

// moving carries a campaign v1_* to v2_* to its end, or until it pauses.
func (s pretend) moving(t *testing.T, flags string) (*opstest.Rig, ops.Run) {
	t.Helper()
	rig := s.rig(t)
	rig.Submit(runID, asked(campaign{}, strings.TrimSpace("to=v2_* "+flags), "v1_*"))
	return rig, rig.Finish(runID)
}

// hasMoved wants an index to have moved as a whole.
func (s pretend) hasMoved(t *testing.T, numbers ...int) {
	t.Helper()
	for _, i := range numbers {
		from, to := fmt.Sprintf("v1_%02d", i), fmt.Sprintf("v2_%02d", i)
		s.holds(t, to, s.content(from, false))
		if at := s.at1(t, from+"-alias"); at != to || !s.isBlocked(t, from) {
			t.Errorf("alias of %s at %s", from, at)
		}
	}
}

// hasNotMoved wants an index to be as if nobody had touched it.
func (s pretend) hasNotMoved(t *testing.T, numbers ...int) {
	t.Helper()
	for _, i := range numbers {
		from := fmt.Sprintf("v1_%02d", i)
		if at := s.at1(t, from+"-alias"); at != from || s.isBlocked(t, from) || slices.Contains(s.names(t), fmt.Sprintf("v2_%02d", i)) {
			t.Errorf("%s: alias at %s, blocked %v", from, at, s.isBlocked(t, from))
		}
	}
}

// works watches which indices of a campaign are in work, by what is asked of the cluster.
type works struct {
	mu    sync.Mutex
	begun []string // in order
	open  map[string]bool
	most  int
}

var newName = regexp.MustCompile(`^/(v2_\d+)(/_mapping)?$`)

func (w *works) see(r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := newName.FindStringSubmatch(r.URL.Path); m != nil && r.Method == "PUT" {
		if m[2] == "" && !slices.Contains(w.begun, m[1]) {
			w.begun, w.open[m[1]] = append(w.begun, m[1]), true
		} else if m[2] != "" {
			delete(w.open, m[1]) // the note of the swap is the last thing
		}
	}
	w.most = max(w.most, len(w.open))
}

func watching() *works { return &works{open: map[string]bool{}} }

func TestCampaignOrders(t *testing.T) {
	docs := []int{50, 10, 40, 10, 30}
	for _, tt := range []struct{ order, want string }{
		{"smallest", "v2_01 v2_03 v2_04 v2_02 v2_00"},
		{"given", "v2_04 v2_00 v2_03 v2_01 v2_02"},
		{"priority", "v2_02 v2_00 v2_01 v2_03 v2_04"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.olds(t, docs...)
			dir := t.TempDir()
			file := "at_once: 1\norder: " + tt.order + "\npairs:\n"
			for _, i := range []int{4, 0, 3, 1, 2} {
				file += fmt.Sprintf("  - { from: v1_%02d, to: v2_%02d }\n", i, i)
			}
			if tt.order == "priority" {
				file += "priority: [v1_02, v1_*0]\n"
			}
			if err := os.WriteFile(filepath.Join(dir, "tidy.yaml"), []byte(file), 0o600); err != nil {
				t.Fatal(err)
			}
			s.site.Campaigns = dir
			w := watching()
			s.faults(func(r *http.Request) elasticsim.Fault { w.see(r); return elasticsim.Fault{} })
			rig := s.rig(t)
			rig.Submit(runID, asked(campaign{}, "", "tidy"))
			succeeded(t, rig, rig.Finish(runID))
			if got := strings.Join(w.begun, " "); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.order, got, tt.want)
			}
			s.hasMoved(t, 0, 1, 2, 3, 4)
		})
	}
}

// What is on the skip list, taken, special or moved already is left out, and named; asking
// again copies the rest.
func TestCampaignLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.olds(t, 10, 20, 30, 40, 50, 60)
		s.small(t, "v2_02", 1, 3)  // taken
		s.create(t, "v2_03", `{}`) // empty: taken over
		rig, run := s.moving(t, "skip=v1_04,*_05")
		succeeded(t, rig, run)
		s.hasMoved(t, 0, 1, 3)
		s.onlyIndices(t, "v1_00", "v1_01", "v1_02", "v1_03", "v1_04", "v1_05", "v2_00", "v2_01", "v2_02", "v2_03")
		shown := fmt.Sprint(run.Plan.Shown)
		for _, part := range []string{"v1_04 and v1_05 (on the skip list)", "v1_02 (the new index exists and is not empty)"} {
			if !strings.Contains(shown, part) {
				t.Errorf("shown %s, want %s", shown, part)
			}
		}
		again, err := campaign{s.sites()}.Plan(t.Context(), asked(campaign{}, "to=v2_*", "v1_*"))
		if err != nil {
			t.Fatal(explained(err))
		}
		if d := cmp.Diff([]string{"v1_04 → v2_04", "v1_05 → v2_05"}, again.Targets); d != "" {
			t.Error(d)
		}
		if !strings.Contains(fmt.Sprint(again.Shown), "v1_00, v1_01 and v1_03 (done already)") {
			t.Errorf("%v", again.Shown)
		}
	})
}

// No more indices are at work than agreed, while some wait for replicas, some are turned
// away and some fail.
func TestCampaignAtOnce(t *testing.T) {
	for _, flags := range []string{"at-once=1", "at-once=3", "max-impact=low", "max-impact=full at-once=5"} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			var docs []int
			for i := range 14 {
				docs = append(docs, 10+10*i)
			}
			s.olds(t, docs...)
			w, n := watching(), 0
			s.faults(func(r *http.Request) elasticsim.Fault {
				w.see(r)
				switch n++; {
				case strings.HasPrefix(r.URL.Path, "/v2_03/_bulk"), n%40 == 0:
					return elasticsim.Fault{Status: 503}
				case strings.HasPrefix(r.URL.Path, "/_cluster/state/routing_table/") && n%3 > 0: // replicas take their time
					return elasticsim.Fault{Delay: 2 * time.Second}
				case strings.HasSuffix(r.URL.Path, "/_search"):
					return elasticsim.Fault{Delay: 300 * time.Millisecond}
				}
				return elasticsim.Fault{}
			})
			rig, run := s.moving(t, flags)
			limit := map[string]int{"at-once=1": 1, "at-once=3": 3, "max-impact=low": 1}[flags]
			if limit == 0 {
				limit = 5
			}
			// What failed is undone before another takes its place, except for its mark.
			if w.most > limit+1 || w.most < limit {
				t.Errorf("%s: %d at a time", flags, w.most)
			}
			if run.State != ops.Paused || !strings.Contains(run.Reason, "13 of 14 indices moved; 1 failed, the first: v1_03") {
				t.Fatalf("%s %s\n%s", run.State, run.Reason, told(rig, runID))
			}
		})
	}
}

// A campaign whose indices take a while each stands still at no time: where a call ends with
// none in work, the next follows at once.
func TestCampaignKeepsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		docs := make([]int, 24)
		for i := range docs {
			docs[i] = 20
		}
		s.olds(t, docs...)
		took := map[string]time.Duration{}
		var mu sync.Mutex
		s.faults(func(r *http.Request) elasticsim.Fault {
			if r.Method == "PUT" {
				mu.Lock()
				took["requests"] += 200 * time.Millisecond
				mu.Unlock()
				return elasticsim.Fault{Delay: 200 * time.Millisecond}
			}
			return elasticsim.Fault{}
		})
		began := time.Now()
		rig, run := s.moving(t, "at-once=2 max-impact=full")
		succeeded(t, rig, run)
		whole, least := time.Since(began), took["requests"]/2
		t.Logf("figure: 24 indices, 2 at a time: %s, of which their slow requests alone take %s", whole.Round(time.Millisecond), least)
		if whole > least*3/2 {
			t.Errorf("%s, of which the requests take %s", whole, least)
		}
	})
}

// After --until no index is begun; those in work are finished, and a resume gives as long
// again.
func TestCampaignUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.olds(t, 100, 100, 100, 100, 100, 100)
		rig, run := s.moving(t, "until=1m at-once=1 throttle=3") // half a minute each
		for resumed := 0; run.State == ops.Paused; resumed++ {
			if !strings.Contains(run.Reason, "The time for beginning is over") || resumed > 3 {
				t.Fatal(run.Reason)
			}
			moved := 0
			for i := range 6 {
				if s.at1(t, fmt.Sprintf("v1_%02d-alias", i)) != fmt.Sprintf("v1_%02d", i) {
					moved++
					continue
				}
				s.hasNotMoved(t, i)
			}
			if moved != 2*(resumed+1) {
				t.Errorf("%d moved after %d minutes", moved, resumed+1)
			}
			if err := rig.Engine.Resume(t.Context(), runID, "UASKS"); err != nil {
				t.Fatal(err)
			}
			run = rig.Finish(runID)
		}
		succeeded(t, rig, run)
		s.hasMoved(t, 0, 1, 2, 3, 4, 5)
	})
}

// The throttle is of all indices together, and counts at once when it is turned.
func TestCampaignThrottle(t *testing.T) {
	for _, turned := range []string{"", "200", "none"} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.olds(t, 200, 200, 200, 200)
			rig := s.rig(t)
			rig.Submit(runID, asked(campaign{}, "to=v2_* at-once=4 throttle=40 writes=block", "v1_*"))
			began := time.Now()
			done := make(chan bool)
			go func() {
				defer close(done)
				time.Sleep(5 * time.Second)
				if turned != "" {
					if err := rig.Engine.Turn(t.Context(), runID, "throttle", turned, "U1"); err != nil {
						t.Error(err)
					}
				}
			}()
			run := rig.Finish(runID)
			<-done
			succeeded(t, rig, run)
			took := time.Since(began).Seconds()
			low, high := map[string]float64{"": 19, "200": 7, "none": 5}[turned], map[string]float64{"": 30, "200": 15, "none": 9}[turned]
			if took < low || took > high {
				t.Errorf("turned to %q: took %.0f s, want %.0f to %.0f", turned, took, low, high)
			}
			t.Logf("800 documents at 40 a second, turned to %q after 5 s: %.0f s", turned, took)
			s.hasMoved(t, 0, 1, 2, 3)
		})
	}
}
