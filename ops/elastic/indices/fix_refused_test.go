package indices

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// An index that somebody makes under the name of the quarantine is not written to.
func TestRefusedAsideOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, unfit := unfitting(t, 400, false)
		s.on(1, is("PUT", "/v1/_block/write"), func() {
			if err := s.PutDoc("v2-refused", "theirs", `{"x":1}`); err != nil {
				t.Error(err)
			}
		})
		rig, run := s.reindexed(t, "v1", "v2", "quarantine=true")
		if run.State != ops.Paused || !strings.Contains(run.Reason, "another index of that name is there") {
			t.Fatalf("%s: %s", run.State, run.Reason)
		}
		s.holds(t, "v2-refused", content{"theirs": `{"x":1}`})
		s.remove(t, "v2-refused")
		if err := rig.Engine.Resume(t.Context(), runID, "UASKS"); err != nil {
			t.Fatal(err)
		}
		succeeded(t, rig, rig.Finish(runID))
		if aside := s.content("v2-refused", false); len(aside) != len(unfit) {
			t.Errorf("%d put aside, want %d", len(aside), len(unfit))
		}
	})
}

// slowly makes each request take a while.
func (s pretend) slowly() {
	s.Intercept(func(*http.Request) elasticsim.Fault { return elasticsim.Fault{Delay: 400 * time.Millisecond} })
}

// manyUnfit has n documents that the template of v2 does not take.
func manyUnfit(t *testing.T, n int) pretend {
	s := copying(t)
	s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["v2"],"template":{"mappings":{"properties":{"n":{"type":"boolean"}}}}}`)
	s.small(t, "v1", 1, n)
	return s
}

// Thousands of them take several calls, none longer than a call may be.
func TestRefusedManySlowly(t *testing.T) {
	for _, quarantine := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := manyUnfit(t, 5000)
			s.Intercept(func(r *http.Request) elasticsim.Fault {
				if is("PUT", "/v1/_block/write")(r) && quarantine {
					s.slowly()
				}
				return elasticsim.Fault{}
			})
			flags := ""
			if quarantine {
				flags = "quarantine=true"
			}
			rig, run := s.reindexed(t, "v1", "v2", flags)
			if !quarantine {
				if run.State != ops.Paused {
					t.Fatalf("%s: %s", run.State, run.Reason)
				}
				s.ask(t, "DELETE", "/v1/_doc/"+numbered(7), "")
				s.slowly()
				if err := rig.Engine.Resume(t.Context(), runID, "UASKS"); err != nil {
					t.Fatal(err)
				}
				run = rig.Finish(runID)
				if run.State != ops.Paused || !strings.Contains(run.Reason, "4,999 documents of v1 do not fit") || run.LastError != "" {
					t.Errorf("%s: %s; %s", run.State, run.Reason, run.LastError)
				}
				saying(t, rig, runID, "1 of 5000 refused documents fit now, or are gone")
				return
			}
			succeeded(t, rig, run)
			if aside := len(s.Docs("v2-refused")); aside != 5000 {
				t.Errorf("%d put aside", aside)
			}
		})
	}
}

// Documents that do not fit one answer together are read by fewer at a time.
func TestLookupLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.create(t, "v1", `{"mappings":{"dynamic":false}}`)
		source := `{"text":"` + strings.Repeat("x", 8<<20) + `"}`
		var docs []document
		for i := range 12 {
			if err := s.PutDoc("v1", numbered(i), source); err != nil {
				t.Fatal(err)
			}
			docs = append(docs, document{ID: numbered(i)})
		}
		found, err := s.site.lookup(t.Context(), "v1", docs, true)
		if err != nil || len(found) != len(docs) {
			t.Errorf("%d of %d: %v", len(found), len(docs), err)
		}
	})
}
