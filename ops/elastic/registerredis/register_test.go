package registerredis_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"twokey/ops"
	"twokey/ops/elastic/indices"
	"twokey/ops/elastic/indices/registertest"
	"twokey/ops/elastic/registerredis"
)

// servers calls f with a client and a prefix of its own for each server there is: miniredis,
// and the one TWOKEY_TEST_REDIS names. What f leaves under the prefix is removed.
func servers(t *testing.T, f func(t *testing.T, c *redis.Client, prefix string)) {
	t.Run("miniredis", func(t *testing.T) {
		f(t, client(t, &redis.Options{Addr: miniredis.RunT(t).Addr()}), "test")
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
		c, prefix := client(t, o), "test:register:"+rand.Text()
		t.Cleanup(func() {
			c := redis.NewClient(o) // the other may have a hook
			defer c.Close()
			for keys := c.Scan(context.Background(), 0, "{"+prefix+"*", 0).Iterator(); keys.Next(context.Background()); {
				c.Del(context.Background(), keys.Val())
			}
		})
		f(t, c, prefix)
	})
}

func client(t *testing.T, o *redis.Options) *redis.Client {
	c := redis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRegister(t *testing.T) {
	servers(t, func(t *testing.T, c *redis.Client, prefix string) {
		registertest.Run(t, func(t *testing.T) indices.Register {
			return registerredis.New(c, prefix+rand.Text())
		})
	})
}

// twice sends every command twice and gives the second answer, as a client does that
// lost the first. Between calls between, if there is one.
type twice struct{ between func() }

func (twice) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h twice) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		lost := redis.NewCmd(ctx, cmd.Args()...)
		_ = next(ctx, lost) // its answer is the lost one
		if h.between != nil && strings.HasPrefix(cmd.Name(), "eval") {
			h.between()
		}
		return next(ctx, cmd)
	}
}

func (twice) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestRepeated: a put that is repeated has the effect and the answer of once.
func TestRepeated(t *testing.T) {
	servers(t, func(t *testing.T, c *redis.Client, prefix string) {
		c.AddHook(twice{})
		registertest.Run(t, func(t *testing.T) indices.Register {
			return registerredis.New(c, prefix+rand.Text())
		})
	})
}

// TestRepeatedLate: it answers as the first even if somebody else has written in between.
func TestRepeatedLate(t *testing.T) {
	servers(t, func(t *testing.T, c *redis.Client, prefix string) {
		other := registerredis.New(client(t, c.Options()), prefix)
		once := false
		c.AddHook(twice{func() {
			if once { // a script's first call may find it not loaded
				return
			}
			e, err := other.Get(t.Context(), "dashboard-1")
			if err != nil {
				t.Fatal(err)
			}
			if e.Version == "" {
				return
			}
			once = true
			e.Active = "theirs"
			if _, err := other.Put(t.Context(), "dashboard-1", e); err != nil {
				t.Fatal(err)
			}
		}})
		r := registerredis.New(c, prefix)
		e, err := r.Put(t.Context(), "dashboard-1", indices.Entry{Active: "ours", Write: []string{"ours"}})
		if err != nil || !once {
			t.Fatalf("put: %v, somebody else in between: %v", err, once)
		}
		e.Active = "ours again"
		if _, err := r.Put(t.Context(), "dashboard-1", e); !errors.Is(err, indices.ErrRegisterChanged) {
			t.Fatalf("put over theirs: %v", err)
		}
	})
}

