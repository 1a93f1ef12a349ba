package slacksim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"

	"twokey/bot/slacksim"
)

// inbox collects what an app received.
type inbox struct {
	mu    sync.Mutex
	lines []string
}

func (b *inbox) add(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, fmt.Sprintf(format, args...))
}

func (b *inbox) want(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.Join(b.lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("received\n  %s\nwant\n  %s", strings.Join(b.lines, "\n  "), strings.Join(want, "\n  "))
	}
}

// describe names an event in a few words.
func describe(e socketmode.Event) string {
	switch d := e.Data.(type) {
	case slack.SlashCommand:
		return d.Command + " " + d.Text
	case slack.InteractionCallback:
		return "click " + d.ActionCallback.BlockActions[0].ActionID
	case slackevents.EventsAPIEvent:
		switch in := d.InnerEvent.Data.(type) {
		case *slackevents.AppMentionEvent:
			return "app_mention " + in.Text
		case *slackevents.MessageEvent:
			return strings.Join(strings.Fields("message."+in.ChannelType+" "+in.SubType+" "+in.Text), " ")
		case *slackevents.ReactionAddedEvent:
			return "+" + in.Reaction + " on " + in.ItemUser
		case *slackevents.ReactionRemovedEvent:
			return "-" + in.Reaction
		}
	}
	return string(e.Type)
}

// collect acknowledges everything and notes it.
func collect(b *inbox) func(*socketmode.Client, socketmode.Event) {
	return func(c *socketmode.Client, e socketmode.Event) {
		if e.Request != nil && e.Request.EnvelopeID != "" {
			b.add("%s", describe(e))
			_ = c.Ack(*e.Request)
		}
	}
}

func await(t *testing.T, d *slacksim.Delivery, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// settle waits for every delivery so far.
func (w *world) settle() {
	for _, d := range w.Deliveries() {
		<-d.Done()
	}
}

func TestSocketDeliversEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		var got inbox
		w.connect(t, collect(&got))
		d, err := w.Command("U0ALICE", "C0OPS", "/ops es health")
		await(t, d, err)
		root := must(w.Say("U0ALICE", "C0OPS", w.Mention()+" es health", ""))
		must(w.Say("U0ALICE", "C0AWAY", w.Mention()+" anybody?", "")) // the bot is not there
		must(w.Say("U0ALICE", w.DM("U0ALICE"), "es health", ""))
		_, ts, err := w.api.PostMessage("C0OPS", slack.MsgOptionText("card", false), slack.MsgOptionTS(root), slack.MsgOptionBlocks(
			slack.NewActionBlock("votes", slack.NewButtonBlockElement("approve", "01J", slack.NewTextBlockObject("plain_text", "Approve", false, false)))))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.React("U0BOB", "C0OPS", ts, "white_check_mark"); err != nil {
			t.Fatal(err)
		}
		if err := w.Unreact("U0BOB", "C0OPS", ts, "white_check_mark"); err != nil {
			t.Fatal(err)
		}
		if err := w.Unfurl("C0OPS", root); err != nil {
			t.Fatal(err)
		}
		d, err = w.Click("U0BOB", "C0OPS", ts, "approve")
		await(t, d, err)
		w.settle()
		got.want(t,
			"/ops es health",
			"message.channel <@U0TWOKEY> es health",
			"app_mention <@U0TWOKEY> es health",
			"message.im es health",
			"message.channel card",
			"+white_check_mark on U0TWOKEY",
			"-white_check_mark",
			"message.channel message_changed",
			"click approve",
		)
		w.clean(t)
	})
}

