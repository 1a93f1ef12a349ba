package bot_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"twokey/approvals"
	"twokey/bot"
	"twokey/bot/slacksim"
)

// onSockets runs f with a house whose server receives by Socket Mode.
func onSockets(t *testing.T, f func(t *testing.T, h *house)) {
	t.Helper()
	inHouse(t, func(t *testing.T, h *house) {
		h.slack.UseSockets()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.servers[0].RunSocket(ctx, bot.SocketOptions{}) }()
		h.sockets(2)
		f(t, h)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("RunSocket: %v", err)
		}
		h.sockets(0)
	})
}

// sockets waits until the workspace has n connections, and the server counts as many.
func (h *house) sockets(n int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.t.Context()), time.Minute)
	defer cancel()
	if err := h.slack.WaitFor(ctx, func(s *slacksim.Snapshot) bool { return s.Sockets() == n }); err != nil {
		h.t.Fatalf("waiting for %d connections: %v\n%s", n, err, h.log)
	}
	synctest.Wait()
	if got := h.servers[0].Sockets(); got != n {
		h.t.Errorf("the server counts %d connections, Slack %d", got, n)
	}
}

// opened is how many connections were asked for so far.
func (h *house) opened() int {
	n := 0
	for _, c := range h.slack.Calls() {
		if c.Method == "apps.connections.open" {
			n++
		}
	}
	return n
}

func TestSocketTakesAllKinds(t *testing.T) {
	onSockets(t, func(t *testing.T, h *house) {
		r, card := h.request()
		h.say(alice, chanOps, h.slack.Mention()+" es health", "")
		h.has(h.one(), "staging: green")
		_, err := h.slack.Click(bob, card.Channel, card.TS, "approve")
		h.do(err)
		if got := h.get(r.ID); got.State != approvals.Launched {
			t.Errorf("request %+v", got)
		}
	})
}

func TestSocketWhileRedisHangs(t *testing.T) {
	onSockets(t, func(t *testing.T, h *house) {
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
		ev := len(h.slack.Deliveries())
		if _, err := h.slack.Say(alice, chanOps, h.slack.Mention()+" es health", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		for _, d := range h.slack.Deliveries()[ev:] {
			for _, a := range d.Attempts() {
				if a.Acked || a.LateAck {
					t.Errorf("an event that was not stored was acknowledged: %+v", a)
				}
			}
		}
		h.hang.Store(false)
		time.Sleep(10 * time.Minute)
		h.settle()
		h.has(h.one(), "staging: green")
		if open, _ := h.approvals.Open(t.Context()); len(open) != 0 {
			t.Errorf("open: %v", open)
		}
	})
}

// A refresh that Slack asks for: the new connections are there before the old ones
// are closed, and what the old ones bring meanwhile is acknowledged.
func TestSocketRefresh(t *testing.T) {
	for _, reason := range []string{"warning", "refresh_requested"} {
		t.Run(reason, func(t *testing.T) {
			onSockets(t, func(t *testing.T, h *house) {
				time.Sleep(time.Minute)
				d, err := h.slack.Command(alice, chanOps, "es health")
				if err != nil {
					t.Fatal(err)
				}
				h.slack.Disconnect(reason)
				synctest.Wait() // no time passes
				if n := h.servers[0].Sockets(); n != 4 {
					t.Errorf("%d connections during the refresh, want 2 old and 2 new", n)
				}
				again, err := h.slack.Command(alice, chanOps, "es health")
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range []*slacksim.Delivery{d, again} {
					if err := d.Wait(t.Context()); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(20 * time.Second)
				h.sockets(2)
				if n := len(h.out.all()); n != 2 {
					t.Errorf("%d answers, want 2", n)
				}
			})
		})
	}
}

// Trap 4: a connection that is open and dead is noticed, and what was delivered to
// nobody is delivered again.
func TestSocketSilent(t *testing.T) {
	onSockets(t, func(t *testing.T, h *house) {
		time.Sleep(15 * time.Second) // Slack pings
		h.slack.FreezeSockets()
		if _, err := h.slack.Say(alice, chanOps, h.slack.Mention()+" es health", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(45 * time.Second)
		h.sockets(2)
		time.Sleep(10 * time.Minute)
		h.settle()
		h.has(h.one(), "staging: green")
	})
}

// Trap 4: a connection that answers pings and brings nothing is renewed, without a gap.
func TestSocketQuiet(t *testing.T) {
	onSockets(t, func(t *testing.T, h *house) {
		before := h.opened()
		for range 20 * 60 {
			time.Sleep(time.Second)
			synctest.Wait()
			if n := h.servers[0].Sockets(); n < 2 {
				t.Fatalf("%d connections\n%s", n, h.log)
			}
		}
		if n := h.opened() - before; n != 2 {
			t.Errorf("%d connections were renewed in 20 quiet minutes, want 2", n)
		}
		h.sockets(2)
	})
}

func TestSocketCut(t *testing.T) {
	onSockets(t, func(t *testing.T, h *house) {
		h.slack.KillSockets()
		time.Sleep(5 * time.Second)
		h.sockets(2)
		h.command(alice, chanOps, "es health")
		h.has(h.one(), "staging: green")
	})
}

func TestSocketOpenRefused(t *testing.T) {
	onSockets(t, func(t *testing.T, h *house) {
		h.slack.Fault(slacksim.Fault{Method: "apps.connections.open", Times: 3, Status: 429, RetryAfter: 20 * time.Second})
		h.slack.Fault(slacksim.Fault{Method: "apps.connections.open", Times: 3, Status: 503})
		h.slack.KillSockets()
		time.Sleep(5 * time.Minute)
		h.sockets(2)
		for _, c := range h.slack.Calls() {
			if c.Early {
				t.Errorf("asked again before Retry-After was over")
			}
		}
	})
}

func TestSocketTokenRefused(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		o := h.options()
		o.Slack = slack.New("xoxb-slacksim", slack.OptionAppLevelToken("xapp-wrong"),
			slack.OptionAPIURL(h.slack.URL()+"/api/"), slack.OptionHTTPClient(h.http))
		s, err := bot.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.RunSocket(t.Context(), bot.SocketOptions{}); err == nil || !strings.Contains(err.Error(), "invalid_auth") {
			t.Errorf("RunSocket: %v, want invalid_auth", err)
		}
	})
}
