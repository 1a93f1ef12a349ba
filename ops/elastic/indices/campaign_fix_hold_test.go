package indices

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// While the cluster is not well nothing is blocked, compared or moved, as in es reindex.
func TestCampaignHoldsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.create(t, "other", `{"settings":{"number_of_replicas":0}}`)
		s.several(t, 3)
		var lost, moved atomic.Bool
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if r.Method == "PUT" && r.URL.Path == "/b_0" && !lost.Swap(true) {
				s.LoseShard("other", 0)
			}
			if strings.HasSuffix(r.URL.Path, "/_search") {
				return elasticsim.Fault{Delay: 4 * time.Second} // the guard looks meanwhile
			}
			if strings.HasSuffix(r.URL.Path, "/_aliases") {
				moved.Store(true)
			}
			return elasticsim.Fault{}
		})
		rig, run := s.campaigned(t, "")
		if run.State != ops.Paused || !strings.Contains(run.Reason, "red") || moved.Load() {
			t.Fatalf("%s: %s; moved %t\n%s", run.State, run.Reason, moved.Load(), told(rig, runID))
		}
		// A person takes it on.
		if err := rig.Engine.Resume(t.Context(), runID, "UASKS"); err != nil {
			t.Fatal(err)
		}
		succeeded(t, rig, rig.Finish(runID))
	})
}
