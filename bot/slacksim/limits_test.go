package slacksim_test

import (
	"errors"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"twokey/bot/slacksim"
)

func TestRateLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		text := slack.MsgOptionText("x", false)
		var limited *slack.RateLimitedError
		n := 0
		for ; n < 100; n++ {
			if _, _, err := w.api.PostMessage("C0OPS", text); errors.As(err, &limited) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if n == 0 || n > 10 || limited.RetryAfter < time.Second {
			t.Fatalf("limited after %d posts, retry after %v", n, limited.RetryAfter)
		}
		if _, _, err := w.api.PostMessage(w.DM("U0BOB"), text); err != nil {
			t.Errorf("another channel: %v", err)
		}
		if _, _, err := w.api.PostMessage("C0OPS", text); !errors.As(err, &limited) {
			t.Errorf("at once again: %v", err)
		}
		if cs := w.Calls(); !cs[len(cs)-1].Early || cs[len(cs)-1].Effect {
			t.Errorf("not marked as early: %+v", cs[len(cs)-1])
		}
		time.Sleep(limited.RetryAfter) // the bubble's time
		if _, _, err := w.api.PostMessage("C0OPS", text); err != nil {
			t.Errorf("after the wait: %v", err)
		}
		ts := w.Channel("C0OPS")[0].TS
		for n = 0; n < 100; n++ {
			if _, _, _, err := w.api.UpdateMessage("C0OPS", ts, text); err != nil {
				break
			}
		}
		if n != 50 {
			t.Errorf("%d edits in a minute, want 50", n)
		}
		w.clean(t)
	})
}

func TestRateLimitsSwitchedOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{NoRateLimits: true})
		for range 200 {
			if _, _, err := w.api.PostMessage("C0OPS", slack.MsgOptionText("x", false)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestFaults(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		try := func() error {
			_, _, err := w.api.PostMessage("C0OPS", slack.MsgOptionText("x", false))
			return err
		}
		w.Fault(slacksim.Fault{Method: "chat.postMessage", Skip: 1, Times: 2, Status: 503})
		if err := try(); err != nil {
			t.Errorf("skipped call: %v", err)
		}
		for range 2 {
			var status slack.StatusCodeError
			if err := try(); !errors.As(err, &status) || status.Code != 503 {
				t.Errorf("503: %v", err)
			}
		}
		w.Fault(slacksim.Fault{Status: 429, RetryAfter: 7 * time.Second})
		var limited *slack.RateLimitedError
		if err := try(); !errors.As(err, &limited) || limited.RetryAfter != 7*time.Second {
			t.Errorf("429: %v", err)
		}
		w.Fault(slacksim.Fault{Method: "users.info", Error: "user_not_visible"})
		if _, err := w.api.GetUserInfo("U0FAY"); slackError(err) != "user_not_visible" {
			t.Errorf("error word: %v", err)
		}
		w.Fault(slacksim.Fault{Cut: true})
		if err := try(); err == nil {
			t.Error("cut: no error")
		}
		start := time.Now()
		w.Fault(slacksim.Fault{Delay: time.Minute})
		if err := try(); err != nil || time.Since(start) != time.Minute {
			t.Errorf("delay: %v after %v", err, time.Since(start))
		}
		if n := len(w.Channel("C0OPS")); n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
	})
}

func TestReactionsGet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{Events: []string{}})
		ts := must(w.Say("U0ALICE", "C0OPS", "card", ""))
		for _, u := range []string{"U0ALICE", "U0BOB"} {
			if err := w.React(u, "C0OPS", ts, "x"); err != nil {
				t.Fatal(err)
			}
		}
		for full, want := range map[bool]int{true: 2, false: 1} { // without full, people may be missing
			got, err := w.api.GetReactions(slack.NewRefToMessage("C0OPS", ts), slack.GetReactionsParameters{Full: full})
			if err != nil || len(got.Reactions) != 1 || len(got.Reactions[0].Users) != want || got.Reactions[0].Count != 2 {
				t.Errorf("full %v: %+v, %v", full, got, err)
			}
		}
		w.clean(t)
	})
}
