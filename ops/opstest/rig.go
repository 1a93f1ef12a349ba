package opstest

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/ops"
	"twokey/ops/opsredis"
)

// Rig is a real engine on miniredis whose ticks the test calls itself, one after the
// other, in place of a dispatcher.
type Rig struct {
	Engine *ops.Engine
	Store  *opsredis.Store
	Redis  Redis
	Client *redis.Client
	Line   *Line
	// Most bounds the wait between two ticks. Zero: as long as the run says, which is
	// right in a synctest bubble, where it takes no time.
	Most time.Duration

	t     testing.TB
	mu    sync.Mutex
	tasks map[string]string // run id to its current task
}

// NewRig makes a rig for some operations. Store, Dispatcher, Operations and Log of o
// are set by it.
func NewRig(t testing.TB, o ops.Options, operations ...ops.Operation) *Rig {
	return NewRigOn(t, NewRedis(t), o, operations...)
}

// NewRigOn is another process on the same Redis.
func NewRigOn(t testing.TB, r Redis, o ops.Options, operations ...ops.Operation) *Rig {
	rig := &Rig{Redis: r, t: t, tasks: make(map[string]string)}
	rig.Client, rig.Line = r.Client(t)
	rig.Store = opsredis.New(rig.Client)
	o.Store, o.Dispatcher, o.Operations, o.Log = rig.Store, rig, operations, Quiet()
	rig.Engine = ops.New(o)
	return rig
}

// Quiet is a log nobody reads.
func Quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// Wake and Now make the rig its engine's dispatcher: it remembers the task.
func (r *Rig) Wake(_ context.Context, w ops.Wake) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks[w.ID] = w.Task
	return nil
}

// Now does nothing: the test ticks when it wants to.
func (r *Rig) Now(ctx context.Context, w ops.Wake) error { return r.Wake(ctx, w) }

// Submit plans a call and submits it as approved; the run has the given id.
func (r *Rig) Submit(id string, call ops.Call) ops.Plan {
	r.t.Helper()
	ctx := context.Background()
	plan, err := r.Engine.Plan(ctx, call)
	if err != nil {
		r.t.Fatalf("plan %s: %v", call.Kind, err)
	}
	err = r.Engine.Submit(ctx, ops.NewRun{
		ID: id, Plan: plan, Digest: plan.Digest(), Requester: "UASKS", Approvers: []string{"UAGREES"},
	})
	if err != nil {
		r.t.Fatalf("submit %s: %v", id, err)
	}
	return plan
}

// Tick does one tick of a run and returns the wait.
func (r *Rig) Tick(id string) time.Duration {
	r.t.Helper()
	wait, err := r.TryTick(id)
	if err != nil {
		r.t.Fatalf("tick of %s: %v", id, err)
	}
	return wait
}

// TryTick is Tick for tests that expect an error.
func (r *Rig) TryTick(id string) (time.Duration, error) {
	r.mu.Lock()
	task, ok := r.tasks[id]
	r.mu.Unlock()
	if !ok {
		task = id
	}
	return r.Engine.Tick(context.Background(), ops.Wake{ID: id, Task: task})
}

// Finish ticks a run, waiting as it says, until it has ended or paused, and returns it.
func (r *Rig) Finish(id string) ops.Run {
	r.t.Helper()
	for range 10_000 {
		wait := r.Tick(id)
		run := r.Run(id)
		if run.State.Ended() || run.State == ops.Paused {
			return run
		}
		if r.Most > 0 {
			wait = min(wait, r.Most)
		}
		time.Sleep(wait)
	}
	r.t.Fatalf("run %s has neither ended nor paused after 10,000 ticks", id)
	return ops.Run{}
}

// Run reads a run.
func (r *Rig) Run(id string) ops.Run {
	r.t.Helper()
	run, err := r.Engine.Get(context.Background(), id)
	if err != nil {
		r.t.Fatalf("read run %s: %v", id, err)
	}
	return run
}

// Said returns the run's events.
func (r *Rig) Said(id string) []ops.Event {
	r.t.Helper()
	events, err := r.Engine.Events(context.Background(), id, 0)
	if err != nil {
		r.t.Fatalf("read events of %s: %v", id, err)
	}
	return events
}

// Drive plans a call, runs it as if approved, and returns it ended or paused, with its
// events. most bounds the wait between ticks: zero inside a synctest bubble, a few
// milliseconds outside.
func Drive(t testing.TB, most time.Duration, operation ops.Operation, call ops.Call) (ops.Run, []ops.Event) {
	t.Helper()
	rig := NewRig(t, ops.Options{}, operation)
	rig.Most = most
	rig.Submit("01TESTRUN", call)
	run := rig.Finish("01TESTRUN")
	return run, rig.Said("01TESTRUN")
}
