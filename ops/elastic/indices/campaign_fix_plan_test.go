package indices

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// bare makes an index without an alias.
func (s pretend) bare(t *testing.T, name string, n int) {
	t.Helper()
	s.create(t, name, `{"settings":{"number_of_replicas":1}}`)
	s.fill(t, name, 0, n)
	s.ask(t, "POST", "/"+name+"/_refresh", "")
	s.rest(t)
}

// An index without an alias is copied, and nobody is told that it moved.
func TestCampaignWithoutAliases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.bare(t, "a_0", 50)
		s.bare(t, "a_1", 50)
		rig, run := s.campaigned(t, "")
		succeeded(t, rig, run)
		saying(t, rig, runID, "2 of 2 indices copied")
		for _, e := range rig.Said(runID) {
			if e.File != nil && strings.Contains(e.File.Content, "\tmoved\t") {
				t.Error(e.File.Content)
			}
		}
		// Asked again, that is known.
		_, err := campaign{s.sites()}.Plan(t.Context(), asked(campaign{}, "to=b_*", "a_*"))
		if text := explained(err); !strings.Contains(text, "a_0 and a_1 (copied already)") {
			t.Error(text)
		}
		s.small(t, "a_2", 1, 10)
		s.bare(t, "a_3", 10)
		rig = s.rig(t)
		plan := rig.Submit("01AGAIN", asked(campaign{}, "to=b_*", "a_*"))
		succeeded(t, rig, rig.Finish("01AGAIN"))
		if len(plan.Targets) != 2 {
			t.Error(plan.Targets)
		}
		saying(t, rig, "01AGAIN", "2 of 2 indices copied, 1 of them moved")
	})
}

// A campaign holds its new indices too: nobody else makes them, or writes into them.
func TestCampaignLocksWhatItMakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.several(t, 2)
		s.create(t, "b_1", `{}`)
		plan, err := campaign{s.sites()}.Plan(t.Context(), asked(campaign{}, "to=b_*", "a_*"))
		if err != nil {
			t.Fatal(explained(err))
		}
		single, err := reindex{s.sites()}.Plan(t.Context(), asked(reindex{}, "", "a_0", "b_0"))
		if err != nil {
			t.Fatal(explained(err))
		}
		for _, lock := range append(single.Locks, indexLock(s.uuidOf(t, "a_1")), indexLock(s.uuidOf(t, "b_1"))) {
			if !slices.Contains(plan.Locks, lock) {
				t.Errorf("%s is not in %v", lock, plan.Locks)
			}
		}
	})
}

// Templates that match some of the new names only are for those only.
func TestCampaignTemplatesByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.several(t, 4)
		s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["b_1","b_3"],"template":{"settings":{"number_of_shards":3}}}`)
		s.ask(t, "PUT", "/_template/y", `{"index_patterns":["b_2"],"settings":{"index.number_of_shards":2}}`)
		if _, err := (campaign{s.sites()}).Plan(t.Context(), asked(campaign{}, "to=b_*", "a_*")); err != nil {
			t.Fatal(explained(err))
		}
		if n := s.Traffic()["POST /_index_template/_simulate_index/{name}"].Requests; n != 2 {
			t.Errorf("%d look-ups", n)
		}
		rig, run := s.campaigned(t, "")
		succeeded(t, rig, run)
		for name, want := range map[string]int{"b_0": 1, "b_1": 3, "b_2": 2, "b_3": 3} {
			x, err := s.site.metadata(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if x.Shards != want {
				t.Errorf("%s has %d shards, want %d", name, x.Shards, want)
			}
		}
		if text := fmt.Sprint(run.Plan.Shown); !strings.Contains(text, "of 3 indices as an index template and template y says, else as the old index") {
			t.Error(text)
		}
	})
}
