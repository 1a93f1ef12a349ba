//go:build integration

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"twokey/bot/slacksim"
	"twokey/test/servers"
)

// newReal is a world with a real Elasticsearch and a Redis of its own; Slack is the
// strict one of the project. The cluster holds an index whose shards take some
// seconds to move, and somebody else's filter.
func newReal(t *testing.T, useHTTP bool) (*outside, *servers.Redis) {
	t.Helper()
	urls := os.Getenv("TWOKEY_TEST_ES")
	if urls == "" {
		t.Skip("TWOKEY_TEST_ES names no cluster: run by make integration")
	}
	r, err := servers.StartRedis(filepath.Join(t.TempDir(), "redis"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Kill(); err != nil {
			t.Error(err)
		}
	})
	o := &outside{t: t, esURLs: strings.Split(urls, ","), node: "n3", redis: r.URL(0)}
	o.serveSlack()
	if useHTTP {
		o.useHTTP()
	}
	o.resetCluster()
	t.Cleanup(o.resetCluster)
	o.request(http.MethodPut, "/_cluster/settings", `{"persistent":{
		"cluster.routing.allocation.exclude.zone":"retired",
		"cluster.routing.allocation.node_concurrent_recoveries":"1"}}`)
	o.request(http.MethodPut, "/drained", `{"settings":{"number_of_shards":6,"number_of_replicas":1}}`)
	var docs bytes.Buffer
	for i := range 3000 {
		fmt.Fprintf(&docs, "{\"index\":{}}\n{\"n\":%d,\"text\":%q}\n", i, strings.Repeat(fmt.Sprint(i), 60))
	}
	o.request(http.MethodPost, "/drained/_bulk?refresh=true", docs.String())
	o.request(http.MethodGet, "/_cluster/health/drained?wait_for_status=green&timeout=60s", "")
	return o, r
}

// resetCluster removes what a test leaves: the index and all persistent settings.
func (o *outside) resetCluster() {
	o.request(http.MethodDelete, "/drained?ignore_unavailable=true", "")
	o.request(http.MethodPut, "/_cluster/settings", `{"persistent":{"cluster.*":null,"indices.*":null}}`)
	o.request(http.MethodGet, "/_cluster/health?wait_for_no_relocating_shards=true&timeout=60s", "")
}

// shardsOn is what the cluster says.
func (o *outside) shardsOn(node string) int {
	o.t.Helper()
	var rows []struct{ Node string }
	if err := json.Unmarshal([]byte(o.request(http.MethodGet, "/_cat/shards?format=json&h=node", "")), &rows); err != nil {
		o.t.Fatal(err)
	}
	n := 0
	for _, r := range rows {
		if r.Node == node || strings.HasPrefix(r.Node, node+" ") {
			n++
		}
	}
	return n
}

// TestRealDrain is the conversation of the main job on real servers, over both
// transports, and then the way back.
func TestRealDrain(t *testing.T) {
	for _, transport := range []string{"socket", "http"} {
		t.Run(transport, func(t *testing.T) {
			o, _ := newReal(t, transport == "http")
			had := o.shardsOn("n3")
			begin := time.Now()
			got := o.drain(0, false)
			took := time.Since(begin)
			if n := o.shardsOn("n3"); n != 0 || had == 0 {
				t.Errorf("n3 had %d shards and holds %d", had, n)
			}
			for _, line := range []string{"exclude._name=n3,n3", "exclude.zone=retired"} {
				if !strings.Contains(got.settings, line) {
					t.Errorf("no %s in\n%s", line, got.settings)
				}
			}
			t.Logf("figure: %d shards drained from n3 on a real cluster over %s in %.0f s, from command to ending", had, transport, took.Seconds())
		})
	}
}

