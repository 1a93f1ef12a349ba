package elastic

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// five makes nodes in three zones, two of them with names that no filter could take.
func five(t *testing.T) sim {
	return newSim(t, elasticsim.Node{Name: "n1", Zone: "a"}, elasticsim.Node{Name: "n2", Zone: "b"},
		elasticsim.Node{Name: "n3", Zone: "spot"}, elasticsim.Node{Name: "hot *, 4", Zone: "a"}, elasticsim.Node{Name: "n5", Zone: "b"})
}

// Two nodes in one command, one by name and one by id, with an index created on them
// meanwhile and one of them restarted: the drain is done when both are empty.
func TestDrainOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := five(t)
		s.exclude(t, "zone", "spot")
		s.AddIndex("logs", 10, 1, 50*mb)
		s.AddIndex(".hidden-system", 4, 1, mb)
		b := begin(t, s.drain(), call("es drain", "", "n2", "hot *, 4"))
		s.AddIndex("late", 8, 0, 20*mb) // before the filter is there
		begun, away, back := time.Now(), false, false
		p := drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
			if away && !back && p.Phase == ops.Done {
				t.Errorf("done while n2 is away: %+v", p)
			}
			switch gone := time.Since(begun); { // shards without replicas have left n2 by then
			case !away && gone > 10*time.Second:
				away = true
				s.Kill("n2")
			case !back && gone > 25*time.Second:
				back = true
				s.Start("n2")
			}
			return false
		})
		if !back {
			t.Errorf("the drain ended before n2 was away and back: %+v", p)
		}
		if p.Phase != ops.Done || p.Status.Headline != "hot *, 4 and n2 hold no shard" {
			t.Fatalf("%+v; said %q", p, b.Said())
		}
		if s.Shards("n2")+s.Shards("hot *, 4")+s.Shards("n3") > 0 {
			t.Errorf("shards left: n2 %d, hot %d, n3 %d", s.Shards("n2"), s.Shards("hot *, 4"), s.Shards("n3"))
		}
		if f := s.Filter(exclude); !slices.Equal(unique(f["_name"]), []string{"n2"}) ||
			!slices.Equal(unique(f["_id"]), []string{s.NodeID("hot *, 4")}) || !slices.Equal(f["zone"], []string{"spot"}) {
			t.Errorf("in effect: %v", f)
		}
		u := undrain{s.clusters()}
		ub := begin(t, u, call("es undrain", "", "hot *, 4", "n2"))
		if p := drive(t, u, ub, nil); p.Phase != ops.Done || !maps.Equal(s.texts(t), texts{pers("zone"): "spot"}) || len(s.effectBroken(t)) > 0 {
			t.Errorf("undrain: %+v, filters %v, in effect %v", p, s.texts(t), s.Filter(exclude))
		}
	})
}

// Plans of one cluster are equal to the digest, whatever moves elsewhere, whoever is
// master, and whichever node answers.
func TestPlansAreTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := five(t)
		s.exclude(t, "_name", "n9")
		s.exclude(t, "zone", "spot")
		s.AddIndex("logs", 10, 1, 50*mb)
		plans := func() []ops.Plan {
			var list []ops.Plan
			for _, flags := range []string{"", "release", "decommission"} {
				p, err := s.drain().Plan(t.Context(), call("es drain", flags, "n2", "n5"))
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, p)
			}
			p, err := undrain{s.clusters()}.Plan(t.Context(), call("es undrain", "", "n9"))
			if err != nil {
				t.Fatal(err)
			}
			return append(list, p)
		}
		first := plans()
		for _, change := range []func(){
			func() {},
			func() { s.AddIndex("more", 5, 1, mb); time.Sleep(time.Minute) },
			func() { s.Elect("n3") },
			func() { s.Elect("n5") },
		} {
			change()
			for i, p := range plans() {
				if p.Digest() != first[i].Digest() {
					t.Errorf("%s: another digest; steps %+v, were %+v", p.Title, p.Steps, first[i].Steps)
				}
			}
		}
	})
}

// An undrain of what a drain left takes out its token in every spelling, keeps others',
// and leaves null where nothing else was.
func TestUndrainOfEverySpelling(t *testing.T) {
	for _, tt := range []struct{ before, after string }{
		{"n2", ""}, {"n2,n2", ""}, {" n2 , n2,", ""}, {"n2,n2,n2", ""},
		{"n9,n2,n2", "n9"}, {"n2,n9", "n9"}, {"n2,n9,n9", "n9,n9"}, {"n2,n*", "n*"},
	} {
		for _, zone := range []string{"", "spot"} {
			synctest.Test(t, func(t *testing.T) {
				s := three(t)
				s.AddIndex("logs", 4, 0, mb)
				settings := []string{fmt.Sprintf(`"cluster.routing.allocation.exclude._name":%q`, tt.before)}
				want := texts{}
				if tt.after != "" {
					want[pers("_name")] = tt.after
				}
				if zone != "" {
					settings = append(settings, fmt.Sprintf(`"cluster.routing.allocation.exclude.zone":%q`, zone))
					want[pers("zone")] = zone
				}
				s.put(t, `{"persistent":{`+strings.Join(settings, ",")+`}}`)
				u := undrain{s.clusters()}
				b := begin(t, u, call("es undrain", "", "n2"))
				p := drive(t, u, b, nil)
				got := s.texts(t)
				if p.Phase != ops.Done || !maps.Equal(got, want) || len(s.effectBroken(t)) > 0 {
					t.Errorf("%q, zone %q: %+v; filters %v, want %v; in effect %v", tt.before, zone, p, got, want, s.Filter(exclude))
				}
			})
		}
	}
}

// An undrain while another filter is set but not in effect puts that into effect, too.
func TestUndrainMendsWhatIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.AddIndex("logs", 4, 0, mb)
		s.exclude(t, "zone", "spot")
		s.exclude(t, "_name", "n2") // switches the zone off
		u := undrain{s.clusters()}
		b := begin(t, u, call("es undrain", "", "n2"))
		if p := drive(t, u, b, nil); p.Phase != ops.Done || !maps.Equal(s.texts(t), texts{pers("zone"): "spot"}) || len(s.effectBroken(t)) > 0 {
			t.Errorf("%+v; filters %v, in effect %v", p, s.texts(t), s.Filter(exclude))
		}
	})
}
