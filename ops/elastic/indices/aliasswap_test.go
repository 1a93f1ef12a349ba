package indices

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// create makes an index by its body.
func (s pretend) create(t *testing.T, name, body string) {
	t.Helper()
	if err := s.site.Write(t.Context(), "PUT", "/"+name, nil, jsonBody(body), "other"); err != nil {
		t.Fatal(err)
	}
}

// act changes aliases as somebody else would.
func (s pretend) act(t *testing.T, actions string) {
	t.Helper()
	if err := s.site.Write(t.Context(), "POST", "/_aliases", nil, jsonBody(`{"actions":[`+actions+`]}`), "other"); err != nil {
		t.Fatal(err)
	}
}

// answer lets the cluster have that many documents in each index; other requests get what
// f says of them.
func (s pretend) answer(docs map[string]int, f func(*http.Request) elasticsim.Fault) {
	s.Intercept(func(r *http.Request) elasticsim.Fault {
		if name, ok := strings.CutSuffix(r.URL.Path, "/_count"); ok {
			return elasticsim.Fault{Status: 200, Body: fmt.Sprintf(`{"count":%d,"_shards":{"failed":0}}`, docs[name[1:]])}
		}
		if f != nil {
			return f(r)
		}
		return elasticsim.Fault{}
	})
}

const v1Aliases = `"plain":{},"rich":{"filter":{"term":{"kind":"k"}},"index_routing":"1","search_routing":"1,2","is_write_index":true},"hid":{"is_hidden":true}`

// swapping has v1 with three aliases and v2 with none.
func swapping(t *testing.T) pretend {
	s := zoned(t)
	s.create(t, "v1", `{"settings":{"number_of_replicas":0},"aliases":{`+v1Aliases+`},"mappings":{"properties":{"kind":{"type":"keyword"},"n":{"type":"long"},"o":{"properties":{"x":{"type":"text","fields":{"raw":{"type":"keyword"}}}}}}}}`)
	s.create(t, "v2", `{"settings":{"number_of_replicas":0},"mappings":{"properties":{"kind":{"type":"text"},"o":{"properties":{"x":{"type":"text"}}}}}}`)
	s.create(t, "v3", `{"settings":{"number_of_replicas":0},"aliases":{"plain":{}}}`)
	s.answer(map[string]int{"v1": 10, "v2": 8}, nil)
	return s
}

// aliasTexts are an index' aliases for people.
func (s pretend) aliasTexts(t *testing.T, index string) []string {
	t.Helper()
	now, err := s.site.aliases(t.Context(), index)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{}
	for _, a := range now[index] {
		texts = append(texts, a.text())
	}
	return texts
}

var v1Texts = []string{"hid (hidden)", "plain", `rich (filter {"term":{"kind":"k"}}, routing 1 for writing, 1,2 for searching, write index)`}

const v1v2 = "from=v1 to=v2"

func TestAliasSwap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := swapping(t)
		op := aliasSwap{s.sites()}
		b := bench(t, op, v1v2, "rich", "hid", "plain")
		plan := b.Run().Plan
		want := []string{
			"v2 has 2 documents fewer than v1.",
			"v2 does not map 2 fields that v1 has: n and o.x.raw.",
			"1 field has another type in v2: kind (text, was keyword).",
			"Alias plain is on v3 too and stays there.",
		}
		if d := cmp.Diff(want, plan.Warnings); d != "" {
			t.Errorf("warnings:\n%s", d)
		}
		if len(plan.Locks) != 2 || !strings.HasPrefix(plan.Locks[0], "Elasticsearch index:") || plan.Class != ops.R2 {
			t.Errorf("%v %v", plan.Locks, plan.Class)
		}
		s.answer(map[string]int{"v1": 10, "v2": 8}, func(r *http.Request) elasticsim.Fault {
			if r.Method == http.MethodPost && len(b.Journal()) != 3 {
				t.Errorf("sent with %d entries in the journal", len(b.Journal()))
			}
			return elasticsim.Fault{}
		})
		n := len(s.Writes())
		if p := run(t, op, b, 0, nil); p.Phase != ops.Done || p.Status.Headline != "hid, plain and rich are on v2 and not on v1, read back" {
			t.Fatalf("%+v", p)
		}
		if w := s.Writes()[n:]; len(w) != 1 || w[0].OpaqueID != "01TESTRUN-0-1" {
			t.Errorf("writes %v", w)
		}
		if d := cmp.Diff(v1Texts, s.aliasTexts(t, "v2")); d != "" || len(s.aliasTexts(t, "v1")) > 0 {
			t.Errorf("on v2:\n%s; on v1 %v", d, s.aliasTexts(t, "v1"))
		}
		for key, e := range back(t, op, b, 0) {
			if e.State != ops.Restored {
				t.Errorf("%s is %s: %s", key, e.State, e.Reason)
			}
		}
		if d := cmp.Diff(v1Texts, s.aliasTexts(t, "v1")); d != "" || len(s.aliasTexts(t, "v2")) > 0 {
			t.Errorf("on v1 after undo:\n%s; on v2 %v", d, s.aliasTexts(t, "v2"))
		}
	})
}

