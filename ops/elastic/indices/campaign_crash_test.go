package indices

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// A crash at any write of a campaign of three indices, one of which has a document that does
// not fit: the same end, or what was in work is undone.
func TestCampaignCrashes(t *testing.T) {
	for _, flags := range []string{"to=v2_* at-once=1", "to=v2_* at-once=1 quarantine=true", "to=v2_* at-once=3"} {
		every := 3
		if !strings.Contains(flags, "quarantine") {
			every = 5
		}
		t.Run(flags, func(t *testing.T) {
			var s pretend
			world := func(t *testing.T) (ops.Operation, *opstest.Bench) {
				s = copying(t)
				s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["v2_*"],"template":{"settings":{"number_of_replicas":1},"mappings":{"properties":{"at":{"type":"date"}}}}}`)
				s.olds(t, 20, 10, 15)
				s.PutDoc("v1_01", "unfit", `{"at":"soon"}`)
				s.ask(t, "POST", "/v1_01/_refresh", "")
				op := campaign{s.sites()}
				b := bench(t, op, flags, "v1_*")
				var late atomic.Bool // requests come from several goroutines
				s.faults(func(r *http.Request) elasticsim.Fault {
					if is("GET", "/_cluster/state/routing_table/v2_00")(r) && late.CompareAndSwap(false, true) {
						s.PutDoc("v1_00", "late", `{"n":1}`)
						s.DeleteDoc("v1_00", numbered(4))
					}
					return elasticsim.Fault{}
				})
				return op, b
			}
			failing := !strings.Contains(flags, "quarantine")
			for at := 1; ; at += every {
				over := false
				for way := range 4 {
					lost, cancel := way%2 == 0, way/2 == 0
					synctest.Test(t, func(t *testing.T) {
						op, b := world(t)
						b.Crash(at, lost)
						run(t, op, b, 0, func(int, ops.Progress) bool { return b.Crashed() })
						over = !b.Crashed()
						b.Restart()
						if cancel {
							back(t, op, b, 0)
						} else if p := run(t, op, b, 0, nil); failing && (p.Phase != ops.Blocked || !strings.HasPrefix(p.Reason, "2 of 3 indices moved; 1 failed, the first: v1_01: 1 document of v1_01")) || !failing && p.Phase != ops.Done {
							t.Errorf("%+v", p)
						}
						s.Intercept(nil)
						s.endedWell(t, b, cancel, failing)
					})
					if t.Failed() {
						t.Fatalf("crash at write %d, lost %v, cancelled %v", at, lost, cancel)
					}
				}
				if over {
					t.Logf("%d writes", at)
					return
				}
			}
		})
	}
}

// endedWell checks each of the three indices: moved as a whole, or untouched.
func (s pretend) endedWell(t *testing.T, b *opstest.Bench, cancelled, failing bool) {
	t.Helper()
	want := []string{"v1_00", "v1_01", "v1_02"}
	moved := 0
	for i := range 3 {
		from, to := fmt.Sprintf("v1_%02d", i), fmt.Sprintf("v2_%02d", i)
		if s.at1(t, from+"-alias") != to {
			s.hasNotMoved(t, i)
			continue
		}
		moved++
		want = append(want, to)
		docs := s.content(from, false)
		if i == 1 {
			want = append(want, to+"-refused")
			delete(docs, "unfit")
		}
		s.holds(t, to, docs)
		if !s.isBlocked(t, from) {
			t.Errorf("%s takes writes", from)
		}
	}
	if full := 3; !cancelled {
		if failing {
			full = 2
		}
		if moved != full {
			t.Errorf("%d moved", moved)
		}
	}
	s.onlyIndices(t, want...)
	for _, e := range b.Journal() {
		state := map[bool]ops.ChangeState{true: ops.Left, false: ops.Restored}[moved > 0]
		if cancelled && e.State != state && e.State != ops.Kept || !cancelled && !failing && e.State != ops.Kept {
			t.Errorf("%d moved: %+v", moved, e)
		}
	}
}

// A campaign of 300 indices: the run's record stays small, and so do its parts; it is
// carried on by another process after every call.
func TestCampaignOfHundreds(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		const n = 300
		for i := range n {
			name := fmt.Sprintf("v1_%03d", i)
			s.create(t, name, fmt.Sprintf(`{"settings":{"number_of_replicas":0},"aliases":{"customer-%03d":{}}}`, i))
			s.PutDoc(name, "a", `{"n":1}`)
			s.PutDoc(name, "b", `{"n":2}`)
		}
		s.rest(t)
		op := campaign{s.sites()}
		b := bench(t, op, "to=v2_* at-once=20 max-impact=full", "v1_*")
		largest, part := 0, 0
		p := run(t, op, b, 0, func(int, ops.Progress) bool {
			raw, err := json.Marshal(b.Run())
			if err != nil {
				t.Fatal(err)
			}
			largest = max(largest, len(raw))
			for key, p := range b.Parts() {
				if key != campaignPart {
					part = max(part, len(p))
				}
			}
			return false
		})
		if p.Phase != ops.Done {
			t.Fatalf("%+v", p)
		}
		for i := range n {
			from, to := fmt.Sprintf("v1_%03d", i), fmt.Sprintf("v2_%03d", i)
			if s.at1(t, fmt.Sprintf("customer-%03d", i)) != to || len(s.Docs(to)) != 2 {
				t.Errorf("%s did not move", from)
			}
		}
		t.Logf("figure: campaign of %d indices: record %d bytes, largest part %d, the campaign's own %d, %d writes", n, largest, part, len(b.Parts()[campaignPart]), b.Writes())
		if largest > 64<<10 {
			t.Errorf("the record has %d bytes", largest)
		}
		if part > 8<<10 {
			t.Errorf("a part has %d bytes", part)
		}
	})
}

// The node that writes the new indices is lost: those that were moved out are left alone,
// those that were not are made again.
func TestCampaignNodeLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pretended(t, elasticsim.Node{Name: "n1", Zone: "a"}, elasticsim.Node{Name: "n2", Zone: "b"}, elasticsim.Node{Name: "n3", Zone: "spot"}, elasticsim.Node{Name: "n4", Zone: "spot"})
		s.site.LostAfter = 20 * time.Second
		s.olds(t, 300, 300, 300, 300, 300, 300)
		rig := s.rig(t)
		rig.Submit(runID, asked(campaign{}, "to=v2_* at-once=2 throttle=60 indexing-zone=spot production-zones=a,b", "v1_*"))
		var done int
		go func() {
			within(t, 10*time.Minute, func() bool { return len(s.Docs("v2_02")) > 50 })
			for i := range 6 {
				if s.at1(t, fmt.Sprintf("v1_%02d-alias", i)) == fmt.Sprintf("v2_%02d", i) {
					done++
				}
			}
			name := s.primaryOf(t, "v2_02", 0)
			s.Kill(name)
			s.LoseData(name)
		}()
		run := rig.Finish(runID)
		succeeded(t, rig, run)
		s.hasMoved(t, 0, 1, 2, 3, 4, 5)
		again := strings.Count(told(rig, runID), "The index is made again")
		if done == 0 || again == 0 || again > 2 {
			t.Errorf("%d were done, %d made again", done, again)
		}
		for i := range 6 {
			for node := range s.at(t, fmt.Sprintf("v2_%02d", i)) {
				if node == "n3" || node == "n4" {
					t.Errorf("v2_%02d is on %s", i, node)
				}
			}
			if own := s.own(t, fmt.Sprintf("v1_%02d", i)); own["exclude.zone"] != "" {
				t.Errorf("v1_%02d: %v", i, own)
			}
		}
	})
}
