package bot_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/approvals"
	"twokey/bot"
	"twokey/bot/slacksim"
)

func TestHandshakes(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		if err := h.slack.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Whoever is not Slack learns nothing: the status, no body, on every route.
func TestUnsignedRequests(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		for _, route := range []string{"/slack/commands", "/slack/events", "/slack/interactions"} {
			for _, body := range []string{"", "command=/ops&text=es+drain+n3", `{"type":"url_verification","challenge":"c"}`, "command=/ops&ssl_check=1"} {
				r := httptest.NewRequest(http.MethodPost, route, strings.NewReader(body))
				r.Header.Set("X-Slack-Signature", "v0=00")
				rec := httptest.NewRecorder()
				h.servers[0].Handler().ServeHTTP(rec, r)
				b, _ := io.ReadAll(rec.Result().Body)
				if rec.Code != http.StatusUnauthorized || len(b) > 0 {
					t.Errorf("POST %s %q: %d %q", route, body, rec.Code, b)
				}
			}
		}
		h.settle()
		h.silent()
	})
}

// Redis says nothing at all: a command is refused with a word within 3 s, and is
// not carried out when Redis comes back.
func TestCommandWhileRedisHangs(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.hang.Store(true)
		start := time.Now()
		d, err := h.slack.Command(alice, chanOps, "es drain n3")
		if err != nil || d.Wait(t.Context()) != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 2500*time.Millisecond {
			t.Errorf("acknowledged after %s", took)
		}
		told := h.slack.Ephemerals(alice)
		if len(told) != 1 || !strings.HasPrefix(told[0].Text, "Not taken, nothing was started: ") {
			t.Errorf("told %+v", told)
		}
		h.hang.Store(false)
		time.Sleep(time.Minute)
		h.settle()
		if open, err := h.approvals.Open(t.Context()); err != nil || len(open) > 0 {
			t.Errorf("open: %v, %v", open, err)
		}
	})
}

// stuck is an Inbox that takes a minute, whatever its context says.
type stuck struct{ bot.Inbox }

func (stuck) Accept(context.Context, bot.Item) (bool, error) {
	time.Sleep(time.Minute)
	return false, errors.New("redis: away")
}

// The answer is in time even if the Redis client does not obey its deadline.
func TestCommandWhileInboxIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.inbox = stuck{h.inbox}
		h.receive()
		start := time.Now()
		d, err := h.slack.Command(alice, chanOps, "es health")
		if err != nil || d.Wait(t.Context()) != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 2500*time.Millisecond {
			t.Errorf("acknowledged after %s", took)
		}
		if told := h.slack.Ephemerals(alice); len(told) != 1 || !strings.HasPrefix(told[0].Text, "Not taken, ") {
			t.Errorf("told %+v", told)
		}
		time.Sleep(time.Minute)
	})
}

// The acknowledgement of a click is not shown, so its refusal goes by response_url.
func TestClickWhileRedisIsDown(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		r, card := h.request()
		h.hang.Store(true)
		d, err := h.slack.Click(bob, card.Channel, card.TS, "approve")
		if err != nil || d.Wait(t.Context()) != nil {
			t.Fatal(err)
		}
		h.settle()
		told := h.slack.Ephemerals(bob)
		if len(told) != 1 || !strings.HasPrefix(told[0].Text, "Not taken, nothing was started: ") || told[0].Via != "response_url" {
			t.Errorf("told %+v", told)
		}
		h.hang.Store(false)
		time.Sleep(time.Minute)
		h.settle()
		if got := h.get(r.ID); len(got.Votes) != 0 {
			t.Errorf("votes %+v", got.Votes)
		}
	})
}

// Trap 1: an event that could not be stored is delivered again by Slack, and then
// handled; one effect.
func TestRetriesAreHandled(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		h.hang.Store(true)
		if _, err := h.slack.Say(alice, chanOps, h.slack.Mention()+" es health", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		h.silent()
		h.hang.Store(false)
		time.Sleep(10 * time.Minute)
		h.settle()
		h.has(h.one(), "staging: green")
		var refused int
		for _, d := range h.slack.Deliveries() {
			for _, a := range d.Attempts() {
				if a.Status == http.StatusServiceUnavailable {
					refused++
				}
			}
		}
		if refused == 0 {
			t.Error("nothing was answered with 503")
		}
	})
}

// Traps 2 and 3: what Slack delivers twice, under one event_id or two, with message
// beside app_mention, to two replicas, is one effect.
func TestOneEffectPerDeed(t *testing.T) {
	for name, fault := range map[string]slacksim.DeliveryFault{"again": {Again: true}, "new event_id": {NewEventID: true}} {
		t.Run(name, func(t *testing.T) {
			inHouse(t, func(t *testing.T, h *house) {
				h.serve()
				h.serve()
				h.slack.FaultDeliveries(fault)
				h.say(alice, chanOps, h.slack.Mention()+" es drain n3", "")
				h.command(alice, chanOps, "es health")
				h.has(h.one(), "staging: green")
				open, err := h.approvals.Open(t.Context())
				if err != nil || len(open) != 1 {
					t.Fatalf("open: %v, %v", open, err)
				}
				card := h.card(open[0])
				h.do(h.slack.React(bob, card.Channel, card.TS, "white_check_mark"))
				if got := h.get(open[0].ID); got.State != approvals.Launched || len(got.Votes) != 1 {
					t.Errorf("request %+v", got)
				}
				h.silent()
			})
		})
	}
}

// Trap 8: edits and unfurls run nothing again.
func TestEditsAndUnfurls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		s := h.receive()
		stop := h.work(s)
		ts := h.say(alice, chanOps, h.slack.Mention()+" es health", "")
		h.one()
		stop()
		time.Sleep(25 * time.Hour) // its key is forgotten
		h.work(s)
		h.do(h.slack.Edit(alice, chanOps, ts, h.slack.Mention()+" es drain n3"))
		h.do(h.slack.Unfurl(chanOps, ts))
		h.silent()
		if open, _ := h.approvals.Open(t.Context()); len(open) > 0 {
			t.Errorf("open: %v", open)
		}
	})
}
