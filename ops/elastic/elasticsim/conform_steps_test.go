package elasticsim

import (
	"fmt"
	"slices"
	"strings"
)

// step is one request; {n1} and so on stand for node ids.
type step struct {
	name   string // of the recording; empty: not compared
	method string
	path   string
	body   string
}

const (
	pin    = `{"index":"conf-pin","shard":0,"primary":true}`
	spread = `{"index":"conf-pair","shard":0,"primary":false,"current_node":"n2"}`
	prefix = "cluster.routing.allocation."
)

func persistent(pairs ...string) string { return scoped("persistent", pairs) }
func transient(pairs ...string) string  { return scoped("transient", pairs) }

// scoped makes a settings body of keys below cluster.routing.allocation and JSON values.
func scoped(scope string, pairs []string) string {
	var parts []string
	for i := 0; i < len(pairs); i += 2 {
		parts = append(parts, fmt.Sprintf("%q:%s", prefix+pairs[i], pairs[i+1]))
	}
	return fmt.Sprintf(`{%q:{%s}}`, scope, strings.Join(parts, ","))
}

func filterSteps(name string, bodies ...string) []step {
	var out []step
	for i, b := range bodies {
		out = append(out, step{fmt.Sprintf("%s-%d", name, i+1), "PUT", "/_cluster/settings", b},
			step{fmt.Sprintf("%s-%d-effect", name, i+1), "POST", "/_cluster/allocation/explain", pin})
	}
	return append(out, step{"", "PUT", "/_cluster/settings", clearAll})
}

const clearAll = `{"persistent":{"cluster.routing.allocation.exclude.*":null,"cluster.routing.allocation.include.*":null,"cluster.routing.allocation.require.*":null},
	"transient":{"cluster.routing.allocation.exclude.*":null}}`

var prepare = []step{
	{"", "DELETE", "/conf-pin", ""}, {"", "DELETE", "/conf-pair", ""}, {"", "DELETE", "/conf-few", ""},
	{"", "PUT", "/_cluster/settings", clearAll},
	{"create", "PUT", "/conf-pin", `{"settings":{"number_of_shards":1,"number_of_replicas":0,"index.routing.allocation.require._name":"n1"}}`},
	{"", "PUT", "/conf-pair", `{"settings":{"index":{"number_of_shards":2,"number_of_replicas":1,"routing.allocation.exclude._name":"n3"}}}`},
	{"", "GET", "/_cluster/health?wait_for_status=green&wait_for_no_relocating_shards=true", ""},
}

