package indices

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// patience is how long a lost primary is waited for.
func (j *job) patience() time.Duration {
	if j.LostAfter > 0 {
		return j.LostAfter
	}
	return lost
}

// swap lets readers and writers move to the destination.
func (j *job) swap(ctx context.Context) (progress, error) {
	if !j.Swap {
		return finished, nil
	}
	if j.Swapped.IsZero() {
		moved, err := j.sentAndMoved(ctx)
		if err != nil {
			return progress{}, err
		}
		if j.Writes == writesDual && !moved && !j.Back {
			if p, ok, err := j.complete(ctx); err != nil || !ok {
				return p, err
			}
			if j.How == "" {
				if p, err := j.verify(ctx); err != nil || !p.done {
					return p, err
				}
			}
		}
		if j.Writes != writesDual && !moved {
			j.memo.nowAt = time.Time{}
			now, err := j.reached(ctx)
			if err != nil {
				return progress{}, err
			}
			if !maps.Equal(now.Latest, j.Last) {
				j.unproven()
				j.AtSwap = nil
				p, err := j.verify(ctx)
				if err == nil && p.done {
					p = waiting(soon)
				}
				return p, err
			}
		}
		if j.AtSwap == nil {
			if !fresh(j.memo.destAt) {
				if j.memo.dest, err = j.positions(ctx, j.dest()); err != nil {
					return progress{}, err
				}
			}
			j.AtSwap = j.memo.dest.Latest
			if err := j.save(ctx); err != nil {
				return progress{}, err
			}
		}
	}
	if j.Writes == writesDual {
		if p, err := j.activate(ctx, j.Source, j.Dest); err != nil || !p.done {
			return p, err
		}
	}
	if p, err := j.moveAliases(ctx); err != nil || !p.done {
		return p, err
	}
	if j.Swapped.IsZero() {
		if err := j.strays(ctx); err != nil {
			return progress{}, err
		}
		j.Swapped = time.Now().UTC()
		if err := j.save(ctx); err != nil {
			return progress{}, err
		}
	}
	return finished, nil
}

// strays tells people of operations that the source took in spite of its block, in the
// moment between the last look and the move: they are not in the destination.
func (j *job) strays(ctx context.Context) error {
	if j.Writes == writesDual || j.Last == nil {
		return nil
	}
	now, err := j.positions(ctx, j.source())
	if err != nil {
		return err
	}
	if n := now.after(j.Last); n > 0 {
		j.say("Somebody lifted the write block of %s at the last moment: it took %s that %s does not have. They have the highest sequence numbers (_seq_no) of its shards.",
			j.Source, elastic.Plural(n, "operation"), j.Dest)
	}
	return nil
}

// inUse names a planned alias that stands on the destination; empty: none does. What is
// written there by then must not be corrected by what the source has.
func (j *job) inUse(ctx context.Context) (string, error) {
	if len(j.Aliases) == 0 {
		return "", nil
	}
	now, err := j.aliases(ctx, j.Dest)
	if err != nil {
		return "", err
	}
	for _, a := range now[j.Dest] {
		if slices.Contains(j.Aliases, a.Name) {
			return a.Name, nil
		}
	}
	return "", nil
}

// errInUse ends a correction of the destination; the next call says why to people.
var errInUse = errors.New("an alias that is to move stands on the destination already")

// unused is errInUse when a planned alias stands on the destination.
func (j *job) unused(ctx context.Context) error {
	name, err := j.inUse(ctx)
	if err == nil && name != "" {
		err = fmt.Errorf("%s: %w", name, errInUse)
	}
	return err
}

// notInUse is done while no planned alias stands on the destination.
func (j *job) notInUse(ctx context.Context) (progress, error) {
	name, err := j.inUse(ctx)
	if err != nil {
		return progress{}, err
	}
	if name != "" {
		return progress{blocked: fmt.Sprintf("Alias %s stands on %s already. What is written there now may be newer than what %s has, so nothing is corrected. Put the alias back on %s and resume, or cancel.",
			name, j.Dest, j.Source, j.Source)}, nil
	}
	return finished, nil
}

// sentAndMoved reports whether the aliases stand on the destination because this run asked
// for it: the reply was lost, or nobody lived to read it. They move in one request, so if
// one did, all did, and readers and writers rely on the destination since.
func (j *job) sentAndMoved(ctx context.Context) (bool, error) {
	sent := slices.DeleteFunc(slices.Clone(j.Aliases), func(name string) bool {
		e, ok := j.entry("alias " + name)
		return !ok || e.State != ops.Intended && e.State != ops.Written
	})
	if len(sent) == 0 {
		return false, nil
	}
	now, err := j.aliases(ctx, j.Source, j.Dest)
	if err != nil {
		return false, err
	}
	for _, name := range sent {
		e, _ := j.entry("alias " + name)
		a, err := decodeAlias(*e.Intended)
		if err != nil {
			return false, err
		}
		if a.where(now, j.Source, j.Dest) == onTo {
			return true, nil
		}
	}
	return false, nil
}

