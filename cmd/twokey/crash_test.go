package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"twokey/bot/slacksim"
	"twokey/ops/elastic/elasticsim"
)

// outside is a world for bots that are processes: everything on loopback, in real time.
type outside struct {
	t       *testing.T
	slack   *slacksim.Workspace
	es      *elasticsim.Cluster // nil: a real cluster
	esURLs  []string
	node    string // the one to drain
	redis   string
	listen  string // the bot's HTTP address; empty: Socket Mode
	process *process

	aws, templates string // URL and folder; empty: no AWS
}

// crashLease is the lease of process tests: take-over after about this time.
const crashLease = 3 * time.Second

// foreignFilter is somebody else's filter, in effect before, during and after.
const foreignFilter = `{"persistent":{"cluster.routing.allocation.exclude.zone":"retired"}}`

func newOutside(t *testing.T, http bool, es *elasticsim.Cluster) *outside {
	t.Helper()
	o := &outside{t: t, es: es, node: "n3"}
	o.serveSlack()
	if err := es.PutSettings(foreignFilter); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(es)
	t.Cleanup(server.Close)
	o.esURLs = []string{server.URL}
	r := miniredis.NewMiniRedis()
	r.ClockTTL(true)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	o.redis = "redis://" + r.Addr() + "/0"
	if http {
		o.useHTTP()
	}
	return o
}

// serveSlack serves a workspace on loopback.
func (o *outside) serveSlack() {
	ln := listenLoopback(o.t)
	o.slack = sandboxWorkspace("http://" + ln.Addr().String())
	go func() { _ = o.slack.Serve(ln) }() // ends with Close
	o.t.Cleanup(func() {
		if err := o.slack.Close(); err != nil {
			o.t.Error(err)
		}
	})
}

