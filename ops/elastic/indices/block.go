package indices

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

const (
	blockKey = "index.blocks.write"
	// drainedKey is set by the server once all shards have said that no write is in flight
	// under the block, and taken off with the block.
	drainedKey = "index.verified_read_only"
)

// mostLifted is how often a block that others lift is set again before a person is asked.
const mostLifted = 3

// blocked reports whether the source takes no writes.
func (j *job) blocked(ctx context.Context) (bool, error) {
	x, err := j.metadata(ctx, j.Source)
	if err != nil {
		return false, err
	}
	if x.UUID != j.SourceUUID {
		return false, fmt.Errorf("%s: %w", j.Source, errRecreated)
	}
	return x.Settings[blockKey] == "true", nil
}

func (j *job) blockEntry() string { return "index " + j.Source + " " + blockKey }

// block makes the source refuse writes. The server waits for those in flight.
func (j *job) block(ctx context.Context) (progress, error) {
	// Not under a block, where what does not fit could not be corrected.
	if p, err := j.unfit(ctx); err != nil || !p.done {
		return p, err
	}
	x, err := j.look(ctx)
	if err != nil {
		return progress{}, err
	}
	if x.UUID != j.SourceUUID {
		return progress{}, fmt.Errorf("%s: %w", j.Source, errRecreated)
	}
	e, ours := j.entry(j.blockEntry())
	// A block whose request was not answered may not be drained. Asked again, the server
	// looks; one that has no drainedKey answers that there is nothing to do.
	if x.Settings[blockKey] == "true" && (x.Settings[drainedKey] == "true" || ours && e.State == ops.Written) {
		j.memo.blockedAt = j.memo.sourceAt
		if ours && e.State == ops.Intended {
			err = j.settle(ctx, ops.Settlement{Key: e.Key, State: ops.Written, After: text("true")})
		}
		return finished, err
	}
	err = j.record(ctx, ops.Change{Key: j.blockEntry(), Resource: "index " + j.Source, Setting: blockKey, Before: x.setting(blockKey), Intended: text("true")})
	if err != nil {
		return progress{}, err
	}
	var answer struct {
		Acknowledged bool              `json:"shards_acknowledged"`
		Indices      []json.RawMessage `json:"indices"`
	}
	err = j.Do(ctx, elastic.Request{Method: "PUT", Path: "/" + url.PathEscape(j.Source) + "/_block/write",
		Query: elastic.Query("master_timeout", "5s", "timeout", "5s"), Token: j.token, Limit: pageLimit, Answer: &answer})
	j.forget()
	if err == nil && len(answer.Indices) == 0 && ours && !same(e.Before, text("true")) {
		return waiting(soon), j.putSettings(ctx, j.Source, settings{blockKey: e.Before}, j.token) // and from the start
	}
	if err != nil || !answer.Acknowledged {
		return waiting(100 * time.Millisecond), err // not all shards yet, or nobody knows
	}
	j.memo.blockedAt = time.Now()
	return finished, j.settle(ctx, ops.Settlement{Key: j.blockEntry(), State: ops.Written, After: text("true")})
}

// unblock puts back what the block was before, if it is still ours.
func (j *job) unblock(ctx context.Context) (progress, error) {
	e, ok := j.entry(j.blockEntry())
	if !ok || e.State == ops.Restored || e.State == ops.Left {
		return finished, nil
	}
	x, there, err := j.find(ctx, j.Source)
	if err != nil {
		return progress{}, err
	}
	if !there || x.UUID != j.SourceUUID {
		gone := ops.Settlement{Key: e.Key, State: ops.Left, Reason: "the index is gone"}
		if now := x.setting(blockKey); there && now != nil {
			// Blocks go by name: it may be ours, if the index was made again at that moment.
			gone.After, gone.Reason = now, "the index was made again by somebody else, and this one has a block"
		}
		return finished, j.settle(ctx, gone)
	}
	now := x.setting(blockKey)
	if same(now, e.Before) {
		return finished, j.settle(ctx, ops.Settlement{Key: e.Key, State: ops.Restored, After: now})
	}
	if now == nil || *now != "true" {
		return finished, j.settle(ctx, ops.Settlement{Key: e.Key, State: ops.Left, After: now, Reason: "somebody else changed it meanwhile"})
	}
	return waiting(soon), j.putSettings(ctx, j.Source, settings{blockKey: e.Before}, j.token)
}
