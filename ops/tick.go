package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Tick is what a step's methods are given: the run as it stands, and the only
// ways to write to it. It is valid until the method returns; after that, writes are
// refused.
//
// A method may drive several things at once: all methods of a Tick may be called from
// several goroutines, which must be over when the step's method returns. Writes of the
// record follow one another, each with all that was recorded, saved and said before it.
// Give them the context the step was given: a write whose context ends on its way is
// one of which nobody knows whether it was made, and that ends the tick.
type Tick struct {
	run   *Run
	claim Claim
	step  int

	mu     sync.Mutex     // guards the run's journal and notes, and what follows
	at     map[string]int // the place of each key in the journal; nil: to be made
	events []Event
	// lost is the first failure of the store: what it has of this tick is unknown then,
	// and nothing is written on top of it.
	lost error
	over bool // the step's method has returned
}

// NewTick makes the tick of one step of a claimed run. Only the engine and tests of
// steps call it.
func NewTick(run *Run, claim Claim, step int) *Tick {
	return &Tick{run: run, claim: claim, step: step}
}

// Run returns the run. Do not change it, and look at its journal and notes by the
// methods of Tick only.
func (t *Tick) Run() *Run { return t.run }

// Ref is the step's own entry in the plan.
func (t *Tick) Ref() StepRef { return t.run.Plan.Steps[t.step] }

// Now is the present time.
func (t *Tick) Now() time.Time { return time.Now() }

// Fence returns ErrFenced if another worker has taken over. Every change to the
// outside is preceded by Record, which fences too; call Fence before a change that
// repeats one already recorded.
func (t *Tick) Fence(ctx context.Context) error {
	t.mu.Lock()
	err := t.writable(ctx)
	t.mu.Unlock()
	if err != nil {
		return err
	}
	_, _, err = t.claim.Fence(ctx)
	return t.noteLost(err)
}

// Record writes into the journal that a value is about to be changed, before it
// is. A second Record of the same Key keeps the first Before (that is what undo
// must put back), takes the new Intended, and is intended again. If Record fails, the
// value must not be changed, and the journal is as before.
func (t *Tick) Record(ctx context.Context, c Change) error {
	return t.RecordAll(ctx, []Change{c})
}

// RecordAll records several changes in one write of the record.
//
// A run of class R0, about which nobody was asked, may change nothing: it is refused.
func (t *Tick) RecordAll(ctx context.Context, changes []Change) error {
	if t.run.Plan.Class == R0 {
		return fmt.Errorf("%s is of class R0 and may change nothing", t.run.Plan.Call.Kind)
	}
	return t.amend(ctx, func() error {
		for _, c := range changes {
			c.Step, c.State, c.After, c.Reason = t.step, Intended, nil, ""
			if i := t.find(c.Key); i >= 0 {
				c.Before, c.Step = t.run.Journal[i].Before, t.run.Journal[i].Step
				t.run.Journal[i] = c
			} else {
				t.at[c.Key] = len(t.run.Journal)
				t.run.Journal = append(t.run.Journal, c)
			}
		}
		return nil
	})
}

// Settlement is what became of one recorded change: its state, the value read back,
// and for Left (and Kept, if it needs one) the reason.
type Settlement struct {
	Key    string
	State  ChangeState
	After  *string
	Reason string
}

// Settle writes what became of a recorded change; see Settlement. If it fails, the
// journal is as before.
func (t *Tick) Settle(ctx context.Context, key string, s ChangeState, after *string, reason string) error {
	return t.SettleAll(ctx, []Settlement{{Key: key, State: s, After: after, Reason: reason}})
}

// SettleAll settles several changes in one write of the record. It is an error, and
// nothing is settled, if one of them was not recorded.
func (t *Tick) SettleAll(ctx context.Context, settlements []Settlement) error {
	return t.amend(ctx, func() error {
		for _, s := range settlements {
			i := t.find(s.Key)
			if i < 0 {
				return fmt.Errorf("journal has no entry %q", s.Key)
			}
			e := &t.run.Journal[i]
			e.State, e.After, e.Reason = s.State, s.After, s.Reason
		}
		return nil
	})
}

// amend changes the journal by f and writes the record. If either fails, the journal is
// as before.
func (t *Tick) amend(ctx context.Context, f func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := slices.Clone(t.run.Journal)
	err := f()
	if err == nil {
		err = t.put(ctx)
	}
	if err != nil {
		t.run.Journal, t.at = before, nil
	}
	return err
}

// Entry returns the journal entry with this key.
func (t *Tick) Entry(key string) (Change, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := t.find(key); i >= 0 {
		return t.run.Journal[i], true
	}
	return Change{}, false
}

// Journal returns a copy of the run's journal, oldest first.
func (t *Tick) Journal() []Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.run.Journal)
}

// Save keeps the step's own notes, as JSON, until the run ends. They are written
// with the tick, or at once when a Record or Settle follows. For what grows with the
// number of things a step works on, see PutPart.
func (t *Tick) Save(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("notes of step %d: %w", t.step, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
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
	t.mu.Lock()
	b, ok := t.run.Notes[step]
	t.mu.Unlock()
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return true, fmt.Errorf("notes of step %d: %w", step, err)
	}
	return true, nil
}

// Say tells the thread something, as a reply of its own. For things people want to
// know afterwards; what changes from poll to poll belongs in Progress.Status. It is
// written by the next write of the record, which may be another goroutine's: what must
// be said exactly once, with a Record or Settle, is said where no others write.
func (t *Tick) Say(format string, args ...any) {
	t.tell(Event{Kind: Milestone, Text: fmt.Sprintf(format, args...)})
}

// Attach is Say with a file. Content longer than MaxFile is cut at the end of a line,
// and its last line says so.
func (t *Tick) Attach(name, content, format string, args ...any) {
	t.tell(Event{Kind: Milestone, Text: fmt.Sprintf(format, args...), File: newFile(name, content)})
}

func (t *Tick) tell(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, e)
}

// Flush writes the record with what was said and saved so far. The engine does it
// after each method of a step; a step needs it only to keep notes before it acts.
func (t *Tick) Flush(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.put(ctx)
}

// end closes the tick and returns what was said and not yet written, and the failure
// of the store, if there was one.
func (t *Tick) end() ([]Event, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	return t.events, t.lost
}

// The following are called with mu held.

func (t *Tick) find(key string) int {
	if t.at == nil {
		t.at = make(map[string]int, len(t.run.Journal))
		for i, c := range t.run.Journal {
			t.at[c.Key] = i
		}
	}
	if i, ok := t.at[key]; ok {
		return i
	}
	return -1
}

// put writes the record with what was said so far.
func (t *Tick) put(ctx context.Context) error {
	if err := t.writable(ctx); err != nil {
		return err
	}
	if err := t.claim.Put(ctx, t.run, t.events); err != nil {
		t.lost = err
		return err
	}
	t.events = nil
	return nil
}

// errOver is what a goroutine is told that a step's method left behind.
var errOver = errors.New("the step's method has returned")

// writable returns why nothing may be written: the context is over, so that what is not
// sent is known not to be; the method has returned; or an earlier write was lost.
func (t *Tick) writable(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case t.over:
		return errOver
	}
	return t.lost
}

// noteLost keeps the first failure of the store; mu must not be held.
func (t *Tick) noteLost(err error) error {
	if err == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost == nil {
		t.lost = err
	}
	return err
}
