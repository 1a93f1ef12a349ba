package indices

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"twokey/ops"
)

// Undo gives each index its own filters back, where they still are what this run wrote.
func (s filterStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n filterNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	open := map[string]string{} // indices with entries that are not settled
	for name, uuid := range planned(t) {
		for _, family := range families {
			if e, ok := t.Entry(zoneKey(name, family)); ok && e.State != ops.Restored && e.State != ops.Left {
				open[name] = uuid
			}
		}
	}
	if len(open) == 0 {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	there, missing, err := s.present(ctx, open)
	if errors.As(err, &goneError{}) {
		return ops.Progress{Phase: ops.Blocked, Reason: sentenceOf(err.Error())}, nil
	} else if err != nil {
		return ops.Progress{}, err
	}
	var settled []ops.Settlement
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		for _, one := range s.settlements(t, listed{Name: name}, ops.Left, missing[name]) {
			if e, _ := t.Entry(one.Key); e.State != ops.Restored {
				settled = append(settled, one)
			}
		}
	}
	var again zoneNotes // of the wait, which may have written too
	if _, err := t.LoadOf(t.Run().Step+1, &again); err != nil {
		return ops.Progress{}, err
	}
	early := t.Now().Sub(n.SentAt) < lateness || t.Now().Sub(again.SentAt) < lateness
	waiting := false
	for _, x := range there {
		done, wait := s.settle(t, x, early)
		settled, waiting = append(settled, done...), waiting || wait
	}
	if len(settled) > 0 {
		if err := t.SettleAll(ctx, settled); err != nil {
			return ops.Progress{}, err
		}
	}
	p := ops.Progress{Phase: ops.Waiting, Wait: time.Millisecond, Status: ops.Status{
		Headline: fmt.Sprintf("Putting back the filters of %s", countOf(len(there)))}}
	until, wrote := t.Now().Add(filterTime), false
	restore := func(x listed) settings { return s.restore(t, x) }
	for _, batch := range batches(there, restore) {
		if wrote && t.Now().After(until) {
			break
		}
		if err := t.Fence(ctx); err != nil {
			return p, err
		}
		if err := s.putFilters(ctx, batch, restore(batch[0]), t.Run().ID); err != nil {
			return p, err
		}
		wrote = true
	}
	switch {
	case wrote:
	case waiting:
		p.Wait = time.Second
		p.Status.Headline = "Waiting until the request that was sent cannot arrive any more"
	default:
		p = ops.Progress{Phase: ops.Done}
	}
	return p, nil
}

// restore is the update that gives an index back what this run changed and nobody since.
func (z zone) restore(t *ops.Tick, x listed) settings {
	change := settings{}
	for _, family := range families {
		e, ok := t.Entry(zoneKey(x.Name, family))
		now := x.own(z.key(family))
		if ok && e.State != ops.Restored && e.State != ops.Left && !same(e.Before, e.Intended) && same(now, e.Intended) {
			change[z.key(family)] = e.Before
		}
	}
	return change
}

// settle settles those entries of an index whose value is not this run's any more. It
// reports whether one has to wait: it was intended, is as before, and the request may
// still arrive.
func (z zone) settle(t *ops.Tick, x listed, early bool) (settled []ops.Settlement, wait bool) {
	for _, family := range families {
		e, ok := t.Entry(zoneKey(x.Name, family))
		if !ok || e.State == ops.Restored || e.State == ops.Left {
			continue
		}
		now := x.own(z.key(family))
		switch {
		case same(now, e.Before) && e.State == ops.Intended && early:
			wait = true
		case same(now, e.Before):
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Restored, After: now})
		case !same(now, e.Intended):
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Left, After: now, Reason: "somebody else changed it meanwhile"})
		}
	}
	return settled, wait
}

func same(a, b *string) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }
