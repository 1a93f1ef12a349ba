package opstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"twokey/ops"
)

// ErrCrashed is what every write returns from the injected crash until Restart.
var ErrCrashed = errors.New("opstest: the process crashed here")

// Bench runs the methods of steps, one call at a time, as the engine does: each call
// reads the record as it was last stored, through a real ops.Tick, and stores it
// again if the method returned no error. Nothing but the stored record passes from
// one call to the next, so each call is as good as one by another process.
//
// A Bench is safe for use by several goroutines as far as looking goes; the calls of
// steps are the test's own to order.
type Bench struct {
	mu      sync.Mutex
	record  []byte // the run as stored
	events  []ops.Event
	parts   map[string][]byte
	dials   map[string]ops.Dial
	writes  int
	fences  int
	fenced  bool
	crashed bool
	crashAt int  // write to crash at, counted from 1; 0: never
	lost    bool // the crash comes before the write is stored
	before  func(n int, run ops.Run)
}

// NewBench makes a bench for a run of plan: id "01TESTRUN", in state running, at step
// 0, attempt 1, not begun.
func NewBench(plan ops.Plan) *Bench {
	b := &Bench{parts: make(map[string][]byte), dials: make(map[string]ops.Dial)}
	b.store(ops.Run{
		ID: "01TESTRUN", Plan: plan, Digest: plan.Digest(),
		Requester: "UASKS", Approvers: []string{"UAGREES"},
		State: ops.Running, Attempt: 1, CreatedAt: time.Now(), StartedAt: time.Now(),
	})
	return b
}

// Start calls the start of the step at index i of the plan, with the token the engine
// would give.
func (b *Bench) Start(ctx context.Context, i int, s ops.Step) error {
	return b.call(ctx, i, func(t *ops.Tick) error { return s.Start(ctx, t, t.Run().Token(i)) })
}

// Poll calls the poll of the step at index i of the plan.
func (b *Bench) Poll(ctx context.Context, i int, s ops.Step) (p ops.Progress, err error) {
	err = b.call(ctx, i, func(t *ops.Tick) error { p, err = s.Poll(ctx, t); return err })
	return p, err
}

// Undo calls the undo of the step at index i of the plan.
func (b *Bench) Undo(ctx context.Context, i int, s ops.Step) (p ops.Progress, err error) {
	err = b.call(ctx, i, func(t *ops.Tick) error { p, err = s.Undo(ctx, t); return err })
	return p, err
}

// Advance does what one tick of the engine does with a step: poll, start it if that
// says NotStarted, and poll again.
func (b *Bench) Advance(ctx context.Context, i int, s ops.Step) (ops.Progress, error) {
	p, err := b.Poll(ctx, i, s)
	if err != nil || p.Phase != ops.NotStarted {
		return p, err
	}
	if err := b.Start(ctx, i, s); err != nil {
		return ops.Progress{}, err
	}
	return b.Poll(ctx, i, s)
}

func (b *Bench) call(ctx context.Context, i int, f func(*ops.Tick) error) error {
	run := b.Run()
	run.Step, run.Begun = i, true
	t := ops.NewTick(&run, claim{b}, i)
	if err := f(t); err != nil {
		return err
	}
	return t.Flush(ctx)
}

// Run returns the record as stored.
func (b *Bench) Run() ops.Run {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.load()
}

// Change edits the stored record, for tests that start in the middle.
func (b *Bench) Change(f func(*ops.Run)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	run := b.load()
	f(&run)
	b.store(run)
}

// Journal returns the journal as stored.
func (b *Bench) Journal() []ops.Change { return b.Run().Journal }

// Entry returns the stored journal entry with this key.
func (b *Bench) Entry(key string) (ops.Change, bool) {
	for _, c := range b.Journal() {
		if c.Key == key {
			return c, true
		}
	}
	return ops.Change{}, false
}

// Said returns the texts of the events so far.
func (b *Bench) Said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var said []string
	for _, e := range b.events {
		said = append(said, e.Text)
	}
	return said
}

// Events returns the events so far, with their files.
func (b *Bench) Events() []ops.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.events)
}

// Parts returns the parts as stored.
func (b *Bench) Parts() map[string][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.parts)
}

// SetDial is a person turning a dial of the run.
func (b *Bench) SetDial(name, value, by string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dials[name] = ops.Dial{Value: value, By: by, At: time.Now()}
}

// Writes counts the writes of the record and of parts so far, those refused or lost left out. Use it to
// find out how many crash points a call has.
func (b *Bench) Writes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writes
}

