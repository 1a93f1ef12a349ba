package ops_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/opstest"
)

// changing is an operation that ends with this journal: failed if there is a change left.
func changing(changes []ops.Change) *probe {
	return &probe{
		start: func(ctx context.Context, t *ops.Tick) error {
			if err := t.RecordAll(ctx, changes); err != nil {
				return err
			}
			var ends []ops.Settlement
			for _, c := range changes {
				if c.State != ops.Intended {
					ends = append(ends, ops.Settlement{Key: c.Key, State: c.State, After: c.After, Reason: c.Reason})
				}
			}
			return t.SettleAll(ctx, ends)
		},
		poll: func(_ context.Context, t *ops.Tick) (ops.Progress, error) {
			if len(t.Journal()) == 0 {
				return ops.Progress{}, nil
			}
			return ops.Progress{Phase: ops.Done}, nil
		},
	}
}

// many makes n changes that f fills in.
func many(n int, f func(i int) ops.Change) []ops.Change {
	all := make([]ops.Change, n)
	for i := range all {
		all[i] = f(i)
		all[i].Key = fmt.Sprint(len(all), "/", i)
		all[i].Resource = fmt.Sprintf("index i%04d", i)
	}
	return all
}

func some(s string) *string { return &s }

func TestEndingOfManyChanges(t *testing.T) {
	restored := func(i int) ops.Change {
		return ops.Change{Setting: "zone", State: ops.Restored, Before: some("a"), After: some("a")}
	}
	tests := []struct {
		name    string
		changes []ops.Change
		lines   []string // of the ending, but for its first; nil: one of each change
		listed  bool     // in a file
	}{
		{"thirty stand one by one", many(30, restored), nil, false},
		{"thirty-one of a kind", many(31, restored), []string{`• 31 × zone restored: "a"`}, true},
		{
			"kinds in the order of their first",
			append(append(many(1, func(int) ops.Change {
				return ops.Change{Setting: "blocks.write", Scope: "index", State: ops.Kept, Before: nil, After: some("true")}
			}), many(312, func(i int) ops.Change {
				switch i % 4 {
				case 0:
					return ops.Change{Setting: "replicas", State: ops.Kept, Before: some(fmt.Sprint(i)), After: some("0")}
				case 1:
					return ops.Change{Setting: "zone", State: ops.Restored, Before: some(fmt.Sprint(i))}
				case 2:
					return ops.Change{Setting: "zone", State: ops.Left, Reason: "changed by somebody else.", Before: some("a"), After: some(fmt.Sprint(i))}
				}
				return ops.Change{Setting: "zone", Scope: "settings", State: ops.Intended, Before: some("a"), Intended: some("b")}
			})...), many(2, func(i int) ops.Change {
				return ops.Change{Setting: "zone", State: ops.Left, Reason: "deleted", Before: some("a")}
			})...),
			[]string{
				`• index i0000: blocks.write (index) kept as planned: "true", was unset`,
				`• 78 × replicas kept as planned: "0", was various values`,
				`• 78 × zone restored: various values`,
				`• 78 × zone left: various values, was "a" (changed by somebody else)`,
				`• 78 × zone (settings) left: "b", was "a" (perhaps written, not read back)`,
				`• 2 × zone left: unset, was "a" (deleted)`,
			}, true,
		},
		{
			"each with a reason of its own",
			many(100, func(i int) ops.Change {
				return ops.Change{Setting: "zone", State: ops.Left, Before: some("a"), After: some("b"), Reason: fmt.Sprintf("node %d is gone", i)}
			}),
			[]string{`• 100 × zone left: "b", was "a" (various reasons, see the file)`}, true,
		},
		{
			"each with a setting of its own",
			many(100, func(i int) ops.Change {
				c := ops.Change{Setting: fmt.Sprintf("s%02d", i), State: ops.Restored}
				if i >= 90 {
					c.State, c.Reason = ops.Left, "no"
				}
				return c
			}),
			func() (lines []string) {
				for i := range 10 { // those left come first
					lines = append(lines, fmt.Sprintf("• index i%04d: s%02d left: unset, was unset (no)", 90+i, 90+i))
				}
				for i := range 19 {
					lines = append(lines, fmt.Sprintf("• index i%04d: s%02d restored: unset", i, i))
				}
				return append(lines, "• 71 more changes, 0 of them left: see the file")
			}(), true,
		},
		{
			"of one resource",
			func() []ops.Change {
				all := many(40, restored)
				for i := range all {
					all[i].Resource = "cluster staging"
				}
				return all
			}(),
			[]string{`• 40 × cluster staging: zone restored: "a"`}, true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			probing(t, changing(tt.changes), func(t *testing.T, rig *opstest.Rig) {
				rig.Finish(id)
				events := rig.Said(id)
				last := events[len(events)-1]
				if last.Kind != ops.Ending || len(events) != 2 {
					t.Fatalf("%d events, the last %s", len(events), last.Kind)
				}
				lines := strings.Split(last.Text, "\n")[1:]
				if tt.lines == nil {
					if len(lines) != len(tt.changes) {
						t.Errorf("%d lines, want %d", len(lines), len(tt.changes))
					}
				} else if d := cmp.Diff(tt.lines, lines); d != "" {
					t.Errorf("ending (-want +got):\n%s", d)
				}
				if (last.File != nil) != tt.listed {
					t.Fatalf("a file: %t", last.File != nil)
				}
				if tt.listed {
					if last.File.Name != "changes.txt" {
						t.Errorf("file %s", last.File.Name)
					}
					listed(t, tt.changes, last.File.Content)
				}
			})
		})
	}
}

// listed fails the test unless the text has one line of each change, in their order.
func listed(t *testing.T, changes []ops.Change, text string) {
	t.Helper()
	rows := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(rows) != len(changes) {
		t.Fatalf("%d lines listed, want %d", len(rows), len(changes))
	}
	for i, c := range changes {
		if !strings.HasPrefix(rows[i], c.Resource+": "+c.Setting) {
			t.Errorf("line %d is %q, want one of %s", i, rows[i], c.Resource)
		}
	}
}

// TestListingLongerThanAFile: nothing that was left goes unnamed, however much it is.
func TestListingLongerThanAFile(t *testing.T) {
	changes := many(5000, func(i int) ops.Change {
		return ops.Change{
			Setting: "index.routing.allocation.include.zone", State: ops.Left, Before: some("a"), After: some("b"),
			Reason: "not put back:\n" + strings.Repeat("x", 60),
		}
	})
	probing(t, changing(changes), func(t *testing.T, rig *opstest.Rig) {
		rig.Finish(id)
		var text strings.Builder
		events := rig.Said(id)[1:]
		for i, e := range events {
			if e.File == nil || len(e.File.Content) > ops.MaxFile || (e.Kind == ops.Ending) != (i == len(events)-1) {
				t.Fatalf("event %d of %d is %s with a file: %t", i, len(events), e.Kind, e.File != nil)
			}
			if want := fmt.Sprintf("changes-%d-of-%d.txt", i+1, len(events)); e.File.Name != want {
				t.Errorf("file %s, want %s", e.File.Name, want)
			}
			if want := fmt.Sprintf("All changes, part %d of %d.", i+1, len(events)); e.Kind == ops.Milestone && e.Text != want {
				t.Errorf("said %q, want %q", e.Text, want)
			}
			text.WriteString(e.File.Content)
		}
		if len(events) < 3 {
			t.Errorf("only %d files", len(events))
		}
		listed(t, changes, text.String())
	})
}
