package opsredis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"twokey/ops"
)

// claim is the right to write one run: its epoch and the nonce it was claimed with.
type claim struct {
	s     *Store
	id    string
	nonce string
	fence string // epoch:nonce
	ttl   time.Duration
	n     atomic.Int64 // writes so far, for their nonces
}

var _ ops.Claim = (*claim)(nil)

// Claim takes the run for one tick; see ops.Store.
func (s *Store) Claim(ctx context.Context, id, task string, ttl time.Duration) (ops.Claim, ops.Run, error) {
	c := &claim{s: s, id: id, nonce: newNonce(), ttl: ttl}
	out, err := run(ctx, s.c, scriptClaim, "claim run "+id,
		[]string{keyRun(id)}, c.nonce, ttl.Milliseconds(), task)
	if err != nil {
		return nil, ops.Run{}, err
	}
	c.fence = out[0] + ":" + c.nonce
	r, err := decode(id, []any{out[1], out[2], out[0], out[3], ""})
	if err != nil {
		return nil, ops.Run{}, err
	}
	return c, r, nil
}

func (c *claim) Renew(ctx context.Context) error {
	_, err := run(ctx, c.s.c, scriptRenew, "renew claim on run "+c.id,
		[]string{keyRun(c.id)}, c.fence, c.ttl.Milliseconds())
	return err
}

func (c *claim) Fence(ctx context.Context) (ops.Flag, string, error) {
	out, err := run(ctx, c.s.c, scriptFence, "fence run "+c.id, []string{keyRun(c.id)}, c.fence)
	if err != nil {
		return ops.NoFlag, "", err
	}
	return ops.Flag(out[0]), out[1], nil
}

func (c *claim) Put(ctx context.Context, r *ops.Run, events []ops.Event) error {
	return c.PutAndClear(ctx, r, events, ops.NoFlag)
}

func (c *claim) PutAndClear(ctx context.Context, r *ops.Run, events []ops.Event, f ops.Flag) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write run %s: %w", c.id, err)
	}
	ended := 0
	if r.State.Ended() {
		ended = 1
	}
	args := []any{c.id, c.fence, c.next(), raw, ended, string(f), keep.Milliseconds()}
	for _, e := range events {
		raw, err := json.Marshal(struct {
			Kind ops.EventKind `json:"kind"`
			Text string        `json:"text"`
			File *ops.File     `json:"file,omitempty"`
		}{e.Kind, e.Text, e.File})
		if err != nil {
			return fmt.Errorf("event of run %s: %w", c.id, err)
		}
		args = append(args, raw)
	}
	out, err := run(ctx, c.s.c, scriptPut, "write run "+c.id, []string{
		keyRun(c.id), keyEvents(c.id), keyWake, keyLive, keyEnded, keyChanged, keyLocks, keyHeld(c.id),
		keyParts(c.id), keyDials(c.id),
	}, args...)
	if err != nil {
		return err
	}
	rev, at, _ := strings.Cut(out[0], " ")
	if r.Rev, err = strconv.ParseInt(rev, 10, 64); err != nil {
		return fmt.Errorf("write run %s: %w", c.id, err)
	}
	if ended == 1 {
		r.EndedAt = clock(at)
	}
	return nil
}

func (c *claim) PutParts(ctx context.Context, parts map[string][]byte) error {
	args := []any{c.fence, c.nonce, c.n.Add(1)}
	for key, value := range parts {
		args = append(args, key, value)
	}
	_, err := run(ctx, c.s.c, scriptPutParts, "write parts of run "+c.id,
		[]string{keyRun(c.id), keyParts(c.id)}, args...)
	return err
}

func (c *claim) Parts(ctx context.Context) (map[string][]byte, error) {
	out, err := run(ctx, c.s.c, scriptParts, "read parts of run "+c.id,
		[]string{keyRun(c.id), keyParts(c.id)}, c.fence)
	if err != nil {
		return nil, err
	}
	parts := make(map[string][]byte, len(out)/2)
	for i := 0; i+1 < len(out); i += 2 {
		parts[out[i]] = part(out[i+1])
	}
	return parts, nil
}

func (c *claim) Dials(ctx context.Context) (map[string]ops.Dial, error) {
	out, err := run(ctx, c.s.c, scriptDials, "read dials of run "+c.id,
		[]string{keyRun(c.id), keyDials(c.id)}, c.fence)
	if err != nil {
		return nil, err
	}
	dials := make(map[string]ops.Dial, len(out)/2)
	for i := 0; i+1 < len(out); i += 2 {
		ms, raw, _ := strings.Cut(out[i+1], " ")
		var d dial
		if err := json.Unmarshal([]byte(raw), &d); err != nil {
			return nil, fmt.Errorf("dial %s of run %s: %w", out[i], c.id, err)
		}
		dials[out[i]] = ops.Dial{Value: d.Value, By: d.By, At: clock(ms)}
	}
	return dials, nil
}

func (c *claim) Lock(ctx context.Context, resources []string, title, by string) error {
	args := []any{c.id, c.fence, title, by}
	for _, r := range resources {
		args = append(args, r)
	}
	out, err := run(ctx, c.s.c, scriptLock, "lock for run "+c.id,
		[]string{keyRun(c.id), keyLocks, keyHeld(c.id)}, args...)
	if errors.Is(err, errHeld) {
		held, err := c.s.held(ctx, out[0], out[1])
		if err != nil {
			return err
		}
		return held
	}
	return err
}

func (c *claim) Release(ctx context.Context, wake time.Duration) (time.Duration, error) {
	out, err := run(ctx, c.s.c, scriptRelease, "release run "+c.id,
		[]string{keyRun(c.id), keyWake}, c.id, c.fence, c.next(), max(wake, 0).Milliseconds())
	if err != nil {
		return 0, err
	}
	ms, err := strconv.ParseInt(out[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("release run %s: %w", c.id, err)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// next is the nonce of the claim's next write.
func (c *claim) next() string { return c.nonce + "." + strconv.FormatInt(c.n.Add(1), 10) }
