package indices

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// zoned has two nodes in each of the zones a and b, and one in c.
func zoned(t *testing.T) pretend {
	return pretended(t, elasticsim.Node{Name: "a1", Zone: "a"}, elasticsim.Node{Name: "a2", Zone: "a"},
		elasticsim.Node{Name: "b1", Zone: "b"}, elasticsim.Node{Name: "b2", Zone: "b"}, elasticsim.Node{Name: "c1", Zone: "c"})
}

func (s pretend) mover() zoneMove { return zoneMove{s.sites(), zoneStall} }

// pinned adds an index that its own filters keep where they say.
func (s pretend) pinned(t *testing.T, name string, primaries, replicas int, bytes int64, filters string) {
	t.Helper()
	s.AddIndex(name, primaries, replicas, bytes)
	if err := s.PutIndexSettings(name, filters); err != nil {
		t.Fatal(err)
	}
}

// rest lets the cluster do what it wants until nothing moves.
func (s pretend) rest(t *testing.T) {
	t.Helper()
	for range 1000 {
		h, err := s.site.Health(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if h.Relocating+h.Initializing == 0 {
			return
		}
		time.Sleep(time.Second) // the bubble's clock
	}
	t.Fatal("the cluster does not come to rest")
}

// own are an index' own allocation filters, without those of tiers.
func (s pretend) own(t *testing.T, name string) map[string]string {
	t.Helper()
	_, all, err := s.site.list(t.Context(), name)
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %v, %v", name, all, err)
	}
	found := map[string]string{}
	for k, v := range all[0].Settings {
		if rest, ok := strings.CutPrefix(k, filterPrefix); ok && !strings.HasPrefix(k, tierPrefix) {
			found[rest] = v
		}
	}
	return found
}

// at counts an index' copies by node name; those on their way are counted where they are.
func (s pretend) at(t *testing.T, name string) map[string]int {
	t.Helper()
	top, err := s.site.Topology(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	routing, err := s.site.routing(t.Context(), []string{name})
	if err != nil {
		t.Fatal(err)
	}
	on := map[string]int{}
	for _, c := range routing[name] {
		on[top.NameOf(c.Node)]++
	}
	return on
}

const (
	pinA  = `{"index.routing.allocation.include.zone":"a"}`
	other = `{"index.routing.allocation.include.zone":"c"}`
)

func TestZoneMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := zoned(t)
		s.pinned(t, "logs-1", 3, 1, 40*mb, pinA)
		s.pinned(t, "logs-2", 1, 1, 10*mb, `{"index.routing.allocation.require.zone":"a"}`)
		s.pinned(t, "logs-3", 2, 0, 10*mb, `{"index.routing.allocation.exclude.zone":"b*,c"}`)
		s.pinned(t, "logs-c", 1, 0, 10*mb, other)
		s.pinned(t, "else-1", 1, 1, 10*mb, pinA)
		s.rest(t)
		op := s.mover()
		b := bench(t, op, "from=a to=b", "logs-*")
		plan := b.Run().Plan
		if want := []string{"logs-1", "logs-2", "logs-3"}; !slices.Equal(plan.Targets, want) {
			t.Fatalf("targets %v, want %v", plan.Targets, want)
		}
		if text := fmt.Sprint(plan.Shown); !strings.Contains(text, "not in zone a: logs-c") || !strings.Contains(text, "10 a") {
			t.Errorf("shown %v", text)
		}
		if !strings.HasPrefix(plan.Effect, "moves 10 shards (") || len(plan.Locks) != 3 || plan.Estimate.High == 0 {
			t.Errorf("%q, locks %v, estimate %v", plan.Effect, plan.Locks, plan.Estimate)
		}
		timed := 0
		p := run(t, op, b, 0, func(_ int, p ops.Progress) bool {
			if p.Status.ETAHigh > 0 {
				timed++
			}
			return false
		})
		if p.Phase != ops.Done || p.Status.Headline != "Every copy of 3 indices is in zone b" || !says(b, p.Status.Headline+". Seen twice") {
			t.Fatalf("%+v; said %q", p, b.Said())
		}
		if timed == 0 {
			t.Error("no poll had an estimate of the time left")
		}
		for name, want := range map[string]map[string]string{
			"logs-1": {"include.zone": "b"},
			"logs-2": {"include.zone": "b", "require.zone": "b"},
			"logs-3": {"include.zone": "b", "exclude.zone": "c"},
			"logs-c": {"include.zone": "c"},
			"else-1": {"include.zone": "a"},
		} {
			if got := s.own(t, name); !maps.Equal(got, want) {
				t.Errorf("%s has %v, want %v", name, got, want)
			}
			on := s.at(t, name)
			if strings.HasPrefix(name, "logs-") && name != "logs-c" && (on["a1"]+on["a2"]+on["c1"] > 0 || on["b1"] == 0) {
				t.Errorf("%s is on %v", name, on)
			}
		}
		for _, c := range b.Journal() {
			if c.State != ops.Kept {
				t.Errorf("%s is %s", c.Key, c.State)
			}
		}
		for _, w := range s.Writes() {
			if !strings.HasPrefix(w.OpaqueID, "01TESTRUN-0-") {
				t.Errorf("write %s with token %q", w.Body, w.OpaqueID)
			}
		}
		got := back(t, op, b, 0)
		for key, want := range map[string]*string{"logs-1 include": ptr("a"), "logs-2 require": ptr("a"), "logs-2 include": nil, "logs-3 exclude": ptr("b*,c")} {
			if e := got[key]; e.State != ops.Restored || !same(e.After, want) {
				t.Errorf("after undo %s: %+v", key, e)
			}
		}
	})
}

