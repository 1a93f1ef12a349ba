package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Tick is what a step's methods are given: the run as it stands, and the only
// ways to write to it. It is valid until the method returns.
type Tick struct {
	run    *Run
	claim  Claim
	step   int
	events []Event
	// lost is the latest failure of the store: what it has of this tick is unknown then.
	lost error
}

// NewTick makes the tick of one step of a claimed run. Only the engine and tests of
// steps call it.
func NewTick(run *Run, claim Claim, step int) *Tick {
	return &Tick{run: run, claim: claim, step: step}
}

// Run returns the run. Do not change it.
func (t *Tick) Run() *Run { return t.run }

// Ref is the step's own entry in the plan.
func (t *Tick) Ref() StepRef { return t.run.Plan.Steps[t.step] }

// Now is the present time.
func (t *Tick) Now() time.Time { return time.Now() }

// Fence returns ErrFenced if another worker has taken over. Every change to the
// outside is preceded by Record, which fences too; call Fence before a change that
// repeats one already recorded.
func (t *Tick) Fence(ctx context.Context) error {
	_, _, err := t.claim.Fence(ctx)
	if err != nil {
		t.lost = err
	}
	return err
}

// Record writes into the journal that a value is about to be changed, before it
// is. A second Record of the same Key keeps the first Before (that is what undo
// must put back), takes the new Intended, and is intended again. If Record fails, the
// value must not be changed, and the journal is as before.
func (t *Tick) Record(ctx context.Context, c Change) error {
	before := slices.Clone(t.run.Journal)
	c.Step, c.State, c.After, c.Reason = t.step, Intended, nil, ""
	if i := t.find(c.Key); i >= 0 {
		c.Before, c.Step = t.run.Journal[i].Before, t.run.Journal[i].Step
		t.run.Journal[i] = c
	} else {
		t.run.Journal = append(t.run.Journal, c)
	}
	if err := t.put(ctx); err != nil {
		t.run.Journal = before
		return err
	}
	return nil
}

// Settle writes what became of a recorded change: its state, the value read back,
// and for Left (and Kept, if it needs one) the reason.
func (t *Tick) Settle(ctx context.Context, key string, s ChangeState, after *string, reason string) error {
	i := t.find(key)
	if i < 0 {
		return fmt.Errorf("journal has no entry %q", key)
	}
	e := &t.run.Journal[i]
	e.State, e.After, e.Reason = s, after, reason
	return t.put(ctx)
}

// Entry returns the journal entry with this key.
func (t *Tick) Entry(key string) (Change, bool) {
	if i := t.find(key); i >= 0 {
		return t.run.Journal[i], true
	}
	return Change{}, false
}

// Journal returns a copy of the run's journal, oldest first.
func (t *Tick) Journal() []Change { return slices.Clone(t.run.Journal) }

// Save keeps the step's own notes, as JSON, until the run ends. They are written
// with the tick, or at once when a Record or Settle follows.
func (t *Tick) Save(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("notes of step %d: %w", t.step, err)
	}
	if t.run.Notes == nil {
		t.run.Notes = make(map[int]json.RawMessage)
	}
	t.run.Notes[t.step] = b
	return nil
}

// Load reads the notes into v and reports whether there are any.
func (t *Tick) Load(v any) (bool, error) { return t.LoadOf(t.step, v) }

// LoadOf reads the notes of another step of the same run.
func (t *Tick) LoadOf(step int, v any) (bool, error) {
	b, ok := t.run.Notes[step]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return true, fmt.Errorf("notes of step %d: %w", step, err)
	}
	return true, nil
}

// Say tells the thread something, as a reply of its own. For things people want to
// know afterwards; what changes from poll to poll belongs in Progress.Status.
func (t *Tick) Say(format string, args ...any) {
	t.events = append(t.events, Event{Kind: Milestone, Text: fmt.Sprintf(format, args...)})
}

// Flush writes the record with what was said and saved so far. The engine does it
// after each method of a step; a step needs it only to keep notes before it acts.
func (t *Tick) Flush(ctx context.Context) error { return t.put(ctx) }

func (t *Tick) find(key string) int {
	return slices.IndexFunc(t.run.Journal, func(c Change) bool { return c.Key == key })
}

// put writes the record with what was said so far.
func (t *Tick) put(ctx context.Context) error {
	if err := t.claim.Put(ctx, t.run, t.events); err != nil {
		t.lost = err
		return err
	}
	t.events = nil
	return nil
}
