// Package approvalsredis keeps requests in Redis.
package approvalsredis

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"twokey/approvals"
)

// Store is an approvals.Store over Redis 7 or newer. It has no state of its own: any
// number of stores may share one server.
type Store struct{ c redis.UniversalClient }

var _ approvals.Store = (*Store)(nil)

// New returns a store. The client stays the caller's to close.
func New(c redis.UniversalClient) *Store { return &Store{c} }

// Create implements approvals.Store. A trigger is remembered for 60 days.
func (s *Store) Create(ctx context.Context, r approvals.Request) (approvals.Request, bool, error) {
	r.Rev = 1
	body, err := json.Marshal(r)
	if err != nil {
		return approvals.Request{}, false, fmt.Errorf("store request %s: %w", r.ID, err)
	}
	id, err := scriptCreate.Run(ctx, s.c,
		[]string{keyRequest(r.ID), keyTrigger(r.Trigger), keyOpen, keyChanged, keySuffixes, keyEnded},
		r.ID, body, backwards(r.ID), keepTrigger.Milliseconds(), keepEnded.Milliseconds(), keyRequest("")).Text()
	if err != nil {
		return approvals.Request{}, false, fmt.Errorf("store request %s: %w", r.ID, err)
	}
	if id == r.ID {
		return r, true, nil
	}
	first, err := s.Get(ctx, id)
	return first, false, err
}

// Get implements approvals.Store.
func (s *Store) Get(ctx context.Context, id string) (approvals.Request, error) {
	body, err := s.c.HGet(ctx, keyRequest(id), "body").Bytes()
	if errors.Is(err, redis.Nil) {
		return approvals.Request{}, approvals.ErrNotFound
	}
	if err != nil {
		return approvals.Request{}, fmt.Errorf("read request %s: %w", id, err)
	}
	var r approvals.Request
	if err := json.Unmarshal(body, &r); err != nil {
		return approvals.Request{}, fmt.Errorf("read request %s: %w", id, err)
	}
	return r, nil
}

// Update implements approvals.Store. A request that is final is kept for 30 days
// after its last update.
func (s *Store) Update(ctx context.Context, r approvals.Request) (approvals.Request, error) {
	expected := r.Rev
	r.Rev++
	body, err := json.Marshal(r)
	if err != nil {
		return approvals.Request{}, fmt.Errorf("write request %s: %w", r.ID, err)
	}
	open := "0"
	if r.State == approvals.Pending || r.State == approvals.Approved {
		open = "1"
	}
	rev, err := scriptUpdate.Run(ctx, s.c,
		[]string{keyRequest(r.ID), keyNonce(rand.Text()), keyOpen, keyChanged, keyEnded},
		r.ID, expected, body, open, keepEnded.Milliseconds(), keepNonce.Milliseconds()).Int64()
	switch {
	case err != nil:
		return approvals.Request{}, fmt.Errorf("write request %s: %w", r.ID, err)
	case rev == 0:
		return approvals.Request{}, approvals.ErrConflict
	case rev < 0:
		return approvals.Request{}, approvals.ErrNotFound
	}
	return r, nil
}

// minSuffix is the least of an id that people may type. maxAmbiguous bounds how many
// ids an AmbiguousError lists.
const (
	minSuffix    = 5
	maxAmbiguous = 10
)

// Find implements approvals.Store. An AmbiguousError lists up to 10 ids, oldest first.
func (s *Store) Find(ctx context.Context, suffix string) (string, error) {
	word := strings.ToUpper(suffix)
	if len(word) < minSuffix || strings.ContainsFunc(word, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z')
	}) {
		return "", approvals.ErrNotFound
	}
	from := backwards(word)
	found, err := s.c.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: keySuffixes, ByLex: true, Start: "[" + from, Stop: "(" + from + "~", Count: 2 * maxAmbiguous,
	}).Result()
	if err != nil {
		return "", fmt.Errorf("find request %s: %w", word, err)
	}
	var ids []string
	for _, f := range found { // entries may outlive their request a little
		id := backwards(f)
		n, err := s.c.Exists(ctx, keyRequest(id)).Result()
		if err != nil {
			return "", fmt.Errorf("find request %s: %w", word, err)
		}
		if n == 1 && len(ids) < maxAmbiguous {
			ids = append(ids, id)
		}
	}
	switch len(ids) {
	case 0:
		return "", approvals.ErrNotFound
	case 1:
		return ids[0], nil
	}
	slices.Sort(ids)
	return "", &approvals.AmbiguousError{Suffix: word, IDs: ids}
}

// Open implements approvals.Store.
func (s *Store) Open(ctx context.Context) ([]string, error) {
	ids, err := s.c.ZRange(ctx, keyOpen, 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("read open requests: %w", err)
	}
	return ids, nil
}

// Changed implements approvals.Store: those waiting longest come first.
func (s *Store) Changed(ctx context.Context, n int) ([]approvals.Changed, error) {
	if n <= 0 {
		return nil, nil
	}
	ids, err := s.c.ZRange(ctx, keyChanged, 0, int64(n)-1).Result()
	if err != nil {
		return nil, fmt.Errorf("read changed requests: %w", err)
	}
	revs := make([]*redis.StringCmd, len(ids))
	if _, err := s.c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			revs[i] = p.HGet(ctx, keyRequest(id), "rev")
		}
		return nil
	}); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read changed requests: %w", err)
	}
	var out []approvals.Changed
	for i, id := range ids {
		rev, err := revs[i].Int64()
		switch {
		case errors.Is(err, redis.Nil): // its request expired
			if err := s.Settle(ctx, approvals.Changed{ID: id}); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, fmt.Errorf("read changed requests: %w", err)
		default:
			out = append(out, approvals.Changed{ID: id, Rev: rev})
		}
	}
	return out, nil
}

// Settle implements approvals.Store.
func (s *Store) Settle(ctx context.Context, c approvals.Changed) error {
	if err := scriptSettle.Run(ctx, s.c, []string{keyRequest(c.ID), keyChanged}, c.ID, c.Rev).Err(); err != nil {
		return fmt.Errorf("settle request %s: %w", c.ID, err)
	}
	return nil
}

// backwards returns an id's letters in reverse order; ids are ASCII.
func backwards(id string) string {
	b := []byte(id)
	slices.Reverse(b)
	return string(b)
}
