package indices

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// unfitting has 37 documents among n that the template of v2 does not take: by type, by
// date, by a strict mapping. An existing v2 is copied to by the server.
func unfitting(t *testing.T, n int, existing bool) (s pretend, unfit []string) {
	s = copying(t)
	s.site.partSize = 70
	s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["v2"],"template":{"settings":{"number_of_shards":2},"mappings":{"dynamic":"strict","properties":{"n":{"type":"long"},"text":{"type":"text"},"by":{"type":"keyword"},"at":{"type":"date"},"tag":{"type":"keyword"},"again":{"type":"boolean"}}}}}`)
	s.create(t, "v1", `{"settings":{"number_of_shards":3},"mappings":{"dynamic":false},"aliases":{"v1-alias":{"is_write_index":true}}}`)
	s.fill(t, "v1", 0, n)
	for i := range 37 {
		id := numbered(i * (n / 40))
		if i == 36 {
			id = "\x02 \t odd"
		}
		source := []string{`{"n":"none"}`, `{"at":"yesterday"}`, `{"extra":1}`}[i%3]
		if err := s.PutDoc("v1", id, source); err != nil {
			t.Fatal(err)
		}
		unfit = append(unfit, id)
	}
	if existing {
		s.create(t, "v2", `{}`)
	}
	s.rest(t)
	return s, unfit
}

// listed are the rows of the last file of refused documents: id to field.
func refusedIn(rig *opstest.Rig) map[string]string {
	var file *ops.File
	for _, e := range rig.Said(runID) {
		if e.File != nil && strings.HasPrefix(e.File.Name, "refused-") {
			file = e.File
		}
	}
	rows := map[string]string{}
	if file == nil {
		return rows
	}
	for line := range strings.Lines(file.Content) {
		if cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); cells[0] != "id" {
			rows[cells[0]] = cells[2]
		}
	}
	return rows
}

func less(c content, ids []string) content {
	for _, id := range ids {
		delete(c, id)
	}
	return c
}

// A person is asked before the source is blocked, with each document and its field; after
// the documents were corrected, or deleted, a resume goes on.
func TestRefusedCorrected(t *testing.T) {
	for _, existing := range []bool{false, true} {
		for _, writes := range []string{"catchup", "block"} {
			synctest.Test(t, func(t *testing.T) {
				s, unfit := unfitting(t, 400, existing)
				rig, run := s.reindexed(t, "v1", "v2", "writes="+writes)
				if run.State != ops.Paused || !strings.Contains(run.Reason, "37 documents of v1 do not fit the mapping of v2") {
					t.Fatalf("%s: %s", run.State, run.Reason)
				}
				if blocked := s.isBlocked(t, "v1"); blocked != (writes == "block") {
					t.Errorf("%s: blocked %v", writes, blocked)
				}
				rows := refusedIn(rig)
				for i, id := range unfit {
					field := []string{"n", "at", "extra"}[i%3]
					if got := rows[strings.ReplaceAll(id, "\t", " ")]; got != field {
						t.Errorf("%q: field %q, want %q", id, got, field)
					}
				}
				if len(rows) != 37 {
					t.Errorf("%d rows", len(rows))
				}
				if writes == "block" { // somebody lifts it to correct them
					if err := s.PutIndexSettings("v1", `{"index.blocks.write":null}`); err != nil {
						t.Fatal(err)
					}
				}
				for i, id := range unfit {
					var err error
					if i%2 == 0 {
						err = s.PutDoc("v1", id, `{"n":1}`)
					} else {
						err = s.DeleteDoc("v1", id)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if err := rig.Engine.Resume(t.Context(), runID, "UASKS"); err != nil {
					t.Fatal(err)
				}
				run = rig.Finish(runID)
				succeeded(t, rig, run)
				s.holds(t, "v2", s.content("v1", false))
				s.onlyIndices(t, "v1", "v2")
				if !s.isBlocked(t, "v1") {
					t.Error("not blocked")
				}
			})
		}
	}
}

// Corrected half: asked again, with what is left. Then the mapping is corrected.
func TestRefusedCorrectedInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, unfit := unfitting(t, 400, false)
		rig, run := s.reindexed(t, "v1", "v2", "")
		for i, id := range unfit {
			if i%3 != 2 {
				s.PutDoc("v1", id, `{"n":1}`)
			}
		}
		rig.Engine.Resume(t.Context(), runID, "UASKS")
		run = rig.Finish(runID)
		if run.State != ops.Paused || !strings.Contains(run.Reason, "12 documents of v1 do not fit") || len(refusedIn(rig)) != 12 {
			t.Fatalf("%s: %s; %d rows", run.State, run.Reason, len(refusedIn(rig)))
		}
		s.ask(t, "PUT", "/v2/_mapping", `{"properties":{"extra":{"type":"long"}}}`)
		rig.Engine.Resume(t.Context(), runID, "UASKS")
		run = rig.Finish(runID)
		succeeded(t, rig, run)
		s.holds(t, "v2", s.content("v1", false))
	})
}

func TestRefusedCancelled(t *testing.T) {
	for _, writes := range []string{"catchup", "block"} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := unfitting(t, 400, false)
			rig, run := s.reindexed(t, "v1", "v2", "writes="+writes)
			if run.State != ops.Paused {
				t.Fatal(run.State)
			}
			if err := rig.Engine.Cancel(t.Context(), runID, "UASKS"); err != nil {
				t.Fatal(err)
			}
			if run = rig.Finish(runID); run.State != ops.Cancelled {
				t.Errorf("%s: %s", run.State, run.Reason)
			}
			s.onlyIndices(t, "v1")
			if s.isBlocked(t, "v1") || s.at1(t, "v1-alias") != "v1" {
				t.Error("the source is not as it was")
			}
		})
	}
}

// With --quarantine they are put aside, as they are in the source, and missing in the copy;
// a writer makes others, corrects some and deletes some meanwhile.
func TestRefusedPutAside(t *testing.T) {
	for _, existing := range []bool{false, true} {
		for _, writes := range []string{"catchup", "block"} {
			synctest.Test(t, func(t *testing.T) {
				s, unfit := unfitting(t, 400, existing)
				was := s.content("v1", false)
				written := false
				s.faults(func(r *http.Request) elasticsim.Fault {
					if is("GET", "/_cluster/state/routing_table/v2")(r) && !written && writes == "catchup" {
						written = true
						s.PutDoc("v1", unfit[0], `{"n":5}`)
						s.DeleteDoc("v1", unfit[1])
						s.PutDoc("v1", unfit[2], `{"extra":"changed"}`)
						s.PutDoc("v1", numbered(1), `{"extra":"fitted before"}`)
						s.PutDoc("v1", "another", `{"at":"never"}`)
						unfit = append(unfit[2:], numbered(1), "another")
					}
					return elasticsim.Fault{}
				})
				rig, run := s.reindexed(t, "v1", "v2", "quarantine=true writes="+writes)
				succeeded(t, rig, run)
				all := s.content("v1", false)
				if writes == "block" && fmt.Sprint(all) != fmt.Sprint(was) {
					t.Error("the source changed")
				}
				aside := s.content("v2-refused", false)
				if len(aside) != len(unfit) {
					t.Errorf("%d put aside, want %d", len(aside), len(unfit))
				}
				for _, id := range unfit {
					quoted := fmt.Sprintf("%q", all[id])
					if !strings.Contains(aside[id], `"source":`+quoted) && !strings.Contains(aside[id], `"source": `+quoted) {
						t.Errorf("%q put aside as %s, is %s", id, aside[id], all[id])
					}
				}
				s.holds(t, "v2", less(all, unfit))
				s.onlyIndices(t, "v1", "v2", "v2-refused")
				saying(t, rig, runID, fmt.Sprintf("%d documents of v1 do not fit the mapping of v2", len(unfit)))
				if len(refusedIn(rig)) < len(unfit) {
					t.Errorf("%d rows", len(refusedIn(rig)))
				}
			})
		}
	}
}

// More than can be remembered is the mapping's fault: once it is corrected, all is copied.
func TestRefusedTooMany(t *testing.T) {
	for _, corrected := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["v2"],"template":{"mappings":{"dynamic":"strict","properties":{"n":{"type":"long"}}}}}`)
			s.small(t, "v1", 1, maxRefused+300)
			rig, run := s.reindexed(t, "v1", "v2", "quarantine=true")
			if run.State != ops.Paused || !strings.Contains(run.Reason, "More than 10,000 documents are refused") || s.isBlocked(t, "v1") {
				t.Fatalf("%s: %s", run.State, run.Reason)
			}
			if corrected {
				s.ask(t, "PUT", "/v2/_mapping", `{"properties":{"text":{"type":"text"}}}`)
				rig.Engine.Resume(t.Context(), runID, "UASKS")
				run = rig.Finish(runID)
				succeeded(t, rig, run)
				s.holds(t, "v2", s.content("v1", false))
				s.onlyIndices(t, "v1", "v2")
				return
			}
			rig.Engine.Cancel(t.Context(), runID, "UASKS")
			if run = rig.Finish(runID); run.State != ops.Cancelled {
				t.Errorf("%s: %s", run.State, run.Reason)
			}
			s.onlyIndices(t, "v1")
		})
	}
}
