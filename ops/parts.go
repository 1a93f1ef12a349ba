package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// PutPart writes one sub-record of the run, as JSON, apart from the record: for work on
// thousands of things, each with a state of its own. It is stored when PutPart returns
// nil. It is fenced as Record is, but is no substitute for it: what Record is for
// belongs in the journal. Key is unique in the run; parts are shared by its steps and
// kept as long as the run.
func (t *Tick) PutPart(ctx context.Context, key string, v any) error {
	return t.PutParts(ctx, map[string]any{key: v})
}

// PutParts writes several parts: all or none. A few hundred at a time are well.
func (t *Tick) PutParts(ctx context.Context, parts map[string]any) error {
	if len(parts) == 0 {
		return nil
	}
	raw := make(map[string][]byte, len(parts))
	for key, v := range parts {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("part %q: %w", key, err)
		}
		raw[key] = b
	}
	if err := t.open(ctx); err != nil {
		return err
	}
	return t.noteLost(t.claim.PutParts(ctx, raw))
}

// Parts reads all parts of the run.
func (t *Tick) Parts(ctx context.Context) (map[string]json.RawMessage, error) {
	if err := t.open(ctx); err != nil {
		return nil, err
	}
	raw, err := t.claim.Parts(ctx)
	if err != nil {
		return nil, t.noteLost(err)
	}
	parts := make(map[string]json.RawMessage, len(raw))
	for key, b := range raw {
		parts[key] = b
	}
	return parts, nil
}

// open returns why the store may not be asked. A lost write of the record is no reason:
// parts do not stand on it.
func (t *Tick) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return errOver
	}
	return nil
}

// Dial is a value that a person sets while the run is live, such as a throttle. What
// the names and values mean is between the operation and its commands; the engine only
// keeps them.
type Dial struct {
	Value string
	By    string    // a user id
	At    time.Time // when it was turned, by the store's clock
}

// Dials reads the run's dials, by name; those nobody has turned are missing. A step
// reads them at each poll: turning one makes the run due at once.
func (t *Tick) Dials(ctx context.Context) (map[string]Dial, error) {
	if err := t.open(ctx); err != nil {
		return nil, err
	}
	dials, err := t.claim.Dials(ctx)
	return dials, t.noteLost(err)
}
