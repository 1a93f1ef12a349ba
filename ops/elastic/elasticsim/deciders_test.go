package elasticsim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// explanation is what the tests read of an explain answer.
type explanation struct {
	State   string                 `json:"current_state"`
	CanMove string                 `json:"can_move_to_other_node"`
	Move    string                 `json:"move_explanation"`
	Text    string                 `json:"explanation"`
	Remain  []decided              `json:"can_remain_decisions"`
	Target  *struct{ Name string } `json:"target_node"`
	Nodes   []struct {
		Name     string    `json:"node_name"`
		Decision string    `json:"node_decision"`
		Deciders []decided `json:"deciders"`
	} `json:"node_allocation_decisions"`
}

type decided struct{ Decider, Decision, Explanation string }

// explained asks about the first shard the node holds of the index, a replica if any.
func explained(t *testing.T, c *Cluster, index, node string) explanation {
	t.Helper()
	for _, primary := range []bool{false, true} {
		for shard := range len(c.indices[index].groups) {
			body := fmt.Sprintf(`{"index":%q,"shard":%d,"primary":%t,"current_node":%q}`, index, shard, primary, node)
			status, answer := call(t, c, "POST", "/_cluster/allocation/explain", body)
			if status != 200 {
				continue
			}
			var e explanation
			if err := json.Unmarshal([]byte(answer), &e); err != nil {
				t.Fatal(err)
			}
			if e.State == "started" {
				return e
			}
		}
	}
	t.Fatalf("no started shard of %s on %s", index, node)
	return explanation{}
}

// The texts are those of 8.19.13.
func TestWhyAShardCannotLeave(t *testing.T) {
	for _, test := range []struct {
		name     string
		settings string // after exclude._name = n1
		index    string // settings of the index
		replicas int
		decider  string
		text     string // begins with
	}{
		{"all nodes excluded", persistent("exclude._name", `"n1,n2,n3"`), "", 0, "filter",
			`node matches cluster setting [cluster.routing.allocation.exclude] filters [_name:"n1 OR n2 OR n3"]`},
		{"required zone", persistent("require.zone", `"nowhere"`), "", 0, "filter",
			`node does not match cluster setting [cluster.routing.allocation.require] filters [zone:"nowhere"]`},
		{"own filter", "", `{"index.routing.allocation.include.zone":"a"}`, 0, "filter",
			`node does not match index setting [index.routing.allocation.include] filters [zone:"a"]`},
		{"own exclusion, with the server's stray dot", "", `{"index.routing.allocation.exclude.zone":"b,spot"}`, 0, "filter",
			`node matches index setting [index.routing.allocation.exclude.] filters [zone:"b OR spot"]`},
		{"a copy everywhere", "", "", 2, "same_shard",
			`a copy of this shard is already allocated to this node [[logs][`},
		{"allocation off", persistent("enable", `"none"`), "", 0, "enable",
			`no allocations are allowed due to cluster setting [cluster.routing.allocation.enable=none]`},
		{"primaries only", persistent("enable", `"primaries"`), "", 2, "enable",
			`replica allocations are forbidden due to cluster setting [cluster.routing.allocation.enable=primaries]`},
		{"awareness", persistent("awareness.attributes", `"rack"`), "", 0, "awareness",
			`node does not contain the awareness attribute [rack]; required attributes cluster setting [cluster.routing.allocation.awareness.attributes=rack]`},
		{"forced awareness", persistent("awareness.attributes", `"zone"`, "awareness.force.zone.values", `"a,b,spot"`), "", 2, "awareness",
			`there are [3] copies of this shard and [3] values for attribute [zone] ([a, b, spot] from nodes in the cluster and [a, b, spot] from forced awareness) so there may be at most [1] copies of this shard allocated to nodes with each value, but (including this copy) there would be [2] copies allocated to nodes with [node.attr.zone: `},
		{"shards per node", persistent("total_shards_per_node", "1"), "", 0, "shards_limit",
			`too many shards [2] allocated to this node, cluster setting [cluster.routing.allocation.total_shards_per_node=1]`},
		{"shards of the index per node", "", `{"index.routing.allocation.total_shards_per_node":2}`, 0, "shards_limit",
			`too many shards [2] allocated to this node for index [logs], index setting [index.routing.allocation.total_shards_per_node=2]`},
		{"low watermark", persistent("disk.watermark.low", `"2tb"`, "disk.watermark.high", `"1gb"`), "", 0, "disk_threshold",
			`the node is above the low watermark cluster setting [cluster.routing.allocation.disk.watermark.low=2tb], having less than the minimum required [2tb] free space, actual free: [1023.8gb], actual used: [0%]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := three()
				c.AddIndex("logs", 6/(test.replicas+1), test.replicas, 100<<20)
				// Kept off at first, so that nothing moves before the obstacle is there.
				put(t, c, persistent("enable", `"none"`))
				put(t, c, exclude(`"n1"`))
				if test.index != "" {
					if err := c.PutIndexSettings("logs", test.index); err != nil {
						t.Fatal(err)
					}
				}
				if test.settings != "" {
					put(t, c, test.settings)
				}
				if !strings.Contains(test.settings, `allocation.enable"`) {
					put(t, c, persistent("enable", "null"))
				}
				time.Sleep(time.Hour)
				e := explained(t, c, "logs", "n1")
				if e.CanMove != "no" || e.Move != moveNo || len(e.Nodes) != 2 {
					t.Errorf("can move %q to %d nodes: %s", e.CanMove, len(e.Nodes), e.Move)
				}
				for _, n := range e.Nodes {
					found := false
					for _, d := range n.Deciders {
						found = found || d.Decider == test.decider && d.Decision == "NO" && strings.HasPrefix(d.Explanation, test.text)
					}
					if !found || n.Decision != "no" {
						t.Errorf("%s says %s: %v", n.Name, n.Decision, n.Deciders)
					}
				}
			})
		})
	}
}

