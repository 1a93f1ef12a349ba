package elasticsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// ask is call with the answer decoded; it fails unless the status is the one wanted.
func ask(t *testing.T, c *Cluster, status int, method, path, body string, into any) {
	t.Helper()
	got, text := call(t, c, method, path, body)
	if got != status {
		t.Fatalf("%s %s %s: %d %s", method, path, body, got, text)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
}

// fill writes n documents d0... and makes them visible.
func fill(t *testing.T, c *Cluster, index string, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"index":{"_index":%q,"_id":"d%d"}}`+"\n"+`{"n":%d,"name":"document %d"}`+"\n", index, i, i, i)
	}
	ask(t, c, 200, "POST", "/_bulk?refresh=true", b.String(), nil)
}

func count(t *testing.T, c *Cluster, index string) int {
	t.Helper()
	var a struct{ Count int }
	ask(t, c, 200, "GET", "/"+index+"/_count", "", &a)
	return a.Count
}

func TestSearchesSeeWritesAfterARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		ask(t, c, 200, "PUT", "/a", `{"settings":{"number_of_shards":2}}`, nil)
		ask(t, c, 201, "PUT", "/a/_doc/1", `{"n":1}`, nil)
		if n := count(t, c, "a"); n != 0 {
			t.Errorf("%d documents before the refresh", n)
		}
		ask(t, c, 200, "GET", "/a/_doc/1", "", nil) // a read by id sees it
		time.Sleep(900 * time.Millisecond)
		ask(t, c, 201, "PUT", "/a/_doc/2", `{"n":2}`, nil)
		time.Sleep(100 * time.Millisecond)
		if n := count(t, c, "a"); n != 2 {
			t.Errorf("%d documents after the refresh", n)
		}
		ask(t, c, 201, "PUT", "/a/_doc/3", `{"n":3}`, nil)
		time.Sleep(2 * time.Second)
		ask(t, c, 201, "PUT", "/a/_doc/4", `{"n":4}`, nil) // written after the refresh that was due
		if n := count(t, c, "a"); n != 3 {
			t.Errorf("%d documents", n)
		}
		ask(t, c, 200, "PUT", "/a/_settings", `{"refresh_interval":"-1"}`, nil)
		time.Sleep(time.Hour)
		if n := count(t, c, "a"); n != 3 {
			t.Errorf("%d documents without refreshes", n)
		}
		ask(t, c, 200, "POST", "/a/_refresh", "", nil)
		ask(t, c, 200, "DELETE", "/a/_doc/1", "", nil)
		if n := count(t, c, "a"); n != 4 {
			t.Errorf("%d documents, the deletion is not to be seen yet", n)
		}
		begin := time.Now()
		ask(t, c, 200, "PUT", "/a/_settings", `{"refresh_interval":"5s"}`, nil)
		ask(t, c, 201, "PUT", "/a/_doc/5?refresh=wait_for", `{"n":4}`, nil)
		if n := count(t, c, "a"); n != 4 || time.Since(begin) > 5*time.Second {
			t.Errorf("%d documents after %s", n, time.Since(begin))
		}
	})
}

func TestDeletedVersionsAreRememberedForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		ask(t, c, 201, "PUT", "/a/_doc/1?version=7&version_type=external", `{}`, nil)
		ask(t, c, 200, "DELETE", "/a/_doc/1", "", nil)
		time.Sleep(59 * time.Second)
		ask(t, c, 409, "PUT", "/a/_doc/1?version=8&version_type=external", `{}`, nil)
		time.Sleep(2 * time.Second)
		ask(t, c, 201, "PUT", "/a/_doc/1?version=8&version_type=external", `{}`, nil)
		ask(t, c, 200, "POST", "/a/_refresh", "", nil)
		var a struct {
			Indices map[string]struct {
				Shards map[string][]struct {
					SeqNo struct {
						Max int64 `json:"max_seq_no"`
					} `json:"seq_no"`
				}
			}
		}
		ask(t, c, 200, "GET", "/a/_stats/docs?level=shards", "", &a)
		if got := a.Indices["a"].Shards["0"][0].SeqNo.Max; got != 2 { // the deletion counts
			t.Errorf("max_seq_no %d", got)
		}
	})
}

// The ids are those a real server was asked about: two shards, see search-bulk in
// testdata/documents.txtar.
func TestShardsAreTheServers(t *testing.T) {
	ix := &index{groups: make([][]*shard, 2), settings: settings{}}
	for id, want := range map[string]int{"d1": 1, "d2": 0, "d3": 1, "d4": 1, "d5": 0, "d6": 1, "d7": 0, "d8": 1, "d9": 0, "d10": 0} {
		if got := ix.shardOf(id, ""); got != want {
			t.Errorf("%s on shard %d", id, got)
		}
		if got := ix.shardOf("other", id); got != want {
			t.Errorf("routing %s on shard %d", id, got)
		}
	}
}

func TestASnapshotStaysAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		ask(t, c, 200, "PUT", "/a", `{"settings":{"number_of_shards":3}}`, nil)
		fill(t, c, "a", 2000)
		type page struct {
			ID   string `json:"_scroll_id"`
			Hits struct{ Hits []struct{ Sort []any } }
		}
		var p page
		ask(t, c, 200, "POST", "/a/_search?scroll=5m", `{"size":300,"sort":["_doc"]}`, &p)
		var pit struct{ ID string }
		ask(t, c, 200, "POST", "/a/_pit?keep_alive=5m", "", &pit)
		for range 3 {
			fill(t, c, "a", 1500) // enough that the store is compacted
		}
		for i := range 500 {
			ask(t, c, 200, "DELETE", fmt.Sprintf("/a/_doc/d%d", i), "", nil)
		}
		ask(t, c, 200, "POST", "/a/_refresh", "", nil)
		seen := len(p.Hits.Hits)
		for len(p.Hits.Hits) > 0 {
			id := p.ID
			p = page{}
			ask(t, c, 200, "POST", "/_search/scroll", fmt.Sprintf(`{"scroll":"5m","scroll_id":%q}`, id), &p)
			seen += len(p.Hits.Hits)
		}
		if seen != 2000 {
			t.Errorf("the scroll showed %d documents", seen)
		}
		seen, after := 0, ""
		for {
			p = page{}
			ask(t, c, 200, "POST", "/_search", fmt.Sprintf(`{"size":300,"sort":["_shard_doc"],"pit":{"id":%q}%s}`, pit.ID, after), &p)
			if len(p.Hits.Hits) == 0 {
				break
			}
			seen += len(p.Hits.Hits)
			last, err := json.Marshal(p.Hits.Hits[len(p.Hits.Hits)-1].Sort)
			if err != nil {
				t.Fatal(err)
			}
			after = `,"search_after":` + string(last)
		}
		if seen != 2000 {
			t.Errorf("the point in time showed %d documents", seen)
		}
		if n := count(t, c, "a"); n != 1500 {
			t.Errorf("now there are %d", n)
		}
		ask(t, c, 200, "DELETE", "/_pit", fmt.Sprintf(`{"id":%q}`, pit.ID), nil)
		ask(t, c, 404, "POST", "/_search", fmt.Sprintf(`{"pit":{"id":%q}}`, pit.ID), nil)
	})
}

func TestDeadShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		ask(t, c, 200, "PUT", "/solo", `{"settings":{"number_of_replicas":0,"index.routing.allocation.require._name":"n3"}}`, nil)
		fill(t, c, "solo", 10)
		ask(t, c, 200, "PUT", "/pair", `{"settings":{"number_of_replicas":1}}`, nil)
		time.Sleep(time.Second)
		fill(t, c, "pair", 10)
		c.Kill("n3")
		begin := time.Now()
		var bulk struct {
			Items []map[string]struct{ Status int }
		}
		ask(t, c, 200, "POST", "/_bulk?timeout=3s", lines(`{"index":{"_index":"solo","_id":"x"}}`, `{}`, `{"index":{"_index":"pair","_id":"x"}}`, `{}`), &bulk)
		if time.Since(begin) != 3*time.Second || bulk.Items[0]["index"].Status != 503 || bulk.Items[1]["index"].Status != 201 {
			t.Errorf("%+v after %s", bulk, time.Since(begin))
		}
		ask(t, c, 503, "POST", "/solo/_search", `{}`, nil)
		var some struct {
			Shards struct{ Failed int } `json:"_shards"`
		}
		ask(t, c, 200, "POST", "/solo,pair/_search", `{}`, &some)
		if some.Shards.Failed != 1 {
			t.Errorf("%+v", some)
		}
		c.Start("n3")
		time.Sleep(time.Second)
		if n := count(t, c, "solo"); n != 10 {
			t.Errorf("%d documents after the node came back", n)
		}
		var doc struct {
			Term int `json:"_primary_term"`
		}
		ask(t, c, 201, "PUT", "/solo/_doc/y", `{}`, &doc)
		if doc.Term != 2 {
			t.Errorf("primary term %d", doc.Term)
		}
		c.Kill("n3")
		c.LoseData("n3")
		c.Start("n3")
		time.Sleep(10 * time.Minute)
		ask(t, c, 503, "POST", "/solo/_search", `{}`, nil)
		if n := count(t, c, "pair"); n != 11 {
			t.Errorf("%d documents in the index with a replica", n)
		}
	})
}

func TestPreferenceReadsOneZone(t *testing.T) {
	c := New(Options{Nodes: []Node{{Name: "n1", Zone: "a"}, {Name: "n2", Zone: "b"}, {Name: "n3", Zone: "a"}, {Name: "n4", Zone: "b"}}})
	if err := c.PutSettings(`{"persistent":{"cluster.routing.allocation.awareness.attributes":"zone"}}`); err != nil {
		t.Fatal(err)
	}
	ask(t, c, 200, "PUT", "/a", `{"settings":{"number_of_shards":4}}`, nil)
	fill(t, c, "a", 40)
	for range 20 {
		ask(t, c, 200, "POST", "/a/_search?preference=_only_nodes:zone:b", `{"stats":["mine"]}`, nil)
	}
	var stats struct {
		Nodes map[string]struct {
			Name    string
			Indices struct {
				Search struct {
					Groups map[string]struct {
						Total int `json:"query_total"`
					}
				}
			}
		}
	}
	ask(t, c, 200, "GET", "/_nodes/stats/indices/search?groups=mine", "", &stats)
	got := map[string]int{}
	for _, n := range stats.Nodes {
		got[n.Name] = n.Indices.Search.Groups["mine"].Total
	}
	if got["n1"]+got["n3"] != 0 || got["n2"]+got["n4"] != 80 {
		t.Errorf("searches by node: %v", got)
	}
}

func TestRejectedWrites(t *testing.T) {
	c := New(Options{Nodes: []Node{{Name: "n1"}}})
	ask(t, c, 200, "PUT", "/a", `{"settings":{"number_of_replicas":0}}`, nil)
	c.RejectWrites("n1", 1)
	c.SetLoad("n1", Load{CPU: 97, Queue: 12, Rejected: 100})
	var bulk struct {
		Items []map[string]struct{ Status int }
	}
	ask(t, c, 200, "POST", "/a/_bulk", lines(`{"index":{"_id":"1"}}`, `{}`, `{"index":{"_id":"2"}}`, `{}`), &bulk)
	if bulk.Items[0]["index"].Status != 429 || bulk.Items[1]["index"].Status != 201 {
		t.Errorf("%+v", bulk)
	}
	if got := get(t, c, "/_nodes/stats/os,thread_pool?filter_path=nodes.*.os.cpu,nodes.*.thread_pool.write.queue,nodes.*.thread_pool.write.rejected"); !strings.Contains(got, `{"os":{"cpu":{"percent":97}},"thread_pool":{"write":{"queue":12,"rejected":101}}}`) {
		t.Error(got)
	}
}

func TestAliasOfTwoIndicesHasOneToWriteTo(t *testing.T) {
	c := three()
	for _, ix := range []string{"a", "b"} {
		ask(t, c, 200, "PUT", "/"+ix, `{"settings":{"number_of_replicas":0}}`, nil)
	}
	actions := func(list string) string { return `{"actions":[` + list + `]}` }
	ask(t, c, 200, "POST", "/_aliases", actions(`{"add":{"index":"a","alias":"w"}},{"add":{"index":"b","alias":"w"}}`), nil)
	if _, body := call(t, c, "PUT", "/w/_doc/1", `{}`); !strings.Contains(body, "no write index is defined for alias [w]") {
		t.Error(body)
	}
	ask(t, c, 200, "POST", "/_aliases", actions(`{"add":{"index":"b","alias":"w","is_write_index":true}}`), nil)
	ask(t, c, 201, "PUT", "/w/_doc/1?refresh=true", `{}`, nil)
	if len(c.Docs("a")) != 0 || len(c.Docs("b")) != 1 || count(t, c, "w") != 1 {
		t.Errorf("a %v, b %v", c.Docs("a"), c.Docs("b"))
	}
	ask(t, c, 500, "POST", "/_aliases", actions(`{"add":{"index":"a","alias":"w","is_write_index":true}}`), nil)
}

// Ids may hold anything, a slash too.
func TestIdsOfAnyText(t *testing.T) {
	server := httptest.NewServer(three())
	defer server.Close()
	req, err := http.NewRequest("PUT", server.URL+"/a/_doc/x%2Fy%20%C3%A9", strings.NewReader(`{"s":"\"\\/\u00e9"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	get, err := http.Get(server.URL + "/a/_doc/x%2Fy%20%C3%A9")
	if err != nil {
		t.Fatal(err)
	}
	defer get.Body.Close()
	var doc struct {
		ID     string             `json:"_id"`
		Source struct{ S string } `json:"_source"`
	}
	if err := json.NewDecoder(get.Body).Decode(&doc); err != nil || doc.ID != "x/y é" || doc.Source.S != `"\/é` && doc.Source.S != `"\/`+"é" {
		t.Errorf("%+v, %v", doc, err)
	}
}