func TestZoneMoveGoal(t *testing.T) {
	for _, tt := range []struct {
		has  string // settings of the index, without the prefix
		to   string
		want string
	}{
		{"", "b", "include.zone=b"},
		{"include.zone=b", "b", ""},
		{"include.zone=a,b", "b", "include.zone=b"},
		{"include.zone=c,b", "b c", ""},
		{`include.zone=["b"]`, "b", ""},
		{"include.zone=", "b", "include.zone=b"},
		{"include.zone=b exclude.zone=a", "b", ""},
		{"include.zone=b exclude.zone=a,b", "b", "exclude.zone=a"},
		{"include.zone=b exclude.zone=b", "b", "exclude.zone-"},
		{"include.zone=b exclude.zone=*", "b", "exclude.zone-"},
		{"include.zone=b require.zone=a", "b", "require.zone=b"},
		{"include.zone=b require.zone=b", "b", ""},
		{"include.zone=b,c require.zone=b", "b c", "require.zone-"},
		{"include.rack=r1 exclude.rack=r2", "b", "include.zone=b"},
	} {
		z := zone{attr: "zone", to: strings.Fields(tt.to)}
		x := listed{Settings: map[string]string{}}
		for f := range strings.FieldsSeq(tt.has) {
			k, v, _ := strings.Cut(f, "=")
			x.Settings[filterPrefix+k] = v
		}
		c := z.goal(x)
		var got []string
		for _, k := range slices.Sorted(maps.Keys(c)) {
			if c[k] == nil {
				got = append(got, strings.TrimPrefix(k, filterPrefix)+"-")
			} else {
				got = append(got, strings.TrimPrefix(k, filterPrefix)+"="+*c[k])
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q to %s: %q, want %q", tt.has, tt.to, got, tt.want)
		}
		if again := z.goal(x.after(c)); len(again) > 0 {
			t.Errorf("%q to %s: the goal has a goal of its own: %v", tt.has, tt.to, again)
		}
	}
}

func TestZoneMoveRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, flags, pattern string
		world                func(*testing.T, pretend)
		want                 []string
	}{
		{"no index", "from=a to=b", "none-*", nil, []string{"no index that matches none-*"}},
		{"unknown zone", "from=a to=z", "logs", nil, []string{"No data node of staging has zone=z", "There is zone a, b and c."}},
		{"same zone", "from=a,b to=b", "logs", nil, []string{"in common"}},
		{"no zone", "from=a", "logs", nil, []string{"From which zone to which?"}},
		{"other attribute", "from=a to=b attr=rack", "logs", nil, []string{"rack=a"}},
		{"there already", "from=b to=a", "logs", nil, []string{"Nothing to move", "In zone a already: logs"}},
		{"elsewhere", "from=b to=c", "logs", nil, []string{"Nothing to move", "Not in zone b: logs"}},
		{"hidden", "from=a to=b", ".logs", func(t *testing.T, s pretend) { s.pinned(t, ".logs", 1, 0, mb, pinA) }, []string{"Nothing to move", "Hidden: .logs"}},
		{"too many copies", "from=a to=c", "logs", nil, []string{"logs cannot move to zone c: it has 2 copies of each shard, and there is room for 1, on c1", ",-logs at the end"}},
		{"awareness", "from=a to=b", "logs", func(t *testing.T, s pretend) {
			s.set(t, `{"persistent":{"cluster.routing.allocation.awareness.attributes":"zone"}}`)
		}, []string{"allocation awareness by zone allows 1"}},
		{"forced awareness", "from=a to=b", "logs", func(t *testing.T, s pretend) {
			s.set(t, `{"persistent":{"cluster.routing.allocation.awareness.attributes":"zone","cluster.routing.allocation.awareness.force.zone.values":"a,b"}}`)
		}, []string{"allocation awareness by zone allows 1"}},
		{"total shards per node", "from=a to=b", "logs", func(t *testing.T, s pretend) {
			if err := s.PutIndexSettings("logs", `{"index.routing.allocation.total_shards_per_node":2}`); err != nil {
				t.Fatal(err)
			}
		}, []string{"total_shards_per_node is 2, which leaves room for 4 of its 6 copies"}},
		{"another include", "from=a to=b", "logs", func(t *testing.T, s pretend) {
			if err := s.PutIndexSettings("logs", `{"index.routing.allocation.include._name":"a1,a2"}`); err != nil {
				t.Fatal(err)
			}
		}, []string{"Nothing to move", "With include._name set"}},
		{"the index' own exclusion of nodes", "from=a to=b", "logs", func(t *testing.T, s pretend) {
			if err := s.PutIndexSettings("logs", `{"index.routing.allocation.exclude._name":"b1,b2"}`); err != nil {
				t.Fatal(err)
			}
		}, []string{"logs cannot move to zone b: exclude._name=b1,b2 keeps shards off b2"}},
		{"the cluster's exclusion", "from=a to=b", "logs", func(t *testing.T, s pretend) {
			s.set(t, `{"persistent":{"cluster.routing.allocation.exclude.zone":"b"}}`)
		}, []string{"logs cannot move to zone b: exclude.zone=b keeps shards off b2"}},
		{"one of the two nodes excluded", "from=a to=b", "logs", func(t *testing.T, s pretend) {
			s.set(t, `{"persistent":{"cluster.routing.allocation.exclude._name":"b1"}}`)
		}, []string{"room for 1, on b2"}},
		{"blocked", "from=a to=b", "logs", func(t *testing.T, s pretend) {
			if err := s.PutIndexSettings("logs", `{"index.blocks.read_only":true}`); err != nil {
				t.Fatal(err)
			}
		}, []string{"index.blocks.read_only"}},
		{"allocation off", "from=a to=b", "logs", func(t *testing.T, s pretend) {
			s.set(t, `{"persistent":{"cluster.routing.allocation.enable":"none"}}`)
		}, []string{"No shard moves"}},
		{"red", "from=a to=b", "logs", func(t *testing.T, s pretend) {
			s.AddIndex("single", 1, 0, mb)
			s.LoseShard("single", 0)
		}, []string{"staging is red"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := zoned(t)
				s.pinned(t, "logs", 3, 1, mb, pinA)
				s.rest(t)
				if tt.world != nil {
					tt.world(t, s)
				}
				op := s.mover()
				_, err := op.Plan(t.Context(), asked(op, tt.flags, tt.pattern))
				for _, part := range tt.want {
					if !strings.Contains(explained(err), part) {
						t.Errorf("%s\nwant %q", explained(err), part)
					}
				}
			})
		})
	}
}

