package ops_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/opstest"
)

const id = "01TESTRUN"

// bubble runs f with a rig and a world that has a=old, on fake time.
func bubble(t *testing.T, o ops.Options, f func(t *testing.T, rig *opstest.Rig, w *opstest.World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := opstest.NewWorld(map[string]string{"a": "old"})
		f(t, opstest.NewRig(t, o, w), w)
	})
}

// said returns "kind: text" of each event.
func said(rig *opstest.Rig) []string {
	var s []string
	for _, e := range rig.Said(id) {
		s = append(s, string(e.Kind)+": "+e.Text)
	}
	return s
}

func TestEndings(t *testing.T) {
	tests := []struct {
		name    string
		steps   []string
		arrange func(w *opstest.World)
		state   ops.State
		effects []string
		ending  string
	}{
		{
			name:    "all done",
			steps:   []string{"set a=new", "job copy 7s"},
			state:   ops.Succeeded,
			effects: []string{"set a=new", "job copy"},
			ending:  "Done: Change the world: copy has until 00:00:07.\n• world: a kept as planned: \"new\", was \"old\"",
		},
		{
			name:    "lent and returned",
			steps:   []string{"lend b=1", "return b"},
			state:   ops.Succeeded,
			effects: []string{"set b=1", "restore b"},
			ending:  "Done: Change the world: b is 1.\n• world: b restored: unset",
		},
		{
			name:    "a success that left something is none",
			steps:   []string{"lend a=1", "set b=2"},
			state:   ops.FailedRun,
			effects: []string{"set a=1", "set b=2"},
			ending: "Failed: Change the world: finished, but left changes behind.\n" +
				"• world: a left: \"1\", was \"old\" (still written)\n• world: b kept as planned: \"2\", was unset",
		},
		{
			name:    "failure undoes in reverse",
			steps:   []string{"set a=new", "lend b=1", "fail disk is full"},
			state:   ops.FailedRun,
			effects: []string{"set a=new", "set b=1", "restore b", "restore a=old"},
			ending: "Failed: Change the world: disk is full.\n" +
				"• world: a restored: \"old\"\n• world: b restored: unset",
		},
		{
			name:  "another's value is left and named",
			steps: []string{"set a=new", "job wait 1s", "fail no"},
			arrange: func(w *opstest.World) {
				w.Fault(func(_ context.Context, call, step string) error {
					if call == "start" && step == "job wait 1s" {
						w.Set("a", "theirs")
					}
					return nil
				})
			},
			state:   ops.FailedRun,
			effects: []string{"set a=new", "job wait"},
			ending:  "Failed: Change the world: no.\n• world: a left: \"theirs\", was \"old\" (changed by somebody else)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
				rig.Submit(id, opstest.Steps(tt.steps...))
				if tt.arrange != nil {
					tt.arrange(w)
				}
				run := rig.Finish(id)
				if run.State != tt.state {
					t.Errorf("state %s, want %s (%s)", run.State, tt.state, run.Reason)
				}
				if d := cmp.Diff(tt.effects, w.Effects()); d != "" {
					t.Errorf("effects (-want +got):\n%s", d)
				}
				events := rig.Said(id)
				last := events[len(events)-1]
				if last.Kind != ops.Ending || last.Text != tt.ending {
					t.Errorf("last event %s:\n%s\nwant ending:\n%s", last.Kind, last.Text, tt.ending)
				}
				for _, c := range run.Journal {
					if c.State == ops.Intended || c.State == ops.Written {
						t.Errorf("ended with %s %s", c.Key, c.State)
					}
				}
				if h, err := rig.Store.Holder(t.Context(), "world"); h != nil || err != nil {
					t.Errorf("lock after the end: %v, %v", h, err)
				}
				if err := rig.Engine.Cancel(t.Context(), id, "U1"); !errors.Is(err, ops.ErrEnded) {
					t.Errorf("cancel after the end: %v", err)
				}
			})
		})
	}
}

