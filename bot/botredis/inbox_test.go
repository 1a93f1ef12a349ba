package botredis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"twokey/bot"
	"twokey/bot/botredis"
)

func item(key string) bot.Item {
	return bot.Item{Key: key, Kind: "command", Payload: json.RawMessage(`{"text":"es health"}`)}
}

// inboxes runs f on miniredis and, if TWOKEY_TEST_REDIS names one, on a real
// server, whose database it empties.
func inboxes(t *testing.T, f func(t *testing.T, rdb *redis.Client)) {
	t.Run("miniredis", func(t *testing.T) {
		rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
		defer rdb.Close()
		f(t, rdb)
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
		rdb := redis.NewClient(o)
		defer rdb.Close()
		if err := rdb.FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		f(t, rdb)
	})
}

func TestInboxTakesOldestOnceAndForgets(t *testing.T) {
	inboxes(t, func(t *testing.T, rdb *redis.Client) {
		ctx, in := t.Context(), botredis.NewInbox(rdb)
		for _, c := range []struct {
			key   string
			fresh bool
		}{{"a", true}, {"b", true}, {"a", false}} {
			fresh, err := in.Accept(ctx, item(c.key))
			if err != nil || fresh != c.fresh {
				t.Errorf("Accept(%s) = %v, %v; want %v", c.key, fresh, err, c.fresh)
			}
		}
		first, ok, err := in.Take(ctx, time.Minute)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		want := item("a")
		want.Tries = 1
		if diff := cmp.Diff(want, first); diff != "" {
			t.Error(diff)
		}
		second, ok, err := in.Take(ctx, time.Minute)
		if err != nil || !ok || second.Key != "b" {
			t.Fatal(second, ok, err)
		}
		if i, ok, err := in.Take(ctx, time.Minute); ok || err != nil {
			t.Fatal("a leased item was taken again", i, err)
		}
		if err := in.Done(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		if fresh, err := in.Accept(ctx, item("a")); fresh || err != nil {
			t.Error("a done item was accepted again", err)
		}
		if err := in.Retry(ctx, "a", 0); err != nil {
			t.Fatal(err)
		}
		if i, ok, err := in.Take(ctx, time.Minute); ok || err != nil {
			t.Error("a late Retry brought a done item back", i, err)
		}
		if err := in.Retry(ctx, "b", 0); err != nil {
			t.Fatal(err)
		}
		again, ok, err := in.Take(ctx, time.Minute)
		if err != nil || !ok || again.Key != "b" || again.Tries != 2 {
			t.Error("b was not given back", again, ok, err)
		}
	})
}

// Each item is taken by one of many workers.
func TestInboxOneTakerEach(t *testing.T) {
	inboxes(t, func(t *testing.T, rdb *redis.Client) {
		ctx, in := t.Context(), botredis.NewInbox(rdb)
		const n = 40
		for i := range n {
			// two replicas get the same event
			for range 2 {
				if _, err := in.Accept(ctx, item(fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
		}
		var mu sync.Mutex
		taken := map[string]int{}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					i, ok, err := in.Take(ctx, time.Minute)
					if err != nil {
						t.Error(err)
					}
					if !ok {
						return
					}
					mu.Lock()
					taken[i.Key]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(taken) != n {
			t.Errorf("%d items taken, want %d", len(taken), n)
		}
		for key, times := range taken {
			if times != 1 {
				t.Errorf("item %s taken %d times", key, times)
			}
		}
	})
}

// lostReplies sends each script twice, as go-redis does when the connection
// broke before the reply.
type lostReplies struct{}

func (lostReplies) DialHook(next redis.DialHook) redis.DialHook { return next }
func (lostReplies) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (lostReplies) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name == "evalsha" || name == "eval" {
			_ = next(ctx, cmd)
			cmd.SetErr(nil)
		}
		return next(ctx, cmd)
	}
}

func TestInboxRepeatedScriptIsOne(t *testing.T) {
	inboxes(t, func(t *testing.T, rdb *redis.Client) {
		rdb.AddHook(lostReplies{})
		ctx, in := t.Context(), botredis.NewInbox(rdb)
		for _, key := range []string{"a", "b"} {
			if fresh, err := in.Accept(ctx, item(key)); !fresh || err != nil {
				t.Fatalf("Accept = %v, %v: want the first answer, true", fresh, err)
			}
		}
		for _, key := range []string{"a", "b"} {
			i, ok, err := in.Take(ctx, time.Minute)
			if err != nil || !ok || i.Key != key || i.Tries != 1 {
				t.Fatalf("Take = %v, %v, %v: want %s, taken once", i, ok, err, key)
			}
		}
		if err := in.Retry(ctx, "a", 0); err != nil {
			t.Fatal(err)
		}
		if err := in.Done(ctx, "b"); err != nil {
			t.Fatal(err)
		}
		if i, ok, err := in.Take(ctx, time.Minute); err != nil || !ok || i.Key != "a" || i.Tries != 2 {
			t.Fatal(i, ok, err)
		}
	})
}

// TestInboxLate: what reaches Redis after the deadline is not stored, whatever
// delayed it.
func TestInboxLate(t *testing.T) {
	inboxes(t, func(t *testing.T, rdb *redis.Client) {
		in := botredis.NewInbox(rdb)
		// A Redis whose script runs a while after its TIME was asked: the hook drops
		// the client's deadline and holds the script back.
		rdb.AddHook(held{})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := in.Accept(ctx, item("a"))
		if !errors.Is(err, botredis.ErrLate) {
			t.Fatalf("Accept: %v, want ErrLate", err)
		}
		if i, ok, err := in.Take(t.Context(), time.Minute); ok || err != nil {
			t.Error("a refused item is in the inbox", i, err)
		}
	})
}

// held keeps scripts back until the caller's context has ended.
type held struct{}

func (held) DialHook(next redis.DialHook) redis.DialHook { return next }
func (held) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (held) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		_, has := ctx.Deadline()
		if has && (cmd.Name() == "evalsha" || cmd.Name() == "eval") {
			<-ctx.Done()
			ctx = context.WithoutCancel(ctx)
		}
		return next(ctx, cmd)
	}
}