func TestClickPayload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		var click slack.InteractionCallback
		w.connect(t, func(c *socketmode.Client, e socketmode.Event) {
			if d, ok := e.Data.(slack.InteractionCallback); ok {
				click = d
				_ = c.Ack(*e.Request)
			}
		})
		_, ts, _ := w.api.PostMessage("C0OPS", slack.MsgOptionText("card", false), slack.MsgOptionBlocks(
			slack.NewActionBlock("votes", slack.NewButtonBlockElement("approve", "01J", slack.NewTextBlockObject("plain_text", "Approve", false, false)))))
		d, err := w.Click("U0FAY", "C0OPS", ts, "approve")
		await(t, d, err)
		a := click.ActionCallback.BlockActions[0]
		if click.User.ID != "U0FAY" || click.User.TeamID != "T0OTHER" || click.Channel.ID != "C0OPS" || click.Container.MessageTs != ts ||
			click.Message.Text != "card" || click.TriggerID == "" || a.Value != "01J" || a.BlockID != "votes" || a.ActionTs == "" {
			t.Errorf("click = %+v", click)
		}
		err = slack.PostWebhookCustomHTTP(click.ResponseURL, w.http, &slack.WebhookMessage{Text: "not you"})
		if es := w.Ephemerals("U0FAY"); err != nil || len(es) != 1 || es[0].Text != "not you" {
			t.Errorf("whispered %+v, %v", es, err)
		}
		if _, err := w.Click("U0FAY", "C0OPS", ts, "nothing"); err == nil {
			t.Error("a button that is not there was pressed")
		}
	})
}

func TestCommandResponseOverSocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		w.connect(t, func(c *socketmode.Client, e socketmode.Event) {
			if e.Type == socketmode.EventTypeSlashCommand {
				_ = c.Ack(*e.Request, map[string]any{"text": "on it", "response_type": "in_channel"})
			}
		})
		d, err := w.Command("U0ALICE", "C0AWAY", "help")
		await(t, d, err)
		if ms := w.Channel("C0AWAY"); len(ms) != 1 || ms[0].Text != "on it" || ms[0].Via != "ack" {
			t.Errorf("channel: %+v", ms)
		}
		w.clean(t)
	})
}

func TestUnacknowledged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		var got inbox
		start := time.Now()
		w.connect(t, func(_ *socketmode.Client, e socketmode.Event) {
			if e.Request != nil && e.Request.EnvelopeID != "" {
				got.add("%s at %v, retry %d %s", describe(e), time.Since(start), e.Request.RetryAttempt, e.Request.RetryReason)
			}
		})
		must(w.Say("U0ALICE", w.DM("U0ALICE"), "es health", ""))
		w.settle()
		got.want(t,
			"message.im es health at 0s, retry 0 ",
			"message.im es health at 3s, retry 1 timeout",
			"message.im es health at 1m6s, retry 2 timeout",
			"message.im es health at 6m9s, retry 3 timeout",
		)
		d := must(w.Command("U0ALICE", "C0OPS", "help"))
		if err := d.Wait(t.Context()); err == nil {
			t.Error("nobody acknowledged the command")
		}
		es := w.Ephemerals("U0ALICE")
		if len(d.Attempts()) != 1 || len(es) != 1 || !strings.Contains(es[0].Text, "operation_timeout") {
			t.Errorf("command: %d attempts, told %+v", len(d.Attempts()), es)
		}
	})
}

// TestEventWithoutSocket: the retry is the only delivery.
func TestEventWithoutSocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		must(w.Say("U0ALICE", w.DM("U0ALICE"), "es health", ""))
		d := must(w.Command("U0ALICE", "C0OPS", "help"))
		<-d.Done()
		if es := w.Ephemerals("U0ALICE"); len(es) != 1 || !strings.Contains(es[0].Text, "dispatch_failed") {
			t.Errorf("told %+v", es)
		}
		var got inbox
		w.connect(t, collect(&got))
		w.settle()
		got.want(t, "message.im es health")
	})
}

func TestSocketLifecycle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		var got inbox
		w.connect(t, collect(&got))
		for _, cut := range []func(){func() { w.Disconnect("refresh_requested") }, w.KillSockets} {
			opened := len(w.Calls())
			cut()
			w.wait(t, func(s *slacksim.Snapshot) bool { return len(s.Calls()) > opened && s.Sockets() == 1 })
			d, err := w.Command("U0ALICE", "C0OPS", "help")
			await(t, d, err)
		}
		// A dead socket is silent: pings stop, and only the client's own watchdog finds out.
		opened := len(w.Calls())
		w.FreezeSockets()
		d := must(w.Command("U0ALICE", "C0OPS", "lost"))
		<-d.Done()
		w.wait(t, func(s *slacksim.Snapshot) bool { return len(s.Calls()) > opened && s.Sockets() == 1 })
		synctest.Wait() // until the workspace saw the dead one close: it still gets its share
		d, err := w.Command("U0ALICE", "C0OPS", "back")
		await(t, d, err)
		got.want(t, "/ops help", "/ops help", "/ops back")
		w.clean(t)
	})
}

