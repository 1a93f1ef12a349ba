package ops

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// errLeaseLost is the cause of a tick's end when its claim could not be renewed.
var errLeaseLost = errors.New("the claim could not be renewed in time")

// lease is until when a claim is surely the holder's.
type lease struct{ end atomic.Pointer[time.Time] }

func (l *lease) set(end time.Time) { l.end.Store(&end) }

// over reports whether the end has passed by either clock: the one that nobody can set,
// and the one that goes on while a machine is suspended.
func (l *lease) over() bool {
	now, end := time.Now(), *l.end.Load()
	return !now.Before(end) || !now.Round(0).Before(end.Round(0))
}

type leaseKey struct{}

// WithLease returns a context under a claim that is good until end. Only tests of what
// asks Held call it; the engine's leases are prolonged.
func WithLease(ctx context.Context, end time.Time) context.Context {
	l := &lease{}
	l.set(end)
	return context.WithValue(ctx, leaseKey{}, l)
}

// Held returns nil while the claim is surely good under which a step was given ctx, and
// for a ctx that comes from no claim. A process that was stopped for a while may go on
// before its contexts notice that their time is over, so what writes to the outside asks
// here, last of all before it sends. It costs no call.
func Held(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	if l, ok := ctx.Value(leaseKey{}).(*lease); ok && l.over() {
		return errLeaseLost
	}
	return nil
}

// hold renews a claim every third of ttl until the returned stop is called. The
// returned context ends when the claim is lost, or when it has not been renewed for a
// whole ttl since it was last known to be good, which is when another worker may have
// it; see also Held. since is a moment before the claim was made.
func hold(ctx context.Context, c Claim, ttl time.Duration, since time.Time) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &lease{}
	l.set(since.Add(ttl))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		expiry := time.AfterFunc(ttl-time.Since(since), func() { cancel(errLeaseLost) })
		defer expiry.Stop()
		every := time.NewTicker(ttl / 3)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
			asked := time.Now()
			switch err := c.Renew(ctx); {
			case err == nil:
				l.set(asked.Add(ttl))
				expiry.Reset(ttl - time.Since(asked))
			case errors.Is(err, ErrFenced):
				cancel(ErrFenced)
			}
		}
	}()
	return context.WithValue(ctx, leaseKey{}, l), func() {
		cancel(context.Canceled)
		<-stopped
	}
}
