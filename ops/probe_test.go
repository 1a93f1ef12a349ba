package ops_test

import (
	"context"
	"testing"

	"twokey/ops"
	"twokey/ops/opstest"
)

// probe is an operation of one step made of functions; nil ones do nothing, and an undo
// has nothing to do.
type probe struct {
	start func(ctx context.Context, t *ops.Tick) error
	poll  func(ctx context.Context, t *ops.Tick) (ops.Progress, error)
}

func (probe) Kind() string { return "probe" }

func (probe) Plan(_ context.Context, call ops.Call) (ops.Plan, error) {
	return ops.Plan{Call: call, Class: ops.R1, Title: "Probe", Steps: []ops.StepRef{{Name: "probe", Version: 1}}}, nil
}

func (p probe) Step(ops.StepRef) (ops.Step, error) { return p, nil }

func (p probe) Start(ctx context.Context, t *ops.Tick, _ string) error {
	if p.start == nil {
		return nil
	}
	return p.start(ctx, t)
}

func (p probe) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) { return p.poll(ctx, t) }

func (probe) Undo(context.Context, *ops.Tick) (ops.Progress, error) {
	return ops.Progress{Phase: ops.NotStarted}, nil
}

// probing calls f on fake time with a rig whose one operation is p, submitted.
func probing(t *testing.T, p *probe, f func(t *testing.T, rig *opstest.Rig)) {
	t.Helper()
	bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, _ *opstest.World) {
		rig = opstest.NewRigOn(t, rig.Redis, ops.Options{MaxErrors: 1}, p)
		rig.Submit(id, ops.Call{Kind: "probe"})
		f(t, rig)
	})
}

// onePlan is a plan for benches.
func onePlan() ops.Plan {
	return ops.Plan{Class: ops.R1, Steps: []ops.StepRef{{Name: "probe", Version: 1}}}
}
