package opsredis_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"twokey/ops"
	"twokey/ops/opsredis"
	"twokey/ops/opstest"
)

// servers calls f with an empty database of each server there is: miniredis, and the
// one TWOKEY_TEST_REDIS names (a redis:// URL; its database is emptied).
func servers(t *testing.T, f func(t *testing.T, newClient func(t *testing.T) *redis.Client)) {
	t.Run("miniredis", func(t *testing.T) {
		f(t, func(t *testing.T) *redis.Client {
			m := miniredis.RunT(t)
			m.ClockTTL(true)
			return closing(t, redis.NewClient(&redis.Options{Addr: m.Addr()}))
		})
	})
	t.Run("redis", func(t *testing.T) {
		url := os.Getenv("TWOKEY_TEST_REDIS")
		if url == "" {
			t.Skip("TWOKEY_TEST_REDIS is not set")
		}
		o, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		f(t, func(t *testing.T) *redis.Client {
			c := closing(t, redis.NewClient(o))
			if err := c.FlushDB(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			return c
		})
	})
}

func closing(t *testing.T, c *redis.Client) *redis.Client {
	t.Cleanup(func() { c.Close() })
	return c
}

func TestStore(t *testing.T) {
	servers(t, func(t *testing.T, newClient func(t *testing.T) *redis.Client) {
		opstest.RunStore(t, func(t *testing.T) ops.Store { return opsredis.New(newClient(t)) })
	})
}

// twice sends every command twice and gives the second answer, as a client does that
// lost the first.
type twice struct{}

func (twice) DialHook(next redis.DialHook) redis.DialHook { return next }

func (twice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		lost := redis.NewCmd(ctx, cmd.Args()...)
		_ = next(ctx, lost) // its answer is the lost one
		return next(ctx, cmd)
	}
}

func (twice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestStoreRepeated: a script that is repeated has the effect and the answer of once.
func TestStoreRepeated(t *testing.T) {
	servers(t, func(t *testing.T, newClient func(t *testing.T) *redis.Client) {
		opstest.RunStore(t, func(t *testing.T) ops.Store {
			c := newClient(t)
			c.AddHook(twice{})
			return opsredis.New(c)
		})
	})
}

// TestEpochRolledBack: Redis that lost its newest writes hands out the same epoch
// again; the nonce tells the two holders apart.
func TestEpochRolledBack(t *testing.T) {
	servers(t, func(t *testing.T, newClient func(t *testing.T) *redis.Client) {
		c := newClient(t)
		s := opsredis.New(c)
		if _, err := s.Create(t.Context(), opstest.NewRun("A")); err != nil {
			t.Fatal(err)
		}
		key := "{twokey:ops}:run:A"
		before, err := c.HGetAll(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		old, r, err := s.Claim(t.Context(), "A", "A", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.HSet(t.Context(), key, before).Err(); err != nil {
			t.Fatal(err)
		}
		if _, r2, err := s.Claim(t.Context(), "A", "A", time.Minute); err != nil || r2.Epoch != r.Epoch {
			t.Fatalf("second claim: epoch %d after %d, %v", r2.Epoch, r.Epoch, err)
		}
		if err := old.Put(t.Context(), &r, nil); err == nil {
			t.Error("a holder of the same epoch, but another nonce, wrote")
		}
	})
}

// TestEndedExpire: ended runs can be read for 30 days, and leave nothing behind.
func TestEndedExpire(t *testing.T) {
	m := miniredis.RunT(t)
	c := closing(t, redis.NewClient(&redis.Options{Addr: m.Addr()}))
	s := opsredis.New(c)
	end := func(id string) {
		t.Helper()
		if _, err := s.Create(t.Context(), opstest.NewRun(id)); err != nil {
			t.Fatal(err)
		}
		claim, r, err := s.Claim(t.Context(), id, id, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if err := claim.Lock(t.Context(), []string{"world"}, "", ""); err != nil {
			t.Fatal(err)
		}
		if err := claim.PutParts(t.Context(), map[string][]byte{"a": nil}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Turn(t.Context(), id, "throttle", "1", "U1"); err != nil {
			t.Fatal(err)
		}
		r.State = ops.Succeeded
		if err := claim.Put(t.Context(), &r, []ops.Event{{Kind: ops.Ending}}); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	m.SetTime(now)
	end("A")
	m.FastForward(29 * 24 * time.Hour)
	if _, err := s.Get(t.Context(), "A"); err != nil {
		t.Errorf("after 29 days: %v", err)
	}
	m.FastForward(2 * 24 * time.Hour)
	m.SetTime(now.Add(31 * 24 * time.Hour))
	end("B")
	if recent, err := s.Recent(t.Context(), 10); len(recent) != 1 || recent[0].ID != "B" || err != nil {
		t.Errorf("recent after 31 days: %v, %v", recent, err)
	}
	changed, err := s.Changed(t.Context(), 10)
	if len(changed) != 1 || changed[0].ID != "B" || err != nil {
		t.Errorf("changed after 31 days: %v, %v", changed, err)
	}
	m.FastForward(2 * time.Minute) // the nonces of the turns
	for _, key := range m.Keys() {
		switch key {
		case "{twokey:ops}:changed", "{twokey:ops}:ended", "{twokey:ops}:run:B", "{twokey:ops}:events:B",
			"{twokey:ops}:parts:B", "{twokey:ops}:dials:B":
		default:
			t.Errorf("left behind: %s", key)
		}
	}
}