// Fences counts the calls of Fence so far.
func (b *Bench) Fences() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fences
}

// TakeOver lets another worker take the run: from now on every write and fence
// returns ops.ErrFenced, until Restart.
func (b *Bench) TakeOver() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fenced = true
}

// CrashBefore lets the process die at the n-th write from now, of the record or of
// parts, before it is stored; CrashAfter right after it was. From then on all writes return ErrCrashed,
// until Restart.
func (b *Bench) CrashBefore(n int) { b.Crash(n, true) }

// CrashAfter lets the process die right after the n-th write from now.
func (b *Bench) CrashAfter(n int) { b.Crash(n, false) }

// Crash is CrashBefore if the write is lost, or else CrashAfter.
func (b *Bench) Crash(n int, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.crashAt, b.lost = b.writes+n, lost
}

// Crashed reports whether the injected crash has happened since the last Restart.
func (b *Bench) Crashed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.crashed
}

// Restart is another process that continues from the stored record: takeovers and
// crashes are over.
func (b *Bench) Restart() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fenced, b.crashed, b.crashAt = false, false, 0
}

// OnWrite calls f before each write of the record with its number among all writes, from
// 1, and the run about to be stored: to prove that an intent is written before the world changes.
func (b *Bench) OnWrite(f func(n int, run ops.Run)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.before = f
}

func (b *Bench) load() ops.Run {
	var run ops.Run
	if err := json.Unmarshal(b.record, &run); err != nil {
		panic(fmt.Sprintf("opstest: stored record: %v", err)) // written by store
	}
	return run
}

func (b *Bench) store(run ops.Run) {
	raw, err := json.Marshal(run)
	if err != nil {
		panic(fmt.Sprintf("opstest: record: %v", err)) // only a step's notes could do it, and Save encodes those
	}
	b.record = raw
}

// claim is the bench seen through ops.Claim.
type claim struct{ b *Bench }

func (c claim) usable() error {
	switch {
	case c.b.crashed:
		return ErrCrashed
	case c.b.fenced:
		return ops.ErrFenced
	}
	return nil
}

func (c claim) Renew(ctx context.Context) error {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	return errors.Join(ctx.Err(), c.usable())
}

func (c claim) Fence(ctx context.Context) (ops.Flag, string, error) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.fences++
	return ops.NoFlag, "", errors.Join(ctx.Err(), c.usable())
}

func (c claim) Put(ctx context.Context, r *ops.Run, events []ops.Event) error {
	return c.write(ctx, func(n int) {
		if c.b.before != nil {
			c.b.before(n, *r)
		}
		r.Rev++
		c.b.store(*r)
		for _, e := range events {
			e.Seq, e.At = int64(len(c.b.events)+1), time.Now()
			c.b.events = append(c.b.events, e)
		}
	})
}

// write does one write, number n, unless the process dies at it.
func (c claim) write(ctx context.Context, f func(n int)) error {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if err := errors.Join(ctx.Err(), c.usable()); err != nil {
		return err
	}
	n := c.b.writes + 1
	dies := c.b.crashAt == n
	if dies && c.b.lost {
		c.b.crashed = true
		return ErrCrashed
	}
	f(n)
	c.b.writes = n
	if dies {
		c.b.crashed = true
		return ErrCrashed
	}
	return nil
}

func (c claim) PutParts(ctx context.Context, parts map[string][]byte) error {
	return c.write(ctx, func(int) {
		for key, value := range parts {
			c.b.parts[key] = slices.Clone(value)
		}
	})
}

func (c claim) Parts(ctx context.Context) (map[string][]byte, error) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if err := errors.Join(ctx.Err(), c.usable()); err != nil {
		return nil, err
	}
	return maps.Clone(c.b.parts), nil
}

func (c claim) Dials(ctx context.Context) (map[string]ops.Dial, error) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if err := errors.Join(ctx.Err(), c.usable()); err != nil {
		return nil, err
	}
	return maps.Clone(c.b.dials), nil
}

func (c claim) PutAndClear(ctx context.Context, r *ops.Run, events []ops.Event, _ ops.Flag) error {
	return c.Put(ctx, r, events)
}

func (c claim) Lock(ctx context.Context, _ []string, _, _ string) error {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	return errors.Join(ctx.Err(), c.usable())
}

func (c claim) Release(ctx context.Context, wake time.Duration) (time.Duration, error) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	return wake, errors.Join(ctx.Err(), c.usable())
}