func conformance() []step {
	steps := slices.Clone(prepare)
	steps = append(steps, []step{
		{"info", "GET", "/", ""},
		{"health", "GET", "/_cluster/health", ""},
		{"health-index", "GET", "/_cluster/health/conf-pair?level=indices", ""},
		{"health-timeout", "GET", "/_cluster/health?wait_for_nodes=9&timeout=100ms", ""},
		{"health-wait", "GET", "/_cluster/health?wait_for_nodes=%3E%3D3&wait_for_events=languid&wait_for_no_relocating_shards=true&wait_for_no_initializing_shards=true&wait_for_status=yellow", ""},
		{"health-bad-status", "GET", "/_cluster/health?wait_for_status=purple", ""},
		{"health-bad-param", "GET", "/_cluster/health?bogus=1", ""},
		{"health-method", "PUT", "/_cluster/health", ""},
		{"health-no-index", "GET", "/_cluster/health/conf-none?timeout=100ms", ""},
		{"settings-enable-default", "GET", `/_cluster/settings?include_defaults&flat_settings&filter_path=*.cluster%5C.routing%5C.allocation%5C.enable,*.cluster%5C.routing%5C.rebalance%5C.enable`, ""},
		{"settings-flat-path", "GET", "/_cluster/settings?include_defaults&flat_settings&filter_path=*.cluster.routing.allocation.enable", ""},
		{"settings-defaults", "GET", "/_cluster/settings?include_defaults&filter_path=defaults.cluster.routing,-defaults.cluster.routing.allocation.disk.threshold_enabled", ""},
		{"settings-unknown", "PUT", "/_cluster/settings", `{"persistent":{"foo.bar":"x"}}`},
		{"settings-empty", "PUT", "/_cluster/settings", `{}`},
		{"settings-no-body", "PUT", "/_cluster/settings", ``},
		{"settings-bad-enum", "PUT", "/_cluster/settings", persistent("enable", `"bogus"`)},
		{"settings-bad-ip", "PUT", "/_cluster/settings", persistent("exclude._ip", `"notanip"`)},
		{"settings-list", "PUT", "/_cluster/settings", `{"persistent":{"cluster":{"routing.allocation.exclude":{"_name":["x","y"]}}}}`},
		{"settings-list-read", "GET", "/_cluster/settings?filter_path=persistent.cluster.routing.allocation.exclude", ""},
		{"settings-flat", "PUT", "/_cluster/settings?flat_settings", persistent("exclude._name", `"x"`)},
		{"settings-delete", "PUT", "/_cluster/settings", persistent("exclude._name", "null")},
		{"cat-nodes", "GET", "/_cat/nodes?format=json", ""},
		{"cat-nodes-columns", "GET", "/_cat/nodes?h=name,id,ip,master,node.role,version,bogus&full_id=true&format=json&s=name", ""},
		{"cat-nodes-text", "GET", "/_cat/nodes?h=name,version,node.role&s=name&v", ""},
		{"cat-allocation", "GET", "/_cat/allocation?format=json&bytes=b", ""},
		{"cat-allocation-node", "GET", "/_cat/allocation/n1?format=json&bytes=b&h=node,shards,disk.indices", ""},
		{"cat-allocation-none", "GET", "/_cat/allocation/nope?h=shards", ""},
		{"cat-shards", "GET", "/_cat/shards/conf-pair?format=json&bytes=b", ""},
		{"cat-shards-reason", "GET", "/_cat/shards/conf-pair?format=json&h=index,shard,prirep,state,node,unassigned.reason,unassigned.for,ud", ""},
		{"cat-shards-none", "GET", "/_cat/shards/conf-none", ""},
		{"cat-shards-pattern", "GET", "/_cat/shards/conf-none*", ""},
		{"cat-recovery-active", "GET", "/_cat/recovery?active_only&format=json", ""},
		{"cat-indices", "GET", "/_cat/indices/conf-*?format=json&bytes=b", ""},
		{"cat-master", "GET", "/_cat/master?format=json", ""},
		{"cat-health", "GET", "/_cat/health?format=json", ""},
		{"cat-pending", "GET", "/_cat/pending_tasks?format=json", ""},
		{"pending", "GET", "/_cluster/pending_tasks", ""},
		{"cat-unknown", "GET", "/_cat/nope", ""},
		{"nodes", "GET", "/_nodes?filter_path=_nodes,nodes.*.name,nodes.*.roles,nodes.*.attributes,nodes.*.version,nodes.*.ip,nodes.*.jvm.start_time_in_millis", ""},
		{"nodes-name", "GET", "/_nodes/n1/none", ""},
		{"nodes-none", "GET", "/_nodes/nope", ""},
		{"nodes-attr", "GET", "/_nodes/zone:a?filter_path=nodes.*.name", ""},
		{"stats-shards", "GET", "/_nodes/{n1}/stats/indices/shard_stats?level=shards&filter_path=_nodes,nodes.*.name,nodes.*.indices.shard_stats,nodes.*.indices.shards.conf-pin.*.routing", ""},
		{"stats-whole", "GET", "/_nodes/{n3}/stats/indices/shard_stats", ""},
		{"stats-store", "GET", "/_nodes/{n1}/stats/indices/store?level=shards&timeout=5s&filter_path=nodes.*.indices.store,nodes.*.indices.shards.conf-pin.*.store", ""},
		{"stats-two", "GET", "/_nodes/{n1}/stats/indices/shard_stats,store?filter_path=nodes.*.indices", ""},
		{"nodes-process", "GET", "/_nodes/process?filter_path=nodes.*.host", ""},
		{"blocks-none", "GET", "/_cluster/state/blocks", ""},
		{"", "PUT", "/conf-pair/_settings", `{"index.blocks.read_only_allow_delete":true}`},
		{"blocks-flood", "GET", "/_cluster/state/blocks?filter_path=cluster_uuid,blocks.indices.conf-*", ""},
		{"", "PUT", "/conf-pair/_settings", `{"index.blocks.read_only_allow_delete":null}`},
		{"", "PUT", "/_cluster/settings", `{"persistent":{"cluster.blocks.read_only":true}}`},
		{"blocks-all", "PUT", "/_cluster/settings", persistent("exclude.zone", `"spot"`)},
		{"", "PUT", "/_cluster/settings", `{"persistent":{"cluster.blocks.read_only":null}}`},
		{"state-table-missing", "GET", "/_cluster/state/routing_table/conf-pair,conf-none?ignore_unavailable=true&expand_wildcards=all&filter_path=routing_table.indices.*.shards.*.state", ""},
		{"index-underscore", "GET", "/_foo", ""},
		{"path-unknown", "GET", "/a/b/c/d", ""},
		{"stats-fs", "GET", "/_nodes/stats/fs?filter_path=nodes.*.name,nodes.*.fs.total,nodes.*.fs.data.*_in_bytes", ""},
		{"stats-bad", "GET", "/_nodes/stats/nope", ""},
		{"state-node", "GET", "/_cluster/state/routing_nodes?filter_path=routing_nodes.nodes.{n1}.index,routing_nodes.nodes.{n1}.shard,routing_nodes.nodes.{n1}.state", ""},
		{"state-node-whole", "GET", "/_cluster/state/routing_nodes?filter_path=routing_nodes.nodes.{n1}", ""},
		{"state-master", "GET", "/_cluster/state/master_node,version", ""},
		{"state-nodes", "GET", "/_cluster/state/nodes?filter_path=nodes", ""},
		{"state-coordination", "GET", "/_cluster/state/metadata?filter_path=metadata.cluster_coordination,metadata.cluster_uuid", ""},
		{"state-table", "GET", "/_cluster/state/routing_table/conf-pair", ""},
		{"state-unknown", "GET", "/_cluster/state/nope", ""},
		{"voting-add", "POST", "/_cluster/voting_config_exclusions?node_names=nope", ""},
		{"voting-read", "GET", "/_cluster/state/metadata?filter_path=metadata.cluster_coordination.voting_config_exclusions", ""},
		{"voting-clear", "DELETE", "/_cluster/voting_config_exclusions?wait_for_removal=false", ""},
		{"voting-bad", "POST", "/_cluster/voting_config_exclusions", ""},
		{"index", "GET", "/conf-pin", ""},
		{"index-none", "GET", "/conf-none", ""},
		{"index-exists", "PUT", "/conf-pin", `{}`},
		{"index-settings", "GET", "/conf-pin/_settings?flat_settings", ""},
		{"index-settings-key", "GET", "/_all/_settings/index.number_of_replicas?flat_settings", ""},
		{"index-settings-put", "PUT", "/conf-pair/_settings", `{"index.number_of_replicas":1}`},
		{"reroute", "POST", "/_cluster/reroute?metric=none", ""},
		{"explain-stay", "POST", "/_cluster/allocation/explain", spread},
		{"explain-no-shard", "POST", "/_cluster/allocation/explain", `{"index":"conf-pin","shard":9,"primary":true}`},
		{"explain-no-index", "POST", "/_cluster/allocation/explain", `{"index":"conf-none","shard":0,"primary":true}`},
		{"explain-no-node", "POST", "/_cluster/allocation/explain", `{"index":"conf-pin","shard":0,"primary":true,"current_node":"n9"}`},
		{"explain-not-there", "POST", "/_cluster/allocation/explain", `{"index":"conf-pin","shard":0,"primary":true,"current_node":"n3"}`},
		{"explain-half", "POST", "/_cluster/allocation/explain", `{"index":"conf-pin"}`},
		{"explain-nothing", "POST", "/_cluster/allocation/explain", `{}`},
	}...)
	steps = append(steps, filterSteps("exclude",
		persistent("exclude.zone", `"spot"`),
		persistent("exclude._ip", `"127.0.0.99"`), // zone is listed, and off
		persistent("exclude._ip", `"127.0.0.99"`, "exclude.zone", `"spot"`),
		persistent("exclude._ip", `"127.0.0.99"`, "exclude.zone", `"spot,"`), // the same values
		persistent("exclude._ip", `"127.0.0.99,127.0.0.99"`, "exclude.zone", `"spot,spot"`),
		persistent("exclude._ip", `"127.0.0.99"`, "exclude.zone", `"spot,spot"`),
		persistent("exclude._ip", "null"), // and none is left
		persistent("exclude.zone", `""`),
	)...)
	steps = append(steps, filterSteps("transient",
		persistent("exclude.zone", `"spot"`),
		transient("exclude.zone", `"b"`),
		transient("exclude.zone", "null"),
		persistent("exclude._name", `" n2 , n3"`),
	)...)
	steps = append(steps, filterSteps("families",
		persistent("exclude.zone", `"spot"`, "include.zone", `"a,b"`),
		persistent("require.zone", `"a*"`, "require.xpack.installed", `"true"`),
		persistent("require.zone", "null"),
		persistent("include.zone", `"a"`),
	)...)
	steps = append(steps, filterSteps("leave", persistent("exclude._name", `"n1"`))...)
	steps = append(steps,
		step{"", "PUT", "/_cluster/settings", persistent("exclude._name", `"n2"`)},
		step{"leave-yes", "POST", "/_cluster/allocation/explain?include_yes_decisions", pin},
		step{"stuck", "POST", "/_cluster/allocation/explain?include_yes_decisions", spread},
		step{"", "PUT", "/_cluster/settings", persistent("enable", `"none"`)},
		step{"stuck-none", "POST", "/_cluster/allocation/explain", spread},
		step{"", "PUT", "/_cluster/settings", persistent("enable", `"primaries"`, "awareness.attributes", `"zone"`, "awareness.force.zone.values", `"a,b,spot"`)},
		step{"stuck-aware", "POST", "/_cluster/allocation/explain", spread},
		step{"", "PUT", "/_cluster/settings", persistent("enable", "null", "awareness.*", "null", "exclude._name", "null")},
		step{"unassigned-put", "PUT", "/conf-few?wait_for_active_shards=0", `{"settings":{"number_of_shards":1,"number_of_replicas":3}}`},
		step{"", "GET", "/_cluster/health/conf-few?wait_for_active_shards=3", ""},
		step{"unassigned-allocation", "GET", "/_cat/allocation/n1?h=node,shards&format=json", ""},
		step{"unassigned-health", "GET", "/_cluster/health", ""},
		step{"unassigned-shards", "GET", "/_cat/shards/conf-few?format=json&h=index,shard,prirep,state,node,unassigned.reason,ip", ""},
		step{"unassigned-explain", "POST", "/_cluster/allocation/explain", `{"index":"conf-few","shard":0,"primary":false}`},
		step{"delete", "DELETE", "/conf-few", ""},
		step{"", "DELETE", "/conf-pin", ""}, step{"", "DELETE", "/conf-pair", ""},
	)
	return steps
}
