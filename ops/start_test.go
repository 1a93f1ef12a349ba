package ops_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/opstest"
)

func TestStartChecksAgain(t *testing.T) {
	yellow := ops.Fact{Key: "health", Text: "health is yellow, was green", Level: 1}
	zone := ops.Fact{Key: "zone b", Gone: "zone b is gone", Level: -1}
	tests := []struct {
		name   string
		facts  []ops.Fact // approved
		change func(w *opstest.World)
		state  ops.State
		why    []string
	}{
		{"all as before", nil, func(*opstest.World) {}, ops.Succeeded, nil},
		{"a fact got worse", nil, func(w *opstest.World) { w.SetFacts(yellow) }, ops.Superseded, []string{"health is yellow, was green"}},
		{"a fact got better", []ops.Fact{yellow}, func(w *opstest.World) { w.SetFacts() }, ops.Succeeded, nil},
		{"a thing that must stay is gone", []ops.Fact{zone}, func(w *opstest.World) { w.SetFacts() }, ops.Superseded, []string{"zone b is gone"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
				w.SetFacts(tt.facts...)
				rig.Submit(id, opstest.Steps("set a=new"))
				tt.change(w)
				run := rig.Finish(id)
				if d := cmp.Diff(tt.why, run.Changed); run.State != tt.state || d != "" {
					t.Errorf("%s, changed (-want +got):\n%s", run.State, d)
				}
				if tt.state != ops.Superseded {
					return
				}
				if run.Fresh == nil || len(w.Effects()) != 0 || !run.StartedAt.IsZero() {
					t.Errorf("fresh plan %v, effects %q, started %v", run.Fresh, w.Effects(), run.StartedAt)
				}
				want := []string{"ending: Not started: Change the world. Since it was approved this has changed: " +
					strings.Join(tt.why, "; ") + ". Nothing was changed."}
				if d := cmp.Diff(want, said(rig)); d != "" {
					t.Errorf("events (-want +got):\n%s", d)
				}
			})
		})
	}
}

func TestHeldLock(t *testing.T) {
	bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		first, second := "01FIRST", id
		rig.Submit(first, opstest.Steps("job copy 1h"))
		rig.Submit(second, opstest.Steps("set a=new")) // planned before the first has started
		rig.Tick(first)
		run := rig.Finish(second)
		if run.State != ops.FailedRun || len(w.Effects()) != 1 {
			t.Errorf("%s with effects %q", run.State, w.Effects())
		}
		want := []string{"ending: Not started: Change the world: run 01FIRST (Change the world) is working on the same world. Nothing was changed."}
		if d := cmp.Diff(want, said(rig)); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
		var held *ops.HeldError
		_, err := rig.Engine.Plan(t.Context(), opstest.Steps("set a=new"))
		if !errors.As(err, &held) || held.Run != first || held.By != "UASKS" {
			t.Errorf("planning meanwhile: %v", err)
		}
		// The refused run's end must not have freed the holder's lock.
		time.Sleep(2 * time.Hour)
		if run := rig.Finish(first); run.State != ops.Succeeded {
			t.Errorf("%s: %s", run.State, run.Reason)
		}
		if _, err := rig.Engine.Plan(t.Context(), opstest.Steps("set a=new")); err != nil {
			t.Errorf("planning after its end: %v", err)
		}
	})
}

func TestPlanningFailsAtStart(t *testing.T) {
	for _, times := range []int{2, 100} {
		bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
			rig.Submit(id, opstest.Steps("set a=new"))
			n := 0
			w.Fault(func(_ context.Context, call, _ string) error {
				if n++; call == "plan" && n <= times {
					return errors.New("no master")
				}
				return nil
			})
			run := rig.Finish(id)
			if times == 2 && run.State != ops.Succeeded {
				t.Errorf("failed twice: %s: %s", run.State, run.Reason)
			}
			if times == 100 && (run.State != ops.FailedRun || run.Reason != "planning again failed: no master" || n != 5) {
				t.Errorf("failed always: %s after %d tries: %s", run.State, n, run.Reason)
			}
		})
	}
}
