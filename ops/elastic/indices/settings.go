package indices

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"twokey/ops/elastic"
)

// whileCopying are the settings of a destination until its copy is complete: one copy of
// each shard, nothing searchable in between, and a log that is not synced for each request.
// What a crash takes with it is found by its shard's term (see destination).
func (j *job) whileCopying() settings {
	if j.Small {
		// It is over before a replica or a refresh would cost anything.
		return settings{"index.default_pipeline": nil, "index.final_pipeline": nil}
	}
	s := whileCopying()
	if j.Writes == writesDual {
		// Writers are told that their writes are kept: the log is synced for each.
		s["index.translog.durability"] = text("request")
		delete(s, "index.translog.sync_interval")
		delete(s, "index.translog.flush_threshold_size")
	}
	return s
}

func whileCopying() settings {
	return settings{
		"index.number_of_replicas":            text("0"),
		"index.auto_expand_replicas":          nil,
		"index.refresh_interval":              text("-1"),
		"index.translog.durability":           text("async"),
		"index.translog.sync_interval":        text("60s"),
		"index.translog.flush_threshold_size": text("1gb"),
		"index.write.wait_for_active_shards":  nil,
		"index.default_pipeline":              nil,
		"index.final_pipeline":                nil,
	}
}

// A source this small is copied through Twokey, in a page or two.
const (
	smallDocs  = 20_000
	smallBytes = 64 << 20
)

func text(s string) *string { return &s }

// portable says which settings of a source its copy gets, and why not the others. Those
// that hold only while it is copied are not among either; see whileCopying.
func portable(x index) (keep map[string]string, dropped map[string]string) {
	keep, dropped = map[string]string{}, map[string]string{}
	during := whileCopying()
	for k, v := range x.Settings {
		if _, ok := during[k]; ok {
			continue
		}
		if why := notPortable(k); why == "identity" {
			continue // every index has its own: nobody needs to be told
		} else if why != "" {
			dropped[k] = why
			continue
		}
		keep[k] = v
	}
	return keep, dropped
}

// notPortable says why a setting is not copied; empty: it is.
func notPortable(key string) string {
	const tier = "index.routing.allocation.include._tier_preference"
	switch {
	case key == "index.uuid", key == "index.creation_date", key == "index.provided_name", key == "index.number_of_shards",
		strings.HasPrefix(key, "index.version."), key == "index.history.uuid", key == "index.verified_read_only":
		return "identity"
	case strings.HasPrefix(key, "index.resize."), strings.HasPrefix(key, "index.shrink."), key == "index.routing_partition_size",
		key == "index.number_of_routing_shards", strings.HasPrefix(key, "index.routing.allocation.initial_recovery."):
		return "belongs to the source's own number of shards"
	case strings.HasPrefix(key, "index.blocks."), key == "index.verified_before_close":
		return "a block of the source, not of its copy"
	case strings.HasPrefix(key, "index.lifecycle."):
		return "lifecycle: the policy would act on the copy as if it were that old"
	case key == tier:
		return ""
	case strings.HasPrefix(key, "index.routing.allocation."), strings.HasPrefix(key, "index.routing.rebalance."):
		return "allocation: where the source may be says nothing of its copy"
	case strings.HasPrefix(key, "index.search.throttled"), strings.HasPrefix(key, "index.frozen"), strings.HasPrefix(key, "index.xpack."):
		return "state of the source, not of its copy"
	}
	return ""
}