func (s pretend) set(t *testing.T, body string) {
	t.Helper()
	if err := s.PutSettings(body); err != nil {
		t.Fatal(err)
	}
}

// A crash at any write, then either going on or cancelling, ends with each index' own
// filters as they should be.
func TestZoneMoveCrashes(t *testing.T) {
	filters := map[string]string{
		"logs-1": pinA,
		"logs-2": `{"index.routing.allocation.include.zone":["a","x"],"index.routing.allocation.require.zone":"a"}`,
		"logs-3": `{"index.routing.allocation.exclude.zone":"b,c","index.routing.allocation.include.zone":""}`,
	}
	var s pretend
	var before map[string]map[string]string
	world := func(t *testing.T) (ops.Operation, *opstest.Bench) {
		s, before = zoned(t), map[string]map[string]string{}
		for name, f := range filters {
			s.pinned(t, name, 1, 0, mb, f)
		}
		s.rest(t)
		for name := range filters {
			before[name] = s.own(t, name)
		}
		return s.mover(), bench(t, s.mover(), "from=a to=b", "logs-*")
	}
	everyCrash(t, synctest.Test, world, func(t *testing.T, b *opstest.Bench, cancelled bool) {
		for name := range filters {
			got := s.own(t, name)
			if cancelled && !maps.Equal(got, before[name]) {
				t.Errorf("%s has %v, want %v", name, got, before[name])
			}
			if !cancelled && got["include.zone"] != "b" {
				t.Errorf("%s has %v", name, got)
			}
		}
		want := map[bool]ops.ChangeState{true: ops.Restored, false: ops.Kept}[cancelled]
		for _, c := range b.Journal() {
			if c.State != want {
				t.Errorf("%s is %s", c.Key, c.State)
			}
		}
	})
}

