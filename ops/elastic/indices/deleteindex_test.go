package indices

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// doomed has the indices old-1 to old-4.
func doomed(t *testing.T) pretend {
	s := zoned(t)
	for i := range 4 {
		s.create(t, fmt.Sprintf("old-%d", i+1), `{"settings":{"number_of_replicas":0}}`)
	}
	s.idle(nil)
	return s
}

// idle lets no reindex run, except those whose descriptions are given.
func (s pretend) idle(f func(*http.Request) elasticsim.Fault, tasks ...string) {
	var list []string
	for i, d := range tasks {
		list = append(list, fmt.Sprintf(`"n:%d":{"description":%q}`, i, d))
	}
	s.Intercept(func(r *http.Request) elasticsim.Fault {
		switch {
		case r.URL.Path == "/_tasks":
			return elasticsim.Fault{Status: 200, Body: `{"nodes":{"n":{"tasks":{` + strings.Join(list, ",") + `}}}}`}
		case f != nil:
			return f(r)
		}
		return elasticsim.Fault{}
	})
}

// names are all indices.
func (s pretend) names(t *testing.T) []string {
	t.Helper()
	_, all, err := s.site.list(t.Context(), "*")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range all {
		names = append(names, x.Name)
	}
	return names
}

func (s pretend) uuidOf(t *testing.T, name string) string {
	t.Helper()
	_, x, err := s.site.exact(t.Context(), name)
	if err != nil {
		t.Fatal(explained(err))
	}
	return x.UUID
}

// remove deletes an index as somebody else would.
func (s pretend) remove(t *testing.T, name string) {
	t.Helper()
	if err := s.site.Write(t.Context(), "DELETE", "/"+name, nil, nil, "other"); err != nil {
		t.Fatal(err)
	}
}

func TestDeleteIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := doomed(t)
		op := deleteIndex{s.sites()}
		b := bench(t, op, "confirm=3-indices", "old-3", "old-1", "old-2", "old-1")
		plan := b.Run().Plan
		if plan.Confirm != "3-indices" || plan.Class != ops.R3 || len(plan.Locks) != 3 || plan.Steps[0].Params[paramIndex+"old-2"] != s.uuidOf(t, "old-2") {
			t.Errorf("%+v", plan)
		}
		s.idle(func(r *http.Request) elasticsim.Fault {
			if r.Method == http.MethodDelete {
				if e, ok := b.Entry(indexKey(r.URL.Path[1:])); !ok || e.State != ops.Intended || !strings.Contains(*e.Before, "uuid ") {
					t.Errorf("DELETE %s with %+v in the journal", r.URL.Path, e)
				}
			}
			return elasticsim.Fault{}
		})
		if p := run(t, op, b, 0, nil); p.Phase != ops.Done || p.Status.Headline != "3 indices are gone, read back" {
			t.Fatalf("%+v", p)
		}
		if got := s.names(t); !slices.Equal(got, []string{"old-4"}) {
			t.Errorf("left: %v", got)
		}
		for key, e := range b.Entries() {
			if e.State != ops.Kept || e.After != nil || e.Reason != "deleted" {
				t.Errorf("%s: %+v", key, e)
			}
		}
	})
}

// A crash at any write, with the reply to the second deletion being lost as well, then
// going on or cancelling.
func TestDeleteIndexCrashes(t *testing.T) {
	var s pretend
	world := func(t *testing.T) (ops.Operation, *opstest.Bench) {
		s = doomed(t)
		op := deleteIndex{s.sites()}
		b := bench(t, op, "", "old-1", "old-2", "old-3")
		first := true
		s.idle(func(r *http.Request) elasticsim.Fault {
			fault := elasticsim.Fault{LoseReply: first && r.Method == http.MethodDelete && r.URL.Path == "/old-2"}
			first = first && !fault.LoseReply
			return fault
		})
		return op, b
	}
	everyCrash(t, synctest.Test, world, func(t *testing.T, b *opstest.Bench, cancelled bool) {
		left := s.names(t)
		if !cancelled && !slices.Equal(left, []string{"old-4"}) {
			t.Errorf("left: %v", left)
		}
		for key, e := range b.Entries() {
			want := ops.Kept
			if cancelled {
				want = ops.Left
				if slices.Contains(left, strings.TrimPrefix(key, "index ")) {
					want = ops.Restored
				}
			}
			if e.State != want || e.State == ops.Left && e.Reason != "deleted, cannot be brought back" {
				t.Errorf("%s: %+v, want %s", key, e, want)
			}
		}
		for _, name := range []string{"old-1", "old-2", "old-3"} {
			if _, ok := b.Entry(indexKey(name)); !ok && !slices.Contains(left, name) {
				t.Errorf("%s is gone, and the journal does not know it", name)
			}
		}
	})
}

