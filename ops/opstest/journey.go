package opstest

import (
	"cmp"
	"context"
	"errors"
	"testing"
	"time"

	"twokey/ops"
)

const (
	callLimit = 10 * time.Second // of one call of a step
	manyCalls = 5000             // after so many a step is taken for endless
	usual     = 5 * time.Second  // between calls that name no wait: the engine's
)

// Forward carries all steps on as the engine does, from the record's step, until one is
// failed or blocked, all are done, or until says stop; nil: it never does. A call that
// returned an error is made again. It returns the last progress. pause bounds the waits
// between calls; zero: nothing does, which in a bubble costs nothing.
func (b *Bench) Forward(t testing.TB, op ops.Operation, pause time.Duration, until func(step int, p ops.Progress) bool) (p ops.Progress) {
	t.Helper()
	for i := b.Run().Step; i < len(b.Run().Plan.Steps); i++ {
		stopped := false
		p = b.repeat(t, op, i, pause, b.Advance, func(p ops.Progress) bool {
			stopped = until != nil && until(i, p)
			return stopped || p.Phase == ops.Failed || p.Phase == ops.Blocked || p.Phase == ops.Done
		})
		if stopped || p.Phase != ops.Done {
			return p
		}
	}
	return p
}

// Back undoes all steps up to the record's, last first, until one is blocked. It returns
// the last progress. pause is that of Forward.
func (b *Bench) Back(t testing.TB, op ops.Operation, pause time.Duration) (p ops.Progress) {
	t.Helper()
	for i := b.Run().Step; i >= 0; i-- {
		p = b.repeat(t, op, i, pause, b.Undo, func(p ops.Progress) bool {
			return p.Phase == ops.Done || p.Phase == ops.NotStarted || p.Phase == ops.Blocked
		})
		if p.Phase == ops.Blocked {
			break
		}
	}
	return p
}

// Undone is Back, which must not be blocked. It returns the journal.
func (b *Bench) Undone(t testing.TB, op ops.Operation, pause time.Duration) map[string]ops.Change {
	t.Helper()
	if p := b.Back(t, op, pause); p.Phase == ops.Blocked {
		t.Fatalf("the undo is blocked: %+v", p)
	}
	return b.Entries()
}

// repeat makes a call of the step at index i until its progress is enough.
func (b *Bench) repeat(t testing.TB, op ops.Operation, i int, pause time.Duration, call func(context.Context, int, ops.Step) (ops.Progress, error), enough func(ops.Progress) bool) ops.Progress {
	t.Helper()
	step, err := op.Step(b.Run().Plan.Steps[i])
	if err != nil {
		t.Fatal(err)
	}
	for range manyCalls {
		ctx, cancel := context.WithTimeout(t.Context(), callLimit)
		var p ops.Progress
		p, err = call(ctx, i, step)
		cancel()
		if err != nil {
			t.Logf("step %d: %v", i, err)
			p = ops.Progress{Phase: ops.Waiting}
		}
		if enough(p) {
			return p
		}
		wait := cmp.Or(p.Wait, usual)
		if pause > 0 {
			wait = min(wait, pause)
		}
		time.Sleep(wait)
	}
	t.Fatalf("step %d does not end: %v; said %q", i, err, b.Said())
	return ops.Progress{}
}

// Entries returns the journal as stored, by key.
func (b *Bench) Entries() map[string]ops.Change {
	entries := map[string]ops.Change{}
	for _, c := range b.Journal() {
		entries[c.Key] = c
	}
	return entries
}

// Explained is an error as people read it: what happened, and what to do next.
func Explained(err error) string {
	if err == nil {
		return ""
	}
	var u *ops.UserError
	if errors.As(err, &u) {
		return u.What + " | " + u.Next
	}
	return err.Error()
}

// EveryCrash calls try with a crash at the first write, the second, and so on, each before
// and after it was stored, to be cancelled and to be carried on, until no crash happens any
// more. It returns how many writes there are.
func EveryCrash(try func(at int, lost, cancel bool) (crashed bool)) (writes int) {
	for at := 1; ; at++ {
		crashed := false
		for _, lost := range []bool{true, false} {
			for _, cancel := range []bool{true, false} {
				crashed = try(at, lost, cancel) || crashed
			}
		}
		if !crashed {
			return at - 1
		}
	}
}
