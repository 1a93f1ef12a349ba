package ops_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/ops"
	"twokey/ops/opstest"
)

// speaker is an operation of one step that says something with each of its writes.
type speaker struct{}

func (speaker) Kind() string { return "speak" }

func (speaker) Plan(_ context.Context, call ops.Call) (ops.Plan, error) {
	return ops.Plan{Call: call, Class: ops.R1, Title: "Speak", Steps: []ops.StepRef{{Name: "speak", Version: 1}}}, nil
}

func (s speaker) Step(ops.StepRef) (ops.Step, error) { return s, nil }

func (speaker) Start(ctx context.Context, t *ops.Tick, _ string) error {
	if _, known := t.Entry("k"); !known {
		t.Say("about to write")
		if err := t.Record(ctx, ops.Change{Key: "k", Setting: "k"}); err != nil {
			return err
		}
	}
	t.Say("written")
	return t.Settle(ctx, "k", ops.Kept, nil, "")
}

func (speaker) Poll(_ context.Context, t *ops.Tick) (ops.Progress, error) {
	if e, ok := t.Entry("k"); !ok || e.State != ops.Kept {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	return ops.Progress{Phase: ops.Done}, nil
}

func (speaker) Undo(context.Context, *ops.Tick) (ops.Progress, error) {
	return ops.Progress{Phase: ops.NotStarted}, nil
}

// TestSaidOnce: whichever answer of Redis is lost, in the middle of a step too, nothing is
// said twice, and a failure of Redis is not counted as one of the step.
func TestSaidOnce(t *testing.T) {
	for at := 1; ; at++ {
		d := &death{at: at, lapse: true}
		bubble(t, ops.Options{MaxErrors: 1}, func(t *testing.T, rig *opstest.Rig, _ *opstest.World) {
			people := opstest.NewRigOn(t, rig.Redis, ops.Options{}, speaker{})
			people.Submit(id, ops.Call{Kind: "speak"})
			process := opstest.NewRigOn(t, rig.Redis, ops.Options{MaxErrors: 1}, speaker{})
			process.Client.AddHook(redis.Hook(d))
			for n := 0; !people.Run(id).State.Ended(); n++ {
				wait, _ := process.TryTick(id)
				time.Sleep(max(wait, time.Second))
				if n > 20 {
					t.Fatalf("answer %d lost: the run does not end: %+v", at, people.Run(id))
				}
			}
			lines := said(people)
			for _, part := range []string{"milestone: about to write", "milestone: written", "ending: Done"} {
				if n := count(lines, part); n != 1 {
					t.Errorf("answer %d lost: %q said %d times: %q", at, part, n, lines)
				}
			}
		})
		if d.n < at {
			t.Logf("figure: %d answers lost", at-1)
			return
		}
	}
}