// body is what the destination is made with.
func (j *job) body(x index) map[string]any {
	set := map[string]any{}
	mappings := map[string]any{}
	if !j.Template {
		keep, _ := portable(x)
		for k, v := range keep {
			set[k] = v
		}
		maps.Copy(mappings, x.Mappings)
		set["index.number_of_shards"] = x.Shards
	}
	if j.Small && !j.Template {
		for k := range whileCopying() {
			if v, ok := x.Settings[k]; ok {
				set[k] = v
			}
		}
		delete(set, "index.default_pipeline")
		delete(set, "index.final_pipeline")
	}
	for k, v := range j.whileCopying() {
		if v != nil {
			set[k] = *v
		} else if j.Template {
			set[k] = nil
		}
	}
	switch {
	case j.Shards == autoShards:
		set["index.number_of_shards"] = shardsFor(j.Docs)
	case j.Shards > 0:
		set["index.number_of_shards"] = j.Shards
	}
	if j.Indexing != "" {
		set["index.routing.allocation.exclude."+j.Attr] = strings.Join(j.Production, ",")
	}
	meta := map[string]any{}
	if old, ok := x.Mappings["_meta"].(map[string]any); ok && !j.Template {
		maps.Copy(meta, old)
	}
	meta[metaKey] = j.mark()
	mappings["_meta"] = meta
	return map[string]any{"settings": set, "mappings": mappings}
}

// mark is what the destination says of itself.
func (j *job) mark() mark {
	return mark{Run: j.runID, Source: j.Source, SourceUUID: j.SourceUUID, Register: j.Entry}
}

// final are the settings the destination is to have in the end, by those it would have had
// without whileCopying.
func (j *job) final(is map[string]string) settings {
	f := settings{}
	during := whileCopying()
	if j.Small {
		during = j.whileCopying() // it was made with the others
	}
	for k := range during {
		f[k] = nil
		if v, ok := is[k]; ok {
			f[k] = &v
		}
	}
	if v, ok := f["index.number_of_replicas"]; ok && v == nil {
		f["index.number_of_replicas"] = text("1") // every index has that setting, whatever its template says
	}
	if j.Indexing != "" {
		prefix := "index.routing.allocation."
		f[prefix+"exclude."+j.Attr] = text(j.Indexing)
		f[prefix+"include."+j.Attr] = text(strings.Join(j.Production, ","))
	}
	return f
}

// errGone says that an index is not there.
var errGone = errors.New("is gone")

// terms are the primary terms of an index's shards, as one text: they rise when another
// copy becomes the primary, or the same one after its node was away. whole is false while
// a primary is not started. errGone: there is no such index; errRecreated: another one.
func (s Site) terms(ctx context.Context, x index) (terms string, whole bool, err error) {
	var answer struct {
		UUID     string `json:"cluster_uuid"`
		Metadata struct {
			Indices map[string]struct {
				Terms    map[string]int64 `json:"primary_terms"`
				Settings struct {
					Index struct {
						UUID string `json:"uuid"`
					} `json:"index"`
				} `json:"settings"`
			} `json:"indices"`
		} `json:"metadata"`
		Table struct {
			Indices map[string]struct {
				Shards map[string][]struct {
					Primary bool   `json:"primary"`
					State   string `json:"state"`
				} `json:"shards"`
			} `json:"indices"`
		} `json:"routing_table"`
	}
	err = s.Get(ctx, "/_cluster/state/metadata,routing_table/"+url.PathEscape(x.Name), elastic.Query("master_timeout", "5s", "ignore_unavailable", "true",
		"filter_path", "cluster_uuid,metadata.indices.*.primary_terms,metadata.indices.*.settings.index.uuid,routing_table.indices.*.shards.*.primary,routing_table.indices.*.shards.*.state"), &answer)
	if err != nil {
		return "", false, err
	}
	is, ok := answer.Metadata.Indices[x.Name]
	if !ok {
		return "", false, fmt.Errorf("%s %w", x.Name, errGone)
	}
	if is.Settings.Index.UUID != x.UUID {
		return "", false, fmt.Errorf("%s: %w", x.Name, errRecreated)
	}
	whole = len(answer.Table.Indices[x.Name].Shards) > 0
	for _, copies := range answer.Table.Indices[x.Name].Shards {
		for _, c := range copies {
			if c.Primary && c.State != "STARTED" && c.State != "RELOCATING" {
				whole = false
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(is.Terms)) {
		terms += fmt.Sprintf("%s:%d ", n, is.Terms[n])
	}
	return strings.TrimSpace(terms), whole, nil
}
