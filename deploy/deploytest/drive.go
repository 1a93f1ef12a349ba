package deploytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"twokey/ops"
	"twokey/ops/opstest"
)

// Call is what a person asks of an operation in staging; flags are "from=v1 tag=live".
func Call(op ops.Operation, args, flags string) ops.Call {
	c := ops.Call{Kind: op.Kind(), Environment: "staging", Args: strings.Fields(args), Flags: map[string]string{}}
	for f := range strings.FieldsSeq(flags) {
		name, v, _ := strings.Cut(f, "=")
		c.Flags[name] = v
	}
	return c
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

// Bench plans twice, which must come to the same, and puts the plan on a bench.
func Bench(t testing.TB, op ops.Operation, args, flags string) *opstest.Bench {
	t.Helper()
	plan, err := op.Plan(t.Context(), Call(op, args, flags))
	if err != nil {
		t.Fatalf("plan: %s", Explained(err))
	}
	again, err := op.Plan(t.Context(), plan.Call)
	if err != nil || again.Digest() != plan.Digest() {
		t.Fatalf("planned again: another digest, %v", err)
	}
	n := runs.Add(1)
	b := opstest.NewBench(plan)
	b.Change(func(r *ops.Run) { r.ID = fmt.Sprintf("01KB3JQX2N9Y8Z7V6T5S4R%04d", n) })
	return b
}

var runs atomic.Int64 // tokens are of one run each

// Run carries all steps on, as the engine does, until a progress that until wants; nil: none.
// A call that failed is made again.
func Run(t testing.TB, op ops.Operation, b *opstest.Bench, until func(ops.Progress) bool) ops.Progress {
	t.Helper()
	var p ops.Progress
	for i := b.Run().Step; i < len(b.Run().Plan.Steps); i++ {
		step, err := op.Step(b.Run().Plan.Steps[i])
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			p, err = b.Advance(ctx, i, step)
			cancel()
			if err != nil {
				p = ops.Progress{Phase: ops.Waiting}
			}
			if until != nil && until(p) || p.Phase == ops.Failed || p.Phase == ops.Blocked {
				return p
			}
			if p.Phase == ops.Done {
				break
			}
			if n > 1000 {
				t.Fatalf("step %d does not end: %+v, %v", i, p, err)
			}
			time.Sleep(cmp.Or(p.Wait, 5*time.Second))
		}
	}
	return p
}

// Back undoes all begun steps, last first, and returns the journal.
func Back(t testing.TB, op ops.Operation, b *opstest.Bench) map[string]ops.Change {
	t.Helper()
	for i := b.Run().Step; i >= 0; i-- {
		step, err := op.Step(b.Run().Plan.Steps[i])
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			p, err := b.Undo(ctx, i, step)
			cancel()
			if err == nil && p.Phase == ops.Done {
				break
			}
			if n > 500 {
				t.Fatalf("the undo of step %d does not end: %+v, %v", i, p, err)
			}
			time.Sleep(cmp.Or(p.Wait, 5*time.Second))
		}
	}
	entries := map[string]ops.Change{}
	for _, c := range b.Journal() {
		entries[c.Key] = c
	}
	return entries
}
