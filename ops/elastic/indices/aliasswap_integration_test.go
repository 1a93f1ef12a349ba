//go:build integration

package indices

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"twokey/ops"
)

const (
	richAliases = `"plain-plain":{},"plain-rich":{"filter":{"bool":{"must":[{"term":{"kind":"k"}},{"range":{"n":{"gte":1}}}]}},"index_routing":"1","search_routing":"1,2","is_write_index":true},"plain-hid":{"is_hidden":true,"is_write_index":false}`
)

// pair makes plain-v1 with three aliases and n documents, and plain-v2 with m.
func (y yard) pair(n, m int) {
	y.t.Helper()
	y.do("PUT", "/plain-v1?wait_for_active_shards=all", `{"settings":{"number_of_replicas":0},"aliases":{`+richAliases+`}}`)
	y.do("PUT", "/plain-v2?wait_for_active_shards=all", `{"settings":{"number_of_replicas":0}}`)
	y.fill("plain-v1", n)
	y.fill("plain-v2", m)
	y.green("plain-v1,plain-v2")
}

// aliasesOf is the answer of _alias about one index, with its name taken out.
func (y yard) aliasesOf(index string) string {
	y.t.Helper()
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(y.do("GET", "/"+index+"/_alias", ""), &answer); err != nil {
		y.t.Fatal(err)
	}
	return string(answer[index])
}

const swapFlags = "from=plain-v1 to=plain-v2"

func TestRealAliasSwap(t *testing.T) {
	y := realYard(t)
	y.pair(30, 20)
	before := y.aliasesOf("plain-v1")
	op := aliasSwap{y.sites()}
	b := bench(t, op, swapFlags, "plain-plain", "plain-rich", "plain-hid")
	plan := b.Run().Plan
	if text := fmt.Sprint(plan.Warnings); !strings.Contains(text, "plain-v2 has 10 documents fewer than plain-v1.") {
		t.Errorf("warnings %s", text)
	}
	if text := fmt.Sprint(plan.Shown); !strings.Contains(text, "plain-v1: green, 30 documents, 3 fields in the mapping") || !strings.Contains(text, "routing 1 for writing, 1,2 for searching, write index") {
		t.Errorf("shown %s", text)
	}
	if p := run(t, op, b, quick, nil); p.Phase != ops.Done {
		t.Fatalf("%+v", p)
	}
	if got := y.aliasesOf("plain-v2"); got != before {
		t.Errorf("aliases on v2:\n%s\nwant\n%s", got, before)
	}
	if got := y.aliasesOf("plain-v1"); got != `{"aliases":{}}` {
		t.Errorf("aliases left on v1: %s", got)
	}
	for _, c := range b.Journal() {
		if c.State != ops.Kept {
			t.Errorf("%+v", c)
		}
	}
	if e := b.Entries()["alias plain-hid"]; *e.Before != "plain-v1 (not the write index, hidden)" || *e.After != "plain-v2 (not the write index, hidden)" {
		t.Errorf("%q, %q", *e.Before, *e.After)
	}
	back(t, op, b, quick)
	for _, c := range b.Journal() {
		if c.State != ops.Restored {
			t.Errorf("%+v", c)
		}
	}
	if got := y.aliasesOf("plain-v1"); got != before {
		t.Errorf("aliases on v1 after undo:\n%s\nwant\n%s", got, before)
	}
}

// A crash before and after each write, with the reply of the call lost too, then going on
// or cancelling.
func TestRealAliasSwapCrashes(t *testing.T) {
	y := realYard(t)
	y.pair(3, 3)
	before := y.aliasesOf("plain-v1")
	for at := 1; ; at++ {
		crashed := false
		for _, cancel := range []bool{true, false} {
			op := aliasSwap{y.sites()}
			b := bench(t, op, swapFlags, "plain-plain", "plain-rich", "plain-hid")
			b.CrashBefore(at)
			y.lose.Store(1)
			run(t, op, b, quick, func(int, ops.Progress) bool { return b.Crashed() })
			crashed = crashed || b.Crashed()
			b.Restart()
			y.lose.Store(0)
			if !cancel {
				if p := run(t, op, b, quick, nil); p.Phase != ops.Done {
					t.Fatalf("crash at %d: %+v", at, p)
				}
				if got := y.aliasesOf("plain-v2"); got != before {
					t.Errorf("crash at %d: aliases on v2 %s", at, got)
				}
			}
			for _, c := range back(t, op, b, quick) {
				if c.State != ops.Restored {
					t.Errorf("crash at %d: %+v", at, c)
				}
			}
			if got := y.aliasesOf("plain-v1"); got != before {
				t.Errorf("crash at %d: aliases on v1 %s", at, got)
			}
		}
		if !crashed {
			t.Logf("%d writes, each crashed", at-1)
			return
		}
	}
}

