package approvals_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"twokey/approvals"
	"twokey/approvals/approvalsredis"
	"twokey/approvals/approvalstest"
)

// bench is a service over an embedded Redis, with the people of NewDirectory.
type bench struct {
	*approvals.Service
	store     approvals.Store
	directory *approvalstest.Directory
	launcher  *approvalstest.Launcher
}

func newBench(t testing.TB, change ...func(*approvals.Options)) *bench {
	b := &bench{
		store:     approvalsredis.New(embedded(t)),
		directory: approvalstest.NewDirectory(),
		launcher:  &approvalstest.Launcher{},
	}
	o := approvals.Options{Store: b.store, Launcher: b.launcher, Directory: b.directory, Policy: policy(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, f := range change {
		f(&o)
	}
	b.store = o.Store
	b.Service = approvals.New(o)
	return b
}

func policy() approvals.Policy {
	return approvals.Policy{Team: "T0HOME", Environments: map[string]approvals.Environment{
		"prod": {Groups: []string{"S0SRE"}, Users: []string{"U0LEAD"}, Expires: time.Hour},
		"bare": {},
	}}
}

// embedded returns a client of a miniredis of its own, without sockets.
func embedded(t testing.TB) *redis.Client {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	c := redis.NewClient(&redis.Options{
		Addr:   "127.0.0.1:0",
		Dialer: func(context.Context, string, string) (net.Conn, error) { return m.Dial() },
	})
	t.Cleanup(func() {
		c.Close()
		m.Close()
	})
	return c
}

var triggers int

// ask submits a request of U0ASKER for prod.
func (b *bench) ask(t testing.TB, class string) approvals.Request {
	t.Helper()
	triggers++
	r, made, err := b.Submit(t.Context(), approvals.Ask{
		Trigger: fmt.Sprint("t", triggers), Environment: "prod", Class: class, Digest: "d1", Sealed: []byte(`{}`), Requester: "U0ASKER",
	})
	if err != nil || !made {
		t.Fatalf("submit: %v, made %v", err, made)
	}
	return r
}

func (b *bench) vote(t testing.TB, r approvals.Request, who string) (approvals.Request, error) {
	return b.Vote(t.Context(), approvals.Ballot{Request: r.ID, Voter: who, Approve: true, Via: approvals.ViaReaction})
}

func (b *bench) wantState(t testing.TB, id string, want approvals.State) approvals.Request {
	t.Helper()
	r, err := b.Get(t.Context(), id)
	if err != nil || r.State != want {
		t.Errorf("%s, %v; want %s", r.State, err, want)
	}
	return r
}

func (b *bench) wantLaunches(t testing.TB, want ...string) {
	t.Helper()
	var got []string
	for _, r := range b.launcher.Launched() {
		got = append(got, r.ID)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("launched:\n%s", d)
	}
}

// wantRefused wants a *RefusedError that says why.
func wantRefused(t testing.TB, err error, why string) *approvals.RefusedError {
	t.Helper()
	var refused *approvals.RefusedError
	if !errors.As(err, &refused) || !strings.Contains(refused.Why, why) {
		t.Fatalf("%v; want a refusal that says %q", err, why)
	}
	return refused
}

// run starts the sweeper; the function returned stops it.
func (b *bench) run(t testing.TB) func() {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}
