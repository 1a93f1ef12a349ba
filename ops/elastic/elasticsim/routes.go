package elasticsim

import "strings"

// routes are the endpoints, literal paths before patterns.
var routes = makeRoutes()

func makeRoutes() (routes []route) {
	get := func(pattern, params string, serve func(*request) answer) {
		routes = append(routes, route{method: "GET", pattern: pattern, params: params, serve: serve, needsMaster: true})
	}
	anyNode := func(pattern, params string, serve func(*request) answer) {
		routes = append(routes, route{method: "GET", pattern: pattern, params: params, serve: serve})
	}
	write := func(method, pattern, params string, serve func(*request) answer) {
		routes = append(routes, route{method: method, pattern: pattern, params: params, serve: serve, needsMaster: true, writes: true})
	}

	anyNode("/", "", info)

	const healthParams = "level wait_for_status wait_for_nodes wait_for_events wait_for_no_relocating_shards wait_for_no_initializing_shards wait_for_active_shards expand_wildcards"
	anyNode("/_cluster/health", healthParams, health)
	anyNode("/_cluster/health/{names}", healthParams, health)
	get("/_cluster/settings", "flat_settings include_defaults", getSettings)
	write("PUT", "/_cluster/settings", "flat_settings", putSettings)
	get("/_cluster/pending_tasks", "", pendingTasks)
	const stateParams = "flat_settings expand_wildcards ignore_unavailable allow_no_indices wait_for_metadata_version wait_for_timeout"
	anyNode("/_cluster/state", stateParams, clusterState)
	anyNode("/_cluster/state/{metrics}", stateParams, clusterState)
	anyNode("/_cluster/state/{metrics}/{names}", stateParams, clusterState)
	get("/_cluster/allocation/explain", "include_yes_decisions include_disk_info", explain)
	routes = append(routes, route{method: "POST", pattern: "/_cluster/allocation/explain", params: "include_yes_decisions include_disk_info", serve: explain, needsMaster: true})
	write("POST", "/_cluster/voting_config_exclusions", "node_names node_ids", addVotingExclusions)
	write("DELETE", "/_cluster/voting_config_exclusions", "wait_for_removal", clearVotingExclusions)
	write("POST", "/_cluster/reroute", "dry_run explain metric retry_failed", reroute)

	const nodesParams = "flat_settings"
	anyNode("/_nodes", nodesParams, nodesInfo)
	anyNode("/_nodes/{nodes}", nodesParams, nodesInfo)
	const statsParams = "level groups fields types completion_fields fielddata_fields include_segment_file_sizes include_unloaded_segments"
	anyNode("/_nodes/stats", statsParams, nodesStats)
	anyNode("/_nodes/stats/{metrics}", statsParams, nodesStats)
	anyNode("/_nodes/stats/{metrics}/{parts}", statsParams, nodesStats)
	anyNode("/_nodes/{nodes}/stats", statsParams, nodesStats)
	anyNode("/_nodes/{nodes}/stats/{metrics}", statsParams, nodesStats)
	anyNode("/_nodes/{nodes}/stats/{metrics}/{parts}", statsParams, nodesStats)
	anyNode("/_nodes/{nodes}/{metrics}", nodesParams, nodesInfo)

	get("/_cat/nodes", catParams+" full_id include_unloaded_segments", catNodes)
	get("/_cat/allocation", catParams, catAllocation)
	get("/_cat/allocation/{nodes}", catParams, catAllocation)
	get("/_cat/shards", catParams, catShards)
	get("/_cat/shards/{names}", catParams, catShards)
	anyNode("/_cat/recovery", catParams+" active_only detailed index", catRecovery)
	anyNode("/_cat/recovery/{names}", catParams+" active_only detailed index", catRecovery)
	get("/_cat/indices", catParams+" health pri expand_wildcards include_unloaded_segments", catIndices)
	get("/_cat/indices/{names}", catParams+" health pri expand_wildcards include_unloaded_segments", catIndices)
	get("/_cat/health", catParams+" ts", catHealth)
	get("/_cat/master", catParams, catMaster)
	get("/_cat/pending_tasks", catParams, catPendingTasks)

	const indexParams = "flat_settings include_defaults expand_wildcards ignore_unavailable allow_no_indices features wait_for_active_shards preserve_existing"
	get("/_settings", indexParams, getIndexSettings)
	get("/_settings/{keys}", indexParams, getIndexSettings)
	get("/{index}/_settings", indexParams, getIndexSettings)
	get("/{index}/_settings/{keys}", indexParams, getIndexSettings)
	write("PUT", "/{index}/_settings", indexParams, putIndexSettings)
	write("PUT", "/_settings", indexParams, putIndexSettings)
	write("PUT", "/{index}", indexParams, createIndex)
	get("/{index}", indexParams, getIndex)
	write("DELETE", "/{index}", indexParams, deleteIndex)
	write("POST", "/{index}/_flush", "force wait_if_ongoing ignore_unavailable", broadcast)
	write("POST", "/{index}/_refresh", "ignore_unavailable", broadcast)
	write("POST", "/_flush", "force wait_if_ongoing", broadcast)
	write("POST", "/_refresh", "", broadcast)

	for i := range routes {
		routes[i].parts = strings.Split(strings.Trim(routes[i].pattern, "/"), "/")
	}
	return routes
}
