package elasticsim

import (
	"slices"
	"strconv"
	"strings"
)

// bytesPerDocument makes up the number of documents of an index that has none but a
// size.
const bytesPerDocument = 1000

// docCount is how many documents the shard's statistics show.
func (ix *index) docCount(number int) int64 {
	if !ix.documents() {
		return ix.bytes[number] / bytesPerDocument
	}
	return int64(ix.stores[number].shown)
}

// lastSeqNo is the shard's max_seq_no; -1: no operation yet.
func (ix *index) lastSeqNo(number int) int64 {
	if !ix.documents() {
		return ix.bytes[number]/bytesPerDocument - 1
	}
	return ix.stores[number].next - 1
}

// figures is what some copies of shards add up to.
type figures struct {
	copies, docs, bytes, writes, deletes int64
	searches                             searchCounts
}

func (f *figures) add(s *shard) {
	f.copies++
	f.docs += s.index.docCount(s.number)
	f.bytes += s.size()
	f.searches.sum(s.searches)
}

// statsSections are the sections elasticsim fills.
var statsSections = []string{"docs", "shard_stats", "store", "indexing", "search"}

// render is the sections wanted; groups picks those of the searches.
func (f *figures) render(want func(string) bool, groups string) object {
	out := object{}
	for _, name := range statsSections {
		if !want(name) {
			continue
		}
		var v object
		switch name {
		case "docs":
			v = object{{"count", f.docs}, {"deleted", 0}, {"total_size_in_bytes", f.bytes}}
		case "shard_stats":
			v = object{{"total_count", f.copies}}
		case "store":
			v = object{{"size_in_bytes", f.bytes}, {"total_data_set_size_in_bytes", f.bytes}, {"reserved_in_bytes", 0}}
		case "indexing":
			v = object{{"index_total", f.writes}, {"index_time_in_millis", 0}, {"index_current", 0}, {"index_failed", 0}, {"delete_total", f.deletes}, {"delete_time_in_millis", 0}, {"delete_current", 0}, {"noop_update_total", 0}, {"is_throttled", false}, {"throttle_time_in_millis", 0}}
		case "search":
			v = f.searches.render(groups)
		}
		out = append(out, member{name, v})
	}
	return out
}

// copyStats is one copy as seen on a node, in statistics by shard.
func copyStats(s *shard, n *node, want func(string) bool, groups string) object {
	var other any
	switch {
	case s.target == n && s.node != n:
		other = s.node.id
	case s.target != nil:
		other = s.target.id
	}
	var f figures
	f.add(s)
	out := object{{"routing", object{{"state", s.at(n).String()}, {"primary", s.primary}, {"node", n.id}, {"relocating_node", other}}}}
	out = append(out, f.render(want, groups)...)
	last := s.index.lastSeqNo(s.number)
	return append(out,
		member{"commit", object{{"id", s.allocationID(2)}, {"generation", 3}, {"num_docs", f.docs}}},
		member{"seq_no", object{{"max_seq_no", last}, {"local_checkpoint", last}, {"global_checkpoint", last}}})
}

var indexMetrics = strings.Fields("_all docs store indexing get search completion fielddata flush merge query_cache refresh request_cache segments suggest translog warmer bulk recovery shard_stats dense_vector sparse_vector mappings")

// indexStats answers _stats; copies that no live node has are left out.
func indexStats(r *request) answer {
	c := r.cluster
	indices, f := r.indices(r.path["index"])
	if f != nil {
		return f.answer()
	}
	metrics := strings.Split(r.path["metrics"], ",")
	for _, m := range metrics {
		if m != "" && !slices.Contains(indexMetrics, m) {
			return illegal("request [%s] contains unrecognized metric: [%s]", r.URL.Path, m)
		}
	}
	want := func(part string) bool {
		return metrics[0] == "" || metrics[0] == "_all" || slices.Contains(metrics, part)
	}
	level, groups := r.query.Get("level"), r.query.Get("groups")
	var allPrimaries, allTotal figures
	all, answered := 0, 0
	byIndex := object{}
	for _, ix := range indices {
		ix.refreshDue(r.now)
		primaries, total := figures{writes: ix.writes, deletes: ix.deletes}, figures{writes: ix.writes, deletes: ix.deletes}
		shards, on := object{}, 0
		for number, group := range ix.groups {
			copies := list{}
			for _, s := range group {
				all++
				if !s.active() || !s.node.alive {
					continue
				}
				answered++
				on++
				if s.primary {
					primaries.add(s)
					allPrimaries.add(s)
				}
				total.add(s)
				allTotal.add(s)
				if level == "shards" {
					copies = append(copies, lazy(func() any { return copyStats(s, s.node, want, groups) }))
				}
			}
			if len(copies) > 0 {
				shards = append(shards, member{strconv.Itoa(number), copies})
			}
		}
		if on == 0 {
			continue
		}
		allPrimaries.writes, allTotal.writes = allPrimaries.writes+ix.writes, allTotal.writes+ix.writes
		o := object{{"uuid", ix.uuid}, {"health", c.count([]*index{ix}).status()}, {"status", "open"},
			{"primaries", primaries.render(want, groups)}, {"total", total.render(want, groups)}}
		if level == "shards" {
			o = append(o, member{"shards", shards})
		}
		byIndex = append(byIndex, member{ix.name, o})
	}
	sum := object{{"primaries", object{}}, {"total", object{}}}
	if answered > 0 {
		sum = object{{"primaries", allPrimaries.render(want, groups)}, {"total", allTotal.render(want, groups)}}
	}
	out := object{{"_shards", object{{"total", all}, {"successful", answered}, {"failed", 0}}}, {"_all", sum}}
	if level != "cluster" {
		out = append(out, member{"indices", byIndex})
	}
	return answer{value: out}
}

// refreshIndices answers _refresh.
func refreshIndices(r *request) answer {
	indices, f := r.indices(r.path["index"])
	if f != nil {
		return f.answer()
	}
	for _, ix := range indices {
		ix.refresh()
	}
	r.cluster.bump()
	n := r.cluster.count(append([]*index{}, indices...))
	return answer{value: object{{"_shards", object{{"total", n.total()}, {"successful", n.active()}, {"failed", 0}}}}}
}
