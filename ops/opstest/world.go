package opstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"twokey/ops"
)

// World is a pretended outside world, and the operation "world" that works on it. It
// outlives the processes of a test, and remembers each effect. The arguments of a call
// are the steps:
//
//	set KEY=VALUE      changes a setting, kept as planned
//	lend KEY=VALUE     changes a setting, until a return
//	return KEY         puts a lent setting back
//	job NAME DURATION  starts a job by its token and waits for its end
//	items NAME N       changes many settings, one a poll, kept as planned
//	fail REASON        fails for good
//	need KEY           is blocked until the setting exists
//	new NAME           a step only newer binaries know: see Known
type World struct {
	mu       sync.Mutex
	settings map[string]string
	jobs     map[string]job
	effects  []string
	facts    []ops.Fact
	known    bool
	fault    func(ctx context.Context, call, step string) error
}

type job struct {
	name      string
	end       time.Time
	cancelled bool
}

// NewWorld returns a world with these settings.
func NewWorld(settings map[string]string) *World {
	w := &World{settings: make(map[string]string), jobs: make(map[string]job)}
	maps.Copy(w.settings, settings)
	return w
}

// Steps makes the call for a world operation.
func Steps(steps ...string) ops.Call {
	return ops.Call{Kind: "world", Environment: "test", Args: steps}
}

// Settings returns a copy of the settings.
func (w *World) Settings() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.settings)
}

// Set is somebody else changing a setting; the effect is not remembered.
func (w *World) Set(key, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settings[key] = value
}

// Effects returns what was done to the world, in order.
func (w *World) Effects() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.effects)
}

// SetFacts sets the facts of later plans.
func (w *World) SetFacts(f ...ops.Fact) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts = f
}

