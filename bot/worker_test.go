package bot_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"twokey/bot"
	"twokey/bot/slacksim"
)

// A server killed while it handles an item leaves it to another; the first's
// effects, if it wakes up again, are the same ones.
func TestTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		s := h.receive()
		d, err := h.slack.Command(alice, chanOps, "es drain n3")
		if err != nil || d.Wait(t.Context()) != nil {
			t.Fatal(err)
		}
		// "Killed": the item is leased, and nobody handles it.
		if _, ok, err := h.options().Inbox.Take(t.Context(), 45*time.Second); !ok || err != nil {
			t.Fatal(ok, err)
		}
		h.work(s)
		h.settle()
		if open, _ := h.approvals.Open(t.Context()); len(open) != 0 {
			t.Error("taken while leased")
		}
		time.Sleep(time.Minute)
		h.settle()
		open, err := h.approvals.Open(t.Context())
		if err != nil || len(open) != 1 {
			t.Errorf("open: %v, %v\n%s", open, err, h.log)
		}
	})
}

// An item handled twice (a paused process continues) is one request, and the first
// plan stands.
func TestHandledTwice(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.out.breakWith(errors.New("redis: away")) // each try fails after the request is made
		d, err := h.slack.Say(alice, h.slack.DM(alice), "es drain n3", "")
		if err != nil || d == "" {
			t.Fatal(err)
		}
		h.settle()
		if h.engine.planned() < 2 {
			t.Fatalf("handled %d times\n%s", h.engine.planned(), h.log)
		}
		h.out.breakWith(nil)
		time.Sleep(time.Minute)
		h.settle()
		h.has(h.one(), "Asked: Drain n3")
		open, err := h.approvals.Open(t.Context())
		if err != nil || len(open) != 1 || strings.Contains(string(open[0].Sealed), `"xx"`) {
			t.Errorf("open: %+v, %v: want the first plan", open, err)
		}
	})
}

// forgetful is an Inbox whose first n calls of Done are lost, as when the process is
// killed just before.
type forgetful struct {
	bot.Inbox
	n atomic.Int32
}

func (f *forgetful) Done(ctx context.Context, key string) error {
	if f.n.Add(-1) >= 0 {
		return errors.New("redis: away")
	}
	return f.Inbox.Done(ctx, key)
}

// An item that was handled and not marked so is handled again, and says nothing twice.
func TestDoneIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		f := &forgetful{Inbox: h.inbox}
		f.n.Store(2)
		h.inbox = f
		h.serve()
		h.command(alice, chanOps, "es health")
		time.Sleep(5 * time.Minute)
		h.settle()
		h.has(h.one(), "staging: green")
		if left := f.n.Load(); left >= 0 {
			t.Errorf("the item was not handled again: %d", left)
		}
	})
}

// Slack refusing to say who somebody is delays a command; it is not lost.
func TestSlackIsAway(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.slack.Fault(slacksim.Fault{Method: "users.info", Times: 3, Status: 429, RetryAfter: 7 * time.Second})
		h.slack.Fault(slacksim.Fault{Method: "users.info", Times: 2, Status: 500})
		h.command(alice, chanOps, "es health")
		time.Sleep(2 * time.Minute)
		h.settle()
		h.has(h.one(), "staging: green")
		for _, c := range h.slack.Calls() {
			if c.Early {
				t.Errorf("called %s before Retry-After was over", c.Method)
			}
		}
	})
}

// What can never be finished is told, not forgotten.
func TestGivingUpIsTold(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.slack.Fault(slacksim.Fault{Method: "users.info", Times: -1, Status: 500})
		h.command(alice, chanOps, "es health")
		time.Sleep(time.Hour)
		h.settle()
		h.has(h.one(), "could not finish it", "error `")
		if keys := h.redis.Keys(); !anyHas(keys, "{inbox}:item:") || anyHas(keys, "{inbox}:due") {
			t.Errorf("keys %v: want the item's key kept and nothing due", keys)
		}
	})
}

func anyHas(list []string, part string) bool {
	for _, s := range list {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}