// TestKeys: the fields that other programs read, as docs/register.md has them.
func TestKeys(t *testing.T) {
	servers(t, func(t *testing.T, c *redis.Client, prefix string) {
		r := registerredis.New(c, prefix)
		key := "{" + prefix + "}:entry:dashboard-17"
		e, err := r.Put(t.Context(), "dashboard-17", indices.Entry{Active: "v1_17", Write: []string{"v1_17", "v2_17"}})
		if err != nil {
			t.Fatal(err)
		}
		h, err := c.HGetAll(t.Context(), key).Result()
		if err != nil || h["active"] != "v1_17" || h["write"] != `["v1_17","v2_17"]` || h["version"] != "1" {
			t.Fatalf("%v, %v", h, err)
		}
		if ttl := c.TTL(t.Context(), key).Val(); ttl != -1 {
			t.Errorf("the entry is gone in %v", ttl)
		}
		// A person's change, as the documentation tells it.
		if err := c.HSet(t.Context(), key, "active", "v2_17").Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.HIncrBy(t.Context(), key, "version", 1).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Put(t.Context(), "dashboard-17", e); !errors.Is(err, indices.ErrRegisterChanged) {
			t.Fatalf("put over a person's change: %v", err)
		}
		if e, err = r.Get(t.Context(), "dashboard-17"); err != nil || e.Active != "v2_17" {
			t.Fatalf("%+v, %v", e, err)
		}
		if _, err := r.Put(t.Context(), "dashboard-17", e); err != nil {
			t.Fatal(err)
		}
	})
}

// TestByHand: an entry that people created needs no field of ours; one that cannot be read
// is an error, and never no entry.
func TestByHand(t *testing.T) {
	servers(t, func(t *testing.T, c *redis.Client, prefix string) {
		r := registerredis.New(c, prefix)
		set := func(name string, fields ...string) {
			t.Helper()
			if err := c.HSet(t.Context(), "{"+prefix+"}:entry:"+name, fields).Err(); err != nil {
				t.Fatal(err)
			}
		}
		set("right", "active", "v1", "write", `["v1"]`, "version", "41")
		e, err := r.Get(t.Context(), "right")
		if err != nil {
			t.Fatal(err)
		}
		if e, err = r.Put(t.Context(), "right", e); err != nil || !strings.HasPrefix(e.Version, "42-") {
			t.Fatalf("%+v, %v", e, err)
		}
		set("a", "active", "v1", "write", `["v1"]`)
		set("b", "active", "v1", "write", `v1`, "version", "1")
		set("c", "active", "v1", "write", `null`, "version", "1")
		set("d", "active", "v1", "version", "1")
		set("e", "active", "v1", "write", `["v1"]`, "version", "one")
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			var u *ops.UserError
			if e, err := r.Get(t.Context(), name); !errors.As(err, &u) {
				t.Errorf("%s: %+v, %v", name, e, err)
			}
			if _, err := r.Put(t.Context(), name, indices.Entry{Active: "v2", Write: []string{"v2"}}); !errors.Is(err, indices.ErrRegisterChanged) {
				t.Errorf("%s: created over it: %v", name, err)
			}
		}
	})
}

// TestRolledBack: Redis that lost its newest writes hands out the same number again.
func TestRolledBack(t *testing.T) {
	servers(t, func(t *testing.T, c *redis.Client, prefix string) {
		r := registerredis.New(c, prefix)
		e, err := r.Put(t.Context(), "dashboard-1", indices.Entry{Active: "v1", Write: []string{"v1"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Del(t.Context(), "{"+prefix+"}:entry:dashboard-1").Err(); err != nil { // the loss
			t.Fatal(err)
		}
		if _, err := r.Put(t.Context(), "dashboard-1", indices.Entry{Active: "theirs", Write: []string{"theirs"}}); err != nil {
			t.Fatal(err)
		}
		e.Active = "v2"
		if _, err := r.Put(t.Context(), "dashboard-1", e); !errors.Is(err, indices.ErrRegisterChanged) {
			t.Fatalf("put over a write of the same number: %v", err)
		}
	})
}

// TestLeaseOver: what has lost its run writes nothing.
func TestLeaseOver(t *testing.T) {
	c := client(t, &redis.Options{Addr: miniredis.RunT(t).Addr()})
	r := registerredis.New(c, "test")
	ctx := ops.WithLease(t.Context(), time.Now().Add(-time.Second))
	if _, err := r.Put(ctx, "dashboard-1", indices.Entry{Active: "v1"}); err == nil {
		t.Error("a put under a lost claim")
	}
	if e, err := r.Get(t.Context(), "dashboard-1"); e.Version != "" || err != nil {
		t.Errorf("%+v, %v", e, err)
	}
}
