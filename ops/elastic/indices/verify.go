package indices

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// Limits of the comparison while the source is blocked.
const (
	// compareAfter is up to how many documents all identities are compared under the block.
	// With more, with catchup, that is done before it, and under the block counts and a
	// sample are compared, beside what the last pass copied.
	compareAfter = 2_000_000
	// compareMost is up to how many documents all identities are compared at all.
	compareMost  = 50_000_000
	sampleSpans  = 80  // of all shards together, at least one of each
	contentSpans = 8   // the same, where contents are compared
	sampleSpan   = 250 // operations
)

// compareBefore compares large sources while they are written to, so that the block is short.
func (j *job) compareBefore(ctx context.Context) (progress, error) {
	if p, ok, err := j.complete(ctx); err != nil || !ok {
		return p, err
	}
	if p, err := j.unfit(ctx); err != nil || !p.done {
		return p, err
	}
	if j.Compared || j.Docs <= compareAfter || j.Docs > compareMost {
		return finished, nil
	}
	if j.Compare == nil {
		j.Compare = &comparison{Live: true, Began: time.Now()}
	}
	p, err := j.equalise(ctx, j.Compare)
	if err != nil || !p.done {
		return p, err
	}
	j.Compare, j.Compared = nil, true
	return j.catchUp(ctx)
}

// complete makes sure that everything was copied once, also after the destination lost
// something in a later phase.
func (j *job) complete(ctx context.Context) (progress, bool, error) {
	if j.Copied {
		p, ok, err := j.destination(ctx)
		if err != nil || !ok {
			return p, false, err
		}
	}
	if !j.Copied {
		p, err := j.copy(ctx)
		return p, err == nil && p.done, err
	}
	return progress{}, true, nil
}

// verify makes the destination equal to the source and proves it. With block and catchup
// the source takes no writes by now: what came last is copied, deletes are found by the
// difference of ids, and nothing may differ in the end.
func (j *job) verify(ctx context.Context) (progress, error) {
	if p, ok, err := j.complete(ctx); err != nil || !ok {
		return p, err
	}
	if p, err := j.notInUse(ctx); err != nil || !p.done {
		return p, err
	}
	if p, err := j.sameEnrichment(ctx); err != nil || !p.done {
		return p, err
	}
	if j.Writes == writesDual {
		if p, err := j.writtenToBoth(ctx); err != nil || !p.done {
			return p, err
		}
		return j.verifyLive(ctx)
	}
	if fresh(j.memo.blockedAt) {
		// Seen a moment ago.
	} else if blocked, err := j.blocked(ctx); err != nil {
		return progress{}, err
	} else if !blocked {
		if j.Lifted++; j.Lifted > mostLifted {
			j.Lifted = 0
			return progress{blocked: fmt.Sprintf("The write block of %s was lifted %d times by somebody else. Find what lifts it and resume, or cancel.", j.Source, mostLifted+1)}, j.save(ctx)
		}
		j.say("The write block of %s was lifted by somebody else. It is set again, and what was written is copied.", j.Source)
		j.unproven()
		j.Sweep = nil
		j.forget()
		p, err := j.block(ctx)
		if err == nil && p.done {
			p, err = waiting(soon), j.save(ctx)
		}
		return p, err
	}
	if p, err := j.lastPass(ctx); err != nil || !p.done {
		return p, err
	}
	if err := j.forgetGone(ctx); err != nil {
		return progress{}, err
	}
	if p, err := j.prove(ctx); err != nil || !p.done {
		return p, err
	}
	// What was compared is the source as it is: nothing was written to it since.
	j.memo.nowAt = time.Time{}
	now, err := j.reached(ctx)
	if err != nil {
		return progress{}, err
	}
	if !maps.Equal(now.Latest, j.Last) {
		j.say("%s was written to in spite of its block. What was written is copied too.", j.Source)
		j.unproven()
		return waiting(soon), j.save(ctx)
	}
	return j.quarantined(ctx)
}

// unproven is for a source that was written to after the last pass: that is made again, and
// all is compared again.
func (j *job) unproven() { j.Last, j.Compare, j.Verified, j.How = nil, nil, 0, "" }

