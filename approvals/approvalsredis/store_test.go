package approvalsredis

import (
	"context"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"twokey/approvals"
	"twokey/approvals/approvalstest"
)

func TestStore(t *testing.T) {
	t.Run("miniredis", func(t *testing.T) {
		approvalstest.Run(t, func(t *testing.T) approvals.Store { return New(embedded(t)) })
	})
	t.Run("redis", func(t *testing.T) {
		approvalstest.Run(t, func(t *testing.T) approvals.Store { return New(server(t)) })
	})
}

// Redis repeats a script whose answer was lost: same keys, same arguments.
func TestRepeatedScripts(t *testing.T) {
	for name, client := range map[string]func(testing.TB) *redis.Client{"miniredis": embedded, "redis": server} {
		t.Run(name, func(t *testing.T) {
			c := client(t)
			s := New(&twice{c})
			r := approvalstest.Create(t, s)
			r.State = approvals.Approved
			r, err := s.Update(t.Context(), r)
			if err != nil {
				t.Fatalf("an update whose answer was lost: %v", err)
			}
			got, err := s.Get(t.Context(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(r, got); d != "" {
				t.Error(d)
			}
			rev, err := c.HGet(t.Context(), keyRequest(r.ID), "rev").Int64()
			if err != nil || rev != r.Rev {
				t.Errorf("rev %d beside a body of rev %d: %v", rev, r.Rev, err)
			}
			if err := s.Settle(t.Context(), approvals.Changed{ID: r.ID, Rev: r.Rev}); err != nil {
				t.Error(err)
			}
			r.State = approvals.Launched
			r.Rev = 1
			if _, err := s.Update(t.Context(), r); err != approvals.ErrConflict {
				t.Errorf("a conflict repeated: %v", err)
			}
		})
	}
}

// TestKept also shows that what outlived its request goes with the next one made.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := embedded(t)
		s := New(c)
		ended := approvalstest.Create(t, s)
		waits := approvalstest.Create(t, s)
		ended.State = approvals.Declined
		if _, err := s.Update(t.Context(), ended); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30*24*time.Hour - time.Minute)
		if _, err := s.Get(t.Context(), ended.ID); err != nil {
			t.Errorf("a minute before its 30 days are over: %v", err)
		}
		if _, fresh, err := s.Create(t.Context(), approvalstest.NewRequest(func(r *approvals.Request) { r.Trigger = ended.Trigger })); err != nil || fresh {
			t.Errorf("its trigger is forgotten: fresh %v, %v", fresh, err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := s.Get(t.Context(), ended.ID); err != approvals.ErrNotFound {
			t.Errorf("after 30 days: %v, want ErrNotFound", err)
		}
		if _, err := s.Find(t.Context(), ended.ID); err != approvals.ErrNotFound {
			t.Errorf("after 30 days, Find: %v, want ErrNotFound", err)
		}
		changed, err := s.Changed(t.Context(), 10)
		if d := cmp.Diff([]approvals.Changed{{ID: waits.ID, Rev: waits.Rev}}, changed); err != nil || d != "" {
			t.Errorf("Changed: %v\n%s", err, d)
		}
		if _, err := s.Get(t.Context(), waits.ID); err != nil {
			t.Errorf("a request that waits: %v", err)
		}
		last := approvalstest.Create(t, s)
		got, err := c.ZRange(t.Context(), keySuffixes, 0, -1).Result()
		if err != nil || len(got) != 2 {
			t.Errorf("index %v, %v; want %s and %s backwards", got, err, waits.ID, last.ID)
		}
	})
}

// twice runs every script two times, and answers as the second time: the first
// answer was lost.
type twice struct{ *redis.Client }

func (c *twice) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	if first := c.Client.EvalSha(ctx, sha, keys, args...); first.Err() != nil {
		return first
	}
	return c.Client.EvalSha(ctx, sha, keys, args...)
}

func (c *twice) Eval(ctx context.Context, src string, keys []string, args ...any) *redis.Cmd {
	if first := c.Client.Eval(ctx, src, keys, args...); first.Err() != nil {
		return first
	}
	return c.Client.Eval(ctx, src, keys, args...)
}

// embedded returns a client of a miniredis of its own, without sockets.
func embedded(t testing.TB) *redis.Client {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	c := redis.NewClient(&redis.Options{
		Addr:   "127.0.0.1:0",
		Dialer: func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
	})
	t.Cleanup(func() {
		c.Close()
		m.Close()
	})
	return c
}

// server returns a client of the real Redis that TWOKEY_TEST_REDIS names, without
// the keys of this package.
func server(t testing.TB) *redis.Client {
	url := os.Getenv("TWOKEY_TEST_REDIS")
	if url == "" {
		t.Skip("TWOKEY_TEST_REDIS is not set")
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	clean := func() {
		ctx := context.Background()
		for keys := c.Scan(ctx, 0, tag+"*", 1000).Iterator(); keys.Next(ctx); {
			c.Del(ctx, keys.Val())
		}
	}
	clean()
	t.Cleanup(func() {
		clean()
		c.Close()
	})
	return c
}
