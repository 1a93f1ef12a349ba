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
	get("/_cat/shards/{names}", catParams+" ignore_unavailable expand_wildcards", catShards)
	anyNode("/_cat/recovery", catParams+" active_only detailed index", catRecovery)
	anyNode("/_cat/recovery/{names}", catParams+" active_only detailed index", catRecovery)
	get("/_cat/indices", catParams+" health pri expand_wildcards include_unloaded_segments ignore_unavailable allow_no_indices", catIndices)
	get("/_cat/indices/{names}", catParams+" health pri expand_wildcards include_unloaded_segments ignore_unavailable allow_no_indices", catIndices)
	get("/_cat/health", catParams+" ts", catHealth)
	get("/_cat/thread_pool", catParams, catThreadPool)
	get("/_cat/thread_pool/{names}", catParams, catThreadPool)
	get("/_cat/master", catParams, catMaster)
	get("/_cat/pending_tasks", catParams, catPendingTasks)

	const indexParams = "flat_settings include_defaults expand_wildcards ignore_unavailable allow_no_indices features wait_for_active_shards preserve_existing"
	get("/_settings", indexParams, getIndexSettings)
	get("/_settings/{keys}", indexParams, getIndexSettings)
	get("/{index}/_settings", indexParams, getIndexSettings)
	get("/{index}/_settings/{keys}", indexParams, getIndexSettings)
	write("PUT", "/{index}/_settings", indexParams, putIndexSettings)
	write("PUT", "/_settings", indexParams, putIndexSettings)
	write("PUT", "/{index}/_block/{block}", "ignore_unavailable allow_no_indices expand_wildcards", blockIndices)
	const mappingParams = "ignore_unavailable allow_no_indices expand_wildcards write_index_only"
	get("/_mapping", mappingParams, getMapping)
	get("/{index}/_mapping", mappingParams, getMapping)
	get("/_mapping/field/{fields}", mappingParams, getFieldMapping)
	get("/{index}/_mapping/field/{fields}", mappingParams, getFieldMapping)
	write("PUT", "/{index}/_mapping", mappingParams, putMapping)
	write("POST", "/{index}/_mapping", mappingParams, putMapping)
	const aliasParams = "ignore_unavailable allow_no_indices expand_wildcards"
	get("/_alias", aliasParams, getAliases)
	get("/_alias/{name}", aliasParams, getAliases)
	get("/{index}/_alias", aliasParams, getAliases)
	get("/{index}/_alias/{name}", aliasParams, getAliases)
	write("POST", "/_aliases", "", updateAliases)
	for _, method := range []string{"PUT", "POST"} {
		write(method, "/{index}/_alias/{name}", "", putAlias)
		write(method, "/_index_template/{name}", "create cause", putTemplate)
		write(method, "/_template/{name}", "create order cause", putLegacyTemplate)
	}
	write("DELETE", "/{index}/_alias/{name}", "", deleteAlias)
	get("/_cat/aliases", catParams, catAliases)
	get("/_cat/aliases/{names}", catParams, catAliases)
	get("/_index_template", "flat_settings", getTemplates)
	get("/_index_template/{name}", "flat_settings", getTemplates)
	write("DELETE", "/_index_template/{name}", "", deleteTemplate)
	routes = append(routes, route{method: "POST", pattern: "/_index_template/_simulate_index/{name}", params: "cause create", serve: simulateIndex, needsMaster: true})
	get("/_template", "flat_settings", getLegacyTemplates)
	get("/_template/{name}", "flat_settings", getLegacyTemplates)
	write("DELETE", "/_template/{name}", "", deleteLegacyTemplate)
	get("/_ingest/pipeline/{id}", "summary", getPipeline)
	write("PUT", "/_ingest/pipeline/{id}", "if_version", putPipeline)
	write("DELETE", "/_ingest/pipeline/{id}", "", deletePipeline)
	get("/_resolve/index/{names}", "ignore_unavailable allow_no_indices expand_wildcards mode", resolveIndex)
	write("PUT", "/{index}", indexParams, createIndex)
	get("/{index}", indexParams, getIndex)
	write("DELETE", "/{index}", indexParams, deleteIndex)
	write("POST", "/{index}/_flush", "force wait_if_ongoing ignore_unavailable allow_no_indices expand_wildcards", broadcast)
	const refreshParams = "ignore_unavailable allow_no_indices expand_wildcards"
	write("POST", "/{index}/_refresh", refreshParams, refreshIndices)
	get("/{index}/_refresh", refreshParams, refreshIndices)
	const indexStatsParams = statsParams + " expand_wildcards forbid_closed_indices"
	anyNode("/_stats", indexStatsParams, indexStats)
	anyNode("/_stats/{metrics}", indexStatsParams, indexStats)
	anyNode("/{index}/_stats", indexStatsParams, indexStats)
	anyNode("/{index}/_stats/{metrics}", indexStatsParams, indexStats)
	write("POST", "/_flush", "force wait_if_ongoing", broadcast)
	write("POST", "/_refresh", refreshParams, refreshIndices)

	document := func(method, pattern, params string, serve func(*request) answer) {
		routes = append(routes, route{method: method, pattern: pattern, params: params, serve: serve, writes: true, document: true})
	}
	both := func(pattern, params string, serve func(*request) answer) {
		anyNode(pattern, params, serve)
		routes = append(routes, route{method: "POST", pattern: pattern, params: params, serve: serve})
	}
	for _, method := range []string{"PUT", "POST"} {
		document(method, "/_bulk", writeParams, bulk)
		document(method, "/{index}/_bulk", writeParams, bulk)
		document(method, "/{index}/_doc/{id}", writeParams, writeOne("index"))
		document(method, "/{index}/_create/{id}", writeParams, writeOne("create"))
	}
	document("POST", "/{index}/_doc", writeParams, writeOne("index"))
	document("POST", "/{index}/_update/{id}", writeParams+" retry_on_conflict", writeOne("update"))
	document("DELETE", "/{index}/_doc/{id}", writeParams, writeOne("delete"))
	const readParams = "preference realtime refresh routing stored_fields version version_type _source _source_includes _source_excludes"
	anyNode("/{index}/_doc/{id}", readParams, getDocument)
	anyNode("/{index}/_source/{id}", readParams, getDocument)
	both("/_mget", readParams, multiGet)
	both("/{index}/_mget", readParams, multiGet)
	const searchParams = "allow_no_indices allow_partial_search_results batched_reduce_size ccs_minimize_roundtrips expand_wildcards from ignore_unavailable max_concurrent_shard_requests pre_filter_shard_size preference q request_cache rest_total_hits_as_int routing scroll search_type seq_no_primary_term size sort stats track_scores track_total_hits version _source _source_includes _source_excludes"
	both("/_search", searchParams, searchDocuments)
	both("/{index}/_search", searchParams, searchDocuments)
	both("/_count", searchParams, countDocuments)
	both("/{index}/_count", searchParams, countDocuments)
	both("/_search/scroll", "scroll scroll_id rest_total_hits_as_int", nextPage)
	both("/_search/scroll/{id}", "scroll rest_total_hits_as_int", nextPage)
	routes = append(routes, route{method: "DELETE", pattern: "/_search/scroll", serve: closeContexts},
		route{method: "DELETE", pattern: "/_search/scroll/{id}", serve: closeContexts},
		route{method: "POST", pattern: "/{index}/_pit", params: "keep_alive preference routing ignore_unavailable expand_wildcards allow_partial_search_results", serve: openPIT},
		route{method: "DELETE", pattern: "/_pit", serve: closeContexts})

	routes = append(routes,
		route{method: "POST", pattern: "/_reindex", params: "refresh timeout wait_for_active_shards wait_for_completion requests_per_second slices require_alias scroll max_docs", serve: reindex, writes: true},
		route{method: "POST", pattern: "/_reindex/{task}/_rethrottle", params: "requests_per_second group_by", serve: rethrottle, writes: true},
		route{method: "POST", pattern: "/_tasks/{task}/_cancel", params: "nodes actions parent_task_id wait_for_completion group_by", serve: cancelTasks, writes: true},
		route{method: "POST", pattern: "/_tasks/_cancel", params: "nodes actions parent_task_id wait_for_completion group_by", serve: cancelTasks, writes: true})
	anyNode("/_tasks", "nodes actions detailed parent_task_id group_by wait_for_completion", listTasks)
	anyNode("/_tasks/{task}", "wait_for_completion", getTask)

	for i := range routes {
		routes[i].parts = strings.Split(strings.Trim(routes[i].pattern, "/"), "/")
	}
	return routes
}
