package elastic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

func TestPlanShowsWhatPeopleAgreeTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.exclude(t, "zone", "moon")
		s.AddIndex("logs", 6, 1, 100*mb)
		s.AddIndex("solo", 6, 0, 100*mb)
		op := s.drain()
		plan, err := op.Plan(t.Context(), call("es drain", "", "n3"))
		if err != nil {
			t.Fatal(err)
		}
		if plan.Title != "Drain n3 in staging" || plan.Class != ops.R2 || !slices.Equal(plan.Targets, []string{"n3"}) {
			t.Errorf("%+v", plan)
		}
		if !slices.Equal(plan.Locks, []string{"Elasticsearch cluster:" + s.UUID()}) {
			t.Errorf("locks %q", plan.Locks)
		}
		if want := fmt.Sprintf("moves %d shards (", s.Shards("n3")); !strings.HasPrefix(plan.Effect, want) {
			t.Errorf("effect %q, want %s…", plan.Effect, want)
		}
		var labels []string
		for _, l := range plan.Shown {
			labels = append(labels, l.Label)
		}
		if want := []string{"Cluster", "n3", "Homes", "Room", "Single copies", "Allocation", "Filters"}; !slices.Equal(labels, want) {
			t.Errorf("shown %q", labels)
		}
		if plan.Estimate.High == 0 || plan.Estimate.Low > plan.Estimate.High {
			t.Errorf("estimate %+v", plan.Estimate)
		}
		if len(plan.Keeps) != 1 || !strings.Contains(plan.Keeps[0], "n3 stays excluded in exclude._name") {
			t.Errorf("keeps %q", plan.Keeps)
		}
		// Shards and bytes move on; what people agreed to stays the same.
		s.AddIndex("more", 3, 1, 100*mb)
		again, err := op.Plan(t.Context(), plan.Call)
		if err != nil || again.Digest() != plan.Digest() || again.Effect == plan.Effect {
			t.Errorf("planned again: same digest %v, effect %q, %v", again.Digest() == plan.Digest(), again.Effect, err)
		}
		if worse := ops.Worse(plan.Facts, again.Facts); len(worse) > 0 {
			t.Errorf("worse: %q", worse)
		}
	})
}

func TestPlanRefuses(t *testing.T) {
	tests := []struct {
		name, flags, what, next string
		nodes                   []string
		before                  func(t *testing.T, s sim)
	}{
		{"unknown node", "", `staging has no node "n33"`, "Did you mean n3?", []string{"n33"}, nil},
		{"nothing like it", "", `staging has no node "warehouse"`, "Its nodes: n1, n2, n3", []string{"warehouse"}, nil},
		{"all data nodes", "", "These are all data nodes", "Leave out", []string{"n1", "n2", "n3"}, nil},
		{"contradicting flags", "release decommission", "--release admits the nodes again", "one of them", []string{"n1"}, nil},
		{"excluded by name already", "", "n2 is excluded already: exclude._name=n2", "es undrain n2", []string{"n2"},
			func(t *testing.T, s sim) { s.exclude(t, "_name", "n2") }},
		{"excluded by somebody's zone", "", "n3 is kept out of allocation already, by somebody else's filter: exclude.zone=spot", "without a drain", []string{"n3"},
			func(t *testing.T, s sim) { s.exclude(t, "zone", "spot") }},
		{"not required", "", "n3 is kept out of allocation already, by somebody else's filter: require.zone=a", "", []string{"n3"},
			func(t *testing.T, s sim) {
				s.put(t, `{"persistent":{"cluster.routing.allocation.require.zone":"a"}}`)
			}},
		{"a transient value would hide ours", "", "A transient setting would hide the exclusion of n2: exclude._name=n9 (transient)", "take it away", []string{"n2"},
			func(t *testing.T, s sim) {
				s.put(t, `{"transient":{"cluster.routing.allocation.exclude._name":"n9"}}`)
			}},
		{"allocation is off", "", "cluster.routing.allocation.enable is none", "back to all", []string{"n2"},
			func(t *testing.T, s sim) { s.put(t, `{"persistent":{"cluster.routing.allocation.enable":"none"}}`) }},
		{"red", "", "staging is red", "Bring that back", []string{"n2"}, func(t *testing.T, s sim) {
			s.AddIndex("solo", 6, 0, mb)
			s.Kill("n3")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := three(t)
				s.AddIndex("logs", 3, 0, mb)
				if tt.before != nil {
					tt.before(t, s)
				}
				_, err := s.drain().Plan(t.Context(), call("es drain", tt.flags, tt.nodes...))
				var user *ops.UserError
				if !errors.As(err, &user) || !strings.Contains(user.What, tt.what) || !strings.Contains(user.Next, tt.next) {
					t.Errorf("%v / %+v", err, user)
				}
				if n := len(s.Writes()); n > 0 {
					t.Errorf("planning wrote %d times", n)
				}
			})
		})
	}
}

func TestPlanRefusesNodesWithoutShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, elasticsim.Node{Name: "m1", Roles: []string{"master"}}, elasticsim.Node{Name: "n1"}, elasticsim.Node{Name: "n2"})
		_, err := s.drain().Plan(t.Context(), call("es drain", "", "m1"))
		if err == nil || !strings.Contains(err.Error(), "m1 is not a data node") {
			t.Errorf("%v", err)
		}
		_, err = s.drain().Plan(t.Context(), call("es drain", "decommission", "n2"))
		if err != nil {
			t.Errorf("%v", err)
		}
	})
}

func TestPlanRefusesToTakeTheLastVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, elasticsim.Node{Name: "n1"}, elasticsim.Node{Name: "n2", Roles: []string{"data"}})
		_, err := s.drain().Plan(t.Context(), call("es drain", "decommission", "n1"))
		if err == nil || !strings.Contains(err.Error(), "Without n1 no node of staging could be master") {
			t.Errorf("%v", err)
		}
	})
}

// Between the vote and the start something got worse: people are told what.
func TestFactsGetWorse(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, s sim)
		worse  []string
	}{
		{"nothing", func(*testing.T, sim) {}, nil},
		{"health, node, zone", func(t *testing.T, s sim) { s.Kill("n2") },
			[]string{"health is yellow", "n2 left the cluster", "zone b has no data node left"}},
		{"a single copy on the node", func(t *testing.T, s sim) { s.AddIndex("solo", 3, 0, mb) },
			[]string{"solo has 1 shard without another copy on n3"}},
		{"a filter in the way", func(t *testing.T, s sim) { s.exclude(t, "zone", "b") },
			[]string{"exclude.zone=b keeps shards off n2"}},
		{"a filter that hits nothing", func(t *testing.T, s sim) { s.exclude(t, "zone", "moon") }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := three(t)
				s.AddIndex("logs", 3, 2, mb)
				then, err := s.drain().Plan(t.Context(), call("es drain", "", "n3"))
				if err != nil {
					t.Fatal(err)
				}
				tt.change(t, s)
				now, err := s.drain().Plan(t.Context(), then.Call)
				if err != nil {
					t.Fatal(err)
				}
				if got := ops.Worse(then.Facts, now.Facts); !slices.Equal(got, tt.worse) {
					t.Errorf("worse %q, want %q", got, tt.worse)
				}
				if now.Digest() != then.Digest() {
					t.Error("another digest")
				}
			})
		})
	}
}

func TestOddNamesGoById(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, elasticsim.Node{Name: "n1"}, elasticsim.Node{Name: "n*", Zone: "b"}, elasticsim.Node{Name: "my node"})
		s.AddIndex("logs", 6, 0, mb)
		b := begin(t, s.drain(), call("es drain", "", "n*", "my node"))
		if w := b.Run().Plan.Warnings; len(w) != 2 || !strings.Contains(w[1], "excluded by its id") {
			t.Errorf("warnings %q", w)
		}
		if p := drive(t, s.drain(), b, nil); p.Phase != ops.Done || s.Shards("n1") != 6 {
			t.Errorf("%+v, n1 has %d shards", p, s.Shards("n1"))
		}
		if f := s.Filter(exclude); len(f["_id"]) < 2 || f["_name"] != nil {
			t.Errorf("in effect %v", f)
		}
		u := begin(t, undrain{s.clusters()}, call("es undrain", "", "n*"))
		if p := drive(t, undrain{s.clusters()}, u, nil); p.Phase != ops.Done {
			t.Errorf("%+v", p)
		}
		if f := s.Filter(exclude); !sameSet(f["_id"], []string{s.NodeID("my node")}) {
			t.Errorf("in effect %v", f)
		}
	})
}

