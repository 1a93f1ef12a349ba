package deploytest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
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

// Bench plans twice, which must come to the same, and puts the plan on a bench.
func Bench(t testing.TB, op ops.Operation, args, flags string) *opstest.Bench {
	t.Helper()
	plan, err := op.Plan(t.Context(), Call(op, args, flags))
	if err != nil {
		t.Fatalf("plan: %s", opstest.Explained(err))
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
func Run(t testing.TB, op ops.Operation, b *opstest.Bench, until func(ops.Progress) bool) ops.Progress {
	t.Helper()
	return b.Forward(t, op, 0, func(_ int, p ops.Progress) bool { return until != nil && until(p) })
}

// Back undoes all begun steps, last first, and returns the journal.
func Back(t testing.TB, op ops.Operation, b *opstest.Bench) map[string]ops.Change {
	t.Helper()
	return b.Undone(t, op, 0)
}
