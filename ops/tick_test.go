package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/opstest"
)

// benched calls f as the start of the one step of a bench.
func benched(t *testing.T, b *opstest.Bench, f func(ctx context.Context, tick *ops.Tick) error) error {
	t.Helper()
	return b.Start(t.Context(), 0, probe{start: f})
}

// TestManyInOneWrite: a batch of entries is one write of the record, and means what the
// entries one by one would.
func TestManyInOneWrite(t *testing.T) {
	b := opstest.NewBench(onePlan())
	text := func(s string) *string { return &s }
	must(t, benched(t, b, func(ctx context.Context, tick *ops.Tick) error {
		before := b.Writes()
		must(t, tick.RecordAll(ctx, []ops.Change{
			{Key: "a", Before: text("1"), Intended: text("2")}, {Key: "b", Intended: text("x"), State: ops.Kept},
		}))
		must(t, tick.SettleAll(ctx, []ops.Settlement{
			{Key: "b", State: ops.Left, After: text("y"), Reason: "changed"}, {Key: "a", State: ops.Written, After: text("2")},
		}))
		must(t, tick.RecordAll(ctx, []ops.Change{{Key: "c"}, {Key: "a", Before: text("2"), Intended: text("3")}}))
		if n := b.Writes() - before; n != 3 {
			t.Errorf("%d writes, want 3", n)
		}
		err := tick.SettleAll(ctx, []ops.Settlement{{Key: "c", State: ops.Kept}, {Key: "none", State: ops.Kept}})
		if err == nil || !strings.Contains(err.Error(), `"none"`) {
			t.Errorf("settling what was not recorded: %v", err)
		}
		return nil
	}))
	want := []ops.Change{
		{Key: "a", Before: text("1"), Intended: text("3"), State: ops.Intended},
		{Key: "b", Intended: text("x"), After: text("y"), State: ops.Left, Reason: "changed"},
		{Key: "c", State: ops.Intended},
	}
	if d := cmp.Diff(want, b.Journal()); d != "" {
		t.Errorf("journal (-want +got):\n%s", d)
	}
}

// TestTickFromManyGoroutines: a step drives many things at once; nothing of any is lost.
func TestTickFromManyGoroutines(t *testing.T) {
	const things = 40
	type note struct{ N int }
	p := &probe{
		start: func(ctx context.Context, tick *ops.Tick) error {
			var all sync.WaitGroup
			for i := range things {
				all.Go(func() {
					key := fmt.Sprint(i)
					must(t, tick.Record(ctx, ops.Change{Key: key, Setting: "s" + key}))
					must(t, tick.Fence(ctx))
					must(t, tick.PutPart(ctx, key, note{i}))
					must(t, tick.Save(note{i}))
					if ok, err := tick.Load(new(note)); !ok || err != nil {
						t.Errorf("notes: %v, %v", ok, err)
					}
					if i%10 == 0 {
						tick.Attach("f"+key, key, "about %s", key)
					}
					if _, err := tick.Parts(ctx); err != nil {
						t.Errorf("parts: %v", err)
					}
					if e, ok := tick.Entry(key); !ok || e.State != ops.Intended || len(tick.Journal()) == 0 {
						t.Errorf("entry %s: %+v", key, e)
					}
					must(t, tick.Settle(ctx, key, ops.Kept, nil, ""))
					tick.Say("thing %s", key)
					must(t, tick.Flush(ctx))
				})
			}
			all.Wait()
			return nil
		},
		poll: func(_ context.Context, tick *ops.Tick) (ops.Progress, error) {
			if len(tick.Journal()) == 0 {
				return ops.Progress{}, nil
			}
			return ops.Progress{Phase: ops.Done}, nil
		},
	}
	probing(t, p, func(t *testing.T, rig *opstest.Rig) {
		run := rig.Finish(id)
		if run.State != ops.Succeeded || len(run.Journal) != things {
			t.Errorf("%s with %d entries: %s", run.State, len(run.Journal), run.Reason)
		}
		lines := said(rig)
		for i := range things {
			if n := count(lines, fmt.Sprintf("milestone: thing %d", i)); n < 1 {
				t.Errorf("thing %d is not told", i)
			}
		}
		if want := 1 + things + things/10 + 1; len(lines) != want {
			t.Errorf("%d events, want %d", len(lines), want)
		}
		parts, err := rig.Engine.Parts(t.Context(), id)
		must(t, err)
		for i := range things {
			var n note
			if err := json.Unmarshal(parts[fmt.Sprint(i)], &n); err != nil || n.N != i {
				t.Errorf("part %d: %s", i, parts[fmt.Sprint(i)])
			}
		}
	})
}

