package elasticsim

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/elastic/go-elasticsearch/v8"
)

// The real client, over real connections: it checks the product on its own.
func TestRealClient(t *testing.T) {
	c := three()
	c.AddIndex("logs", 3, 1, 1<<20)
	server := httptest.NewServer(c)
	defer server.Close()
	client, err := elasticsearch.NewTypedClient(elasticsearch.Config{Addresses: []string{server.URL}, DisableRetry: true})
	if err != nil {
		t.Fatal(err)
	}
	health, err := client.Cluster.Health().Do(t.Context())
	if err != nil || health.Status.String() != "green" || health.ActiveShards != 6 {
		t.Errorf("%+v, %v", health, err)
	}
	if _, err := client.Cluster.PutSettings().Raw(strings.NewReader(exclude(`"n1"`))).Do(t.Context()); err != nil {
		t.Error(err)
	}
	got, err := client.Cluster.GetSettings().FlatSettings(true).Do(t.Context())
	if err != nil || string(got.Persistent["cluster.routing.allocation.exclude._name"]) != `"n1"` {
		t.Errorf("%+v, %v", got, err)
	}
	stats, err := client.Nodes.Stats().NodeId(c.NodeID("n2")).Metric("indices").Do(t.Context())
	if err != nil || len(stats.Nodes) != 1 {
		t.Errorf("%+v, %v", stats, err)
	}
	c.Kill("n1")
	c.Kill("n2")
	c.Kill("n3")
	if _, err := client.Info().Do(t.Context()); err == nil {
		t.Error("a cluster without live nodes answered")
	}
}
