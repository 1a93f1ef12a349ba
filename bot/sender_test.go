package bot_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"twokey/bot"
	"twokey/bot/slacksim"
)

func TestSenderThreadEditsAndRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		defer s.sender(s.http)()
		card := root("card:A")
		card.Blocks = section("card")
		s.put(reply("status:A", "card:A"), reply("event:A:1", "card:A"), card, card) // the root may come last
		s.idle(time.Minute)
		s.put(card, editOf("card:A", "approved", bot.Urgent, 2))
		s.idle(time.Minute)
		s.put(editOf("card:A", "stale", bot.Urgent, 1), editOf("card:A", "approved", bot.Urgent, 3))
		s.idle(time.Minute)

		p, ok, err := s.outbox.Posted(t.Context(), "card:A")
		if err != nil || !ok {
			t.Fatal("the card has no place", err)
		}
		if key, ok, err := s.outbox.KeyAt(t.Context(), p); key != "card:A" || !ok || err != nil {
			t.Error("KeyAt:", key, ok, err)
		}
		thread := s.sim.Thread(p.Channel, p.TS)
		if got, want := texts(thread), []string{"approved", "status:A", "event:A:1"}; !slices.Equal(got, want) {
			t.Errorf("thread %q, want %q", got, want)
		}
		if thread[0].Blocks != nil {
			t.Error("an edit without blocks left the old ones:", string(thread[0].Blocks))
		}
		if n := len(thread[0].Edits); n != 1 {
			t.Errorf("%d edits: a stale or equal one was sent", n)
		}
		s.once("card:A", "status:A", "event:A:1")
		s.obeyed()
	})
}

// A lost reply, a 5xx after which nobody knows, a cut connection: one post each, in order.
func TestSenderLostReplies(t *testing.T) {
	for name, fault := range map[string]slacksim.Fault{
		"lost reply":        {Method: "chat.postMessage", DropReply: true},
		"late reply":        {Method: "chat.postMessage", DelayReply: 30 * time.Second},
		"late effect":       {Method: "chat.postMessage", Delay: 30 * time.Second},
		"cut":               {Method: "chat.postMessage", Cut: true},
		"server error":      {Method: "chat.postMessage", Status: 500},
		"internal error":    {Method: "chat.postMessage", Error: "internal_error"},
		"rate":              {Method: "chat.postMessage", Status: 429, RetryAfter: 7 * time.Second},
		"token out for now": {Method: "chat.postMessage", Error: "token_revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				f := fault
				s.sim.Fault(f)
				f.Skip = 1
				s.sim.Fault(f) // the status message too
				defer s.sender(s.http)()
				s.put(root("card:A"), reply("status:A", "card:A"), reply("event:A:1", "card:A"))
				s.idle(5 * time.Minute)
				p, _, _ := s.outbox.Posted(t.Context(), "card:A")
				if got, want := texts(s.sim.Thread(p.Channel, p.TS)), []string{"card:A", "status:A", "event:A:1"}; !slices.Equal(got, want) {
					t.Errorf("thread %q, want %q", got, want)
				}
				s.once("card:A", "status:A", "event:A:1")
				s.obeyed()
			})
		})
	}
}

// A minute in which Slack answers 429, 500 and nothing at all.
func TestSenderBadMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		defer s.sender(s.http)()
		for _, f := range []slacksim.Fault{
			{Times: 4, Status: 500}, {Times: 3, Method: "chat.postMessage", DropReply: true},
			{Times: 3, Status: 429, RetryAfter: 5 * time.Second}, {Times: 4, Cut: true},
			{Times: 3, Method: "chat.postMessage", DelayReply: time.Minute},
			{Times: 3, Method: "conversations.replies", Status: 503}, {Times: 3, Method: "conversations.history", Cut: true},
			{Times: 2, Method: "chat.update", DropReply: true},
		} {
			s.sim.Fault(f)
		}
		var keys []string
		for i := range 6 {
			card := fmt.Sprintf("card:%d", i)
			keys = append(keys, card)
			s.put(root(card))
			for e := range 4 {
				key := fmt.Sprintf("event:%d:%d", i, e)
				keys = append(keys, key)
				s.put(reply(key, card))
			}
			s.put(editOf(card, card+" done", bot.Urgent, 2))
			time.Sleep(5 * time.Second)
		}
		s.idle(10 * time.Minute)
		s.once(keys...)
		for i := range 6 {
			card := fmt.Sprintf("card:%d", i)
			p, _, _ := s.outbox.Posted(t.Context(), card)
			want := []string{card + " done"}
			for e := range 4 {
				want = append(want, fmt.Sprintf("event:%d:%d", i, e))
			}
			if got := texts(s.sim.Thread(p.Channel, p.TS)); !slices.Equal(got, want) {
				t.Errorf("thread %q, want %q", got, want)
			}
		}
		for _, v := range s.sim.Violations() {
			t.Error("violation:", v)
		}
	})
}