// TestManyDoneStepsInOneTick: steps that are done follow one another without a wait.
func TestManyDoneStepsInOneTick(t *testing.T) {
	bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		rig.Submit(id, opstest.Steps("set a=1", "set b=2", "set c=3"))
		if wait := rig.Tick(id); wait != 0 || rig.Run(id).State != ops.Succeeded {
			t.Errorf("after one tick: %s, wait %v", rig.Run(id).State, wait)
		}
	})
}

func TestPollWithoutNewsWritesNothing(t *testing.T) {
	bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		rig.Submit(id, opstest.Steps("job copy 1h"))
		if wait := rig.Tick(id); wait != 5*time.Second {
			t.Errorf("wait %v, want the default", wait)
		}
		rev := rig.Run(id).Rev
		for range 10 {
			rig.Tick(id)
		}
		if got := rig.Run(id).Rev; got != rev {
			t.Errorf("10 polls without news made %d writes", got-rev)
		}
	})
}

// TestDay: a day of polls every 20 s, some 4,000 ticks, leaves the record as it was.
func TestDay(t *testing.T) {
	bubble(t, ops.Options{Poll: 20 * time.Second}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		rig.Submit(id, opstest.Steps("job copy 24h", "set a=new"))
		rig.Tick(id)
		keys, rev, began, ticks := len(rig.Redis.Keys()), rig.Run(id).Rev, time.Now(), 0
		for time.Since(began) < 23*time.Hour {
			time.Sleep(rig.Tick(id))
			ticks++
		}
		if n, r := len(rig.Redis.Keys()), rig.Run(id).Rev; n != keys || r != rev || ticks < 4_000 {
			t.Errorf("%d ticks: %d keys, were %d; rev %d, was %d", ticks, n, keys, r, rev)
		}
		time.Sleep(time.Hour)
		if run := rig.Finish(id); run.State != ops.Succeeded {
			t.Errorf("%s: %s", run.State, run.Reason)
		}
	})
}

func TestSubmitOnce(t *testing.T) {
	bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		plan := rig.Submit(id, opstest.Steps("set a=1"))
		again := ops.NewRun{ID: id, Plan: plan, Digest: plan.Digest()}
		if err := rig.Engine.Submit(t.Context(), again); err != nil {
			t.Errorf("submit again: %v", err)
		}
		rig.Finish(id)
		if err := rig.Engine.Submit(t.Context(), again); err != nil {
			t.Errorf("submit after the end: %v", err)
		}
		if d := cmp.Diff([]string{"set a=1"}, w.Effects()); d != "" {
			t.Error(d)
		}
		again.ID, again.Digest = "other", "not it"
		if err := rig.Engine.Submit(t.Context(), again); err == nil {
			t.Error("a plan with another digest was taken")
		}
	})
}

func TestPauseResume(t *testing.T) {
	bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		calls := 0
		rig.Submit(id, opstest.Steps("job copy 1m", "set a=new"))
		rig.Tick(id)
		must(t, rig.Engine.Pause(t.Context(), id, "UPAUSES"))
		w.Fault(func(context.Context, string, string) error { calls++; return nil })
		if wait := rig.Tick(id); wait < time.Minute {
			t.Errorf("a paused run is due again in %v", wait)
		}
		for range 5 {
			time.Sleep(time.Hour)
			rig.Tick(id)
		}
		if calls != 0 {
			t.Errorf("%d calls while paused", calls)
		}
		if run := rig.Run(id); run.State != ops.Paused || run.By != "UPAUSES" {
			t.Errorf("%s by %q", run.State, run.By)
		}
		must(t, rig.Engine.Resume(t.Context(), id, "URESUMES"))
		if run := rig.Finish(id); run.State != ops.Succeeded || run.By != "" {
			t.Errorf("%s by %q", run.State, run.By)
		}
		want := []string{
			"milestone: Started: Change the world.", "paused: Paused by <@UPAUSES>.", "resumed: Resumed by <@URESUMES>.",
			"ending: Done: Change the world: a is new.\n• world: a kept as planned: \"new\", was \"old\"",
		}
		if d := cmp.Diff(want, said(rig)); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
	})
}

