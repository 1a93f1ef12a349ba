//go:build integration

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"twokey/bot/slacksim"
	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opsredis"
	"twokey/test/servers"
)

// soak is several bots over several clusters, and somebody who breaks things.
type soak struct {
	t     *testing.T
	names []string // environments; each has a channel of its own
	fleet *fleet
	slack *slacksim.Workspace
	redis *servers.Redis
	rdb   *redis.Client
	store *opsredis.Store
	bot   fleetBot

	mu       sync.Mutex
	bots     []*process
	counts   map[string]int // what was done and broken, for the figures
	filterNo atomic.Int64   // looks that did not find somebody else's filter in effect
	looks    atomic.Int64
}

// TestSoak lets people drain, undrain and cancel on several clusters for the time in
// TWOKEY_SOAK, while bots are killed, stopped and continued, Redis is restarted and
// Slack fails, all by a seed (TWOKEY_SOAK_SEED repeats one). In the end every history
// has one ending, every message is there once, and the clusters' settings are what the
// endings say.
func TestSoak(t *testing.T) {
	text := os.Getenv("TWOKEY_SOAK")
	if text == "" {
		t.Skip("TWOKEY_SOAK says for how long: make soak")
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("TWOKEY_SOAK_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("TWOKEY_SOAK_SEED=%d", seed)
	logging.Disable() // Redis is away again and again
	s := newSoak(t, 4, 3)
	until := time.Now().Add(length)
	var people, trouble sync.WaitGroup
	watched, unwatch := context.WithCancel(t.Context())
	trouble.Go(func() { s.watchFilter(watched) })
	calm := make(chan struct{})
	trouble.Go(func() { s.breakThings(rand.New(rand.NewPCG(seed, 0)), calm) })
	for i, name := range s.names {
		people.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i+1)))
			for time.Now().Before(until) && !t.Failed() {
				s.story(r, name)
			}
		})
	}
	people.Wait()
	close(calm)
	s.repair()
	s.settled()
	unwatch()
	trouble.Wait()
	s.check()
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Logf("figure: soak of %s, seed %d: %v; somebody else's filter in effect at %d of %d looks", length, seed, s.counts, s.looks.Load()-s.filterNo.Load(), s.looks.Load())
}

func newSoak(t *testing.T, clusters, bots int) *soak {
	t.Helper()
	s := &soak{t: t, counts: make(map[string]int)}
	for i := range clusters {
		s.names = append(s.names, fmt.Sprintf("c%d", i))
	}
	s.fleet = newFleet(t, s.names, func(seed uint64) *elasticsim.Cluster {
		c := elasticsim.New(elasticsim.Options{Seed: seed, BytesPerSecond: 20 << 20, Nodes: []elasticsim.Node{
			{Name: "n1", Zone: "a"}, {Name: "n2", Zone: "b"}, {Name: "n3", Zone: "spot"},
		}})
		c.AddIndex("logs", 3, 1, 20<<20)
		if err := c.PutSettings(foreignFilter); err != nil {
			t.Fatal(err)
		}
		return c
	})
	ln := listenLoopback(t)
	s.slack = sandboxWorkspace("http://" + ln.Addr().String())
	for _, name := range s.names {
		s.slack.AddChannel(slacksim.Channel{ID: s.channel(name), Name: name})
	}
	go func() { _ = s.slack.Serve(ln) }() // ends with Close
	t.Cleanup(func() {
		if err := s.slack.Close(); err != nil {
			t.Error(err)
		}
	})
	var err error
	if s.redis, err = servers.StartRedis(filepath.Join(t.TempDir(), "redis")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.redis.Kill() })
	o, err := redis.ParseURL(s.redis.URL(0))
	if err != nil {
		t.Fatal(err)
	}
	s.rdb = redis.NewClient(o)
	t.Cleanup(func() { _ = s.rdb.Close() })
	s.store = opsredis.New(s.rdb)
	s.bot = fleetBot{Redis: s.redis.URL(0), Slack: s.slack.URL(), ES: s.fleet.urls(), Lease: crashLease, Debug: true}
	for range bots {
		s.bots = append(s.bots, startFleetBot(t, s.bot))
	}
	waitFor(t, time.Minute, "bots", func() bool { return s.sockets() >= bots })
	return s
}

