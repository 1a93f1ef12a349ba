package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/bot/slacksim"
	"twokey/ops/elastic"
	"twokey/ops/elastic/elasticsim"
)

// fleetBot describes a bot with many environments that runs as a process of its own, so
// that what it uses is not mixed with what the simulated world does.
type fleetBot struct {
	Redis  string            `json:"redis"` // URL
	Slack  string            `json:"slack"` // base URL of the workspace
	ES     map[string]string `json:"es"`    // by environment, the cluster's URL
	Listen string            `json:"listen"`
	Lease  time.Duration     `json:"lease,omitempty"`
	Debug  bool              `json:"debug,omitempty"`
}

const fleetVariable = "TWOKEY_TEST_FLEET_BOT"

// TestFleetBot is no test but the process that startFleetBot starts.
func TestFleetBot(t *testing.T) {
	spec := os.Getenv(fleetVariable)
	if spec == "" {
		t.Skip("the process of other tests")
	}
	var b fleetBot
	if err := json.Unmarshal([]byte(spec), &b); err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx); err != nil {
		t.Fatal(err)
	}
}

func (b fleetBot) run(ctx context.Context) error {
	options, err := redis.ParseURL(b.Redis)
	if err != nil {
		return err
	}
	level := slog.LevelWarn
	if b.Debug {
		level = slog.LevelDebug
	}
	defaults := sandboxWorkspace("").Options()
	p := Parts{
		Config: b.config(), Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})), Redis: options,
		Slack:    SlackAccess{BotToken: defaults.BotToken, AppToken: defaults.AppToken, APIURL: b.Slack + "/api/"},
		Clusters: make(map[string]elastic.Cluster, len(b.ES)), Lease: b.Lease,
	}
	shared := &http.Transport{MaxIdleConnsPerHost: 16, ResponseHeaderTimeout: 30 * time.Second} // one server for all clusters
	for name, u := range b.ES {
		client, err := elastic.Connect(elastic.Settings{URLs: []string{u}, Transport: shared})
		if err != nil {
			return err
		}
		p.Clusters[name] = elastic.Cluster{Environment: name, Client: client}
	}
	if b.Listen != "" {
		if p.Listener, err = net.Listen("tcp", b.Listen); err != nil {
			return err
		}
	}
	app, err := NewApp(ctx, p)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

// config is the sandbox's with other environments.
func (b fleetBot) config() Config {
	c := sandboxConfig()
	e := c.Environments[sandboxEnvironment]
	e.Channels, e.AWS = nil, nil
	c.Defaults.Environment = ""
	c.Environments = make(map[string]EnvironmentConfig, len(b.ES))
	for name := range b.ES {
		c.Environments[name] = e
	}
	return c
}

// startFleetBot starts the process. It is killed when the test ends.
func startFleetBot(t *testing.T, b fleetBot) *process {
	t.Helper()
	spec, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(t.TempDir(), "bot-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &process{t: t, done: make(chan struct{}), log: f.Name()}
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestFleetBot$", "-test.timeout=0")
	p.cmd.Env = append(os.Environ(), fleetVariable+"="+string(spec))
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is asked of ProcessState
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// fleet is many simulated clusters behind one HTTP server: /NAME/… is the cluster of
// environment NAME.
type fleet struct {
	url      string
	clusters map[string]*elasticsim.Cluster
	asked    map[string]*atomic.Int64 // requests, by environment
}

func newFleet(t *testing.T, names []string, cluster func(seed uint64) *elasticsim.Cluster) *fleet {
	t.Helper()
	f := &fleet{clusters: make(map[string]*elasticsim.Cluster), asked: make(map[string]*atomic.Int64)}
	for i, name := range names {
		f.clusters[name], f.asked[name] = cluster(uint64(i+1)), new(atomic.Int64)
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	c := f.clusters[name]
	if c == nil {
		http.NotFound(w, r)
		return
	}
	f.asked[name].Add(1)
	own := r.Clone(r.Context())
	own.URL.Path, own.URL.RawPath = "/"+rest, ""
	c.ServeHTTP(w, own)
}

// urls are the clusters' addresses by environment.
func (f *fleet) urls() map[string]string {
	m := make(map[string]string, len(f.clusters))
	for name := range f.clusters {
		m[name] = f.url + "/" + name
	}
	return m
}

// slowCluster drains n3 in about half an hour, with progress all the time.
func slowCluster(seed uint64) *elasticsim.Cluster {
	c := elasticsim.New(elasticsim.Options{Seed: seed, BytesPerSecond: 1 << 20, Nodes: []elasticsim.Node{
		{Name: "n1", Zone: "a"}, {Name: "n2", Zone: "b"}, {Name: "n3", Zone: "spot"},
	}})
	c.AddIndex("logs", 3, 1, 1<<30)
	return c
}

func callsOf(calls []slacksim.Call, method string) []slacksim.Call {
	return slices.DeleteFunc(calls, func(c slacksim.Call) bool { return c.Method != method })
}

// busiest is the most calls in any minute.
func busiest(calls []slacksim.Call) int {
	most, from := 0, 0
	for i, c := range calls {
		for c.Time.Sub(calls[from].Time) >= time.Minute {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// cpuOf is the processor time of a process, from Linux, which counts in hundredths of a
// second.
func cpuOf(t *testing.T, p *process) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// statusOf is a figure of a process in bytes, from Linux.
func statusOf(t *testing.T, p *process, name string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s of process %d", name, p.cmd.Process.Pid)
	return 0
}

// scrape reads one number of a bot's /metrics.
func scrape(t *testing.T, addr, name string) float64 {
	t.Helper()
	res, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %s in /metrics", name)
	return 0
}

// raceNote says that figures are those of the race detector.
func raceNote() string {
	info, ok := debug.ReadBuildInfo()
	if ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-race" && s.Value == "true" }) {
		return " (with the race detector)"
	}
	return ""
}
