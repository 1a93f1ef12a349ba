package indices

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// create makes the destination, or takes the empty one that is there, and gives it the
// settings for the copy.
func (j *job) create(ctx context.Context) (progress, error) {
	src, there, err := j.find(ctx, j.Source)
	switch {
	case err != nil:
		return progress{}, err
	case !there || src.UUID != j.SourceUUID:
		return progress{failed: fmt.Sprintf("%s is gone, or another index of that name", j.Source)}, nil
	}
	j.memo.source, j.memo.sourceAt = src, time.Now()
	if err := unfitSource(src); err != nil { // in a campaign nobody has looked before
		return progress{failed: err.Error()}, nil
	}
	j.SourceShards = src.Shards
	now, err := j.reached(ctx)
	if err != nil {
		return progress{}, err
	}
	if j.Docs = now.Docs; !plain(src.Mappings) {
		if j.Docs, err = j.count(ctx, j.Source); err != nil { // nested documents were counted too
			return progress{}, err
		}
	}
	j.DocBytes = now.Bytes / max(j.Docs, 1)
	if !j.Made && j.DestUUID == "" {
		j.Small = j.Docs <= smallDocs && now.Bytes <= smallBytes && j.Indexing == "" && j.Existing == ""
	}
	if _, begun := j.entry(j.destKey()); !begun && j.Existing == "" {
		return j.make(ctx, src)
	}
	dst, there, err := j.find(ctx, j.Dest)
	if err != nil {
		return progress{}, err
	}
	if j.Existing != "" {
		return j.take(ctx, dst, there)
	}
	if !there {
		return j.make(ctx, src)
	}
	m, err := j.marksOf(ctx, []string{j.Dest}) // made by a process that did not live to write it down?
	if err != nil {
		return progress{}, err
	}
	if m[j.Dest].Run != j.runID || m[j.Dest].SourceUUID != j.SourceUUID {
		return progress{failed: fmt.Sprintf("%s is there now, and this run did not make it", j.Dest)}, nil
	}
	return j.adopt(ctx, src, dst)
}

// plain reports whether a mapping has no nested field, whose documents count as several.
func plain(mappings map[string]any) bool {
	for _, v := range mappings {
		if m, ok := v.(map[string]any); ok && (m["type"] == "nested" || !plain(m)) {
			return false
		}
	}
	return true
}

// adopt takes over the destination that this run made.
func (j *job) adopt(ctx context.Context, src, dst index) (progress, error) {
	j.DestUUID, j.DestShards, j.Made = dst.UUID, dst.Shards, true
	j.Window = searchable(src, dst)
	if j.Final == nil {
		if err := j.plannedFinal(ctx, src); err != nil {
			return progress{}, err
		}
	}
	if e, ok := j.entry(j.destKey()); ok && e.State == ops.Intended {
		return finished, j.settle(ctx, ops.Settlement{Key: e.Key, State: ops.Written, After: e.Intended})
	}
	return finished, j.save(ctx)
}

func (j *job) destKey() string { return "index " + j.Dest }

// plannedFinal works out what the destination is to look like in the end.
func (j *job) plannedFinal(ctx context.Context, src index) error {
	is := src.Settings
	if j.Template {
		x, _, _, err := j.simulated(ctx, j.Dest)
		if err != nil {
			return err
		}
		is = x.Settings
	}
	j.Final = j.final(is)
	return nil
}

// make makes the destination. The next call finds whether it is there.
func (j *job) make(ctx context.Context, src index) (progress, error) {
	if err := j.plannedFinal(ctx, src); err != nil {
		return progress{}, err
	}
	err := j.record(ctx, ops.Change{
		Key: j.destKey(), Resource: "cluster " + j.Environment, Setting: "index " + j.Dest, Intended: text("made as the copy of " + j.Source),
	})
	if err != nil {
		return progress{}, err
	}
	// The shards are waited for by whoever needs them next, not here.
	err = j.Write(ctx, "PUT", "/"+url.PathEscape(j.Dest), elastic.Query("master_timeout", "5s", "timeout", "5s", "wait_for_active_shards", "0"), j.body(src), j.token)
	if elastic.IsStatus(err, 400) && strings.Contains(err.Error(), "already exists") {
		return waiting(soon), nil // whose it is, the next call sees
	}
	if elastic.IsStatus(err, 400) {
		return progress{blocked: fmt.Sprintf("%s cannot be made: %s Put that right and resume, or cancel.", j.Dest, err)}, nil
	}
	if err != nil {
		return progress{}, err
	}
	dst, err := j.metadata(ctx, j.Dest)
	if err != nil {
		return progress{}, err
	}
	return j.adopt(ctx, src, dst)
}

// take gives an index that was there before the settings for the copy.
func (j *job) take(ctx context.Context, dst index, there bool) (progress, error) {
	if !there || dst.UUID != j.Existing {
		return progress{failed: fmt.Sprintf("%s is gone, or another index of that name", j.Dest)}, nil
	}
	j.DestUUID, j.DestShards, j.Window = dst.UUID, dst.Shards, searchable(j.memo.source, dst)
	want := j.whileCopying()
	missing := want.missingFrom(dst)
	if j.Final == nil {
		n, err := j.count(ctx, j.Dest)
		if err != nil {
			return progress{}, err
		}
		if n > 0 {
			return progress{failed: fmt.Sprintf("%s is not empty any more: it has %d documents", j.Dest, n)}, nil
		}
		j.Final = j.final(dst.Settings)
		if err := j.save(ctx); err != nil {
			return progress{}, err
		}
	}
	if len(missing) == 0 {
		return finished, j.settleSettings(ctx, dst, ops.Written)
	}
	var changes []ops.Change
	for _, k := range missing {
		changes = append(changes, ops.Change{Key: j.destKey() + " " + k, Resource: "index " + j.Dest, Setting: k, Before: dst.setting(k), Intended: want[k]})
	}
	if err := j.record(ctx, changes...); err != nil {
		return progress{}, err
	}
	return waiting(soon), j.putSettings(ctx, j.Dest, want, j.token)
}

// settleSettings settles the journal's entries about the settings of a destination that
// was there before.
func (j *job) settleSettings(ctx context.Context, dst index, state ops.ChangeState) error {
	var all []ops.Settlement
	for _, e := range j.journal() {
		if strings.HasPrefix(e.Key, j.destKey()+" index.") && e.State != state {
			all = append(all, ops.Settlement{Key: e.Key, State: state, After: dst.setting(e.Setting)})
		}
	}
	if len(all) == 0 {
		return nil
	}
	return j.settle(ctx, all...)
}

// remove deletes an index of this run, by name after a look at its uuid. It is no error if
// it is gone already.
func (s Site) remove(ctx context.Context, name, uuid, token string) error {
	x, there, err := s.find(ctx, name)
	if err != nil || !there {
		return err
	}
	if x.UUID != uuid {
		return fmt.Errorf("%s: %w", name, errRecreated)
	}
	err = s.Write(ctx, "DELETE", "/"+url.PathEscape(name), elastic.Query("master_timeout", "5s", "timeout", "5s"), nil, token)
	if elastic.IsStatus(err, 404) {
		return nil
	}
	return err
}