func TestRealAliasSwapOthers(t *testing.T) {
	y := realYard(t)
	y.pair(3, 3)
	op := aliasSwap{y.sites()}

	// Another index has the write flag by now: refused by Elasticsearch as a whole.
	b := bench(t, op, swapFlags, "plain-plain", "plain-rich")
	y.do("PUT", "/plain-v3?wait_for_active_shards=all", `{"settings":{"number_of_replicas":0}}`)
	y.do("POST", "/_aliases", `{"actions":[{"remove":{"index":"plain-v1","alias":"plain-plain"}},{"add":{"index":"plain-v3","alias":"plain-plain"}}]}`)
	p := run(t, op, b, quick, nil)
	if p.Phase != ops.Failed || !strings.Contains(p.Reason, "alias plain-plain is on neither of plain-v1 and plain-v2") || len(b.Journal()) > 0 {
		t.Errorf("%+v", p)
	}

	// After the swap somebody changes one of two: undo puts back the other alone.
	b = bench(t, op, swapFlags, "plain-rich", "plain-hid")
	if p := run(t, op, b, quick, nil); p.Phase != ops.Done {
		t.Fatalf("%+v", p)
	}
	y.do("POST", "/_aliases", `{"actions":[{"add":{"index":"plain-v2","alias":"plain-hid","is_hidden":true,"is_write_index":true}}]}`)
	got := back(t, op, b, quick)
	if e := got["alias plain-rich"]; e.State != ops.Restored || !strings.HasPrefix(*e.After, "plain-v1 (filter") {
		t.Errorf("%+v", e)
	}
	if e := got["alias plain-hid"]; e.State != ops.Left || *e.After != "on plain-v2 (write index, hidden)" {
		t.Errorf("%+v", e)
	}
}

// The call is refused while a block keeps Elasticsearch from it; nothing is half done.
func TestRealAliasSwapRefused(t *testing.T) {
	y := realYard(t)
	y.pair(3, 3)
	op := aliasSwap{y.sites()}
	b := bench(t, op, swapFlags, "plain-plain", "plain-rich")
	before := y.aliasesOf("plain-v1")
	y.do("PUT", "/plain-v2/_settings", `{"index.blocks.read_only":true}`)
	p := run(t, op, b, quick, nil)
	y.do("PUT", "/plain-v2/_settings", `{"index.blocks.read_only":null}`)
	if p.Phase != ops.Failed || !strings.Contains(p.Reason, "the call was refused and nothing was moved") {
		t.Errorf("%+v", p)
	}
	if got := y.aliasesOf("plain-v1"); got != before {
		t.Errorf("aliases %s", got)
	}
	for _, c := range back(t, op, b, quick) {
		if c.State != ops.Restored {
			t.Errorf("%+v", c)
		}
	}
	for _, tt := range []struct{ flags, alias, want string }{
		{swapFlags, "plain-rihc", "plain-v1 has no alias plain-rihc. | Did you mean plain-rich?"},
		{swapFlags, "plain-v2", "plain-v1 has no alias plain-v2."},
		{"from=plain-v2 to=plain-v1", "plain-rich", "Alias plain-rich is on plain-v1 already, and not on plain-v2."},
		{"from=plain-rich to=plain-v2", "plain-rich", "plain-rich is an alias, not an index. | Behind it: plain-v1."},
		{"from=plain-v1 to=plain-v4", "plain-rich", "staging has no index plain-v4."},
		{"from=plain-* to=plain-v2", "plain-rich", "is not the exact name of an index"},
	} {
		if _, err := op.Plan(t.Context(), asked(op, tt.flags, tt.alias)); !strings.Contains(explained(err), tt.want) {
			t.Errorf("%s %s: %s", tt.flags, tt.alias, explained(err))
		}
	}
}
