package indices

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"twokey/ops"
	"twokey/ops/elastic"
)

// entriesAtOnce is how many register entries one start of unregisterStep works on, and
// how many are read at the same time to plan.
const entriesAtOnce = 20

// paramEntry and the name of a register entry: the indices to take out of it, with commas.
const paramEntry = "entry:"

func errNoRegister(s Site, entry, index string) error {
	return &ops.UserError{
		What: fmt.Sprintf("%s has no register, and writers of its entry %s may write to %s.", s.Environment, entry, index),
		Next: "Configure elasticsearch.register as it was when the index was copied.",
	}
}

// readEntries reads the register's entries that may name these indices: those that were
// switched when it replaced another, or another it.
func (w *deleteSurvey) readEntries(ctx context.Context, of ...listed) error {
	var names []string
	for _, x := range of {
		about := []string{w.marks[x.Name].Register}
		for _, c := range w.copies[x.UUID] {
			about = append(about, c.Register)
		}
		slices.Sort(about)
		about = slices.DeleteFunc(slices.Compact(about), func(name string) bool { return name == "" })
		if len(about) > 0 && w.Register == nil {
			return errNoRegister(w.Site, about[0], x.Name)
		}
		w.about[x.Name] = about
		names = append(names, about...)
	}
	var all errgroup.Group
	all.SetLimit(entriesAtOnce)
	var mu sync.Mutex
	for _, name := range names {
		all.Go(func() error {
			e, err := w.Register.Get(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			w.entries[name] = e
			return err
		})
	}
	return all.Wait()
}

// unregister adds to the plan what happens in the register before the deletion, if there
// is something.
func (w *deleteSurvey) unregister(p *ops.Plan, params map[string]string) {
	out := map[string][]string{} // by entry
	for _, x := range w.list {
		for _, name := range w.about[x.Name] {
			if slices.Contains(w.entries[name].Write, x.Name) {
				out[name] = append(out[name], x.Name)
			}
		}
	}
	if len(out) == 0 {
		return
	}
	for i, name := range slices.Sorted(maps.Keys(out)) {
		params[paramEntry+name] = strings.Join(out[name], ",")
		if i < maxNamed {
			p.Shown = append(p.Shown, ops.Line{Label: "Register", Text: fmt.Sprintf("entry %s: %s is taken out of the write targets first", name, elastic.And(out[name]))})
		}
	}
	if more := len(out) - maxNamed; more > 0 {
		p.Shown = append(p.Shown, ops.Line{Label: "Register", Text: fmt.Sprintf("%d entries more, in the same way", more)})
	}
	p.Steps = append(p.Steps, ops.StepRef{Name: "register", Version: stepsVersion, Params: params,
		Title: fmt.Sprintf("take them out of the write targets of %s, and wait until every writer knows", entriesText(len(out)))})
	p.Undo = append(p.Undo, "Indices that are not deleted yet become write targets again; what was written in between is not in them.")
}

func entriesText(n int) string {
	if n == 1 {
		return "1 register entry"
	}
	return fmt.Sprintf("%d register entries", n)
}

// stays says why an entry cannot do without indices; empty: it can.
func stays(name string, e Entry, indices []string) string {
	switch rest := without(e.Write, indices); {
	case slices.Contains(indices, e.Active):
		return fmt.Sprintf("register entry %s has %s as its active index", name, e.Active)
	case len(rest) == 0 && len(e.Write) > 0:
		return fmt.Sprintf("register entry %s has no other write target than %s", name, elastic.And(e.Write))
	}
	return ""
}

func without(list, gone []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(n string) bool { return slices.Contains(gone, n) })
}

// unregisterStep takes indices that are to be deleted out of the write targets of register
// entries, and waits until no writer writes to them any more.
type unregisterStep struct{ deleteStep }

type unregisterNotes struct {
	SentAt time.Time `json:"sent_at,omitzero"`
	OutAt  time.Time `json:"out_at,omitzero"` // all were seen to be out
	Stays  string    `json:"stays,omitempty"` // why one cannot be taken out
}

// writeKey is the journal's key of an entry's write targets.
func writeKey(entry string) string { return "register " + entry + " write" }

func (s unregisterStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	var n unregisterNotes
	if _, err := t.Load(&n); err != nil {
		return err
	}
	until := t.Now().Add(deleteTime)
	wanted := map[string]Entry{}
	var changes []ops.Change
	for _, name := range slices.Sorted(maps.Keys(s.entries)) {
		if c, ok := t.Entry(writeKey(name)); ok && c.State != ops.Intended {
			continue
		}
		if len(wanted) == entriesAtOnce || t.Now().After(until) {
			break
		}
		e, err := s.Register.Get(ctx, name)
		if err != nil {
			return err
		}
		if n.Stays = stays(name, e, s.entries[name]); n.Stays != "" {
			return t.Save(n)
		}
		before := strings.Join(e.Write, ",")
		e.Write = without(e.Write, s.entries[name])
		wanted[name] = e
		changes = append(changes, ops.Change{Key: writeKey(name), Resource: "register " + name, Setting: "write",
			Before: &before, Intended: text(strings.Join(e.Write, ","))})
	}
	n.SentAt = t.Now()
	if err := t.Save(n); err != nil {
		return err
	}
	if err := t.RecordAll(ctx, changes); err != nil {
		return err
	}
	for i, name := range slices.Sorted(maps.Keys(wanted)) {
		if *changes[i].Before == *changes[i].Intended {
			continue
		}
		if t.Now().After(until) {
			break
		}
		if _, err := s.Register.Put(ctx, name, wanted[name]); err != nil && !errors.Is(err, ErrRegisterChanged) {
			return err
		}
	}
	return nil
}

