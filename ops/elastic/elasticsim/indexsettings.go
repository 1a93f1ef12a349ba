package elasticsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings of an index that may change while it is open, those that may not, and
// those a person may not set. A name that ends in a dot stands for all below it.
var (
	dynamicIndexSettings = strings.Fields(`number_of_replicas auto_expand_replicas refresh_interval search.idle.after max_result_window
		max_inner_result_window max_rescore_window max_docvalue_fields_search max_script_fields max_ngram_diff max_shingle_diff
		max_terms_count max_regex_length max_refresh_listeners max_slices_per_scroll max_slices_per_pit analyze.max_token_count
		highlight. gc_deletes default_pipeline final_pipeline hidden blocks. translog. routing.allocation. routing.rebalance.enable merge.
		search.slowlog. search.default_pipeline indexing.slowlog. unassigned.node_left.delayed_timeout mapping.total_fields. mapping.depth.limit
		mapping.nested_fields.limit mapping.nested_objects.limit mapping.field_name_length.limit mapping.dimension_fields.limit priority
		query.default_field query_string.lenient write.wait_for_active_shards flush_after_merge warmer.enabled requests.cache.enable
		allocation.max_retries soft_deletes.retention. soft_deletes.retention_lease.`)
	staticIndexSettings = strings.Fields(`number_of_shards number_of_routing_shards codec routing_partition_size sort. store. soft_deletes.enabled
		shard.check_on_startup load_fixed_bitset_filters_eagerly analysis. similarity. mapping.coerce mapping.ignore_malformed mapping.source.mode
		mode routing_path time_series. queries.cache.enabled query.parse.allow_unmapped_fields optimize_auto_generated_id`)
	privateIndexSettings = []string{"version.", "verified_read_only", "history.uuid", "shrink."}
)

func listed(names []string, key string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		return n == key || strings.HasSuffix(n, ".") && strings.HasPrefix(key, n) && len(key) > len(n)
	})
}

// indexKeys gives every key the prefix "index.".
func indexKeys(ch change) change {
	out := change{}
	for k, v := range ch {
		if !strings.HasPrefix(k, "index.") {
			k = "index." + k
		}
		out[k] = v
	}
	return out
}

func toChange(s settings) change {
	ch := change{}
	for k, v := range s {
		ch[k] = &v
	}
	return ch
}

func becauseOf(f *failure, kind, reason string) *failure {
	f.more = append(f.more, member{"caused_by", object{{"type", kind}, {"reason", reason}}})
	return f
}

// checkIndexSetting refuses what the server refuses of one setting; key has the prefix.
func checkIndexSetting(key string, v setting) *failure {
	short := strings.TrimPrefix(key, "index.")
	if listed(privateIndexSettings, short) {
		return &failure{status: http.StatusBadRequest, kind: "validation_exception",
			reason: "Validation Failed: 1: private index setting [" + key + "] can not be set explicitly;"}
	}
	if strings.HasPrefix(short, "routing.allocation.initial_recovery.") || !listed(dynamicIndexSettings, short) && !listed(staticIndexSettings, short) {
		return illegalFailure("unknown setting [%s] please check that any required plugins are installed, or check the breaking changes documentation for removed settings", key)
	}
	least := 0
	switch short {
	case "number_of_shards", "number_of_routing_shards", "max_result_window":
		least = 1
		fallthrough
	case "number_of_replicas":
		n, err := strconv.Atoi(v.text)
		if err != nil {
			return becauseOf(illegalFailure("Failed to parse value [%s] for setting [%s]", v.text, key), "number_format_exception", "For input string: \""+v.text+"\"")
		}
		if n < least {
			return illegalFailure("Failed to parse value [%d] for setting [%s] must be >= %d", n, key, least)
		}
	case "refresh_interval", "gc_deletes":
		if _, err := parseTime(v.text); err != nil {
			return becauseOf(illegalFailure("failed to parse [%s]", v.text), "number_format_exception", "For input string: \""+strings.TrimRight(v.text, "s")+"\"")
		}
	case "blocks.write", "blocks.read_only", "blocks.read", "blocks.metadata", "blocks.read_only_allow_delete", "hidden":
		if v.text != "true" && v.text != "false" {
			return illegalFailure("Failed to parse value [%s] as only [true] or [false] are allowed.", v.text)
		}
	case "translog.durability":
		if up := strings.ToUpper(v.text); up != "ASYNC" && up != "REQUEST" {
			return illegalFailure("No enum constant org.elasticsearch.index.translog.Translog.Durability.%s", up)
		}
	}
	return nil
}

