package elastic

import (
	"strings"
	"testing"
)

func TestObstacle(t *testing.T) {
	s := CopyOn{Index: "logs", Shard: 3, Primary: true, State: "STARTED"}
	says := func(id, name, verdict, decider, decision1 string) nodeDecision {
		return nodeDecision{ID: id, Name: name, Decision: verdict, Deciders: []decision{{decider, decision1, "because"}}}
	}
	leaving := map[string]bool{"ID3": true}
	tests := []struct {
		name  string
		e     explanation
		stuck bool
	}{
		{"a node takes it", started(nodeDecision{ID: "ID2", Decision: "yes"}, says("ID4", "n4", "no", "same_shard", "NO")), false},
		{"balance prefers otherwise", started(nodeDecision{ID: "ID2", Decision: "worse_balance"}), false},
		{"throttled is not stuck", started(says("ID2", "n2", "throttled", "throttling", "THROTTLE")), false},
		{"all say no", started(says("ID2", "n2", "no", "same_shard", "NO")), true},
		{"only a leaving node would", started(says("ID2", "n2", "no", "same_shard", "NO"), nodeDecision{ID: "ID3", Decision: "yes"}), true},
		{"no other node", started(), true},
		{"on its way", explanation{State: "relocating"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.e.obstacle(s, leaving); (got != nil) != tt.stuck {
				t.Errorf("obstacle %+v", got)
			}
		})
	}
}

// Explanations as Elasticsearch 8.19 words them, and what people read instead.
func TestWords(t *testing.T) {
	tests := []struct{ decider, explanation, why, fix string }{
		{"same_shard", "a copy of this shard is already allocated to this node [[logs][3], node[x], [R], s[STARTED]]",
			"already holds a copy", "number_of_replicas of logs to 1 or less"},
		{"disk_threshold", "the node is above the low watermark cluster setting [cluster.routing.allocation.disk.watermark.low=85%], having less than the minimum required [15gb] free space",
			"over the watermark", "add a data node"},
		{"awareness", "there are [2] copies of this shard and [2] values for attribute [zone]", "its zone would hold too many", "another zone"},
		{"filter", `node does not match index setting [index.routing.allocation.require] filters [box:"hot"]`,
			`logs's filter index.routing.allocation.require (box:"hot")`, "change logs's index.routing.allocation.require"},
		{"filter", `node matches cluster setting [cluster.routing.allocation.exclude] filters [zone:"spot"]`,
			`the cluster's filter cluster.routing.allocation.exclude (zone:"spot")`, "change the cluster's cluster.routing.allocation.exclude"},
		{"shards_limit", "too many shards [3] allocated to this node for index [logs], index setting [index.routing.allocation.total_shards_per_node=3]",
			"as many shards as total_shards_per_node allows", "raise total_shards_per_node of logs"},
		{"node_version", "cannot allocate replica shard to a node with version [8.18.0]", "older Elasticsearch", "upgrade it"},
		{"enable", "no allocations are allowed due to index setting [index.routing.allocation.enable=none]", "switched off", "back to all"},
		{"snapshot_in_progress", "snapshot running", "snapshot of this shard is running", "wait for the snapshot"},
		{"brand_new", "no way.", "brand_new says no (no way)", "that rule"},
	}
	for _, tt := range tests {
		why, fix := words(tt.decider, tt.explanation, "logs", 2)
		if !strings.Contains(why, tt.why) || !strings.Contains(fix, tt.fix) {
			t.Errorf("%s: %q; %q", tt.decider, why, fix)
		}
	}
}

func TestObstacleText(t *testing.T) {
	o := obstacle{CopyOn{Index: "logs", Shard: 3},
		map[string][]string{"same_shard": {"n1"}, "disk_threshold": {"n2"}}, map[string]string{}}
	want := "logs[3] (replica) cannot leave. n2: its disk would go over the watermark; n1: already holds a copy of this shard. " +
		"To free it: free disk space there, add a data node, or raise cluster.routing.allocation.disk.watermark.low; and " +
		"add a data node, or set number_of_replicas of logs to 1 or less."
	if got := o.text(2); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSpreadTakesEachIndexFirst(t *testing.T) {
	copies := []CopyOn{{Index: "a", State: "STARTED"}, {Index: "a", Shard: 1, State: "STARTED"},
		{Index: "b", State: "RELOCATING"}, {Index: "c", State: "STARTED"}}
	got := spread(copies, 2)
	if len(got) != 2 || got[0].Index != "a" || got[1].Index != "c" {
		t.Errorf("chose %v", got)
	}
}
