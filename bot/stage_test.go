package bot_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
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
	w := slacksim.New(slacksim.Options{Events: []string{}, ShareAfter: 2 * time.Second})
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
