package ops

import (
	"context"
	"time"
)

// sweepEvery is the time between two looks for overdue runs.
const sweepEvery = time.Second

// grace is how late a run nobody holds may be before the sweeper wakes it. A run whose
// holder died is late by more than this when its lease ends, so the grace adds nothing
// there: takeover comes after the lease, up to a second of sweepEvery and up to 1.5 s
// of the dispatcher's look for tasks. The grace is for runs between ticks, whose
// healthy task may be a second late in being moved to the queue and 1.5 s in being
// taken from it: 4 s leaves room for both, a third of a longer lease for busy workers.
func (e *Engine) grace() time.Duration { return max(4*time.Second, e.o.Lease/3) }

// Run sweeps for overdue runs until ctx ends, and returns nil then. While the store
// cannot be reached it goes on trying once a second and says so once.
func (e *Engine) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	down := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := e.sweep(ctx)
		switch {
		case err == nil:
			if down {
				e.o.Log.Info("sweeping for overdue runs again")
			}
			down = false
		case ctx.Err() == nil && !down:
			down = true
			e.o.Log.Error("cannot sweep for overdue runs, trying on", "error", err)
		}
	}
}

func (e *Engine) sweep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	late, err := e.o.Store.Overdue(ctx, e.grace())
	if err != nil {
		return err
	}
	for _, w := range late {
		// A wake that fails is not lost: the run is overdue again after a grace.
		if err := e.o.Dispatcher.Wake(ctx, w); err != nil {
			return err
		}
		e.o.Log.Info("overdue run woken", "run", w.ID, "task", w.Task)
	}
	return nil
}
