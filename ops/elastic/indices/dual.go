package indices

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"twokey/ops"
)

// registerCache is how old what a writer knows of the register may be.
func (s Site) registerCache() time.Duration {
	if s.RegisterCache > 0 {
		return s.RegisterCache
	}
	return 30 * time.Second
}

func (j *job) registerEntry() string { return "register " + j.Entry }

// register makes the destination a second write target, and waits until every writer has
// seen it.
func (j *job) register(ctx context.Context) (progress, error) {
	e, err := j.Register.Get(ctx, j.Entry)
	if err != nil {
		return progress{}, err
	}
	if !slices.Contains(e.Write, j.Dest) {
		if e.Active != j.Source || !slices.Contains(e.Write, j.Source) {
			return progress{failed: fmt.Sprintf("the register's entry %s does not say that %s is active and written to", j.Entry, j.Source)}, nil
		}
		want := e
		want.Write = append(slices.Clone(e.Write), j.Dest)
		err := j.record(ctx, ops.Change{Key: j.registerEntry() + " write", Resource: "register " + j.Entry, Setting: "write",
			Before: text(strings.Join(e.Write, ",")), Intended: text(strings.Join(want.Write, ","))})
		if err != nil {
			return progress{}, err
		}
		j.Waited = time.Time{}
		_, err = j.Register.Put(ctx, j.Entry, want)
		if errors.Is(err, ErrRegisterChanged) {
			err = nil
		}
		return waiting(soon), err
	}
	if j.Waited.IsZero() {
		j.Waited = time.Now()
		if err := j.settleRegister(ctx, "write", ops.Written, strings.Join(e.Write, ",")); err != nil {
			return progress{}, err
		}
	}
	if left := j.registerCache() - time.Since(j.Waited); left > 0 {
		return waiting(left), j.save(ctx)
	}
	return finished, nil
}

func (j *job) settleRegister(ctx context.Context, what string, state ops.ChangeState, after string) error {
	key := j.registerEntry() + " " + what
	if e, ok := j.entry(key); !ok || e.State == state {
		return nil
	}
	return j.settle(ctx, ops.Settlement{Key: key, State: state, After: &after})
}

// unregister takes the destination out of the write targets, and waits until no writer
// writes to it any more.
func (j *job) unregister(ctx context.Context) (progress, error) {
	entry, ok := j.entry(j.registerEntry() + " write")
	if !ok || entry.State == ops.Restored {
		if ok && time.Since(j.Waited) < j.registerCache() {
			return waiting(j.registerCache() - time.Since(j.Waited)), nil
		}
		return finished, nil
	}
	e, err := j.Register.Get(ctx, j.Entry)
	if err != nil {
		return progress{}, err
	}
	if slices.Contains(e.Write, j.Dest) {
		if e.Active == j.Dest {
			return finished, j.settle(ctx, ops.Settlement{Key: entry.Key, State: ops.Left, After: text(strings.Join(e.Write, ",")), Reason: j.Dest + " is the active index"})
		}
		e.Write = slices.DeleteFunc(slices.Clone(e.Write), func(n string) bool { return n == j.Dest })
		if _, err := j.Register.Put(ctx, j.Entry, e); err != nil && !errors.Is(err, ErrRegisterChanged) {
			return progress{}, err
		}
		return waiting(soon), nil
	}
	j.Waited = time.Now()
	if err := j.settle(ctx, ops.Settlement{Key: entry.Key, State: ops.Restored, After: text(strings.Join(e.Write, ","))}); err != nil {
		return progress{}, err
	}
	return waiting(max(j.registerCache(), soon)), j.save(ctx)
}

// activate switches the register from one index to the other.
func (j *job) activate(ctx context.Context, from, to string) (progress, error) {
	e, err := j.Register.Get(ctx, j.Entry)
	if err != nil {
		return progress{}, err
	}
	if to == j.Dest && e.Active == from {
		if p := j.bothIn(e); !p.done {
			return p, nil
		}
	}
	switch e.Active {
	case to:
		return finished, j.settleRegister(ctx, "active", ops.Written, to)
	case from:
	default:
		return progress{blocked: fmt.Sprintf("The register's entry %s says that %s is active, neither %s nor %s. Resume when that is settled, or cancel.", j.Entry, e.Active, from, to)}, nil
	}
	err = j.record(ctx, ops.Change{Key: j.registerEntry() + " active", Resource: "register " + j.Entry, Setting: "active", Before: text(from), Intended: text(to)})
	if err != nil {
		return progress{}, err
	}
	e.Active = to
	if _, err := j.Register.Put(ctx, j.Entry, e); err != nil && !errors.Is(err, ErrRegisterChanged) {
		return progress{}, err
	}
	return waiting(soon), nil
}

