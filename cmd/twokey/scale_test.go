package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"twokey/approvals"
	"twokey/approvals/approvalsredis"
	"twokey/bot"
	"twokey/bot/botredis"
	"twokey/bot/slacksim"
	"twokey/ops"
	"twokey/ops/elastic"
	"twokey/ops/opsredis"
)

// scaleChannels is over how many channels the runs are spread: Slack takes one post a
// second in a channel.
const scaleChannels = 50

// scale is a world with very many runs.
type scale struct {
	t      *testing.T
	names  []string // environments; the last has no run at first
	fleet  *fleet
	slack  *slacksim.Workspace
	redis  string
	mini   *miniredis.Miniredis // nil: a real server
	rdb    *redis.Client
	outbox *botredis.Outbox
	engine *ops.Engine
	ids    []string // runs, by environment's number
	place  map[string]bot.Place
	before int64 // bytes in Redis without any run
}

// TestThousandDrains has 1,000 drains wait in one bot, a process of its own as NewApp
// builds it, and prints what that costs; without a real Redis they are 30. While all of them show progress in Slack, a
// request and an ending must be shown at once.
func TestThousandDrains(t *testing.T) {
	if testing.Short() {
		t.Skip("takes more than a minute")
	}
	runs, watch := 1000, time.Minute
	if os.Getenv("TWOKEY_TEST_REDIS") == "" {
		// miniredis sorts its sorted sets anew at each look, and make test has the race detector.
		runs, watch = 30, 20*time.Second
	}
	s := newScale(t, runs)
	s.submit()
	s.sayEarlier()
	held := s.deliverItself()
	began := time.Now()
	listen := listenLoopback(t)
	addr := listen.Addr().String()
	if err := listen.Close(); err != nil {
		t.Fatal(err)
	}
	b := fleetBot{Redis: s.redis, Slack: s.slack.URL(), ES: s.fleet.urls(), Listen: addr}
	p := startFleetBot(t, b)
	waitFor(t, 2*time.Minute, "running drain in each environment", func() bool { return s.running() == runs }, p.tail)
	started := time.Since(began)
	held()
	s.await(2*time.Minute, "first progress", func(w *slacksim.Snapshot) bool { return len(callsOf(w.Calls(), "chat.update")) > 0 })

	// The steady state, and in the middle of it a request and a cancel.
	first, cpu, polled := time.Now(), cpuOf(t, p), s.polls()
	<-time.After(watch)
	rss, window := statusOf(t, p, "VmRSS"), time.Since(first)
	used := cpuOf(t, p) - cpu
	requests := 0
	least := int64(1 << 62)
	for i, n := range s.polls() {
		requests += int(n - polled[i])
		least = min(least, n-polled[i])
	}
	calls := make(map[string]int)
	for _, c := range s.slack.Calls() {
		if c.Time.After(first) && c.Time.Before(first.Add(window)) {
			calls[c.Method]++
		}
	}
	heap, goroutines := scrape(t, addr, "go_memstats_heap_alloc_bytes"), scrape(t, addr, "go_goroutines")
	perRun := (s.bytes() - s.before) / int64(runs)

	card := s.timed("/ops es drain n3 --env "+s.names[runs], sandboxChannel, `"approve"`)
	cancel := s.timed("/ops cancel "+s.ids[7], s.place["card:"+s.ids[7]].Channel, ": Cancelled")
	ended := s.endedAt(s.ids[7])

	t.Logf("figure: %d drains waiting in one process%s: %.0f MB resident, %.0f MB heap, %.0f goroutines, %.0f %% of a core, %.0f requests/s to clusters",
		runs, raceNote(), float64(rss)/1e6, heap/1e6, goroutines, 100*used.Seconds()/window.Seconds(), float64(requests)/window.Seconds())
	t.Logf("figure: all started %.1f s after the process; %.1f KB in Redis per run%s; calls of Slack in %.0f s: %v", started.Seconds(), float64(perRun)/1e3, s.kind(), window.Seconds(), calls)
	t.Logf("figure: under %d live messages a request's card was shown %.1f s after the command, an ending %.1f s after the command and %.1f s after the run ended",
		runs, card.took.Seconds(), cancel.took.Seconds(), cancel.at.Sub(ended).Seconds())
	if s.running() != runs-1 {
		t.Errorf("%d of %d drains are running", s.running(), runs-1)
	}
	if least == 0 {
		t.Errorf("a drain was not polled within %s", window)
	}
	if n := busiest(callsOf(s.slack.Calls(), "chat.update")); n > 50 {
		t.Errorf("%d chat.update in a minute", n)
	}
	if calls["chat.update"] == 0 {
		t.Error("no progress was shown")
	}
	// How long it takes is a figure; held up behind a thousand edits it would be 25 minutes.
	if limit := time.Minute; card.took > limit || cancel.at.Sub(ended) > limit {
		t.Errorf("progress of %d runs holds up what people wait for", runs)
	}
	if goroutines > 500 {
		t.Errorf("%.0f goroutines for %d waiting drains", goroutines, runs)
	}
	for _, v := range s.slack.Violations() {
		t.Errorf("Slack would not have taken this: %s", v)
	}
	if t.Failed() {
		t.Log(p.tail())
	}
}

