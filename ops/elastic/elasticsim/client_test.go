package elasticsim

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/elastic/go-elasticsearch/v8"
	"github.com/elastic/go-elasticsearch/v8/esutil"
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

// The client's own bulk indexer, with a version for each document.
func TestRealBulkIndexer(t *testing.T) {
	c := three()
	server := httptest.NewServer(c)
	defer server.Close()
	client, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: []string{server.URL}, DisableRetry: true})
	if err != nil {
		t.Fatal(err)
	}
	b, err := esutil.NewBulkIndexer(esutil.BulkIndexerConfig{Client: client, Index: "a", NumWorkers: 2, FlushBytes: 2000})
	if err != nil {
		t.Fatal(err)
	}
	version := int64(5)
	for i := range 200 {
		item := esutil.BulkIndexerItem{Action: "index", DocumentID: fmt.Sprintf("d%d", i%150), Version: &version, VersionType: "external", Body: strings.NewReader(`{"n":1}`)}
		if err := b.Add(t.Context(), item); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := b.Stats(); s.NumIndexed+s.NumCreated != 150 && s.NumFlushed != 150 || s.NumFailed != 50 {
		t.Errorf("%+v", s)
	}
	if got := c.Docs("a"); len(got) != 150 || got[0].Version != 5 {
		t.Errorf("%d documents", len(got))
	}
}
