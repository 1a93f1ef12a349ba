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

// mark is what the index made by a run carries in its mapping, as _meta.twokey: which
// index it is the copy of, and how long that one is kept after the swap.
type mark struct {
	Run        string    `json:"run"`
	Source     string    `json:"source"`
	SourceUUID string    `json:"source_uuid"`
	SwappedAt  time.Time `json:"swapped_at,omitzero"` // zero: not swapped
	HoldUntil  time.Time `json:"hold_until,omitzero"` // zero: not held
	// At is how far this index's shards were at the swap: what came after is not in the
	// source.
	At       map[int]int64 `json:"at,omitempty"`
	Register string        `json:"register,omitempty"` // the entry that was switched with it
}

// held reports whether the source has to be kept at a time.
func (m mark) held(now time.Time) bool { return !m.SwappedAt.IsZero() && now.Before(m.HoldUntil) }

// metaKey is where the mark stands in a mapping's _meta.
const metaKey = "twokey"

// marks reads the marks of all indices that have one, by index name; also of closed and
// hidden ones.
func (s Site) marks(ctx context.Context) (map[string]mark, error) {
	all := map[string]mark{}
	return all, s.addMarks(ctx, "*", all)
}

// marksOf reads the marks of these indices; those without one, and those that are not
// there, are left out.
func (s Site) marksOf(ctx context.Context, names []string) (map[string]mark, error) {
	all := map[string]mark{}
	for part := range elastic.InURLs(names) {
		if err := s.addMarks(ctx, part, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// addMarks reads from the cluster's state, because GET _mapping of all indices is refused
// as a whole while one of them has index.blocks.metadata.
func (s Site) addMarks(ctx context.Context, path string, into map[string]mark) error {
	var answer struct {
		UUID     string `json:"cluster_uuid"`
		Metadata struct {
			Indices map[string]struct {
				Mappings map[string]struct { // by the name of the type: _doc
					Meta map[string]json.RawMessage `json:"_meta"`
				} `json:"mappings"`
			} `json:"indices"`
		} `json:"metadata"`
	}
	err := s.Get(ctx, "/_cluster/state/metadata/"+path, elastic.Query("master_timeout", "5s", "expand_wildcards", "all",
		"ignore_unavailable", "true", "filter_path", "cluster_uuid,metadata.indices.*.mappings.*._meta."+metaKey), &answer)
	if err != nil {
		return err
	}
	for name, is := range answer.Metadata.Indices {
		for _, mapping := range is.Mappings {
			var m mark
			if err := json.Unmarshal(mapping.Meta[metaKey], &m); err != nil {
				return &ops.UserError{
					What: fmt.Sprintf("The mapping of %s has a _meta.%s that cannot be read.", name, metaKey),
					Next: "It is Twokey's own note of which index this is a copy of; repair it or take it out.",
					Err:  err,
				}
			}
			into[name] = m
		}
	}
	return nil
}

// writeMark puts the mark into the mapping of an index, if it is not there already, and
// keeps what others have in its _meta, which Elasticsearch replaces as a whole. No error
// means that the master has it. It is for the caller to have recorded the change.
func (s Site) writeMark(ctx context.Context, index string, m mark, token string) error {
	var answer map[string]struct {
		Mappings struct {
			Meta map[string]any `json:"_meta"`
		} `json:"mappings"`
	}
	err := s.Get(ctx, "/"+url.PathEscape(index)+"/_mapping", elastic.Query("master_timeout", "5s", "filter_path", "*.mappings._meta"), &answer)
	if err != nil {
		return err
	}
	meta := answer[index].Mappings.Meta
	if meta == nil {
		meta = map[string]any{}
	}
	is, err := json.Marshal(meta[metaKey])
	if err != nil {
		return err
	}
	want, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if sameJSON(is, want) {
		return nil
	}
	meta[metaKey] = m
	var done struct {
		Acknowledged bool `json:"acknowledged"`
	}
	err = s.Do(ctx, elastic.Request{Method: "PUT", Path: "/" + url.PathEscape(index) + "/_mapping", Query: elastic.Query("master_timeout", "5s", "timeout", "5s"),
		Body: map[string]any{"_meta": meta}, Token: token, Limit: pageLimit, Answer: &done})
	if err == nil && !done.Acknowledged {
		err = fmt.Errorf("mapping of %s: not every node has it yet", index)
	}
	return err
}