// bubble returns a client of a miniredis that lives on the test's fake clock.
func bubble(t *testing.T) *redis.Client {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	rdb := redis.NewClient(&redis.Options{
		Addr:   "127.0.0.1:1",
		Dialer: func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
	})
	t.Cleanup(func() { rdb.Close(); m.Close() })
	return rdb
}

func TestInboxLeasesAndKeysPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, in := t.Context(), botredis.NewInbox(bubble(t))
		if _, err := in.Accept(ctx, item("a")); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := in.Take(ctx, 30*time.Second); !ok || err != nil {
			t.Fatal(ok, err)
		}
		time.Sleep(29 * time.Second)
		if _, ok, _ := in.Take(ctx, 30*time.Second); ok {
			t.Error("taken while leased")
		}
		time.Sleep(2 * time.Second) // the worker was killed
		i, ok, err := in.Take(ctx, 30*time.Second)
		if !ok || err != nil || i.Tries != 2 {
			t.Fatal("not taken over after its lease", i, ok, err)
		}
		if err := in.Retry(ctx, "a", time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second)
		if _, ok, _ := in.Take(ctx, 30*time.Second); ok {
			t.Error("taken before its wait was over")
		}
		time.Sleep(2 * time.Second)
		if _, ok, err := in.Take(ctx, 30*time.Second); !ok || err != nil {
			t.Fatal("not taken after its wait", err)
		}
		if err := in.Done(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(23 * time.Hour)
		if fresh, _ := in.Accept(ctx, item("a")); fresh {
			t.Error("accepted again within a day")
		}
		time.Sleep(2 * time.Hour)
		if fresh, err := in.Accept(ctx, item("a")); !fresh || err != nil {
			t.Error("its key is kept for ever", err)
		}
	})
}
