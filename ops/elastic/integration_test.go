//go:build integration

package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twokey/ops"
	"twokey/ops/opstest"
)

// These tests change a real cluster named by TWOKEY_TEST_ES (its nodes' URLs, separated
// by commas): three nodes n1, n2, n3 in the zones a, b and spot, nothing of worth in it.

// lab is the real cluster: the code under test sees it through Cluster, the tests write
// to it by hand.
type lab struct {
	Cluster
	t    *testing.T
	urls []string
}

func realCluster(t *testing.T) lab {
	urls := os.Getenv("TWOKEY_TEST_ES")
	if urls == "" {
		t.Fatal("TWOKEY_TEST_ES names no cluster")
	}
	client, err := Connect(Settings{URLs: strings.Split(urls, ",")})
	if err != nil {
		t.Fatal(err)
	}
	l := lab{Cluster{"staging", client}, t, strings.Split(urls, ",")}
	l.reset()
	t.Cleanup(l.reset)
	return l
}

// reset deletes all indices, cluster settings and voting exclusions.
func (l lab) reset() {
	l.do("PUT", "/_cluster/settings", `{"persistent":{"*":null},"transient":{"*":null}}`)
	var rows []struct{ Index string }
	if err := json.Unmarshal(l.do("GET", "/_cat/indices/it-*?format=json&h=index", ""), &rows); err != nil {
		l.t.Fatal(err)
	}
	for _, r := range rows {
		l.do("DELETE", "/"+r.Index, "")
	}
	l.do("DELETE", "/_cluster/voting_config_exclusions?wait_for_removal=false", "")
	l.do("GET", "/_cluster/health?wait_for_status=green&wait_for_no_relocating_shards=true&wait_for_nodes=3&timeout=60s", "")
}

func (l lab) do(method, path, body string) []byte {
	l.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, l.urls[0]+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode > 299 {
		l.t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, b, err)
	}
	return b
}

// set writes cluster settings by hand, as an operator with curl would.
func (l lab) set(scope, key, value string) {
	l.t.Helper()
	v := "null"
	if value != "" {
		v = fmt.Sprintf("%q", value)
	}
	l.do("PUT", "/_cluster/settings", fmt.Sprintf(`{%q:{%q:%s}}`, scope, key, v))
}

// settings are all cluster settings, as text.
func (l lab) settings() string {
	return string(l.do("GET", "/_cluster/settings?flat_settings=true", ""))
}

// index makes an index and fills it with about mb megabytes.
func (l lab) index(name string, shards, replicas, mb int, settings string) {
	l.t.Helper()
	l.do("PUT", "/"+name+"?wait_for_active_shards=all", fmt.Sprintf(
		`{"settings":{"number_of_shards":%d,"number_of_replicas":%d%s},"mappings":{"properties":{"x":{"type":"keyword","index":false,"doc_values":false}}}}`,
		shards, replicas, settings))
	for part := range mb {
		var b bytes.Buffer
		for i := range 128 {
			fmt.Fprintf(&b, "{\"index\":{}}\n{\"x\":\"%s\"}\n", noise(part*128+i))
		}
		l.do("POST", "/"+name+"/_bulk", b.String())
	}
	l.do("POST", "/"+name+"/_flush", "")
	l.do("GET", "/_cluster/health/"+name+"?wait_for_status=green&wait_for_no_relocating_shards=true&timeout=60s", "")
}

// noise is 8 KB of text that does not compress well, different for each n.
func noise(n int) string {
	x, b := uint64(n)*0x9e3779b97f4a7c15+1, make([]byte, 8192)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[x&63]
	}
	return string(b)
}

// shardsOn lists the shards on a node by its name, from the cat API.
func (l lab) shardsOn(node string) []string {
	var rows []struct{ Index, Shard, Node string }
	if err := json.Unmarshal(l.do("GET", "/_cat/shards?format=json&h=index,shard,node", ""), &rows); err != nil {
		l.t.Fatal(err)
	}
	var on []string
	for _, r := range rows {
		if r.Node == node || strings.HasPrefix(r.Node, node+" ->") {
			on = append(on, r.Index+"/"+r.Shard)
		}
	}
	return on
}

// zoneWatch samples each second whether the zone filter is in effect and whether the
// spot node took a shard.
type zoneWatch struct {
	stop func()
	mu   sync.Mutex
	n    int
	bad  []string
}

func (l lab) watchZone(index string) *zoneWatch {
	w := &zoneWatch{}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.sample(ctx, l, index)
			}
		}
	})
	w.stop = func() { cancel(); done.Wait() }
	return w
}

