package opsredis_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/ops"
	"twokey/ops/opsredis"
	"twokey/ops/opstest"
)

// TestThousandWaiting prints what 1,000 runs cost that wait in one process and are
// polled every 5 s, on the server that TWOKEY_TEST_REDIS names.
func TestThousandWaiting(t *testing.T) {
	url := os.Getenv("TWOKEY_TEST_REDIS")
	if url == "" || testing.Short() {
		t.Skip("TWOKEY_TEST_REDIS is not set, or -short")
	}
	const runs, watch = 1000, 20 * time.Second
	o, err := redis.ParseURL(url)
	must(t, err)
	c := closing(t, redis.NewClient(o))
	must(t, c.FlushDB(t.Context()).Err())
	empty := used(t, c)

	w := opstest.NewWorld(nil)
	var polls atomic.Int64
	w.Fault(func(_ context.Context, call, _ string) error {
		if call == "poll" {
			polls.Add(1)
		}
		return nil
	})
	d := opsredis.NewDispatcher(c, opstest.Quiet(), 0)
	e := ops.New(ops.Options{Store: opsredis.New(c), Dispatcher: d, Operations: []ops.Operation{w}, Log: opstest.Quiet()})
	for i := range runs {
		id := fmt.Sprintf("R%04d", i)
		plan, err := e.Plan(t.Context(), lock(opstest.Steps("job "+id+" 24h"), id))
		must(t, err)
		must(t, e.Submit(t.Context(), ops.NewRun{ID: id, Plan: plan, Digest: plan.Digest(), Requester: "UASKS"}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	parts.Go(func() { _ = e.Run(ctx) })
	parts.Go(func() { _ = d.Run(ctx, e.Tick) })
	defer parts.Wait()
	defer cancel()

	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	began := time.Now()
	for len(w.Effects()) < runs {
		<-look.C
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("only %d of %d runs started in 2 minutes", len(w.Effects()), runs)
		}
	}
	t.Logf("%d runs started in %v", runs, time.Since(began).Round(time.Millisecond))

	before, cpu := polls.Load(), cpuTime(t)
	<-time.After(watch)
	n, spent := polls.Load()-before, cpuTime(t)-cpu
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%.0f polls/s, %.1f %% of a core, heap %.1f MB (from the system %.1f MB), %d goroutines, %.1f KB in Redis per run",
		float64(n)/watch.Seconds(), 100*spent.Seconds()/watch.Seconds(), float64(m.HeapAlloc)/1e6, float64(m.Sys)/1e6,
		runtime.NumGoroutine(), float64(used(t, c)-empty)/1e3/runs)
	if n < runs { // once in 20 s, where it should be 3 to 4 times
		t.Errorf("%d polls of %d runs in %v", n, runs, watch)
	}
	if g := runtime.NumGoroutine(); g > 200 {
		t.Errorf("%d goroutines for %d waiting runs", g, runs)
	}
}

// cpuTime is the processor time this process has used.
func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// used is what Redis says it uses, in bytes.
func used(t *testing.T, c *redis.Client) int64 {
	info, err := c.Info(t.Context(), "memory").Result()
	must(t, err)
	var n int64
	for line := range strings.Lines(info) {
		if s, ok := strings.CutPrefix(line, "used_memory:"); ok {
			_, err := fmt.Sscan(s, &n)
			must(t, err)
		}
	}
	return n
}
