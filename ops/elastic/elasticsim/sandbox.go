package elasticsim

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Sandbox is the cluster of twokey demo: six nodes in the zones a, b and spot, some
// 60 large shards and 24 small ones, two indices without replicas, copies kept apart by zone. A node
// drains in about half a minute. products has 4,000 documents behind the alias catalog; a
// template gives indices named products-v… a stricter mapping, which refuses seven of
// them. v1_101 to v1_112 have a few hundred each, behind dashboard-101 to dashboard-112.
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
	stock(c)
	r, err := http.NewRequest(http.MethodPut, "http://sandbox/_index_template/products", strings.NewReader(pricesAreNumbers))
	if err != nil {
		panic(err) // a constant
	}
	r.Header.Set("Content-Type", "application/json")
	if res, err := c.RoundTripper().RoundTrip(r); err != nil || res.StatusCode != http.StatusOK {
		panic(fmt.Sprint("the sandbox's template: ", res, err))
	}
	c.writes = nil
	return c
}

// pricesAreNumbers is a template; seven of the sandbox's products have a price of "on request".
const pricesAreNumbers = `{"index_patterns":["products-v*"],"template":{"settings":{"number_of_shards":3,"number_of_replicas":1},"mappings":{"properties":
	{"name":{"type":"text"},"price":{"type":"scaled_float","scaling_factor":100},"stock":{"type":"integer"},"updated":{"type":"date"}}}}}`

// stock gives the sandbox its documents.
func stock(c *Cluster) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	write := func(index, id, source string) {
		op := &operation{kind: "index", name: index, id: id, source: []byte(source), ifSeq: -1}
		if f := c.resolveWrite(op, now); f != nil {
			panic(f.reason) // a constant
		}
		if f := c.write(op, now).failure; f != nil {
			panic(f.reason)
		}
	}
	named := func(index, name string) {
		ix := c.indices[index]
		ix.aliases = map[string]*alias{name: {}}
		ix.refresh()
	}
	colours := []string{"red", "green", "blue", "grey"}
	for i := range 4000 {
		price := fmt.Sprintf("%d.%02d", 5+i*37%900, i*13%100)
		if i%650 == 77 {
			price = "on request"
		}
		write("products", fmt.Sprintf("p%05d", i), fmt.Sprintf(`{"name":"%s chair, model %d","price":"%s","stock":%d,"updated":"2026-11-%02dT08:%02d:00Z"}`,
			colours[i%len(colours)], 100+i, price, i*7%60, 1+i%20, i%60))
	}
	named("products", "catalog")
	for d := 101; d <= 112; d++ {
		name := fmt.Sprintf("v1_%d", d)
		if _, f := c.create(name, object{{"settings", object{{"number_of_replicas", "1"}}}}, now); f != nil {
			panic(f.reason)
		}
		for i := range 150 + d*53%300 {
			write(name, fmt.Sprintf("%d-%d", d, i), fmt.Sprintf(`{"dashboard":%d,"visits":%d,"day":"2026-10-%02d","city":"city %d"}`, d, i*i%977, 1+i%28, i%17))
		}
		named(name, fmt.Sprintf("dashboard-%d", d))
	}
}