// TestRealKilled kills the bot before and after each write to a real cluster, and at some
// record writes.
func TestRealKilled(t *testing.T) {
	clean, _ := newReal(t, false)
	want := clean.drain(0, false)
	clean.process.kill()
	var chosen []int
	for i, line := range want.points {
		if strings.Contains(line, "cluster") {
			chosen = append(chosen, i+1)
		}
	}
	for i := 1; i <= 6; i++ {
		chosen = append(chosen, i*len(want.points)/7)
	}
	slices.Sort(chosen)
	died := 0
	for _, n := range slices.Compact(chosen) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			o, _ := newReal(t, n%2 == 0)
			got := o.drain(n, false)
			if !got.died {
				return
			}
			died++
			if got.text != want.text || got.settings != want.settings {
				t.Errorf("ending:\n%s\nwant\n%s\nsettings:\n%s\nwant\n%s", got.text, want.text, got.settings, want.settings)
			}
		})
	}
	t.Logf("figure: kill -9 at %d points of a drain of a real cluster, same ending and settings each time", died)
	if died < 6 {
		t.Errorf("only %d runs reached their point", died)
	}
}

// begin asks and agrees, and returns the card once the cluster's filter is written.
func (o *outside) begin(text string) slacksim.Message {
	o.t.Helper()
	o.process = startChild(o.t, o.child())
	o.up()
	o.command(alice, text)
	m := o.card()
	o.click(bob, m, "approve")
	waitFor(o.t, 30*time.Second, "filter", func() bool { return strings.Contains(o.settings(), "exclude._name") }, o.state)
	return m
}

// ended waits for the ending of the card's run.
func (o *outside) ended(card slacksim.Message, limit time.Duration) {
	o.t.Helper()
	o.replyWith(card, limit, ":white_check_mark: Done")
	for _, v := range o.slack.Violations() {
		o.t.Errorf("Slack would not have taken this: %s", v)
	}
}

// TestRealRedisAway kills Redis in the middle of a drain and starts it 30 s later.
func TestRealRedisAway(t *testing.T) {
	o, r := newReal(t, false)
	card := o.begin("/ops es drain n3")
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Second) // the outage itself
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	o.ended(card, 2*time.Minute)
	if n := o.shardsOn("n3"); n != 0 {
		t.Errorf("n3 holds %d shards", n)
	}
	t.Logf("figure: Redis away for 30 s in a drain: ended %.0f s after it was back", time.Since(back).Seconds())
}

// TestRealMasterKilled kills the elected master in the middle of a drain of another
// node, and starts it again 15 s later.
func TestRealMasterKilled(t *testing.T) {
	o, _ := newReal(t, false)
	cluster, err := servers.OpenElasticsearch(os.Getenv("TWOKEY_TEST_ES_DIR"))
	if err != nil {
		t.Fatal(err)
	}
	master := strings.TrimSpace(o.request(http.MethodGet, "/_cat/master?h=node", ""))
	number := int(master[1] - '1')
	if o.node == master {
		o.node = "n1"
	}
	card := o.begin("/ops es drain " + o.node)
	if err := cluster.Kill(number); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the next test needs all nodes
		if err := cluster.Start(number); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(15 * time.Second) // the node is away
	if err := cluster.Start(number); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	o.ended(card, 4*time.Minute)
	if n := o.shardsOn(o.node); n != 0 {
		t.Errorf("%s holds %d shards", o.node, n)
	}
	if s := o.settings(); !strings.Contains(s, "exclude.zone=retired") {
		t.Errorf("settings:\n%s", s)
	}
	t.Logf("figure: master %s killed in a drain of %s and back after 15 s: ended %.0f s later", master, o.node, time.Since(back).Seconds())
	t.Logf("the thread:\n%s", o.thread(card))
}

// thread is a card's thread as a watcher reads it.
func (o *outside) thread(card slacksim.Message) string {
	var b strings.Builder
	for _, m := range o.slack.Thread(card.Channel, card.TS) {
		fmt.Fprintf(&b, "%s\n", m.Text)
	}
	return b.String()
}
