package elasticsim

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func large() *Cluster {
	o := Options{Seed: 1}
	for i := range 30 {
		o.Nodes = append(o.Nodes, Node{Name: fmt.Sprintf("data-%02d", i), Zone: string(rune('a' + i%3)), DiskBytes: 16 << 40})
	}
	c := New(o)
	for i := range 1500 {
		c.AddIndex(fmt.Sprintf("logs-%04d", i), 10, 1, 1<<30)
	}
	return c
}

// A drain polls; on 30,000 shards a poll must cost what the node holds.
func TestPollIsCheapOnThirtyThousandShards(t *testing.T) {
	c := large()
	if n := c.counts.total(); n != 30000 {
		t.Fatalf("%d shards", n)
	}
	begin := time.Now()
	put(t, c, exclude(`"data-07"`))
	t.Logf("exclusion: %s", time.Since(begin))
	id := c.NodeID("data-07")
	total := 0
	const rounds = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin = time.Now()
	for range rounds {
		for _, path := range []string{
			"/_cat/allocation/data-07?h=shards&format=json",
			"/_nodes/" + id + "/stats/indices/shard_stats?filter_path=nodes.*.indices.shard_stats",
			"/_cluster/state/routing_nodes?filter_path=routing_nodes.nodes." + id + ".index,routing_nodes.nodes." + id + ".shard,routing_nodes.nodes." + id + ".state",
			"/_cat/recovery?active_only&format=json&bytes=b&h=index,shard,bytes_recovered,bytes_total",
			"/_cluster/health",
			"/_cluster/settings?flat_settings",
		} {
			total += len(get(t, c, path))
		}
	}
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) / rounds
	t.Logf("a poll: %s, %d bytes sent, %d allocated", time.Since(begin)/rounds, total/rounds, allocated)
	if total/rounds > 100<<10 || allocated > 4<<20 { // the node holds 1,000 shards; the whole table takes 60 MB
		t.Errorf("a poll sends %d bytes and allocates %d", total/rounds, allocated)
	}
}

func TestLargeDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := large()
		held := c.Shards("data-07")
		put(t, c, exclude(`"data-07"`))
		for c.Shards("data-07") > 0 {
			time.Sleep(time.Minute)
			if got := get(t, c, "/_cluster/health?filter_path=status"); got != `{"status":"green"}` {
				t.Fatal(got)
			}
		}
		for _, ix := range c.sorted {
			for _, group := range ix.groups {
				if group[0].node == group[1].node {
					t.Fatalf("two copies of %s on one node", ix.name)
				}
			}
		}
		t.Logf("%d shards moved", held)
	})
}

func TestThousandClustersAreCheap(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	clusters := make([]*Cluster, 1000)
	for i := range clusters {
		clusters[i] = three()
		clusters[i].AddIndex("logs", 4, 1, 1<<20)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := int64(after.HeapAlloc-before.HeapAlloc) / 1000
	t.Logf("%d bytes each", each)
	if each > 64<<10 {
		t.Errorf("a small cluster takes %d bytes", each)
	}
	if n := runtime.NumGoroutine(); n > 50 {
		t.Errorf("%d goroutines", n)
	}
	runtime.KeepAlive(clusters)
}

func TestEqualSeedsGiveEqualClusters(t *testing.T) {
	history := func(seed uint64) string {
		var b strings.Builder
		synctest.Test(t, func(t *testing.T) {
			c := New(Options{Seed: seed, Nodes: []Node{{Name: "n1", Zone: "a"}, {Name: "n2", Zone: "b"}, {Name: "n3", Zone: "c"}, {Name: "n4", Zone: "a"}}})
			c.AddIndex("logs", 7, 1, 100<<20)
			c.AddIndex("solo", 5, 0, 100<<20)
			put(t, c, exclude(`"n2"`))
			for range 20 {
				time.Sleep(2 * time.Second)
				b.WriteString(get(t, c, "/_cat/shards") + get(t, c, "/_cat/recovery?active_only") + get(t, c, "/_cat/nodes?h=id,name&full_id"))
			}
		})
		return b.String()
	}
	one, again, other := history(1), history(1), history(2)
	if one != again {
		t.Error("the same seed gave another history")
	}
	if one == other {
		t.Error("another seed gave the same history")
	}
}
