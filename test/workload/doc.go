// Package workload makes data and traffic for tests on a real Elasticsearch, and says
// afterwards whether any of it was lost. It speaks plain HTTP.
//
// A test fills an index, lets a Writer change it while the operation under test works,
// and at the end compares what an index holds with what the writer's log says:
//
//	Fill(ctx, urls, "src", 10_000, Filling{})
//	w := StartWriter(Writing{URLs: urls, Index: "live", Filled: 10_000, Rate: 200})
//	... the operation ...
//	log := w.Stop(ctx)
//	diff, err := Compare(ctx, urls, "live", Replay(Filled(10_000, Filling{}), log))
//
// A Proxy in front of a node loses the reply of a request that the node carried out.
package workload
