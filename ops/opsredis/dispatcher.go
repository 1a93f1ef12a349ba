package opsredis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"twokey/ops"
)

const (
	// taskType is the one type of asynq task: a tick of a run.
	taskType = "tick"
	// taskLimit ends a tick that hangs; the engine's own limits are far shorter.
	// Without one asynq takes 30 minutes.
	taskLimit = 2 * time.Minute
	// stopLimit is how long ticks may go on after Run's context has ended. What is
	// left then goes back to the queue.
	stopLimit = 10 * time.Second
	// releaseLimit is how long given-up ticks have to give their claims back.
	releaseLimit = 3 * time.Second
	// lookEvery is how often asynq looks for tasks that have become due, and for
	// queued ones while idle. The engine's grace is made for it.
	lookEvery = time.Second
)

// Dispatcher is the ops.Dispatcher on asynq. A run is one task, which puts itself back
// with the wait that a tick returned. Wake and Now need no running Run: every process
// may send.
type Dispatcher struct {
	c         *redis.Client
	log       *slog.Logger
	workers   int
	client    *asynq.Client
	inspector *asynq.Inspector
}

var _ ops.Dispatcher = (*Dispatcher)(nil)

// NewDispatcher returns a dispatcher on the client's server and database; the client
// stays the caller's. workers bounds the ticks at one time in this process: zero means
// 10.
func NewDispatcher(c *redis.Client, log *slog.Logger, workers int) *Dispatcher {
	if workers <= 0 {
		workers = 10
	}
	if log == nil {
		log = slog.Default()
	}
	return &Dispatcher{
		c: c, log: log, workers: workers,
		client:    asynq.NewClientFromRedisClient(c),
		inspector: asynq.NewInspectorFromRedisClient(c),
	}
}

// Wake enqueues a tick for now.
func (d *Dispatcher) Wake(ctx context.Context, w ops.Wake) error {
	_, err := d.client.EnqueueContext(ctx, asynq.NewTask(taskType, []byte(w.ID)),
		asynq.TaskID(w.Task), asynq.Queue(queue),
		// Never archived: an archived task blocks its id, and MaxRetry(0) would archive
		// at a crash. No Retention for the same reason.
		asynq.MaxRetry(math.MaxInt32), asynq.Timeout(taskLimit))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("enqueue task %s: %w", w.Task, err)
	}
	return nil
}

// Now brings a waiting task forward. A task that is queued or running already, or that
// is lost, is no error: its tick, or the sweeper, sees the run is due.
func (d *Dispatcher) Now(ctx context.Context, w ops.Wake) error {
	err := d.inspector.RunTask(queue, w.Task)
	switch {
	case err == nil, errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound):
		return nil
	}
	if _, gone := d.inspector.GetTaskInfo(queue, w.Task); gone == nil {
		return nil // there, and not waiting
	}
	return fmt.Errorf("hurry task %s: %w", w.Task, err)
}

// snooze is how a tick's handler asks asynq to come back later.
type snooze struct{ wait time.Duration }

func (s snooze) Error() string { return "next tick in " + s.wait.String() }

// Run takes tasks and calls tick for each, until ctx ends: then it takes no more,
// waits up to 10 seconds for the ticks at work, gives back the rest, and returns nil
// within 13.
// tick returns the wait until the next, or zero when the task is done with; its
// context does not end with ctx, but when the 10 seconds have passed. Trouble with
// Redis is logged and waited out. Run may be called once.
func (d *Dispatcher) Run(ctx context.Context, tick func(ctx context.Context, w ops.Wake) (time.Duration, error)) error {
	c := redis.NewClient(again(d.c.Options()))
	defer c.Close()
	c.AddHook(slowFailure{})

	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server := asynq.NewServerFromRedisClient(c, asynq.Config{
		Concurrency:              d.workers,
		BaseContext:              func() context.Context { return work },
		TaskCheckInterval:        lookEvery,
		DelayedTaskCheckInterval: lookEvery,
		RetryDelayFunc:           delay,
		IsFailure: func(err error) bool {
			return !errors.As(err, new(snooze)) && !errors.Is(err, asynq.ErrLeaseExpired)
		},
		Queues:          map[string]int{queue: 1},
		Logger:          logger{d.log},
		LogLevel:        asynq.WarnLevel,
		ShutdownTimeout: stopLimit,
	})
	var ticks sync.WaitGroup
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		ticks.Add(1)
		defer ticks.Done()
		id, _ := asynq.GetTaskID(ctx)
		wait, err := tick(ctx, ops.Wake{ID: string(t.Payload()), Task: id})
		if err != nil {
			d.log.Warn("tick failed, trying again", "run", string(t.Payload()), "error", err)
			return err
		}
		if wait > 0 {
			return snooze{wait}
		}
		return nil
	}))
	if err != nil {
		return fmt.Errorf("start dispatcher: %w", err)
	}
	<-ctx.Done()
	server.Stop()
	server.Shutdown()
	cancel()
	// Ticks that asynq gave up on have seen their context end and only release.
	done := make(chan struct{})
	go func() { ticks.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(releaseLimit):
		d.log.Warn("a tick ignores its end; its lease will run out")
	}
	return nil
}

// delay is the time until a task's next try.
func delay(_ int, err error, _ *asynq.Task) time.Duration {
	var s snooze
	switch {
	case errors.As(err, &s):
		return s.wait
	case errors.Is(err, asynq.ErrLeaseExpired):
		return 0
	}
	return time.Second + rand.N(4*time.Second)
}

// again returns a client's options for a further client. Of a client that has been
// made, MaxRetries 0 means none, which the next one must be told as -1.
func again(o *redis.Options) *redis.Options {
	own := *o
	if own.MaxRetries == 0 {
		own.MaxRetries = -1
	}
	return &own
}

// slowFailure makes commands that failed for want of Redis fail slowly: asynq asks
// again at once when taking a task fails (hibiken/asynq#1058), which would burn a core
// during an outage.
type slowFailure struct{}

// failureWait is how long a failed command is held back.
const failureWait = time.Second

func (slowFailure) DialHook(next redis.DialHook) redis.DialHook { return next }

func (slowFailure) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		holdBack(ctx, err)
		return err
	}
}

// ProcessPipelineHook leaves pipelines alone: go-redis greets each new connection with
// one, in which older servers refuse some commands.
func (slowFailure) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// holdBack waits if err is trouble. No task and an unknown script are not: these
// answers belong to the ordinary course.
func holdBack(ctx context.Context, err error) {
	if err == nil || errors.Is(err, redis.Nil) || redis.HasErrorPrefix(err, "NOSCRIPT") {
		return
	}
	timer := time.NewTimer(failureWait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// logger is slog as asynq wants it.
type logger struct{ log *slog.Logger }

func (l logger) Debug(args ...any) { l.log.Debug("asynq: " + fmt.Sprint(args...)) }
func (l logger) Info(args ...any)  { l.log.Info("asynq: " + fmt.Sprint(args...)) }
func (l logger) Warn(args ...any)  { l.log.Warn("asynq: " + fmt.Sprint(args...)) }
func (l logger) Error(args ...any) { l.log.Error("asynq: " + fmt.Sprint(args...)) }

// Fatal does not end the process; asynq v0.26 never calls it.
func (l logger) Fatal(args ...any) { l.log.Error("asynq: " + fmt.Sprint(args...)) }
