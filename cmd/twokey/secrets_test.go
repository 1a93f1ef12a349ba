package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/bot/slacksim"
	"twokey/ops/elastic"
)

// Secrets that must be seen nowhere. Slack's are those of every test's workspace.
const (
	elasticPassword = "marker-elastic-password"
	elasticKey      = "bWFya2VyOmVsYXN0aWMta2V5LW1hcmtlcg=="
	redisPassword   = "marker-redis-password"
)

func markers(w *world) map[string]string {
	o := w.slack.Options()
	return map[string]string{
		"Elasticsearch password":          elasticPassword,
		"Elasticsearch login in a header": base64.StdEncoding.EncodeToString([]byte("twokey:" + elasticPassword)),
		"Elasticsearch API key":           elasticKey,
		"Redis password":                  redisPassword,
		"Slack bot token":                 o.BotToken,
		"Slack app token":                 o.AppToken,
		"Slack signing secret":            o.Secret,
		"a Socket Mode address' ticket":   "ticket=",
		"a login in an address":           "twokey:marker",
		"response_url":                    "/response/",
	}
}

// hostileServer answers for the cluster in each bad way; how names the present one.
type hostileServer struct {
	next http.RoundTripper
	mu   sync.Mutex
	how  string
	only string // the end of a path: others are answered well
	seen bool   // a secret came with a request: the test is about something
}

// be makes the server answer in one of the hostileWays, or well again.
func (h *hostileServer) be(how string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.how = how
}

var hostileWays = []string{
	"401", "401 that repeats the header", "redirect", "unreachable", "error with a login in its address", "panic", "not JSON", "broken body",
}

func (h *hostileServer) RoundTrip(r *http.Request) (*http.Response, error) {
	login := r.Header.Get("Authorization")
	h.mu.Lock()
	h.seen = h.seen || login != ""
	how := h.how
	if !strings.HasSuffix(r.URL.Path, h.only) {
		how = ""
	}
	h.mu.Unlock()
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {"application/json"}, "X-Elastic-Product": {"Elasticsearch"}, "Location": {"http://twokey:" + elasticPassword + "@n2:9200/?token=" + elasticKey}},
			Body:   io.NopCloser(strings.NewReader(body)),
		}, nil
	}
	switch how {
	case "401":
		return answer(401, `{"error":{"type":"security_exception","reason":"unable to authenticate user [twokey] for REST request [/]"},"status":401}`)
	case "401 that repeats the header":
		return answer(401, fmt.Sprintf(`{"error":{"type":"security_exception","reason":"bad header Authorization: %s"},"status":401}`, login))
	case "redirect":
		return answer(302, "")
	case "unreachable":
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	case "error with a login in its address":
		return nil, fmt.Errorf("proxyconnect http://twokey:%s@proxy:3128: refused", elasticPassword)
	case "cut":
		res, err := h.next.RoundTrip(r)
		if err != nil {
			return res, err
		}
		b, err := io.ReadAll(res.Body)
		res.Body, res.ContentLength = io.NopCloser(strings.NewReader(string(b[:len(b)*2/3]))), -1
		return res, err
	case "panic":
		panic(fmt.Sprintf("%s http://twokey:%s@n1:9200/ with %s", r.Method, elasticPassword, login))
	case "not JSON":
		return answer(200, "<html>"+login+"</html>")
	case "broken body":
		return answer(500, `{"error":`+login)
	}
	return h.next.RoundTrip(r)
}

// TestNoSecretIsSeen lets everything fail in turn, on each transport with one kind of login, and
// then looks at all that Slack was sent, all that Redis holds, the log, and the metrics.
func TestNoSecretIsSeen(t *testing.T) {
	for name, socket := range map[string]bool{"socket mode, API key": true, "HTTP, password": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, socket, func(t *testing.T, w *world) { noSecretIsSeen(t, w, socket) })
		})
	}
}

