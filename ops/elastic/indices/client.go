package indices

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// runClients goes on with the parts that are copied through Twokey: pages of documents are
// read where they may be, and written as they are. It reports whether more of it can be
// done at once.
func (j *job) runClients(ctx context.Context, s *sweep) (bool, error) {
	var mine []int
	for i, p := range s.Running {
		if !p.Server {
			mine = append(mine, i)
		}
	}
	if len(mine) == 0 || j.still {
		return false, nil
	}
	limit := rate.NewLimiter(rate.Inf, 0)
	if all := j.Pace.Rate; all > 0 {
		limit = rate.NewLimiter(rate.Limit(all), max(int(all), 1))
		limit.AllowN(time.Now(), limit.Burst()) // nothing is saved up from call to call
	}
	c := copier{job: j, how: s.How, limit: limit, share: j.Pace.each(len(mine))}
	var wg sync.WaitGroup
	var p panics
	for _, i := range mine {
		wg.Go(p.caught(func() { c.run(ctx, &s.Running[i]) }))
	}
	wg.Wait()
	p.again()
	var over []int
	for _, i := range slices.Backward(mine) {
		p := s.Running[i]
		switch {
		case p.At > p.To:
			s.end(j, p, p.Read, p.Written, p.Conflict)
			over = append(over, i)
		case p.Tries > partTries:
			s.again(p, backoff(3))
			over = append(over, i)
		}
	}
	for _, i := range over {
		s.Running = slices.Delete(s.Running, i, i+1)
	}
	j.refuse(c.refused, c.accepted)
	if c.overload {
		j.Pace.backOff("the cluster turned writes away")
	}
	if c.err != nil && len(over) == 0 && c.progress == 0 {
		return false, c.err
	}
	return !j.over(ctx), j.save(ctx)
}

// copier copies pages of one job, several parts at a time.
type copier struct {
	*job
	how   string
	limit *rate.Limiter
	share float64 // of one part in the throttle; 0: no limit

	mu       sync.Mutex
	refused  []refusal
	accepted []string
	overload bool
	progress int
	err      error
}

// run copies pages of a part until it is over or the call's time is.
func (c *copier) run(ctx context.Context, p *part) {
	for p.At <= p.To && !c.over(ctx) {
		err := c.page(ctx, p)
		if err == nil {
			p.Tries = 0
			continue
		}
		p.Tries++
		c.mu.Lock()
		c.err = err
		c.overload = c.overload || overloaded(err)
		c.mu.Unlock()
		if ctx.Err() != nil || p.Tries > partTries {
			return
		}
		select { // a moment for whatever it is, within this call
		case <-ctx.Done():
			return
		case <-time.After(min(backoff(p.Tries)/4, max(time.Until(c.until), 0))):
		}
	}
}

// page copies the next page of a part.
func (c *copier) page(ctx context.Context, p *part) error {
	most := int64(c.batch())
	if c.share > 0 {
		most = min(most, max(int64(c.share), 1)) // a page is to take a second, not longer than the call
	}
	if p.Width <= 0 {
		p.Width = most
	}
	to := min(p.To, p.At+p.Width-1)
	docs, err := c.Site.page(ctx, c.Source, window{p.Shard, p.At, to}, int(most), true, c.ReadFrom)
	if errors.Is(err, errTooMany) {
		if p.Width > 1 {
			p.Width = max(p.Width/2, 1)
			return nil // not a failure: a smaller page is asked for
		}
		// On all shards at once, one operation each is as little as can be asked for.
		docs, err = c.Site.page(ctx, c.Source, window{p.Shard, p.At, to}, int(c.comparePage()), true, c.ReadFrom)
	}
	if err != nil {
		return err
	}
	if err := c.pay(ctx, len(docs)); err != nil {
		return err
	}
	var actions []action
	for _, d := range docs {
		actions = append(actions, action{document: d, How: c.how})
	}
	written, conflicts, err := c.put(ctx, actions)
	if err != nil {
		return err
	}
	p.At, p.Read, p.Written, p.Conflict = to+1, p.Read+int64(len(docs)), p.Written+written, p.Conflict+conflicts
	if int64(len(docs)) < most/4 {
		p.Width = min(p.Width*2, 1_000_000) // sparse: many of these operations were replaced by later ones
	}
	c.mu.Lock()
	c.progress++
	c.mu.Unlock()
	return nil
}

// pay waits for the throttle.
func (c *copier) pay(ctx context.Context, docs int) error {
	for docs > 0 {
		n := docs
		if b := c.limit.Burst(); b > 0 {
			n = min(n, b)
		}
		if err := c.limit.WaitN(ctx, n); err != nil {
			return err
		}
		docs -= n
	}
	return nil
}

// put writes documents and keeps those that do not fit. An error is of the rest: they have
// to be written again.
func (c *copier) put(ctx context.Context, actions []action) (written, conflicts int64, err error) {
	if len(actions) == 0 {
		return 0, 0, nil
	}
	out, err := c.write(ctx, c.Dest, c.Pipeline, c.token, actions)
	if err != nil {
		return 0, 0, err
	}
	var again error
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range out {
		switch {
		case o.done():
			written++
			c.accepted = append(c.accepted, actions[i].ID)
		case o.conflict():
			conflicts++
			if c.how == asNew {
				c.clash(actions[i].document)
			}
		case o.unfit():
			c.refused = append(c.refused, refusalOf(actions[i].document, o.Reason))
		case o.Status == 429:
			again = errRejected
		default:
			again = errors.New("document " + actions[i].ID + ": " + o.Reason)
		}
	}
	return written, conflicts, again
}

// refuse remembers documents the destination does not take, each once, and forgets those
// it took after all.
func (j *job) refuse(refused []refusal, accepted []string) {
	if len(j.Refused) > 0 && len(accepted) > 0 {
		took := make(map[string]bool, len(accepted))
		for _, id := range accepted {
			took[id] = true
		}
		j.Refused = slices.DeleteFunc(j.Refused, func(r refusal) bool { return took[r.ID] })
	}
	known := make(map[string]int, len(j.Refused))
	for i, r := range j.Refused {
		known[r.ID] = i
	}
	for _, r := range refused {
		if i, ok := known[r.ID]; ok {
			j.Refused[i] = r
			continue
		}
		known[r.ID] = len(j.Refused)
		j.Refused = append(j.Refused, r)
	}
}