// losing is a claim whose writes are made but fail for their caller, as long as lose says.
type losing struct {
	ops.Claim
	lose bool
	puts []ops.Run
}

var errLost = errors.New("answer lost")

func (c *losing) Put(_ context.Context, r *ops.Run, _ []ops.Event) error {
	copied := *r
	copied.Journal = append([]ops.Change(nil), r.Journal...)
	c.puts = append(c.puts, copied)
	if c.lose {
		return errLost
	}
	return nil
}

func (c *losing) PutParts(context.Context, map[string][]byte) error {
	if c.lose {
		return errLost
	}
	return nil
}

func (c *losing) Fence(context.Context) (ops.Flag, string, error) { return ops.NoFlag, "", nil }

// TestNothingOnTopOfALostWrite: when one goroutine's write was lost, nobody knows what the
// store has; the others must not write over it, nor act.
func TestNothingOnTopOfALostWrite(t *testing.T) {
	for _, what := range []string{"record", "part"} {
		t.Run(what, func(t *testing.T) {
			c := &losing{lose: true}
			run := &ops.Run{ID: id, Plan: onePlan(), Journal: []ops.Change{{Key: "a", State: ops.Written}}}
			tick := ops.NewTick(run, c, 0)
			var err error
			if what == "record" {
				err = tick.Record(t.Context(), ops.Change{Key: "b"})
			} else {
				err = tick.PutPart(t.Context(), "b", 1)
			}
			if !errors.Is(err, errLost) {
				t.Fatal(err)
			}
			puts := len(c.puts)
			c.lose = false
			for name, err := range map[string]error{
				"record": tick.Record(t.Context(), ops.Change{Key: "c"}),
				"settle": tick.Settle(t.Context(), "a", ops.Kept, nil, ""),
				"flush":  tick.Flush(t.Context()),
				"fence":  tick.Fence(t.Context()),
			} {
				if !errors.Is(err, errLost) {
					t.Errorf("%s after a lost write: %v", name, err)
				}
			}
			if len(c.puts) != puts {
				t.Errorf("%d writes on top", len(c.puts)-puts)
			}
			if d := cmp.Diff([]ops.Change{{Key: "a", State: ops.Written}}, tick.Journal()); d != "" {
				t.Errorf("journal (-want +got):\n%s", d)
			}
			// What the part of a thing says does not stand on the record.
			must(t, tick.PutPart(t.Context(), "d", 1))
		})
	}
}

// TestWriteUnderAContextThatIsOver: it is not sent, so nothing is lost by it.
func TestWriteUnderAContextThatIsOver(t *testing.T) {
	c := &losing{}
	tick := ops.NewTick(&ops.Run{ID: id, Plan: onePlan()}, c, 0)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"record": tick.Record(over, ops.Change{Key: "a"}),
		"part":   tick.PutPart(over, "a", 1),
		"fence":  tick.Fence(over),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(c.puts) != 0 || len(tick.Journal()) != 0 {
		t.Errorf("%d writes, journal %v", len(c.puts), tick.Journal())
	}
	must(t, tick.Record(t.Context(), ops.Change{Key: "a"}))
}

