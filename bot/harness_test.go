package bot_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/slack-go/slack"

	"twokey/approvals"
	"twokey/approvals/approvalsredis"
	"twokey/bot"
	"twokey/bot/botredis"
	"twokey/bot/slacksim"
	"twokey/commands"
	"twokey/ops"
)

// People and channels of every test's workspace. Bob is the approver.
const (
	alice, bob, carol        = "U0ALICE", "U0BOB", "U0CAROL"
	guest, gone, other, ci   = "U0GUEST", "U0GONE", "U0OTHER", "U0CI"
	chanOps, chanProd, chanX = "C0OPS", "C0PROD", "C0AWAY" // the bot is not in the last
)

// house is a workspace, a Redis and one or more servers between them, all in memory
// and on the fake clock of the test's bubble.
type house struct {
	t      *testing.T
	slack  *slacksim.Workspace
	client *slack.Client
	http   *http.Client
	redis  *miniredis.Miniredis
	rdb    *redis.Client
	hang   atomic.Bool // new and present connections to Redis say nothing

	inbox     bot.Inbox
	out       *outbox
	posts     *posts
	threads   *threads
	engine    *engine
	approvals *approvals.Service
	log       *syncBuffer
	servers   []*bot.Server
}

// inHouse runs f in a bubble with a house whose first server is up.
func inHouse(t *testing.T, f func(t *testing.T, h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.serve()
		f(t, h)
		for _, v := range h.slack.Violations() {
			t.Errorf("violation: %s", v)
		}
	})
}

func newHouse(t *testing.T) *house {
	h := &house{
		t: t, out: &outbox{}, posts: &posts{}, threads: &threads{}, engine: &engine{class: ops.R2, runs: map[string]ops.Run{}}, log: &syncBuffer{},
		slack: slacksim.New(slacksim.Options{}),
	}
	w := h.slack
	for _, p := range []slacksim.Person{
		{ID: alice, Name: "alice"}, {ID: bob, Name: "bob"}, {ID: carol, Name: "carol"}, {ID: guest, Name: "guest", Guest: true},
		{ID: gone, Name: "gone", Deactivated: true}, {ID: other, Name: "other", Team: "T0OTHER"}, {ID: ci, Name: "ci", Bot: true},
	} {
		w.AddPerson(p)
	}
	w.AddGroup(slacksim.Group{ID: "S0SRE", Handle: "sre", Name: "SRE", Users: []string{bob, guest, gone, other, ci, alice}})
	w.AddChannel(slacksim.Channel{ID: chanOps, Name: "ops", Shared: true})
	w.AddChannel(slacksim.Channel{ID: chanProd, Name: "prod"})
	w.AddChannel(slacksim.Channel{ID: chanX, Name: "away", WithoutBot: true})
	ln, dial := slacksim.Pipe()
	go func() { _ = w.Serve(ln) }()
	transport := &http.Transport{DialContext: dial}
	h.http = &http.Client{Transport: transport}
	h.client = slack.New(w.Options().BotToken, slack.OptionAppLevelToken(w.Options().AppToken),
		slack.OptionAPIURL(w.URL()+"/api/"), slack.OptionHTTPClient(h.http))

	h.redis = miniredis.NewMiniRedis()
	h.redis.ClockTTL(true)
	h.rdb = redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:1",
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			c, err := h.redis.Dial()
			return &hangable{Conn: c, hang: &h.hang}, err
		},
		ContextTimeoutEnabled: true,
	})
	h.inbox = botredis.NewInbox(h.rdb)
	h.approvals = approvals.New(approvals.Options{
		Store: approvalsredis.New(h.rdb), Launcher: bot.NewLauncher(h.engine), Directory: bot.NewDirectory(h.client),
		Policy: approvals.Policy{Team: "T0HOME", Environments: map[string]approvals.Environment{
			"staging": {Groups: []string{"S0SRE"}},
			"prod":    {Groups: []string{"S0SRE"}, Channels: []string{chanProd}},
		}},
	})
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = w.Close()
		_ = ln.Close()
		_ = h.rdb.Close()
		h.redis.Close()
	})
	return h
}