// A reply that is lost is settled by reading, and the same write is not sent again.
func TestZoneMoveLostReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := zoned(t)
		s.pinned(t, "logs", 1, 0, mb, pinA)
		s.rest(t)
		b := bench(t, s.mover(), "from=a to=b", "logs")
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if r.Method != http.MethodPut {
				return elasticsim.Fault{}
			}
			if e, ok := b.Entry("logs include"); !ok || e.State != ops.Intended {
				t.Errorf("%s before its intent was in the journal", r.URL.Path)
			}
			return elasticsim.Fault{LoseReply: true}
		})
		if p := run(t, s.mover(), b, 0, nil); p.Phase != ops.Done {
			t.Fatalf("%+v", p)
		}
		if n := len(s.Writes()); n != 1 {
			t.Errorf("%d writes", n)
		}
		if e, _ := b.Entry("logs include"); e.State != ops.Kept {
			t.Errorf("%+v", e)
		}
	})
}

// A cancel does not believe that a write whose reply never came was not made, until it
// cannot be made any more.
func TestZoneMoveLateWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := zoned(t)
		s.pinned(t, "logs", 1, 0, mb, pinA)
		s.rest(t)
		b := bench(t, s.mover(), "from=a to=b", "logs")
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if r.Method == http.MethodPut {
				return elasticsim.Fault{Refuse: true}
			}
			return elasticsim.Fault{}
		})
		step, _ := s.mover().Step(b.Run().Plan.Steps[0])
		if err := b.Start(t.Context(), 0, step); err == nil {
			t.Fatal("the write was not refused")
		}
		s.Intercept(nil)
		p, err := b.Undo(t.Context(), 0, step)
		if err != nil || p.Phase != ops.Waiting {
			t.Fatalf("%+v, %v; want it to wait", p, err)
		}
		if err := s.PutIndexSettings("logs", `{"index.routing.allocation.include.zone":"b"}`); err != nil { // there it is
			t.Fatal(err)
		}
		if e := back(t, s.mover(), b, 0)["logs include"]; e.State != ops.Restored {
			t.Errorf("%+v", e)
		}
		if got := s.own(t, "logs")["include.zone"]; got != "a" {
			t.Errorf("include.zone is %q", got)
		}
	})
}