func newScale(t *testing.T, runs int) *scale {
	t.Helper()
	s := &scale{t: t, place: make(map[string]bot.Place)}
	for i := range runs + 1 {
		s.names = append(s.names, fmt.Sprintf("e%04d", i))
	}
	s.fleet = newFleet(t, s.names, slowCluster)
	ln := listenLoopback(t)
	s.slack = sandboxWorkspace("http://" + ln.Addr().String())
	for i := range scaleChannels {
		s.slack.AddChannel(slacksim.Channel{ID: scaleChannel(i), Name: fmt.Sprintf("ops-%d", i)})
	}
	go func() { _ = s.slack.Serve(ln) }() // ends with Close
	t.Cleanup(func() {
		if err := s.slack.Close(); err != nil {
			t.Error(err)
		}
	})
	s.openRedis()
	s.outbox = botredis.NewOutbox(s.rdb)
	clusters := make(map[string]elastic.Cluster)
	for name, u := range s.fleet.urls() {
		client, err := elastic.Connect(elastic.Settings{URLs: []string{u}})
		if err != nil {
			t.Fatal(err)
		}
		clusters[name] = elastic.Cluster{Environment: name, Client: client}
	}
	quiet := slog.New(slog.DiscardHandler)
	s.engine = ops.New(ops.Options{
		Store: opsredis.New(s.rdb), Dispatcher: opsredis.NewDispatcher(s.rdb, quiet, 0), Operations: elastic.Operations(clusters), Log: quiet,
	})
	return s
}

// openRedis opens database 40 of the server that TWOKEY_TEST_REDIS names, or miniredis.
func (s *scale) openRedis() {
	s.t.Helper()
	if real := os.Getenv("TWOKEY_TEST_REDIS"); real != "" {
		u, err := url.Parse(real)
		if err != nil {
			s.t.Fatal(err)
		}
		u.Path = "/40"
		s.redis = u.String()
	} else {
		s.mini = miniredis.NewMiniRedis()
		s.mini.ClockTTL(true)
		if err := s.mini.Start(); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(s.mini.Close)
		s.redis = "redis://" + s.mini.Addr() + "/0"
	}
	o, err := redis.ParseURL(s.redis)
	if err != nil {
		s.t.Fatal(err)
	}
	s.rdb = redis.NewClient(o)
	s.t.Cleanup(func() { _ = s.rdb.Close() })
	if err := s.rdb.FlushDB(s.t.Context()).Err(); err != nil {
		s.t.Fatal(err)
	}
	s.before = s.bytes()
}

