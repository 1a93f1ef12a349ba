//go:build integration

package indices

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/ops"
)

// zones counts the copies of indices by the node they are on, from the cat API; those on
// their way, and those that are not started, are counted as "moving".
func (y yard) nodesOf(pattern string) map[string]int {
	y.t.Helper()
	var rows []struct{ State, Node string }
	if err := json.Unmarshal(y.do("GET", "/_cat/shards/"+pattern+"?format=json&h=state,node", ""), &rows); err != nil {
		y.t.Fatal(err)
	}
	on := map[string]int{}
	for _, r := range rows {
		if r.State != "STARTED" {
			r.Node = "moving"
		}
		on[r.Node]++
	}
	return on
}

func (y yard) mover() zoneMove { return zoneMove{y.sites(), 4 * time.Second} }

// settings are the settings of indices as text.
func (y yard) settings(pattern string) string {
	return string(y.do("GET", "/"+pattern+"/_settings?flat_settings=true&expand_wildcards=all", ""))
}

func TestRealZoneMove(t *testing.T) {
	y := realYard(t)
	for i := range 30 {
		filters := []string{
			`"index.routing.allocation.include.zone":"a"`,
			`"index.routing.allocation.require.zone":"a"`,
			`"index.routing.allocation.include.zone":["a"],"index.routing.allocation.exclude.zone":"spot,b"`,
		}[i%3]
		if i%3 == 2 {
			filters += `,"index.routing.allocation.exclude.rack":"r9"`
		}
		y.do("PUT", fmt.Sprintf("/plain-%02d", i), `{"settings":{"number_of_shards":1,"number_of_replicas":0,`+filters+`}}`)
		y.fill(fmt.Sprintf("plain-%02d", i), 20)
	}
	y.do("PUT", "/plain-closed", `{"settings":{"number_of_replicas":0,"index.routing.allocation.include.zone":"a"}}`)
	y.do("POST", "/plain-closed/_close", "")
	y.do("PUT", "/plain-hidden", `{"settings":{"number_of_replicas":0,"index.hidden":true,"index.routing.allocation.include.zone":"a"}}`)
	y.do("PUT", "/plain-spot", `{"settings":{"number_of_replicas":0,"index.routing.allocation.include.zone":"spot"}}`)
	y.green("plain-*")
	before := y.settings("plain-*")

	op := y.mover()
	b := bench(t, op, "from=a to=b", "plain-*")
	plan := b.Run().Plan
	if len(plan.Targets) != 30 || !strings.Contains(fmt.Sprint(plan.Shown), "closed: plain-closed; hidden: plain-hidden; not in zone a: plain-spot") {
		t.Fatalf("%d targets, shown %v", len(plan.Targets), plan.Shown)
	}
	began := time.Now()
	p := run(t, op, b, quick, nil)
	if p.Phase != ops.Done {
		t.Fatalf("%+v; said %q", p, b.Said())
	}
	t.Logf("30 indices in %s, %d record writes; said %q", time.Since(began).Round(time.Millisecond), b.Writes(), b.Said())
	if on := y.nodesOf("plain-*"); on["n2"] != 30 || on["moving"] > 0 {
		t.Errorf("copies are on %v", on)
	}
	for _, c := range b.Journal() {
		if c.State != ops.Kept {
			t.Errorf("%s is %s", c.Key, c.State)
		}
	}
	back(t, op, b, quick)
	for _, c := range b.Journal() {
		if c.State != ops.Restored {
			t.Errorf("after undo %s is %s: %s", c.Key, c.State, c.Reason)
		}
	}
	if after := y.settings("plain-*"); after != before {
		t.Errorf("settings after undo differ:\n%s\n%s", before, after)
	}
}

