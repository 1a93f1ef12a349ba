package bot_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/slack-go/slack"

	"twokey/bot"
	"twokey/bot/botredis"
	"twokey/bot/slacksim"
)

// stage is a workspace and a Redis in memory, for the outbound side: usable inside a
// bubble.
type stage struct {
	t      *testing.T
	sim    *slacksim.Workspace
	http   *http.Client
	slack  *slack.Client
	redis  func() *redis.Client // another connection to the same server
	rdb    *redis.Client
	outbox *botredis.Outbox
}

// newStage has a channel C0OPS, and C0AWAY without the bot.
func newStage(t *testing.T) *stage {
	w := slacksim.New(slacksim.Options{Events: []string{}})
	for _, id := range []string{"U0ANN", "U0BOB"} {
		w.AddPerson(slacksim.Person{ID: id, Name: strings.ToLower(id)})
	}
	w.AddGroup(slacksim.Group{ID: "S0SRE", Handle: "sre", Name: "SRE", Users: []string{"U0BOB"}})
	w.AddChannel(slacksim.Channel{ID: "C0OPS", Name: "ops"})
	w.AddChannel(slacksim.Channel{ID: "C0TWO", Name: "two"})
	w.AddChannel(slacksim.Channel{ID: "C0AWAY", Name: "away", WithoutBot: true})
	ln, dial := slacksim.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = w.Serve(ln)
	}()
	transport := &http.Transport{DialContext: dial}
	s := &stage{t: t, sim: w, http: &http.Client{Transport: transport}}
	s.slack = slack.New(w.Options().BotToken, slack.OptionAPIURL(w.URL()+"/api/"), slack.OptionHTTPClient(s.http))
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	s.redis = func() *redis.Client {
		return redis.NewClient(&redis.Options{
			Addr:   "127.0.0.1:1",
			Dialer: func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
		})
	}
	s.rdb = s.redis()
	s.outbox = botredis.NewOutbox(s.rdb)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		<-served
		s.rdb.Close()
		m.Close()
	})
	return s
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// sender starts a sender; stop ends it in order.
func (s *stage) sender(client *http.Client) (stop func()) { return s.run(client, s.rdb) }

