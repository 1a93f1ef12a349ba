package botredis_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/bot"
	"twokey/bot/botredis"
)

func post(key string) bot.Message {
	return bot.Message{Key: key, Act: bot.Post, Channel: "C0OPS", Text: key}
}

func edit(key, text string, u bot.Urgency, rev int64) bot.Message {
	return bot.Message{Key: "edit:" + key, Act: bot.Edit, Urgency: u, Under: key, Text: text, Rev: rev}
}

func put(t *testing.T, out *botredis.Outbox, ms ...bot.Message) {
	t.Helper()
	for _, m := range ms {
		if err := out.Put(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// waits lists what waits, as "key text urgency".
func waits(t *testing.T, out *botredis.Outbox) []string {
	t.Helper()
	entries, err := out.Waiting(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range entries {
		got = append(got, fmt.Sprint(e.Key, " ", e.Text, " ", e.Urgency))
	}
	return got
}

func hold(t *testing.T, out *botredis.Outbox, holder string) {
	t.Helper()
	if ok, err := out.Hold(t.Context(), bot.SenderLease, holder, time.Minute); !ok || err != nil {
		t.Fatal("lease not held", err)
	}
}

func claim(t *testing.T, out *botredis.Outbox, holder, key string) bot.Claimed {
	t.Helper()
	c, err := out.Claim(t.Context(), holder, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// outboxes runs f on both servers, as they are and with every script sent twice.
func outboxes(t *testing.T, f func(t *testing.T, out *botredis.Outbox)) {
	inboxes(t, func(t *testing.T, rdb *redis.Client) { f(t, botredis.NewOutbox(rdb)) })
	t.Run("repeated", func(t *testing.T) {
		inboxes(t, func(t *testing.T, rdb *redis.Client) {
			rdb.AddHook(lostReplies{})
			f(t, botredis.NewOutbox(rdb))
		})
	})
}

func TestOutboxPutOnceAndMerge(t *testing.T) {
	outboxes(t, func(t *testing.T, out *botredis.Outbox) {
		put(t, out, post("card:A"), bot.Message{Key: "card:A", Act: bot.Post, Text: "other"}, post("card:B"))
		same(t, "posts", waits(t, out), []string{"card:A card:A 0", "card:B card:B 0"})
		put(t, out, edit("card:A", "card:A", bot.Live, 1))
		same(t, "an edit that shows what the post shows", len(waits(t, out)), 2)
		put(t, out, edit("card:A", "one", bot.Live, 2), edit("card:A", "two", bot.Urgent, 3), edit("card:A", "three", bot.Live, 4))
		same(t, "merged edits", waits(t, out)[2:], []string{"edit:card:A three 0"})
		put(t, out, edit("card:A", "stale", bot.Urgent, 3))
		same(t, "a stale edit", waits(t, out)[2:], []string{"edit:card:A three 0"})

		first, err := out.Waiting(t.Context(), 0, 1)
		if err != nil || len(first) != 1 {
			t.Fatal(first, err)
		}
		rest, err := out.Waiting(t.Context(), first[0].Mark, 10)
		if err != nil || len(rest) != 2 {
			t.Fatal(rest, err)
		}
		if err := out.Put(t.Context(), bot.Message{Act: bot.Post}); err == nil {
			t.Error("a message without a key was taken")
		}
		if err := out.Put(t.Context(), bot.Message{Key: "edit:x", Act: bot.Edit}); err == nil {
			t.Error("an edit of nothing was taken")
		}
	})
}

func TestOutboxSend(t *testing.T) {
	outboxes(t, func(t *testing.T, out *botredis.Outbox) {
		ctx, place := t.Context(), bot.Place{Channel: "C0OPS", TS: "1.2"}
		put(t, out, post("card:A"), edit("card:A", "one", bot.Urgent, 1))
		if _, err := out.Claim(ctx, "me", "card:A"); !errors.Is(err, bot.ErrNotHolder) {
			t.Error("claimed without the lease:", err)
		}
		hold(t, out, "me")
		c := claim(t, out, "me", "card:A")
		if c.Doubt || c.Tries != 1 || time.Since(c.Tried).Abs() > time.Minute {
			t.Errorf("first claim: %+v", c)
		}
		if err := out.Sent(ctx, c, place); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Claim(ctx, "me", "card:A"); !errors.Is(err, bot.ErrGone) {
			t.Error("claimed again:", err)
		}
		put(t, out, post("card:A"))
		same(t, "after the post", waits(t, out), []string{"edit:card:A one 0"})
		p, ok, err := out.Posted(ctx, "card:A")
		same(t, "Posted", []any{p, ok, err}, []any{place, true, nil})
		key, ok, err := out.KeyAt(ctx, place)
		same(t, "KeyAt", []any{key, ok, err}, []any{"card:A", true, nil})
		_, ok, err = out.Posted(ctx, "card:B")
		same(t, "Posted of another", []any{ok, err}, []any{false, nil})
		_, ok, err = out.KeyAt(ctx, bot.Place{Channel: "C0OPS", TS: "9"})
		same(t, "KeyAt another", []any{ok, err}, []any{false, nil})

		// An edit put while the one before is on its way stays.
		e := claim(t, out, "me", "edit:card:A")
		put(t, out, edit("card:A", "two", bot.Live, 2))
		if err := out.Sent(ctx, e, place); err != nil {
			t.Fatal(err)
		}
		same(t, "the newer edit", waits(t, out), []string{"edit:card:A two 0"})
		e = claim(t, out, "me", "edit:card:A")
		same(t, "text", e.Text, "two")
		if err := out.Sent(ctx, e, place); err != nil {
			t.Fatal(err)
		}
		same(t, "all sent", waits(t, out), []string{})
		put(t, out, edit("card:A", "two", bot.Live, 3))
		same(t, "an edit equal to the last", waits(t, out), []string{})
		put(t, out, edit("card:A", "three", bot.Live, 4))
		same(t, "a later edit has its own urgency", waits(t, out), []string{"edit:card:A three 2"})
		left, err := out.Waiting(ctx, 0, 10)
		if err != nil || left[0].Quiet < 0 || left[0].Quiet > time.Minute {
			t.Error("when it was last sent is forgotten", left, err)
		}
	})
}

// What a claim's end means to the next one, and that an older claim's end means nothing.
func TestOutboxDoubt(t *testing.T) {
	outboxes(t, func(t *testing.T, out *botredis.Outbox) {
		ctx := t.Context()
		hold(t, out, "me")
		put(t, out, post("card:A"))
		dead := claim(t, out, "me", "card:A")
		if err := out.Release(ctx, bot.SenderLease, "other"); err != nil {
			t.Fatal(err)
		}
		if err := out.Release(ctx, bot.SenderLease, "me"); err != nil {
			t.Fatal(err)
		}
		hold(t, out, "next")
		if _, err := out.Claim(ctx, "me", "card:A"); !errors.Is(err, bot.ErrNotHolder) {
			t.Error("the old sender still claims:", err)
		}
		c := claim(t, out, "next", "card:A")
		if !c.Doubt || c.Tries != 2 || !c.Tried.Equal(dead.Tried) {
			t.Errorf("claim after a death: %+v", c)
		}
		if err := errors.Join(out.Later(ctx, dead, 0, false), out.Drop(ctx, dead, "no"), out.Rewrite(ctx, dead, post("x"))); err != nil {
			t.Fatal(err)
		}
		if err := out.Later(ctx, c, time.Hour, false); err != nil {
			t.Fatal(err)
		}
		entries, err := out.Waiting(ctx, 0, 10)
		if err != nil || len(entries) != 1 || entries[0].Text != "card:A" || entries[0].Wait < 59*time.Minute {
			t.Fatal("an old claim had an effect, or the wait is lost", entries, err)
		}
		c = claim(t, out, "next", "card:A")
		if c.Doubt {
			t.Error("in doubt after a clear refusal")
		}
		if err := out.Later(ctx, c, 0, true); err != nil {
			t.Fatal(err)
		}
		if c = claim(t, out, "next", "card:A"); !c.Doubt {
			t.Error("doubt is forgotten")
		}
		m := c.Message
		m.Channel, m.Key = "D0ANN", "ignored"
		if err := out.Rewrite(ctx, c, m); err != nil {
			t.Fatal(err)
		}
		c = claim(t, out, "next", "card:A")
		if c.Doubt || c.Tries != 1 || c.Channel != "D0ANN" || c.Key != "card:A" {
			t.Errorf("rewritten: %+v", c)
		}
		if err := out.Drop(ctx, c, "not_in_channel"); err != nil {
			t.Fatal(err)
		}
		r, err := out.Root(ctx, "card:A")
		same(t, "Root", []any{r.Posted, r.Dropped, err}, []any{false, true, nil})
		put(t, out, post("card:A"))
		same(t, "a dropped post put again", waits(t, out), []string{})
	})
}

func TestOutboxForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rdb := bubble(t)
		out, ctx := botredis.NewOutbox(rdb), t.Context()
		hold(t, out, "me")
		put(t, out, post("card:A"))
		if err := out.Sent(ctx, claim(t, out, "me", "card:A"), bot.Place{Channel: "C0OPS", TS: "1.2"}); err != nil {
			t.Fatal(err)
		}
		if err := botredis.NewThreads(rdb).SetCursor(ctx, "A", 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(89 * 24 * time.Hour)
		put(t, out, post("card:A"))
		same(t, "after 89 days", waits(t, out), []string{})
		time.Sleep(2 * 24 * time.Hour)
		keys, err := rdb.Keys(ctx, "*").Result()
		same(t, "left after 91 days", []any{keys, err}, []any{[]string{"twokey:{outbox}:seq"}, nil})
	})
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rdb := bubble(t)
		a, b := botredis.NewBudget(rdb), botredis.NewBudget(rdb) // two replicas
		rdb.AddHook(lostReplies{})                               // a repeated script takes once
		ctx := t.Context()
		rates := []bot.Rate{{Key: "x", Every: time.Second, Burst: 3}, {Key: "x:live", Every: 10 * time.Second, Burst: 2}}
		take := func(b *botredis.Budget, rates []bot.Rate) (time.Duration, string) {
			t.Helper()
			wait, key, err := b.Take(ctx, rates)
			if err != nil {
				t.Fatal(err)
			}
			return wait, key
		}
		for range 2 {
			wait, _ := take(a, rates)
			same(t, "within the burst", wait, time.Duration(0))
		}
		wait, key := take(b, rates)
		same(t, "the slower rate is used up", []any{wait, key}, []any{10 * time.Second, "x:live"})
		wait, _ = take(b, rates[:1])
		same(t, "a refused call used nothing of the other", wait, time.Duration(0))
		wait, key = take(b, rates[:1])
		same(t, "now it is", []any{wait, key}, []any{time.Second, "x"})
		if err := a.Block(ctx, "x", 30*time.Second); err != nil {
			t.Fatal(err)
		}
		if err := a.Block(ctx, "x", time.Second); err != nil {
			t.Fatal(err)
		}
		wait, key = take(b, rates)
		same(t, "blocked for all", []any{wait, key}, []any{30 * time.Second, "x"})
		time.Sleep(30 * time.Second)
		wait, _ = take(b, rates)
		same(t, "after the block", wait, time.Duration(0))
	})
}

func TestBudgetOnBothServers(t *testing.T) {
	inboxes(t, func(t *testing.T, rdb *redis.Client) {
		b := botredis.NewBudget(rdb)
		rate := []bot.Rate{{Key: "x", Every: time.Hour, Burst: 2}}
		for i, want := range []bool{true, true, false} {
			wait, _, err := b.Take(t.Context(), rate)
			if err != nil || (wait == 0) != want || wait > time.Hour {
				t.Error(i, wait, err)
			}
		}
		if err := b.Block(t.Context(), "y", time.Hour); err != nil {
			t.Fatal(err)
		}
		wait, key, err := b.Take(t.Context(), []bot.Rate{{Key: "y", Every: time.Second, Burst: 5}})
		if err != nil || wait < 59*time.Minute || key != "y" {
			t.Error(wait, key, err)
		}
	})
}

func TestThreads(t *testing.T) {
	inboxes(t, func(t *testing.T, rdb *redis.Client) {
		rdb.AddHook(lostReplies{})
		ctx, th := t.Context(), botredis.NewThreads(rdb)
		if _, ok, err := th.Origin(ctx, "A"); ok || err != nil {
			t.Error("an origin nobody set", err)
		}
		o := bot.Origin{Via: "mention", Channel: "C0OPS", Thread: "1.2", User: "U0ANN"}
		for _, o := range []bot.Origin{o, {Via: "dm"}} {
			if err := th.SetOrigin(ctx, "A", o); err != nil {
				t.Fatal(err)
			}
		}
		got, ok, err := th.Origin(ctx, "A")
		same(t, "origin", []any{got, ok, err}, []any{o, true, nil})
		n, err := th.Cursor(ctx, "A")
		same(t, "cursor", []any{n, err}, []any{0, nil})
		for _, seq := range []int64{3, 12, 5} {
			if err := th.SetCursor(ctx, "A", seq); err != nil {
				t.Fatal(err)
			}
		}
		n, err = th.Cursor(ctx, "A")
		same(t, "cursor", []any{n, err}, []any{12, nil})
	})
}
