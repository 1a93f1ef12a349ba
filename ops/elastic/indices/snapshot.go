package indices

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/valyala/fastjson"

	"twokey/ops/elastic"
)

// A comparison reads all of a shard. In the order in which its documents are stored, the
// server unpacks each block of them once; by windows of sequence numbers, a shard that
// several writers filled is unpacked document by document. That order holds in a point in
// time only, and this is of the process that serves it: a node that goes takes it along.
// Then the round begins anew, and after mostSnapshots such losses the comparison goes by
// windows, which need nothing that can be lost.

// snapshotLife is how long a point in time outlives the last read of it: a bot that is
// started again within it reads on. Nobody has to close what a killed one left.
const snapshotLife = "5m"

const mostSnapshots = 2

var errSnapshotLost = errors.New("the point in time is gone")

// bySnapshot reports whether a shard is read in the order of storage. A shard of few pages
// is not worth the two requests more; and with dual, where writers never stop, a document
// written meanwhile is better met in its last state than in its first.
func (j *job) bySnapshot(c *comparison, at *cursor) bool {
	return c.Differ == nil && c.Lost < mostSnapshots && at.To >= 2*j.comparePage() && !(c.Live && j.Writes == writesDual)
}

// readStored reads the next page of a shard as it was when its reading began.
func (j *job) readStored(ctx context.Context, name string, at *cursor) ([]document, error) {
	if at.Snapshot == "" {
		var answer struct {
			ID string `json:"id"`
		}
		err := j.Site.ask(ctx, elastic.Request{
			Method: http.MethodPost, Path: "/" + url.PathEscape(name) + "/_pit", Limit: pageLimit, Answer: &answer,
			Query: url.Values{"keep_alive": {snapshotLife}, "preference": {preference(at.Shard, "")}},
		})
		if err != nil {
			return nil, err
		}
		at.Snapshot = answer.ID
	}
	body := map[string]any{
		"size": at.Width, "sort": []string{"_shard_doc"}, "track_total_hits": true, "version": true, "seq_no_primary_term": true,
		"_source": false, "stats": []string{searchGroup}, "pit": map[string]string{"id": at.Snapshot, "keep_alive": snapshotLife},
	}
	if at.Read > 0 {
		body["search_after"] = []int64{at.After}
	}
	var raw []byte
	err := j.Site.ask(ctx, elastic.Request{
		Method: http.MethodPost, Path: "/_search", Limit: pageLimit, Answer: &raw, Body: body,
		Query: url.Values{"filter_path": {"pit_id,timed_out,_shards,hits.total.value,hits.hits._id,hits.hits._routing,hits.hits._version,hits.hits._seq_no,hits.hits._primary_term,hits.hits.sort"}},
	})
	switch {
	case elastic.IsLonger(err) && at.Width > 1:
		at.Width /= 2
		return nil, errTooMany
	case elastic.IsStatus(err, http.StatusNotFound), elastic.IsStatus(err, http.StatusServiceUnavailable):
		return nil, fmt.Errorf("%w: %w", errSnapshotLost, err)
	case err != nil:
		return nil, err
	}
	f, err := identities(raw)
	switch {
	case err != nil:
		return nil, j.Site.Translate(fmt.Errorf("%w: page of %s: %w", elastic.ErrAnswer, name, err))
	case f.failed > 0 || f.shards == 0:
		return nil, fmt.Errorf("%w: %d of %d shards failed", errSnapshotLost, f.failed, f.shards)
	case f.timedOut:
		return nil, fmt.Errorf("reading %s: timed out", name)
	}
	if n := len(f.hits); n > 0 {
		at.After = f.last
		at.Read += int64(n)
		at.At = min(at.Read, at.To)
	}
	if f.next != "" {
		at.Snapshot = f.next
	}
	if int64(len(f.hits)) < at.Width {
		if at.Read != int64(f.total) {
			return nil, fmt.Errorf("%w: %d of %d documents of %s were read", errSnapshotLost, at.Read, f.total, name)
		}
		at.At = at.To + 1
		j.closeSnapshot(ctx, at)
	}
	return f.hits, nil
}

// closeSnapshot lets a point in time go. It goes by itself, later, if this fails.
func (j *job) closeSnapshot(ctx context.Context, at *cursor) {
	_ = j.Site.Do(ctx, elastic.Request{Method: http.MethodDelete, Path: "/_pit", Limit: pageLimit, Body: map[string]string{"id": at.Snapshot}})
	at.Snapshot = ""
}

// position reads where a page of a snapshot ended, and what the snapshot is called now.
func (f *found) position(v *fastjson.Value, hits []*fastjson.Value) {
	f.next = string(v.GetStringBytes("pit_id"))
	if len(hits) == 0 {
		return
	}
	if sort := hits[len(hits)-1].GetArray("sort"); len(sort) > 0 {
		f.last = sort[0].GetInt64()
	}
}

// beginAnew forgets what was read in this round, because a point in time was lost.
func (c *comparison) beginAnew() {
	c.Lost++
	c.Round--
	c.Sides = [2]side{}
}
