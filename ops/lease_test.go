package ops

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// renewals is a claim of which only Renew is used.
type renewals struct {
	Claim
	answer func() error
}

func (r renewals) Renew(context.Context) error { return r.answer() }

func TestHold(t *testing.T) {
	const ttl = 15 * time.Second
	down := errors.New("connection refused")
	tests := []struct {
		name   string
		answer func(after time.Duration) error // to a renewal, by the time since the claim
		ends   time.Duration                   // when the context ends; zero: not within 10 minutes
		cause  error
	}{
		{"renewed", func(time.Duration) error { return nil }, 0, nil},
		{"unreachable from the start", func(time.Duration) error { return down }, ttl, errLeaseLost},
		{
			"unreachable after a while", // renewed at 60 s last, hence good until 75 s
			func(after time.Duration) error {
				if after > time.Minute {
					return down
				}
				return nil
			}, time.Minute + ttl, errLeaseLost,
		},
		{
			"one renewal lost",
			func(after time.Duration) error {
				if after > 22*time.Second && after < 28*time.Second {
					return down
				}
				return nil
			}, 0, nil,
		},
		{"taken over", func(time.Duration) error { return ErrFenced }, ttl / 3, ErrFenced},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				c := renewals{answer: func() error { return tt.answer(time.Since(began)) }}
				ctx, stop := hold(t.Context(), c, ttl, began)
				defer stop()
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Minute):
				}
				d := time.Since(began)
				if tt.ends == 0 && d < 10*time.Minute || tt.ends != 0 && d != tt.ends {
					t.Errorf("ended after %v, want %v", d, tt.ends)
				}
				if !errors.Is(context.Cause(ctx), tt.cause) {
					t.Errorf("cause %v, want %v", context.Cause(ctx), tt.cause)
				}
			})
		})
	}
}

// TestHeld: the clock decides, also while no timer has fired yet.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl = 15 * time.Second
		began := time.Now()
		c := renewals{answer: func() error {
			if time.Since(began) > 7*time.Second {
				return errors.New("connection refused")
			}
			return nil
		}}
		ctx, stop := hold(t.Context(), c, ttl, began)
		defer stop()
		for _, after := range []time.Duration{0, 19 * time.Second} { // renewed at 5 s
			time.Sleep(time.Until(began.Add(after)))
			if err := Held(ctx); err != nil {
				t.Errorf("after %s: %v", after, err)
			}
		}
		time.Sleep(time.Second)
		if err := Held(ctx); !errors.Is(err, errLeaseLost) {
			t.Errorf("a whole ttl after the last renewal: %v", err)
		}
		stopped := WithLease(t.Context(), time.Now()) // its timers have not fired
		if err := Held(stopped); !errors.Is(err, errLeaseLost) || stopped.Err() != nil {
			t.Errorf("past its end: %v", err)
		}
		suspended := WithLease(t.Context(), time.Now().Add(time.Hour).Round(0).Add(-2*time.Hour)) // by the wall clock only
		if err := Held(suspended); !errors.Is(err, errLeaseLost) {
			t.Errorf("past its end by the wall clock: %v", err)
		}
		if err := Held(t.Context()); err != nil {
			t.Errorf("no claim: %v", err)
		}
	})
}
