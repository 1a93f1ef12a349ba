package indices

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// sweep is one pass over a range of the source's operations. It is cut into parts, some
// of which are at work at a time; a part that fails is done again as a whole, which is
// harmless, because no document is written over a later version of itself.
type sweep struct {
	No      int       `json:"no"`
	How     string    `json:"how"`
	Began   time.Time `json:"began"`
	Queue   []part    `json:"queue,omitempty"`
	Running []part    `json:"running,omitempty"`
	Parts   int       `json:"parts"` // in all, those found later included
	Done    int       `json:"done"`
	// Next is where the pass after this one starts: what is durable when this one begins.
	Next map[int]int64 `json:"next"`
	To   map[int]int64 `json:"to"` // how far it reads

	Read     int64 `json:"read"` // documents, of parts that are done
	Written  int64 `json:"written"`
	Conflict int64 `json:"conflict"` // not written: the destination had that version or a later one
	Retries  int64 `json:"retries,omitempty"`
	Redone   int   `json:"redone,omitempty"` // parts
}

// part is a window of the source that is copied as one.
type part struct {
	window
	Server bool      `json:"server,omitempty"` // by the server's own _reindex
	Task   string    `json:"task,omitempty"`   // the server's, once it is known
	At     int64     `json:"at"`               // else: the next operation to read
	Width  int64     `json:"width,omitempty"`  // else: operations a page spans
	Tries  int       `json:"tries,omitempty"`
	After  time.Time `json:"after,omitzero"` // not before
	Seen   int64     `json:"seen,omitempty"` // documents, while running
	Rate   float64   `json:"rate,omitempty"` // the throttle it runs with; 0: none

	Read, Written, Conflict int64 `json:",omitempty"` // of a client's part, so far
}

// Limits of a sweep.
const (
	maxParts = 256 // parts a sweep is cut into, or as many as there are shards
	// rangeSize is how many operations a part has at most, unless that makes too many parts.
	rangeSize = 25_000
	// shardSize is the same where the server copies several shards. Most are one part then,
	// and read from their first document to their last. A narrow range of operations is
	// spread over a shard's segments, and most of its documents are unpacked one by one.
	shardSize = 5_000_000
	partTries = 8 // of a part, one after the other
)

// newSweep cuts the operations of each shard after since into parts, and remembers where the
// next pass starts. What it is asked about was made searchable after now was read. size is
// how many operations a part has at most; 0: what is usual.
func newSweep(no int, how string, server bool, since map[int]int64, now positions, size int64) *sweep {
	s := &sweep{No: no, How: how, Began: time.Now(), Next: now.Durable, To: now.Latest}
	if size == 0 {
		size = rangeSize
		if server && len(now.Latest) > 1 {
			size = shardSize
		}
	}
	for shard, to := range now.Latest {
		from := after(since, shard)
		if from > to {
			continue
		}
		n := min(max((to-from+size)/size, 1), int64(max(maxParts/len(now.Latest), 1)))
		width := (to - from + n) / n
		for at := from; at <= to; at += width {
			s.Queue = append(s.Queue, part{window: window{shard, at, min(to, at+width-1)}, Server: server, At: at})
		}
	}
	// Those at work at a time are of several shards, on several nodes.
	slices.SortFunc(s.Queue, func(a, b part) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Shard, b.Shard)) })
	s.Parts = len(s.Queue)
	return s
}

// after is the first operation of a shard not yet copied.
func after(since map[int]int64, shard int) int64 {
	if last, ok := since[shard]; ok {
		return last + 1
	}
	return 0
}

// run goes on with the sweep until it is over or the call's time is.
func (j *job) run(ctx context.Context, s *sweep) (progress, error) {
	if err := j.pace(ctx, s); err != nil {
		return progress{}, err
	}
	var client bool
	for {
		p, err := j.begin(ctx, s)
		if err != nil || p.blocked != "" {
			return p, err
		}
		if client, err = j.runClients(ctx, s); err != nil {
			return progress{}, err
		}
		server, err := j.pollServers(ctx, s)
		if err != nil {
			return progress{}, err
		}
		switch {
		case len(j.Refused) > maxRefused:
			text := fmt.Sprintf("More than %s documents are refused by the mapping of %s, the first: %s. That is the mapping's fault, not theirs. Correct it and resume, to copy from the start, or cancel.",
				grouped(maxRefused), j.Dest, j.Refused[0].Reason)
			j.startOver()
			j.Refused, j.Moved = nil, 0
			return progress{blocked: text}, j.save(ctx)
		case len(s.Running) == 0 && len(s.Queue) == 0:
			return finished, nil
		case j.still:
			return waiting(5 * time.Second), nil
		case j.over(ctx):
			return waiting(soon), nil
		case !client && !server.worth:
			return waiting(server.wait), nil
		}
	}
}