// Another uuid than planned: that index stays, and so does all that comes after it.
func TestDeleteIndexMadeAgain(t *testing.T) {
	for _, tt := range []struct {
		name string
		when string // at the first request to this path
		left []string
	}{
		{"before the run", "", []string{"old-1", "old-2", "old-3", "old-4"}},
		{"after the first deletion", "/old-1", []string{"old-2", "old-3", "old-4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := doomed(t)
				op := deleteIndex{s.sites()}
				b := bench(t, op, "", "old-1", "old-2", "old-3")
				again := func() {
					s.remove(t, "old-2")
					s.create(t, "old-2", `{}`)
				}
				if tt.when == "" {
					again()
				} else {
					once := false
					s.idle(func(r *http.Request) elasticsim.Fault {
						if !once && r.Method == http.MethodDelete && r.URL.Path == tt.when {
							once = true
							again()
						}
						return elasticsim.Fault{}
					})
				}
				p := run(t, op, b, 0, nil)
				if p.Phase != ops.Failed || !strings.Contains(p.Reason, "old-2 was deleted and made again by somebody else since the plan") {
					t.Fatalf("%+v", p)
				}
				if got := s.names(t); !slices.Equal(got, tt.left) {
					t.Errorf("left: %v, want %v", got, tt.left)
				}
				for _, e := range back(t, op, b, 0) {
					if e.State != ops.Left {
						t.Errorf("%+v", e)
					}
				}
			})
		})
	}
}

// A writer that makes the index again right after its deletion does not hide that it was
// deleted, and the new one is not touched.
func TestDeleteIndexWrittenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := doomed(t)
		op := deleteIndex{s.sites()}
		b := bench(t, op, "", "old-1", "old-2")
		sent, made := false, false
		s.idle(func(r *http.Request) elasticsim.Fault {
			if sent && !made { // the first request after the deletion
				made = true
				s.create(t, "old-1", `{}`)
			}
			sent = sent || r.Method == http.MethodDelete && r.URL.Path == "/old-1"
			return elasticsim.Fault{}
		})
		if p := run(t, op, b, 0, nil); p.Phase != ops.Done {
			t.Fatalf("%+v", p)
		}
		if got := s.names(t); !slices.Equal(got, []string{"old-1", "old-3", "old-4"}) {
			t.Errorf("left: %v", got)
		}
		if e := b.Entries()["index old-1"]; e.State != ops.Kept || !strings.Contains(e.Reason, "made another index of that name since") {
			t.Errorf("%+v", e)
		}
	})
}

// A request whose reply never came may still be carried out: a cancel waits for it.
func TestDeleteIndexLate(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := doomed(t)
			op := deleteIndex{s.sites()}
			b := bench(t, op, "", "old-1")
			s.idle(func(r *http.Request) elasticsim.Fault { return elasticsim.Fault{Refuse: r.Method == http.MethodDelete} })
			run(t, op, b, 0, func(int, ops.Progress) bool { return true })
			s.idle(nil)
			step, _ := op.Step(b.Run().Plan.Steps[0])
			if p, err := b.Undo(t.Context(), 0, step); err != nil || p.Phase != ops.Waiting {
				t.Fatalf("%+v, %v; want it to wait", p, err)
			}
			want := ops.Restored
			if arrives {
				s.remove(t, "old-1")
				want = ops.Left
			}
			if e := back(t, op, b, 0)["index old-1"]; e.State != want {
				t.Errorf("%+v", e)
			}
		})
	}
}

