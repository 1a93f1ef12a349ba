package elasticsim

import (
	"encoding/json"
	"testing"
	"testing/synctest"
)

// The server looks for a copy of a lost primary on the disks and leaves the deciders
// out; only who has one is said. Its replicas, and primaries that could be allocated,
// have them.
func TestExplainOfALostPrimaryHasNoDeciders(t *testing.T) {
	for _, params := range []string{"", "?include_yes_decisions=true"} {
		synctest.Test(t, func(t *testing.T) {
			c := three()
			c.AddIndex("logs", 1, 0, 1<<20)
			put(t, c, exclude(`"n9"`))
			c.LoseShard("logs", 0)
			status, body := call(t, c, "POST", "/_cluster/allocation/explain"+params, `{"index":"logs","shard":0,"primary":true}`)
			var e struct {
				Can   string                       `json:"can_allocate"`
				Nodes []map[string]json.RawMessage `json:"node_allocation_decisions"`
			}
			if err := json.Unmarshal([]byte(body), &e); err != nil || status != 200 {
				t.Fatal(status, body, err)
			}
			if e.Can != "no_valid_shard_copy" || len(e.Nodes) != 3 {
				t.Errorf("%s", body)
			}
			for _, n := range e.Nodes {
				if n["deciders"] != nil || string(n["node_decision"]) != `"no"` || string(n["store"]) != `{"found":false}` {
					t.Errorf("%s", body)
				}
			}
		})
	}
}
