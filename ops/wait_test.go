package ops_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"twokey/ops"
	"twokey/ops/opstest"
)

// TestShortWaits: a step that asks for a look within the second gets it in the same tick,
// at the very time, with its status written before; up to the tick's limit.
func TestShortWaits(t *testing.T) {
	var rig *opstest.Rig
	var began time.Time
	polls := 0
	p := &probe{poll: func(ctx context.Context, tick *ops.Tick) (ops.Progress, error) {
		if at := time.Since(began); at != time.Duration(polls)*250*time.Millisecond {
			t.Errorf("poll %d after %v", polls, at)
		}
		if polls > 0 {
			if got, want := rig.Run(id).Status.Headline, fmt.Sprintf("%d polls", polls); got != want {
				t.Errorf("status in the store is %q, want %q", got, want)
			}
		}
		polls++
		return ops.Progress{Phase: ops.Waiting, Wait: 250 * time.Millisecond, Status: ops.Status{Headline: fmt.Sprintf("%d polls", polls)}}, nil
	}}
	probing(t, p, func(t *testing.T, r *opstest.Rig) {
		rig, began = r, time.Now()
		wait := rig.Tick(id)
		if took := time.Since(began); took > 20*time.Second || took < 19*time.Second || wait != 250*time.Millisecond {
			t.Errorf("the tick took %v and asks for %v", took, wait)
		}
		if run := rig.Run(id); polls != 80 || run.Epoch != 1 {
			t.Errorf("%d polls under %d claims", polls, run.Epoch)
		}
	})
}

// TestLongWaitsAreNotHeld: from one second on a wait is the dispatcher's.
func TestLongWaitsAreNotHeld(t *testing.T) {
	p := &probe{poll: func(context.Context, *ops.Tick) (ops.Progress, error) {
		return ops.Progress{Phase: ops.Waiting, Wait: time.Second}, nil
	}}
	probing(t, p, func(t *testing.T, rig *opstest.Rig) {
		began := time.Now()
		if wait := rig.Tick(id); wait != time.Second || time.Since(began) != 0 {
			t.Errorf("wait %v, after %v in the tick", wait, time.Since(began))
		}
	})
}

// TestFlagsInShortWaits: a pause or a turned dial that comes in a short wait is there at
// the next look, and after a pause there is none.
func TestFlagsInShortWaits(t *testing.T) {
	var rig *opstest.Rig
	var seen []string
	p := &probe{poll: func(ctx context.Context, tick *ops.Tick) (ops.Progress, error) {
		dials, err := tick.Dials(ctx)
		if err != nil {
			return ops.Progress{}, err
		}
		seen = append(seen, dials["throttle"].Value)
		switch len(seen) {
		case 2:
			time.AfterFunc(100*time.Millisecond, func() { must(t, rig.Engine.Turn(context.Background(), id, "throttle", "5000", "U1")) })
		case 4:
			time.AfterFunc(100*time.Millisecond, func() { must(t, rig.Engine.Pause(context.Background(), id, "U2")) })
		}
		return ops.Progress{Phase: ops.Waiting, Wait: 500 * time.Millisecond}, nil
	}}
	probing(t, p, func(t *testing.T, r *opstest.Rig) {
		rig = r
		began := time.Now()
		wait := rig.Tick(id)
		if got := fmt.Sprintf("%q", seen); got != `["" "" "5000" "5000"]` {
			t.Errorf("the polls saw %s", got)
		}
		if run := rig.Run(id); run.State != ops.Paused || run.By != "U2" || wait < time.Minute || time.Since(began) != 2*time.Second {
			t.Errorf("%s by %q after %v, wait %v", run.State, run.By, time.Since(began), wait)
		}
	})
}

// TestStopEndsAShortWait: when the process stops, a tick that waits ends at once and gives
// its claim back.
func TestStopEndsAShortWait(t *testing.T) {
	polls := 0
	p := &probe{poll: func(context.Context, *ops.Tick) (ops.Progress, error) {
		polls++
		return ops.Progress{Phase: ops.Waiting, Wait: 900 * time.Millisecond}, nil
	}}
	probing(t, p, func(t *testing.T, rig *opstest.Rig) {
		ctx, stop := context.WithTimeout(context.Background(), 1200*time.Millisecond)
		defer stop()
		began := time.Now()
		_, err := rig.Engine.Tick(ctx, ops.Wake{ID: id, Task: id})
		if took := time.Since(began); took != 1200*time.Millisecond || !errors.Is(err, context.DeadlineExceeded) || polls != 2 {
			t.Errorf("ended after %v and %d polls: %v", took, polls, err)
		}
		if _, _, err := rig.Store.Claim(t.Context(), id, id, time.Minute); err != nil {
			t.Errorf("claim after the stop: %v", err)
		}
		if run := rig.Run(id); run.Errors != 0 {
			t.Errorf("the stop counts as %d errors", run.Errors)
		}
	})
}

// TestRedisLostInAShortWait: nor does the tick go on when it cannot ask for flags.
func TestRedisLostInAShortWait(t *testing.T) {
	var rig *opstest.Rig
	var cut time.Time
	polls := 0
	p := &probe{poll: func(context.Context, *ops.Tick) (ops.Progress, error) {
		if polls++; polls == 2 {
			cut = time.Now()
			time.AfterFunc(10*time.Millisecond, rig.Line.Cut)
		}
		return ops.Progress{Phase: ops.Waiting, Wait: 900 * time.Millisecond}, nil
	}}
	probing(t, p, func(t *testing.T, r *opstest.Rig) {
		rig = r
		_, err := rig.TryTick(id)
		if err == nil || polls != 2 || time.Since(cut) > 20*time.Second {
			t.Errorf("after %v and %d polls: %v", time.Since(cut), polls, err)
		}
		rig.Line.Mend()
		time.Sleep(5 * time.Second)
	})
}