func (s unregisterStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n unregisterNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	left := 0
	var settled, kept []ops.Settlement
	for _, name := range slices.Sorted(maps.Keys(s.entries)) {
		c, ok := t.Entry(writeKey(name))
		switch {
		case !ok:
			left++
			continue
		case c.State != ops.Intended:
			kept = append(kept, ops.Settlement{Key: c.Key, State: ops.Kept, After: c.After})
			continue
		}
		e, err := s.Register.Get(ctx, name)
		if err != nil {
			return ops.Progress{}, err
		}
		if len(without(e.Write, s.entries[name])) < len(e.Write) {
			left++
			continue
		}
		settled = append(settled, ops.Settlement{Key: c.Key, State: ops.Written, After: text(strings.Join(e.Write, ","))})
	}
	if len(settled) > 0 {
		if err := t.SettleAll(ctx, settled); err != nil {
			return ops.Progress{}, err
		}
	}
	total := len(s.entries)
	p := ops.Progress{Phase: ops.NotStarted, Wait: time.Millisecond, Status: ops.Status{
		Headline: fmt.Sprintf("Taken out of the write targets: %d of %s", total-left, entriesText(total)), Done: int64(total - left), Total: int64(total), Unit: "entries"}}
	switch {
	case n.Stays != "":
		p.Phase, p.Reason, n.Stays = ops.Blocked, fmt.Sprintf("Nothing is deleted: %s. Resume when that is settled, or cancel.", n.Stays), ""
		return p, t.Save(n)
	case left > 0:
		return p, t.Save(n)
	case n.OutAt.IsZero():
		n.OutAt = t.Now()
	}
	if wait := s.registerCache() - t.Now().Sub(n.OutAt); wait > 0 || len(settled) > 0 {
		p.Phase, p.Wait = ops.Waiting, max(wait, soon)
		p.Status.Headline = "No writer is told to write to what is deleted; waiting until every one of them knows"
		return p, t.Save(n)
	}
	p.Phase = ops.Done
	return p, t.SettleAll(ctx, kept)
}

// Undo puts back the indices that are still there, and settles the others as left.
func (s unregisterStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n unregisterNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	at, other := s.look(ctx)
	if other != nil && !errors.As(other, &goneError{}) {
		return ops.Progress{}, other
	}
	begun, early, more := false, false, false
	until := t.Now().Add(deleteTime)
	for _, name := range slices.Sorted(maps.Keys(s.entries)) {
		c, ok := t.Entry(writeKey(name))
		begun = begun || ok
		if !ok || c.State == ops.Restored || c.State == ops.Left {
			continue
		}
		if t.Now().After(until) {
			more = true
			break
		}
		e, err := s.Register.Get(ctx, name)
		if err != nil {
			return ops.Progress{}, err
		}
		back, lost := s.puts(name, c, e, at)
		now := text(strings.Join(e.Write, ","))
		switch {
		case other != nil:
			err = t.Settle(ctx, c.Key, ops.Left, now, other.Error())
		case len(back) > 0 && e.Version == "":
			err = t.Settle(ctx, c.Key, ops.Left, nil, "somebody took the entry out of the register")
		case len(back) > 0:
			// Written, so that its ending says that it was out for a while.
			if err = t.Settle(ctx, c.Key, ops.Written, now, ""); err == nil {
				e.Write, more = back, true
				if _, err = s.Register.Put(ctx, name, e); errors.Is(err, ErrRegisterChanged) {
					err = nil
				}
			}
		case len(lost) > 0:
			err = t.Settle(ctx, c.Key, ops.Left, now, elastic.And(lost)+" deleted, cannot be written to any more")
		case c.State == ops.Intended && t.Now().Sub(n.SentAt) < lateness:
			early = true // the request may still arrive
		case c.State == ops.Intended:
			err = t.Settle(ctx, c.Key, ops.Restored, now, "")
		default:
			err = t.Settle(ctx, c.Key, ops.Restored, now, "what writers wrote in between is not in "+elastic.And(s.entries[name]))
		}
		if err != nil {
			return ops.Progress{}, err
		}
	}
	switch {
	case !begun:
		return ops.Progress{Phase: ops.NotStarted}, nil
	case more:
		return ops.Progress{Phase: ops.Waiting, Wait: soon, Status: ops.Status{Headline: "Putting back write targets in the register"}}, nil
	case early:
		return ops.Progress{Phase: ops.Waiting, Wait: time.Second, Status: ops.Status{Headline: "Waiting until the request that was sent cannot arrive any more"}}, nil
	}
	return ops.Progress{Phase: ops.Done}, nil
}

// puts is what the write targets of an entry are with those put back that this run took
// out and that are there: each at its place, or at the end; nil: none is to be put back.
// lost are those that are not there any more.
func (s unregisterStep) puts(name string, c ops.Change, e Entry, at map[string]standing) (back, lost []string) {
	list, changed := slices.Clone(e.Write), false
	for i, index := range strings.Split(*c.Before, ",") {
		switch {
		case !slices.Contains(s.entries[name], index) || slices.Contains(list, index):
		case at[index] != there:
			lost = append(lost, index)
		default:
			list, changed = slices.Insert(list, min(i, len(list)), index), true
		}
	}
	if !changed {
		return nil, lost
	}
	return list, lost
}