// moveAliases takes the planned aliases off the source and gives them to the destination,
// in one request.
func (j *job) moveAliases(ctx context.Context) (progress, error) {
	if len(j.Aliases) == 0 {
		return finished, nil
	}
	now, err := j.aliases(ctx, j.Source, j.Dest)
	if err != nil {
		return progress{}, err
	}
	var move []alias
	var changes []ops.Change
	var done []ops.Settlement
	for _, name := range j.Aliases {
		key := "alias " + name
		entry, begun := j.entry(key)
		begun = begun && entry.State != ops.Restored && entry.State != ops.Left // else as it is now
		var a alias
		if begun {
			if a, err = decodeAlias(*entry.Intended); err != nil {
				return progress{}, err
			}
		} else if i := slices.IndexFunc(now[j.Source], func(a alias) bool { return a.Name == name }); i >= 0 {
			a = now[j.Source][i]
		} else {
			return progress{blocked: fmt.Sprintf("Alias %s is not on %s any more, but %s. Put it back and resume, or cancel.", name, j.Source, stands(name, now, j.Source, j.Dest))}, nil
		}
		switch a.where(now, j.Source, j.Dest) {
		case onFrom:
			move = append(move, a)
			changes = append(changes, ops.Change{Key: key, Resource: "cluster " + j.Environment, Setting: "alias " + name, Before: text(j.Source), Intended: text(a.encode())})
		case onTo:
			if entry.State == ops.Intended {
				done = append(done, ops.Settlement{Key: key, State: ops.Written, After: text(j.Dest)})
			}
		default:
			return progress{blocked: fmt.Sprintf("Alias %s stands %s: somebody else changed it. Put it back on %s and resume, or cancel.", name, stands(name, now, j.Source, j.Dest), j.Source)}, nil
		}
	}
	if len(move) > 0 {
		if err := j.record(ctx, changes...); err != nil {
			return progress{}, err
		}
		if j.Writes != writesDual {
			// The last look before the point of no return.
			now, err := j.positions(ctx, j.source())
			if err != nil {
				return progress{}, err
			}
			if !maps.Equal(now.Latest, j.Last) {
				j.unproven()
				j.AtSwap = nil
				return waiting(soon), j.save(ctx)
			}
		}
		return waiting(soon), j.changeAliases(ctx, swap(j.Source, j.Dest, move), j.token)
	}
	if len(done) > 0 {
		return finished, j.settle(ctx, done...)
	}
	return finished, nil
}

// finish writes down in the destination what it replaces and until when that is kept, and
// settles the journal.
func (j *job) finish(ctx context.Context) (progress, error) {
	if j.Back {
		return j.finishBack(ctx)
	}
	if !j.Swap {
		if p, err := j.unblock(ctx); err != nil || !p.done {
			return p, err
		}
		return finished, j.keepAll(ctx, "")
	}
	if j.Writes == writesDual {
		e, err := j.Register.Get(ctx, j.Entry)
		if err != nil {
			return progress{}, err
		}
		if e.Active == j.Dest {
			if p := j.bothIn(e); !p.done {
				return p, nil
			}
		}
	}
	until, err := j.noteSwap(ctx)
	if err != nil {
		return progress{}, err
	}
	return finished, j.keepAll(ctx, "held until "+until.UTC().Format("2006-01-02 15:04 MST"))
}

// noteSwap writes into the destination that it has replaced the source, and returns until
// when that is kept.
func (j *job) noteSwap(ctx context.Context) (time.Time, error) {
	m := j.mark()
	m.SwappedAt, m.HoldUntil, m.At = j.Swapped.Truncate(time.Second), j.Swapped.Add(j.hold()).Truncate(time.Second), j.AtSwap
	return m.HoldUntil, j.writeMark(ctx, j.Dest, m, j.token)
}

// hold is how long a replaced index is kept.
func (j *job) hold() time.Duration {
	if j.Hold > 0 {
		return j.Hold
	}
	return 7 * 24 * time.Hour
}

// keepAll settles what stays changed on purpose.
func (j *job) keepAll(ctx context.Context, held string) error {
	var all []ops.Settlement
	for _, e := range j.journal() {
		if e.State != ops.Written && e.State != ops.Intended {
			continue
		}
		s := ops.Settlement{Key: e.Key, State: ops.Kept, After: e.After}
		switch {
		case e.Key == j.blockEntry() && held != "":
			s.Reason = "no write to it goes unnoticed while it is " + held
		case strings.HasPrefix(e.Key, j.destKey()+" index."):
			x, err := j.metadata(ctx, j.Dest)
			if err != nil {
				return err
			}
			s.State, s.After = ops.Restored, x.setting(e.Setting)
			if !same(s.After, e.Before) {
				s.State = ops.Left
				s.Reason = "somebody else changed it"
			}
		case e.State == ops.Intended:
			continue
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return nil
	}
	return j.settle(ctx, all...)
}
