package elasticsim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		c.AddIndex("logs", 3, 1, 100<<20)
		c.AddIndex("solo", 3, 0, 100<<20)
		c.Kill("n3")
		health := "/_cluster/health?filter_path=status,unassigned_shards,unassigned_primary_shards,delayed_unassigned_shards,number_of_nodes"
		if got := get(t, c, health); !strings.HasPrefix(got, `{"status":"red","number_of_nodes":2,"unassigned_shards":3,"unassigned_primary_shards":1`) {
			t.Error(got)
		}
		// The UNASSIGNED row comes whatever node is asked for, the dead one too.
		if got := get(t, c, "/_cat/allocation/n3?h=shards,node"); got != "3 UNASSIGNED\n" {
			t.Errorf("%q", got)
		}
		if got := get(t, c, "/_cat/allocation/n1?h=shards"); got != "3\n3\n" {
			t.Errorf("%q", got)
		}
		id := c.NodeID("n3")
		if got := get(t, c, "/_nodes/"+id+"/stats/indices/shard_stats?level=shards&filter_path=_nodes,nodes"); got != `{"_nodes":{"total":0,"successful":0,"failed":0},"nodes":{}}` {
			t.Error(got)
		}
		explained := func(primary bool, index string) string {
			for shard := range 3 {
				_, got := call(t, c, "POST", "/_cluster/allocation/explain?filter_path=current_state,can_allocate", fmt.Sprintf(`{"index":%q,"shard":%d,"primary":%t}`, index, shard, primary))
				if strings.Contains(got, "unassigned") {
					return got
				}
			}
			return ""
		}
		if got := explained(true, "solo"); got != `{"current_state":"unassigned","can_allocate":"no_valid_shard_copy"}` {
			t.Error(got)
		}
		if got := explained(false, "logs"); got != `{"current_state":"unassigned","can_allocate":"allocation_delayed"}` {
			t.Error(got)
		}
		time.Sleep(2 * time.Minute) // the delay is over, the replicas are copied
		if got := get(t, c, health); !strings.Contains(got, `"unassigned_shards":1,`) {
			t.Error(got)
		}
		c.Start("n3")
		time.Sleep(time.Minute)
		if got := get(t, c, "/_cluster/health?filter_path=status,active_shards"); got != `{"status":"green","active_shards":9}` {
			t.Error(got)
		}
	})
}

func TestMasterDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		c.Kill("n1")
		status, body := call(t, c, "GET", "/_cluster/settings?master_timeout=100ms", "")
		if status != 503 || !strings.Contains(body, `"master_not_discovered_exception","reason":null`) {
			t.Errorf("%d %s", status, body)
		}
		begin := time.Now()
		put(t, c, exclude(`"n9"`)) // waits for the election
		if waited := time.Since(begin); waited != 900*time.Millisecond {
			t.Errorf("waited %s", waited)
		}
		if got := c.Master(); got != "n2" {
			t.Errorf("master is %q", got)
		}
		c.Kill("n2")
		begin = time.Now()
		if status, _ := call(t, c, "GET", "/_cluster/health?timeout=5s", ""); status != 503 || time.Since(begin) != 5*time.Second {
			t.Errorf("without quorum: %d after %s", status, time.Since(begin))
		}
		if got := get(t, c, "/_cluster/state/master_node?local=true&filter_path=master_node"); got != `{"master_node":null}` {
			t.Error(got)
		}
		c.Start("n1")
		time.Sleep(2 * time.Second)
		if got := c.Master(); got == "" {
			t.Error("no master although a majority lives")
		}
	})
}

func TestVotingExclusions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		if status, _ := call(t, c, "POST", "/_cluster/voting_config_exclusions?node_names=n1", ""); status != 200 {
			t.Fatal(status)
		}
		if got := c.Master(); got == "n1" {
			t.Error("the excluded master did not hand over")
		}
		want := fmt.Sprintf(`{"metadata":{"cluster_coordination":{"last_committed_config":[%q],"voting_config_exclusions":[{"node_id":%q,"node_name":"n1"}]}}}`, c.NodeID("n2"), c.NodeID("n1"))
		if got := get(t, c, "/_cluster/state/metadata?filter_path=metadata.cluster_coordination.voting_config_exclusions,metadata.cluster_coordination.last_committed_config"); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		begin := time.Now()
		status, body := call(t, c, "DELETE", "/_cluster/voting_config_exclusions", "")
		if status != 500 || !strings.Contains(body, "timed out waiting for removal of nodes") || time.Since(begin) != 30*time.Second {
			t.Errorf("%d %s after %s", status, body, time.Since(begin))
		}
		if status, _ := call(t, c, "DELETE", "/_cluster/voting_config_exclusions?wait_for_removal=false", ""); status != 200 {
			t.Error(status)
		}
	})
}

func TestHealthWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		c.AddIndex("logs", 2, 0, 400<<20)
		put(t, c, exclude(`"n1"`))
		begin := time.Now()
		if status, _ := call(t, c, "GET", "/_cluster/health?wait_for_no_relocating_shards=true&timeout=3s", ""); status != 408 || time.Since(begin) != 3*time.Second {
			t.Errorf("%d after %s, want 408 after 3s", status, time.Since(begin))
		}
		if status, _ := call(t, c, "GET", "/_cluster/health?wait_for_no_relocating_shards=true&timeout=10m", ""); status != 200 {
			t.Errorf("%d", status)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("came back after %s only", took)
		}
		done := make(chan int)
		go func() {
			status, _ := call(t, c, "GET", "/_cluster/health?wait_for_nodes=2&timeout=10m", "")
			done <- status
		}()
		time.Sleep(time.Minute)
		begin = time.Now()
		c.Kill("n3")
		if status := <-done; status != 200 || time.Since(begin) != 0 {
			t.Errorf("%d %s after the change it waited for", status, time.Since(begin))
		}
	})
}

func TestIntercept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		fault := Fault{}
		c.Intercept(func(r *http.Request) Fault {
			if r.Method == "PUT" {
				return fault
			}
			return Fault{}
		})
		do := func(f Fault) (int, error) {
			fault = f
			resp, err := send1(c, "PUT", "/_cluster/settings?flat_settings", exclude(`"n1"`))
			if err != nil {
				return 0, err
			}
			return resp.StatusCode, nil
		}
		if status, _ := do(Fault{Status: 429}); status != 429 || applied(c, "exclude") != "" {
			t.Errorf("429: %d, filter %q", status, applied(c, "exclude"))
		}
		if _, err := do(Fault{Refuse: true}); err == nil || applied(c, "exclude") != "" {
			t.Errorf("refused: %v, filter %q", err, applied(c, "exclude"))
		}
		if _, err := do(Fault{LoseReply: true}); err == nil || applied(c, "exclude") != "_name=n1" {
			t.Errorf("lost reply: %v, filter %q", err, applied(c, "exclude"))
		}
		begin := time.Now()
		if status, err := do(Fault{Delay: time.Minute}); status != 200 || err != nil || time.Since(begin) != time.Minute {
			t.Errorf("delayed: %d %v after %s", status, err, time.Since(begin))
		}
		var got []int
		for _, w := range c.Writes() {
			if w.Method != "PUT" || w.Path != "/_cluster/settings?flat_settings" || w.Body != exclude(`"n1"`) {
				t.Errorf("%+v", w)
			}
			got = append(got, w.Status)
		}
		if fmt.Sprint(got) != "[429 0 200 200]" {
			t.Errorf("statuses %v", got)
		}
	})
}

func TestWritesAndUnknown(t *testing.T) {
	c := three()
	req, err := http.NewRequest("PUT", "http://es/_cluster/settings", strings.NewReader(exclude(`"n1"`)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Opaque-Id", "run-1")
	if _, err := c.RoundTripper().RoundTrip(req); err != nil {
		t.Fatal(err)
	}
	if err := c.PutSettings(persistent("exclude.zone", `"spot"`)); err != nil { // not ours: not among the writes
		t.Fatal(err)
	}
	call(t, c, "POST", "/_cluster/allocation/explain", `{}`) // reads
	call(t, c, "GET", "/logs/_validate/query", "")
	call(t, c, "POST", "/_search", `{"query":{"match":{"x":"y"}}}`)
	w := c.Writes()
	if len(w) != 1 || w[0].OpaqueID != "run-1" || w[0].Status != 200 {
		t.Errorf("%+v", w)
	}
	if got := fmt.Sprint(c.Unknown()); got != "[GET /logs/_validate/query POST /_search: query [match]]" {
		t.Error(got)
	}
}

func TestNodeHandlerDropsWhileDead(t *testing.T) {
	c := three()
	ask := func(host string) error {
		req, err := http.NewRequest("GET", "http://"+host+":9200/", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.RoundTripper().RoundTrip(req)
		return err
	}
	c.Kill("n2")
	for host, ok := range map[string]bool{"n1": true, "n2": false, "10.0.0.2": false, "es": true} {
		if err := ask(host); (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
	}
}
