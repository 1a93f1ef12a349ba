package indices

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// slowly is a copy by the server of 4,000 documents into an index that this run makes and
// that has no replicas meanwhile: there are 21,000 operations, which take a while.
func slowly(t *testing.T) pretend {
	s := pretended(t, elasticsim.Node{Name: "n1", Zone: "a"}, elasticsim.Node{Name: "n2", Zone: "b"}, elasticsim.Node{Name: "n3", Zone: "spot"}, elasticsim.Node{Name: "n4", Zone: "spot"})
	s.site.partSize = 4000
	s.small(t, "v1", 3, smallDocs+200)
	return s
}

// primaryOf is the node with a primary of an index; shard counts from 0.
func (s pretend) primaryOf(t *testing.T, name string, shard int) string {
	t.Helper()
	top, err := s.site.Topology(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Table struct {
			Indices map[string]struct {
				Shards map[string][]struct {
					Primary bool   `json:"primary"`
					Node    string `json:"node"`
				} `json:"shards"`
			} `json:"indices"`
		} `json:"routing_table"`
	}
	if err := s.site.Get(t.Context(), "/_cluster/state/routing_table/"+name, nil, &answer); err != nil {
		t.Fatal(err)
	}
	for _, c := range answer.Table.Indices[name].Shards[fmt.Sprint(shard)] {
		if c.Primary {
			return top.NameOf(c.Node)
		}
	}
	return ""
}

// killed carries a copy on while f is called once the server copies for a while.
func (s pretend) killed(t *testing.T, flags, said string, f func()) {
	t.Helper()
	rig := s.rig(t)
	rig.Submit(runID, asked(reindex{}, flags, "v1", "v2"))
	done := make(chan bool)
	go func() {
		defer close(done)
		within(t, time.Minute, func() bool { return len(s.Docs("v2")) > 2000 })
		f()
	}()
	run := rig.Finish(runID)
	<-done
	if run.State == ops.Paused && strings.Contains(run.Reason, "left the cluster") { // the guard asks
		if err := rig.Engine.Resume(t.Context(), runID, "UASKS"); err != nil {
			t.Fatal(err)
		}
		run = rig.Finish(runID)
	}
	succeeded(t, rig, run)
	if got, want := s.content("v2", true), s.content("v1", true); !maps.Equal(got, want) {
		t.Errorf("%d documents, want %d", len(got), len(want))
	}
	if at := s.at1(t, "v1-alias"); at != "v2" {
		t.Errorf("alias at %s", at)
	}
	s.onlyIndices(t, "v1", "v2")
	saying(t, rig, runID, said)
}

