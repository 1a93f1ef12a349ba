// Package elastic is what Twokey can do to Elasticsearch clusters: three queries
// (es health, es nodes, es shards) and two operations (es drain, es undrain).
//
// # Allocation filters
//
// A node is drained by adding it to cluster.routing.allocation.exclude._name.
// Elasticsearch keeps in effect only those keys of a filter family (exclude, include,
// require) that the latest settings update changed: writing exclude._name switches an
// existing exclude.zone off, although the settings still list it
// (elastic/elasticsearch#55815). Therefore every write to a family changes the text of
// all its live keys, each in its own scope, in one request:
//
//	found   {                 zone: "spot"}
//	PUT 1   {_name: "n2",     zone: "spot,spot"}   both changed, both in effect
//	PUT 2   {_name: "n2,n2",  zone: "spot"}        both changed, both in effect
//
// After the second request nobody else's text is altered. Taking our name out goes the
// same way. rewrite (filter.go) works out the requests; it is pure. What is in effect
// is not what the settings say: it is read from the filter decider of
// _cluster/allocation/explain (effective.go), after each write and at each poll.
//
// # Other people's writes
//
// Settings have no compare-and-set. Each write is: read, add our names, journal, write,
// read back; a difference starts over. While a drain waits, each poll compares again:
//
//   - Our name is in the settings but a filter is not in effect: somebody wrote another
//     key of the family. Nobody means that, so the family is written again, ours and
//     theirs, and the thread is told. The third time the run is paused for a person.
//   - Our name was lost because somebody replaced the whole text by other names: it is
//     merged in again, once; then the run is paused.
//   - Our name was taken out and nothing put in its place, or a transient value hides it:
//     that looks meant. The run is paused; resuming writes again, cancelling ends it.
//
// # Steps
//
//	exclude   names into exclude._name (exclude._id for names a pattern would misread)
//	wait      until two polls in a row, each from two sources, say the nodes are empty
//	voting    --decommission, master-eligible: voting configuration exclusion
//	readmit   --release: names out again
//
// The wait asks per poll for what is on the drained nodes only; its cost in bytes grows
// with their shards and with the number of nodes, not with the cluster's shards.
package elastic
