package indices

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// enriched wants every document of an index to have gone through the pipeline tier.
func (s pretend) enriched(t *testing.T, name string, n int) {
	t.Helper()
	docs := s.Docs(name)
	if len(docs) != n {
		t.Errorf("%s has %d documents, want %d", name, len(docs), n)
	}
	for _, d := range docs {
		if !strings.Contains(d.Source, `"tier":"gold"`) || !strings.Contains(d.Source, `"text":`) {
			t.Fatalf("%s of %s is %s", d.ID, name, d.Source)
		}
	}
}

const tier = `{"description":"customers' tiers","processors":[{"set":{"field":"tier","value":"gold"}}]}`

// Every document goes through the pipeline, by whatever way it is copied: small sources
// through Twokey, large ones by the server, what came late, and what the comparison put right.
func TestCopyEnriched(t *testing.T) {
	for _, flags := range []string{"writes=block", "writes=catchup", "writes=catchup read-from=a", "writes=dual"} {
		for _, n := range []int{700, 23_000} {
			synctest.Test(t, func(t *testing.T) {
				s := copying(t)
				if strings.Contains(flags, "dual") {
					s.site.Register = &book{entries: map[string]Entry{"v1": {Active: "v1", Write: []string{"v1"}, Version: "0"}}}
				}
				s.small(t, "v1", 2, n)
				s.everywhere(t, "v1")
				s.ask(t, "PUT", "/_ingest/pipeline/tier", tier)
				var once sync.Once
				s.faults(func(r *http.Request) elasticsim.Fault {
					if !strings.Contains(flags, "dual") && r.Method == "PUT" && strings.HasSuffix(r.URL.Path, "/_block/write") {
						once.Do(func() { go s.PutDoc("v1", numbered(3), `{"n":9,"text":"late"}`) })
					}
					return elasticsim.Fault{}
				})
				rig, run := s.reindexed(t, "v1", "v2", flags+" pipeline=tier")
				succeeded(t, rig, run)
				s.enriched(t, "v2", n)
				if shown := strings.Join(run.Plan.Warnings, " "); !strings.Contains(shown, "Pipeline tier changes documents") {
					t.Errorf("%q", shown)
				}
			})
		}
	}
	// A campaign, too.
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.olds(t, 30, 400, 0)
		s.ask(t, "PUT", "/_ingest/pipeline/tier", tier)
		rig, run := s.moving(t, "pipeline=tier")
		succeeded(t, rig, run)
		s.enriched(t, "v2_00", 30)
		s.enriched(t, "v2_01", 400)
	})
}

// A pipeline that is not there, that loses documents, or is changed while the copy runs.
func TestCopyEnrichedRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 1, 300)
		for flags, want := range map[string]string{
			"pipeline=tier": "There is no ingest pipeline tier. | Make it first, or correct --pipeline.",
			"pipeline=a*":   `--pipeline "a*" is not the name of a pipeline. | Name one ingest pipeline.`,
		} {
			if _, err := (reindex{s.sites()}).Plan(t.Context(), copyAsked(flags)); explained(err) != want {
				t.Errorf("%s\nwant %s", explained(err), want)
			}
		}
		for _, p := range []struct{ of []map[string]any }{
			{[]map[string]any{{"drop": map[string]any{"if": "true"}}}},
			{[]map[string]any{{"set": map[string]any{"field": "_id", "value": "x"}}}},
			{[]map[string]any{{"foreach": map[string]any{"field": "a", "processor": map[string]any{"reroute": map[string]any{}}}}}},
			{[]map[string]any{{"rename": map[string]any{"field": "a", "target_field": "_routing"}}}},
		} {
			if loses(p.of) == "" {
				t.Errorf("%v loses nothing", p.of)
			}
		}
		if why := loses([]map[string]any{{"set": map[string]any{"field": "a", "value": 1}}}); why != "" {
			t.Error(why)
		}
		s.ask(t, "PUT", "/_ingest/pipeline/tier", tier)
		rig := s.rig(t)
		plan := rig.Submit(runID, copyAsked("pipeline=tier writes=catchup throttle=60"))
		changed := false
		s.faults(func(r *http.Request) elasticsim.Fault {
			if strings.HasSuffix(r.URL.Path, "/_bulk") && !changed {
				changed = true
				go func() {
					req, err := http.NewRequestWithContext(t.Context(), "PUT", "http://n1:9200/_ingest/pipeline/tier", strings.NewReader(strings.Replace(tier, "gold", "tin", 1)))
					if err != nil {
						t.Error(err)
						return
					}
					req.Header.Set("Content-Type", "application/json")
					res, err := s.RoundTripper().RoundTrip(req)
					if err != nil || res.StatusCode != 200 {
						t.Error("the pipeline was not changed:", err)
					}
				}()
			}
			return elasticsim.Fault{}
		})
		run := rig.Finish(runID)
		if run.State != ops.FailedRun || !strings.Contains(run.Reason, "pipeline tier was changed since the approval") {
			t.Errorf("%s %s", run.State, run.Reason)
		}
		s.onlyIndices(t, "v1")
		if again, err := (reindex{s.sites()}).Plan(t.Context(), plan.Call); err != nil || again.Digest() == plan.Digest() {
			t.Errorf("another pipeline, the same plan; %v", err)
		}
	})
}

func copyAsked(flags string) ops.Call { return asked(reindex{}, flags, "v1", "v2") }
