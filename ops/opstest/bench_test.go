package opstest_test

import (
	"context"
	"errors"
	"testing"

	"twokey/ops"
	"twokey/ops/opstest"
)

// light is a step that switches a light on, recorded and settled as steps do.
type light struct{ on *bool }

func (s light) Start(ctx context.Context, t *ops.Tick, token string) error {
	on := "on"
	if err := t.Record(ctx, ops.Change{Key: "light", Setting: "light", Intended: &on}); err != nil {
		return err
	}
	*s.on = true
	t.Say("switched by %s", token)
	return t.Settle(ctx, "light", ops.Written, &on, "")
}

func (s light) Poll(context.Context, *ops.Tick) (ops.Progress, error) {
	if *s.on {
		return ops.Progress{Phase: ops.Done}, nil
	}
	return ops.Progress{}, nil
}

func (s light) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	*s.on = false
	return ops.Progress{Phase: ops.Done}, t.Settle(ctx, "light", ops.Restored, nil, "")
}

func onePlan() ops.Plan {
	return ops.Plan{Class: ops.R1, Steps: []ops.StepRef{{Name: "light", Version: 1}}}
}

func TestBenchCarriesAStep(t *testing.T) {
	on, b := false, opstest.NewBench(onePlan())
	p, err := b.Advance(t.Context(), 0, light{&on})
	if err != nil || p.Phase != ops.Done || !on {
		t.Fatalf("Advance = %v, %v; on %v", p, err, on)
	}
	if e, ok := b.Entry("light"); !ok || e.State != ops.Written {
		t.Errorf("entry %+v, %v; want it written", e, ok)
	}
	if said := b.Said(); len(said) != 1 || said[0] != "switched by 01TESTRUN-0-1" {
		t.Errorf("said %q", said)
	}
	if _, err := b.Undo(t.Context(), 0, light{&on}); err != nil || on {
		t.Fatalf("Undo: %v, on %v", err, on)
	}
	if got := b.Journal()[0].State; got != ops.Restored {
		t.Errorf("journal says %s", got)
	}
}

func TestBenchInjects(t *testing.T) {
	tests := []struct {
		name   string
		inject func(*opstest.Bench)
		err    error
		on     bool            // was the world changed
		state  ops.ChangeState // of the stored entry; empty: none
	}{
		{"taken over", func(b *opstest.Bench) { b.TakeOver() }, ops.ErrFenced, false, ""},
		{"crash before intent is stored", func(b *opstest.Bench) { b.CrashBefore(1) }, opstest.ErrCrashed, false, ""},
		{"crash after intent was stored", func(b *opstest.Bench) { b.CrashAfter(1) }, opstest.ErrCrashed, false, ops.Intended},
		{"crash before the settling", func(b *opstest.Bench) { b.CrashBefore(2) }, opstest.ErrCrashed, true, ops.Intended},
		{"crash after the settling", func(b *opstest.Bench) { b.CrashAfter(2) }, opstest.ErrCrashed, true, ops.Written},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			on, b := false, opstest.NewBench(onePlan())
			tt.inject(b)
			if err := b.Start(t.Context(), 0, light{&on}); !errors.Is(err, tt.err) {
				t.Errorf("Start: %v, want %v", err, tt.err)
			}
			if e, _ := b.Entry("light"); e.State != tt.state || on != tt.on {
				t.Errorf("entry %q, light on: %v; want %q, %v", e.State, on, tt.state, tt.on)
			}
			b.Restart()
			if err := b.Start(t.Context(), 0, light{&on}); err != nil || !on {
				t.Errorf("after the restart: %v, on %v", err, on)
			}
		})
	}
}
