package opsredis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/opsredis"
	"twokey/ops/opstest"
)

// process is a whole engine with its dispatcher and sweeper, as in one replica.
type process struct {
	name   string
	engine *ops.Engine
	store  *opsredis.Store
	line   *opstest.Line
	cancel context.CancelFunc
	done   sync.WaitGroup
}

type nameKey struct{}

// on returns the name of the process that a step's call comes from.
func on(ctx context.Context) string { name, _ := ctx.Value(nameKey{}).(string); return name }

func start(t *testing.T, name string, server opstest.Redis, operation ops.Operation, o ops.Options) *process {
	c, line := server.Client(t)
	p := &process{name: name, store: opsredis.New(c), line: line}
	d := opsredis.NewDispatcher(c, opstest.Quiet(), 0)
	o.Store, o.Dispatcher, o.Operations, o.Log = p.store, d, []ops.Operation{operation}, opstest.Quiet()
	p.engine = ops.New(o)
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), nameKey{}, name))
	p.cancel = cancel
	t.Cleanup(p.stop)
	p.done.Go(func() {
		if err := d.Run(ctx, p.engine.Tick); err != nil {
			t.Errorf("dispatcher of %s: %v", name, err)
		}
	})
	p.done.Go(func() {
		if err := p.engine.Run(ctx); err != nil {
			t.Errorf("sweeper of %s: %v", name, err)
		}
	})
	return p
}

// stop is SIGTERM, awaited.
func (p *process) stop() {
	p.cancel()
	p.done.Wait()
}

func (p *process) submit(t *testing.T, id string, call ops.Call) {
	t.Helper()
	plan, err := p.engine.Plan(t.Context(), call)
	must(t, err)
	must(t, p.engine.Submit(t.Context(), ops.NewRun{ID: id, Plan: plan, Digest: plan.Digest(), Requester: "UASKS"}))
}

// wait lets fake time pass until the run is as f wants, and returns how long it took.
func (p *process) wait(t *testing.T, id string, most time.Duration, f func(ops.Run) bool) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		r, err := p.engine.Get(t.Context(), id)
		must(t, err)
		if f(r) {
			return time.Since(began)
		}
		if time.Since(began) > most {
			t.Fatalf("after %v the run is %s at step %d: %s %s", most, r.State, r.Step, r.Reason, r.LastError)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func ended(r ops.Run) bool { return r.State.Ended() }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// effects fails the test unless exactly these effects came about, in any order.
func effects(t *testing.T, w *opstest.World, want ...string) {
	t.Helper()
	got := w.Effects()
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("effects (-want +got):\n%s", d)
	}
}

// TestLongWait: the whole stack waits half an hour on fake time, or a day, which takes
// minutes, if TWOKEY_TEST_LONG is set.
func TestLongWait(t *testing.T) {
	long := 30 * time.Minute
	if os.Getenv("TWOKEY_TEST_LONG") != "" {
		long = 24 * time.Hour
	}
	synctest.Test(t, func(t *testing.T) {
		w := opstest.NewWorld(nil)
		p := start(t, "A", opstest.NewRedis(t), w, ops.Options{})
		p.submit(t, "R", opstest.Steps("set a=1", "job copy "+long.String(), "set b=2"))
		time.Sleep(long)
		if d := p.wait(t, "R", time.Minute, ended); d > 15*time.Second {
			t.Errorf("ended %v late", d)
		}
		r, err := p.engine.Get(t.Context(), "R")
		must(t, err)
		if r.State != ops.Succeeded || r.Rev > 20 {
			t.Errorf("%s: %s; %d writes", r.State, r.Reason, r.Rev)
		}
		effects(t, w, "set a=1", "job copy", "set b=2")
	})
}

// TestTakeover: a process that dies in a call is replaced after about a lease.
func TestTakeover(t *testing.T) {
	for _, tt := range []struct{ lease, most time.Duration }{
		{0, 20 * time.Second}, // the default of 15 s
		{3 * time.Second, 8 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			server, w := opstest.NewRedis(t), opstest.NewWorld(nil)
			over, inCall := make(chan struct{}), make(chan struct{})
			var once sync.Once
			w.Fault(func(ctx context.Context, call, step string) error {
				if on(ctx) == "A" && call == "start" && step == "set b=2" {
					once.Do(func() { close(inCall) })
					<-over // A is dead; it just does not know
					return ctx.Err()
				}
				return nil
			})
			a := start(t, "A", server, w, ops.Options{Lease: tt.lease})
			a.submit(t, "R", opstest.Steps("set a=1", "set b=2", "set c=3"))
			<-inCall
			a.line.Cut()
			b := start(t, "B", server, w, ops.Options{Lease: tt.lease})
			d := b.wait(t, "R", tt.most, ended)
			t.Logf("lease %v: taken over and done after %v", tt.lease, d)
			effects(t, w, "set a=1", "set b=2", "set c=3")
			close(over)
		})
	}
}