func (w *zoneWatch) sample(ctx context.Context, l lab, index string) {
	for shard := range 4 {
		e, err := l.explain(ctx, index, shard, true, "")
		if err != nil || !e.decided() {
			continue
		}
		zone := e.effect().Spelled[exclude]["zone"]
		w.mu.Lock()
		defer w.mu.Unlock()
		w.n++
		if !slices.Contains(zone, "spot") {
			w.bad = append(w.bad, fmt.Sprintf("sample %d: filters in effect %v", w.n, e.effect().Spelled))
		}
		return
	}
}

// drive carries a run to its end, one Advance each pause, at most limit. each is called
// after every poll.
func (l lab) drive(op ops.Operation, b *opstest.Bench, limit time.Duration, each func(step int, p ops.Progress)) {
	l.t.Helper()
	plan, end := b.Run().Plan, time.Now().Add(limit)
	for i, ref := range plan.Steps {
		step, err := op.Step(ref)
		if err != nil {
			l.t.Fatal(err)
		}
		for {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			p, err := b.Advance(ctx, i, step)
			cancel()
			if err != nil {
				l.t.Logf("step %s: %v", ref.Name, err)
			}
			if each != nil {
				each(i, p)
			}
			if p.Phase == ops.Done {
				break
			}
			if p.Phase == ops.Failed || p.Phase == ops.Blocked || time.Now().After(end) {
				l.t.Fatalf("step %s: phase %v after %s: %s %+v\nsaid %q", ref.Name, p.Phase, limit, p.Reason, p.Status, b.Said())
			}
			time.Sleep(300 * time.Millisecond) // a real cluster's clock cannot be turned
		}
	}
}

// undo undoes the steps from the last begun, as a cancel does.
func (l lab) undo(op ops.Operation, b *opstest.Bench, from int) {
	l.t.Helper()
	for i := from; i >= 0; i-- {
		step, err := op.Step(b.Run().Plan.Steps[i])
		if err != nil {
			l.t.Fatal(err)
		}
		for range 50 {
			p, err := b.Undo(context.Background(), i, step)
			if err != nil {
				l.t.Logf("undo: %v", err)
			}
			if err == nil && (p.Phase == ops.Done || p.Phase == ops.NotStarted) {
				break
			}
			time.Sleep(200 * time.Millisecond) // as above
		}
	}
	for _, c := range b.Journal() {
		if c.State != ops.Restored {
			l.t.Errorf("after undo %s is %s: %s", c.Key, c.State, c.Reason)
		}
	}
}

func (l lab) plan(op ops.Operation, flags map[string]string, nodes ...string) *opstest.Bench {
	l.t.Helper()
	p, err := op.Plan(context.Background(), ops.Call{Kind: op.Kind(), Environment: "staging", Args: nodes, Flags: flags})
	if err != nil {
		l.t.Fatal(err)
	}
	again, err := op.Plan(context.Background(), p.Call)
	if err != nil || again.Digest() != p.Digest() {
		l.t.Fatalf("planned again: digest differs, %v", err)
	}
	return opstest.NewBench(p)
}

func (l lab) drainer() drain {
	return drain{map[string]Cluster{"staging": l.Cluster}, 4 * time.Second}
}

func (l lab) undrainer() undrain { return undrain{map[string]Cluster{"staging": l.Cluster}} }

func TestRealDrainKeepsTheZoneFilter(t *testing.T) {
	l := realCluster(t)
	l.set("persistent", "cluster.routing.allocation.exclude.zone", "spot")
	l.index("it-logs", 4, 0, 24, "")
	l.set("persistent", "indices.recovery.max_bytes_per_sec", "1mb")
	before := l.settings()
	if on := l.shardsOn("n3"); len(on) > 0 {
		t.Fatalf("spot holds %v before the drain", on)
	}
	watch := l.watchZone("it-logs")
	start := time.Now()
	b := l.plan(l.drainer(), nil, "n2")
	p := b.Run().Plan
	t.Logf("plan: %s; %s; %v; warnings %q", p.Title, p.Effect, p.Shown, p.Warnings)
	var spot int
	l.drive(l.drainer(), b, 90*time.Second, func(step int, p ops.Progress) {
		spot = max(spot, len(l.shardsOn("n3")))
		if step == 1 {
			t.Logf("%s %q eta %s-%s", p.Status.Headline, p.Status.Lines, p.Status.ETALow, p.Status.ETAHigh)
		}
	})
	if on := l.shardsOn("n2"); len(on) > 0 {
		t.Errorf("n2 still holds %v", on)
	}
	t.Logf("drained in %s; said %q", time.Since(start).Round(time.Millisecond), b.Said())
	for _, c := range b.Journal() {
		t.Logf("journal: %s %s", c.Key, c.State)
		if c.State != ops.Kept && c.State != ops.Restored {
			t.Errorf("%s is %s", c.Key, c.State)
		}
	}
	during := l.settings()
	if !strings.Contains(during, `exclude.zone":"spot"`) {
		t.Errorf("zone's text altered: %s", during)
	}
	u := l.plan(l.undrainer(), nil, "n2")
	l.drive(l.undrainer(), u, 30*time.Second, nil)
	if after := l.settings(); after != before {
		t.Errorf("settings\nbefore %s\nafter  %s", before, after)
	}
	watch.stop()
	t.Logf("settings during: %s", during)
	t.Logf("zone filter: %d samples, %d without it; most shards seen on spot: %d", watch.n, len(watch.bad), spot)
	if watch.n == 0 || len(watch.bad) > 0 || spot > 0 {
		t.Errorf("zone filter was not in effect all the time: %v, spot took %d shards", watch.bad, spot)
	}
}