// Elasticsearch refuses while a snapshot runs: a person is asked, and may try again.
func TestDeleteIndexRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := doomed(t)
		op := deleteIndex{s.sites()}
		b := bench(t, op, "", "old-1", "old-2")
		s.idle(func(r *http.Request) elasticsim.Fault {
			if r.Method == http.MethodDelete && r.URL.Path == "/old-2" {
				return elasticsim.Fault{Status: 400, Body: `{"error":{"type":"snapshot_in_progress_exception","reason":"Cannot delete indices that are being snapshotted: [[old-2]]."},"status":400}`}
			}
			return elasticsim.Fault{}
		})
		p := run(t, op, b, 0, nil)
		if p.Phase != ops.Blocked || !strings.Contains(p.Reason, "being snapshotted") || !strings.Contains(p.Reason, "the 1 that are left") {
			t.Fatalf("%+v", p)
		}
		s.idle(nil)
		if p := run(t, op, b, 0, nil); p.Phase != ops.Done {
			t.Fatalf("%+v", p)
		}
	})
}

func TestDeleteIndexRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := doomed(t)
		s.create(t, "read", `{"aliases":{"now":{},"later":{}}}`)
		s.create(t, ".dotted", `{}`)
		s.create(t, "hid", `{"settings":{"index.hidden":true}}`)
		s.create(t, "ro", `{"settings":{"index.blocks.read_only":true}}`)
		op := deleteIndex{s.sites()}
		tasks := []string{"reindex from [old-3, x*] to [copy][_doc]", "reindex from [scheme=https host=h port=9200 query={}][old-1] to [old-4]", "reindex from [now] to [y]"}
		for _, tt := range []struct {
			flags string
			args  []string
			want  string
		}{
			{"", nil, "No index was named."},
			{"campaign=ABCDE", []string{"old-1"}, "Indices and --campaign were given."},
			{"", []string{"old-1", "old-*"}, `"old-*" is not the exact name of an index`},
			{"", []string{"_all"}, `"_all" is not the exact name of an index`},
			{"", []string{"old-1,old-2"}, `"old-1,old-2" is not the exact name of an index`},
			{"", []string{"old-1", "old-9"}, "staging has no index old-9. | Did you mean old-"},
			{"", []string{"now"}, "now is an alias, not an index. | Behind it: read."},
			{"", []string{"read"}, "read is still reached through an alias: later and now. | Move it first: es alias-swap."},
			{"", []string{".dotted"}, ".dotted is hidden; such indices are not deleted from here."},
			{"", []string{"hid"}, "hid is hidden"},
			{"", []string{"ro"}, "ro has index.blocks.read_only"},
			{"", []string{"old-3"}, "A running reindex reads old-3: reindex from [old-3, x*]"},
			{"", []string{"old-4"}, "A running reindex writes to old-4"},
			{"", []string{"old-1"}, ""}, // of another cluster
			{"campaign=AB", nil, "too short"},
			{"campaign=ABCDE", nil, "No index of staging was made by a run whose id ends in ABCDE."},
		} {
			s.idle(nil, tasks...)
			_, err := op.Plan(t.Context(), asked(op, tt.flags, tt.args...))
			if (err == nil) != (tt.want == "") || !strings.Contains(explained(err), tt.want) {
				t.Errorf("%s %v: %s", tt.flags, tt.args, explained(err))
			}
		}
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			if r.URL.Path == "/_tasks" {
				return elasticsim.Fault{Status: 200, Body: `{"node_failures":[{"type":"failed_node_exception"}],"nodes":{}}`}
			}
			return elasticsim.Fault{}
		})
		if _, err := op.Plan(t.Context(), asked(op, "", "old-1")); !strings.Contains(explained(err), "whether an index is being copied is unknown") {
			t.Error(explained(err))
		}
	})
}

