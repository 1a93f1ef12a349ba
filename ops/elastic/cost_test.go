package elastic

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// polled drains a node and returns what one poll of the wait asks for, by route.
func polled(t *testing.T, s sim, node string) map[string]elasticsim.Traffic {
	t.Helper()
	b := begin(t, s.drain(), call("es drain", "", node))
	drive(t, s.drain(), b, func(step int, p ops.Progress) bool { return step == 1 })
	before := s.Traffic()
	step, err := s.drain().Step(b.Run().Plan.Steps[1])
	if err != nil {
		t.Fatal(err)
	}
	if p, err := b.Poll(t.Context(), 1, step); err != nil || p.Status.Total == 0 {
		t.Fatalf("%+v %v", p, err)
	}
	cost := map[string]elasticsim.Traffic{}
	for route, now := range s.Traffic() {
		if was := before[route]; now != was {
			cost[route] = elasticsim.Traffic{Requests: now.Requests - was.Requests, Bytes: now.Bytes - was.Bytes}
		}
	}
	return cost
}

func sum(cost map[string]elasticsim.Traffic) (bytes int64) {
	for _, c := range cost {
		bytes += c.Bytes
	}
	return bytes
}

// What a poll of a drain costs follows the shards on the drained node and the number of
// nodes; shards on other nodes cost nothing.
func TestPollCostsByTheNode(t *testing.T) {
	tests := []struct {
		name                string
		nodes, near, others int
	}{
		{"small", 3, 6, 0},
		{"30,000 shards elsewhere", 3, 6, 30000},
		{"100 nodes", 100, 200, 0},
		{"1,000 shards on the node", 3, 3000, 0},
	}
	costs := map[string]map[string]elasticsim.Traffic{}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			list := []elasticsim.Node{{Name: "n1", Zone: "a"}, {Name: "n2", Zone: "b"}, {Name: "n3", Zone: "spot"}}
			for i := len(list); i < tt.nodes; i++ {
				list = append(list, elasticsim.Node{Name: fmt.Sprintf("n%d", i+1), Zone: string(rune('a' + i%3))})
			}
			s := newSim(t, list...)
			s.AddIndex("near", tt.near, 0, 100*mb)
			if tt.others > 0 {
				s.exclude(t, "zone", "spot,moon")
				s.AddIndex("far", tt.others, 0, mb)
				s.put(t, `{"persistent":{"cluster.routing.allocation.exclude.zone":null,"cluster.routing.rebalance.enable":"none"}}`)
			}
			cost := polled(t, s, "n3")
			costs[tt.name] = cost
			t.Logf("figure: one poll, %s: %d bytes", tt.name, sum(cost))
			for _, route := range slices.Sorted(maps.Keys(cost)) {
				t.Logf("figure:   %6d bytes in %d of %s", cost[route].Bytes, cost[route].Requests, route)
			}
		})
	}
	small := sum(costs["small"])
	if more := sum(costs["30,000 shards elsewhere"]) - small; more > 500 {
		t.Errorf("30,000 shards on other nodes cost %d bytes more a poll", more)
	}
	if each := (sum(costs["100 nodes"]) - small) / 97; each > 1000 {
		t.Errorf("each node costs %d bytes a poll", each)
	}
	if each := (sum(costs["1,000 shards on the node"]) - small) / 998; each > 150 {
		t.Errorf("each shard on the node costs %d bytes a poll", each)
	}
}