func (s *soak) channel(environment string) string { return "C0" + strings.ToUpper(environment) }

func (s *soak) sockets() int {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	n := 0
	_ = s.slack.WaitFor(ctx, func(w *slacksim.Snapshot) bool { n = w.Sockets(); return true }) // answers at once
	return n
}

func (s *soak) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what]++
}

// story is one drain in an environment, cancelled by the way or carried through, and the
// undrain after it.
func (s *soak) story(r *rand.Rand, environment string) {
	node := fmt.Sprintf("n%d", 1+r.IntN(3))
	cancel := time.Duration(-1)
	if r.IntN(3) == 0 {
		cancel = time.Duration(r.IntN(4000)) * time.Millisecond
	}
	run, ok := s.work(environment, "es drain "+node, cancel)
	for ok && run.State == ops.Succeeded && !s.t.Failed() {
		back, ok := s.work(environment, "es undrain "+node, -1)
		if !ok || back.State == ops.Succeeded {
			return
		}
		s.count("undrain again")
	}
}

// work asks for something, agrees to it, cancels it after a while unless that is
// negative, and waits until it ended. False: nothing came of it.
func (s *soak) work(environment, text string, cancel time.Duration) (ops.Run, bool) {
	id, ok := s.ask(environment, text)
	if !ok {
		return ops.Run{}, false
	}
	begun := time.Now()
	stop := cancel >= 0
	for time.Since(begun) < 4*time.Minute && !s.t.Failed() {
		time.Sleep(200 * time.Millisecond) // between two looks, in real time
		run, err := s.get(id)
		if err != nil {
			continue // Redis is away
		}
		if run.State.Ended() {
			s.count(strings.Join(strings.Fields(text)[:2], " ") + " " + string(run.State))
			return run, true
		}
		if stop && time.Since(begun) > cancel {
			stop = s.command(environment, "cancel "+id) != nil
		}
	}
	s.t.Errorf("%s in %s: run %s has not ended within 4 minutes:\n%s", text, environment, id, s.state(environment))
	return ops.Run{}, false
}

// ask types a command until its card is there, and lets Bob agree until the run is made.
// It returns the run's id.
func (s *soak) ask(environment, text string) (string, bool) {
	begin := time.Now()
	words := strings.Fields(text)
	title := map[string]string{"drain": "Drain ", "undrain": "Undrain "}[words[1]] + words[2]
	var card slacksim.Message
	var typed, clicked time.Time
	for card.TS == "" && time.Since(begin) < 4*time.Minute && !s.t.Failed() {
		time.Sleep(100 * time.Millisecond) // between two looks, in real time
		if typed.IsZero() || time.Since(typed) > 45*time.Second {
			if err := s.command(environment, text+" --env "+environment); err == nil {
				typed = time.Now()
			}
		}
		for _, m := range s.slack.Channel(s.channel(environment)) {
			// A command typed twice may have a second card, later: of that title or of another.
			if m.Posted.After(begin) && strings.Contains(string(m.Blocks), `"approve"`) && strings.Contains(string(m.Blocks), title) {
				card = m
			}
		}
	}
	if card.TS == "" {
		s.t.Errorf("%s in %s: no card within 4 minutes:\n%s", text, environment, s.state(environment))
		return "", false
	}
	id := buttonID(s.t, card)
	for time.Since(begin) < 8*time.Minute && !s.t.Failed() {
		time.Sleep(100 * time.Millisecond) // as above
		if clicked.IsZero() || time.Since(clicked) > 20*time.Second {
			if d, err := s.slack.Click(bob, card.Channel, card.TS, "approve"); err == nil {
				_ = s.wait(d) // the run shows whether it was taken
			}
			clicked = time.Now()
		}
		if _, err := s.get(id); err == nil {
			return id, true
		}
	}
	s.t.Errorf("%s in %s: request %s was approved and has no run:\n%s", text, environment, id, s.state(environment))
	return "", false
}

