package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"twokey/bot/slacksim"
	"twokey/deploy"
	"twokey/deploy/awssim"
	"twokey/ops/elastic"
	"twokey/ops/elastic/elasticsim"
)

// world is everything around the bot, in memory and on the fake clock of a test's
// bubble: the whole program runs in it as NewApp builds it.
type world struct {
	t      *testing.T
	slack  *slacksim.Workspace
	es     *elasticsim.Cluster
	redis  *miniredis.Miniredis
	http   *http.Client // reaches Slack
	socket bool         // Socket Mode; else signed HTTP
	config Config
	log    *lockedBuffer
	hook   redis.Hook
	lease  time.Duration
	aws    *awssim.Sim // nil: the environment has no account
}

// inWorld runs f in a bubble, on a world with the sandbox's people.
func inWorld(t *testing.T, socket bool, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, socket)
		f(t, w)
		for _, v := range w.slack.Violations() {
			t.Errorf("Slack would not have taken this: %s", v)
		}
		if paths := w.es.Unknown(); len(paths) > 0 {
			t.Errorf("the cluster was asked what it does not know: %v", paths)
		}
		if t.Failed() {
			t.Logf("the bot's log:\n%s", w.log)
		}
	})
}

// Dan may not approve; Other belongs to another workspace.
const (
	dan   = "U0DAN"
	other = "U0OTHER"
)

func newWorld(t *testing.T, socket bool) *world {
	w := &world{t: t, socket: socket, config: sandboxConfig(), log: new(lockedBuffer), es: smallCluster()}
	w.slack = sandboxWorkspace("", slacksim.Person{ID: other, Name: "other", Team: "T0OTHER"}, slacksim.Person{ID: dan, Name: "dan"})
	ln, dial := slacksim.Pipe()
	go func() { _ = w.slack.Serve(ln) }() // ends with Close
	transport := &http.Transport{DialContext: dial}
	w.http = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	w.redis = miniredis.NewMiniRedis()
	w.redis.ClockTTL(true)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := w.slack.Close(); err != nil {
			t.Error(err)
		}
		_ = ln.Close() // closed already
		w.redis.Close()
	})
	return w
}

// smallCluster has three nodes in three zones; a drain of n3 takes some seconds.
func smallCluster() *elasticsim.Cluster {
	c := elasticsim.New(elasticsim.Options{Nodes: []elasticsim.Node{
		{Name: "n1", Zone: "a"}, {Name: "n2", Zone: "b"}, {Name: "n3", Zone: "spot"},
	}})
	c.AddIndex("logs", 3, 1, 200<<20)
	c.AddIndex("users", 2, 1, 20<<20)
	return c
}

// start starts a bot; stop stops it in order and checks that it ended well.
func (w *world) start() (stop func()) {
	w.t.Helper()
	client, err := elastic.Connect(elastic.Settings{
		URLs: []string{"http://n1:9200", "http://n2:9200", "http://n3:9200"}, Transport: w.es.RoundTripper(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	p := Parts{
		Config: w.config, Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Redis: &redis.Options{Addr: "127.0.0.1:1", Dialer: func(context.Context, string, string) (net.Conn, error) { return w.redis.Dial() }},
		Slack: SlackAccess{BotToken: w.slack.Options().BotToken, APIURL: w.slack.URL() + "/api/"},
		Clusters: map[string]elastic.Cluster{
			sandboxEnvironment: {Environment: sandboxEnvironment, Client: client},
		},
		HTTP: w.http, RedisHook: w.hook, Lease: w.lease,
	}
	if w.aws != nil {
		p.Accounts = map[string]*deploy.Account{sandboxEnvironment: connectAWS(w.t, w.aws)}
	}
	var transport *http.Transport
	if w.socket {
		p.Slack.AppToken = w.slack.Options().AppToken
	} else {
		ln, dial := slacksim.Pipe()
		transport = &http.Transport{DialContext: dial}
		p.Listener, p.Slack.SigningSecret = ln, w.slack.Options().Secret
		w.slack.UseHTTP("http://twokey.test", &http.Client{Transport: transport})
	}
	app, err := NewApp(w.t.Context(), p)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the bot stopped with: %v", err)
		}
		if transport != nil {
			transport.CloseIdleConnections()
		}
	})
	w.t.Cleanup(stop)
	w.pass(2 * time.Second) // sockets come up
	return stop
}

