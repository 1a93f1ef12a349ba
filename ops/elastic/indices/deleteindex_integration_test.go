//go:build integration

package indices

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"twokey/ops"
)

func (y yard) plainIndex(name string, docs int) {
	y.t.Helper()
	y.do("PUT", "/"+name+"?wait_for_active_shards=all", `{"settings":{"number_of_replicas":0}}`)
	y.fill(name, docs)
}

func TestRealDeleteIndex(t *testing.T) {
	y := realYard(t)
	for i, name := range []string{"plain-1", "plain-2", "plain-3", "plain-4"} {
		y.plainIndex(name, 10*i)
	}
	y.green("plain-*")
	op := deleteIndex{y.sites()}
	b := bench(t, op, "confirm=3-indices", "plain-3", "plain-1", "plain-2")
	plan := b.Run().Plan
	if plan.Confirm != "3-indices" || plan.Class != ops.R3 || fmt.Sprint(plan.Targets) != "[plain-1 plain-2 plain-3]" || !strings.HasPrefix(plan.Effect, "destroys 3 indices with 30 documents (") {
		t.Fatalf("%+v", plan)
	}
	y.lose.Store(1)
	if p := run(t, op, b, quick, nil); p.Phase != ops.Done || p.Status.Headline != "3 indices are gone, read back" {
		t.Fatalf("%+v", p)
	}
	for name, want := range map[string]int{"plain-1": 404, "plain-2": 404, "plain-3": 404, "plain-4": 200} {
		if got := y.status("/" + name); got != want {
			t.Errorf("%s: %d", name, got)
		}
	}
	if e := b.Entries()["index plain-3"]; e.State != ops.Kept || !strings.HasPrefix(*e.Before, "20 documents, ") || e.After != nil {
		t.Errorf("%+v", e)
	}
	for _, c := range back(t, op, b, quick) {
		if c.State != ops.Left || c.Reason != "deleted, cannot be brought back" {
			t.Errorf("%+v", c)
		}
	}
	if one := bench(t, op, "", "plain-4").Run().Plan; one.Confirm != "plain-4" {
		t.Errorf("confirm %q", one.Confirm)
	}
}

// An index that was made again since the plan has another uuid: it stays, and so do those
// that would come after it.
func TestRealDeleteIndexRecreated(t *testing.T) {
	y := realYard(t)
	for _, name := range []string{"plain-1", "plain-2", "plain-3"} {
		y.plainIndex(name, 5)
	}
	op := deleteIndex{y.sites()}
	b := bench(t, op, "", "plain-1", "plain-2", "plain-3")
	y.do("DELETE", "/plain-2", "")
	y.plainIndex("plain-2", 7)
	p := run(t, op, b, quick, nil)
	if p.Phase != ops.Failed || !strings.Contains(p.Reason, "plain-2 was deleted and made again by somebody else since the plan") {
		t.Fatalf("%+v", p)
	}
	for _, name := range []string{"plain-1", "plain-2", "plain-3"} {
		if got := y.status("/" + name); got != 200 {
			t.Errorf("%s: %d", name, got)
		}
	}
	if len(b.Journal()) > 0 {
		t.Errorf("journal %+v", b.Journal())
	}
}