func noSecretIsSeen(t *testing.T, w *world, key bool) {
	w.redis.RequireUserAuth("twokey", redisPassword)
	server := &hostileServer{next: w.es.RoundTripper()}
	client, _ := w.expose(func(p *Parts) {
		p.Redis.Username, p.Redis.Password = "twokey", redisPassword
		s := elastic.Settings{URLs: []string{"http://n1:9200"}, Transport: server, Username: "twokey", Password: elasticPassword}
		if key {
			s.Username, s.Password, s.APIKey = "", "", elasticKey
		}
		es, err := elastic.Connect(s)
		if err != nil {
			t.Fatal(err)
		}
		p.Clusters[sandboxEnvironment] = elastic.Cluster{Environment: sandboxEnvironment, Client: es}
	})
	card := w.ask(alice, "n3")
	for _, how := range hostileWays {
		server.be(how)
		w.command(alice, "/ops es health")
		w.command(alice, "/ops es drain n2")
		w.pass(30 * time.Second)
	}
	server.be("")
	for _, f := range []slacksim.Fault{
		{Status: http.StatusInternalServerError}, {Cut: true}, {DropReply: true}, {Error: "invalid_auth"}, {Error: "ratelimited"},
		{Status: http.StatusTooManyRequests, RetryAfter: time.Second}, {Delay: 40 * time.Second},
	} {
		for _, method := range []string{"users.info", "chat.postMessage", "chat.update", "response_url", "conversations.history", "apps.connections.open"} {
			if f.Error == "invalid_auth" && method == "apps.connections.open" {
				continue // a bot whose token is no good stops
			}
			f.Method, f.Times = method, 2
			w.slack.Fault(f)
		}
		w.slack.KillSockets()
		w.pass(20 * time.Second)
		if d, err := w.slack.Command(carol, sandboxChannel, "/ops es nodes"); err == nil {
			_ = d.Wait(t.Context()) // it may not arrive: sockets are broken on purpose
		}
		w.pass(time.Minute)
		w.slack.ClearFaults()
		w.pass(time.Minute)
	}
	w.redis.SetError("LOADING marker")
	if d, err := w.slack.Command(alice, sandboxChannel, "/ops list"); err == nil {
		_ = d.Wait(t.Context()) // "not taken", or late
	}
	w.pass(20 * time.Second)
	metrics := get(t, client, "http://twokey.test/metrics") + get(t, client, "http://twokey.test/readyz")
	w.redis.SetError("")
	w.redis.RequireUserAuth("twokey", "changed")
	w.redis.RequireUserAuth("twokey", redisPassword)
	w.pass(time.Minute)

	w.click(bob, card, "approve") // a run that meets all of it, in every phase
	for _, how := range hostileWays {
		server.be(how)
		w.pass(20 * time.Second)
		server.be("")
		w.pass(5 * time.Second)
	}
	w.pass(3 * time.Minute)
	metrics += get(t, client, "http://twokey.test/metrics")
	if !strings.Contains(metrics, "twokey_slack_calls_total") {
		t.Errorf("no metrics: %s", metrics)
	}
	server.mu.Lock()
	seen := server.seen
	server.mu.Unlock()
	if !seen {
		t.Fatal("no request had a login")
	}

	said := w.said()
	kept := w.kept()
	for what, marker := range markers(w) {
		for where, text := range map[string]string{"Slack": said, "Redis": kept, "the log": w.log.String(), "metrics": metrics} {
			if where == "Redis" && marker == "/response/" {
				continue // kept on purpose, to answer by: for half an hour it says something to one person
			}
			if at := strings.Index(text, marker); at >= 0 {
				t.Errorf("%s holds the %s: …%s…", where, what, text[max(0, at-200):min(len(text), at+100)])
			}
		}
	}
	t.Logf("privately:\n%s", w.private())
}

// said is all that Slack was sent: by calls, and as it stands.
func (w *world) said() string {
	var said strings.Builder
	for _, c := range w.slack.Calls() {
		fmt.Fprintln(&said, c.Method, c.Args)
	}
	for _, channel := range []string{sandboxChannel, w.slack.DM(alice), w.slack.DM(carol)} {
		for _, m := range w.slack.Channel(channel) {
			for _, r := range w.slack.Thread(channel, m.TS) {
				fmt.Fprintln(&said, r.Text, string(r.Blocks), string(r.Metadata), r.Edits, r.Files)
			}
		}
	}
	for _, user := range []string{alice, bob, carol} {
		for _, e := range w.slack.Ephemerals(user) {
			fmt.Fprintln(&said, e.Text, string(e.Blocks))
		}
	}
	return said.String()
}

// kept is every key of Redis and all it holds, as text.
func (w *world) kept() string {
	w.t.Helper()
	c := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:1", Username: "twokey", Password: redisPassword,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return w.redis.Dial() },
	})
	defer c.Close()
	ctx := w.t.Context()
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil || len(keys) == 0 {
		w.t.Fatalf("%d keys, %v", len(keys), err)
	}
	var b strings.Builder
	for _, key := range keys {
		kind, err := c.Type(ctx, key).Result()
		if err != nil {
			w.t.Fatal(err)
		}
		var cmd redis.Cmder
		switch kind {
		case "string":
			cmd = c.Get(ctx, key)
		case "hash":
			cmd = c.HGetAll(ctx, key)
		case "list":
			cmd = c.LRange(ctx, key, 0, -1)
		case "set":
			cmd = c.SMembers(ctx, key)
		case "zset":
			cmd = c.ZRange(ctx, key, 0, -1)
		case "stream":
			cmd = c.XRange(ctx, key, "-", "+")
		case "none":
			continue // expired meanwhile
		default:
			w.t.Fatalf("%s is a %s", key, kind)
		}
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			w.t.Fatal(err)
		}
		fmt.Fprintln(&b, key, cmd)
	}
	return b.String()
}

func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
