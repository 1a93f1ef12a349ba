package bot_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/approvals"
	"twokey/approvals/approvalsredis"
	"twokey/bot"
	"twokey/bot/botredis"
	"twokey/bot/slacksim"
	"twokey/ops"
	"twokey/ops/opsredis"
)

// play is a stage with requests and runs, whose records the test writes.
type play struct {
	*stage
	runs     *opsredis.Store
	requests *approvals.Service
	threads  *botredis.Threads
}

type everybody struct{}

func (everybody) Person(_ context.Context, id string) (approvals.Person, error) {
	return approvals.Person{ID: id, Team: "T0HOME", Name: id}, nil
}
func (everybody) Member(_ context.Context, user, group string) (bool, error) {
	return user == "U0BOB" && group == "S0SRE", nil
}

func newPlay(t *testing.T) *play {
	p := &play{stage: newStage(t)}
	p.runs = opsredis.New(p.rdb)
	p.threads = botredis.NewThreads(p.rdb)
	p.requests = p.service(p.rdb)
	return p
}

// Launch makes the approved request a run.
func (p *play) Launch(ctx context.Context, r approvals.Request) error {
	_, err := p.runs.Create(ctx, ops.Run{ID: r.ID, Plan: plan("n3"), Digest: r.Digest, Requester: r.Requester, State: ops.Starting, Attempt: 1, CreatedAt: time.Now()})
	return err
}

func (p *play) service(rdb *redis.Client) *approvals.Service {
	return approvals.New(approvals.Options{
		Store: approvalsredis.New(rdb), Launcher: p, Directory: everybody{}, Log: quiet(),
		Policy: approvals.Policy{Team: "T0HOME", Environments: map[string]approvals.Environment{"staging": {Groups: []string{"S0SRE"}, Expires: 10 * time.Minute}}},
	})
}