// The node that runs a task of ours dies, and has no shard of the copy: its parts are done
// again.
func TestCopyTaskKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slowly(t)
		s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["v2"],"template":{"settings":{"number_of_shards":2,"index.routing.allocation.include.zone":"spot"}}}`)
		s.killed(t, "writes=block throttle=2000", "Copied 20,200 documents", func() {
			tasks, err := s.site.tasks(t.Context(), runID)
			if err != nil || len(tasks) == 0 {
				t.Fatalf("tasks %v, %v", tasks, err)
			}
			node, _, _ := strings.Cut(tasks[0].ID, ":")
			name := "n1"
			if node != s.NodeID(name) {
				name = "n2"
			}
			if node != s.NodeID(name) {
				t.Fatal("it runs elsewhere")
			}
			s.Kill(name)
			time.Sleep(10 * time.Second)
			s.Start(name)
		})
		started := 0
		for _, w := range s.Writes() {
			if strings.HasPrefix(w.Path, "/_reindex?") && w.Status == 200 {
				started++
			}
		}
		if made := len(s.Docs("v2")); started < 3 {
			t.Errorf("%d tasks for %d documents: none was done again", started, made)
		}
	})
}

// The node with the only copy of a shard of the destination dies. It comes back in time: what
// it had is looked at again; or too late, or never: the index is made again.
func TestCopyDestinationKilled(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after time.Duration // until it is back; 0: never
		lose  bool          // its data too
		flags string
		said  string
	}{
		{"back in time", 30 * time.Second, false, "writes=catchup", "A primary shard of v2 was on a node that went away."},
		{"back too late", 10 * time.Minute, false, "writes=block", "The index is made again and copied from the start."},
		{"never", 0, false, "writes=catchup", "The index is made again and copied from the start."},
		{"back without its data", 30 * time.Second, true, "writes=block", "The index is made again and copied from the start."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := slowly(t)
				s.killed(t, "throttle=2000 "+tt.flags, tt.said, func() {
					name := s.primaryOf(t, "v2", 0)
					s.Kill(name)
					if tt.lose {
						s.LoseData(name)
					}
					if tt.after > 0 {
						time.Sleep(tt.after)
						s.Start(name)
					}
				})
			})
		})
	}
}

// A shard of the destination is lost after everything was copied, before or while it gets
// its replicas: copied again.
func TestCopyDestinationLostLate(t *testing.T) {
	for n := 1; n <= 3; n++ {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.site.LostAfter = 20 * time.Second
			s.site.partSize = 50
			s.create(t, "v0", `{}`)
			s.small(t, "v1", 2, 200)
			s.PutDoc("v1", "one", `{"n":1}`)
			if err := s.PutIndexSettings("v1", `{"index.number_of_replicas":0}`); err != nil {
				t.Fatal(err)
			}
			s.on(n, is("GET", "/_cluster/state/routing_table/v2"), func() { s.LoseShard("v2", 1) })
			rig, run := s.reindexed(t, "v1", "v2", "")
			if run.State == ops.Paused {
				rig.Engine.Resume(t.Context(), runID, "UASKS")
				run = rig.Finish(runID)
			}
			succeeded(t, rig, run)
			s.holds(t, "v2", s.content("v1", false))
		})
	}
}

// Making it again survives a crash at any write, and a lost reply to its deletion.
func TestCopyMadeAgainLostReply(t *testing.T) {
	for _, lost := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.site.LostAfter = 20 * time.Second
			s.small(t, "v1", 2, 200)
			if err := s.PutIndexSettings("v1", `{"index.number_of_replicas":0}`); err != nil {
				t.Fatal(err)
			}
			once, deleted := false, false
			s.faults(func(r *http.Request) elasticsim.Fault {
				if !once && is("GET", "/_cluster/state/routing_table/v2")(r) {
					once = true
					s.LoseShard("v2", 1)
				}
				if !deleted && is("DELETE", "/v2")(r) {
					deleted = true
					return elasticsim.Fault{LoseReply: lost, Refuse: !lost}
				}
				return elasticsim.Fault{}
			})
			rig, run := s.reindexed(t, "v1", "v2", "")
			if !deleted {
				t.Error("not made again")
			}
			succeeded(t, rig, run)
			s.holds(t, "v2", s.content("v1", false))
			s.onlyIndices(t, "v1", "v2")
		})
	}
}

func TestCopyMadeAgainCrashes(t *testing.T) {
	var s pretend
	world := func(t *testing.T) (ops.Operation, *opstest.Bench) {
		s = copying(t)
		s.site.LostAfter = 20 * time.Second
		s.small(t, "v1", 2, 60)
		op := reindex{s.sites()}
		b := bench(t, op, "writes=block", "v1", "v2")
		s.on(1, is("GET", "/_cluster/state/routing_table/v2"), func() {
			// Both copies: there is no other to be promoted.
			s.PutIndexSettings("v2", `{"index.number_of_replicas":0}`)
			s.LoseShard("v2", 1)
		})
		return op, b
	}
	n := crashed(t, 1, 2, world, func(t *testing.T, b *opstest.Bench, cancelled bool) {
		s.Intercept(nil)
		if !cancelled || s.at1(t, "v1-alias") == "v2" {
			s.holds(t, "v2", s.content("v1", false))
			s.onlyIndices(t, "v1", "v2")
			if !cancelled && !says(b, "The index is made again") {
				t.Errorf("said %q", b.Said())
			}
			return
		}
		s.onlyIndices(t, "v1")
		if s.isBlocked(t, "v1") {
			t.Error("blocked")
		}
	})
	t.Logf("%d writes", n)
}

// An index that was there is not Twokey's to make again: a person is asked.
func TestCopyExistingLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.site.LostAfter = 20 * time.Second
		s.small(t, "v1", 2, 200)
		s.create(t, "v2", `{"settings":{"number_of_replicas":0}}`)
		s.rest(t)
		s.on(1, is("GET", "/_cluster/state/routing_table/v2"), func() { s.LoseShard("v2", 0) })
		rig, run := s.reindexed(t, "v1", "v2", "")
		if run.State != ops.Paused || !strings.Contains(run.Reason, "it is not Twokey's to make again") || s.isBlocked(t, "v1") {
			t.Fatalf("%s: %s", run.State, run.Reason)
		}
		rig.Engine.Cancel(t.Context(), runID, "UASKS")
		if run = rig.Finish(runID); run.State != ops.Cancelled || s.at1(t, "v1-alias") != "v1" {
			t.Errorf("%s: %s", run.State, run.Reason)
		}
	})
}

// A node with shards of the source dies in the middle: replicas go on, with what was
// acknowledged.
func TestCopySourceKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 3, 500)
		w := s.writeTo("v1-alias", 20*time.Millisecond)
		once := false
		s.faults(func(r *http.Request) elasticsim.Fault {
			if !once && is("POST", "/v2/_bulk")(r) {
				once = true
				s.Kill("n3")
			}
			return elasticsim.Fault{Delay: 5 * time.Millisecond}
		})
		rig := s.rig(t)
		rig.Submit(runID, asked(reindex{}, "", "v1", "v2"))
		go func() {
			time.Sleep(2 * time.Minute)
			s.Start("n3")
		}()
		run := rig.Finish(runID)
		if run.State == ops.Paused {
			time.Sleep(3 * time.Minute)
			rig.Engine.Resume(t.Context(), runID, "UASKS")
			run = rig.Finish(runID)
		}
		time.Sleep(3 * time.Second)
		want := w.end()
		succeeded(t, rig, run)
		s.holds(t, "v2", want)
	})
}