// bytes is what Redis holds: its own figure, or the size of miniredis's data as text.
func (s *scale) bytes() int64 {
	s.t.Helper()
	if s.mini != nil {
		return int64(len(s.mini.Dump()))
	}
	info, err := s.rdb.Info(s.t.Context(), "memory").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "used_memory:")
	n, err := strconv.ParseInt(strings.TrimSpace(rest[:strings.Index(rest, "\n")]), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *scale) kind() string {
	if s.mini != nil {
		return " (keys and values as text)"
	}
	return ""
}

func scaleChannel(i int) string { return fmt.Sprintf("C0SCALE%02d", i%scaleChannels) }

// everybody is a directory of full members: 1,000 votes would take Slack's rates a while.
type everybody struct{}

func (everybody) Person(_ context.Context, user string) (approvals.Person, error) {
	return approvals.Person{ID: user, Team: sandboxTeam, Name: user}, nil
}

func (everybody) Member(context.Context, string, string) (bool, error) { return true, nil }

// submit asks for a drain in each environment but the last and lets Bob agree, as the
// bot does when it is typed and clicked.
func (s *scale) submit() {
	s.t.Helper()
	ctx := s.t.Context()
	requests := approvals.New(approvals.Options{
		Store: approvalsredis.New(s.rdb), Launcher: bot.NewLauncher(s.engine), Directory: everybody{},
		Policy: fleetBot{ES: s.fleet.urls()}.config().Policy(), Log: slog.New(slog.DiscardHandler),
	})
	threads := botredis.NewThreads(s.rdb)
	s.ids = make([]string, len(s.names)-1)
	var group sync.WaitGroup
	room := make(chan struct{}, 4)
	for i := range s.ids {
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			if err := s.ask(ctx, requests, threads, i); err != nil {
				s.t.Errorf("%s: %v", s.names[i], err)
			}
		})
	}
	group.Wait()
	if s.t.Failed() {
		s.t.FailNow()
	}
}

func (s *scale) ask(ctx context.Context, requests *approvals.Service, threads *botredis.Threads, i int) error {
	plan, err := s.engine.Plan(ctx, ops.Call{Kind: "es drain", Environment: s.names[i], Args: []string{"n3"}})
	if err != nil {
		return err
	}
	sealed, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	r, _, err := requests.Submit(ctx, approvals.Ask{
		Trigger: "scale:" + s.names[i], Environment: s.names[i], Class: plan.Class.String(), Title: plan.Title,
		Digest: plan.Digest(), Sealed: sealed, Requester: alice,
	})
	if err != nil {
		return err
	}
	origin := bot.Origin{Via: "command", Channel: scaleChannel(i), User: alice, Team: sandboxTeam, Text: "es drain n3"}
	if err := threads.SetOrigin(ctx, r.ID, origin); err != nil {
		return err
	}
	s.ids[i] = r.ID
	_, err = requests.Vote(ctx, approvals.Ballot{Request: r.ID, Voter: bob, Approve: true, Via: approvals.ViaButton})
	return err
}

