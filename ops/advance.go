package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// callLimit is how long one call of a step may take.
	callLimit = 10 * time.Second
	// planLimit is how long planning again at the start may take.
	planLimit = 30 * time.Second
	// tickLimit is how long a tick goes on to further calls; the rest is for the next,
	// so that a stopping process is not kept.
	tickLimit = 20 * time.Second
	// shortWait bounds the waits that are waited out within the tick.
	shortWait = time.Second
	// pausedWait is how long a paused run sleeps if no flag wakes it.
	pausedWait = time.Hour
	// errorWait and errorWaitMost bound the wait after failed calls.
	errorWait     = time.Second
	errorWaitMost = 30 * time.Second
	// releaseLimit is how long giving a claim back may take, even while stopping.
	releaseLimit = 2 * time.Second
)

// Tick does one tick of a run and returns how long until the next; ended runs
// return zero and no error, as do tasks that are not the run's current one. The
// dispatcher's handler calls it. An error means that the store could not be reached or
// ctx ended; the run goes on where it stands.
func (e *Engine) Tick(ctx context.Context, w Wake) (time.Duration, error) {
	began := time.Now()
	claim, run, err := e.o.Store.Claim(ctx, w.ID, w.Task, e.o.Lease)
	switch {
	case errors.Is(err, ErrEnded), errors.Is(err, ErrStale), errors.Is(err, ErrNotFound):
		return 0, nil
	case errors.Is(err, ErrBusy):
		return e.o.Lease / 3, nil
	case err != nil:
		return 0, err
	}
	t := &turn{e: e, claim: claim, run: &run, until: began.Add(tickLimit)}
	t.stored = t.encode()
	held, stop := hold(ctx, claim, e.o.Lease, began)
	wait, err := t.advance(held)
	stop()

	if errors.Is(err, ErrFenced) || errors.Is(err, errLeaseLost) || errors.Is(context.Cause(held), errLeaseLost) {
		// If another has it, the next claim says stale; if not, it is ours again.
		e.o.Log.Warn("claim lost", "run", w.ID, "epoch", run.Epoch, "error", err)
		return time.Second, nil
	}
	if run.State.Ended() && err == nil {
		return 0, nil // its claim ended with it
	}
	if err != nil {
		wait = errorWait
	}
	free, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	wait, rerr := claim.Release(free, wait)
	switch {
	case err != nil:
		return 0, fmt.Errorf("tick of run %s: %w", w.ID, err)
	case errors.Is(rerr, ErrFenced):
		return time.Second, nil
	case rerr != nil:
		return 0, rerr
	}
	return max(wait, time.Millisecond), nil
}

// turn is one tick at work on a claimed run.
type turn struct {
	e      *Engine
	claim  Claim
	run    *Run
	events []Event
	stored []byte    // the record as last written
	until  time.Time // after this, no further calls
}

// advance moves the run as far as it gets without waiting and returns the wait. An
// error ends the tick: ErrFenced, the store's, or the context's.
func (t *turn) advance(ctx context.Context) (time.Duration, error) {
	for !t.run.State.Ended() {
		if err := t.obey(ctx); err != nil {
			return 0, err
		}
		if t.run.State.Ended() {
			break
		}
		if t.run.State == Paused {
			return pausedWait, nil
		}
		if time.Now().After(t.until) {
			return time.Millisecond, nil
		}
		var act func(context.Context) (time.Duration, error)
		switch t.run.State {
		case Starting:
			act = t.start
		case Undoing:
			act = t.undo
		default:
			act = t.forward
		}
		wait, err := act(ctx)
		if err != nil || wait > 0 && !t.waitHere(wait) {
			return wait, err
		}
		if err := sleep(ctx, wait); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// waitHere reports whether a wait is too short for the dispatcher, which takes a second
// or two to come back, and ends within the tick's time.
func (t *turn) waitHere(wait time.Duration) bool {
	return wait < shortWait && time.Now().Add(wait).Before(t.until)
}

// sleep waits, unless ctx ends first: then it returns the context's error with its cause.
func sleep(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), context.Cause(ctx))
	}
}

// forward polls the current step and starts it if need be. A wait of zero means that
// the run has moved on.
func (t *turn) forward(ctx context.Context) (time.Duration, error) {
	r := t.run
	step, err := t.step(r.Step)
	if err != nil {
		return 0, t.pause(ctx, err.Error(), "", NoFlag)
	}
	if !r.Begun {
		// The intent is written before anything is done: from here on the step is one
		// that may have had an effect, and that cancel undoes.
		r.Begun, r.Attempt, r.StepAt = true, 1, time.Now().UTC()
		if err := t.put(ctx); err != nil {
			return 0, err
		}
	}
	p, err := t.call(ctx, step.Poll)
	if err == nil && p.Phase == NotStarted {
		// A flag may have come in while the step looked: nothing starts after a pause.
		f, _, ferr := t.claim.Fence(ctx)
		if ferr != nil {
			return 0, ferr
		}
		if f == FlagPause || f == FlagCancel {
			return 0, nil
		}
		p, err = t.call(ctx, func(ctx context.Context, tick *Tick) (Progress, error) {
			return Progress{}, step.Start(ctx, tick, r.Token(r.Step))
		})
		if err == nil {
			p, err = t.call(ctx, step.Poll)
		}
	}
	if err != nil {
		return t.unknown(ctx, t.title(), err)
	}
	r.Errors, r.LastError = 0, ""
	t.show(p.Status)
	switch p.Phase {
	case Done:
		if r.Step+1 == len(r.Plan.Steps) {
			// A cancel that came in while the last step looked is obeyed, not lost.
			if f, _, err := t.claim.Fence(ctx); err != nil || f == FlagCancel {
				return 0, err
			}
			return 0, t.end(ctx, Succeeded)
		}
		r.Step, r.Begun = r.Step+1, false
		return 0, t.put(ctx)
	case Failed:
		return 0, t.turnBack(ctx, FailedRun, p.Reason, "", NoFlag)
	case Blocked:
		return 0, t.pause(ctx, p.Reason, "", NoFlag)
	}
	return t.wait(p), t.put(ctx)
}