func TestRealCancelRestoresTextForText(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  [][3]string
	}{
		{"nothing set", nil},
		{"zone", [][3]string{{"persistent", "zone", "spot"}}},
		{"zone and other names", [][3]string{{"persistent", "zone", "spot"}, {"persistent", "_name", " gone ,away"}}},
		{"transient zone", [][3]string{{"transient", "zone", "spot"}, {"persistent", "rack", "r9, r8"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := realCluster(t)
			body := map[string]map[string]string{"persistent": {}, "transient": {}}
			for _, s := range tt.set {
				body[s[0]][allocationPrefix+exclude+"."+s[1]] = s[2]
			}
			if raw, _ := json.Marshal(body); tt.set != nil {
				l.do("PUT", "/_cluster/settings", string(raw))
			}
			l.index("it-a", 2, 0, 0, "")
			before := l.settings()
			op := l.drainer()
			plan := l.plan(op, nil, "n2").Run().Plan
			points := 0
			for at := 1; ; at++ {
				for _, lost := range []bool{true, false} {
					b := opstest.NewBench(plan)
					step, err := op.Step(plan.Steps[0])
					if err != nil {
						t.Fatal(err)
					}
					b.Crash(at, lost)
					for range 5 { // the crash, or done
						p, err := b.Advance(context.Background(), 0, step)
						if err != nil || p.Phase == ops.Done {
							break
						}
					}
					crashed := b.Crashed()
					b.Restart()
					if at%2 == 0 { // else cancelled straight away
						l.drive(op, b, time.Minute, nil)
						if got := l.settings(); strings.Contains(got, "spot,spot") {
							t.Errorf("crash at %d: zone left altered: %s", at, got)
						}
					}
					l.undo(op, b, 0)
					if after := l.settings(); after != before {
						t.Fatalf("crash at write %d (lost %v):\nbefore %s\nafter  %s", at, lost, before, after)
					}
					if !crashed {
						t.Logf("%d crash points, settings text for text as before: %s", points, before)
						return
					}
					points++
				}
			}
		})
	}
}

func TestRealDrainWithReplicas(t *testing.T) {
	l := realCluster(t)
	l.index("it-logs", 6, 1, 12, "")
	before := l.settings()
	b := l.plan(l.drainer(), map[string]string{"release": "true"}, "n3")
	start := time.Now()
	l.drive(l.drainer(), b, time.Minute, func(step int, p ops.Progress) {
		if step == 1 && p.Phase == ops.Done {
			if on := l.shardsOn("n3"); len(on) > 0 {
				t.Errorf("said done with %v on n3", on)
			}
		}
	})
	t.Logf("drained and released in %s; said %q", time.Since(start).Round(time.Millisecond), b.Said())
	if after := l.settings(); after != before {
		t.Errorf("settings\nbefore %s\nafter  %s", before, after)
	}
	if !slices.ContainsFunc(b.Said(), func(s string) bool { return strings.HasPrefix(s, "n3 holds no shard.") }) {
		t.Errorf("the thread was not told that n3 holds no shard: %q", b.Said())
	}
}

func TestRealStuckShardIsExplained(t *testing.T) {
	l := realCluster(t)
	l.index("it-triple", 1, 2, 1, "")
	b := l.plan(l.drainer(), nil, "n3")
	t.Logf("warnings on the card: %q", b.Run().Plan.Warnings)
	if w := b.Run().Plan.Warnings; len(w) == 0 || !strings.Contains(w[0], "number_of_replicas of it-triple to 1") {
		t.Errorf("the card does not warn of it-triple: %q", w)
	}
	explained := false
	l.drive(l.drainer(), b, time.Minute, func(step int, p ops.Progress) {
		if explained || step != 1 {
			return
		}
		for _, s := range b.Said() {
			if strings.Contains(s, "already holds a copy") {
				t.Logf("said: %s", s)
				explained = true
				l.do("PUT", "/it-triple/_settings", `{"index.number_of_replicas":1}`) // the advice
			}
		}
	})
	if !explained {
		t.Error("nobody was told why it-triple cannot leave")
	}
	l.undo(l.drainer(), b, 1)
}

