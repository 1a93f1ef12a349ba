package ops_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/opstest"
)

// TestCancelInAnyCall: a cancel that comes in while the run plans, looks or acts is
// obeyed, and never lost: also in the very last look.
func TestCancelInAnyCall(t *testing.T) {
	for n := 1; ; n++ {
		calls := 0
		var at string
		bubble(t, ops.Options{}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
			rig.Submit(id, opstest.Steps("set a=new", "lend b=1", "return b"))
			w.Fault(func(ctx context.Context, call, step string) error {
				if calls++; calls == n {
					at = call + " " + step
					return rig.Engine.Cancel(ctx, id, "UC")
				}
				return nil
			})
			run := rig.Finish(id)
			if calls < n {
				return
			}
			if run.State != ops.Cancelled || run.By != "UC" {
				t.Errorf("cancel in call %d (%s): %s by %q", n, at, run.State, run.By)
			}
			if d := cmp.Diff(map[string]string{"a": "old"}, w.Settings()); d != "" {
				t.Errorf("cancel in call %d (%s): settings (-want +got):\n%s", n, at, d)
			}
		})
		if calls < n {
			t.Logf("figure: cancelled in each of %d calls", n-1)
			if n < 6 {
				t.Errorf("only %d calls", n-1)
			}
			return
		}
	}
}

// TestSlowCallsKeepTheClaim: calls that use their whole time, with a lease hardly longer,
// renew the claim meanwhile: another worker gets nothing, and the tick ends in bounds.
func TestSlowCallsKeepTheClaim(t *testing.T) {
	bubble(t, ops.Options{Lease: 15 * time.Second}, func(t *testing.T, rig *opstest.Rig, w *opstest.World) {
		other := opstest.NewRigOn(t, rig.Redis, ops.Options{Lease: 15 * time.Second}, w)
		rig.Submit(id, opstest.Steps("set a=new", "lend b=1", "return b"))
		w.Fault(func(ctx context.Context, call, _ string) error {
			if call == "plan" {
				time.Sleep(19 * time.Second)
			}
			time.Sleep(9900 * time.Millisecond)
			if late, err := other.Store.Overdue(t.Context(), 5*time.Second); err != nil || len(late) > 0 {
				t.Errorf("rescued while %s: %v %v", call, late, err)
			}
			if _, _, err := other.Store.Claim(t.Context(), id, id, time.Second); !errors.Is(err, ops.ErrBusy) {
				t.Errorf("claimed while %s: %v", call, err)
			}
			return ops.Held(ctx)
		})
		longest := time.Duration(0)
		for !rig.Run(id).State.Ended() {
			began := time.Now()
			time.Sleep(rig.Tick(id))
			longest = max(longest, time.Since(began))
		}
		if run := rig.Run(id); run.State != ops.Succeeded || run.Epoch > 20 {
			t.Errorf("%s after %d claims: %s", run.State, run.Epoch, run.Reason)
		}
		t.Logf("figure: longest tick %s", longest)
		if longest > 100*time.Second { // the dispatcher ends a tick after two minutes
			t.Errorf("a tick took %s", longest)
		}
	})
}