// sayEarlier puts a message for each card and each status into the workspace, as if the
// bot had posted it in the hours before: as answers to commands, which have no rate.
func (s *scale) sayEarlier() {
	s.t.Helper()
	s.slack.UseHTTP("http://earlier.test", &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		answer := []byte{}
		if strings.HasSuffix(r.URL.Path, "/commands") {
			form, err := url.ParseQuery(string(body))
			if err != nil {
				return nil, err
			}
			if answer, err = json.Marshal(map[string]string{"response_type": "in_channel", "text": form.Get("text")}); err != nil {
				return nil, err
			}
		}
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(answer)), Request: r,
		}, nil
	})})
	for i, id := range s.ids {
		for _, key := range []string{"card:" + id, "status:" + id} {
			d, err := s.slack.Command(alice, scaleChannel(i), "/ops "+key)
			if err != nil {
				s.t.Fatal(err)
			}
			if err := d.Wait(s.t.Context()); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	s.slack.UseSockets()
	for i := range scaleChannels {
		for _, m := range s.slack.Channel(scaleChannel(i)) {
			s.place[m.Text] = bot.Place{Channel: m.Channel, TS: m.TS}
		}
	}
	if len(s.place) != 2*len(s.ids) {
		s.t.Fatalf("%d messages for %d runs", len(s.place), len(s.ids))
	}
}

// deliverItself holds the sender's lease and takes all that is put for delivered, at the
// places that sayEarlier made, until it is told to stop: what 1,000 runs say at their
// starts would take half an hour at Slack's rates, and the test is about afterwards.
func (s *scale) deliverItself() (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	pass := func(ctx context.Context) (int, error) {
		if held, err := s.outbox.Hold(ctx, bot.SenderLease, "earlier", time.Minute); err != nil || !held {
			return 0, errors.Join(err, errors.New("the sender's lease"))
		}
		entries, err := s.outbox.Waiting(ctx, 0, 500)
		for _, e := range entries {
			p := bot.Place{Channel: e.Channel, TS: "1." + strconv.FormatInt(e.Mark, 10)}
			if known, ok := s.place[strings.TrimPrefix(e.Key, "edit:")]; ok {
				p = known
			}
			err = errors.Join(err, s.outbox.Sent(ctx, bot.Claimed{Message: e.Message, Version: e.Mark}, p))
		}
		return len(entries), err
	}
	if _, err := pass(ctx); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		for {
			n, err := pass(ctx)
			if err != nil {
				if ctx.Err() != nil {
					err = nil
				}
				done <- err
				return
			}
			if n == 0 {
				select {
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
	}()
	return func() {
		s.t.Helper()
		// Until nothing but progress is put any more.
		waitFor(s.t, time.Minute, "end of what is said at the starts", func() bool {
			entries, err := s.outbox.Waiting(ctx, 0, 500)
			return err == nil && !slices.ContainsFunc(entries, func(e bot.Entry) bool { return e.Urgency != bot.Live }) && s.told()
		})
		cancel()
		if err := <-done; err != nil {
			s.t.Fatal(err)
		}
		if err := s.outbox.Release(s.t.Context(), bot.SenderLease, "earlier"); err != nil {
			s.t.Fatal(err)
		}
	}
}

// told reports whether the reporter has dealt with every run's start.
func (s *scale) told() bool {
	threads := botredis.NewThreads(s.rdb)
	for _, id := range s.ids {
		if n, err := threads.Cursor(s.t.Context(), id); err != nil || n == 0 {
			return false
		}
	}
	return true
}

// running counts the drains that have written their exclusion and that no run's end has
// taken back.
func (s *scale) running() int {
	n := 0
	for i := range s.ids {
		if len(s.fleet.clusters[s.names[i]].Filter("exclude")["_name"]) > 0 {
			n++
		}
	}
	return n
}

func (s *scale) polls() []int64 {
	n := make([]int64, len(s.ids))
	for i := range s.ids {
		n[i] = s.fleet.asked[s.names[i]].Load()
	}
	return n
}

func (s *scale) endedAt(id string) time.Time {
	s.t.Helper()
	r, err := s.engine.Get(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.EndedAt
}

func (s *scale) await(limit time.Duration, what string, ok func(*slacksim.Snapshot) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	defer cancel()
	if err := s.slack.WaitFor(ctx, ok); err != nil {
		s.t.Fatalf("no %s within %s", what, limit)
	}
}

// shown is when a message was seen, and how long after the command.
type shown struct {
	at   time.Time
	took time.Duration
}

// timed has Alice type a command, and waits for a message of the channel with text in it.
func (s *scale) timed(command, channel, text string) shown {
	s.t.Helper()
	begin := time.Now()
	if _, err := s.slack.Command(alice, channel, command); err != nil {
		s.t.Fatal(err)
	}
	var at time.Time
	s.await(2*time.Minute, "message with "+text, func(w *slacksim.Snapshot) bool {
		for _, m := range w.All() {
			if m.Channel == channel && m.Posted.After(begin) && (strings.Contains(string(m.Blocks), text) || strings.Contains(m.Text, text)) {
				at = m.Posted
				return true
			}
		}
		return false
	})
	return shown{at, at.Sub(begin)}
}