// reporter starts a reporter whose connection to Redis is rdb.
func (p *play) reporter(rdb *redis.Client) (stop func()) {
	out := botredis.NewOutbox(rdb)
	r := bot.NewReporter(bot.ReporterOptions{
		Engine: ops.New(ops.Options{Store: opsredis.New(rdb), Log: quiet()}), Approvals: p.service(rdb), Outbox: out, Posts: out,
		Threads: botredis.NewThreads(rdb), Leases: out, Log: quiet(), Workspace: "https://home.slack.com/",
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			p.t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

func plan(node string) ops.Plan {
	return ops.Plan{
		Call: ops.Call{Kind: "es drain", Environment: "staging", Args: []string{node}}, Class: ops.R2, Title: "Drain " + node + " in staging",
		Effect: "moves 24 shards off " + node, Targets: []string{node}, Steps: []ops.StepRef{{Name: "exclude", Title: "exclude " + node}}, Undo: []string{"taken back"},
	}
}

// ask makes a request from a command in C0OPS.
func (p *play) ask(trigger string, o bot.Origin) approvals.Request {
	p.t.Helper()
	r, _, err := p.requests.Submit(p.t.Context(), approvals.Ask{
		Trigger: trigger, Environment: "staging", Class: "R2", Title: plan("n3").Title, Digest: plan("n3").Digest(), Sealed: sealed(plan("n3")), Requester: "U0ANN",
	})
	if err != nil {
		p.t.Fatal(err)
	}
	if o.Channel != "" {
		if err := p.threads.SetOrigin(p.t.Context(), r.ID, o); err != nil {
			p.t.Fatal(err)
		}
	}
	return r
}

func here() bot.Origin {
	return bot.Origin{Via: "command", Channel: "C0OPS", User: "U0ANN", Team: "T0HOME"}
}

// tick writes the run as a tick does.
func (p *play) tick(id string, change func(r *ops.Run), events ...ops.Event) {
	p.t.Helper()
	ctx := p.t.Context()
	claim, run, err := p.runs.Claim(ctx, id, id, time.Minute)
	if err == nil {
		change(&run)
		err = claim.Put(ctx, &run, events)
	}
	if err == nil && !run.State.Ended() {
		_, err = claim.Release(ctx, time.Hour)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *play) approve(id string) {
	p.t.Helper()
	if _, err := p.requests.Vote(p.t.Context(), approvals.Ballot{Request: id, Voter: "U0BOB", Approve: true, Via: approvals.ViaTyped}); err != nil {
		p.t.Fatal(err)
	}
	if err := p.Launch(p.t.Context(), approvals.Request{ID: id, Requester: "U0ANN"}); err != nil {
		p.t.Fatal(err)
	}
}

// card is the thread under a request's card.
func (p *play) card(id string) []slacksim.Message {
	p.t.Helper()
	at, ok, err := p.outbox.Posted(p.t.Context(), "card:"+id)
	if err != nil || !ok {
		p.t.Fatalf("the card of %s has no place: %v", id, err)
	}
	return p.sim.Thread(at.Channel, at.TS)
}

// before is the message as it was first.
func before(m slacksim.Message) slacksim.Message {
	if len(m.Edits) > 0 {
		m.Text, m.Blocks = m.Edits[0].Text, m.Edits[0].Blocks
	}
	return m
}

func sealed(p ops.Plan) json.RawMessage {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return b
}

// idleAfterReport waits until all changes were reported and sent.
func (p *play) idleAfterReport() {
	p.t.Helper()
	time.Sleep(2 * time.Second)
	p.idle(2 * time.Minute)
	for i := range 20 {
		a, err := p.requests.Changed(p.t.Context(), 10)
		b, err2 := p.runs.Changed(p.t.Context(), 10)
		if err := errors.Join(err, err2); err != nil || i == 19 {
			p.t.Fatalf("not settled: requests %v, runs %v, %v", a, b, err)
		}
		if len(a)+len(b) == 0 {
			break
		}
		time.Sleep(time.Second)
	}
	p.idle(2 * time.Minute)
}

// plain undoes what encoding/json escapes.
var plain = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")

func has(t *testing.T, m slacksim.Message, want ...string) {
	t.Helper()
	for _, w := range want {
		if shown := m.Text + plain.Replace(string(m.Blocks)); !strings.Contains(shown, w) {
			t.Errorf("%q is not in %s", w, shown)
		}
	}
}

// drained is a whole run: what a test sees of it is its thread.
func (p *play) drained(o bot.Origin) approvals.Request {
	r := p.ask("command:1", o)
	time.Sleep(5 * time.Second)
	p.approve(r.ID)
	time.Sleep(5 * time.Second)
	p.tick(r.ID, func(r *ops.Run) {
		r.State, r.StartedAt = ops.Running, time.Now()
		r.Status = ops.Status{Headline: "24 shards left", Total: 24}
	}, ops.Event{Kind: ops.Milestone, Text: "n3 is excluded."})
	for i := range 10 {
		time.Sleep(5 * time.Second)
		p.tick(r.ID, func(r *ops.Run) {
			r.Status.Headline, r.Status.Done = fmt.Sprintf("%d shards left", 23-i), int64(i+1)
		})
	}
	p.tick(r.ID, func(r *ops.Run) {
		name := "n3"
		r.Status.Headline, r.State, r.EndedAt = "n3 holds no shard", ops.Succeeded, time.Now()
		r.Journal = []ops.Change{{Key: "a", Resource: "cluster", Setting: "exclude._name", Intended: &name, After: &name, State: ops.Kept}}
	}, ops.Event{Kind: ops.Ending, Text: "Done: Drain n3 in staging: n3 holds no shard.\n• a"})
	return r
}

// countdown kills a connection to Redis at its n-th command: that one and all after it
// are lost, the n-th one perhaps after it was done.
type countdown struct {
	mu   sync.Mutex
	left int
}

// kill ends it now and reports whether it was dead already.
func (c *countdown) kill() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	dead := c.left <= 0
	c.left = min(c.left, 0)
	return dead
}

func (c *countdown) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *countdown) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (c *countdown) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.mu.Lock()
		c.left--
		left := c.left
		c.mu.Unlock()
		if left > 0 {
			return next(ctx, cmd)
		}
		if left == 0 {
			_ = next(ctx, cmd) // done, but nobody hears of it
		}
		cmd.SetErr(errors.New("killed"))
		return cmd.Err()
	}
}