// options are those of a server of the house.
func (h *house) options() bot.ServerOptions {
	return bot.ServerOptions{
		Slack: h.client, HTTP: h.http, Inbox: h.inbox, Outbox: h.out, Posts: h.posts, Threads: h.threads,
		Engine: h.engine, Approvals: h.approvals, Directory: bot.NewDirectory(h.client),
		Words: commands.Vocabulary{Command: "/ops", Environments: []string{"staging", "prod"}, DefaultEnvironment: "staging", BotUser: "U0TWOKEY"},
		Log:   slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Team:  "T0HOME", App: "A0TWOKEY", Announce: chanOps, SigningSecret: h.slack.Options().Secret,
	}
}

// serve adds a server that receives by HTTP and works until the test ends. The last
// one added is the one Slack delivers to.
func (h *house) serve() *bot.Server {
	s := h.receive()
	h.work(s)
	return s
}

// receive adds a server that takes in but does not work.
func (h *house) receive() *bot.Server {
	h.t.Helper()
	s, err := bot.NewServer(h.options())
	if err != nil {
		h.t.Fatal(err)
	}
	ln, dial := slacksim.Pipe()
	srv := &http.Server{Handler: s.Handler()}
	go func() { _ = srv.Serve(ln) }()
	transport := &http.Transport{DialContext: dial}
	h.slack.UseHTTP("http://twokey.test", &http.Client{Transport: transport})
	h.t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = srv.Close()
		_ = ln.Close()
	})
	h.servers = append(h.servers, s)
	return s
}

// work runs the server until the test ends.
func (h *house) work(s *bot.Server) (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	})
	h.t.Cleanup(stop)
	return stop
}

// command types a slash command and returns once it is acknowledged and handled.
func (h *house) command(user, channel, text string) {
	h.t.Helper()
	d, err := h.slack.Command(user, channel, text)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := d.Wait(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.settle()
}

// say posts a message as a person, and returns its ts once it is handled.
func (h *house) say(user, channel, text, thread string) string {
	h.t.Helper()
	ts, err := h.slack.Say(user, channel, text, thread)
	if err != nil {
		h.t.Fatal(err)
	}
	h.settle()
	return ts
}

// do returns once what a person did is delivered and handled.
func (h *house) do(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	h.settle()
}

// settle lets a little time pass, in which all that is due happens.
func (h *house) settle() {
	synctest.Wait()
	time.Sleep(10 * time.Second) // of the bubble
	synctest.Wait()
}

// request types a drain as alice and returns the request, with a card posted as
// the reporter does.
func (h *house) request() (approvals.Request, bot.Place) {
	h.t.Helper()
	h.command(alice, chanOps, "es drain n3 --env staging")
	open, err := h.approvals.Open(h.t.Context())
	if err != nil || len(open) != 1 {
		h.t.Fatalf("open requests: %v, %v\n%s", open, err, h.log)
	}
	return open[0], h.card(open[0])
}

func (h *house) card(r approvals.Request) bot.Place {
	h.t.Helper()
	value := r.ID + ":" + r.Digest
	button := func(id string) *slack.ButtonBlockElement {
		return slack.NewButtonBlockElement(id, value, slack.NewTextBlockObject(slack.PlainTextType, id, false, false))
	}
	_, ts, err := h.client.PostMessageContext(h.t.Context(), chanOps, slack.MsgOptionText("card", false),
		slack.MsgOptionBlocks(slack.NewActionBlock("votes", button("approve"), button("decline"))))
	if err != nil {
		h.t.Fatal(err)
	}
	p := bot.Place{Channel: chanOps, TS: ts}
	h.posts.note("card:"+r.ID, p)
	h.settle()
	return p
}

func (h *house) get(id string) approvals.Request {
	h.t.Helper()
	r, err := h.approvals.Get(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// one returns the only message said since the last look.
func (h *house) one() bot.Message {
	h.t.Helper()
	said := h.out.all()
	if len(said) != 1 {
		h.t.Fatalf("said %d messages, want 1: %+v\n%s", len(said), said, h.log)
	}
	return said[0]
}

// silent fails the test if anything was said.
func (h *house) silent() {
	h.t.Helper()
	if said := h.out.all(); len(said) > 0 {
		h.t.Errorf("said %+v, want nothing", said)
	}
}

func (h *house) has(m bot.Message, parts ...string) {
	h.t.Helper()
	for _, part := range parts {
		if !strings.Contains(m.Text, part) {
			h.t.Errorf("said %q, want %q in it", m.Text, part)
		}
	}
}