// A crash at any write, with or without the reply of the call being lost as well, then
// going on or cancelling.
func TestAliasSwapCrashes(t *testing.T) {
	for _, lose := range []bool{true, false} {
		var s pretend
		world := func(t *testing.T) (ops.Operation, *opstest.Bench) {
			s = swapping(t)
			op := aliasSwap{s.sites()}
			b := bench(t, op, v1v2, "rich", "hid", "plain")
			first := lose
			s.answer(nil, func(r *http.Request) elasticsim.Fault {
				fault := elasticsim.Fault{LoseReply: first && r.Method == http.MethodPost}
				first = first && !fault.LoseReply
				return fault
			})
			return op, b
		}
		everyCrash(t, synctest.Test, world, func(t *testing.T, b *opstest.Bench, cancelled bool) {
			on, off, state := "v2", "v1", ops.Kept
			if cancelled {
				on, off, state = "v1", "v2", ops.Restored
			}
			if d := cmp.Diff(v1Texts, s.aliasTexts(t, on)); d != "" || len(s.aliasTexts(t, off)) > 0 {
				t.Errorf("on %s:\n%s; on %s %v", on, d, off, s.aliasTexts(t, off))
			}
			for key, e := range b.Entries() {
				if e.State != state {
					t.Errorf("%s is %s", key, e.State)
				}
			}
		})
	}
}

// A request whose reply never came may still be carried out: a cancel waits for it.
func TestAliasSwapLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := swapping(t)
		op := aliasSwap{s.sites()}
		b := bench(t, op, v1v2, "hid")
		s.answer(nil, func(r *http.Request) elasticsim.Fault {
			return elasticsim.Fault{Refuse: r.Method == http.MethodPost}
		})
		run(t, op, b, 0, func(int, ops.Progress) bool { return true })
		s.answer(nil, nil)
		step, _ := op.Step(b.Run().Plan.Steps[0])
		if p, err := b.Undo(t.Context(), 0, step); err != nil || p.Phase != ops.Waiting {
			t.Fatalf("%+v, %v; want it to wait", p, err)
		}
		s.act(t, `{"remove":{"index":"v1","alias":"hid"}},{"add":{"index":"v2","alias":"hid","is_hidden":true}}`) // there it is
		if e := back(t, op, b, 0)["alias hid"]; e.State != ops.Restored || *e.After != "v1 (hidden)" || len(s.aliasTexts(t, "v2")) > 0 {
			t.Errorf("%+v", e)
		}
	})
}