// begin takes parts from the queue as far as the pace allows.
func (j *job) begin(ctx context.Context, s *sweep) (progress, error) {
	if j.still {
		return progress{}, nil
	}
	var started bool
	for i := 0; i < len(s.Queue) && len(s.Running) < j.Pace.width(); {
		p := s.Queue[i]
		switch {
		case p.Tries > partTries:
			// Once more, but not before a person has looked.
			s.Queue[i].Tries = 0
			return progress{blocked: fmt.Sprintf("Operations %d to %d of shard %d of %s could not be copied in %d tries. The cluster's logs should say why.", p.From, p.To, p.Shard, j.Source, p.Tries)}, nil
		case time.Now().Before(p.After):
			i++
			continue
		}
		s.Queue = slices.Delete(s.Queue, i, i+1)
		p.Task, p.At, p.Seen, p.Read, p.Written, p.Conflict = "", p.From, 0, 0, 0, 0
		s.Running = append(s.Running, p)
		started = true
	}
	if !started {
		return progress{}, nil
	}
	// Before anything is sent it is known that it was: a task whose number is lost with
	// the reply is found by its name.
	return progress{}, j.save(ctx)
}

// again puts a part back, to be done from its start.
func (s *sweep) again(p part, wait time.Duration) {
	p.Tries++
	p.After = time.Now().Add(wait)
	s.Redone++
	s.Queue = append(s.Queue, p)
}

// end counts a part that is done.
func (s *sweep) end(j *job, p part, read, written, conflict int64) {
	s.Done++
	s.Read += read
	s.Written += written
	s.Conflict += conflict
	j.Moved += read
}

// name is the X-Opaque-Id of a part's task.
func (j *job) name(s *sweep, p part) string {
	return fmt.Sprintf("%s.%d.%d.%d", j.token, s.No, p.Shard, p.From)
}

// seen counts the documents dealt with so far, of parts running too.
func (s *sweep) seen() int64 {
	n := s.Read
	for _, p := range s.Running {
		n += max(p.Seen, p.Read)
	}
	return n
}

// copy is everything once.
func (j *job) copy(ctx context.Context) (progress, error) {
	if j.Copied {
		return finished, nil
	}
	if p, ok, err := j.destination(ctx); err != nil || !ok {
		return p, err
	}
	if j.Sweep == nil {
		s, err := j.nextSweep(ctx, j.first(), j.ReadFrom == "" && !j.Small)
		if err != nil {
			return progress{}, err
		}
		j.Sweep = s
		if err := j.save(ctx); err != nil {
			return progress{}, err
		}
	}
	p, err := j.run(ctx, j.Sweep)
	if err != nil || !p.done {
		return p, err
	}
	j.Copied, j.Parts = true, j.Sweep.Done
	j.passed(j.Sweep)
	return finished, j.save(ctx)
}

// passed closes a sweep.
func (j *job) passed(s *sweep) {
	j.Since, j.Sweep, j.Reached = s.Next, nil, nil
	if maps.Equal(s.Next, s.To) {
		j.Reached = s.To
	}
}

// first is how a document is written the first time: with dual, what is there was written
// by the writers and is newer.
func (j *job) first() string {
	if j.Writes == writesDual {
		return onlyIfNew
	}
	return newer
}

// nextSweep makes the pass over what was written after the last one.
func (j *job) nextSweep(ctx context.Context, how string, server bool) (*sweep, error) {
	now, err := j.reached(ctx)
	if err != nil {
		return nil, err
	}
	if err := j.refresh(ctx, j.Source); err != nil {
		return nil, err
	}
	j.memo.nowAt = time.Time{}
	// Operations that came in between are searchable too, so the pass must reach them;
	// the next one still starts at what was durable before.
	latest, err := j.reached(ctx)
	if err != nil {
		return nil, err
	}
	now.Latest = latest.Latest
	j.Passes++
	return newSweep(j.Passes, how, server, j.Since, now, j.partSize), nil
}

// Limits of catching up.
const (
	nearEnough = 1_000 // operations behind: few enough for the block
	nearTime   = 3 * time.Second
	maxPasses  = 40
)

// catchUp copies what was written meanwhile, pass by pass, until a pass is short.
func (j *job) catchUp(ctx context.Context) (progress, error) {
	for !j.over(ctx) {
		if p, ok, err := j.complete(ctx); err != nil || !ok {
			return p, err
		}
		if j.Sweep == nil {
			now, err := j.positions(ctx, j.source())
			if err != nil {
				return progress{}, err
			}
			if j.Behind = now.after(j.Since); j.Behind == 0 {
				return finished, nil
			}
			if j.Passes > maxPasses {
				j.Passes = 1
				return progress{blocked: fmt.Sprintf("After %d passes %s is still %d operations behind: it is written to faster than it is copied. Resume to go on, or ask again with --max-impact full or --writes block.",
					maxPasses, j.Dest, j.Behind)}, nil
			}
			if j.Sweep, err = j.nextSweep(ctx, asNew, false); err != nil {
				return progress{}, err
			}
			if err := j.save(ctx); err != nil {
				return progress{}, err
			}
		}
		p, err := j.run(ctx, j.Sweep)
		if err != nil || !p.done {
			return p, err
		}
		s := j.Sweep
		j.passed(s)
		if err := j.save(ctx); err != nil {
			return progress{}, err
		}
		if s.Read <= nearEnough && time.Since(s.Began) < nearTime {
			return finished, nil
		}
	}
	return waiting(soon), nil
}