// wait is the time until the next poll.
func (t *turn) wait(p Progress) time.Duration {
	if p.Wait > 0 {
		return p.Wait
	}
	return t.e.o.Poll
}

// show takes over the status a step reported, if it did.
func (t *turn) show(s Status) {
	if s.Headline != "" || s.Total != 0 || len(s.Lines) != 0 {
		t.run.Status = s
	}
}

// unknown deals with a call that failed: the world may be in any state, so it is asked
// again, with growing waits. After MaxErrors in a row a person is asked; what says what
// was tried.
func (t *turn) unknown(ctx context.Context, what string, err error) (time.Duration, error) {
	if over(ctx, err) {
		return 0, errors.Join(err, context.Cause(ctx))
	}
	r := t.run
	r.Errors++
	r.LastError = text(err)
	t.e.o.Log.Warn("call failed", "run", r.ID, "step", r.Step, "state", r.State, "errors", r.Errors, "error", err)
	if r.Errors >= t.e.o.MaxErrors {
		return 0, t.pause(ctx, fmt.Sprintf("%s: %d tries in a row failed, the last: %s", what, r.Errors, r.LastError), "", NoFlag)
	}
	return backoff(r.Errors), t.put(ctx)
}

// over reports whether the tick itself is at its end, rather than a call of a step
// having failed.
func over(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, ErrFenced) || errors.Is(err, errLeaseLost) || errors.As(err, new(*storeError))
}

// backoff is the wait after n failures in a row: doubled each time up to a limit, less
// up to half of it at random.
func backoff(n int) time.Duration {
	d := errorWaitMost
	if n < 6 {
		d = min(d, errorWait<<n)
	}
	return d/2 + rand.N(d/2)
}

// text makes an error fit for people and for the record.
func text(err error) string {
	const most = 500 // runes
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	if r := []rune(err.Error()); len(r) > most {
		return string(r[:most]) + "…"
	}
	return err.Error()
}

// step finds the code of a step.
func (t *turn) step(i int) (Step, error) {
	op, ok := t.e.operations[t.run.Plan.Call.Kind]
	if !ok {
		return nil, fmt.Errorf("this version of Twokey does not know %q; deploy one that does, then resume", t.run.Plan.Call.Kind)
	}
	ref := t.run.Plan.Steps[i]
	s, err := op.Step(ref)
	if errors.Is(err, ErrUnknownStep) {
		return nil, fmt.Errorf("this version of Twokey does not know step %q (version %d); deploy one that does, then resume", ref.Name, ref.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("step %q cannot be read: %s", ref.Name, text(err))
	}
	return s, nil
}

// call calls a method of the current step with its time limit. A panic is an error.
func (t *turn) call(ctx context.Context, f func(context.Context, *Tick) (Progress, error)) (p Progress, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	tick := NewTick(t.run, t.claim, t.run.Step)
	defer func() {
		if v := recover(); v != nil {
			t.e.o.Log.Error("step panicked", "run", t.run.ID, "step", t.run.Step, "panic", panicText(v), "stack", string(debug.Stack()))
			err = errPanicked
		}
		events, lost := tick.end()
		t.events = append(t.events, events...)
		if lost != nil {
			// Not the step's failure. The write may have been made, so nothing is written
			// on top of it: the next tick reads the record.
			err = &storeError{lost}
		}
	}()
	return f(ctx, tick)
}

// errPanicked is what people are told; the log has the stack.
var errPanicked = errors.New("internal error in this step; Twokey's log has the details under the run's id")

// panicText is what the log may say of a panic: the value only if it is the runtime's
// own, since any other may hold a password.
func panicText(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a value of type %T", v)
}

// storeError ends a tick: a write of a step to the record failed.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

// title is the current step's, for people.
func (t *turn) title() string {
	ref := t.run.Plan.Steps[t.run.Step]
	if ref.Title != "" {
		return ref.Title
	}
	return ref.Name
}

func (t *turn) say(kind EventKind, format string, args ...any) {
	t.events = append(t.events, Event{Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// put writes the record and what was said, if there is anything new.
func (t *turn) put(ctx context.Context) error {
	if len(t.events) == 0 && bytes.Equal(t.encode(), t.stored) {
		return nil
	}
	return t.write(ctx, NoFlag)
}

// write writes the record and what was said, and clears a flag.
func (t *turn) write(ctx context.Context, f Flag) error {
	if err := t.claim.PutAndClear(ctx, t.run, t.events, f); err != nil {
		return err
	}
	t.events, t.stored = nil, t.encode()
	return nil
}

// encode is the record without the count of its writes, to tell whether it changed.
func (t *turn) encode() []byte {
	r := *t.run
	r.Rev = 0
	b, err := json.Marshal(r)
	if err != nil {
		return nil // never equal to a record, so it is written, and write says why not
	}
	return b
}