// lastPass copies what was written before the block took hold.
func (j *job) lastPass(ctx context.Context) (progress, error) {
	if j.Last != nil {
		return finished, nil
	}
	if j.Sweep == nil && j.Reached != nil {
		now, err := j.reached(ctx)
		if err != nil {
			return progress{}, err
		}
		if maps.Equal(now.Latest, j.Reached) {
			j.Last = now.Latest // nothing came since
			return finished, j.save(ctx)
		}
	}
	if j.Sweep == nil {
		s, err := j.nextSweep(ctx, asNew, false)
		if err != nil {
			return progress{}, err
		}
		j.Sweep = s
	}
	if len(j.Sweep.Queue) > 0 || len(j.Sweep.Running) > 0 {
		p, err := j.run(ctx, j.Sweep)
		if err != nil || !p.done {
			return p, err
		}
	}
	j.memo.nowAt = time.Time{}
	now, err := j.reached(ctx)
	if err != nil {
		return progress{}, err
	}
	if now.after(j.Sweep.To) > 0 {
		j.Since, j.Sweep = j.Sweep.Next, nil // something came in while it ran: once more
		return waiting(soon), j.save(ctx)
	}
	j.Since, j.Sweep, j.Last = now.Latest, nil, now.Latest
	return finished, j.save(ctx)
}

// prove compares both indices and puts right what differs, until nothing does.
func (j *job) prove(ctx context.Context) (progress, error) {
	if j.Verified > 0 || j.How != "" {
		return finished, nil
	}
	var docs, copied int64
	counted := func() error {
		var err error
		if err = j.refresh(ctx, j.Dest); err != nil {
			return err
		}
		if docs, err = j.count(ctx, j.Source); err != nil {
			return err
		}
		copied, err = j.count(ctx, j.Dest)
		return err
	}
	// Everything the source has was copied. If the destination does not have more either,
	// it has nothing that was deleted.
	short := j.Docs > compareMost || j.Compared
	if short && j.Compare == nil {
		if err := j.unclash(ctx); err != nil {
			return progress{}, err
		}
	}
	if short {
		if err := counted(); err != nil {
			return progress{}, err
		}
	}
	if short && docs == copied+int64(len(j.Refused)) && j.Compare == nil {
		differ, n, err := j.sample(ctx)
		if err != nil {
			return progress{}, err
		}
		if len(differ) == 0 {
			j.Verified = docs - int64(len(j.Refused))
			j.How = fmt.Sprintf("equal counts, and ids and versions of %d sampled documents", n)
			if j.Compared {
				j.How += ", after all were compared before the block"
			}
			return finished, j.save(ctx)
		}
	}
	if j.Compare == nil {
		j.Compare = &comparison{Began: time.Now()}
	}
	p, err := j.equalise(ctx, j.Compare)
	if err != nil || !p.done {
		return p, err
	}
	if n := j.Compare.equal(); j.Small && j.Compare.Fixed+j.Compare.Deleted == 0 {
		docs, copied = n+int64(len(j.Refused)), n // every document on both sides was read just now
	} else if err := counted(); err != nil {
		return progress{}, err
	}
	if docs != copied+int64(len(j.Refused)) && !j.Back {
		// Equal, and the counts are not: an id stands twice, under two routings.
		return progress{blocked: fmt.Sprintf("The counts do not agree: %s has %d documents, %s has %d, %d do not fit. An id may stand twice under two routings.",
			j.Source, docs, j.Dest, copied, len(j.Refused))}, nil
	}
	if j.Compare.Fixed+j.Compare.Deleted > 0 {
		j.say("Put right while comparing: %s.", j.corrected(j.Compare.Fixed, j.Compare.Deleted))
	}
	j.Verified = docs - int64(len(j.Refused))
	if j.Back {
		j.Verified = docs
	}
	j.How = "ids and versions of all " + documents(j.Verified)
	j.Compare = nil
	return finished, j.save(ctx)
}

// verifyLive compares while writers write to both. Whatever differs is looked at again by
// id and put right; then the contents of a sample are compared.
func (j *job) verifyLive(ctx context.Context) (progress, error) {
	if !j.Compared {
		if j.Compare == nil {
			j.Compare = &comparison{Live: true, Began: time.Now()}
		}
		p, err := j.equalise(ctx, j.Compare)
		if err != nil || !p.done {
			return p, err
		}
		j.Verified = j.Compare.Sides[0].Digest.docs()
		j.Compare, j.Compared, j.Unlike = nil, true, nil
		if err := j.save(ctx); err != nil {
			return progress{}, err
		}
	}
	if j.Pipeline != "" {
		j.How = fmt.Sprintf("ids of all %s, while both are written to", documents(j.Verified))
	} else {
		looked, p, err := j.contents(ctx)
		if err != nil || !p.done {
			return p, err
		}
		j.How = fmt.Sprintf("ids of all %s, contents of %d sampled ones, while both are written to", documents(j.Verified), looked)
	}
	if err := j.forgetGone(ctx); err != nil {
		return progress{}, err
	}
	return j.quarantined(ctx)
}