// TestTickIsOver: a goroutine that a step left behind writes nothing into the run, though
// the claim still holds: the engine and the next call are at work on it.
func TestTickIsOver(t *testing.T) {
	var first *ops.Tick
	p := &probe{poll: func(ctx context.Context, tick *ops.Tick) (ops.Progress, error) {
		if first == nil {
			first = tick
			return ops.Progress{Phase: ops.Waiting, Wait: time.Millisecond}, nil
		}
		must(t, tick.Fence(ctx))
		for name, err := range map[string]error{
			"record": first.Record(ctx, ops.Change{Key: "late"}),
			"part":   first.PutPart(ctx, "late", 1),
			"fence":  first.Fence(ctx),
		} {
			if err == nil {
				t.Errorf("a late %s went through", name)
			}
		}
		return ops.Progress{Phase: ops.Done}, nil
	}}
	probing(t, p, func(t *testing.T, rig *opstest.Rig) {
		if run := rig.Finish(id); run.State != ops.Succeeded || len(run.Journal) != 0 {
			t.Errorf("%s with %d entries: %s", run.State, len(run.Journal), run.Reason)
		}
	})
}

// TestAttach: a file that is too long is cut at the end of a line, and says so.
func TestAttach(t *testing.T) {
	row := strings.Repeat("é", 49) + "\n" // 99 bytes
	tests := []struct {
		name    string
		content string
		last    string // line; empty: the content is as it was
		kept    int    // bytes of the content
	}{
		{"empty", "", "", 0},
		{"fits", strings.Repeat("x", ops.MaxFile), "", 0},
		{"lines", strings.Repeat(row, 3000), "… cut here: 353 more lines", 2647 * 99},
		{"lines, the last not ended", strings.Repeat(row, 3000) + "end", "… cut here: 354 more lines", 2647 * 99},
		{"one line", strings.Repeat("é", ops.MaxFile), fmt.Sprintf("… cut here: %d more bytes", 2*ops.MaxFile-(ops.MaxFile-64)), ops.MaxFile - 64},
		{"one line, cut within a character", "x" + strings.Repeat("é", ops.MaxFile), fmt.Sprintf("… cut here: %d more bytes", 1+2*ops.MaxFile-(ops.MaxFile-65)), ops.MaxFile - 65},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := opstest.NewBench(onePlan())
			must(t, benched(t, b, func(_ context.Context, tick *ops.Tick) error {
				tick.Attach("rows.txt", tt.content, "%d rows", 7)
				return nil
			}))
			e := b.Events()[0]
			if e.Kind != ops.Milestone || e.Text != "7 rows" || e.File == nil || e.File.Name != "rows.txt" {
				t.Fatalf("event %s %q %v", e.Kind, e.Text, e.File != nil)
			}
			got := e.File.Content
			if tt.last == "" {
				if got != tt.content {
					t.Errorf("%d bytes of %d", len(got), len(tt.content))
				}
				return
			}
			if len(got) > ops.MaxFile {
				t.Errorf("%d bytes", len(got))
			}
			kept, last, ok := strings.Cut(got, "… cut")
			if last = "… cut" + strings.TrimSuffix(last, "\n"); !ok || last != tt.last {
				t.Errorf("last line %q, want %q", last, tt.last)
			}
			if want := tt.content[:tt.kept]; strings.TrimSuffix(kept, "\n") != strings.TrimSuffix(want, "\n") {
				t.Errorf("%d bytes kept, want %d", len(kept), len(want))
			}
		})
	}
	b := opstest.NewBench(onePlan())
	must(t, benched(t, b, func(_ context.Context, tick *ops.Tick) error {
		tick.Attach("raw.bin", strings.Repeat("\xff", ops.MaxFile), "x")
		return nil
	}))
	if n := len(b.Events()[0].File.Content); n > ops.MaxFile {
		t.Errorf("%d bytes of what was not UTF-8", n)
	}
}

// TestReadsOnly: a run that nobody agreed to can change nothing, whatever its steps try.
func TestReadsOnly(t *testing.T) {
	plan := onePlan()
	plan.Class = ops.R0
	b := opstest.NewBench(plan)
	err := benched(t, b, func(ctx context.Context, tick *ops.Tick) error {
		return tick.Record(ctx, ops.Change{Key: "a"})
	})
	if err == nil || !strings.Contains(err.Error(), "may change nothing") || len(b.Journal()) > 0 {
		t.Errorf("%v, journal %v", err, b.Journal())
	}
}