// A crash and a lost reply at the worst moments, then going on.
func TestRealZoneMoveCrashes(t *testing.T) {
	y := realYard(t)
	for _, name := range []string{"plain-1", "plain-2"} {
		y.do("PUT", "/"+name, `{"settings":{"number_of_replicas":0,"index.routing.allocation.include.zone":"a"}}`)
		y.fill(name, 20)
	}
	y.green("plain-*")
	before := y.settings("plain-*")
	for at := 1; at <= 4; at++ {
		op := y.mover()
		b := bench(t, op, "from=a to=b", "plain-*")
		y.lose.Store(1)
		b.CrashBefore(at)
		run(t, op, b, quick, func(int, ops.Progress) bool { return b.Crashed() })
		b.Restart()
		y.lose.Store(0)
		if p := run(t, op, b, quick, nil); p.Phase != ops.Done {
			t.Fatalf("crash at %d: %+v", at, p)
		}
		back(t, op, b, quick)
		if after := y.settings("plain-*"); after != before {
			t.Errorf("crash at %d: settings after undo differ:\n%s\n%s", at, before, after)
		}
		y.green("plain-*")
		if on := y.nodesOf("plain-*"); on["n1"] != 2 {
			t.Errorf("crash at %d: copies are on %v", at, on)
		}
	}
}

// What zone-move's comment says of the filters of an index: all keys of the settings are
// in effect, also those that the latest update did not name.
func TestRealIndexFilters(t *testing.T) {
	y := realYard(t)
	y.do("PUT", "/plain-f?wait_for_active_shards=all", `{"settings":{"number_of_replicas":0,"index.routing.allocation.exclude.zone":"spot"}}`)
	spelled := func() string {
		var e struct {
			Nodes []struct {
				Deciders []struct{ Decider, Explanation string }
			} `json:"node_allocation_decisions"`
		}
		if err := json.Unmarshal(y.do("POST", "/_cluster/allocation/explain", `{"index":"plain-f","shard":0,"primary":true}`), &e); err != nil {
			t.Fatal(err)
		}
		for _, n := range e.Nodes {
			for _, d := range n.Deciders {
				if d.Decider == "filter" && strings.Contains(d.Explanation, "exclude") {
					return d.Explanation
				}
			}
		}
		return ""
	}
	for _, step := range []struct {
		value string
		want  []string // in the order the server has them in, which differs from one to the next
	}{
		{`"r9"`, []string{`[rack:"r9",zone:"spot"]`, `[zone:"spot",rack:"r9"]`}},
		{`"r8"`, []string{`[rack:"r8",zone:"spot"]`, `[zone:"spot",rack:"r8"]`}},
		{`null`, []string{`[zone:"spot"]`}},
	} {
		y.do("PUT", "/plain-f/_settings", `{"index.routing.allocation.exclude.rack":`+step.value+`}`)
		if got := spelled(); !slices.ContainsFunc(step.want, func(want string) bool { return strings.Contains(got, want) }) {
			t.Errorf("after exclude.rack=%s in effect: %q, want one of %s", step.value, got, step.want)
		}
	}
	y.do("PUT", "/plain-f/_settings", `{"index.routing.allocation.include.zone":"a,b,spot"}`)
	if got := spelled(); !strings.Contains(got, `[zone:"spot"]`) {
		t.Errorf("after include.zone in effect: %q", got)
	}
}

// Nothing is written when the index' own filters would leave a copy without a home.
func TestRealZoneMoveRefuses(t *testing.T) {
	y := realYard(t)
	y.do("PUT", "/plain-r?wait_for_active_shards=all", `{"settings":{"number_of_replicas":1}}`)
	y.green("plain-r")
	on := y.nodesOf("plain-r")
	from, to := "a", "b"
	if on["n1"] == 0 {
		from, to = "b", "a"
	}
	op := y.mover()
	_, err := op.Plan(t.Context(), asked(op, "from="+from+" to="+to, "plain-r"))
	if !strings.Contains(explained(err), "it has 2 copies of each shard, and there is room for 1") {
		t.Error(explained(err))
	}
	if _, err := op.Plan(t.Context(), asked(op, "from="+from+" to="+to, "plain-none*")); !strings.Contains(explained(err), "no index that matches") {
		t.Error(explained(err))
	}
	if !maps.Equal(on, y.nodesOf("plain-r")) {
		t.Error("something moved")
	}
}
