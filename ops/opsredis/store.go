package opsredis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/ops"
)

const (
	// keep is how long ended runs and their events can be read.
	keep = 30 * 24 * time.Hour
	// sweepMost is how many overdue runs one sweep takes; the next takes the rest.
	sweepMost = 500
)

// Store is the ops.Store in Redis. It has no state of its own but the client, which
// stays the caller's.
type Store struct{ c redis.UniversalClient }

var _ ops.Store = (*Store)(nil)

// New returns the store in the client's database.
func New(c redis.UniversalClient) *Store { return &Store{c: c} }

// Create stores a new run. Its first task has the run's id.
func (s *Store) Create(ctx context.Context, r ops.Run) (bool, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("create run %s: %w", r.ID, err)
	}
	_, err = run(ctx, s.c, scriptCreate, "create run "+r.ID,
		[]string{keyRun(r.ID), keyWake, keyLive, keyChanged}, r.ID, newNonce(), raw, r.ID)
	if errors.Is(err, errExists) {
		return false, nil
	}
	return err == nil, err
}

// fields are what a record consists of, in the order decode takes them.
var fields = []string{"run", "rev", "epoch", "created", "ended"}

// decode makes a run of its fields. What the store itself counts and clocks wins over
// what the record says.
func decode(id string, v []any) (ops.Run, error) {
	text := func(i int) string { s, _ := v[i].(string); return s }
	var r ops.Run
	if v[0] == nil {
		return r, ops.ErrNotFound
	}
	if err := json.Unmarshal([]byte(text(0)), &r); err != nil {
		return r, fmt.Errorf("record of run %s: %w", id, err)
	}
	var errs [2]error
	r.Rev, errs[0] = strconv.ParseInt(text(1), 10, 64)
	r.Epoch, errs[1] = strconv.ParseInt(text(2), 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return r, fmt.Errorf("record of run %s: %w", id, err)
	}
	r.CreatedAt = clock(text(3))
	if text(4) != "" {
		r.EndedAt = clock(text(4))
	}
	return r, nil
}

