// Package elasticsim is a simulated Elasticsearch 8.19 cluster behind an
// http.Handler. It speaks the wire protocol and behaves as the real server where
// that hurts an operator:
//
//   - allocation filters take effect by delta: of exclude, include and require the
//     deciders keep only the keys that changed in the latest update of that family
//     (elastic/elasticsearch#55815); a restarted node starts with all of them, so a
//     master change may switch filters on that nobody touched;
//   - shards move by recoveries, limited per node, and some cannot move at all;
//     _cluster/allocation/explain says why in the server's own words;
//   - a dead node's copies turn unassigned and wait a minute; _cat/allocation then
//     adds the UNASSIGNED row to every answer, whatever node was asked for;
//   - without an elected master most requests wait and end in 503.
//
// And where it hurts whoever moves documents:
//
//   - searches see a write after the next refresh only, reads by id at once;
//   - _seq_no counts every operation of a shard, deletions too; a deleted document's
//     version is remembered for index.gc_deletes;
//   - a reindex reads the state at its start while others write, takes time, is
//     throttled, ends at the first batch with a failure, and dies with its node;
//   - types refuse documents in the server's own words; so do version conflicts,
//     blocks and shards without a node.
//
// Nothing runs in the background. The state is brought up to time.Now at every
// request, so a Cluster works alike in real time and in a testing/synctest bubble,
// and an idle one costs nothing. RoundTripper gives in-memory connections for
// bubbles, where sockets would freeze the clock.
//
//	             kill                      delay over, or node back
//	STARTED ------------> UNASSIGNED ------------------------------> INITIALIZING
//	 ^   |  must leave its node, or balance                               |
//	 |   '-------------> RELOCATING                                       |
//	 '----- recovered ------'---------------------------------------------'
//
// Documents belong to a shard, not to its copies: all copies show the same, refreshed
// at the same moment, and what one has is lost with the last of them (LoseData,
// LoseShard). An index that AddIndex made has a size, and figures made up from it, until
// its first document.
//
// Simulated of documents: index, create, update by doc, delete, _bulk, _mget, _count,
// _search with the queries match_all, match_none, ids, term, terms, range, exists, bool
// and constant_score, sorting, search_after, slices, scrolls, points in time and
// preferences, _reindex within the cluster, and the tasks of it; mappings, aliases, index
// and legacy templates.
//
// Not simulated: scores (all are 1), analysis (a text's words are cut at blanks),
// aggregations, scripts, ingest pipelines but for set, update and delete by query, data streams
// beyond the refusal to make an index for one, component templates, dynamic templates,
// limits on fields, snapshots, ILM, security. Requests of those kinds are refused with 400
// and listed by Unknown; a template's dynamic_templates are kept and not applied. Places in a
// text ("[1:14]") are told for documents only. The .tasks index is not shown, and _tasks
// lists no tasks but those of reindexes.
package elasticsim
