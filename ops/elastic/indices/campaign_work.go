package indices

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"twokey/ops"
)

// itemTries is how often an index may fail in a row before it is given up, or if it cannot
// be, before a person is asked.
const itemTries = 6

// work drives items until the call's time is over: those in work first, then others, as
// many at a time as the pace allows.
func (r *campaignRun) work(ctx context.Context) error {
	var wg sync.WaitGroup
	var p panics
	errs := make(chan error, len(r.items))
	r.taken, r.open = make([]bool, len(r.items)), r.moving()
	for range min(r.notes.Pace.width(), len(r.items)) {
		wg.Go(p.caught(func() {
			for {
				i := r.take()
				if i == nil {
					return
				}
				was := i.stuck()
				if err := r.drive(ctx, i); err != nil {
					errs <- err
					return
				}
				if !was && (i.stuck() || i.done() || i.Failed && i.Undone) {
					r.mu.Lock()
					r.open--
					r.mu.Unlock()
				}
			}
		}))
	}
	wg.Wait()
	p.again()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// beginBefore is how long before the call's end an item is taken up no more. One that is
// goes on in the next call.
const beginBefore = 100 * time.Millisecond

// take chooses the next item of this call; nil: there is none, or no time.
func (r *campaignRun) take() *item {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Add(beginBefore).After(r.until) {
		return nil
	}
	// Two rounds over the order: what is in work, then what has not begun.
	for ; r.next < 2*len(r.notes.Order); r.next++ {
		at := r.notes.Order[r.next%len(r.notes.Order)]
		i, first := r.items[at], r.next < len(r.notes.Order)
		switch {
		case r.taken[at]:
			continue
		case i.done() || i.Failed && i.Undone || first != i.begun():
			continue
		case !first && (r.hold || r.late() || r.notes.Full != "" || r.open >= r.notes.Pace.width()):
			continue
		case time.Now().Before(i.After) && time.Until(i.After) <= backoff(itemTries): // later: the clock was set back
			continue
		}
		if !first {
			r.open++
		}
		r.next++
		r.taken[at] = true
		return i
	}
	return nil
}

// drive takes one item further, until it is done, has to wait for long, or the call's time
// is over. An error is one of the run's record: it ends the call.
func (r *campaignRun) drive(ctx context.Context, i *item) error {
	j := r.job(ctx, i)
	own, cancel := ownTime(ctx)
	defer cancel()
	if i.Began.IsZero() {
		i.Began = time.Now().UTC()
	}
	r.mu.Lock() // another item's failure may slow it down
	j.share(r.notes.Pace)
	r.mu.Unlock()
	for time.Now().Before(r.until) && ctx.Err() == nil {
		p, err := r.step(own, i, j)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case ops.Held(ctx) != nil:
			return ops.Held(ctx)
		case errors.Is(err, ops.ErrFenced):
			return err
		case err != nil:
			return r.fault(ctx, i, err.Error())
		case p.blocked != "" && !i.Failed && j.phases()[i.Phase] == phaseReplicate:
			// Nothing is given up for want of replicas: they may come yet.
			i.Waits, i.Fault, i.After = true, p.blocked, time.Now().Add(guardEvery)
			return j.save(ctx)
		case p.failed != "" || p.blocked != "":
			return r.giveUp(ctx, i, p.failed+p.blocked)
		case i.done(), i.Failed && i.Undone:
			return nil
		}
		if p.wait > time.Second || time.Now().Add(p.wait).After(r.until) {
			i.After = time.Now().Add(min(p.wait, 5*time.Second))
			return r.well(ctx, i, j)
		}
		select {
		case <-ctx.Done():
		case <-time.After(p.wait):
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.well(ctx, i, j)
}

// well ends an item's part of a call that had no failure.
func (r *campaignRun) well(ctx context.Context, i *item, j *job) error {
	if i.Tries = 0; !i.Failed && !i.Waits {
		i.Fault = ""
	}
	return j.save(ctx)
}

// beforeEnd is how long before the step's call an item's own requests end, so that there is
// time to write down what became of it.
const beforeEnd = 1500 * time.Millisecond

// ownTime is the context of one item's requests: one that takes too long is the item's
// failure, and not the campaign's.
func ownTime(ctx context.Context) (context.Context, context.CancelFunc) {
	d, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, d.Add(-beforeEnd))
}

// step does one call of the item's present phase, and goes on to the next when it is over.
func (r *campaignRun) step(ctx context.Context, i *item, j *job) (progress, error) {
	phases := j.phases()
	if i.Failed {
		return r.backOne(ctx, i, j, phases)
	}
	if i.Phase >= len(phases) {
		return finished, r.complete(ctx, i, j)
	}
	if p := phases[i.Phase]; r.hold && p != phaseCopy && p != phaseCatchUp && p != phaseReplicate {
		return waiting(guardEvery), nil
	}
	p, err := j.advance(ctx, phases[i.Phase])
	if errors.Is(err, errRecreated) {
		return progress{failed: err.Error()}, nil
	}
	if err != nil || !p.done {
		return p, err
	}
	i.Phase++
	i.Tries, i.Fault, i.Waits = 0, "", false
	if i.Phase == len(phases) {
		return finished, r.complete(ctx, i, j)
	}
	return progress{}, j.save(ctx)
}

// backOne undoes the phases of an item that is given up.
func (r *campaignRun) backOne(ctx context.Context, i *item, j *job, phases []phase) (progress, error) {
	at := min(i.Phase, len(phases)-1)
	if at < 0 {
		i.Undone, i.Phase = true, 0
		if !i.swapped() {
			i.State = nil
		}
		return finished, j.save(ctx)
	}
	p, err := j.back(ctx, phases[at])
	if err != nil || !p.done {
		return p, err
	}
	i.Phase = at - 1
	return progress{}, j.save(ctx)
}

// complete closes an item and forgets what is not needed any more.
func (r *campaignRun) complete(ctx context.Context, i *item, j *job) error {
	s := i.State
	i.Ended = time.Now().UTC()
	i.Docs, i.How, i.Refused, i.Again = s.Verified, s.How, len(s.Refused), s.Again
	i.Bytes = s.Verified * s.DocBytes
	i.State = nil
	return j.save(ctx)
}

// fault notes a failure that may pass; after some in a row the item is given up for now.
func (r *campaignRun) fault(ctx context.Context, i *item, why string) error {
	i.Tries++
	i.Fault = why
	i.After = time.Now().Add(backoff(i.Tries))
	if overloadedText(why) {
		r.mu.Lock()
		r.notes.Pace.backOff("the cluster turned writes away")
		r.mu.Unlock()
	}
	if i.Tries >= itemTries && !i.Failed && !i.swapped() {
		i.Failed, i.Tries = true, 0 // what has moved is finished, however long that takes
	}
	return r.t.PutPart(ctx, i.key(), i)
}

// giveUp undoes an item that cannot go on without a person; the others do.
func (r *campaignRun) giveUp(ctx context.Context, i *item, why string) error {
	if why = strings.TrimSuffix(why, "."); i.swapped() || i.Failed {
		return r.fault(ctx, i, why)
	}
	i.Failed, i.Fault, i.Tries = true, why, 0
	return r.t.PutPart(ctx, i.key(), i)
}

func overloadedText(s string) bool {
	return strings.Contains(s, "429") || strings.Contains(s, "overloaded") || strings.Contains(s, "too many requests")
}