// switchBack lets readers go back to the source, which got every write too, because the
// destination may have lost something. It is done at once where they never left.
func (j *job) switchBack(ctx context.Context) (progress, error) {
	if j.Writes != writesDual || j.Back {
		return finished, nil
	}
	e, begun := j.entry(j.registerEntry() + " active")
	begun = begun && e.State != ops.Restored
	if !begun && j.Swapped.IsZero() {
		return finished, nil
	}
	now, err := j.aliases(ctx, j.Source, j.Dest)
	if err != nil {
		return progress{}, err
	}
	var move []alias
	for _, name := range j.Aliases {
		e, ok := j.entry("alias " + name)
		if !ok || e.State == ops.Restored || e.State == ops.Left {
			continue
		}
		a, err := decodeAlias(*e.Intended)
		if err != nil {
			return progress{}, err
		}
		if a.where(now, j.Source, j.Dest) == onTo {
			move = append(move, a)
		} else if err := j.settle(ctx, ops.Settlement{Key: e.Key, State: ops.Restored, After: text(j.Source)}); err != nil {
			return progress{}, err
		}
	}
	if len(move) > 0 {
		return waiting(soon), j.changeAliases(ctx, swap(j.Dest, j.Source, move), j.token)
	}
	if begun {
		if p, err := j.activate(ctx, j.Dest, j.Source); err != nil || !p.done {
			return p, err
		}
		if err := j.settleRegister(ctx, "active", ops.Restored, j.Source); err != nil {
			return progress{}, err
		}
	}
	if !j.Swapped.IsZero() {
		j.say("Readers of %s are back on %s until %s is copied again.", j.Entry, j.Source, j.Dest)
	}
	j.Swapped, j.AtSwap, j.Compared, j.Verified, j.How, j.Flushed = time.Time{}, nil, false, 0, "", false
	return finished, j.save(ctx)
}

// unwritten takes the destination out of the register's write targets before it is deleted,
// and waits until every writer has seen it.
func (j *job) unwritten(ctx context.Context) (progress, error) {
	if j.Writes != writesDual {
		return finished, nil
	}
	if p, err := j.unregister(ctx); err != nil || !p.done {
		return p, err
	}
	e, err := j.Register.Get(ctx, j.Entry)
	if err != nil {
		return progress{}, err
	}
	if e.Active == j.Dest || slices.Contains(e.Write, j.Dest) {
		return progress{blocked: fmt.Sprintf("%s has to be made again, and the register's entry %s still names it. Take it out there and resume, or cancel.", j.Dest, j.Entry)}, nil
	}
	return finished, nil
}

// registerAgain makes a destination that was made again a write target as before.
func (j *job) registerAgain(ctx context.Context) (progress, error) {
	if !j.Rejoin {
		return finished, nil
	}
	p, err := j.register(ctx)
	if err == nil && p.done {
		j.Rejoin = false
		err = j.save(ctx)
	}
	return p, err
}

// writtenToBoth is done while the register says that both indices are written to.
func (j *job) writtenToBoth(ctx context.Context) (progress, error) {
	e, err := j.Register.Get(ctx, j.Entry)
	if err != nil {
		return progress{}, err
	}
	return j.bothIn(e), nil
}

func (j *job) bothIn(e Entry) progress {
	for _, name := range []string{j.Source, j.Dest} {
		if !slices.Contains(e.Write, name) {
			return progress{blocked: fmt.Sprintf("The register's entry %s does not say any more that %s is written to: what was written meanwhile may be missing in it. Cancel and copy again; or put it back, and resume if nothing was written.", j.Entry, name)}
		}
	}
	return finished
}