func (s *stage) run(client *http.Client, rdb *redis.Client) (stop func()) {
	api := slack.New(s.sim.Options().BotToken, slack.OptionAPIURL(s.sim.URL()+"/api/"), slack.OptionHTTPClient(client))
	outbox := botredis.NewOutbox(rdb)
	sender := bot.NewSender(bot.SenderOptions{
		Slack: api, HTTP: client, Queue: outbox, Leases: outbox, Budget: botredis.NewBudget(rdb), Log: quiet(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := sender.Run(ctx); err != nil {
			s.t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

func (s *stage) put(ms ...bot.Message) {
	s.t.Helper()
	for _, m := range ms {
		if err := s.outbox.Put(s.t.Context(), m); err != nil {
			s.t.Fatal(err)
		}
	}
}

// idle waits until nothing waits in the outbox, and fails after limit.
func (s *stage) idle(limit time.Duration) {
	s.t.Helper()
	for start := time.Now(); ; time.Sleep(500 * time.Millisecond) {
		left, err := s.outbox.Waiting(s.t.Context(), 0, 1000)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(left) == 0 {
			return
		}
		if time.Since(start) > limit {
			s.t.Fatalf("%d messages wait after %s, first %s", len(left), limit, left[0].Key)
		}
	}
}

// obeyed fails if Slack saw something a correct bot does not do.
func (s *stage) obeyed() {
	s.t.Helper()
	for _, v := range s.sim.Violations() {
		s.t.Error("violation:", v)
	}
	for _, c := range s.sim.Calls() {
		if c.Early {
			s.t.Errorf("%s came before its Retry-After was over", c.Method)
		}
	}
}

// once fails unless each of the keys was posted exactly once.
func (s *stage) once(keys ...string) {
	s.t.Helper()
	seen := map[string]int{}
	for _, c := range s.sim.Calls() {
		if c.Method == "chat.postMessage" && c.Effect && c.TS != "" {
			seen[metaKey(s.t, c.Args["metadata"])]++
		}
	}
	for _, key := range keys {
		if seen[key] != 1 {
			s.t.Errorf("%s was posted %d times", key, seen[key])
		}
	}
}

func metaKey(t *testing.T, raw string) string {
	var m struct {
		Type    string `json:"event_type"`
		Payload struct {
			Key string `json:"key"`
		} `json:"event_payload"`
	}
	if err := json.Unmarshal([]byte(raw), &m); err != nil || m.Type != "twokey" {
		t.Errorf("metadata %q: %v", raw, err)
	}
	return m.Payload.Key
}

func texts(ms []slacksim.Message) []string {
	var out []string
	for _, m := range ms {
		out = append(out, m.Text)
	}
	return out
}

func root(key string) bot.Message {
	return bot.Message{Key: key, Act: bot.Post, Channel: "C0OPS", Text: key, User: "U0ANN"}
}

func reply(key, under string) bot.Message {
	return bot.Message{Key: key, Act: bot.Post, Urgency: bot.Normal, Channel: "C0OPS", Under: under, Text: key}
}

func editOf(key, text string, u bot.Urgency, rev int64) bot.Message {
	return bot.Message{Key: "edit:" + key, Act: bot.Edit, Urgency: u, Under: key, Text: text, Rev: rev}
}

func section(text string) json.RawMessage {
	b, _ := json.Marshal([]slack.Block{slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, text, false, false), nil, nil)})
	return b
}

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

// process is a sender that can be killed: then neither Slack nor Redis hears of it any
// more, nor it of them.
type process struct {
	next http.RoundTripper
	dead chan struct{}
}

func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := p.next.RoundTrip(r)
	select {
	case <-p.dead:
		return nil, errors.New("killed")
	default:
	}
	return res, err
}

func (p *process) DialHook(next redis.DialHook) redis.DialHook { return next }
func (p *process) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		select {
		case <-p.dead:
			cmd.SetErr(errors.New("killed"))
			return cmd.Err()
		default:
			return next(ctx, cmd)
		}
	}
}
func (p *process) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// start starts a sender that can be killed.
func (s *stage) start() *process {
	p := &process{next: s.http.Transport, dead: make(chan struct{})}
	own := s.redis()
	own.AddHook(p)
	s.t.Cleanup(func() { own.Close() })
	s.t.Cleanup(s.run(&http.Client{Transport: p}, own))
	return p
}

// The sender that holds the lease dies after Slack took its post and before it knew.
// Another finds the post and goes on, once the lease has passed.
func TestSenderKilledInTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		first := s.start()
		time.Sleep(time.Second)
		s.start() // waits for the lease
		s.sim.Fault(slacksim.Fault{Method: "chat.postMessage", DelayReply: 2 * time.Second})
		s.put(root("card:A"), reply("status:A", "card:A"))
		time.Sleep(time.Second)
		close(first.dead)
		s.idle(40 * time.Second)
		p, _, _ := s.outbox.Posted(t.Context(), "card:A")
		if got, want := texts(s.sim.Thread(p.Channel, p.TS)), []string{"card:A", "status:A"}; !slices.Equal(got, want) {
			t.Errorf("thread %q, want %q", got, want)
		}
		s.once("card:A", "status:A")
		s.obeyed()
	})
}

// Redis is away for a while, in the middle of calls.
func TestSenderWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		var away atomic.Bool
		own := s.redis()
		defer own.Close()
		own.AddHook(outage{&away})
		defer s.run(s.http, own)()
		var keys []string
		for i := range 20 {
			key := fmt.Sprintf("card:%d", i)
			keys = append(keys, key)
			s.put(root(key))
		}
		time.Sleep(3100 * time.Millisecond)
		away.Store(true)
		time.Sleep(30 * time.Second)
		away.Store(false)
		s.idle(2 * time.Minute)
		s.once(keys...)
		s.obeyed()
	})
}

type outage struct{ away *atomic.Bool }

func (o outage) DialHook(next redis.DialHook) redis.DialHook { return next }
func (o outage) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if o.away.Load() {
			cmd.SetErr(errors.New("redis is away"))
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}
func (o outage) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if o.away.Load() {
			return errors.New("redis is away")
		}
		return next(ctx, cmds)
	}
}

// peak is the most calls of a method that Slack saw in any minute.
func (s *stage) peak(method string, keep func(slacksim.Call) bool) int {
	var times []time.Time
	for _, c := range s.sim.Calls() {
		if c.Method == method && keep(c) {
			times = append(times, c.Time)
		}
	}
	most, from := 0, 0
	for i, at := range times {
		for at.Sub(times[from]) >= time.Minute {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// With 1,000 runs reporting progress every 5 s Slack gets no more than its rate, an
// ending and a card's edit pass all of them, and each run has its turn.
func TestSenderThousandLiveRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const runs = 1000
		s := newStage(t)
		defer s.sender(s.http)()
		place := make([]bot.Place, runs)
		for i := range runs { // their posts were made before: by hand, to save the hour it takes
			key := fmt.Sprintf("status:%d", i)
			_, ts, err := s.slack.PostMessageContext(t.Context(), []string{"C0OPS", "C0TWO"}[i%2], slack.MsgOptionText("0", false))
			for err != nil {
				time.Sleep(time.Second)
				_, ts, err = s.slack.PostMessageContext(t.Context(), []string{"C0OPS", "C0TWO"}[i%2], slack.MsgOptionText("0", false))
			}
			place[i] = bot.Place{Channel: []string{"C0OPS", "C0TWO"}[i%2], TS: ts}
			if err := s.outbox.Sent(t.Context(), bot.Claimed{Message: bot.Message{Key: key, Act: bot.Post}}, place[i]); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		var slowest time.Duration
		for round := int64(1); round <= 10; round++ {
			for i := range runs {
				s.put(editOf(fmt.Sprintf("status:%d", i), fmt.Sprint(round), bot.Live, round))
			}
			time.Sleep(30 * time.Second)
			// A run ends while the others' progress waits.
			key, n := fmt.Sprintf("event:%d", round), int(round)*20%runs
			s.put(bot.Message{Key: key, Act: bot.Post, Urgency: bot.Urgent, Channel: "C0OPS", Thread: place[0].TS, Text: "done"})
			s.put(editOf(fmt.Sprintf("status:%d", n), "ended", bot.Normal, 1000+round))
			time.Sleep(30 * time.Second)
			for _, c := range s.sim.Calls() {
				if at := start.Add(time.Duration(round)*time.Minute - 30*time.Second); c.Args["text"] == "ended" && c.TS == place[n].TS || c.Args["text"] == "done" && c.Time.After(at) {
					slowest = max(slowest, c.Time.Sub(at))
				}
			}
		}
		live := func(c slacksim.Call) bool { return c.Args["text"] != "ended" && c.Time.After(start) }
		any := func(c slacksim.Call) bool { return c.Time.After(start) }
		t.Logf("1,000 live runs for 10 min: at most %d progress edits and %d chat.update in a minute; 10 endings, the slowest shown after %s",
			s.peak("chat.update", live), s.peak("chat.update", any), slowest)
		if n := s.peak("chat.update", live); n > 40 {
			t.Errorf("%d progress edits in a minute", n)
		}
		if n := s.peak("chat.update", any); n > 50 {
			t.Errorf("%d edits in a minute", n)
		}
		if slowest == 0 || slowest > 3*time.Second {
			t.Errorf("an ending took %s", slowest)
		}
		shown, edits := 0, 0
		for _, channel := range []string{"C0OPS", "C0TWO"} {
			for _, m := range s.sim.Channel(channel) {
				edits += len(m.Edits)
				shown += min(len(m.Edits), 1)
			}
		}
		if shown < edits-10 {
			t.Errorf("%d edits went to %d runs only: the others must have their turn first", edits, shown)
		}
		if edits < 350 {
			t.Errorf("only %d edits in 10 min: the rate is wasted", edits)
		}
		s.obeyed()
	})
}
