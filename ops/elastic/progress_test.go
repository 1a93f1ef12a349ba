package elastic

import (
	"strings"
	"testing"
	"testing/synctest"

	"twokey/ops"
)

// A replica leaves a node as a copy from its primary elsewhere: it counts as moving all
// the same. What is copied from the drained node for other nodes does not.
func TestProgressOfReplicasAndPrimaries(t *testing.T) {
	const index = "logs"
	for _, node := range []string{"n1", "n2", "n3"} {
		t.Run(node, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := three(t)
				s.AddIndex(index, 6, 1, 200*mb)
				replicas := 0
				copies, err := s.c.copiesOn(t.Context(), s.NodeID(node))
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range copies {
					if !c.Primary {
						replicas++
					}
				}
				b := begin(t, s.drain(), call("es drain", "", node))
				moving, polls := 0, 0
				last := drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
					if step != 1 || p.Status.Done == p.Status.Total {
						return false
					}
					polls++
					for _, l := range p.Status.Lines {
						if strings.HasPrefix(l, "Moving: "+index) {
							moving++
						}
					}
					return false
				})
				t.Logf("%s: %d of %d copies are replicas; %d of %d polls saw what moves", node, replicas, len(copies), moving, polls)
				if polls < 3 || moving < polls-1 {
					t.Errorf("%d of %d polls named what is moving; last %+v", moving, polls, last)
				}
			})
		})
	}
}

// Beside the drained node others move shards whose primary it holds: those are not its.
func TestProgressLeavesOutOthersMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.AddIndex("logs", 6, 1, 400*mb)
		top, err := s.c.Topology(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.exclude(t, "_name", "n1") // by somebody else
		for _, n := range top.Nodes {
			copies, err := s.c.copiesOn(t.Context(), n.ID)
			if err != nil {
				t.Fatal(err)
			}
			away := LeavingOf(copies, top)
			if n.Name != "n1" && len(away) > 0 || n.Name == "n1" && len(away) == 0 {
				t.Errorf("%s: leaving %v", n.Name, away)
			}
			moves, err := s.c.Moves(t.Context(), away)
			if err != nil || len(moves) != len(away) {
				t.Errorf("%s: %v, %v", n.Name, moves, err)
			}
		}
		if moves, err := s.c.Moves(t.Context(), []Leaving{{"deleted", 0, "n2"}}); err != nil || len(moves) > 0 {
			t.Errorf("of a deleted index: %v, %v", moves, err)
		}
	})
}
