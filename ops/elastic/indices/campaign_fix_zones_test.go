package indices

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

const zonesFlags = "to=b_* indexing-zone=spot production-zones=a,b"

// People agree to the rule which indices are kept out of the zone: one made after they
// did, or while the zone is emptied, is kept out too, and given back like the others.
func TestCampaignKeepsLaterIndicesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.several(t, 2)
		rig := s.rig(t)
		plan := rig.Submit(runID, asked(campaign{}, zonesFlags, "a_*"))
		s.create(t, "later", `{"settings":{"number_of_shards":3,"number_of_replicas":1}}`)
		if again, err := (campaign{s.sites()}).Plan(t.Context(), plan.Call); err != nil || again.Digest() != plan.Digest() {
			t.Fatalf("another plan: %v", err)
		}
		made, kept := false, map[string]string{}
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			switch {
			case is("PUT", "/_settings")(r) && !made:
				made = true
				s.AddIndex("latest", 2, 1, mb)
			case r.Method == "PUT" && r.URL.Path == "/b_0":
				for _, name := range []string{"later", "latest", "a_0"} {
					kept[name] = s.own(t, name)["exclude.zone"]
				}
			}
			return elasticsim.Fault{}
		})
		succeeded(t, rig, rig.Finish(runID))
		for _, name := range []string{"later", "latest", "a_0"} {
			if kept[name] != "spot" {
				t.Errorf("%s had %q", name, kept[name])
			}
			if is := s.own(t, name); len(is) > 0 {
				t.Errorf("%s keeps %v", name, is)
			}
		}
	})
}

// A filter that somebody changes between two batches is joined, not replaced.
func TestCampaignPinsReadEachBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.several(t, 1)
		s.pinned(t, "one", 1, 0, mb, `{"index.routing.allocation.exclude.zone":"x"}`)
		s.pinned(t, "two", 1, 0, mb, `{"index.routing.allocation.exclude.zone":"y"}`)
		puts := 0
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if is("PUT", "/_settings")(r) {
				if puts++; puts == 1 { // after the first read, before the other batches
					for _, name := range []string{"one", "two"} {
						if err := s.PutIndexSettings(name, `{"index.routing.allocation.exclude.zone":"q"}`); err != nil {
							t.Error(err)
						}
					}
				}
			}
			return elasticsim.Fault{}
		})
		rig := s.rig(t)
		rig.Submit(runID, asked(campaign{}, zonesFlags, "a_*"))
		run := rig.Finish(runID)
		succeeded(t, rig, run)
		for _, name := range []string{"one", "two"} {
			if is := s.own(t, name)["exclude.zone"]; is != "q" {
				t.Errorf("%s has %q in the end", name, is)
			}
		}
		for _, c := range run.Journal {
			if c.State == ops.Left {
				t.Errorf("%+v", c)
			}
		}
	})
}

// With an indexing zone the campaign makes its indices itself.
func TestCampaignZonesLeaveExistingIndicesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.several(t, 2)
		s.create(t, "b_1", `{}`)
		plan, err := campaign{s.sites()}.Plan(t.Context(), asked(campaign{}, zonesFlags, "a_*"))
		if err != nil {
			t.Fatal(explained(err))
		}
		if len(plan.Targets) != 1 || plan.Targets[0] != "a_0 → b_0" {
			t.Error(plan.Targets)
		}
	})
}

// A shard that takes long to leave the zone moves all the same: nobody is asked.
func TestCampaignLargeShardLeavesZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.several(t, 1)
		s.pinned(t, "large", 1, 0, 100_000*mb, `{"index.routing.allocation.include.zone":"spot"}`)
		s.rest(t)
		if on := s.at(t, "large"); on["n3"] != 1 {
			t.Fatal(on)
		}
		if err := s.PutIndexSettings("large", `{"index.routing.allocation.include.zone":null}`); err != nil {
			t.Fatal(err)
		}
		rig := s.rig(t)
		rig.Submit(runID, asked(campaign{}, zonesFlags, "a_*"))
		began := time.Now()
		succeeded(t, rig, rig.Finish(runID))
		if took := time.Since(began); took < stuckAfter {
			t.Errorf("only %v", took)
		}
	})
}