// Fault calls f before each "plan", "start", "poll" and "undo" with the step's text; an
// error of f is the call's. f may block. Nil: no more faults.
func (w *World) Fault(f func(ctx context.Context, call, step string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// Known says whether this binary knows the step "new".
func (w *World) Known(known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = known
}

// Kind is "world".
func (w *World) Kind() string { return "world" }

// Plan makes a step of each argument. It locks "world", or what the flag lock says.
func (w *World) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	if err := w.before(ctx, "plan", ""); err != nil {
		return ops.Plan{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p := ops.Plan{
		Call: call, Class: ops.R2, Title: "Change the world", Effect: "changes the world",
		Targets: []string{"world"}, Undo: []string{"all is put back"},
		Facts: slices.Clone(w.facts), Locks: []string{"world"},
	}
	if lock := call.Flags["lock"]; lock != "" {
		p.Locks = []string{lock}
	}
	for _, text := range call.Args {
		name, arg, _ := strings.Cut(text, " ")
		p.Steps = append(p.Steps, ops.StepRef{
			Name: name, Version: 1, Title: text, Params: map[string]string{"arg": arg},
		})
	}
	return p, nil
}

// Step returns the code of a step.
func (w *World) Step(ref ops.StepRef) (ops.Step, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := step{w: w, text: ref.Title, arg: ref.Params["arg"]}
	switch ref.Name {
	case "set", "lend":
		return setStep{s, ref.Name == "set"}, nil
	case "return":
		return returnStep{s}, nil
	case "job":
		return jobStep{s}, nil
	case "items":
		return itemsStep{s}, nil
	case "fail":
		return verdictStep{s, func() ops.Progress { return ops.Progress{Phase: ops.Failed, Reason: s.arg} }}, nil
	case "need":
		return verdictStep{s, func() ops.Progress {
			if _, ok := w.Settings()[s.arg]; ok {
				return ops.Progress{Phase: ops.Done}
			}
			return ops.Progress{Phase: ops.Blocked, Reason: s.arg + " is missing"}
		}}, nil
	case "new":
		if w.known {
			return verdictStep{s, func() ops.Progress { return ops.Progress{Phase: ops.Done} }}, nil
		}
	}
	return nil, fmt.Errorf("%q: %w", ref.Name, ops.ErrUnknownStep)
}

func (w *World) before(ctx context.Context, call, step string) error {
	w.mu.Lock()
	f := w.fault
	w.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(ctx, call, step)
}

// put changes a setting and remembers it; nil removes it.
func (w *World) put(verb, key string, value *string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if value == nil {
		delete(w.settings, key)
		w.effects = append(w.effects, verb+" "+key)
		return
	}
	w.settings[key] = *value
	w.effects = append(w.effects, verb+" "+key+"="+*value)
}

func (w *World) get(key string) *string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v, ok := w.settings[key]; ok {
		return &v
	}
	return nil
}

type step struct {
	w         *World
	text, arg string
}

func same(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// setStep is set and lend.
type setStep struct {
	step
	keep bool
}

func (s setStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	if err := s.w.before(ctx, "start", s.text); err != nil {
		return err
	}
	key, value, _ := strings.Cut(s.arg, "=")
	err := t.Record(ctx, ops.Change{
		Key: key, Resource: "world", Setting: key, Before: s.w.get(key), Intended: &value,
	})
	if err != nil {
		return err
	}
	s.w.put("set", key, &value)
	return t.Settle(ctx, key, ops.Written, s.w.get(key), "")
}

func (s setStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if err := s.w.before(ctx, "poll", s.text); err != nil {
		return ops.Progress{}, err
	}
	key, value, _ := strings.Cut(s.arg, "=")
	now := s.w.get(key)
	c, ours := t.Entry(key)
	if !ours || !same(now, &value) {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	state := ops.Written
	if s.keep {
		state = ops.Kept
	}
	if c.State != state {
		if err := t.Settle(ctx, key, state, now, ""); err != nil {
			return ops.Progress{}, err
		}
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: key + " is " + value}}, nil
}

func (s setStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if err := s.w.before(ctx, "undo", s.text); err != nil {
		return ops.Progress{}, err
	}
	key, _, _ := strings.Cut(s.arg, "=")
	return s.w.restore(ctx, t, key)
}

// restore is compare and restore.
func (w *World) restore(ctx context.Context, t *ops.Tick, key string) (ops.Progress, error) {
	c, ok := t.Entry(key)
	if !ok {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	now := w.get(key)
	switch {
	case same(now, c.Before):
	case same(now, c.Intended):
		if err := t.Fence(ctx); err != nil {
			return ops.Progress{}, err
		}
		w.put("restore", key, c.Before)
	default:
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, key, ops.Left, now, "changed by somebody else")
	}
	return ops.Progress{Phase: ops.Done}, t.Settle(ctx, key, ops.Restored, w.get(key), "")
}

// returnStep puts a lent setting back.
type returnStep struct{ step }

func (s returnStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	if err := s.w.before(ctx, "start", s.text); err != nil {
		return err
	}
	_, err := s.w.restore(ctx, t, s.arg)
	return err
}

func (s returnStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if err := s.w.before(ctx, "poll", s.text); err != nil {
		return ops.Progress{}, err
	}
	if c, ok := t.Entry(s.arg); !ok || c.State != ops.Restored && c.State != ops.Left {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	return ops.Progress{Phase: ops.Done}, nil
}

func (s returnStep) Undo(context.Context, *ops.Tick) (ops.Progress, error) {
	return ops.Progress{Phase: ops.NotStarted}, nil
}

// jobStep starts a job, once per token, and waits for its end.
type jobStep struct{ step }

func (s jobStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	if err := s.w.before(ctx, "start", s.text); err != nil {
		return err
	}
	if err := t.Fence(ctx); err != nil {
		return err
	}
	name, d, _ := strings.Cut(s.arg, " ")
	long, err := time.ParseDuration(d)
	if err != nil {
		return err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if _, ok := s.w.jobs[token]; !ok {
		s.w.jobs[token] = job{name: name, end: time.Now().Add(long)}
		s.w.effects = append(s.w.effects, "job "+name)
	}
	return nil
}

func (s jobStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if err := s.w.before(ctx, "poll", s.text); err != nil {
		return ops.Progress{}, err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	j, ok := s.w.jobs[t.Run().Token(t.Run().Step)]
	switch left := time.Until(j.end); {
	case !ok:
		return ops.Progress{Phase: ops.NotStarted}, nil
	case j.cancelled:
		return ops.Progress{Phase: ops.Failed, Reason: "the job was cancelled"}, nil
	case left > 0:
		return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: fmt.Sprintf("%s has until %s", j.name, j.end.Format(time.TimeOnly))}}, nil
	}
	return ops.Progress{Phase: ops.Done}, nil
}

func (s jobStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if err := s.w.before(ctx, "undo", s.text); err != nil {
		return ops.Progress{}, err
	}
	if err := t.Fence(ctx); err != nil {
		return ops.Progress{}, err
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	token := t.Run().Token(t.Run().Step)
	j, ok := s.w.jobs[token]
	if !ok {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	if !j.cancelled && time.Until(j.end) > 0 {
		j.cancelled = true
		s.w.jobs[token] = j
		s.w.effects = append(s.w.effects, "cancel "+j.name)
	}
	return ops.Progress{Phase: ops.Done}, nil
}

// verdictStep changes nothing.
type verdictStep struct {
	step
	verdict func() ops.Progress
}

func (s verdictStep) Start(context.Context, *ops.Tick, string) error {
	return errors.New("a step that only looks was started")
}

func (s verdictStep) Poll(ctx context.Context, _ *ops.Tick) (ops.Progress, error) {
	if err := s.w.before(ctx, "poll", s.text); err != nil {
		return ops.Progress{}, err
	}
	return s.verdict(), nil
}

func (s verdictStep) Undo(ctx context.Context, _ *ops.Tick) (ops.Progress, error) {
	return ops.Progress{Phase: ops.NotStarted}, s.w.before(ctx, "undo", s.text)
}
