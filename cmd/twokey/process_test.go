package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"twokey/deploy"
	"twokey/ops/elastic"
)

// child describes a bot that runs as a process of its own: the test binary again, with
// the description in an environment variable. It is built by NewApp as every bot.
type child struct {
	Redis  string        `json:"redis"` // URL
	Slack  string        `json:"slack"` // base URL of the workspace
	Listen string        `json:"listen,omitempty"`
	ES     []string      `json:"es"`
	Lease  time.Duration `json:"lease"`
	// AWS is the URL of a simulated AWS, and Templates the folder of its templates.
	AWS       string `json:"aws,omitempty"`
	Templates string `json:"templates,omitempty"`
	// Die is the number of the point at which the process kills itself by SIGKILL, from
	// 1; 0: never. Points are noted in Points, a line each, before they are passed.
	Die    int    `json:"die,omitempty"`
	Points string `json:"points,omitempty"`
	// DieAt is such a point by its name and how often it was passed: "2 after part".
	DieAt string `json:"die_at,omitempty"`
	// Halt is the name of a point at which the process stops itself by SIGSTOP, the first
	// time it gets there.
	Halt string `json:"halt,omitempty"`
}

const childVariable = "TWOKEY_TEST_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childVariable); spec != "" {
		if err := runChild(spec); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	testscript.Main(m, map[string]func(){"twokey": main})
}

func runChild(spec string) error {
	var c child
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	points := &points{die: c.Die, dieAt: c.DieAt, halt: c.Halt}
	if c.Points != "" {
		f, err := os.OpenFile(c.Points, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		points.note = f
	}
	options, err := redis.ParseURL(c.Redis)
	if err != nil {
		return err
	}
	client, err := elastic.Connect(elastic.Settings{URLs: c.ES, Transport: points.writes("cluster", http.DefaultTransport, isClusterWrite)})
	if err != nil {
		return err
	}
	defaults := sandboxWorkspace("").Options() // tokens and secret of every test's workspace
	p := Parts{
		Config: sandboxConfig(), Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})), Redis: options,
		Slack:     SlackAccess{BotToken: defaults.BotToken, APIURL: c.Slack + "/api/"},
		Clusters:  map[string]elastic.Cluster{sandboxEnvironment: {Environment: sandboxEnvironment, Client: client}},
		HTTP:      &http.Client{Timeout: 30 * time.Second, Transport: points.writes("slack", http.DefaultTransport, isSlackPost)},
		RedisHook: points, Lease: c.Lease,
	}
	if c.AWS != "" {
		account, err := deploy.Connect(ctx, deploy.Settings{
			Environment: sandboxEnvironment, Region: sandboxRegion, Endpoint: c.AWS, HTTP: awsPoints{points},
			Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		})
		if err != nil {
			return err
		}
		p.Accounts = map[string]*deploy.Account{sandboxEnvironment: account}
		p.Config.Environments[sandboxEnvironment].AWS.Templates = c.Templates
	}
	if c.Listen == "" {
		p.Slack.AppToken = defaults.AppToken
	} else {
		p.Slack.SigningSecret = defaults.Secret
		if p.Listener, err = net.Listen("tcp", c.Listen); err != nil {
			return err
		}
	}
	app, err := NewApp(ctx, p)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

// process is a child that was started.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	log  string
}

// startChild starts a bot as a process. It is killed when the test ends.
func startChild(t *testing.T, c child) *process {
	t.Helper()
	spec, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp(t.TempDir(), "bot-*.log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := &process{t: t, done: make(chan struct{}), log: f.Name()}
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), childVariable+"="+string(spec))
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

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // may have ended
	<-p.done
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// killed reports whether it ended by SIGKILL.
func (p *process) killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// tail is the end of the process's log, for failures.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-6000):])
}

// waitFor polls in real time: processes have no fake clock.
func waitFor(t *testing.T, limit time.Duration, what string, ok func() bool, more ...func() string) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			text := ""
			for _, m := range more {
				text += m() + "\n"
			}
			t.Fatalf("no %s within %s\n%s", what, limit, text)
		}
	}
}

// readLines returns the lines of a file that may not exist yet.
func readLines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Clean(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range splitLines(string(b)) {
		lines = append(lines, line)
	}
	return lines
}

func listenLoopback(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
