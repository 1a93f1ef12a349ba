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
// Not simulated: documents, searches, mappings beyond an empty object, snapshots,
// ILM, security. Requests of those kinds answer 400 and are listed by Unknown.
package elasticsim
