package indices

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// writer writes to an alias as an application does: what is refused it tries again. Its log
// is what the index behind the alias must hold.
type writer struct {
	s     pretend
	alias string
	stop  chan struct{}
	over  sync.WaitGroup

	mu      sync.Mutex
	want    content
	refused int // tries
	done    int
}

// writeTo starts a writer on what the index holds now, with an operation every so often. It
// must be stopped before the bubble ends.
func (s pretend) writeTo(alias string, every time.Duration) *writer {
	w := &writer{s: s, alias: alias, stop: make(chan struct{}), want: s.content(alias, false)}
	w.over.Go(func() { w.run(every) })
	return w
}

func (w *writer) run(every time.Duration) {
	r := rand.New(rand.NewPCG(3, 7))
	for i := 0; ; i++ {
		id := numbered(r.IntN(600))
		if r.IntN(4) == 0 {
			id = fmt.Sprintf("new%d", i)
		}
		source, drop := fmt.Sprintf(`{"n":%d,"by":"writer"}`, i), r.IntN(5) == 0
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(every):
			}
			var err error
			if drop {
				err = w.s.DeleteDoc(w.alias, id)
			} else {
				err = w.s.PutDoc(w.alias, id, source)
			}
			w.mu.Lock()
			if err != nil {
				w.refused++
				w.mu.Unlock()
				continue
			}
			if w.done++; drop {
				delete(w.want, id)
			} else {
				w.want[id] = source
			}
			w.mu.Unlock()
			break
		}
	}
}

func (w *writer) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done
}

// end stops the writer and returns what its alias must hold.
func (w *writer) end() content {
	close(w.stop)
	w.over.Wait()
	return w.want
}

// Nothing that was acknowledged to a writer is lost, however the source's writes are
// treated; with catchup they are refused for a short while only.
func TestCopyWhileWritten(t *testing.T) {
	for _, tt := range []struct {
		flags string
		n     int
	}{{"writes=block", 2000}, {"writes=catchup", 2000}, {"writes=catchup max-impact=low throttle=500", 2000}, {"writes=catchup read-from=a", 2000}, {"writes=catchup", 22_000}, {"writes=block", 22_000}} {
		t.Run(fmt.Sprint(tt.flags, tt.n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := copying(t)
				s.site.partSize = 1000
				s.small(t, "v1", 3, tt.n)
				s.everywhere(t, "v1")
				w := s.writeTo("v1-alias", 7*time.Millisecond)
				time.Sleep(3 * time.Second)
				s.faults(func(*http.Request) elasticsim.Fault { return elasticsim.Fault{Delay: 5 * time.Millisecond} })
				rig, run := s.reindexed(t, "v1", "v2", tt.flags)
				time.Sleep(3 * time.Second)
				want := w.end()
				succeeded(t, rig, run)
				s.holds(t, "v2", want)
				if at := s.at1(t, "v1-alias"); at != "v2" {
					t.Errorf("alias at %s", at)
				}
				if w.done < 500 || w.refused == 0 {
					t.Errorf("the writer wrote %d times, %d tries were refused", w.done, w.refused)
				}
				t.Logf("%d operations, %d refused", w.done, w.refused)
			})
		})
	}
}

// With --no-swap too the destination is what the source was under its block, and the source
// goes on.
func TestCopyWhileWrittenWithoutSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 2, 2000)
		w := s.writeTo("v1-alias", 7*time.Millisecond)
		var under content
		s.on(1, is("PUT", "/v1/_settings"), func() { under = s.content("v1", false) })
		rig, run := s.reindexed(t, "v1", "v2", "no-swap=true")
		before := w.acknowledged()
		time.Sleep(time.Second)
		want := w.end()
		succeeded(t, rig, run)
		s.holds(t, "v2", under)
		s.holds(t, "v1", want)
		if w.done == before {
			t.Error("the source takes no writes")
		}
	})
}

// The catch-up asks a person when its passes do not get shorter.
func TestCopyNeverCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 2, 500)
		w := s.writeTo("v1-alias", 100*time.Millisecond)
		s.faults(func(r *http.Request) elasticsim.Fault {
			if is("POST", "/v1/_search")(r) {
				return elasticsim.Fault{Delay: 3500 * time.Millisecond}
			}
			return elasticsim.Fault{}
		})
		rig, run := s.reindexed(t, "v1", "v2", "")
		if run.State != ops.Paused || s.isBlocked(t, "v1") {
			t.Fatalf("%s: %s", run.State, run.Reason)
		}
		saying(t, rig, runID, "it is written to faster than it is copied")
		s.Intercept(nil)
		if err := rig.Engine.Resume(t.Context(), runID, "U1"); err != nil {
			t.Fatal(err)
		}
		run = rig.Finish(runID)
		time.Sleep(time.Second)
		want := w.end()
		succeeded(t, rig, run)
		s.holds(t, "v2", want)
	})
}

// A throttle is kept, however low it is, and turning it while the copy runs counts at once:
// through Twokey, and by the server.
func TestCopyThrottled(t *testing.T) {
	for _, n := range []int{400, 21_000} {
		for _, turned := range []string{"", "none", "%d"} {
			synctest.Test(t, func(t *testing.T) {
				s := copying(t)
				s.small(t, "v1", 2, n)
				rate := n / 40
				rig := s.rig(t)
				rig.Submit(runID, asked(reindex{}, fmt.Sprintf("writes=block throttle=%d", rate), "v1", "v2"))
				began := time.Now()
				done := make(chan bool)
				go func() {
					defer close(done)
					time.Sleep(10 * time.Second)
					if turned == "" {
						return
					}
					value := turned
					if value == "%d" {
						value = fmt.Sprint(2 * rate)
					}
					if err := rig.Engine.Turn(t.Context(), runID, "throttle", value, "U1"); err != nil {
						t.Error(err)
					}
				}()
				run := rig.Finish(runID)
				<-done
				succeeded(t, rig, run)
				took := time.Since(began).Seconds()
				low, high := map[string]float64{"": 34, "none": 9, "%d": 20}[turned], map[string]float64{"": 60, "none": 20, "%d": 36}[turned]
				t.Logf("%d documents at %d a second, turned to %q after 10 s: %.0f s", n, rate, turned, took)
				if took < low || took > high {
					t.Errorf("took %.0f s, want %.0f to %.0f", took, low, high)
				}
				s.holds(t, "v2", s.content("v1", false))
			})
		}
	}
}