// command types as Alice and returns nil if a bot took it.
func (s *soak) command(environment, text string) error {
	d, err := s.slack.Command(alice, s.channel(environment), "/ops "+text)
	if err != nil {
		return err
	}
	err = s.wait(d)
	if err != nil {
		s.count("commands nobody took")
	}
	return err
}

func (s *soak) wait(d *slacksim.Delivery) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	return d.Wait(ctx)
}

func (s *soak) get(id string) (ops.Run, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
	defer cancel()
	return s.store.Get(ctx, id)
}

// breakThings breaks one thing after the other until calm is closed.
func (s *soak) breakThings(r *rand.Rand, calm <-chan struct{}) {
	for {
		select {
		case <-calm:
			return
		case <-time.After(time.Duration(1000+r.IntN(4000)) * time.Millisecond):
		}
		switch n := r.IntN(20); {
		case n < 6:
			s.restart(r, syscall.SIGKILL)
		case n < 8:
			s.restart(r, syscall.SIGTERM)
		case n < 12:
			s.halt(r)
		case n < 14:
			s.restartRedis(r)
		default:
			s.breakSlack(r)
		}
	}
}

func pause(r *rand.Rand, least, most time.Duration) {
	time.Sleep(least + time.Duration(r.Int64N(int64(most-least))))
}

// restart ends a bot by a signal and starts another in its place.
func (s *soak) restart(r *rand.Rand, signal syscall.Signal) {
	i := r.IntN(len(s.bots))
	s.count(signal.String())
	s.bots[i].signal(signal)
	select {
	case <-s.bots[i].done:
	case <-time.After(25 * time.Second):
		s.t.Errorf("a bot did not end within 25 s of %s:\n%s", signal, s.bots[i].tail())
		s.bots[i].kill()
	}
	pause(r, 0, 3*time.Second)
	s.bots[i] = startFleetBot(s.t, s.bot)
}

// halt stops a bot, mostly past its lease, and continues it.
func (s *soak) halt(r *rand.Rand) {
	b := s.bots[r.IntN(len(s.bots))]
	s.count("stopped and continued")
	b.signal(syscall.SIGSTOP)
	pause(r, time.Second, 9*time.Second)
	b.signal(syscall.SIGCONT)
}

func (s *soak) restartRedis(r *rand.Rand) {
	s.count("redis restarts")
	end := s.redis.Kill
	if r.IntN(2) == 0 {
		end = s.redis.Stop
	}
	if err := end(); err != nil {
		s.t.Error(err)
	}
	pause(r, 0, 4*time.Second)
	if err := s.redis.Start(); err != nil {
		s.t.Error(err)
	}
}

func (s *soak) breakSlack(r *rand.Rand) {
	s.count("slack faults")
	method := []string{"chat.postMessage", "chat.update", "users.info", ""}[r.IntN(4)]
	f := []slacksim.Fault{
		{Status: http.StatusTooManyRequests, RetryAfter: 3 * time.Second},
		{Status: http.StatusInternalServerError, Times: 2},
		{DropReply: true},
		{Cut: true, Times: 2},
		{DelayReply: 12 * time.Second},
		{Delay: 5 * time.Second},
	}[r.IntN(6)]
	f.Method = method
	s.slack.Fault(f)
	s.slack.Fault(slacksim.Fault{Method: "chat.postMessage", DropReply: true, Skip: r.IntN(3)}) // posted or not, the bot cannot know
	switch r.IntN(5) {
	case 0:
		s.slack.KillSockets()
	case 1:
		s.slack.FaultDeliveries(slacksim.DeliveryFault{Again: true, NewEventID: true})
	case 2:
		s.slack.FaultDeliveries(slacksim.DeliveryFault{})
	}
}

// repair ends all trouble.
func (s *soak) repair() {
	s.slack.ClearFaults()
	for i, b := range s.bots {
		select {
		case <-b.done:
			s.bots[i] = startFleetBot(s.t, s.bot)
		default:
			b.signal(syscall.SIGCONT)
		}
	}
}

