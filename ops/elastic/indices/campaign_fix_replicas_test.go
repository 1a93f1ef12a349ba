package indices

import (
	"strings"
	"testing"
	"testing/synctest"

	"twokey/ops"
)

// A copy whose replicas have no place is complete: it is not given up for that. Others are
// moved meanwhile, and a person is asked in the end.
func TestCampaignWaitsForReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.several(t, 2)
		s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["b_0"],"template":{"settings":{"index.number_of_replicas":3}}}`)
		rig, run := s.campaigned(t, "max-impact=low")
		if run.State != ops.Paused || !strings.Contains(run.Reason, "1 of 2 indices moved; 1 cannot go on, the first: a_0: ") {
			t.Fatalf("%s: %s", run.State, run.Reason)
		}
		s.onlyIndices(t, "a_0", "a_1", "b_0", "b_1")
		if err := s.PutIndexSettings("b_0", `{"index.number_of_replicas":1}`); err != nil {
			t.Fatal(err)
		}
		if err := rig.Engine.Resume(t.Context(), runID, "UASKS"); err != nil {
			t.Fatal(err)
		}
		succeeded(t, rig, rig.Finish(runID))
		if at := s.at1(t, "a_0-alias"); at != "b_0" {
			t.Errorf("a_0-alias is on %s", at)
		}
	})
}
