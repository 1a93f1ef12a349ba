package bot_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
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

// outbox remembers what was put, by the rule of the contract.
type outbox struct {
	mu   sync.Mutex
	said []bot.Message
	fail error
}

func (o *outbox) Put(_ context.Context, m bot.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.fail
	}
	if !slices.ContainsFunc(o.said, func(s bot.Message) bool { return s.Key == m.Key }) {
		o.said = append(o.said, m)
	}
	return nil
}

// breakWith makes Put fail with err; nil: work again.
func (o *outbox) breakWith(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail = err
}

// all returns what was said so far, and forgets it.
func (o *outbox) all() []bot.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	said := o.said
	o.said = nil
	return said
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

type posts struct {
	mu sync.Mutex
	by map[string]bot.Place
}

func (p *posts) note(key string, at bot.Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[string]bot.Place{}
	}
	p.by[key] = at
}

func (p *posts) Posted(_ context.Context, key string) (bot.Place, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.by[key]
	return at, ok, nil
}

func (p *posts) KeyAt(_ context.Context, at bot.Place) (string, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, place := range p.by {
		if place == at {
			return key, true, nil
		}
	}
	return "", false, nil
}

type threads struct {
	mu      sync.Mutex
	origins map[string]bot.Origin
}

func (t *threads) SetOrigin(_ context.Context, id string, o bot.Origin) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.origins == nil {
		t.origins = map[string]bot.Origin{}
	}
	t.origins[id] = o
	return nil
}

func (t *threads) Origin(_ context.Context, id string) (bot.Origin, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o, ok := t.origins[id]
	return o, ok, nil
}

func (t *threads) Cursor(context.Context, string) (int64, error)  { return 0, nil }
func (t *threads) SetCursor(context.Context, string, int64) error { return nil }

// engine is an ops.Engine that remembers. It plans "es drain" and answers "es health".
type engine struct {
	mu      sync.Mutex
	plans   int
	runs    map[string]ops.Run
	asked   []string // "pause <id> <by>"
	class   ops.Class
	confirm string
	takes   time.Duration
	err     error
}

// planned is how often Plan made a plan.
func (e *engine) planned() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.plans
}

func (e *engine) Has(kind string) (known, query bool) {
	return kind == "es drain" || kind == "es health", kind == "es health"
}

func (e *engine) read(ctx context.Context) error {
	select {
	case <-time.After(e.takes):
		return e.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *engine) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	return ops.Answer{Title: call.Environment + ": green"}, e.read(ctx)
}

func (e *engine) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	if err := e.read(ctx); err != nil {
		return ops.Plan{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.plans++
	return ops.Plan{
		Call: call, Class: e.class, Title: "Drain n3 in " + call.Environment, Effect: "moves 24 shards off n3", Targets: call.Args,
		Confirm: e.confirm, Params: map[string]string{"plan": strings.Repeat("x", e.plans)}, // each plan differs
	}, nil
}

func (e *engine) Submit(_ context.Context, r ops.NewRun) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.Plan.Digest() != r.Digest {
		return errors.New("digest")
	}
	e.runs[r.ID] = ops.Run{ID: r.ID, Plan: r.Plan, Digest: r.Digest, Requester: r.Requester, Approvers: r.Approvers, State: ops.Running}
	return nil
}

func (e *engine) Get(_ context.Context, id string) (ops.Run, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r, ok := e.runs[id]; ok {
		return r, nil
	}
	return ops.Run{}, ops.ErrNotFound
}

func (e *engine) Live(context.Context) ([]ops.Run, error)        { return nil, nil }
func (e *engine) Recent(context.Context, int) ([]ops.Run, error) { return nil, nil }

func (e *engine) flag(what, id, by string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, ok := e.runs[id]
	switch {
	case !ok:
		return ops.ErrNotFound
	case r.State.Ended():
		return ops.ErrEnded
	}
	e.asked = append(e.asked, what+" "+id+" "+by)
	return nil
}

func (e *engine) Pause(_ context.Context, id, by string) error  { return e.flag("pause", id, by) }
func (e *engine) Resume(_ context.Context, id, by string) error { return e.flag("resume", id, by) }
func (e *engine) Cancel(_ context.Context, id, by string) error { return e.flag("cancel", id, by) }

// hangable is a connection to Redis that, once hang is set, takes what is written
// and never answers, as one to a stopped process does.
type hangable struct {
	net.Conn
	hang *atomic.Bool
}

func (c *hangable) Write(b []byte) (int, error) {
	if c.hang.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// raw is JSON, for tests that make raw payloads.
func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// errSecret is an error that must be shown to nobody as it is.
var errSecret = errors.New("Get https://elastic:hunter2@es-1:9200: refused")
