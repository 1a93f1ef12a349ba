package opsredis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"twokey/ops"
	"twokey/ops/opsredis"
	"twokey/ops/opstest"
)

// TestClockSetBack: Redis' clock jumps back by an hour. A holder that lives keeps its
// claim by renewing it; one that died is taken over after a ttl by the new clock, not
// after an hour.
func TestClockSetBack(t *testing.T) {
	const ttl = 15 * time.Second
	for _, alive := range []bool{true, false} {
		m := miniredis.RunT(t)
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		m.SetTime(now)
		s := opsredis.New(closing(t, redis.NewClient(&redis.Options{Addr: m.Addr()})))
		if _, err := s.Create(t.Context(), opstest.NewRun("A")); err != nil {
			t.Fatal(err)
		}
		holder, run, err := s.Claim(t.Context(), "A", "A", ttl)
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(-time.Hour)
		m.SetTime(now)
		if _, _, err := s.Claim(t.Context(), "A", "A", ttl); !errors.Is(err, ops.ErrBusy) {
			t.Errorf("alive %t: claimed at once: %v", alive, err)
		}
		for range 3 {
			now = now.Add(ttl / 3)
			m.SetTime(now)
			if alive {
				if err := holder.Renew(t.Context()); err != nil {
					t.Fatalf("renewal by the new clock: %v", err)
				}
			}
		}
		_, _, err = s.Claim(t.Context(), "A", "A", ttl)
		if alive && !errors.Is(err, ops.ErrBusy) || !alive && err != nil {
			t.Errorf("alive %t: a ttl later: %v", alive, err)
		}
		if err := holder.Put(t.Context(), &run, nil); (err == nil) != alive {
			t.Errorf("alive %t: write of the first holder: %v", alive, err)
		}
	}
}