func TestUndrainRefuses(t *testing.T) {
	tests := []struct {
		name       string
		before     func(t *testing.T, s sim)
		what, next string
	}{
		{"not excluded", func(*testing.T, sim) {}, "n2 is not excluded from allocation in staging.", ""},
		{"by its zone", func(t *testing.T, s sim) { s.exclude(t, "zone", "b") }, "What keeps shards off it is exclude.zone=b.", "whoever set it"},
		{"by a pattern", func(t *testing.T, s sim) { s.exclude(t, "_name", "n*") }, "What keeps shards off it is exclude._name=n*.", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := three(t)
				tt.before(t, s)
				_, err := undrain{s.clusters()}.Plan(t.Context(), call("es undrain", "", "n2"))
				var user *ops.UserError
				if !errors.As(err, &user) || !strings.Contains(user.What, tt.what) || !strings.Contains(user.Next, tt.next) {
					t.Errorf("%v / %+v", err, user)
				}
			})
		})
	}
}

func TestUndrainTakesOnlyItsOwn(t *testing.T) {
	tests := []struct {
		name, before, after string // settings
		node                string
		left                texts
	}{
		{"one of several", `{"persistent":{"cluster.routing.allocation.exclude._name":"n1,n2"}}`, "", "n2", texts{pers("_name"): "n1"}},
		{"in the transient scope", `{"transient":{"cluster.routing.allocation.exclude._name":"n2"}}`, "", "n2", texts{}},
		{"beside a zone", `{"persistent":{"cluster.routing.allocation.exclude._name":"n2,n2","cluster.routing.allocation.exclude.zone":"spot"}}`, "",
			"n2", texts{pers("zone"): "spot"}},
		{"of a node that is gone", `{"persistent":{"cluster.routing.allocation.exclude._name":"old,n2"}}`, "", "old", texts{pers("_name"): "n2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := three(t)
				s.AddIndex("logs", 3, 0, mb)
				s.put(t, tt.before)
				before, op := s.texts(t), undrain{s.clusters()}
				b := begin(t, op, call("es undrain", "", tt.node))
				if p := drive(t, op, b, nil); p.Phase != ops.Done {
					t.Fatalf("%+v", p)
				}
				if got := s.texts(t); fmt.Sprint(got) != fmt.Sprint(tt.left) {
					t.Errorf("filters %v, want %v", got, tt.left)
				}
				undo(t, op, b)
				if got := s.texts(t); fmt.Sprint(got) != fmt.Sprint(before) {
					t.Errorf("after undo %v, want %v", got, before)
				}
			})
		})
	}
}

// Somebody else's voting exclusion cannot be kept while ours is taken away: ours is left,
// and the journal says why.
func TestVotingUndoLeavesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, elasticsim.Node{Name: "n1"}, elasticsim.Node{Name: "n2"}, elasticsim.Node{Name: "n3"}, elasticsim.Node{Name: "n4"})
		s.AddIndex("logs", 2, 0, mb)
		b := begin(t, s.drain(), call("es drain", "decommission", "n3"))
		if p := drive(t, s.drain(), b, nil); p.Phase != ops.Done {
			t.Fatalf("%+v", p)
		}
		if err := s.c.Write(t.Context(), "POST", "/_cluster/voting_config_exclusions", Query("node_names", "n4"), nil, ""); err != nil {
			t.Fatal(err)
		}
		step, err := s.drain().Step(b.Run().Plan.Steps[2])
		if err != nil {
			t.Fatal(err)
		}
		if p, err := b.Undo(t.Context(), 2, step); err != nil || p.Phase != ops.Done {
			t.Errorf("%+v %v", p, err)
		}
		if e, _ := b.Entry("voting " + s.NodeID("n3")); e.State != ops.Left || !strings.Contains(e.Reason, "n4") {
			t.Errorf("%+v", e)
		}
	})
}

func TestUnknownStepsPause(t *testing.T) {
	s := drain{map[string]Cluster{"staging": {}}, stall}
	for _, ref := range []ops.StepRef{
		{Name: "exclude", Version: 2, Params: params("staging", "u", nil)},
		{Name: "teleport", Version: 1, Params: params("staging", "u", nil)},
	} {
		if _, err := s.Step(ref); !errors.Is(err, ops.ErrUnknownStep) {
			t.Errorf("%s: %v", ref.Name, err)
		}
	}
}
