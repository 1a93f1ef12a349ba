//go:build integration

package indices

import (
	"os"
	"strings"
	"testing"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
	"twokey/ops/opstest"
	"twokey/test/servers"
	"twokey/test/workload"
)

// TestRealSnapshots compares two indices in the order of storage, while a node dies that
// may serve points in time: which copies do, the cluster chooses, and the figure tells by
// more than one for each shard. What was read of a lost one counts for nothing, and the
// comparison comes to its end; TestSnapshots loses them for certain.
func TestRealSnapshots(t *testing.T) {
	f := realField(t)
	cluster, err := servers.OpenElasticsearch(os.Getenv("TWOKEY_TEST_ES_DIR"))
	if err != nil {
		t.Fatal(err)
	}
	const n = 30_000
	filling := workload.Filling{Seed: 21}
	f.index("copy-src", 3, 1, json2(workload.Lenient))
	f.fill("copy-src", n, filling)
	proxy, err := workload.StartProxy(f.urls[0])
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	pages, opened, again := 0, 0, make(chan struct{})
	proxy.Drop(func(method, path string) bool {
		switch {
		case method == "POST" && strings.HasSuffix(path, "/_pit"):
			opened++
		case method == "POST" && path == "/_search":
			if pages++; pages == 8 {
				if err := cluster.Kill(2); err != nil {
					t.Error(err)
				}
				go func() {
					defer close(again)
					time.Sleep(4 * time.Second)
					if err := cluster.Start(2); err != nil {
						t.Error(err)
					}
				}()
			}
		}
		return false
	})
	client, err := elastic.Connect(elastic.Settings{URLs: []string{proxy.URL}})
	if err != nil {
		t.Fatal(err)
	}
	site := Site{Cluster: elastic.Cluster{Environment: "staging", Client: client}, readSize: 500}
	rig := opstest.NewRig(t, ops.Options{}, Operations(map[string]Site{"staging": site})...)
	rig.Most = time.Second
	rig.Submit("01SNAPSHOT", copyCall("copy-src", "copy-dst", "writes", "block"))
	began := time.Now()
	run := rig.Finish("01SNAPSHOT")
	took := time.Since(began)
	if pages < 8 {
		t.Fatalf("%d pages", pages)
	}
	<-again
	show(t, run, rig.Said("01SNAPSHOT"))
	f.do("GET", "/_cluster/health?wait_for_status=green&wait_for_nodes=3&timeout=60s", nil, nil)
	f.check("copy-dst", workload.Filled(n, filling))
	t.Logf("figure: compared through the death of a node: %d points in time for 6 shards, %d pages, %.1f s in all", opened, pages, took.Seconds())
}
