package indices

import (
	"strings"
	"testing"
	"testing/synctest"

	"twokey/ops"
	"twokey/ops/elastic"
	"twokey/ops/opstest"
)

const fixBack = "01BACK"

// wentBack carries es swap-back to its end, or until it pauses.
func (s pretend) wentBack(t *testing.T, dst string) (*opstest.Rig, ops.Run) {
	t.Helper()
	rig := s.rig(t)
	rig.Submit(fixBack, asked(swapBack{}, "", dst))
	return rig, rig.Finish(fixBack)
}

// narrow has readers and writers on v2, which took two documents since that v1 refuses.
func narrow(t *testing.T) pretend {
	s := copying(t)
	s.create(t, "v1", `{"settings":{"number_of_shards":1},"mappings":{"properties":{"n":{"type":"long"}}},"aliases":{"v1-alias":{}}}`)
	s.create(t, "v2", `{"settings":{"number_of_shards":1},"mappings":{"properties":{"n":{"type":"keyword"}}}}`)
	s.fill(t, "v1", 0, 50)
	s.rest(t)
	rig, run := s.reindexed(t, "v1", "v2", "")
	succeeded(t, rig, run)
	for id, source := range map[string]string{"new": `{"n":"word"}`, numbered(3): `{"n":"word"}`, "fits": `{"n":7}`} {
		if err := s.PutDoc("v2", id, source); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// On the way back nobody moves while documents do not fit the index gone back to.
func TestBackRefused(t *testing.T) {
	for name, correct := range map[string]func(t *testing.T, s pretend){
		"mapping": func(t *testing.T, s pretend) {
			s.ask(t, "PUT", "/v1/_mapping", `{"properties":{"n":{"type":"long","ignore_malformed":true}}}`)
		},
		"documents": func(t *testing.T, s pretend) {
			if err := s.PutIndexSettings("v2", `{"index.blocks.write":null}`); err != nil {
				t.Fatal(err)
			}
			if err := s.PutDoc("v2", numbered(3), `{"n":33}`); err != nil {
				t.Fatal(err)
			}
			if err := s.DeleteDoc("v2", "new"); err != nil {
				t.Fatal(err)
			}
		},
		"not": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := narrow(t)
				rig, run := s.wentBack(t, "v2")
				if run.State != ops.Paused || !strings.Contains(run.Reason, "2 documents of v2 do not fit the mapping of v1") {
					t.Fatalf("%s: %s", run.State, run.Reason)
				}
				if at := s.at1(t, "v1-alias"); at != "v2" {
					t.Fatalf("alias on %s", at)
				}
				if correct == nil {
					if err := rig.Engine.Cancel(t.Context(), fixBack, "UASKS"); err != nil {
						t.Fatal(err)
					}
					if run = rig.Finish(fixBack); run.State != ops.Cancelled {
						t.Errorf("%s: %s", run.State, run.Reason)
					}
					if s.at1(t, "v1-alias") != "v2" || s.isBlocked(t, "v2") || !s.isBlocked(t, "v1") {
						t.Error("not as it was")
					}
					return
				}
				correct(t, s)
				want := s.content("v2", false)
				if err := rig.Engine.Resume(t.Context(), fixBack, "UASKS"); err != nil {
					t.Fatal(err)
				}
				succeeded(t, rig, rig.Finish(fixBack))
				s.holds(t, "v1", want)
				if at := s.at1(t, "v1-alias"); at != "v1" {
					t.Errorf("alias on %s", at)
				}
			})
		})
	}
}

// Documents put aside stay in the index gone back to; those that people indexed into the
// copy since, before or during the way back, go back as they are there.
func TestBackIndexedSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, unfit := unfitting(t, 400, false)
		if err := s.site.Write(t.Context(), "PUT", "/v1/_doc/routed", elastic.Query("routing", "north"), jsonBody(`{"n":"none"}`), "other"); err != nil {
			t.Fatal(err)
		}
		want := s.content("v1", false)
		rig, run := s.reindexed(t, "v1", "v2", "quarantine=true")
		succeeded(t, rig, run)
		s.ask(t, "PUT", "/v2/_doc/"+unfit[0], `{"n":5}`)
		if err := s.site.Write(t.Context(), "PUT", "/v2/_doc/routed", elastic.Query("routing", "north"), jsonBody(`{"n":6}`), "other"); err != nil {
			t.Fatal(err)
		}
		want[unfit[0]], want["routed at north"] = `{"n":5}`, `{"n":6}`
		want[unfit[1]] = `{"n":8}`
		s.on(1, is("PUT", "/v2/_block/write"), func() {
			if err := s.PutDoc("v2", unfit[1], `{"n":8}`); err != nil {
				t.Error(err)
			}
		})
		rig, run = s.wentBack(t, "v2")
		succeeded(t, rig, run)
		s.holds(t, "v1", want)
	})
}

// An index named as the quarantine would be, that is not, has no say in it.
func TestBackOtherAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 1, 50)
		rig, run := s.reindexed(t, "v1", "v2", "")
		succeeded(t, rig, run)
		s.create(t, "v2-refused", `{}`)
		s.fill(t, "v2-refused", 0, 5)
		if err := s.DeleteDoc("v2", numbered(3)); err != nil {
			t.Fatal(err)
		}
		want := s.content("v2", false)
		rig, run = s.wentBack(t, "v2")
		succeeded(t, rig, run)
		s.holds(t, "v1", want)
	})
}
