package indices

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// comparison finds out whether both indices hold the same documents, and makes it so. A
// round reads the identity (id, routing, version) of every document on both sides into a
// digest each. Where these differ, both sides are read once more, and each document of a
// bucket that differs is looked up by id on the other side and put right, page by page. Then
// all is read again: nothing is taken for equal that was not read so.
type comparison struct {
	// Live: both are written to meanwhile. What differs is looked up as it is now and put
	// right; it need not come out equal. With catchup one round is all.
	Live    bool      `json:"live,omitempty"`
	Round   int       `json:"round"`
	Began   time.Time `json:"began"`
	Sides   [2]side   `json:"sides"`            // the source, the destination
	Differ  []int     `json:"differ,omitempty"` // buckets that differ, sorted; nil: the digests are being made
	Fixed   int64     `json:"fixed,omitempty"`
	Deleted int64     `json:"deleted,omitempty"`
	Was     int64     `json:"was,omitempty"`   // changes before this round
	Stuck   int       `json:"stuck,omitempty"` // rounds in a row that differed and changed nothing
	Lost    int       `json:"lost,omitempty"`  // points in time that went with their node
	// Suspect are documents only the destination has, with dual, and when that was seen:
	// their writer may be about to write them to the source.
	Suspect map[string]identity `json:"suspect,omitempty"`
	Since   time.Time           `json:"since,omitzero"`

	turn chan struct{} // of the one that puts documents right, and of those that read
}

// side is how far one index was read.
type side struct {
	Shards []cursor `json:"shards"`
	Digest digest   `json:"digest"`
}

// cursor is how far one shard was read.
type cursor struct {
	Shard int   `json:"shard"`
	At    int64 `json:"at"`
	To    int64 `json:"to"`
	Width int64 `json:"width"`

	// Of a shard that is read in the order of storage (snapshot.go): the point in time, the
	// last document read, and how many were.
	Snapshot string `json:"snapshot,omitempty"`
	After    int64  `json:"after,omitempty"`
	Read     int64  `json:"read,omitempty"`
}

// identity tells a document's states apart.
type identity struct {
	Routing string `json:"r,omitempty"`
	Version int64  `json:"v"`
	SeqNo   int64  `json:"s"`
	Term    int64  `json:"t"`
}

func (i identity) document(id string) document {
	return document{ID: id, Routing: i.Routing, Version: i.Version, SeqNo: i.SeqNo, Term: i.Term}
}

// rebased is a document of the source that the destination had with a later version: it was
// deleted and made again, so that its versions started anew. It was written as the next
// version of what was there.
type rebased struct {
	From int64 `json:"from"` // the source's version
	To   int64 `json:"to"`   // the same state in the destination
}

const (
	comparePage   = 10_000
	compareAtOnce = 4
	maxStuck      = 3
	maxDual       = 8 // rounds, where writers go on
)

// expected is the version that a document of the source has in the destination.
func (j *job) expected(d document) int64 {
	if r, ok := j.Rebased[d.ID]; ok && r.From == d.Version {
		return r.To
	}
	return d.Version
}

// wait waits for the turn and returns what gives it on.
func (c *comparison) wait() (done func()) {
	if c.turn == nil {
		return func() {} // nobody else is at work
	}
	c.turn <- struct{}{}
	return func() { <-c.turn }
}

// opened reports whether both sides are being read.
func (c *comparison) opened() bool { return c.Sides[0].Shards != nil && c.Sides[1].Shards != nil }

// equal is how many documents are the same on both sides, once the comparison is over.
func (c *comparison) equal() int64 { return c.Sides[0].Digest.docs() }

// changed counts what was put right so far, and what was found not to fit.
func (j *job) changed(c *comparison) int64 { return c.Fixed + c.Deleted + int64(len(j.Refused)) }

// equalise goes on with the comparison. It is done when nothing differs, or with Live when
// what differed was put right.
func (j *job) equalise(ctx context.Context, c *comparison) (progress, error) {
	for {
		if !c.opened() {
			c.Round++
			c.Differ, c.Was = nil, j.changed(c)
			if err := j.openSides(ctx, c); err != nil {
				return progress{}, err
			}
		}
		whole, err := j.readSides(ctx, c)
		if errors.Is(err, errSnapshotLost) && ctx.Err() == nil {
			c.beginAnew()
			return waiting(soon), j.save(ctx)
		}
		if err != nil {
			return progress{}, err
		}
		if !whole {
			return waiting(soon), j.save(ctx)
		}
		if c.Differ == nil {
			differ := c.Sides[0].Digest.differ(c.Sides[1].Digest)
			if len(differ) == 0 {
				return finished, nil
			}
			c.Differ = differ
			if err := j.openSides(ctx, c); err != nil {
				return progress{}, err
			}
			continue
		}
		if p, err := j.suspects(ctx, c); err != nil || p.wait > 0 {
			return p, err
		}
		moved := j.changed(c) > c.Was
		switch c.Stuck++; {
		case c.Live && (j.versions() || !moved):
			return finished, nil // what still differs is being written
		case moved:
			c.Stuck = 0
		}
		if c.Stuck >= maxStuck || c.Live && c.Round >= maxDual {
			c.Stuck, c.Round = 0, 0
			p := progress{blocked: fmt.Sprintf("%s and %s still differ after all was put right (%d and %d documents). Is something else writing to one of them? Resume to try again, or cancel.",
				j.Source, j.Dest, c.Sides[0].Digest.docs(), c.Sides[1].Digest.docs())}
			c.Sides, c.Differ = [2]side{}, nil
			return p, j.save(ctx)
		}
		c.Sides, c.Differ = [2]side{}, nil
	}
}

