package indices

import (
	"context"
	"strings"
	"time"

	"twokey/ops"
)

// unswap is called while not everything has moved. All aliases move in one request: those
// that stand on the destination moved with it, and then so did all.
func (j *job) unswap(ctx context.Context) (progress, error) {
	now, err := j.aliases(ctx, j.Source, j.Dest)
	if err != nil {
		return progress{}, err
	}
	var settled []ops.Settlement
	for _, name := range j.Aliases {
		e, ok := j.entry("alias " + name)
		if !ok || e.State == ops.Restored || e.State == ops.Left {
			continue
		}
		a, err := decodeAlias(*e.Intended)
		if err != nil {
			return progress{}, err
		}
		switch a.where(now, j.Source, j.Dest) {
		case onTo:
			// It was carried out after all. Writers may be there already.
			j.Swapped = time.Now().UTC()
			if err := j.save(ctx); err != nil {
				return progress{}, err
			}
			return j.leave(ctx)
		case onFrom:
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Restored, After: text(j.Source)})
		default:
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Left, After: text(stands(name, now, j.Source, j.Dest)), Reason: "somebody else changed it"})
		}
	}
	if _, ok := j.entry(j.registerEntry() + " active"); ok && j.Writes == writesDual {
		p, err := j.activate(ctx, j.Dest, j.Source)
		switch {
		case err != nil:
			return p, err
		case p.blocked != "":
			settled = append(settled, ops.Settlement{Key: j.registerEntry() + " active", State: ops.Left, Reason: p.blocked})
		case !p.done:
			return p, nil
		default:
			settled = append(settled, ops.Settlement{Key: j.registerEntry() + " active", State: ops.Restored, After: text(j.Source)})
		}
	}
	if len(settled) > 0 {
		if err := j.settle(ctx, settled...); err != nil {
			return progress{}, err
		}
	}
	return j.stop(ctx)
}

// stop ends what runs on the server for this copy.
func (j *job) stop(ctx context.Context) (progress, error) {
	none, err := j.stopTasks(ctx)
	if err != nil || !none {
		return waiting(500 * time.Millisecond), err
	}
	return finished, nil
}

// drop undoes create: the destination goes if this run made it, and else gets back the
// settings it had. So does the index of documents put aside.
func (j *job) drop(ctx context.Context) (progress, error) {
	if p, err := j.stop(ctx); err != nil || !p.done {
		return p, err
	}
	for _, name := range []string{j.refusedIndex(), j.Dest} {
		e, ok := j.entry("index " + name)
		if !ok || e.State == ops.Restored || e.State == ops.Left {
			continue
		}
		x, there, err := j.find(ctx, name)
		if err != nil {
			return progress{}, err
		}
		if there {
			m, err := j.marksOf(ctx, []string{name})
			if err != nil {
				return progress{}, err
			}
			if m[name].Run != j.runID {
				if err := j.settle(ctx, ops.Settlement{Key: e.Key, State: ops.Left, After: text("another index"), Reason: "this run did not make it"}); err != nil {
					return progress{}, err
				}
				continue
			}
			now, err := j.aliases(ctx, name)
			if err != nil {
				return progress{}, err
			}
			if len(now[name]) > 0 {
				if err := j.settle(ctx, ops.Settlement{Key: e.Key, State: ops.Left, After: e.Intended, Reason: "alias " + now[name][0].Name + " points to it"}); err != nil {
					return progress{}, err
				}
				continue
			}
			return waiting(soon), j.remove(ctx, name, x.UUID, j.token)
		}
		if err := j.settle(ctx, ops.Settlement{Key: e.Key, State: ops.Restored}); err != nil {
			return progress{}, err
		}
	}
	if j.Existing == "" {
		return finished, nil
	}
	x, there, err := j.find(ctx, j.Dest)
	if err != nil || !there {
		return finished, err
	}
	back := settings{}
	for _, e := range j.journal() {
		if strings.HasPrefix(e.Key, j.destKey()+" index.") && e.State != ops.Restored && e.State != ops.Left {
			back[e.Setting] = e.Before
		}
	}
	if missing := back.missingFrom(x); len(missing) > 0 {
		return waiting(soon), j.putSettings(ctx, j.Dest, back, j.token)
	}
	return finished, j.settleSettings(ctx, x, ops.Restored)
}

// leave settles a copy that is cancelled after its aliases moved: what readers and writers
// rely on by now is not taken away from them. It gets the settings it was to have, and the
// note by which es swap-back finds the way.
func (j *job) leave(ctx context.Context) (progress, error) {
	x, there, err := j.find(ctx, j.Dest)
	if err != nil {
		return progress{}, err
	}
	if there && !j.Back {
		if missing := j.Final.missingFrom(x); len(missing) > 0 && !j.Given {
			return waiting(soon), j.putSettings(ctx, j.Dest, j.Final, j.token)
		}
		if _, err := j.noteSwap(ctx); err != nil {
			return progress{}, err
		}
	}
	var all []ops.Settlement
	for _, e := range j.journal() {
		if e.State == ops.Written || e.State == ops.Intended {
			all = append(all, ops.Settlement{Key: e.Key, State: ops.Left, After: cmpOr(e.After, e.Intended),
				Reason: "readers and writers have moved to " + j.Dest + "; es swap-back " + j.Dest + " brings them back"})
		}
	}
	if len(all) == 0 {
		return finished, nil
	}
	return finished, j.settle(ctx, all...)
}

func cmpOr(a, b *string) *string {
	if a != nil {
		return a
	}
	return b
}