func (o *outside) useHTTP() {
	ln := listenLoopback(o.t)
	o.listen = ln.Addr().String()
	if err := ln.Close(); err != nil {
		o.t.Fatal(err)
	}
	o.slack.UseHTTP("http://"+o.listen, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
}

func (o *outside) child() child {
	return child{Redis: o.redis, Slack: o.slack.URL(), Listen: o.listen, ES: o.esURLs, Lease: crashLease, AWS: o.aws, Templates: o.templates}
}

// do types a command or clicks. When the bot dies before it has acknowledged, the person
// looks for a while whether it took effect all the same, and does it again if not.
func (o *outside) do(what string, act func() (*slacksim.Delivery, error), done func() bool) {
	o.t.Helper()
	for range 3 {
		d, err := act()
		if err != nil {
			o.t.Fatalf("%s: %v", what, err)
		}
		ctx, cancel := context.WithTimeout(o.t.Context(), 10*time.Second)
		err = d.Wait(ctx)
		cancel()
		if err == nil {
			return
		}
		o.up()
		for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(100 * time.Millisecond) {
			if done() {
				return
			}
		}
	}
	o.t.Fatalf("%s: not taken three times\n%s", what, o.state())
}

func (o *outside) command(user, text string) {
	o.t.Helper()
	o.do(text, func() (*slacksim.Delivery, error) { return o.slack.Command(user, sandboxChannel, text) },
		func() bool { return len(o.slack.Channel(sandboxChannel)) > 0 && !strings.Contains(text, "cancel") })
}

func (o *outside) click(user string, card slacksim.Message, action string) {
	o.t.Helper()
	o.do(action, func() (*slacksim.Delivery, error) { return o.slack.Click(user, card.Channel, card.TS, action) },
		func() bool { return len(o.slack.Thread(card.Channel, card.TS)) > 1 })
}

func (o *outside) card() slacksim.Message {
	o.t.Helper()
	var card slacksim.Message
	waitFor(o.t, 60*time.Second, "card", func() bool {
		o.revive()
		for _, m := range o.slack.Channel(sandboxChannel) {
			if strings.Contains(string(m.Blocks), `"approve"`) {
				card = m
				return true
			}
		}
		return false
	}, o.state)
	return card
}

// replyWith waits for a reply under the card that has text in it.
func (o *outside) replyWith(card slacksim.Message, limit time.Duration, text string) slacksim.Message {
	o.t.Helper()
	var found slacksim.Message
	waitFor(o.t, limit, fmt.Sprintf("reply with %q", text), func() bool {
		o.revive()
		for _, m := range o.slack.Thread(card.Channel, card.TS)[1:] {
			if strings.Contains(m.Text, text) {
				found = m
				return true
			}
		}
		return false
	}, o.state)
	return found
}

// revive starts the bot again when it has died at its point.
func (o *outside) revive() {
	o.t.Helper()
	select {
	case <-o.process.done:
		if !o.process.killed() {
			o.t.Fatalf("the bot ended by itself:\n%s", o.process.tail())
		}
		o.process = startChild(o.t, o.child())
	default:
	}
}

// state is for failures: the channel, and the bot's log.
func (o *outside) state() string {
	var b strings.Builder
	for _, m := range o.slack.Channel(sandboxChannel) {
		for _, r := range o.slack.Thread(sandboxChannel, m.TS) {
			fmt.Fprintf(&b, "%s: %s\n", r.TS, r.Text)
		}
	}
	for _, u := range []string{alice, bob} {
		for _, e := range o.slack.Ephemerals(u) {
			fmt.Fprintf(&b, "to %s: %s\n", u, e.Text)
		}
	}
	if o.process != nil {
		b.WriteString(o.process.tail())
	}
	return b.String()
}

// settings are the cluster's persistent and transient settings, flat, as text.
func (o *outside) settings() string {
	o.t.Helper()
	return clusterSettings(o.t, o.esURLs)
}

// clusterSettings asks the first node that answers.
func clusterSettings(t *testing.T, urls []string) string {
	t.Helper()
	var res *http.Response
	var err error
	for _, url := range urls {
		if res, err = http.Get(url + "/_cluster/settings?flat_settings=true"); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return settingsText(t, res.Body)
}

// settingsText is the answer of _cluster/settings as sorted lines.
func settingsText(t *testing.T, body io.Reader) string {
	t.Helper()
	var s map[string]map[string]string
	if err := json.NewDecoder(body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, scope := range slices.Sorted(maps.Keys(s)) {
		for _, k := range slices.Sorted(maps.Keys(s[scope])) {
			lines = append(lines, scope+" "+k+"="+s[scope][k])
		}
	}
	return strings.Join(lines, "\n")
}

// ending is how a conversation ended.
type ending struct {
	text     string // the last reply, without what differs from run to run
	settings string
	puts     int
	points   []string
	died     bool
}

var varying = regexp.MustCompile(`\d+(\.\d+)?( ?(ms|s|min|h|MB|GB|KB|B|MB/s))?|[0-9A-HJKMNP-TV-Z]{26}`)

// drain has the conversation of one drain, with the bot dying at one point (0: never),
// and checks what must hold however it went. With cancel the drain cannot end by
// itself and Alice cancels it.
func (o *outside) drain(die int, cancel bool) ending {
	o.t.Helper()
	t := o.t
	c := o.child()
	c.Die, c.Points = die, filepath.Join(t.TempDir(), "points")
	o.process = startChild(t, c)
	first := o.process
	o.up()
	o.command(alice, "/ops es drain "+o.node+" --env staging")
	card := o.card()
	o.click(bob, card, "approve")
	last := ":white_check_mark: Done"
	if cancel {
		o.replyWith(card, time.Minute, "Started")
		waitFor(t, time.Minute, "filter", func() bool { o.revive(); return strings.Contains(o.settings(), o.node) }, o.state)
		o.command(alice, "/ops cancel "+buttonID(t, card))
		last = ": Cancelled"
	}
	end := o.replyWith(card, 90*time.Second, last)
	o.saidOnce(card, end)
	puts := 0
	if o.es != nil {
		puts = len(o.es.Writes())
		o.filterHolds()
	}
	e := ending{
		text: varying.ReplaceAllString(end.Text, "#"), settings: o.settings(), puts: puts,
		points: readLines(t, c.Points), died: die > 0,
	}
	if die > 0 {
		select {
		case <-first.done:
		default:
			e.died = false // this run was over before that many points
		}
	}
	return e
}

// saidOnce checks that a run's thread has one ending and nothing twice, and that Slack took
// all of it.
func (o *outside) saidOnce(card, end slacksim.Message) {
	o.t.Helper()
	seen := make(map[string]int)
	for _, m := range o.slack.Thread(card.Channel, card.TS) {
		if len(m.Metadata) > 0 {
			seen[string(m.Metadata)]++
		}
	}
	endings := 0
	for _, m := range o.slack.Thread(card.Channel, card.TS)[1:] {
		if strings.HasPrefix(m.Text, end.Text) {
			endings++
		}
	}
	if endings != 1 {
		o.t.Errorf("%d endings, want 1", endings)
	}
	for key, n := range seen {
		if n > 1 {
			o.t.Errorf("posted %d times: %s", n, key)
		}
	}
	for _, v := range o.slack.Violations() {
		o.t.Errorf("Slack would not have taken this: %s", v)
	}
}

// filterHolds checks that somebody else's filter is in effect.
func (o *outside) filterHolds() {
	o.t.Helper()
	if got := o.es.Filter("exclude"); !slices.Contains(got["zone"], "retired") {
		o.t.Errorf("somebody else's filter is not in effect any more: %v", got)
	}
}

// up waits until the bot takes commands.
func (o *outside) up() {
	o.t.Helper()
	waitFor(o.t, 30*time.Second, "bot", func() bool {
		o.revive()
		if o.listen != "" {
			res, err := http.Get("http://" + o.listen + "/readyz")
			if err != nil {
				return false
			}
			res.Body.Close()
			return res.StatusCode == http.StatusOK
		}
		ctx, cancel := context.WithTimeout(o.t.Context(), time.Second)
		defer cancel()
		return o.slack.WaitFor(ctx, func(s *slacksim.Snapshot) bool { return s.Sockets() > 0 }) == nil
	}, o.state)
}

func buttonID(t *testing.T, card slacksim.Message) string {
	t.Helper()
	_, rest, _ := strings.Cut(string(card.Blocks), `"value":"`)
	id, _, ok := strings.Cut(rest, ":")
	if !ok {
		t.Fatalf("no id on the card: %s", card.Blocks)
	}
	return id
}

// quickCluster drains in about two seconds, stuckCluster never: each shard has a copy on
// every node.
func quickCluster() *elasticsim.Cluster {
	c := elasticsim.New(elasticsim.Options{BytesPerSecond: 20 << 20, Nodes: []elasticsim.Node{
		{Name: "n1", Zone: "a"}, {Name: "n2", Zone: "b"}, {Name: "n3", Zone: "spot"},
	}})
	c.AddIndex("logs", 3, 1, 20<<20)
	return c
}

func stuckCluster() *elasticsim.Cluster {
	c := elasticsim.New(elasticsim.Options{Nodes: []elasticsim.Node{
		{Name: "n1", Zone: "a"}, {Name: "n2", Zone: "b"}, {Name: "n3", Zone: "spot"},
	}})
	c.AddIndex("logs", 1, 2, 20<<20)
	return c
}

// TestKilledAnywhere kills the bot by SIGKILL before and after each outside write and at
// record writes over the whole length of a drain, starts it again, and wants
// the same ending, the same settings, and nothing posted or written twice.
func TestKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some sixty processes")
	}
	for _, way := range []struct {
		name    string
		cancel  bool
		cluster func() *elasticsim.Cluster
		most    int
	}{
		{"drain", false, quickCluster, 28},
		{"cancel", true, stuckCluster, 12},
	} {
		t.Run(way.name, func(t *testing.T) {
			clean := newOutside(t, false, way.cluster())
			before := clean.settings()
			want := clean.drain(0, way.cancel)
			clean.process.kill()
			if way.cancel && want.settings != before {
				t.Fatalf("cancelled, and the settings differ:\n%s\nbefore:\n%s", want.settings, before)
			}
			chosen := choosePoints(want.points, way.most)
			results := make(chan string, len(chosen))
			t.Run("points", func(t *testing.T) {
				for i, n := range chosen {
					t.Run(fmt.Sprint(n), func(t *testing.T) {
						t.Parallel()
						o := newOutside(t, i%2 == 0, way.cluster())
						got := o.drain(n, way.cancel)
						if !got.died {
							t.Logf("this run had fewer than %d points", n)
							return
						}
						if got.text != want.text {
							t.Errorf("another ending:\n%s\nwant\n%s", got.text, want.text)
						}
						if got.settings != want.settings {
							t.Errorf("other settings:\n%s\nwant\n%s", got.settings, want.settings)
						}
						if got.puts > want.puts {
							t.Errorf("%d writes to the cluster, %d without a crash", got.puts, want.puts)
						}
						name := got.points[len(got.points)-1]
						results <- name[strings.Index(name, " ")+1:]
					})
				}
			})
			close(results)
			count := make(map[string]int)
			n := 0
			for name := range results {
				count[name]++
				n++
			}
			t.Logf("figure: kill -9 at %d of %d points of a %s, same ending and settings each time: %v", n, len(want.points), way.name, count)
			if n < len(chosen)*3/4 {
				t.Errorf("only %d of %d runs reached their point", n, len(chosen))
			}
		})
	}
}

// choosePoints takes all points at outside writes, and of the others as many as fit into
// most, evenly over the run.
func choosePoints(lines []string, most int) []int {
	var out, record []int
	for i, line := range lines {
		if strings.HasSuffix(line, "record") {
			record = append(record, i+1)
		} else {
			out = append(out, i+1)
		}
	}
	room := max(0, most-len(out))
	for i := range min(room, len(record)) {
		out = append(out, record[i*len(record)/min(room, len(record))])
	}
	slices.Sort(out)
	return out
}