// Of a campaign's old indices those that were replaced and are not held any more are
// deleted; the others are named.
func TestDeleteIndexCampaign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := doomed(t)
		now := time.Now()
		marked := func(source, uuid string, m mark) {
			m.Source, m.SourceUUID = source, uuid
			name := strings.Replace(source, "old", "new", 1) + "-" + strings.ToLower(m.Run[len(m.Run)-1:])
			s.create(t, name, `{"mappings":{"_meta":{"owner":"us"}}}`)
			if err := s.site.writeMark(t.Context(), name, m, "other"); err != nil {
				t.Fatal(err)
			}
		}
		const run1, run2 = "01JABCDEFGHXYZ", "01JABCDEFGHXYQ"
		over := mark{Run: run1, SwappedAt: now.Add(-8 * 24 * time.Hour), HoldUntil: now.Add(-time.Hour)}
		marked("old-1", s.uuidOf(t, "old-1"), over)
		marked("old-2", s.uuidOf(t, "old-2"), over)
		marked("old-3", s.uuidOf(t, "old-3"), mark{Run: run1, SwappedAt: now.Add(-time.Hour), HoldUntil: now.Add(time.Hour)})
		marked("old-4", s.uuidOf(t, "old-4"), mark{Run: run1})
		for i := 5; i <= 8; i++ {
			s.create(t, fmt.Sprintf("old-%d", i), `{}`)
		}
		marked("old-5", "another", over)
		marked("old-6", s.uuidOf(t, "old-6"), over)
		s.act(t, `{"add":{"index":"old-6","alias":"six"}}`)
		marked("old-7", s.uuidOf(t, "old-7"), mark{Run: run1, SwappedAt: now})
		marked("old-8", s.uuidOf(t, "old-8"), mark{Run: run2, SwappedAt: now.Add(-time.Hour), HoldUntil: now.Add(-time.Minute)})
		marked("old-0", "gone", over)
		s.create(t, "new-1-z-refused", `{}`) // documents put aside are no copy of anything
		if err := s.site.writeMark(t.Context(), "new-1-z-refused", mark{Run: run1, Source: "old-1", SourceUUID: s.uuidOf(t, "old-1")}, "other"); err != nil {
			t.Fatal(err)
		}

		op := deleteIndex{s.sites()}
		b := bench(t, op, "campaign=ghxyz", []string{}...)
		plan := b.Run().Plan
		if plan.Confirm != "ghxyz" || !slices.Equal(plan.Targets, []string{"old-1", "old-2"}) {
			t.Fatalf("confirm %q, targets %v", plan.Confirm, plan.Targets)
		}
		want := []string{"5 of the campaign stay: old-3 (held until " + now.Add(time.Hour).UTC().Format("2006-01-02 15:04 MST") + "), old-4 (new-4-z has not replaced it), " +
			"old-7 (nobody wrote down until when it is held), old-5 (deleted and made again since the campaign) and old-6 (old-6 is still reached through an alias: six)."}
		if d := cmp.Diff(want, plan.Warnings); d != "" {
			t.Error(d)
		}
		if p := run(t, op, b, 0, nil); p.Phase != ops.Done {
			t.Fatalf("%+v", p)
		}
		if got := strings.Join(s.names(t), " "); strings.Contains(got, "old-1") || strings.Contains(got, "old-2") || !strings.Contains(got, "old-3") || !strings.Contains(got, "old-8") {
			t.Errorf("left: %s", got)
		}
		for campaign, want := range map[string]string{
			"JABCDEFGHXYZ": "No old index of campaign JABCDEFGHXYZ can be deleted now. | old-3 (held",
			"XXXYZ":        "No index of staging was made by a run whose id ends in XXXYZ.",
		} {
			if _, err := op.Plan(t.Context(), asked(op, "campaign="+campaign)); !strings.Contains(explained(err), want) {
				t.Errorf("%s: %s", campaign, explained(err))
			}
		}
		for name, want := range map[string]string{"old-3": "old-3 is held until", "old-4": "", "old-7": ""} {
			plan, err := op.Plan(t.Context(), asked(op, "", name))
			if !strings.Contains(explained(err), want) || (err == nil) != (want == "") {
				t.Errorf("%s: %s", name, explained(err))
			}
			if name == "old-4" && !slices.Contains(plan.Warnings, "new-4-z is marked as a copy of old-4 that has not replaced it.") {
				t.Errorf("%s: warnings %q", name, plan.Warnings)
			}
		}
	})
}

// The mark of another run with the same ending is asked about.
func TestDeleteIndexCampaignAmbiguous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := doomed(t)
		for i, run := range []string{"01AABCDE", "01BABCDE"} {
			name := fmt.Sprintf("new-%d", i)
			s.create(t, name, `{}`)
			if err := s.site.writeMark(t.Context(), name, mark{Run: run, Source: "old-1"}, "other"); err != nil {
				t.Fatal(err)
			}
		}
		op := deleteIndex{s.sites()}
		if _, err := op.Plan(t.Context(), asked(op, "campaign=abcde")); !strings.Contains(explained(err), "The ids of 2 runs end in abcde. | Type more of one: 01AABCDE and 01BABCDE.") {
			t.Error(explained(err))
		}
	})
}