func TestRealWritesOfOthersInTheMiddle(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write func(l lab)
		say   string
		want  string // the settings after an undrain
	}{
		{"another key", func(l lab) { l.set("persistent", "cluster.routing.allocation.exclude.rack", "r9") },
			"switched off exclude._name and exclude.zone", `exclude.rack":"r9","cluster.routing.allocation.exclude.zone":"spot"`},
		{"our key overwritten", func(l lab) { l.set("persistent", "cluster.routing.allocation.exclude._name", "n7") },
			"took n2 out of the exclusion", `exclude._name":"n7","cluster.routing.allocation.exclude.zone":"spot"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := realCluster(t)
			l.set("persistent", "cluster.routing.allocation.exclude.zone", "spot")
			l.index("it-logs", 4, 0, 16, "")
			l.set("persistent", "indices.recovery.max_bytes_per_sec", "2mb")
			b := l.plan(l.drainer(), nil, "n2")
			written := false
			l.drive(l.drainer(), b, 90*time.Second, func(step int, p ops.Progress) {
				if step == 1 && !written {
					tt.write(l)
					written = true
				}
			})
			t.Logf("said %q", b.Said())
			if !slices.ContainsFunc(b.Said(), func(s string) bool { return strings.Contains(s, tt.say) }) {
				t.Errorf("the thread was not told")
			}
			if on := l.shardsOn("n2"); len(on) > 0 {
				t.Errorf("n2 holds %v", on)
			}
			u := l.plan(l.undrainer(), nil, "n2")
			l.drive(l.undrainer(), u, 30*time.Second, nil)
			if got := l.settings(); !strings.Contains(got, tt.want) || strings.Contains(got, "n2") {
				t.Errorf("settings after: %s", got)
			}
		})
	}
}

func TestRealDecommission(t *testing.T) {
	l := realCluster(t)
	l.index("it-logs", 2, 1, 1, "")
	b := l.plan(l.drainer(), map[string]string{"decommission": "true"}, "n3")
	t.Logf("shown %v, warnings %q, keeps %q", b.Run().Plan.Shown, b.Run().Plan.Warnings, b.Run().Plan.Keeps)
	l.drive(l.drainer(), b, time.Minute, nil)
	t.Logf("said %q", b.Said())
	v, _, err := l.coordination(context.Background())
	if err != nil || len(v.Excluded) != 1 || v.Excluded[0].Name != "n3" {
		t.Errorf("voting exclusions %v, %v", v.Excluded, err)
	}
	l.undo(l.drainer(), b, 2)
	if v, _, err = l.coordination(context.Background()); err != nil || len(v.Excluded) != 0 {
		t.Errorf("after undo: voting exclusions %v, %v", v.Excluded, err)
	}
}

// counter counts the bytes of answers by path.
type counter struct {
	mu    sync.Mutex
	bytes map[string]int
}

func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(b))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes[req.URL.Path] += len(b)
	return res, err
}

func (c *counter) take() (int, map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum, by := 0, c.bytes
	for _, n := range by {
		sum += n
	}
	c.bytes = map[string]int{}
	return sum, by
}

func TestRealPollCostsByTheNode(t *testing.T) {
	l := realCluster(t)
	count := &counter{bytes: map[string]int{}}
	client, err := Connect(Settings{URLs: l.urls, Transport: count})
	if err != nil {
		t.Fatal(err)
	}
	c := Cluster{"staging", client}
	op := drain{map[string]Cluster{"staging": c}, time.Hour}
	cost := func() int {
		l.index("it-here", 2, 0, 0, `,"index.routing.allocation.require._name":"n3"`)
		defer l.do("DELETE", "/it-here", "")
		b := l.plan(op, nil, "n3")
		defer l.undo(op, b, 1)
		step, _ := op.Step(b.Run().Plan.Steps[0])
		if p, err := b.Advance(context.Background(), 0, step); err != nil || p.Phase != ops.Done {
			t.Fatalf("%v %v", p, err)
		}
		step, _ = op.Step(b.Run().Plan.Steps[1])
		if _, err := b.Advance(context.Background(), 1, step); err != nil {
			t.Fatal(err)
		}
		count.take()
		if _, err := b.Poll(context.Background(), 1, step); err != nil {
			t.Fatal(err)
		}
		sum, by := count.take()
		for _, path := range slices.Sorted(maps.Keys(by)) {
			t.Logf("  %6d B %s", by[path], path)
		}
		return sum
	}
	small := cost()
	l.index("it-far", 120, 0, 0, `,"index.routing.allocation.exclude._name":"n3"`)
	large := cost()
	t.Logf("bytes of one poll: %d with 2 shards in the cluster, %d with 122", small, large)
	if large > small+200 {
		t.Errorf("a poll costs %d B more for 120 shards on other nodes", large-small)
	}
}
