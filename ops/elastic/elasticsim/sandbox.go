package elasticsim

import "fmt"

// Sandbox is the cluster of twokey demo: six nodes in the zones a, b and spot, some
// 60 shards, two indices without replicas, copies kept apart by zone. A node drains
// in about half a minute.
func Sandbox() *Cluster {
	zones := []string{"a", "a", "b", "b", "spot", "spot"}
	o := Options{Name: "sandbox", Seed: 7}
	for i, zone := range zones {
		o.Nodes = append(o.Nodes, Node{
			Name: fmt.Sprintf("n%d", i+1), Zone: zone, IP: fmt.Sprintf("10.20.0.%d", 11+i),
			DiskBytes: 64 << 30, OtherBytes: 9 << 30,
		})
	}
	c := New(o)
	if err := c.PutSettings(`{"persistent":{"cluster.routing.allocation.awareness.attributes":"zone"}}`); err != nil {
		panic(err) // a constant
	}
	const mb = 1 << 20
	c.AddIndex("orders", 4, 1, 170*mb)
	c.AddIndex("users", 2, 1, 110*mb)
	c.AddIndex("products", 3, 1, 140*mb)
	for day := 16; day <= 20; day++ {
		c.AddIndex(fmt.Sprintf("logs-2026.11.%d", day), 3, 1, 150*mb)
	}
	c.AddIndex("metrics", 5, 1, 120*mb)
	c.AddIndex("scratch", 2, 0, 70*mb)
	c.AddIndex("archive-2025", 2, 0, 180*mb)
	return c
}
