package indices

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// sample compares identities of documents chosen by chance, and returns those that differ
// and how many were looked at.
func (j *job) sample(ctx context.Context) ([]document, int, error) {
	now, err := j.positions(ctx, j.source())
	if err != nil {
		return nil, 0, err
	}
	h := fnv.New64a()
	h.Write([]byte(j.token))
	chance := rand.New(rand.NewPCG(h.Sum64(), 1))
	skip := map[string]bool{}
	for _, r := range j.Refused {
		skip[r.ID] = true
	}
	var differ []document
	looked := 0
	for _, shard := range slices.Sorted(maps.Keys(now.Latest)) {
		for range max(sampleSpans/len(now.Latest), 1) {
			from := int64(0)
			if last := now.Latest[shard]; last > sampleSpan {
				from = chance.Int64N(last - sampleSpan + 1)
			}
			docs, err := j.Site.page(ctx, j.Source, window{shard, from, from + sampleSpan - 1}, sampleSpan, false, "")
			if err != nil {
				return nil, 0, err
			}
			there, err := j.lookup(ctx, j.Dest, docs, false)
			if err != nil {
				return nil, 0, err
			}
			for _, d := range docs {
				if skip[d.ID] {
					continue
				}
				want := j.expected(d)
				looked++
				if is, ok := there[d.ID]; !ok || j.versions() && is.Version != want || is.Routing != d.Routing {
					differ = append(differ, d)
				}
			}
			if now.Latest[shard] <= sampleSpan {
				break
			}
		}
	}
	return differ, looked, nil
}

// sampleContents compares the contents of documents chosen by chance.
func (j *job) sampleContents(ctx context.Context) (*unlike, error) {
	now, err := j.positions(ctx, j.source())
	if err != nil {
		return nil, err
	}
	if err := j.refresh(ctx, j.Source); err != nil {
		return nil, err
	}
	h := fnv.New64a()
	h.Write([]byte(j.token))
	chance := rand.New(rand.NewPCG(h.Sum64(), 2))
	var docs []document
	for _, shard := range slices.Sorted(maps.Keys(now.Latest)) {
		for range max(contentSpans/len(now.Latest), 1) {
			from := int64(0)
			if last := now.Latest[shard]; last > sampleSpan {
				from = chance.Int64N(last - sampleSpan + 1)
			}
			some, err := j.Site.page(ctx, j.Source, window{shard, from, from + sampleSpan - 1}, sampleSpan, false, "")
			if err != nil {
				return nil, err
			}
			docs = append(docs, some...)
			if now.Latest[shard] <= sampleSpan {
				break
			}
		}
	}
	docs = slices.DeleteFunc(docs, func(d document) bool {
		return slices.ContainsFunc(j.Refused, func(r refusal) bool { return r.ID == d.ID })
	})
	return j.tellApart(ctx, docs)
}

// unlike are documents whose contents differ in the two indices, as they were when they were
// read: one that is written meanwhile is read on one side before and on the other after.
type unlike struct {
	At     time.Time       `json:"at"`
	Looked int             `json:"looked"`
	Docs   map[string]twin `json:"docs"`
}

// twin is a document in both indices, by its latest operation on each.
type twin struct {
	Routing string `json:"r,omitempty"`
	Source  int64  `json:"s"`
	Dest    int64  `json:"d"` // -1: it is not there
}

// tellApart reads documents on both sides and returns those whose contents differ.
func (j *job) tellApart(ctx context.Context, docs []document) (*unlike, error) {
	u := &unlike{At: time.Now(), Docs: map[string]twin{}}
	ours, err := j.lookup(ctx, j.Source, docs, true)
	if err != nil {
		return nil, err
	}
	theirs, err := j.lookup(ctx, j.Dest, docs, true)
	if err != nil {
		return nil, err
	}
	u.Looked = len(ours)
	for id, d := range ours {
		other, ok := theirs[id]
		if !ok {
			other.SeqNo = -1
		}
		if !ok || !sameJSON(d.Source, other.Source) {
			u.Docs[id] = twin{d.Routing, d.SeqNo, other.SeqNo}
		}
	}
	return u, nil
}

// contents compares a sample of contents while both indices are written to, and reports how
// many it looked at. What differs is looked at again when every writer has done what it had
// begun: those that are as they were are left so.
func (j *job) contents(ctx context.Context) (int, progress, error) {
	if j.Unlike == nil {
		u, err := j.sampleContents(ctx)
		if err != nil {
			return 0, progress{}, err
		}
		if len(u.Docs) == 0 {
			return u.Looked, finished, nil
		}
		j.Unlike = u
		return 0, waiting(j.suspicion()), j.save(ctx)
	}
	was := j.Unlike
	if left := j.suspicion() - time.Since(was.At); left > 0 {
		return 0, waiting(left), nil
	}
	var docs []document
	for id, t := range was.Docs {
		docs = append(docs, document{ID: id, Routing: t.Routing})
	}
	now, err := j.tellApart(ctx, docs)
	if err != nil {
		return 0, progress{}, err
	}
	for id, t := range now.Docs {
		if t != was.Docs[id] {
			delete(now.Docs, id) // written since
		}
	}
	j.Unlike = nil
	if len(now.Docs) == 0 {
		return was.Looked, finished, nil
	}
	return 0, progress{blocked: fmt.Sprintf("%d of %d sampled documents stay different in %s and %s, among them %s: some writer does not write to both. Resume to look again, or cancel.",
		len(now.Docs), was.Looked, j.Source, j.Dest, slices.Min(slices.Collect(maps.Keys(now.Docs))))}, j.save(ctx)
}

// sameJSON compares two texts as values.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	canon := func(raw []byte) string {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return string(raw)
		}
		out, err := json.Marshal(v)
		if err != nil {
			return string(raw)
		}
		return string(out)
	}
	return canon(a) == canon(b)
}