// pass lets time of the bubble pass.
func (w *world) pass(d time.Duration) {
	synctest.Wait()
	time.Sleep(d) // fake
	synctest.Wait()
}

// command types a slash command.
func (w *world) command(user, text string) {
	w.t.Helper()
	d, err := w.slack.Command(user, sandboxChannel, text)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := d.Wait(w.t.Context()); err != nil {
		w.t.Fatalf("%s was not acknowledged: %v", text, err)
	}
}

// await waits until ok says so, at most limit of the bubble's time.
func (w *world) await(limit time.Duration, what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(limit); !ok(); w.pass(250 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("no %s within %s; the channel:\n%s\nprivately:\n%s\nlog:\n%s", what, limit, w.transcript(sandboxChannel), w.private(), w.log)
		}
	}
}

// card waits for the newest request card of the channel.
func (w *world) card() slacksim.Message {
	w.t.Helper()
	var card slacksim.Message
	w.await(time.Minute, "card", func() bool {
		for _, m := range slices.Backward(w.slack.Channel(sandboxChannel)) {
			if m.BotID != "" && bytes.Contains(m.Blocks, []byte(`"approve"`)) {
				card = m
				return true
			}
		}
		return false
	})
	return card
}

// thread returns the bot's replies under a card.
func (w *world) thread(card slacksim.Message) []slacksim.Message {
	return w.slack.Thread(card.Channel, card.TS)[1:]
}

// awaitReply waits for a reply under the card that has text in it.
func (w *world) awaitReply(limit time.Duration, card slacksim.Message, text string) {
	w.t.Helper()
	w.await(limit, fmt.Sprintf("reply with %q", text), func() bool {
		return slices.ContainsFunc(w.thread(card), func(m slacksim.Message) bool { return strings.Contains(m.Text+string(m.Blocks), text) })
	})
}

// click presses a button.
func (w *world) click(user string, card slacksim.Message, action string) {
	w.t.Helper()
	d, err := w.slack.Click(user, card.Channel, card.TS, action)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := d.Wait(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.pass(3 * time.Second)
}

// transcript is a channel as a watcher reads it.
func (w *world) transcript(channel string) string {
	var b strings.Builder
	for _, m := range w.slack.Channel(channel) {
		for _, r := range w.slack.Thread(channel, m.TS) {
			indent := ""
			if r.Thread != "" {
				indent = "    "
			}
			fmt.Fprintf(&b, "%s%s (%d edits): %s\n", indent, r.User, len(r.Edits), strings.ReplaceAll(r.Text, "\n", "\n"+indent+"  "))
		}
	}
	return b.String()
}

// private is what only single people see.
func (w *world) private() string {
	var b strings.Builder
	for _, u := range []string{alice, bob, carol, gary, other, dan} {
		for _, e := range w.slack.Ephemerals(u) {
			fmt.Fprintf(&b, "to %s: %s\n", u, e.Text)
		}
	}
	return b.String()
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// cardID returns the id of a card's request, as its buttons carry it.
func (w *world) cardID(card slacksim.Message) string {
	w.t.Helper()
	_, rest, ok := strings.Cut(string(card.Blocks), `"value":"`)
	id, _, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 {
		w.t.Fatalf("no id on the card: %s", card.Blocks)
	}
	return id
}

// settings are the cluster's own settings, flat, as text.
func (w *world) settings() string {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://n1:9200/_cluster/settings?flat_settings=true", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := w.es.RoundTripper().RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	return settingsText(w.t, res.Body)
}

// inOrder wants parts in a text, each after the one before.
func inOrder(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, p := range parts {
		i := strings.Index(rest, p)
		if i < 0 {
			t.Errorf("%s: %q is missing or not in its place:\n%s", what, p, text)
			return
		}
		rest = rest[i+len(p):]
	}
}
