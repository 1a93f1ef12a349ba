package ops

import (
	"context"
	"errors"
	"time"
)

// errLeaseLost is the cause of a tick's end when its claim could not be renewed.
var errLeaseLost = errors.New("the claim could not be renewed in time")

// hold renews a claim every third of ttl until the returned stop is called. The
// returned context ends when the claim is lost, or when it has not been renewed for a
// whole ttl since it was last known to be good, which is when another worker may have
// it. since is a moment before the claim was made.
func hold(ctx context.Context, c Claim, ttl time.Duration, since time.Time) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
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
				expiry.Reset(ttl - time.Since(asked))
			case errors.Is(err, ErrFenced):
				cancel(ErrFenced)
			}
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		<-stopped
	}
}
