package indices

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// versions reports whether the copies of a document have the same version: not where the
// writers write to both.
func (j *job) versions() bool { return j.Writes != writesDual }

// suspicion is how long a document that only the destination has may be one that its
// writer has not yet written to the source.
func (j *job) suspicion() time.Duration { return max(j.registerCache(), 10*time.Second) }

// putRight looks documents of one side up on the other, as they are now, and makes them the
// same. It may be called again with the same documents.
func (j *job) putRight(ctx context.Context, c *comparison, side int, docs []document) error {
	if len(docs) == 0 {
		return nil
	}
	there, err := j.lookup(ctx, [2]string{j.Dest, j.Source}[side], docs, false)
	if err != nil {
		return err
	}
	defer c.wait()()
	refused := map[string]bool{}
	for _, r := range j.Refused {
		refused[r.ID] = true
	}
	var wrong []document
	for _, d := range docs {
		is, ok := there[d.ID]
		switch {
		case side == 0:
			ok = ok && is.Routing == d.Routing && (!j.versions() || is.Version == j.expected(d))
		default: // a state of a refused document that fit once is not the source's
			ok = ok && !refused[d.ID]
		}
		if !ok {
			wrong = append(wrong, d)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	j.memo.destAt = time.Time{}
	switch {
	case side == 1 && c.Live && !j.versions():
		c.suspect(wrong)
		return nil
	case side == 1:
		return j.deleteThem(ctx, c, wrong)
	}
	for len(wrong) > 0 {
		n := min(len(wrong), 1000)
		if err := j.copyThem(ctx, c, wrong[:n]); err != nil {
			return err
		}
		wrong = wrong[n:]
	}
	return nil
}

// suspect notes documents that only the destination has, or that were given to it while
// somebody may have been deleting them.
func (c *comparison) suspect(docs []document) {
	if c.Suspect == nil {
		c.Suspect = map[string]identity{}
	}
	for _, d := range docs {
		c.Suspect[d.ID] = identity{d.Routing, d.Version, d.SeqNo, d.Term}
	}
	c.Since = time.Now()
}

// suspects deletes those that the source still does not have after a while, if nobody wrote
// them since. A wait above zero: the while is not over.
func (j *job) suspects(ctx context.Context, c *comparison) (progress, error) {
	if len(c.Suspect) == 0 {
		return progress{}, nil
	}
	if left := j.suspicion() - time.Since(c.Since); left > 0 {
		return waiting(left), j.save(ctx)
	}
	docs := make([]document, 0, len(c.Suspect))
	for _, id := range slices.Sorted(maps.Keys(c.Suspect)) {
		docs = append(docs, c.Suspect[id].document(id))
	}
	gone, err := j.missingIn(ctx, j.Source, docs)
	if err != nil {
		return progress{}, err
	}
	if err := j.deleteThem(ctx, c, gone); err != nil {
		return progress{}, err
	}
	c.Suspect = nil
	return progress{}, j.save(ctx)
}

// missingIn returns those of the documents that an index does not have now.
func (j *job) missingIn(ctx context.Context, name string, docs []document) ([]document, error) {
	there, err := j.lookup(ctx, name, docs, false)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(docs), func(d document) bool { _, ok := there[d.ID]; return ok }), nil
}

// deleteThem deletes documents of the destination, if they are still as they were seen.
func (j *job) deleteThem(ctx context.Context, c *comparison, docs []document) error {
	if len(docs) > 0 {
		if err := j.unused(ctx); err != nil {
			return err
		}
	}
	for len(docs) > 0 {
		n := min(len(docs), 1000)
		var actions []action
		for _, d := range docs[:n] {
			actions = append(actions, action{document: d, Delete: true})
		}
		out, err := j.write(ctx, j.Dest, "", j.token, actions)
		if err != nil {
			return err
		}
		for i, o := range out {
			switch {
			case o.done():
				c.Deleted++
			case o.conflict() || o.Status == 404: // somebody wrote it since, or it is gone
			default:
				return fmt.Errorf("deleting document %s: %s", docs[i].ID, o.Reason)
			}
		}
		docs = docs[n:]
	}
	return nil
}

// copyThem copies documents one by one from what the source has now. One that was deleted
// there and made again may have a lower version than the destination's: see rebased.
func (j *job) copyThem(ctx context.Context, c *comparison, docs []document) error {
	if err := j.unused(ctx); err != nil {
		return err
	}
	now, err := j.lookup(ctx, j.Source, docs, true)
	if err != nil {
		return err
	}
	there, err := j.lookup(ctx, j.Dest, docs, false)
	if err != nil {
		return err
	}
	var actions []action
	for _, d := range docs {
		is, ok := now[d.ID]
		if !ok {
			continue // deleted meanwhile: the next round sees it
		}
		a := action{document: is, How: asNew}
		old, had := there[d.ID]
		switch {
		case !j.versions():
			a.How = onlyIfNew
		case had && old.Version > is.Version && c.Live:
			j.clash(is) // for the comparison that counts
			continue
		case had && old.Version > is.Version:
			a.Version = old.Version + 1
		}
		actions = append(actions, a)
	}
	if len(actions) == 0 {
		return nil
	}
	out, err := j.write(ctx, j.Dest, j.Pipeline, j.token, actions)
	if err != nil {
		return err
	}
	var refused []refusal
	var accepted []string
	var made []document
	for i, o := range out {
		a := actions[i]
		switch {
		case o.done():
			c.Fixed++
			accepted = append(accepted, a.ID)
			if is := now[a.ID]; a.Version != is.Version {
				if j.Rebased == nil {
					j.Rebased = map[string]rebased{}
				}
				j.Rebased[a.ID] = rebased{is.Version, a.Version}
			}
			if a.How == onlyIfNew {
				made = append(made, a.document)
			}
		case o.conflict():
		case o.unfit():
			refused = append(refused, refusalOf(a.document, o.Reason))
		default:
			return fmt.Errorf("copying document %s: %s", a.ID, o.Reason)
		}
	}
	j.refuse(refused, accepted)
	if len(made) > 0 {
		// Its writer may have deleted it in both just before it was made again here.
		now, err := j.lookup(ctx, j.Dest, made, false)
		if err != nil {
			return err
		}
		c.suspect(slices.Collect(maps.Values(now)))
	}
	return nil
}

// maxClashed bounds the documents remembered that a pass did not write because the
// destination had a later version of them.
const maxClashed = 10_000

// clash remembers one: it was deleted in the source and made again, and is put right under
// the block, by the full comparison or, where that was made before the block, by its id.
func (j *job) clash(d document) {
	if len(j.Clashed) >= maxClashed {
		j.Compared = false // too many: everything is compared under the block
		return
	}
	if j.Clashed == nil {
		j.Clashed = map[string]string{}
	}
	j.Clashed[d.ID] = d.Routing
}

// unclash puts right the documents of which a pass said that the destination had a later
// version. The source takes no writes by now.
func (j *job) unclash(ctx context.Context) error {
	for len(j.Clashed) > 0 {
		var docs []document
		for _, id := range slices.Sorted(maps.Keys(j.Clashed)) {
			if docs = append(docs, document{ID: id, Routing: j.Clashed[id]}); len(docs) == 1000 {
				break
			}
		}
		there, err := j.lookup(ctx, j.Source, docs, false)
		if err != nil {
			return err
		}
		c := &comparison{}
		if err := j.putRight(ctx, c, 0, slices.Collect(maps.Values(there))); err != nil {
			return err
		}
		for _, d := range docs {
			delete(j.Clashed, d.ID)
		}
		if err := j.save(ctx); err != nil {
			return err
		}
	}
	return nil
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