// settled waits until nothing is left to do or to say.
func (s *soak) settled() {
	s.t.Helper()
	waitFor(s.t, 3*time.Minute, "end of all runs and of all that is to be said", func() bool {
		for _, key := range []string{"{twokey:ops}:live", "{twokey:ops}:changed", "twokey:{outbox}:waiting"} {
			if n, err := s.rdb.ZCard(s.t.Context(), key).Result(); err != nil || n > 0 {
				return false
			}
		}
		return true
	}, func() string { return s.state(s.names[0]) })
}

// watchFilter looks again and again whether somebody else's filter is in effect.
func (s *soak) watchFilter(ctx context.Context) {
	for {
		for _, name := range s.names {
			s.looks.Add(1)
			if got := s.fleet.clusters[name].Filter("exclude"); !slices.Contains(got["zone"], "retired") {
				if s.filterNo.Add(1) == 1 {
					s.t.Errorf("somebody else's filter of %s is not in effect: %v", name, got)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// check looks at what is left.
func (s *soak) check() {
	s.t.Helper()
	t, ctx := s.t, s.t.Context()
	runs, err := s.store.Recent(ctx, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	posts, keys := 0, make(map[string]int)
	for _, name := range s.names {
		for _, m := range s.slack.Channel(s.channel(name)) {
			for _, reply := range s.slack.Thread(m.Channel, m.TS) {
				if len(reply.Metadata) > 0 {
					posts++
					keys[metadataKey(t, reply.Metadata)]++
				}
			}
		}
	}
	for key, n := range keys {
		if n > 1 {
			t.Errorf("posted %d times: %s", n, key)
		}
	}
	excluded := make(map[string][]string)
	slices.SortFunc(runs, func(a, b ops.Run) int { return a.EndedAt.Compare(b.EndedAt) })
	for _, r := range runs {
		s.checkRun(r, keys)
		e, node := r.Plan.Call.Environment, r.Plan.Call.Args[0]
		switch {
		case r.State == ops.FailedRun || r.State == ops.Superseded:
			t.Logf("%s %s in %s is %s: %s", r.Plan.Call.Kind, node, e, r.State, r.Reason)
		case r.State != ops.Succeeded:
		case r.Plan.Call.Kind == "es drain":
			excluded[e] = append(excluded[e], node)
		default:
			excluded[e] = slices.DeleteFunc(excluded[e], func(n string) bool { return n == node })
		}
	}
	for _, name := range s.names {
		got := slices.Clone(s.fleet.clusters[name].Filter("exclude")["_name"])
		want := slices.Clone(excluded[name])
		slices.Sort(got)
		slices.Sort(want)
		if got, want := slices.Compact(got), slices.Compact(want); !slices.Equal(got, want) {
			t.Errorf("%s excludes %v, and its endings say %v", name, got, want)
		}
		s.checkSettings(name, excluded[name])
	}
	if n, err := s.rdb.HLen(ctx, "{twokey:ops}:locks").Result(); err != nil || n > 0 {
		t.Errorf("%d locks are held (%v)", n, err)
	}
	for _, v := range s.slack.Violations() {
		t.Errorf("Slack would not have taken this: %s", v)
	}
	s.counts["runs"], s.counts["posts"] = len(runs), posts
}

// checkRun checks that a run ended once and that each of its events was posted.
func (s *soak) checkRun(r ops.Run, keys map[string]int) {
	s.t.Helper()
	events, err := s.store.Events(s.t.Context(), r.ID, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for i, e := range events {
		if last := i == len(events)-1; (e.Kind == ops.Ending) != last {
			s.t.Errorf("%s: event %d of %d is %s: %s", r.ID, e.Seq, len(events), e.Kind, e.Text)
		}
		if key := fmt.Sprintf("event:%s:%d", r.ID, e.Seq); keys[key] != 1 {
			s.t.Errorf("%s (%s) was posted %d times", key, e.Kind, keys[key])
		}
	}
	for _, c := range r.Journal {
		if c.State == ops.Intended {
			s.t.Errorf("%s ended with %s written or not, nobody knows", r.ID, c.Key)
		}
	}
}

// checkSettings checks that nothing but the two filters is set.
func (s *soak) checkSettings(name string, excluded []string) {
	s.t.Helper()
	for line := range splitLines(clusterSettings(s.t, []string{s.fleet.url + "/" + name})) {
		switch {
		case line == "persistent cluster.routing.allocation.exclude.zone=retired":
		case len(excluded) > 0 && strings.Contains(line, ".exclude._name="):
		default:
			s.t.Errorf("%s has a setting that no ending names: %s", name, line)
		}
	}
}

func metadataKey(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var m struct {
		Payload map[string]any `json:"event_payload"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	key, ok := m.Payload["key"].(string)
	if !ok {
		t.Fatalf("no key in %s", raw)
	}
	return key
}

// state is for failures.
func (s *soak) state(environment string) string {
	var b strings.Builder
	messages := s.slack.Channel(s.channel(environment))
	for _, m := range messages[max(0, len(messages)-3):] {
		for _, r := range s.slack.Thread(m.Channel, m.TS) {
			fmt.Fprintf(&b, "%s: %s\n", r.TS, r.Text)
		}
	}
	for _, p := range s.bots {
		fmt.Fprintf(&b, "--- bot %d\n%s", p.cmd.Process.Pid, p.tail())
	}
	return b.String()
}

// TestTakeover kills the one of two bots that works on a drain, with the leases of
// production, in the middle of a poll and between two, and measures until the other polls and
// speaks.
func TestTakeover(t *testing.T) {
	for _, when := range []string{"in a poll", "between polls"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			takeover(t, when)
		})
	}
}

func takeover(t *testing.T, when string) {
	inPoll := when == "in a poll"
	o := &outside{t: t, node: "n3"}
	o.serveSlack()
	// Each bot has an address of its own for the same cluster.
	cluster := slowCluster(1)
	f := newFleet(t, nil, slowCluster)
	f.clusters["first"], f.clusters["second"] = cluster, cluster
	f.asked["first"], f.asked["second"] = new(atomic.Int64), new(atomic.Int64)
	hold := make(chan struct{})  // closed: requests of the first bot hang
	stuck := make(chan struct{}) // closed: one hangs
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/first/") {
			select {
			case <-hold:
				once.Do(func() { close(stuck) })
				<-r.Context().Done()
				return
			default:
			}
		}
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	o.redis = "redis://" + m.Addr() + "/0"
	c := child{Redis: o.redis, Slack: o.slack.URL(), ES: []string{server.URL + "/first"}}
	first := startChild(t, c)
	o.process = first
	o.up()
	o.command(alice, "/ops es drain n3 --env staging")
	card := o.card()
	o.click(bob, card, "approve")
	o.replyWith(card, time.Minute, "Started")
	waitFor(t, time.Minute, "exclusion", func() bool { return len(cluster.Filter("exclude")["_name"]) > 0 }, o.state)
	c.ES = []string{server.URL + "/second"}
	if inPoll {
		close(hold) // the first bot works on it, as the only one
		select {
		case <-stuck:
		case <-time.After(30 * time.Second):
			t.Fatal("no poll")
		}
	}
	second := startChild(t, c)
	waitFor(t, 30*time.Second, "second bot", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return o.slack.WaitFor(ctx, func(w *slacksim.Snapshot) bool { return w.Sockets() >= 2 }) == nil
	}, second.tail)
	o.process = second
	if !inPoll { // right after a poll of either
		n := f.asked["first"].Load() + f.asked["second"].Load()
		waitFor(t, 30*time.Second, "poll", func() bool { return f.asked["first"].Load()+f.asked["second"].Load() > n })
	}
	polls, calls := f.asked["second"].Load(), len(o.slack.Calls())
	first.kill()
	killed := time.Now()
	waitFor(t, time.Minute, "poll by the other", func() bool { return f.asked["second"].Load() > polls }, second.tail)
	polled := time.Since(killed)
	waitFor(t, time.Minute, "message of the other", func() bool {
		return slices.ContainsFunc(o.slack.Calls()[calls:], func(c slacksim.Call) bool { return c.Method == "chat.update" && c.Time.After(killed) })
	}, second.tail)
	spoke := time.Since(killed)
	t.Logf("figure: kill -9 %s, leases of 15 s and 20 s: the other polled after %.1f s and showed it in Slack after %.1f s", when, polled.Seconds(), spoke.Seconds())
}
