package elastic

import (
	"slices"
	"testing"
)

// no is the filter decider's answer as Elasticsearch 8.19 words it.
func no(explanation string) []decision {
	return []decision{{"filter", "NO", explanation}}
}

func started(nodes ...nodeDecision) explanation {
	e := explanation{State: "started", Nodes: nodes}
	e.Current.ID, e.Current.Name = "ID1", "n1"
	return e
}

func TestEffect(t *testing.T) {
	e := started(
		nodeDecision{ID: "ID2", Name: "n2", Decision: "no",
			Deciders: no(`node matches cluster setting [cluster.routing.allocation.exclude] filters [_name:"n2 OR n2",zone:"spot"]`)},
		nodeDecision{ID: "ID3", Name: "n3", Decision: "no",
			Deciders: no(`node does not match cluster setting [cluster.routing.allocation.require] filters [rack:"r1 AND r2"]`)},
		nodeDecision{ID: "ID4", Name: "n4", Decision: "no",
			Deciders: no(`node matches index setting [index.routing.allocation.exclude] filters [zone:"q"]`)},
	)
	f := e.effect()
	if got := f.Spelled[exclude]; !slices.Equal(got["_name"], []string{"n2", "n2"}) || !slices.Equal(got["zone"], []string{"spot"}) {
		t.Errorf("exclude spelled %v", got)
	}
	if got := f.Spelled[require]["rack"]; !slices.Equal(got, []string{"r1", "r2"}) {
		t.Errorf("require.rack spelled %v", got)
	}
	if f.Away["ID2"] != exclude || f.Away["ID3"] != require || f.Away["ID4"] != "" || f.Away["ID1"] != "" {
		t.Errorf("turned away: %v", f.Away)
	}
}

func TestBroken(t *testing.T) {
	nodes := []Node{
		{ID: "ID1", Name: "n1", Attributes: map[string]string{"zone": "a"}},
		{ID: "ID2", Name: "n2", Attributes: map[string]string{"zone": "b"}},
		{ID: "ID3", Name: "n3", Attributes: map[string]string{"zone": "spot"}},
	}
	away := func(id, filters string) nodeDecision {
		return nodeDecision{ID: id, Decision: "no",
			Deciders: no("node matches cluster setting [cluster.routing.allocation.exclude] filters [" + filters + "]")}
	}
	free := func(id string) nodeDecision { return nodeDecision{ID: id, Decision: "yes"} }
	tests := []struct {
		name string
		set  texts
		e    explanation
		want []string
	}{
		{"all in effect", texts{pers("zone"): "spot", pers("_name"): "n2"}, started(away("ID2", `_name:"n2",zone:"spot"`), away("ID3", `_name:"n2",zone:"spot"`)), nil},
		{"spelled otherwise", texts{pers("zone"): "spot,spot"}, started(free("ID2"), away("ID3", `zone:"spot"`)), nil},
		{"zone lost by a write of _name", texts{pers("zone"): "spot", pers("_name"): "n2"}, started(away("ID2", `_name:"n2"`), free("ID3")), []string{"zone"}},
		{"all lost by taking a key away", texts{pers("zone"): "spot"}, started(free("ID2"), free("ID3")), []string{"zone"}},
		{"no node to see it on", texts{pers("zone"): "moon"}, started(free("ID2"), free("ID3")), nil},
		{"an older value in effect", texts{pers("zone"): "spot,b"}, started(free("ID2"), away("ID3", `zone:"spot"`)), []string{"zone"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.e.effect().broken(exclude, tt.set, nodes); !slices.Equal(got, tt.want) {
				t.Errorf("broken %v, want %v", got, tt.want)
			}
		})
	}
}

// Seen on 8.19.13 with exclude.zone=spot in effect: the explanation of a primary whose only
// copy was on a dead node has no deciders. It must not be read as "no filter".
func TestLostPrimaryTellsNothing(t *testing.T) {
	lost := explanation{State: "unassigned", Nodes: []nodeDecision{{ID: "ID2", Decision: "no"}, {ID: "ID3", Decision: "no"}}}
	if lost.decided() {
		t.Error("taken for a verdict")
	}
}
