package indices

import (
	"context"
	"fmt"
	"time"

	"twokey/ops/elastic"
)

// writers counts the nodes that take the copies.
func (r *campaignRun) writers(top elastic.Topology) int {
	n := 0
	for _, node := range top.Nodes {
		if node.Data() && (r.rules.Indexing == "" || node.Attributes[r.rules.Attr] == r.rules.Indexing) {
			n++
		}
	}
	return n
}

// look sees to the cluster's health, the pace and the space, now and then. A text is for
// a person to decide about.
func (r *campaignRun) look(ctx context.Context) (string, error) {
	var err error
	if r.cap, err = throttled(ctx, r.t, r.rules.Throttle); err != nil {
		return "", err
	}
	n := &r.notes
	n.Pace.Cap = float64(r.cap)
	n.Pace.limit()
	if r.notes.Asked != "" {
		if err := r.resumed(ctx); err != nil {
			return "", err
		}
	}
	r.hold = n.Guard.Reason != ""
	if since := time.Since(n.GuardAt); since >= 0 && since < guardEvery { // below 0: the clock was set back
		return "", nil
	}
	top, err := r.site.Topology(ctx)
	if err != nil {
		return "", err
	}
	if top.UUID != r.cluster {
		return fmt.Sprintf("The addresses of %s lead to another cluster now. Correct them and resume, or cancel.", r.site.Environment), nil
	}
	h, err := r.site.Health(ctx)
	if err != nil {
		return "", err
	}
	if h.Status == "red" {
		var own []string
		for i, it := range r.items {
			if it.begun() {
				own = append(own, r.pairs[i].Dest)
			}
		}
		if h.Status, err = r.site.redWithout(ctx, own...); err != nil {
			return "", err
		}
	}
	flood, err := r.site.FloodBlocked(ctx)
	if err != nil {
		return "", err
	}
	hold, person := n.Guard.Check(r.t, elastic.Guard(r.t.Run().Plan.Facts, top, h, flood))
	if n.GuardAt, r.hold = time.Now(), hold; person {
		return n.Guard.Asks(), nil
	}
	if err := r.site.paceMany(ctx, &n.Pace, r.moved()); err != nil {
		return "", err
	}
	return "", r.space(ctx, top)
}

// moved counts the documents written by all copies.
func (r *campaignRun) moved() int64 {
	n := int64(0)
	for _, i := range r.items {
		switch {
		case i.done():
			n += i.Docs
		case i.begun():
			n += i.State.Moved
			if i.State.Sweep != nil {
				n += i.State.Sweep.seen()
			}
		}
	}
	return n
}

// space notes whether another index fits the disks, beside those in work.
func (r *campaignRun) space(ctx context.Context, top elastic.Topology) error {
	r.notes.Full = ""
	at, ok := r.upcoming()
	if !ok {
		return nil
	}
	need := r.notes.Bytes[at]
	for i, it := range r.items {
		if it.begun() && !it.done() {
			need += r.notes.Bytes[i]
		}
	}
	alloc, err := r.site.Allocation(ctx)
	if err != nil {
		return err
	}
	disks, err := r.site.Disks(ctx)
	if err != nil {
		return err
	}
	c := copySurvey{Site: r.site, top: top, alloc: alloc, disks: disks}
	room, known := c.room(func(n elastic.Node) bool {
		return r.rules.Indexing == "" || n.Attributes[r.rules.Attr] == r.rules.Indexing
	})
	if known && room < 2*need {
		r.notes.Full = fmt.Sprintf("waiting for space: %s to the low watermark, %s needed by what is in work and the next index", elastic.Bytes(room), elastic.Bytes(2*need))
	}
	return nil
}

// upcoming is the next item that has not begun.
func (r *campaignRun) upcoming() (int, bool) {
	for _, at := range r.notes.Order {
		if i := r.items[at]; !i.begun() && !i.done() && !i.Failed {
			return at, true
		}
	}
	return 0, false
}

// resumedAtOnce is how many items are written by one request.
const resumedAtOnce = 200

// resumed lets those that failed or are stuck try again, and gives a new span of time. It
// is written before it is forgotten that a person was asked: this call may not come to all
// of them.
func (r *campaignRun) resumed(ctx context.Context) error {
	parts := map[string]any{}
	for _, i := range r.items {
		switch {
		case i.Failed && i.Undone:
			i.Failed, i.Undone, i.After = false, false, time.Time{}
			parts[i.key()] = i
		case i.stuck():
			i.Tries, i.Waits, i.After = 0, false, time.Time{}
			parts[i.key()] = i
		}
		if len(parts) == resumedAtOnce {
			if err := r.t.PutParts(ctx, parts); err != nil {
				return err
			}
			clear(parts)
		}
	}
	r.notes.Asked, r.notes.Since = "", time.Now()
	parts[campaignPart] = r.notes
	return r.t.PutParts(ctx, parts)
}

// late reports whether the time for beginning is over.
func (r *campaignRun) late() bool {
	return r.rules.Until > 0 && time.Since(r.notes.Since) > time.Duration(r.rules.Until)*time.Second
}
