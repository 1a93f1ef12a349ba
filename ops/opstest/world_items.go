package opstest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"twokey/ops"
)

// itemsStep changes many settings, NAME.0 and on, one with each poll, and keeps a part
// of each that is done.
type itemsStep struct{ step }

const itemValue = "item"

// keys are the settings' names.
func (s itemsStep) keys() ([]string, error) {
	name, count, _ := strings.Cut(s.arg, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return nil, err
	}
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s.%d", name, i)
	}
	return keys, nil
}

// Start only records what the polls will change.
func (s itemsStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	if err := s.w.before(ctx, "start", s.text); err != nil {
		return err
	}
	keys, err := s.keys()
	if err != nil {
		return err
	}
	value := itemValue
	var changes []ops.Change
	for _, key := range keys {
		changes = append(changes, ops.Change{Key: key, Resource: "world", Setting: key, Before: s.w.get(key), Intended: &value})
	}
	return t.RecordAll(ctx, changes)
}

func (s itemsStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if err := s.w.before(ctx, "poll", s.text); err != nil {
		return ops.Progress{}, err
	}
	keys, err := s.keys()
	if err != nil {
		return ops.Progress{}, err
	}
	if _, ok := t.Entry(keys[0]); !ok {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	parts, err := t.Parts(ctx)
	if err != nil {
		return ops.Progress{}, err
	}
	value := itemValue
	for i, key := range keys {
		if _, done := parts[key]; done {
			continue
		}
		if !same(s.w.get(key), &value) {
			if err := t.Fence(ctx); err != nil {
				return ops.Progress{}, err
			}
			s.w.put("set", key, &value)
		}
		return ops.Progress{
			Phase: ops.Waiting, Wait: 200 * time.Millisecond,
			Status: ops.Status{Headline: fmt.Sprintf("%d of %d items", i+1, len(keys))},
		}, t.PutPart(ctx, key, "done")
	}
	return ops.Progress{Phase: ops.Done}, s.settle(ctx, t, keys, ops.Kept)
}

func (s itemsStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if err := s.w.before(ctx, "undo", s.text); err != nil {
		return ops.Progress{}, err
	}
	keys, err := s.keys()
	if err != nil {
		return ops.Progress{}, err
	}
	if _, ok := t.Entry(keys[0]); !ok {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	if err := t.Fence(ctx); err != nil {
		return ops.Progress{}, err
	}
	for _, key := range keys {
		if c, _ := t.Entry(key); !same(s.w.get(key), c.Before) {
			s.w.put("restore", key, c.Before)
		}
	}
	return ops.Progress{Phase: ops.Done}, s.settle(ctx, t, keys, ops.Restored)
}

func (s itemsStep) settle(ctx context.Context, t *ops.Tick, keys []string, state ops.ChangeState) error {
	var all []ops.Settlement
	for _, key := range keys {
		all = append(all, ops.Settlement{Key: key, State: state, After: s.w.get(key)})
	}
	return t.SettleAll(ctx, all)
}