// clock reads milliseconds as a script writes them; nonsense is the zero time.
func clock(ms string) time.Time {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// Get returns a run, or ErrNotFound.
func (s *Store) Get(ctx context.Context, id string) (ops.Run, error) {
	v, err := s.c.HMGet(ctx, keyRun(id), fields...).Result()
	if err != nil {
		return ops.Run{}, fmt.Errorf("read run %s: %w", id, err)
	}
	return decode(id, v)
}

// Live returns the runs that have not ended, oldest first.
func (s *Store) Live(ctx context.Context) ([]ops.Run, error) {
	ids, err := s.c.ZRange(ctx, keyLive, 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("read live runs: %w", err)
	}
	return s.all(ctx, ids, func(r ops.Run) bool { return !r.State.Ended() })
}

// Recent returns up to n ended runs, newest ending first.
func (s *Store) Recent(ctx context.Context, n int) ([]ops.Run, error) {
	if n <= 0 {
		return nil, nil
	}
	ids, err := s.c.ZRevRange(ctx, keyEnded, 0, int64(n-1)).Result()
	if err != nil {
		return nil, fmt.Errorf("read ended runs: %w", err)
	}
	return s.all(ctx, ids, func(ops.Run) bool { return true })
}

// all reads the runs with these ids that are still there and pass the filter.
func (s *Store) all(ctx context.Context, ids []string, pass func(ops.Run) bool) ([]ops.Run, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	reads := make([]*redis.SliceCmd, len(ids))
	_, err := s.c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			reads[i] = p.HMGet(ctx, keyRun(id), fields...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	runs := make([]ops.Run, 0, len(ids))
	for i, id := range ids {
		r, err := decode(id, reads[i].Val())
		switch {
		case errors.Is(err, ops.ErrNotFound): // ended and expired meanwhile
		case err != nil:
			return nil, err
		case pass(r):
			runs = append(runs, r)
		}
	}
	return runs, nil
}

// Events returns the events of a run with Seq > after, in order.
func (s *Store) Events(ctx context.Context, id string, after int64) ([]ops.Event, error) {
	after = max(after, 0)
	rows, err := s.c.LRange(ctx, keyEvents(id), after, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("read events of run %s: %w", id, err)
	}
	events := make([]ops.Event, len(rows))
	for i, row := range rows {
		ms, raw, _ := strings.Cut(row, " ")
		if err := json.Unmarshal([]byte(raw), &events[i]); err != nil {
			return nil, fmt.Errorf("event %d of run %s: %w", after+int64(i)+1, id, err)
		}
		events[i].Seq, events[i].At = after+int64(i)+1, clock(ms)
	}
	return events, nil
}

// Parts returns the parts of a run; see ops.Store.
func (s *Store) Parts(ctx context.Context, id string) (map[string][]byte, error) {
	rows, err := s.c.HGetAll(ctx, keyParts(id)).Result()
	if err != nil {
		return nil, fmt.Errorf("read parts of run %s: %w", id, err)
	}
	parts := make(map[string][]byte, len(rows))
	for key, row := range rows {
		parts[key] = part(row)
	}
	return parts, nil
}

// part is the value of a part as stored.
func part(row string) []byte {
	_, value, _ := strings.Cut(row, " ")
	return []byte(value)
}

// Flag leaves a wish in the record; see ops.Store.
func (s *Store) Flag(ctx context.Context, id string, f ops.Flag, by string) (ops.Wake, error) {
	out, err := run(ctx, s.c, scriptFlag, fmt.Sprintf("%s run %s", f, id),
		[]string{keyRun(id), keyWake, keyNonce(newNonce())}, id, string(f), by)
	if err != nil {
		return ops.Wake{}, err
	}
	return ops.Wake{ID: id, Task: out[0]}, nil
}

// dial is a dial as stored, but for its time.
type dial struct {
	Value string `json:"value"`
	By    string `json:"by"`
}

// Turn sets a dial; see ops.Store.
func (s *Store) Turn(ctx context.Context, id, name, value, by string) (ops.Wake, error) {
	raw, err := json.Marshal(dial{value, by})
	if err != nil {
		return ops.Wake{}, fmt.Errorf("dial %s of run %s: %w", name, id, err)
	}
	out, err := run(ctx, s.c, scriptTurn, fmt.Sprintf("turn %s of run %s", name, id),
		[]string{keyRun(id), keyWake, keyDials(id), keyNonce(newNonce())}, id, name, raw)
	if err != nil {
		return ops.Wake{}, err
	}
	return ops.Wake{ID: id, Task: out[0]}, nil
}

// Overdue gives runs that are late and unheld a new task; see ops.Store.
func (s *Store) Overdue(ctx context.Context, grace time.Duration) ([]ops.Wake, error) {
	out, err := scriptOverdue.Run(ctx, s.c, []string{keyWake, keyNonce(newNonce())},
		prefixRun, grace.Milliseconds(), sweepMost).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("sweep runs: %w", err)
	}
	wakes := make([]ops.Wake, 0, len(out)/2)
	for i := 0; i+1 < len(out); i += 2 {
		wakes = append(wakes, ops.Wake{ID: out[i], Task: out[i+1]})
	}
	return wakes, nil
}

// Holder returns who holds a lock: nil if nobody does.
func (s *Store) Holder(ctx context.Context, resource string) (*ops.HeldError, error) {
	id, err := s.c.HGet(ctx, keyLocks, resource).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read lock %s: %w", resource, err)
	}
	return s.held(ctx, resource, id)
}

// held says for people who holds a resource.
func (s *Store) held(ctx context.Context, resource, id string) (*ops.HeldError, error) {
	v, err := s.c.HMGet(ctx, keyRun(id), "title", "by").Result()
	if err != nil {
		return nil, fmt.Errorf("read holder of %s: %w", resource, err)
	}
	h := &ops.HeldError{Resource: resource, Run: id}
	h.Title, _ = v[0].(string)
	h.By, _ = v[1].(string)
	return h, nil
}

// Changed returns up to n runs with unsettled writes, those waiting longest first.
func (s *Store) Changed(ctx context.Context, n int) ([]ops.Changed, error) {
	if n <= 0 {
		return nil, nil
	}
	out, err := scriptChanged.Run(ctx, s.c, []string{keyChanged}, prefixRun, n).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("read changed runs: %w", err)
	}
	changed := make([]ops.Changed, 0, len(out)/2)
	for i := 0; i+1 < len(out); i += 2 {
		rev, err := strconv.ParseInt(out[i+1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("rev of run %s: %w", out[i], err)
		}
		changed = append(changed, ops.Changed{ID: out[i], Rev: rev})
	}
	return changed, nil
}

// Settle says the reader has dealt with everything up to c.Rev.
func (s *Store) Settle(ctx context.Context, c ops.Changed) error {
	_, err := run(ctx, s.c, scriptSettle, "settle run "+c.ID,
		[]string{keyRun(c.ID), keyChanged}, c.ID, c.Rev)
	return err
}