// TestPauseStopsTheNextStart: a pause that comes while a step looks at the world keeps
// it from being started in that same tick.
func TestPauseStopsTheNextStart(t *testing.T) {
	bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		rig.Submit(id, opstest.Steps("set a=new"))
		w.Fault(func(ctx context.Context, call, step string) error {
			if call == "poll" {
				return rig.Engine.Pause(ctx, id, "U1")
			}
			return nil
		})
		rig.Tick(id)
		if e := w.Effects(); len(e) != 0 || rig.Run(id).State != ops.Paused {
			t.Errorf("effects %q in state %s", e, rig.Run(id).State)
		}
	})
}

func TestCancel(t *testing.T) {
	tests := []struct {
		name    string
		steps   []string
		before  func(t *testing.T, rig *opstest.Rig) // what happens before the cancel
		effects []string
		ending  string
	}{
		{
			name: "before anything", steps: []string{"set a=new"},
			before: func(*testing.T, *opstest.Rig) {},
			ending: "Cancelled by <@UC>: Change the world. Nothing was changed.",
		},
		{
			name: "while waiting", steps: []string{"set a=new", "job copy 1h"},
			before:  func(t *testing.T, rig *opstest.Rig) { rig.Tick(id) },
			effects: []string{"set a=new", "job copy", "cancel copy", "restore a=old"},
			ending:  "Cancelled by <@UC>: Change the world.\n• world: a restored: \"old\"",
		},
		{
			name: "while paused", steps: []string{"set a=new", "job copy 1h"},
			before: func(t *testing.T, rig *opstest.Rig) {
				rig.Tick(id)
				must(t, rig.Engine.Pause(t.Context(), id, "UP"))
				rig.Tick(id)
			},
			effects: []string{"set a=new", "job copy", "cancel copy", "restore a=old"},
			ending:  "Cancelled by <@UC>: Change the world.\n• world: a restored: \"old\"",
		},
		{
			name: "overrules a pause", steps: []string{"set a=new", "job copy 1h"},
			before: func(t *testing.T, rig *opstest.Rig) {
				rig.Tick(id)
				must(t, rig.Engine.Cancel(t.Context(), id, "UC"))
				must(t, rig.Engine.Pause(t.Context(), id, "UP"))
			},
			effects: []string{"set a=new", "job copy", "cancel copy", "restore a=old"},
			ending:  "Cancelled by <@UC>: Change the world.\n• world: a restored: \"old\"",
		},
		{
			name: "while blocked", steps: []string{"set a=new", "need key"},
			before:  func(t *testing.T, rig *opstest.Rig) { rig.Finish(id) },
			effects: []string{"set a=new", "restore a=old"},
			ending:  "Cancelled by <@UC>: Change the world.\n• world: a restored: \"old\"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
				rig.Submit(id, opstest.Steps(tt.steps...))
				tt.before(t, rig)
				must(t, rig.Engine.Cancel(t.Context(), id, "UC"))
				run := rig.Finish(id)
				if run.State != ops.Cancelled || run.By != "UC" {
					t.Errorf("%s by %q", run.State, run.By)
				}
				if d := cmp.Diff(tt.effects, w.Effects()); d != "" {
					t.Errorf("effects (-want +got):\n%s", d)
				}
				if s := said(rig); s[len(s)-1] != "ending: "+tt.ending {
					t.Errorf("ending %q,\nwant   %q", s[len(s)-1], tt.ending)
				}
			})
		})
	}
}