// What somebody else writes meanwhile is asked about, and never overwritten by undo.
func TestZoneMoveOthersWrite(t *testing.T) {
	for _, resume := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := zoned(t)
			s.pinned(t, "logs-1", 2, 0, 200*mb, pinA)
			s.pinned(t, "logs-2", 2, 0, 200*mb, pinA)
			s.rest(t)
			b := bench(t, s.mover(), "from=a to=b", "logs-*")
			run(t, s.mover(), b, 0, func(step int, p ops.Progress) bool { return step == 1 })
			if err := s.PutIndexSettings("logs-1", other); err != nil {
				t.Fatal(err)
			}
			b.Change(func(r *ops.Run) { r.Step = 1 })
			p := run(t, s.mover(), b, 0, nil)
			if p.Phase != ops.Blocked || !strings.Contains(p.Reason, `Somebody changed the filters of logs-1 meanwhile: index.routing.allocation.include.zone of logs-1 is "c"`) {
				t.Fatalf("%+v", p)
			}
			if resume {
				if p := run(t, s.mover(), b, 0, nil); p.Phase != ops.Done || s.own(t, "logs-1")["include.zone"] != "b" {
					t.Fatalf("%+v, %v", p, s.own(t, "logs-1"))
				}
				if got := back(t, s.mover(), b, 0); got["logs-1 include"].State != ops.Restored || *got["logs-1 include"].After != "a" {
					t.Errorf("%+v", got["logs-1 include"])
				}
				return
			}
			got := back(t, s.mover(), b, 0)
			if e := got["logs-1 include"]; e.State != ops.Left || *e.After != "c" || e.Reason == "" {
				t.Errorf("%+v", e)
			}
			if e := got["logs-2 include"]; e.State != ops.Restored || *e.After != "a" {
				t.Errorf("%+v", e)
			}
		})
	}
}

// An index that is deleted, or deleted and made again, is left out and said so; the one
// that took its name is not written to.
func TestZoneMoveIndexGone(t *testing.T) {
	for _, early := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := zoned(t)
			for _, name := range []string{"logs-1", "logs-2", "logs-3"} {
				s.pinned(t, name, 2, 0, 200*mb, pinA)
			}
			s.rest(t)
			b := bench(t, s.mover(), "from=a to=b", "logs-*")
			if !early {
				run(t, s.mover(), b, 0, func(step int, p ops.Progress) bool { return step == 1 })
				b.Change(func(r *ops.Run) { r.Step = 1 })
			}
			for _, name := range []string{"logs-1", "logs-2"} {
				if err := s.site.Write(t.Context(), "DELETE", "/"+name, nil, nil, "other"); err != nil {
					t.Fatal(err)
				}
			}
			s.pinned(t, "logs-2", 1, 0, mb, pinA)
			p := run(t, s.mover(), b, 0, nil)
			if p.Phase != ops.Done || p.Status.Headline != "Every copy of logs-3 is in zone b" {
				t.Fatalf("%+v", p)
			}
			if !says(b, "logs-1 is left out: it was deleted meanwhile.") || !says(b, "logs-2 is left out: it was deleted and made again meanwhile.") {
				t.Errorf("said %q", b.Said())
			}
			if got := s.own(t, "logs-2")["include.zone"]; got != "a" {
				t.Errorf("the new logs-2 has include.zone=%s", got)
			}
			for _, c := range b.Journal() {
				if c.State != ops.Kept || c.Key != "logs-3 include" && c.Reason == "" {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// A node that leaves stops all writing until it is back.
func TestZoneMoveHoldsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := zoned(t)
		s.pinned(t, "logs", 1, 1, mb, pinA)
		s.rest(t)
		b := bench(t, s.mover(), "from=a to=b", "logs")
		s.Kill("c1")
		var p ops.Progress
		n := 0
		run(t, s.mover(), b, 0, func(_ int, now ops.Progress) bool { p = now; n++; return n == 5 })
		if p.Phase != ops.Waiting || !strings.Contains(p.Status.Headline, "Holding still: c1 left the cluster") || len(s.Writes()) > 0 {
			t.Fatalf("%+v, writes %v", p, s.Writes())
		}
		s.Start("c1")
		killed := false
		run(t, s.mover(), b, 0, func(step int, now ops.Progress) bool {
			p = now
			if step == 1 && !killed {
				s.Kill("c1")
				killed, n = true, 0
			}
			n++
			return killed && n == 20
		})
		if p.Phase != ops.Waiting || len(p.Status.Lines) == 0 || p.Status.Lines[0] != "Holding still: c1 left the cluster" {
			t.Fatalf("%+v", p)
		}
		s.Start("c1")
		b.Change(func(r *ops.Run) { r.Step = 1 })
		if p := run(t, s.mover(), b, 0, nil); p.Phase != ops.Done {
			t.Fatalf("%+v", p)
		}
	})
}