// changeIndex applies an update of an index's settings.
func (c *Cluster) changeIndex(ix *index, ch change, now time.Time) *failure {
	norm := indexKeys(ch)
	for _, k := range sortedKeys(norm) {
		short := strings.TrimPrefix(k, "index.")
		if listed(staticIndexSettings, short) {
			return illegalFailure("Can't update non dynamic settings [[%s]] for open indices [[%s/%s]] unless the `reopen` query parameter is set to true. Alternatively, close the indices, apply the settings changes, and reopen the indices", k, ix.name, ix.uuid)
		}
		if v := norm[k]; v != nil && !strings.Contains(k, "*") {
			if f := checkIndexSetting(k, *v); f != nil {
				return f
			}
		}
	}
	ix.refreshDue(now)
	ix.settings, _ = ix.settings.with(norm)
	if ix.settings["index.blocks.write"].text != "true" && ix.settings["index.blocks.read_only"].text != "true" {
		delete(ix.settings, "index.verified_read_only")
	}
	if _, ok := ix.settings["index.number_of_replicas"]; !ok {
		ix.settings["index.number_of_replicas"] = setting{text: "1"}
	}
	ix.read()
	c.resize(ix, ix.replicas, now)
	c.recompute()
	c.bump()
	return nil
}

// indexBlocks are the blocks that PUT /{index}/_block/{block} puts on, and the
// levels they close.
var indexBlocks = map[string]string{"write": "8/index write (api)", "read_only": "5/index read-only (api)", "metadata": "9/index metadata (api)", "read": "7/index read (api)"}

// writeBlocked is why documents of the index may not be written, or nil.
func (ix *index) writeBlocked() *failure {
	var by []string
	for _, b := range []struct{ key, text string }{
		{"read_only", indexBlocks["read_only"]}, {"write", indexBlocks["write"]}} {
		if ix.settings["index.blocks."+b.key].text == "true" {
			by = append(by, "FORBIDDEN/"+b.text)
		}
	}
	if len(by) > 0 {
		return &failure{status: http.StatusForbidden, kind: "cluster_block_exception", reason: "index [" + ix.name + "] blocked by: [" + strings.Join(by, "] [") + "];"}
	}
	if ix.settings["index.blocks.read_only_allow_delete"].text == "true" {
		return &failure{status: http.StatusTooManyRequests, kind: "cluster_block_exception",
			reason: "index [" + ix.name + "] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block; for more information, see https://www.elastic.co/guide/en/elasticsearch/reference/8.19/fix-watermark-errors.html];"}
	}
	return nil
}

// blockIndices answers PUT /{index}/_block/{block}. Of indices that have the block
// verified already the server's answer is empty and shards_acknowledged false.
func blockIndices(r *request) answer {
	c, name := r.cluster, r.path["block"]
	if _, ok := indexBlocks[name]; !ok {
		return illegal("No block found with name %s", name)
	}
	expression := r.path["index"]
	if expression == "_all" || strings.Contains(expression, "*") {
		return illegal("Wildcard expressions or all indices are not allowed")
	}
	indices, f := r.indices(expression)
	if f != nil {
		return f.answer()
	}
	key := "index.blocks." + name
	done := list{}
	for _, ix := range indices {
		verifies := name == "write" || name == "read_only"
		if ix.settings[key].text == "true" && (!verifies || ix.settings["index.verified_read_only"].text == "true") {
			continue
		}
		ix.settings[key] = setting{text: "true"}
		if verifies {
			ix.settings["index.verified_read_only"] = setting{text: "true"}
		}
		done = append(done, object{{"name", ix.name}, {"blocked", true}})
	}
	c.bump()
	return answer{value: object{{"acknowledged", true}, {"shards_acknowledged", len(done) > 0}, {"indices", done}}}
}