func TestErrorsPauseThenResume(t *testing.T) {
	bubble(t, ops.Options{MaxErrors: 4}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		rig.Submit(id, opstest.Steps("set a=new", "job copy 1s"))
		polls := 0
		w.Fault(func(_ context.Context, call, step string) error {
			if call == "poll" && strings.HasPrefix(step, "job") {
				polls++
				return errors.New("connection refused")
			}
			return nil
		})
		began := time.Now()
		run := rig.Finish(id)
		if run.State != ops.Paused || polls != 4 || run.Reason != "job copy 1s: 4 tries in a row failed, the last: connection refused" {
			t.Errorf("%s after %d polls: %s", run.State, polls, run.Reason)
		}
		if d := time.Since(began); d < 5*time.Second || d > 15*time.Second {
			t.Errorf("4 tries took %v, want growing waits of 1 to 8 s", d)
		}
		w.Fault(nil)
		must(t, rig.Engine.Resume(t.Context(), id, "U1"))
		if run := rig.Finish(id); run.State != ops.Succeeded || run.Errors != 0 || run.LastError != "" {
			t.Errorf("%s, %d errors, last %q", run.State, run.Errors, run.LastError)
		}
	})
}

func TestHangingCallIsAnError(t *testing.T) {
	bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		rig.Submit(id, opstest.Steps("set a=new"))
		w.Fault(func(ctx context.Context, call, _ string) error {
			if call != "start" {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		began := time.Now()
		rig.Tick(id)
		run := rig.Run(id)
		if d := time.Since(began); d != 10*time.Second || run.Errors != 1 || run.LastError != "no answer in time" {
			t.Errorf("after %v: %d errors, last %q", d, run.Errors, run.LastError)
		}
		w.Fault(nil)
		if run := rig.Finish(id); run.State != ops.Succeeded {
			t.Errorf("%s: %s", run.State, run.Reason)
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	bubble(t, ops.Options{MaxErrors: 2}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		rig.Submit(id, opstest.Steps("set a=new"))
		w.Fault(func(_ context.Context, call, _ string) error {
			if call == "start" {
				panic("nil map")
			}
			return nil
		})
		if run := rig.Finish(id); run.State != ops.Paused || run.LastError != "internal error in this step; Twokey's log has the details under the run's id" {
			t.Errorf("%s: %s", run.State, run.LastError)
		}
	})
}

func TestUndoThatCannotFinishPausesAndResumes(t *testing.T) {
	bubble(t, ops.Options{MaxErrors: 3}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		rig.Submit(id, opstest.Steps("set a=new", "lend b=1", "fail disk is full"))
		w.Fault(func(_ context.Context, call, step string) error {
			if call == "undo" && step == "lend b=1" {
				return errors.New("no master")
			}
			return nil
		})
		run := rig.Finish(id)
		if run.State != ops.Paused || run.Reason != "undo of “lend b=1” could not finish: 3 tries in a row failed, the last: no master" {
			t.Errorf("%s: %s", run.State, run.Reason)
		}
		w.Fault(nil)
		must(t, rig.Engine.Resume(t.Context(), id, "U1"))
		run = rig.Finish(id)
		if run.State != ops.FailedRun || run.Reason != "disk is full" {
			t.Errorf("%s: %s", run.State, run.Reason)
		}
		if d := cmp.Diff(map[string]string{"a": "old"}, w.Settings()); d != "" {
			t.Errorf("settings (-want +got):\n%s", d)
		}
	})
}

func TestUnknownStepPauses(t *testing.T) {
	bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		rig.Submit(id, opstest.Steps("set a=new", "new thing", "set b=1"))
		run := rig.Finish(id)
		if run.State != ops.Paused || !strings.Contains(run.Reason, `does not know step "new" (version 1)`) {
			t.Errorf("%s: %s", run.State, run.Reason)
		}
		w.Known(true) // the next binary
		must(t, rig.Engine.Resume(t.Context(), id, "U1"))
		if run := rig.Finish(id); run.State != ops.Succeeded {
			t.Errorf("%s: %s", run.State, run.Reason)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
