package indices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"twokey/ops/elastic"
)

// lost is how long a primary of the destination may be away before it is given up.
const lost = 3 * time.Minute

// destination looks whether what was copied is still there. A copy without replicas goes
// with its node; and a node that crashed and came back may have lost the last writes it
// acknowledged, because the destination's log is not synced before the copy is complete.
// ok says that copying may go on.
func (j *job) destination(ctx context.Context) (progress, bool, error) {
	if j.Remake || j.Made && j.DestUUID == "" { // given up, and not made again yet
		return j.makeAgain(ctx)
	}
	if fresh(j.memo.wholeAt) && j.Terms != "" {
		return progress{}, true, nil
	}
	terms, whole, err := j.terms(ctx, j.dest())
	if errors.Is(err, errGone) {
		if !j.Made {
			return progress{failed: fmt.Sprintf("%s is gone", j.Dest)}, false, nil
		}
		j.LostSince = time.Now()
		return j.makeAgain(ctx)
	}
	if err != nil {
		return progress{}, false, err
	}
	if !whole || j.Terms != "" && j.Terms != terms {
		if p, err := j.switchBack(ctx); err != nil || !p.done {
			return p, false, err
		}
	}
	switch {
	case !whole && j.LostSince.IsZero():
		j.LostSince = time.Now() // or they have not started yet
		return waiting(50 * time.Millisecond), false, j.save(ctx)
	case !whole && time.Since(j.LostSince) < j.patience():
		return waiting(min(3*time.Second, time.Since(j.LostSince)/4+20*time.Millisecond)), false, nil
	case !whole && j.Terms == "":
		j.LostSince = time.Time{}
		return progress{blocked: fmt.Sprintf("The shards of %s have not started for %s: %s Put that right and resume, or cancel.",
			j.Dest, elastic.Span(j.patience()), j.unassigned(ctx))}, false, j.save(ctx)
	case !whole:
		return j.makeAgain(ctx)
	}
	if p, err := j.registerAgain(ctx); err != nil || !p.done {
		return p, false, err
	}
	j.LostSince, j.memo.wholeAt = time.Time{}, time.Now()
	if j.Terms == "" || j.Terms == terms {
		j.Terms = terms
		return progress{}, true, nil
	}
	j.say("A primary shard of %s was on a node that went away. What that shard had is looked at again.", j.Dest)
	j.Terms = terms
	j.startOver()
	return progress{}, true, j.save(ctx)
}

// startOver forgets what was copied and compared.
func (j *job) startOver() {
	j.Copied, j.Compared, j.Flushed, j.Given = false, false, false, false
	j.Sweep, j.Since, j.Reached, j.Last, j.Compare = nil, nil, nil, nil, nil
	j.Verified, j.How = 0, ""
	j.forget()
}

// mostLost is how often a destination is made again before a person is asked.
const mostLost = 3

// makeAgain gives up a destination whose shards are gone with a node, and starts over.
func (j *job) makeAgain(ctx context.Context) (progress, bool, error) {
	if !j.Made {
		return progress{blocked: fmt.Sprintf("A primary shard of %s has been away for %s, and it is not Twokey's to make again. Bring its node back and resume, or cancel.",
			j.Dest, elastic.Span(time.Since(j.LostSince)))}, false, nil
	}
	if j.Lost >= mostLost && j.DestUUID != "" {
		j.Lost, j.LostSince = 0, time.Time{}
		return progress{blocked: fmt.Sprintf("%s was lost and made again %d times. See what happens to its nodes, and resume, or cancel.", j.Dest, mostLost)}, false, j.save(ctx)
	}
	// Once it is not written to by everybody it can only be made again, whatever comes back.
	if !j.Remake && j.DestUUID != "" {
		j.Remake = true
		if err := j.save(ctx); err != nil {
			return progress{}, false, err
		}
	}
	if p, err := j.switchBack(ctx); err != nil || !p.done {
		return p, false, err
	}
	if j.DestUUID != "" {
		now, err := j.aliases(ctx, j.Dest)
		if err != nil {
			return progress{}, false, err
		}
		if all := now[j.Dest]; len(all) > 0 {
			return progress{blocked: fmt.Sprintf("A primary shard of %s is gone, and alias %s points to it, so it is not deleted and made again. Take the alias off and resume, or cancel.", j.Dest, all[0].Name)}, false, nil
		}
		// A writer would make the index, with whatever mapping, between its deletion and ours.
		if p, err := j.unwritten(ctx); err != nil || !p.done {
			return p, false, err
		}
		if stopped, err := j.stopTasks(ctx); err != nil || !stopped {
			return waiting(time.Second), false, err
		}
		if err := j.remove(ctx, j.Dest, j.DestUUID, j.token); err != nil {
			return progress{}, false, err
		}
		j.say("The only copy of a shard of %s is gone. The index is made again and copied from the start.", j.Dest)
		j.Again++
		j.Lost++
		j.DestUUID, j.Terms, j.LostSince, j.Remake = "", "", time.Time{}, false
		j.Rejoin, j.Waited = j.Writes == writesDual, time.Time{}
		j.startOver()
		if err := j.save(ctx); err != nil {
			return progress{}, false, err
		}
	}
	p, err := j.create(ctx)
	return p, err == nil && p.done, err
}