func TestAliasSwapOthers(t *testing.T) {
	for _, tt := range []struct {
		name      string
		actions   string // of somebody else
		after     bool   // the swap; else before
		reason    string
		rich, hid ops.ChangeState // empty: not in the journal
	}{
		{"one moved to v2 first", `{"remove":{"index":"v1","alias":"hid"}},{"add":{"index":"v2","alias":"hid","is_hidden":true}}`, false, "somebody else moved 1 of the 2 aliases to v2 meanwhile", "", ""},
		{"both moved to v2 first", `{"remove":{"index":"v1","alias":"hid"}},{"add":{"index":"v2","alias":"hid","is_hidden":true}},{"remove":{"index":"v1","alias":"rich"}},` +
			`{"add":{"index":"v2","alias":"rich","filter":{"term":{"kind":"k"}},"index_routing":"1","search_routing":"1,2","is_write_index":true}}`, false, "somebody else moved 2 of the 2 aliases to v2 meanwhile", "", ""},
		{"one gone first", `{"remove":{"index":"v1","alias":"hid"}}`, false, "alias hid is on neither of v1 and v2", "", ""},
		{"another filter first", `{"add":{"index":"v1","alias":"rich","filter":{"term":{"kind":"z"}}}}`, false, `alias rich is on v1 (filter {"term":{"kind":"z"}})`, "", ""},
		{"one gone after", `{"remove":{"index":"v2","alias":"hid"}}`, true, "", ops.Restored, ops.Left},
		{"one added to v1 again after", `{"add":{"index":"v1","alias":"hid","is_hidden":true}}`, true, "", ops.Restored, ops.Left},
		{"both back after", `{"remove":{"index":"v2","alias":"hid"}},{"add":{"index":"v1","alias":"hid","is_hidden":true}},{"remove":{"index":"v2","alias":"rich"}},` +
			`{"add":{"index":"v1","alias":"rich","filter":{"term":{"kind":"k"}},"index_routing":"1","search_routing":"1,2","is_write_index":true}}`, true, "", ops.Restored, ops.Restored},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := swapping(t)
				op := aliasSwap{s.sites()}
				b := bench(t, op, v1v2, "rich", "hid")
				if !tt.after {
					s.act(t, tt.actions)
				}
				p := run(t, op, b, 0, nil)
				if tt.after && p.Phase != ops.Done || !tt.after && (p.Phase != ops.Failed || !strings.Contains(p.Reason, tt.reason)) {
					t.Fatalf("%+v", p)
				}
				if tt.after {
					s.act(t, tt.actions)
				}
				got := back(t, op, b, 0)
				if got["alias rich"].State != tt.rich || got["alias hid"].State != tt.hid {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// What the card did not warn of is a reason to ask again.
func TestAliasSwapWorse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := swapping(t)
		s.answer(map[string]int{"v1": 8, "v2": 8}, nil)
		op := aliasSwap{s.sites()}
		approved, err := op.Plan(t.Context(), asked(op, v1v2, "hid"))
		if err != nil {
			t.Fatal(err)
		}
		s.answer(map[string]int{"v1": 8, "v2": 7}, nil)
		if err := s.PutIndexSettings("v2", `{"index.blocks.write":true}`); err != nil {
			t.Fatal(err)
		}
		now, err := op.Plan(t.Context(), asked(op, v1v2, "hid"))
		if err != nil || now.Digest() != approved.Digest() {
			t.Fatalf("another digest, %v", err)
		}
		want := []string{"v2 has fewer documents than v1", "v2 has index.blocks.write"}
		if d := cmp.Diff(want, ops.Worse(approved.Facts, now.Facts)); d != "" {
			t.Error(d)
		}
	})
}

func TestAliasSwapIndexGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := swapping(t)
		op := aliasSwap{s.sites()}
		b := bench(t, op, v1v2, "hid")
		if err := s.site.Write(t.Context(), "DELETE", "/v2", nil, nil, "other"); err != nil {
			t.Fatal(err)
		}
		s.create(t, "v2", `{}`)
		if p := run(t, op, b, 0, nil); p.Phase != ops.Failed || p.Reason != "v2 was deleted and made again" || len(b.Journal()) > 0 {
			t.Errorf("%+v", p)
		}
	})
}

func TestAliasSwapRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := swapping(t)
		s.create(t, ".hidden", `{}`)
		s.create(t, "ro", `{"settings":{"index.blocks.read_only":true}}`)
		op := aliasSwap{s.sites()}
		for _, tt := range []struct {
			flags string
			args  []string
			want  string
		}{
			{"from=v1", []string{"hid"}, "From which index to which?"},
			{"from=v1 to=v1", []string{"hid"}, "both v1"},
			{v1v2, nil, "No alias was named"},
			{v1v2, []string{"hib"}, "v1 has no alias hib. | Did you mean hid?"},
			{v1v2, []string{"nothing-like"}, "v1 has no alias nothing-like. | It has hid, plain and rich."},
			{"from=v2 to=v1", []string{"hid"}, "Alias hid is on v1 already, and not on v2. | There is nothing to do."},
			{"from=v1 to=v3", []string{"plain"}, "Alias plain is on v3 already, beside v1."},
			{"from=v1 to=v4", []string{"hid"}, "staging has no index v4. | Check its name."},
			{"from=rich to=v2", []string{"rich"}, "rich is an alias, not an index. | Behind it: v1."},
			{"from=v* to=v2", []string{"hid"}, "is not the exact name of an index"},
			{"from=v1 to=.hidden", []string{"hid"}, ".hidden is hidden; its aliases are not moved."},
			{"from=v1 to=ro", []string{"hid"}, "ro has index.blocks.read_only"},
		} {
			if _, err := op.Plan(t.Context(), asked(op, tt.flags, tt.args...)); !strings.Contains(explained(err), tt.want) {
				t.Errorf("%s %v: %s", tt.flags, tt.args, explained(err))
			}
		}
	})
}
