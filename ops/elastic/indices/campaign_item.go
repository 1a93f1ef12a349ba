package indices

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"twokey/ops"
)

// pairing is one index of a campaign, frozen in the plan. Its names are in the plan's
// targets: of thousands, everything counts that is said twice.
type pairing struct {
	Source   string `json:"-"`
	UUID     string `json:"u"`
	Dest     string `json:"-"`
	Existing string `json:"e,omitempty"` // uuid of an empty Dest that is there
	Template bool   `json:"t,omitempty"` // Dest is as templates say, and not as Source
	Entry    string `json:"r,omitempty"` // of the register
	// Aliases move to Dest, sorted; with none, and no register, nothing moves.
	Aliases []string `json:"a,omitempty"`
}

// target is the pairing for people, and its place in the plan's list.
func (p pairing) target() string { return p.Source + " → " + p.Dest }

// Names of parameters of a campaign's plan.
const (
	paramRules = "rules"
	paramCopy  = "copy:" // and the source's name: its pairing
)

// pairingsOf reads a plan's pairings, in its order.
func pairingsOf(p ops.Plan) (rules, []pairing, error) {
	var r rules
	if err := json.Unmarshal([]byte(p.Params[paramRules]), &r); err != nil {
		return r, nil, fmt.Errorf("rules of the campaign: %w", err)
	}
	pairs := make([]pairing, len(p.Targets))
	for i, t := range p.Targets {
		source, dest, _ := strings.Cut(t, " → ")
		if err := json.Unmarshal([]byte(p.Params[paramCopy+source]), &pairs[i]); err != nil {
			return r, nil, fmt.Errorf("index %s of the campaign: %w", source, err)
		}
		pairs[i].Source, pairs[i].Dest = source, dest
	}
	return r, pairs, nil
}

// item is one index at work. It is stored in a part of the run of its own, so that a
// campaign over thousands of indices writes a few hundred bytes at a time.
type item struct {
	N       int          `json:"-"` // place in the plan's list
	State   *state       `json:"state,omitempty"`
	Phase   int          `json:"phase"`
	Changes []ops.Change `json:"changes,omitempty"`
	Began   time.Time    `json:"began,omitzero"`
	Ended   time.Time    `json:"ended,omitzero"`
	Tries   int          `json:"tries,omitempty"`  // calls in a row that failed
	After   time.Time    `json:"after,omitzero"`   // not before
	Fault   string       `json:"fault,omitempty"`  // the latest failure, for people
	Waits   bool         `json:"waits,omitempty"`  // for replicas, too long; the copy itself is complete
	Failed  bool         `json:"failed,omitempty"` // given up, until a person resumes
	Undone  bool         `json:"undone,omitempty"`
	// What is left of the state once the index is done.
	Docs    int64  `json:"docs,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	How     string `json:"how,omitempty"`
	Refused int    `json:"refused,omitempty"`
	Again   int    `json:"again,omitempty"`
}

func (i *item) done() bool    { return !i.Ended.IsZero() }
func (i *item) begun() bool   { return i.State != nil }
func (i *item) swapped() bool { return i.done() || i.State != nil && !i.State.Swapped.IsZero() }

// stuck reports whether it waits for a person, who is asked when nothing else is in work: it
// waits for replicas that do not come, or fails each time, and what there is of it cannot be undone, or not given up.
func (i *item) stuck() bool {
	return (i.Waits || i.Tries >= itemTries) && !i.done() && !(i.Failed && i.Undone)
}

// key is the part's name; keys are in the order of the plan.
func (i *item) key() string { return fmt.Sprintf("i%06d", i.N) }

// itemLedger writes what a copy changes into its item. It writes with the context of the
// step's call and not with the shorter one of the item's requests: a write that is broken
// off is one nobody knows the end of, and that ends the call for all items.
type itemLedger struct {
	ctx  context.Context
	t    *ops.Tick
	i    *item
	name string // of the source, for people
	told bool   // something was said that is not written yet
}

func (l *itemLedger) find(key string) int {
	return slices.IndexFunc(l.i.Changes, func(c ops.Change) bool { return c.Key == key })
}

func (l *itemLedger) record(ctx context.Context, changes ...ops.Change) error {
	before := slices.Clone(l.i.Changes)
	for _, c := range changes {
		c.State, c.After, c.Reason = ops.Intended, nil, ""
		if at := l.find(c.Key); at >= 0 {
			c.Before = l.i.Changes[at].Before
			l.i.Changes[at] = c
		} else {
			l.i.Changes = append(l.i.Changes, c)
		}
	}
	if err := l.save(ctx); err != nil {
		l.i.Changes = before
		return err
	}
	return nil
}

func (l *itemLedger) settle(ctx context.Context, settlements ...ops.Settlement) error {
	for _, s := range settlements {
		at := l.find(s.Key)
		if at < 0 {
			return fmt.Errorf("journal of %s has no entry %q", l.name, s.Key)
		}
		c := &l.i.Changes[at]
		c.State, c.After, c.Reason = s.State, s.After, s.Reason
	}
	return l.save(ctx)
}

func (l *itemLedger) entry(key string) (ops.Change, bool) {
	if at := l.find(key); at >= 0 {
		return l.i.Changes[at], true
	}
	return ops.Change{}, false
}

func (l *itemLedger) journal() []ops.Change { return slices.Clone(l.i.Changes) }

// save writes what was said first: once the state is beyond it, nobody says it again.
func (l *itemLedger) save(context.Context) error {
	if l.told {
		if err := l.t.Flush(l.ctx); err != nil {
			return err
		}
		l.told = false
	}
	return l.t.PutPart(l.ctx, l.i.key(), l.i)
}

func (l *itemLedger) say(format string, args ...any) {
	l.t.Say("%s: %s", l.name, fmt.Sprintf(format, args...))
	l.told = true
}

func (l *itemLedger) attach(name, content, format string, args ...any) {
	l.t.Attach(name, content, format, args...)
	l.told = true
}
