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

// campaigned carries es campaign a_* --to b_* to its end, or until it pauses.
func (s pretend) campaigned(t *testing.T, flags string) (*opstest.Rig, ops.Run) {
	t.Helper()
	rig := s.rig(t)
	rig.Submit(runID, asked(campaign{}, strings.TrimSpace("to=b_* "+flags), "a_*"))
	return rig, rig.Finish(runID)
}

// several makes n small indices a_0, a_1, …
func (s pretend) several(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		s.small(t, fmt.Sprintf("a_%d", i), 1, 100)
	}
}

// An index whose requests take longer than a call of the step fails alone.
func TestCampaignGoesOnBesideASlowIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.several(t, 3)
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if strings.HasPrefix(r.URL.Path, "/a_1/_refresh") {
				return elasticsim.Fault{Delay: 30 * time.Second}
			}
			if strings.HasSuffix(r.URL.Path, "/_search") {
				return elasticsim.Fault{Delay: 2500 * time.Millisecond}
			}
			return elasticsim.Fault{}
		})
		rig, run := s.campaigned(t, "")
		if run.State != ops.Paused || !strings.Contains(run.Reason, "2 of 3 indices moved; 1 failed, the first: a_1: ") {
			t.Fatalf("%s: %s %s\n%s", run.State, run.Reason, run.LastError, told(rig, runID))
		}
		s.onlyIndices(t, "a_0", "a_1", "a_2", "b_0", "b_2")
	})
}

// Resume lets all that failed try again, those too that the first call does not come to.
func TestCampaignResumedTriesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.several(t, 6)
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if r.Method == "PUT" && strings.HasPrefix(r.URL.Path, "/b_") {
				return elasticsim.Fault{Status: http.StatusBadRequest}
			}
			return elasticsim.Fault{}
		})
		rig, run := s.campaigned(t, "max-impact=low")
		if run.State != ops.Paused || !strings.Contains(run.Reason, "0 of 6 indices moved; 6 failed") {
			t.Fatalf("%s: %s %s", run.State, run.Reason, run.LastError)
		}
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if strings.HasSuffix(r.URL.Path, "/_search") {
				return elasticsim.Fault{Delay: time.Second}
			}
			return elasticsim.Fault{}
		})
		if err := rig.Engine.Resume(t.Context(), runID, "UASKS"); err != nil {
			t.Fatal(err)
		}
		succeeded(t, rig, rig.Finish(runID))
		s.onlyIndices(t, "b_0", "b_1", "b_2", "b_3", "b_4", "b_5", "a_0", "a_1", "a_2", "a_3", "a_4", "a_5")
	})
}

// What has moved is not undone: if it cannot be finished a person is asked, once the
// others are through.
func TestCampaignAsksAboutWhatMovedAndCannotBeFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.several(t, 3)
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if is("PUT", "/b_0/_mapping")(r) {
				return elasticsim.Fault{Status: http.StatusInternalServerError}
			}
			return elasticsim.Fault{}
		})
		rig, run := s.campaigned(t, "max-impact=low") // one at a time: the others are not held up
		if run.State != ops.Paused || !strings.Contains(run.Reason, "2 of 3 indices moved; 1 cannot go on, the first: a_0: ") {
			t.Fatalf("%s: %s %s", run.State, run.Reason, run.LastError)
		}
		if at := s.at1(t, "a_0-alias"); at != "b_0" {
			t.Errorf("a_0-alias is on %s", at)
		}
		s.Intercept(nil)
		if err := rig.Engine.Resume(t.Context(), runID, "UASKS"); err != nil {
			t.Fatal(err)
		}
		succeeded(t, rig, rig.Finish(runID))
	})
}

// Failures with good calls between them are not in a row.
func TestCampaignFailuresNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "a_0", 1, 25_000) // by the server's own tasks: few requests
		began, failed := time.Now(), 0
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if is("GET", "/_cluster/state/metadata,routing_table/b_0")(r) && time.Since(began)%(12*time.Second) < time.Second {
				failed++
				return elasticsim.Fault{Status: http.StatusInternalServerError}
			}
			return elasticsim.Fault{}
		})
		rig, run := s.campaigned(t, "throttle=200")
		succeeded(t, rig, run)
		if failed < itemTries {
			t.Errorf("only %d failures", failed)
		}
	})
}

func TestBackoff(t *testing.T) {
	for tries, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 4: 16 * time.Second, 5: 30 * time.Second, 34: 30 * time.Second, 64: 30 * time.Second, 1000: 30 * time.Second} {
		if got := backoff(tries); got != want {
			t.Errorf("after %d: %v, want %v", tries, got, want)
		}
	}
}
