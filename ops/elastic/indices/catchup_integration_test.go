//go:build integration

package indices

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
	"twokey/ops/opstest"
	"twokey/test/servers"
	"twokey/test/workload"
)

// TestRealCatchUp copies an index while a writer creates, updates and deletes 200 documents
// a second by its alias, while the reply to one _reindex is lost and a node is killed that
// runs another. Afterwards the new index is what the writer's log says, to the letter.
func TestRealCatchUp(t *testing.T) {
	f := realField(t)
	dir := os.Getenv("TWOKEY_TEST_ES_DIR")
	if dir == "" {
		t.Fatal("TWOKEY_TEST_ES_DIR names no cluster")
	}
	cluster, err := servers.OpenElasticsearch(dir)
	if err != nil {
		t.Fatal(err)
	}
	f.do("PUT", "/copy-src?wait_for_active_shards=all", object{
		"settings": object{"number_of_shards": 3, "number_of_replicas": 1},
		"mappings": json.RawMessage(workload.Lenient),
		"aliases":  object{"copy-src-alias": object{"is_write_index": true}},
	}, nil)
	const n = 100_000
	filling := workload.Filling{Seed: 11}
	f.fill("copy-src", n, filling)
	// The bot reaches n2 and n3 only, so that its tasks run there, and one of these is killed.
	var urls []string
	var dropped []<-chan struct{}
	var one sync.Once
	for _, url := range f.urls[1:] {
		proxy, err := workload.StartProxy(url)
		if err != nil {
			t.Fatal(err)
		}
		defer proxy.Close()
		urls = append(urls, proxy.URL)
		dropped = append(dropped, proxy.Drop(func(method, path string) (first bool) {
			if method == "POST" && path == "/_reindex" {
				one.Do(func() { first = true })
			}
			return first
		}))
	}
	client, err := elastic.Connect(elastic.Settings{URLs: urls})
	if err != nil {
		t.Fatal(err)
	}
	site := Site{Cluster: elastic.Cluster{Environment: "staging", Client: client}}
	rig := opstest.NewRig(t, ops.Options{}, Operations(map[string]Site{"staging": site})...)
	rig.Most = time.Second

	// The writer is at n1, which lives: of what it sends through a node that dies nobody could
	// say whether the server still carries it out.
	writer := workload.StartWriter(workload.Writing{
		URLs: f.urls[:1], Index: "copy-src-alias", Alias: true, Filled: n, Filling: filling, Rate: 200, Seed: 12,
	})
	began := time.Now()
	rig.Submit("01CATCHUP", copyCall("copy-src", "copy-dst", "writes", "catchup", "throttle", "6000"))
	// A node is killed while it runs a task of ours, and comes back after a while.
	killed := make(chan string, 1)
	go func() {
		defer close(killed)
		for range 400 {
			tasks, err := f.tasks(t.Context(), "01CATCHUP.")
			if err != nil {
				time.Sleep(50 * time.Millisecond)
				continue
			}
			for _, task := range tasks {
				node, _, _ := strings.Cut(task.ID, ":")
				top, err := f.Topology(t.Context())
				if err != nil {
					continue
				}
				number := slices.Index([]string{"n1", "n2", "n3"}, top.NameOf(node))
				if number < 1 {
					continue
				}
				time.Sleep(2 * time.Second)
				if err := cluster.Kill(number); err != nil {
					t.Error(err)
					return
				}
				killed <- task.ID
				time.Sleep(5 * time.Second)
				if err := cluster.Start(number); err != nil {
					t.Error(err)
				}
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Error("no task ran on n2 or n3")
	}()
	run := rig.Finish("01CATCHUP")
	task := <-killed
	for range killed {
	}
	took := time.Since(began)
	after := writer.Acknowledged()
	time.Sleep(2 * time.Second) // the writer goes on by the alias, into the new index
	log := writer.Stop(t.Context())
	show(t, run, rig.Said("01CATCHUP"))
	select {
	case <-dropped[0]:
	case <-dropped[1]:
	default:
		t.Error("no reply was dropped")
	}
	if task == "" {
		t.Error("no node was killed")
	}
	if len(log) == after {
		t.Error("the writer did not go on")
	}
	uncertain := 0
	for _, e := range log {
		if e.Fate == workload.Uncertain {
			uncertain++
		}
	}
	var moved time.Time
	for _, e := range rig.Said("01CATCHUP") {
		if strings.HasPrefix(e.Text, "Moved to copy-dst") {
			moved = e.At
		}
	}
	for _, e := range workload.Surprises(log) {
		// Before the aliases moved the writer wrote to the source, which nobody else writes
		// to: there it is the server that carried an operation out twice, when a primary died
		// before it had answered.
		if e.At.Before(moved.Add(-time.Second)) {
			t.Logf("the server: %s %s: %s", e.Kind, e.ID, e.Surprise)
			continue
		}
		t.Errorf("%s %s: %s", e.Kind, e.ID, e.Surprise)
	}
	f.do("GET", "/_cluster/health?wait_for_status=yellow&wait_for_nodes=3&timeout=60s", nil, nil)
	f.check("copy-dst", workload.Replay(workload.Filled(n, filling), log))
	if at := aliasAt(f, "copy-src-alias"); at != "copy-dst" {
		t.Errorf("alias at %s", at)
	}
	if t.Failed() {
		return
	}
	t.Logf("figure: catch-up copy of %d documents with a writer at 200 operations/s, a lost reply and a killed node: %.1f s, %d acknowledged operations, %d tries without an answer or refused, target equal to the replayed log",
		n, took.Seconds(), writer.Acknowledged(), uncertain)
}