// A copy that has no room says why, once.
func TestZoneMoveStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := pretended(t, elasticsim.Node{Name: "a1", Zone: "a"}, elasticsim.Node{Name: "b1", Zone: "b", DiskBytes: 100 * mb})
		s.pinned(t, "logs", 1, 0, 200*mb, pinA)
		s.rest(t)
		b := bench(t, s.mover(), "from=a to=b", "logs")
		if text := fmt.Sprint(b.Run().Plan.Warnings); !strings.Contains(text, "below the low watermark, less than the") {
			t.Errorf("warnings %s", text)
		}
		var p ops.Progress
		n := 0
		run(t, s.mover(), b, 0, func(_ int, now ops.Progress) bool { p = now; n++; return n == 40 })
		const why = "a1: logs[0] (primary) cannot leave. b1: its disk would go over the watermark."
		if p.Phase != ops.Waiting || !says(b, why) || strings.Count(strings.Join(b.Said(), "\n"), why) != 1 {
			t.Errorf("%+v; said %q", p, b.Said())
		}
		if strings.Count(strings.Join(p.Status.Lines, "\n"), why) != 1 {
			t.Errorf("lines %q", p.Status.Lines)
		}
	})
}

// Hundreds of indices take a few requests to write, and a poll's answer grows with what
// is left, not with what is done.
func TestZoneMoveHundreds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 400
		s := zoned(t)
		for i := range many {
			s.pinned(t, fmt.Sprintf("logs-%04d", i), 1, 0, mb, pinA)
		}
		s.pinned(t, "logs-zz", 1, 0, 2000*mb, pinA) // which takes longer than all others
		s.rest(t)
		b := bench(t, s.mover(), "from=a to=b", "logs-*")
		const route = "GET /_cluster/state/{metrics}/{names}"
		was, polled, least := s.Traffic()[route], 0, int64(1<<62)
		writes := b.Writes()
		p := run(t, s.mover(), b, 0, func(step int, p ops.Progress) bool {
			now := s.Traffic()[route]
			if step == 1 && p.Phase == ops.Waiting && strings.HasPrefix(p.Status.Headline, fmt.Sprintf("%d of", many)) {
				polled++
				least = min(least, now.Bytes-was.Bytes)
			}
			was = now
			return false
		})
		if p.Phase != ops.Done || len(b.Journal()) != many+1 {
			t.Fatalf("%+v, %d entries", p, len(b.Journal()))
		}
		if n := len(s.Writes()); n > 6 {
			t.Errorf("%d requests wrote %d indices", n, many+1)
		}
		t.Logf("%d requests wrote; %d record writes; a poll with one index left read %d bytes of routing", len(s.Writes()), b.Writes()-writes, least)
		if polled == 0 || least > 2000 {
			t.Errorf("%d polls with one index left, %d bytes of routing at least", polled, least)
		}
		back(t, s.mover(), b, 0)
		for _, c := range b.Journal() {
			if c.State != ops.Restored {
				t.Fatalf("%s is %s", c.Key, c.State)
			}
		}
	})
}

// A copy that comes to be after everything was seen in place once, is waited for too: it
// counts when it is started.
func TestZoneMoveLooksTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := zoned(t)
		s.pinned(t, "logs", 1, 0, 100*mb, pinA)
		s.rest(t)
		b := bench(t, s.mover(), "from=a to=b", "logs")
		once := false
		p := run(t, s.mover(), b, 0, func(_ int, p ops.Progress) bool {
			if !once && strings.HasPrefix(p.Status.Headline, "Every copy seen") {
				once = true
				if err := s.PutIndexSettings("logs", `{"index.number_of_replicas":1}`); err != nil {
					t.Fatal(err)
				}
			}
			return false
		})
		routing, err := s.site.routing(t.Context(), []string{"logs"})
		if err != nil || p.Phase != ops.Done {
			t.Fatalf("%+v, %v", p, err)
		}
		on := s.at(t, "logs")
		for _, c := range routing["logs"] {
			if c.State != "STARTED" || on["b1"] != 1 || on["b2"] != 1 {
				t.Errorf("done with a copy %+v; on %v", c, on)
			}
		}
	})
}