// What the server shows while shards move, in its own words.
func TestMovingShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		c.AddIndex("logs", 9, 0, 1<<30)
		put(t, c, exclude(`"n1"`))
		time.Sleep(5 * time.Second)
		e := explained(t, c, "logs", "n1")
		if e.CanMove != "no" || e.Move != moveThrottle {
			t.Errorf("%q: %s", e.CanMove, e.Move)
		}
		want := "reached the limit of outgoing shard recoveries [2] on the node [" + c.NodeID("n1") + "] which holds the primary, cluster setting [cluster.routing.allocation.node_concurrent_outgoing_recoveries=2] (can also be set via [cluster.routing.allocation.node_concurrent_recoveries])"
		for _, n := range e.Nodes {
			if n.Decision != "throttled" || len(n.Deciders) != 1 || n.Deciders[0] != (decided{"throttling", "THROTTLE", want}) {
				t.Errorf("%+v", n)
			}
		}
		rows := strings.Split(strings.TrimSpace(get(t, c, "/_cat/shards?h=node&s=state")), "\n")
		if !strings.HasPrefix(rows[0], "n1 -> 10.0.0.") || !strings.Contains(rows[0], c.NodeID(rows[0][len(rows[0])-2:])) {
			t.Errorf("a relocating shard's node is %q", rows[0])
		}
		if got := get(t, c, "/_cat/recovery?active_only&h=type,stage,source_node,bytes_percent&s=index"); strings.Count(got, "peer index n1 ") != 2 {
			t.Errorf("%q", got)
		}
		// Counted on both ends while they move.
		if got := c.Shards("n1") + c.Shards("n2") + c.Shards("n3"); got != 9+2 {
			t.Errorf("%d copies on the nodes, want 9 and 2 arriving", got)
		}
		for shard := range 9 {
			_, body := call(t, c, "POST", "/_cluster/allocation/explain?filter_path=current_state,explanation", fmt.Sprintf(`{"index":"logs","shard":%d,"primary":true}`, shard))
			if strings.Contains(body, `"relocating"`) && !strings.Contains(body, "the shard is in the process of relocating from node [n1] to node [n") {
				t.Error(body)
			}
		}
	})
}

// Recoveries of replicas are sent by the primary's node, which need not be the one
// being drained.
func TestReplicaRecoversFromPrimary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Nodes: []Node{{Name: "n1"}, {Name: "n2"}, {Name: "n3"}}})
		c.AddIndex("logs", 1, 1, 1<<30)
		var replica string
		for line := range strings.Lines(get(t, c, "/_cat/shards?h=prirep,node")) {
			if f := strings.Fields(line); f[0] == "r" {
				replica = f[1]
			}
		}
		put(t, c, exclude(`"`+replica+`"`))
		if got := get(t, c, "/_cat/recovery?active_only&h=source_node"); strings.TrimSpace(got) == replica || got == "" {
			t.Errorf("sent by %q, the replica's node is %s", got, replica)
		}
	})
}

func TestRecoverySpeedSetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drain := func(settings string) time.Duration {
			c := three()
			c.AddIndex("logs", 3, 0, 100<<20)
			put(t, c, settings)
			put(t, c, exclude(`"n1"`))
			return drained(t, c, "n1", 24*time.Hour)
		}
		fast, slow := drain(`{"persistent":{"indices.recovery.max_bytes_per_sec":"40mb"}}`), drain(`{"persistent":{"indices.recovery.max_bytes_per_sec":"1mb"}}`)
		if slow < 20*fast {
			t.Errorf("at 40mb %s, at 1mb %s", fast, slow)
		}
	})
}