func TestSocketURLs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		open := func() string {
			_, u, err := w.api.StartSocketModeContext(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		u := open()
		for i := range 11 {
			c, _, err := w.dial.Dial(u, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var first struct {
				Type, Reason string
				N            int `json:"num_connections"`
			}
			if err := c.ReadJSON(&first); err != nil {
				t.Fatal(err)
			}
			switch {
			case i < 10 && (first.Type != "hello" || first.N != i+1):
				t.Errorf("connection %d: %+v", i+1, first)
			case i == 10 && (first.Type != "disconnect" || first.Reason != "too_many_websockets"):
				t.Errorf("connection 11: %+v", first)
			}
			if i == 0 {
				if _, _, err := w.dial.Dial(u, nil); err == nil {
					t.Error("a URL worked twice")
				}
			}
			u = open()
		}
		time.Sleep(31 * time.Second) // the bubble's time
		if _, _, err := w.dial.Dial(u, nil); err == nil {
			t.Error("an old URL worked")
		}
	})
}

func TestOneEnvelopeOneConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		var a, b inbox
		w.connect(t, collect(&a))
		w.connect(t, collect(&b))
		w.wait(t, func(s *slacksim.Snapshot) bool { return s.Sockets() == 2 })
		for range 6 {
			d, err := w.Command("U0ALICE", "C0OPS", "help")
			await(t, d, err)
		}
		if len(a.lines) != 3 || len(b.lines) != 3 {
			t.Errorf("%d and %d envelopes, want 3 each", len(a.lines), len(b.lines))
		}
	})
}

func TestDoubledDeliveries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		var got inbox
		ids := map[string]int{}
		w.connect(t, func(c *socketmode.Client, e socketmode.Event) {
			if e.Request == nil || e.Request.EnvelopeID == "" {
				return
			}
			var p struct {
				ID string `json:"event_id"`
			}
			_ = json.Unmarshal(e.Request.Payload, &p)
			ids[p.ID]++
			collect(&got)(c, e)
		})
		w.FaultDeliveries(slacksim.DeliveryFault{Again: true})
		d, err := w.Command("U0ALICE", "C0OPS", "help")
		await(t, d, err)
		w.FaultDeliveries(slacksim.DeliveryFault{NewEventID: true})
		must(w.Say("U0ALICE", w.DM("U0ALICE"), "hi", ""))
		w.settle()
		start := time.Now()
		w.FaultDeliveries(slacksim.DeliveryFault{Late: 8 * time.Minute})
		must(w.Say("U0ALICE", w.DM("U0ALICE"), "late", ""))
		w.settle()
		if time.Since(start) != 8*time.Minute {
			t.Errorf("late by %v", time.Since(start))
		}
		got.want(t, "/ops help", "/ops help", "message.im hi", "message.im hi", "message.im late")
		if len(ids) != 4 { // the command has none
			t.Errorf("event ids: %v", ids)
		}
		w.clean(t)
	})
}

func TestAcknowledgementsOfNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, slacksim.Options{})
		w.connect(t, func(c *socketmode.Client, e socketmode.Event) {
			if e.Type == socketmode.EventTypeSlashCommand {
				_ = c.Ack(socketmode.Request{EnvelopeID: "made-up"})
			}
		})
		<-must(w.Command("U0ALICE", "C0OPS", "help")).Done()
		if vs := w.Violations(); len(vs) != 1 || !strings.Contains(vs[0].What, "unknown envelope") {
			t.Errorf("violations: %v", vs)
		}
	})
}

// serveApp serves an app's HTTP side in memory and points the workspace at it.
func (w *world) serveApp(t *testing.T, h http.HandlerFunc) {
	t.Helper()
	ln, dial := slacksim.Pipe()
	srv := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln)
	}()
	transport := &http.Transport{DialContext: dial}
	w.UseHTTP("http://app.test", &http.Client{Transport: transport})
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = srv.Close()
		<-served
	})
}