// openSides makes all operations so far searchable, and notes how far to read.
func (j *job) openSides(ctx context.Context, c *comparison) error {
	var sides [2]side
	for i, x := range []index{j.source(), j.dest()} {
		if err := j.refresh(ctx, x.Name); err != nil {
			return err
		}
		now, err := j.positions(ctx, x)
		if err != nil {
			return err
		}
		if i == 1 {
			j.memo.dest, j.memo.destAt = now, time.Now()
		}
		sides[i] = side{Shards: []cursor{}, Digest: c.Sides[i].Digest}
		if c.Differ == nil {
			sides[i].Digest = newDigest(j.Docs)
		}
		for _, shard := range slices.Sorted(maps.Keys(now.Latest)) {
			sides[i].Shards = append(sides[i].Shards, cursor{Shard: shard, To: now.Latest[shard], Width: j.comparePage()})
		}
	}
	c.Sides = sides
	return nil
}

// comparePage is how many identities are read at once.
func (j *job) comparePage() int64 {
	switch {
	case j.Site.readSize > 0:
		return j.Site.readSize
	case j.Window > 0:
		return j.Window
	}
	return comparePage
}

// leftOut are the ids that the comparison passes over on one side: documents that do not
// fit, and on the way back those that were put aside.
func (j *job) leftOut(side int) map[string]bool {
	out := map[string]bool{}
	for id := range j.Aside {
		out[id] = true
	}
	if side == 0 {
		for _, r := range j.Refused {
			out[r.ID] = true
		}
	}
	return out
}

// readSides reads on, several shards at a time. It reports whether all was read.
func (j *job) readSides(ctx context.Context, c *comparison) (bool, error) {
	type unit struct{ side, shard int }
	var todo []unit
	for i := range c.Sides {
		for k, at := range c.Sides[i].Shards {
			if at.At <= at.To {
				todo = append(todo, unit{i, k})
			}
		}
	}
	var (
		errs error
		wg   sync.WaitGroup
		p    panics
		gate = make(chan struct{}, compareAtOnce)
		skip = [2]map[string]bool{j.leftOut(0), j.leftOut(1)}
	)
	c.turn = make(chan struct{}, 1)
	for _, u := range todo {
		wg.Go(p.caught(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			err := j.readShard(ctx, c, u.side, &c.Sides[u.side].Shards[u.shard], skip[u.side])
			defer c.wait()()
			errs = errors.Join(errs, err)
		}))
	}
	wg.Wait()
	p.again()
	if errs != nil {
		return false, errs
	}
	for _, s := range c.Sides {
		for _, at := range s.Shards {
			if at.At <= at.To {
				return false, nil
			}
		}
	}
	return true, nil
}

// readShard reads one shard on, into the side's digest, or to put right what differs.
func (j *job) readShard(ctx context.Context, c *comparison, n int, at *cursor, skip map[string]bool) error {
	total := &c.Sides[n].Digest
	own := digest{make([]bucket, len(total.buckets))}
	if c.Differ == nil {
		defer func() {
			defer c.wait()()
			total.merge(own)
		}()
	}
	for at.At <= at.To && !j.over(ctx) {
		begun := at.At
		docs, err := j.readNext(ctx, c, n, at)
		if errors.Is(err, errTooMany) {
			continue
		} else if err != nil {
			return err
		}
		if len(skip) > 0 {
			docs = slices.DeleteFunc(docs, func(d document) bool { return skip[d.ID] })
		}
		if c.Differ == nil {
			for _, d := range docs {
				version := d.Version
				if n == 0 {
					version = j.expected(d)
				}
				own.add(d, version, j.versions())
			}
			continue
		}
		docs = slices.DeleteFunc(docs, func(d document) bool {
			_, differs := slices.BinarySearch(c.Differ, total.bucketOf(d.ID))
			return !differs
		})
		if err := j.putRight(ctx, c, n, docs); err != nil {
			at.At = begun
			return err
		}
	}
	return nil
}

// readNext reads the next page of a shard, of the whole of it or of a window.
func (j *job) readNext(ctx context.Context, c *comparison, n int, at *cursor) ([]document, error) {
	name := [2]string{j.Source, j.Dest}[n]
	if j.bySnapshot(c, at) {
		return j.readStored(ctx, name, at)
	}
	to := min(at.To, at.At+at.Width-1)
	docs, err := j.Site.page(ctx, name, window{at.Shard, at.At, to}, int(j.comparePage()), false, "")
	if errors.Is(err, errTooMany) {
		at.Width = max(at.Width/2, 1)
	}
	if err != nil {
		return nil, err
	}
	at.At = to + 1
	if int64(len(docs)) < j.comparePage()/4 && c.Differ == nil {
		at.Width = min(at.Width*2, 1_000_000)
	}
	return docs, nil
}
