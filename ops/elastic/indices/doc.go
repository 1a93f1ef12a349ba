// Package indices is what Twokey can do to indices: copy one into another without
// losing a write (es reindex), many of them (es campaign), go back (es swap-back), move
// aliases, move indices between zones, and delete them.
//
// # A copy
//
// A copy (job.go) is a list of phases. Each looks at the cluster, acts, and looks again, so
// it may be called again after a crash at any point, by another process:
//
//	block    create block copy replicate verify swap finish
//	catchup  create copy catch-up replicate compare block verify swap finish
//	dual     create register copy verify swap replicate finish
//	back     block open verify swap finish            (es swap-back)
//
// With block and catchup the destination has its replicas before anybody relies on it, and
// before the block, so that the block is short. With dual the source gets every write too
// until it is deleted.
//
// es reindex has each phase as a step of its run; es campaign (campaign_step.go) drives
// many copies in one step, each with a part of the run of its own.
//
// # Windows of sequence numbers
//
// Every operation on a shard has a number, and a document has that of its latest one, by
// which it can be searched (_seq_no). A pass (sweep.go) copies the documents whose numbers
// lie in a range; one that is written meanwhile gets a later number and leaves the range
// for the next pass. So the pages of a pass need no scroll and no point in time, a cursor is a
// number that holds after a crash, and what was written since a pass is a range too. A pass starts
// at the global checkpoint read before the one before it: what is above may still be rolled
// back when a primary is lost, and is read again.
//
// A part of a pass is copied by the server's own _reindex, as a task with a name
// (X-Opaque-Id) by which it is found again, or page by page through Twokey (client.go):
// small sources, reads from one zone, passes after the first, and parts in which a document
// did not fit, where each has to be told apart from its neighbours.
//
// Documents keep their version (version_type external), so that a part done twice, or a
// write that arrives late, never puts an older state over a newer one. A document that was
// deleted and made again after index.gc_deletes starts at version 1 and is refused then; the
// comparison finds it and writes it as the next version of what is there (state.Rebased).
//
// What remains: a bulk request that leaves its process whole, hangs in the network for longer
// than the claim of that process and arrives after another has ended the run puts back a
// document that was deleted from the source before the destination had it, and would make
// the destination anew between its deletion and its being made again.
//
// # Comparing
//
// compare.go reads id, routing and version of every document on both sides into digests,
// and tells documents apart in the buckets that differ. A whole shard is read as of a point
// in time, in the order of storage (snapshot.go). Deletes are found there: they leave
// nothing to search for. Under the block nothing may differ in the end; what was put right
// is read back by id. Above compareAfter documents that is done before the block, and under
// it counts and a sample are compared.
//
// # What is left in the cluster
//
// The destination says in its mapping, as _meta.twokey, which run made it of which index,
// when that was replaced and until when it is held (mark.go). That is how a run knows its
// own, how es swap-back and es delete-index know what to do, and it needs no other store.
package indices