func TestRealDeleteIndexRefuses(t *testing.T) {
	y := realYard(t)
	y.plainIndex("plain-old", 5)
	y.plainIndex("plain-free", 5)
	y.do("PUT", "/plain-new", `{"settings":{"number_of_replicas":0},"mappings":{"_meta":{"owner":"us"}}}`)
	y.do("PUT", "/plain-read", `{"settings":{"number_of_replicas":0},"aliases":{"plain-al":{}}}`)
	y.do("PUT", "/plain-hid", `{"settings":{"number_of_replicas":0,"index.hidden":true}}`)
	y.do("PUT", "/plain-ro", `{"settings":{"number_of_replicas":0,"index.blocks.read_only":true}}`)
	t.Cleanup(func() { y.do("PUT", "/plain-ro/_settings", `{"index.blocks.read_only":null}`) })
	_, found, err := y.list(t.Context(), "plain-old")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	m := mark{Run: "01RUNABCDEFGH", Source: "plain-old", SourceUUID: found[0].UUID, SwappedAt: now.Add(-time.Hour), HoldUntil: now.Add(time.Hour)}
	if err := y.writeMark(t.Context(), "plain-new", m, "test"); err != nil {
		t.Fatal(err)
	}
	if got := string(y.do("GET", "/plain-new/_mapping", "")); !strings.Contains(got, `"owner":"us"`) {
		t.Errorf("others' _meta is lost: %s", got)
	}
	marks, err := y.marks(t.Context())
	if err != nil || !reflect.DeepEqual(marks["plain-new"], m) {
		t.Fatalf("%+v, %v; want %+v", marks["plain-new"], err, m)
	}
	op := deleteIndex{y.sites()}
	for _, tt := range []struct{ name, want string }{
		{"plain-ol", "staging has no index plain-ol. | Did you mean plain-old?"},
		{"plain-*", `"plain-*" is not the exact name of an index`},
		{"_all", `"_all" is not the exact name`},
		{"plain-al", "plain-al is an alias, not an index. | Behind it: plain-read."},
		{"plain-read", "plain-read is still reached through an alias: plain-al. | Move it first: es alias-swap."},
		{"plain-hid", "plain-hid is hidden; such indices are not deleted from here."},
		{"plain-ro", "plain-ro has index.blocks.read_only"},
		{"plain-old", "plain-old is held until " + m.HoldUntil.Format("2006-01-02 15:04") + " UTC: run 01RUNABCDEFGH replaced it by plain-new"},
	} {
		if _, err := op.Plan(t.Context(), asked(op, "", "plain-free", tt.name)); !strings.Contains(explained(err), tt.want) {
			t.Errorf("%s: %s", tt.name, explained(err))
		}
	}

	// A running reindex keeps its source.
	y.do("PUT", "/plain-copy", `{"settings":{"number_of_replicas":0}}`)
	y.fill("plain-free", 2000)
	task := y.do("POST", "/_reindex?wait_for_completion=false&requests_per_second=1", `{"source":{"index":["plain-f*"],"size":1},"dest":{"index":"plain-copy"}}`)
	for name, want := range map[string]string{"plain-free": "A running reindex reads plain-free", "plain-copy": "A running reindex writes to plain-copy"} {
		if _, err := op.Plan(t.Context(), asked(op, "", name)); !strings.Contains(explained(err), want) {
			t.Errorf("%s: %s", name, explained(err))
		}
	}
	y.do("POST", "/_tasks/"+strings.Split(string(task), `"`)[3]+"/_cancel?wait_for_completion=true", "")

	// The old indices of a campaign, once their time is over.
	if _, err := op.Plan(t.Context(), asked(op, "campaign=DEFGH")); !strings.Contains(explained(err), "No old index of campaign DEFGH can be deleted now. | plain-old (held until") {
		t.Error(explained(err))
	}
	m.HoldUntil = now.Add(-time.Minute)
	if err := y.writeMark(t.Context(), "plain-new", m, "test"); err != nil {
		t.Fatal(err)
	}
	b := bench(t, op, "campaign=defgh")
	if p := b.Run().Plan; p.Confirm != "defgh" || fmt.Sprint(p.Targets) != "[plain-old]" || !strings.Contains(fmt.Sprint(p.Warnings), "plain-new has 5 documents fewer than plain-old") {
		t.Errorf("confirm %q, targets %v, warnings %q", p.Confirm, p.Targets, p.Warnings)
	}
	if p := run(t, op, b, quick, nil); p.Phase != ops.Done || y.status("/plain-old") != 404 {
		t.Errorf("%+v", p)
	}
}
