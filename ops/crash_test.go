package ops_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"twokey/ops"
	"twokey/ops/opstest"
)

var errDead = errors.New("the process is dead")

// death kills a process, as far as Redis and the world can tell, at its n-th command
// to Redis: before the command arrives, or after it was carried out.
type death struct {
	at     int
	before bool
	lapse  bool // it only loses that command, or its answer, and lives on

	mu   sync.Mutex
	n    int
	dead bool
}

func (d *death) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *death) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if d.died() {
			return errDead
		}
		last := d.count()
		if last && d.lapse {
			if !d.before {
				_ = next(ctx, cmd)
			}
			cmd.SetErr(errDead)
			return errDead
		}
		if last && d.before {
			d.die()
			return errDead
		}
		err := next(ctx, cmd)
		if last {
			d.die()
			return errDead
		}
		return err
	}
}

// count reports whether this command is the last one.
func (d *death) count() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	return d.n == d.at
}

func (d *death) die() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
}

func (d *death) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (d *death) died() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// story is a run from its submission to its end.
type story struct {
	name  string
	steps []string
	// wish is what a person asks for after some time; nil: nothing.
	wish  func(e *ops.Engine) error
	after time.Duration
}

var stories = []story{
	{name: "done", steps: []string{"set a=new", "job copy 7s", "lend b=1", "return b"}},
	{name: "failed", steps: []string{"set a=new", "job copy 7s", "lend b=1", "fail disk is full"}},
	{name: "many items, failed", steps: []string{"items i 3", "fail disk is full"}},
	{
		name: "cancelled", steps: []string{"set a=new", "lend b=1", "job copy 24h"}, after: 30 * time.Second,
		wish: func(e *ops.Engine) error { return e.Cancel(context.Background(), id, "UC") },
	},
	{
		name: "paused, then resumed", steps: []string{"set a=new", "need key", "lend b=1", "return b"}, after: time.Minute,
		wish: func(e *ops.Engine) error { return e.Resume(context.Background(), id, "UR") },
	},
}

// outcome is all that must be the same, crash or no crash.
type outcome struct {
	State    ops.State
	Reason   string
	Settings map[string]string
	Effects  []string
	Events   []string
	Journal  []ops.Change
}

// play carries a story through; the process that makes the ticks dies as d says, and
// another takes its place. It reports whether it died.
func play(t *testing.T, s story, d *death) (o outcome) {
	synctest.Test(t, func(t *testing.T) {
		w := opstest.NewWorld(map[string]string{"a": "old"})
		server := opstest.NewRedis(t)
		people := opstest.NewRigOn(t, server, ops.Options{}, w) // never dies
		people.Submit(id, opstest.Steps(s.steps...))
		w.Fault(func(context.Context, string, string) error {
			if d != nil && d.died() {
				return errDead
			}
			return nil
		})
		process := opstest.NewRigOn(t, server, ops.Options{}, w)
		if d != nil {
			process.Client.AddHook(d)
		}
		began := time.Now()
		wished := s.wish == nil
		due := began
		for range 10_000 {
			if !wished && time.Since(began) >= s.after {
				wished = true
				w.Set("key", "here")
				must(t, s.wish(people.Engine))
				due = time.Now()
			}
			if !due.After(time.Now()) {
				wait, err := process.TryTick(id)
				if d != nil && d.died() {
					process, d = opstest.NewRigOn(t, server, ops.Options{}, w), nil
					w.Fault(nil)
				} else if err != nil && (d == nil || !d.lapse) {
					t.Fatalf("tick: %v", err)
				}
				due = time.Now().Add(wait)
				if err != nil {
					due = time.Now().Add(time.Hour) // the sweeper's to find
				}
			}
			if run := people.Run(id); run.State.Ended() {
				o = outcome{
					State: run.State, Reason: run.Reason, Journal: run.Journal,
					Settings: w.Settings(), Effects: w.Effects(), Events: said(people),
				}
				return
			}
			time.Sleep(time.Second)
			late, err := people.Store.Overdue(t.Context(), 5*time.Second)
			must(t, err)
			for _, wake := range late {
				must(t, process.Wake(t.Context(), wake))
				due = time.Now()
			}
		}
		t.Fatalf("the run has not ended: %+v", people.Run(id))
	})
	return o
}

// TestCrashPoints lets the process die before and after each single command to Redis
// that a run's ticks make, and compares what comes of it with a run without a crash.
func TestCrashPoints(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			want := play(t, s, nil)
			if n := count(want.Events, "ending: "); n != 1 {
				t.Fatalf("%d endings", n)
			}
			points := 0
			for _, before := range []bool{true, false} {
				for at := 1; ; at++ {
					d := &death{at: at, before: before}
					var got outcome
					t.Run(fmt.Sprintf("at %d, before %v", at, before), func(t *testing.T) { got = play(t, s, d) })
					if !d.died() {
						break
					}
					points++
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("crash at command %d (before it: %v) changed the outcome (-want +got):\n%s", at, before, diff)
					}
				}
			}
			t.Logf("%d crash points", points)
			if points < 20 {
				t.Errorf("only %d crash points", points)
			}
		})
	}
}

func count(lines []string, prefix string) int {
	n := 0
	for _, l := range lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

// TestLapses loses each single command to Redis, or its answer, of a process that lives
// on: the outcome is the same, and nothing is said twice.
func TestLapses(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			want := play(t, s, nil)
			points := 0
			for _, before := range []bool{true, false} {
				for at := 1; ; at++ {
					d := &death{at: at, before: before, lapse: true}
					got := play(t, s, d)
					if d.n < at {
						break
					}
					points++
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("command %d lost (before it arrived: %v) changed the outcome (-want +got):\n%s", at, before, diff)
					}
				}
			}
			t.Logf("figure: %d commands lost", points)
		})
	}
}