// TestZombie: a process that is cut off while it acts, and comes back after another has
// taken the run over, can neither write the record nor act any more.
func TestZombie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := opstest.NewRedis(t), opstest.NewWorld(nil)
		stopped, inCall := make(chan struct{}), make(chan struct{})
		zombie := make(chan error, 1)
		w.Fault(func(ctx context.Context, call, step string) error {
			if on(ctx) == "A" && call == "start" && step == "set b=2" {
				close(inCall)
				<-stopped // SIGSTOP; ignores its context on purpose
				zombie <- context.Cause(ctx)
			}
			return nil // goes on with its change
		})
		a := start(t, "A", server, w, ops.Options{})
		a.submit(t, "R", opstest.Steps("set a=1", "set b=2", "job copy 1m", "set c=3"))
		<-inCall
		a.line.Cut()
		b := start(t, "B", server, w, ops.Options{})
		b.wait(t, "R", 20*time.Second, func(r ops.Run) bool { return r.Step == 2 && r.Begun })
		before, err := b.engine.Get(t.Context(), "R")
		must(t, err)

		a.line.Mend()
		close(stopped) // SIGCONT
		if cause := <-zombie; cause == nil {
			t.Error("the zombie's context had not ended")
		}
		synctest.Wait()
		after, err := b.engine.Get(t.Context(), "R")
		must(t, err)
		if after.Epoch < before.Epoch || after.Step != 2 {
			t.Errorf("after the zombie's return: epoch %d, was %d; step %d", after.Epoch, before.Epoch, after.Step)
		}
		b.wait(t, "R", 2*time.Minute, ended)
		// The journal's Record fences before the change, so b=2 was set once.
		effects(t, w, "set a=1", "set b=2", "job copy", "set c=3")
	})
}

// TestOutage: Redis away for 30 s harms no run, and is not answered by spinning.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := opstest.NewRedis(t), opstest.NewWorld(nil)
		p := start(t, "A", server, w, ops.Options{Poll: time.Second})
		p.submit(t, "R", opstest.Steps("set a=1", "job copy 60s", "set b=2"))
		time.Sleep(10 * time.Second)
		before := p.line.Dials()
		p.line.Cut()
		time.Sleep(30 * time.Second)
		dials := p.line.Dials() - before
		p.line.Mend()
		time.Sleep(1500 * time.Millisecond) // a client that could not connect looks once a second
		t.Logf("%d connections tried in 30 s without Redis", dials)
		if dials > 3000 {
			t.Errorf("%d connections tried in 30 s", dials)
		}
		r, err := p.engine.Get(t.Context(), "R")
		must(t, err)
		rev, epoch := r.Rev, r.Epoch
		d := p.wait(t, "R", time.Minute, func(r ops.Run) bool { return r.Epoch > epoch })
		t.Logf("ticking again %v after the first 1.5 s of Redis (rev %d)", d, rev)
		if d > 10*time.Second {
			t.Errorf("ticking again only %v after Redis came back", d)
		}
		p.wait(t, "R", time.Minute, ended)
		effects(t, w, "set a=1", "job copy", "set b=2")
	})
}

// TestQueueLost: all that asynq keeps may be deleted.
func TestQueueLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := opstest.NewRedis(t), opstest.NewWorld(nil)
		p := start(t, "A", server, w, ops.Options{Poll: 2 * time.Second})
		p.submit(t, "R", opstest.Steps("job copy 1h", "set b=2"))
		p.submit(t, "S", lock(opstest.Steps("job copy 1h", "set b=2"), "other"))
		time.Sleep(10 * time.Second)
		must(t, p.engine.Pause(t.Context(), "S", "U1"))
		p.wait(t, "S", 5*time.Second, func(r ops.Run) bool { return r.State == ops.Paused })
		for _, key := range server.Keys() {
			if strings.HasPrefix(key, "asynq:") {
				server.Del(key)
			}
		}
		r, _ := p.engine.Get(t.Context(), "R")
		epoch := r.Epoch
		d := p.wait(t, "R", 10*time.Second, func(r ops.Run) bool { return r.Epoch > epoch })
		t.Logf("ticking again after %v", d)
		must(t, p.engine.Resume(t.Context(), "S", "U1"))
		p.wait(t, "S", 10*time.Second, func(r ops.Run) bool { return r.State == ops.Running })
	})
}

