package bot_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"twokey/bot"
	"twokey/ops"
)

// outbox remembers what was put, by the rule of the contract.
type outbox struct {
	mu   sync.Mutex
	said []bot.Message
	fail error
}

func (o *outbox) Put(_ context.Context, m bot.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.fail
	}
	if !slices.ContainsFunc(o.said, func(s bot.Message) bool { return s.Key == m.Key }) {
		o.said = append(o.said, m)
	}
	return nil
}

// breakWith makes Put fail with err; nil: work again.
func (o *outbox) breakWith(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail = err
}

// all returns what was said so far, and forgets it.
func (o *outbox) all() []bot.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	said := o.said
	o.said = nil
	return said
}

type posts struct {
	mu sync.Mutex
	by map[string]bot.Place
}

func (p *posts) note(key string, at bot.Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[string]bot.Place{}
	}
	p.by[key] = at
}

func (p *posts) Posted(_ context.Context, key string) (bot.Place, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.by[key]
	return at, ok, nil
}

func (p *posts) KeyAt(_ context.Context, at bot.Place) (string, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, place := range p.by {
		if place == at {
			return key, true, nil
		}
	}
	return "", false, nil
}

type threads struct {
	mu      sync.Mutex
	origins map[string]bot.Origin
}

func (t *threads) SetOrigin(_ context.Context, id string, o bot.Origin) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.origins == nil {
		t.origins = map[string]bot.Origin{}
	}
	t.origins[id] = o
	return nil
}

func (t *threads) Origin(_ context.Context, id string) (bot.Origin, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o, ok := t.origins[id]
	return o, ok, nil
}

func (t *threads) Cursor(context.Context, string) (int64, error)  { return 0, nil }
func (t *threads) SetCursor(context.Context, string, int64) error { return nil }

// engine is an ops.Engine that remembers. It plans "es drain" and "es reindex", and answers "es health".
type engine struct {
	mu        sync.Mutex
	discarded []string // Params["plan"] of each
	plans     int
	runs      map[string]ops.Run
	asked     []string // "pause <id> <by>"
	class     ops.Class
	confirm   string
	takes     time.Duration
	err       error
}

// planned is how often Plan made a plan.
func (e *engine) planned() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.plans
}

func (e *engine) Has(kind string) (known, query bool) {
	return kind == "es drain" || kind == "es reindex" || kind == "es health", kind == "es health"
}

func (e *engine) read(ctx context.Context) error {
	select {
	case <-time.After(e.takes):
		return e.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *engine) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	return ops.Answer{Title: call.Environment + ": green"}, e.read(ctx)
}

func (e *engine) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	if err := e.read(ctx); err != nil {
		return ops.Plan{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.plans++
	return ops.Plan{
		Call: call, Class: e.class, Title: "Drain n3 in " + call.Environment, Effect: "moves 24 shards off n3", Targets: call.Args,
		Confirm: e.confirm, Params: map[string]string{"plan": strings.Repeat("x", e.plans)}, // each plan differs
	}, nil
}

func (e *engine) Discard(_ context.Context, plan ops.Plan) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.discarded = append(e.discarded, plan.Params["plan"])
	return nil
}

func (e *engine) Submit(_ context.Context, r ops.NewRun) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.Plan.Digest() != r.Digest {
		return errors.New("digest")
	}
	e.runs[r.ID] = ops.Run{ID: r.ID, Plan: r.Plan, Digest: r.Digest, Requester: r.Requester, Approvers: r.Approvers, State: ops.Running}
	return nil
}

func (e *engine) Get(_ context.Context, id string) (ops.Run, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r, ok := e.runs[id]; ok {
		return r, nil
	}
	return ops.Run{}, ops.ErrNotFound
}

func (e *engine) Live(context.Context) ([]ops.Run, error)        { return nil, nil }
func (e *engine) Recent(context.Context, int) ([]ops.Run, error) { return nil, nil }

func (e *engine) flag(what, id, by string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, ok := e.runs[id]
	switch {
	case !ok:
		return ops.ErrNotFound
	case r.State.Ended():
		return ops.ErrEnded
	}
	e.asked = append(e.asked, what+" "+id+" "+by)
	return nil
}

func (e *engine) Pause(_ context.Context, id, by string) error  { return e.flag("pause", id, by) }
func (e *engine) Resume(_ context.Context, id, by string) error { return e.flag("resume", id, by) }
func (e *engine) Cancel(_ context.Context, id, by string) error { return e.flag("cancel", id, by) }

func (e *engine) Turn(_ context.Context, id, name, value, by string) error {
	return e.flag("turn "+name+" "+value, id, by)
}

// hangable is a connection to Redis that, once hang is set, takes what is written
// and never answers, as one to a stopped process does.
type hangable struct {
	net.Conn
	hang *atomic.Bool
}

func (c *hangable) Write(b []byte) (int, error) {
	if c.hang.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// errSecret is an error that must be shown to nobody as it is.
var errSecret = errors.New("Get https://elastic:hunter2@es-1:9200: refused")