// TestStopHandsOver: at a stop the tick at work ends by itself, and a peer goes on at
// once, without waiting for a lease to run out.
func TestStopHandsOver(t *testing.T) {
	tests := []struct {
		name  string
		works time.Duration // what is left of the call when the stop comes
		stop  time.Duration // how long the stop may take
		again bool          // whether the call is made again by the peer
	}{
		{"call ends in time", 4 * time.Second, 5 * time.Second, false},
		{"call waits for its context", time.Hour, 12 * time.Second, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, w := opstest.NewRedis(t), opstest.NewWorld(nil)
				inCall := make(chan struct{})
				var once sync.Once
				w.Fault(func(ctx context.Context, call, step string) error {
					if on(ctx) == "A" && call == "start" && step == "set b=2" {
						once.Do(func() { close(inCall) })
						select {
						case <-time.After(tt.works):
						case <-ctx.Done():
							return ctx.Err()
						}
					}
					return nil
				})
				a := start(t, "A", server, w, ops.Options{Lease: time.Minute})
				a.submit(t, "R", opstest.Steps("set a=1", "set b=2", "job copy 1s", "set c=3"))
				<-inCall
				b := start(t, "B", server, w, ops.Options{Lease: time.Minute})
				began := time.Now()
				a.stop()
				if d := time.Since(began); d > tt.stop {
					t.Errorf("the stop took %v", d)
				}
				if d := b.wait(t, "R", 20*time.Second, ended); d > 12*time.Second {
					t.Errorf("the peer was done only after %v", d)
				}
				effects(t, w, "set a=1", "set b=2", "job copy", "set c=3")
			})
		})
	}
}

// TestTwoProcesses: two replicas share many runs, and each step has its effect once.
func TestTwoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := opstest.NewRedis(t), opstest.NewWorld(nil)
		a := start(t, "A", server, w, ops.Options{Poll: time.Second})
		b := start(t, "B", server, w, ops.Options{Poll: time.Second})
		var mu sync.Mutex
		ticks := map[string]int{}
		w.Fault(func(ctx context.Context, call, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			if call == "poll" {
				ticks[on(ctx)]++
			}
			return nil
		})
		var want []string
		for i := range 20 {
			id := fmt.Sprintf("R%02d", i)
			a.submit(t, id, lock(opstest.Steps("set "+id+"=1", "job "+id+" 30s"), id))
			want = append(want, "set "+id+"=1", "job "+id)
		}
		for i := range 20 {
			b.wait(t, fmt.Sprintf("R%02d", i), 2*time.Minute, ended)
		}
		effects(t, w, want...)
		mu.Lock()
		t.Logf("polls by process: %v", ticks)
		if ticks["A"] == 0 || ticks["B"] == 0 {
			t.Errorf("one process did all: %v", ticks)
		}
		mu.Unlock()
	})
}

// TestFlagsAreQuick: a person's wish does not wait for the next poll.
func TestFlagsAreQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := opstest.NewRedis(t), opstest.NewWorld(nil)
		p := start(t, "A", server, w, ops.Options{Poll: 10 * time.Minute})
		p.submit(t, "R", opstest.Steps("job copy 24h"))
		time.Sleep(time.Minute)
		steps := []struct {
			ask  func(context.Context, string, string) error
			want ops.State
		}{{p.engine.Pause, ops.Paused}, {p.engine.Resume, ops.Running}, {p.engine.Cancel, ops.Cancelled}}
		for _, s := range steps {
			must(t, s.ask(t.Context(), "R", "U1"))
			if d := p.wait(t, "R", time.Minute, func(r ops.Run) bool { return r.State == s.want }); d > 3*time.Second {
				t.Errorf("%s came about after %v", s.want, d)
			}
			time.Sleep(30 * time.Second)
		}
	})
}

// TestDialsAreQuick: nor does a dial that a person turns.
func TestDialsAreQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, "A", opstest.NewRedis(t), throttled{}, ops.Options{})
		p.submit(t, "R", ops.Call{Kind: "throttled"})
		time.Sleep(time.Minute)
		for _, s := range []struct {
			value string
			want  func(ops.Run) bool
		}{
			{"5000", func(r ops.Run) bool { return r.Status.Headline == "throttle 5000" }},
			{"enough", ended},
		} {
			must(t, p.engine.Turn(t.Context(), "R", "throttle", s.value, "U1"))
			if d := p.wait(t, "R", time.Minute, s.want); d > 3*time.Second {
				t.Errorf("throttle %s came about after %v", s.value, d)
			}
			time.Sleep(30 * time.Second)
		}
		if err := p.engine.Turn(t.Context(), "R", "throttle", "1", "U1"); !errors.Is(err, ops.ErrEnded) {
			t.Errorf("turn after the end: %v", err)
		}
	})
}

func lock(c ops.Call, resource string) ops.Call {
	c.Flags = map[string]string{"lock": resource}
	return c
}
