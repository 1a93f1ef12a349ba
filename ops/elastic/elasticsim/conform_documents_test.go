package elasticsim

import (
	"fmt"
	"strings"
)

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

// pinned keeps an index on the node that is asked: exceptions that cross nodes lose
// their types.
const pinned = `"number_of_replicas":0,"index.routing.allocation.require._name":"n1"`

// typedMapping has a field of every type that documents are checked against.
const typedMapping = `{"n":{"type":"long"},"i":{"type":"integer"},"f":{"type":"float"},"d":{"type":"double"},"b":{"type":"boolean"},"t":{"type":"date"},"k":{"type":"keyword"},"x":{"type":"text"},"ip":{"type":"ip"},"by":{"type":"byte"},"o":{"properties":{"q":{"type":"long"}}}}`

func documentWriteSteps() []step {
	const a = "/conf-a/_doc/"
	return []step{
		{"", "DELETE", "/conf-a,conf-b,conf-c,conf-d?ignore_unavailable=true", ""},
		{"", "PUT", "/conf-a", `{"settings":{` + pinned + `},"mappings":{"properties":` + typedMapping + `}}`},
		{"", "GET", "/_cluster/health/conf-a?wait_for_status=green", ""},
		{"doc-create", "PUT", a + "1", `{"n":1}`},
		{"doc-update", "PUT", a + "1", `{"n":2}`},
		{"doc-op-type", "PUT", a + "1?op_type=create", `{"n":2}`},
		{"doc-create-exists", "PUT", "/conf-a/_create/1", `{"n":2}`},
		{"doc-auto-id", "POST", "/conf-a/_doc", `{"n":2}`},
		{"doc-external-equal", "PUT", a + "1?version=2&version_type=external", `{"n":2}`},
		{"doc-external", "PUT", a + "1?version=9&version_type=external", `{"n":2}`},
		{"doc-gte-equal", "PUT", a + "1?version=9&version_type=external_gte", `{"n":2}`},
		{"doc-gte-lower", "PUT", a + "1?version=8&version_type=external_gte", `{"n":2}`},
		{"doc-internal-version", "PUT", a + "1?version=8", `{"n":2}`},
		{"doc-if-seq", "PUT", a + "1?if_seq_no=1&if_primary_term=1", `{"n":2}`},
		{"doc-if-seq-missing", "PUT", a + "nope?if_seq_no=1&if_primary_term=1", `{"n":2}`},
		{"doc-if-seq-no-term", "PUT", a + "1?if_seq_no=1", `{"n":2}`},
		{"doc-delete-if-seq-missing", "DELETE", a + "nope?if_seq_no=1&if_primary_term=1", ""},
		{"doc-get", "GET", a + "1", ""},
		{"doc-get-missing", "GET", a + "zz", ""},
		{"doc-get-no-index", "GET", "/conf-none/_doc/zz", ""},
		{"doc-get-no-source", "GET", a + "1?_source=false", ""},
		{"doc-source", "GET", "/conf-a/_source/1", ""},
		{"doc-source-missing", "GET", "/conf-a/_source/zz", ""},
		{"doc-delete-missing", "DELETE", a + "zz", ""},
		{"doc-delete", "DELETE", a + "1", ""},
		{"doc-delete-again", "DELETE", a + "1", ""},
		{"doc-external-after-delete", "PUT", a + "1?version=3&version_type=external", `{"n":2}`},
		{"doc-delete-external", "DELETE", a + "1?version=30&version_type=external", ""},
		{"doc-after-delete", "PUT", a + "1", `{"n":2}`},
		{"doc-partial", "POST", "/conf-a/_update/1", `{"doc":{"i":5}}`},
		{"doc-partial-noop", "POST", "/conf-a/_update/1", `{"doc":{"i":5}}`},
		{"doc-partial-missing", "POST", "/conf-a/_update/yy", `{"doc":{"i":5}}`},
		{"doc-partial-upsert", "POST", "/conf-a/_update/zz", `{"doc":{"i":5},"doc_as_upsert":true}`},
		{"doc-no-body", "PUT", a + "1", ""},
		{"mget", "POST", "/conf-a/_mget", `{"ids":["1","nope"]}`},
		{"mget-docs", "POST", "/_mget", `{"docs":[{"_index":"conf-a","_id":"1","_source":false},{"_index":"conf-none","_id":"b1"},{"_index":"conf-a","_id":"1","_source":["i"]}]}`},
		{"mget-none", "POST", "/conf-a/_mget", `{"ids":[]}`},
		{"mget-no-index", "POST", "/_mget", `{"ids":["b1"]}`},
		{"", "PUT", "/conf-d", `{"settings":{"number_of_replicas":0},"mappings":{"_routing":{"required":true}}}`},
		{"routing-missing", "PUT", "/conf-d/_doc/1", `{"n":1}`},
		{"routing-given", "PUT", "/conf-d/_doc/1?routing=r", `{"n":1}`},
		{"routing-get", "GET", "/conf-d/_doc/1?routing=r", ""},
		{"routing-get-missing", "GET", "/conf-d/_doc/1", ""},
		{"routing-mget-missing", "POST", "/conf-d/_mget", `{"ids":["1"]}`},
		{"bulk", "POST", "/_bulk", lines(
			`{"index":{"_index":"conf-a","_id":"b1"}}`, `{"n":"abc"}`, `{"create":{"_index":"conf-a","_id":"b1"}}`, `{"n":1}`,
			`{"create":{"_index":"conf-a","_id":"b1"}}`, `{"n":1}`, `{"index":{"_index":"conf-a","_id":"b1","version":1,"version_type":"external"}}`, `{"n":1}`,
			`{"index":{"_index":"conf-a","_id":"b1","version":7,"version_type":"external"}}`, `{"n":1}`, `{"index":{"_index":"conf-a","_id":"b1","if_seq_no":1,"if_primary_term":1}}`, `{"n":1}`,
			`{"delete":{"_index":"conf-a","_id":"b9"}}`, `{"update":{"_index":"conf-a","_id":"b1"}}`, `{"doc":{"n":5}}`, `{"update":{"_index":"conf-a","_id":"b7"}}`, `{"doc":{"n":5}}`,
			`{"index":{"_index":"conf-a"}}`, `{"n":5}`, `{"index":{"_index":"conf-d","_id":"1"}}`, `{"a":1}`,
			`{"index":{"_index":"conf-none-x","_id":"1","require_alias":true}}`, `{"a":1}`, `{"index":{"_index":"CONF-X","_id":"1"}}`, `{"a":1}`, `{"index":{"_index":"conf-a","_id":""}}`, `{"a":1}`)},
		{"bulk-no-newline", "POST", "/_bulk", `{"index":{"_index":"conf-a","_id":"b1"}}`},
		{"bulk-no-body", "POST", "/_bulk", ""},
		{"bulk-nothing", "POST", "/_bulk", "\n"},
		{"bulk-unknown-action", "POST", "/_bulk", lines(`{"bogus":{"_index":"conf-a"}}`, `{"n":1}`)},
		{"bulk-unknown-parameter", "POST", "/_bulk", lines(`{"index":{"_index":"conf-a","bogus":1}}`, `{"n":1}`)},
		{"bulk-no-index", "POST", "/_bulk", lines(`{"index":{"_id":"b1"}}`, `{"n":1}`)},
		{"bulk-create-external", "POST", "/_bulk", lines(`{"create":{"_index":"conf-a","_id":"b1","version":4,"version_type":"external"}}`, `{"n":1}`)},
		{"bulk-internal-version", "POST", "/_bulk", lines(`{"index":{"_index":"conf-a","_id":"b1","version":4}}`, `{"n":1}`)},
		{"bulk-refresh-bad", "POST", "/conf-a/_bulk?refresh=bogus", lines(`{"index":{"_id":"b1"}}`, `{"n":1}`)},
		{"bulk-refresh", "POST", "/conf-a/_bulk?refresh=true", lines(`{"index":{"_id":"b1"}}`, `{"n":1}`)},
		{"bulk-wait", "POST", "/conf-a/_bulk?refresh=wait_for", lines(`{"index":{"_id":"b1"}}`, `{"n":1}`)},
		{"", "PUT", "/conf-d/_block/write", ""},
		{"bulk-blocked", "POST", "/_bulk", lines(`{"index":{"_index":"conf-d","_id":"1","routing":"r"}}`, `{"n":1}`)},
		{"doc-blocked", "PUT", "/conf-d/_doc/1?routing=r", `{"n":1}`},
		{"doc-require-alias", "PUT", "/conf-none-x/_doc/1?require_alias=true", `{"n":1}`},
		{"", "DELETE", "/conf-a,conf-d", ""},
	}
}

// badDocuments are documents that types refuse, and some they take although they look
// like it.
var badDocuments = []string{
	`{"n":"abc"}`, `{"n":1.5}`, `{"n":"12"}`, `{"n":99999999999999999999}`, `{"n":true}`, `{"n":{}}`, `{"n":{"a":1}}`, `{"n":[1,"x"]}`, `{"n":null}`, `{"n":""}`,
	`{"n":"9999999999999999999999"}`, `{"n":"1.7"}`, `{"n":"abc","i":"def"}`, `{"i":3000000000}`, `{"i":"foo bar"}`, `{"i":"3000000000"}`, `{"f":"x"}`, `{"f":1e60}`, `{"f":true}`, `{"d":"x"}`,
	`{"b":"yes"}`, `{"b":1}`, `{"b":""}`, `{"t":"2020-13-01"}`, `{"t":"foo"}`, `{"t":12}`, `{"t":"2020-01-01T00:00:00Z"}`, `{"t":true}`, `{"t":{"x":1}}`, `{"k":{"x":1}}`, `{"k":[1,2]}`,
	`{"x":{"a":1}}`, `{"ip":"300.1.1.1"}`, `{"ip":5}`, `{"by":200}`, `{"by":70000000000}`, `{"o":5}`, `{"o":"text"}`, `{"o":[{"q":1},{"q":"z"}]}`, `{"o":{"q":"bad"}}`, `{"n":1`, `[]`, `"s"`, `{"_id":"x"}`, `{"":1}`, `{"a.b":1}`,
	`{"t":"2020-01-01 00:00:00"}`, `{"t":"2020"}`, `{"t":"2020-01"}`, `{"t":"20200101"}`, `{"n":"1e3"}`, `{"n":1e3}`, `{"n":1e30}`, `{"n":" 5"}`, `{"o.q":"zz"}`,
}

func documentCheckSteps() []step {
	steps := []step{
		{"", "DELETE", "/conf-a,conf-b,conf-c?ignore_unavailable=true", ""},
		{"", "PUT", "/conf-a", `{"settings":{` + pinned + `},"mappings":{"properties":` + typedMapping + `}}`},
		{"", "PUT", "/conf-b", `{"settings":{"number_of_replicas":0},"mappings":{"dynamic":"strict","properties":{"n":{"type":"long"},"o":{"properties":{"q":{"type":"long"}}}}}}`},
		{"", "PUT", "/conf-c", `{"settings":{"number_of_replicas":0},"mappings":{"dynamic":false,"properties":{"n":{"type":"long"}}}}`},
		{"strict", "PUT", "/conf-b/_doc/1", `{"n":1,"zz":2}`},
		{"strict-inner", "PUT", "/conf-b/_doc/1", `{"n":1,"o":{"zz":2}}`},
		{"strict-object", "PUT", "/conf-b/_doc/1", `{"zz":{"y":2}}`},
		{"strict-null", "PUT", "/conf-b/_doc/1", `{"zz":null}`},
		{"strict-fits", "PUT", "/conf-b/_doc/1", `{"n":5,"o":{"q":6}}`},
		{"dynamic-off", "PUT", "/conf-c/_doc/1", `{"n":1,"zz":2}`},
		{"dynamic-off-mapping", "GET", "/conf-c/_mapping", ""},
		{"dynamic", "PUT", "/conf-a/_doc/1", `{"s":"x","l":7,"fl":1.5,"bo":true,"da":"2024-02-03T04:05:06Z","ob":{"in":[1,2]},"nu":null,"em":[],"em2":[null],"ar":["a"]}`},
		{"dynamic-mapping", "GET", "/conf-a/_mapping", ""},
		{"dynamic-then-bad", "PUT", "/conf-a/_doc/1", `{"l":"x","new":1}`},
	}
	for i, d := range badDocuments {
		steps = append(steps, step{fmt.Sprintf("type-%02d", i), "PUT", "/conf-a/_doc/v", d})
	}
	// The same from another node.
	steps = append(steps, step{"", "DELETE", "/conf-b", ""},
		step{"", "PUT", "/conf-b", `{"settings":{` + strings.Replace(pinned, "n1", "n2", 1) + `},"mappings":{"properties":` + typedMapping + `}}`})
	for i, d := range []string{`{"n":99999999999999999999}`, `{"n":true}`, `{"t":"x"}`, `{"n":"x"}`, `{"i":"x"}`, `{"n":1`} {
		steps = append(steps, step{fmt.Sprintf("type-remote-%d", i), "PUT", "/conf-b/_doc/v", d})
	}
	return append(steps, step{"", "DELETE", "/conf-a,conf-b,conf-c", ""})
}

func searchSteps() []step {
	var b []string
	for i := 1; i <= 10; i++ {
		b = append(b, fmt.Sprintf(`{"index":{"_id":"d%d"}}`, i), fmt.Sprintf(`{"n":%d,"k":"k%d","t":"2024-01-%dT00:00:00Z","x":"hello world %d"}`, i, i%3, 10+i, i))
	}
	find := func(name, body string) step { return step{name, "POST", "/conf-a/_search", body} }
	return []step{
		{"", "DELETE", "/conf-a,conf-b?ignore_unavailable=true", ""},
		{"", "PUT", "/conf-a", `{"settings":{"number_of_shards":2,` + pinned + `,"refresh_interval":"-1"},"aliases":{"conf-fa":{"filter":{"term":{"n":3}}},"conf-ra":{"routing":"r1"}},"mappings":{"properties":{"n":{"type":"long"},"k":{"type":"keyword"},"t":{"type":"date"},"x":{"type":"text"}}}}`},
		{"", "PUT", "/conf-b", `{"settings":{"number_of_replicas":0}}`},
		{"", "GET", "/_cluster/health/conf-a,conf-b?wait_for_status=green", ""},
		{"search-bulk", "POST", "/conf-a/_bulk", lines(b...)},
		find("search-unrefreshed", `{}`),
		{"refresh", "POST", "/conf-a/_refresh", ""},
		find("search-all", `{"size":20}`),
		find("search-doc-order", `{"size":20,"sort":["_doc"]}`),
		find("search-seq", `{"size":20,"sort":[{"_seq_no":"asc"}],"seq_no_primary_term":true,"version":true,"_source":false}`),
		{"search-shard", "POST", "/conf-a/_search?preference=_shards:0", `{"size":20,"sort":[{"_seq_no":{"order":"asc"}}],"seq_no_primary_term":true,"version":true,"_source":["n"],"track_total_hits":true}`},
		{"search-window", "POST", "/conf-a/_search?preference=_shards:1", `{"size":20,"sort":[{"_seq_no":"asc"}],"query":{"range":{"_seq_no":{"gte":1,"lt":3}}},"track_total_hits":false}`},
		{"search-after", "POST", "/conf-a/_search?preference=_shards:1", `{"size":20,"sort":[{"_seq_no":"asc"}],"search_after":[1],"_source":{"excludes":["x"]}}`},
		{"search-after-doc", "POST", "/conf-a/_search", `{"sort":["_doc"],"size":3,"search_after":[1],"_source":false}`},
		find("search-sort", `{"sort":[{"n":"desc"}],"size":2,"_source":{"includes":["n","k"]}}`),
		find("search-sort-two", `{"sort":[{"k":"asc"},{"n":"desc"}],"size":2,"_source":"k"}`),
		find("search-sort-date", `{"sort":[{"t":"asc"}],"size":1}`),
		find("search-sort-unmapped", `{"sort":[{"zz":{"order":"asc","unmapped_type":"long"}}],"size":1}`),
		find("search-ids", `{"query":{"ids":{"values":["d1","d2","zz"]}},"_source":false}`),
		find("search-term", `{"query":{"term":{"k":"k1"}},"size":0}`),
		find("search-term-value", `{"query":{"term":{"k":{"value":"k1"}}},"size":0}`),
		find("search-terms", `{"query":{"terms":{"n":[1,2,99]}},"_source":false}`),
		find("search-id", `{"query":{"term":{"_id":"d1"}},"_source":false}`),
		find("search-date-range", `{"query":{"range":{"t":{"gte":"2024-01-12","lte":"2024-01-13"}}},"_source":false}`),
		find("search-now", `{"query":{"range":{"t":{"gte":"now-1d"}}},"_source":false}`),
		find("search-exists", `{"query":{"exists":{"field":"zz"}},"_source":false}`),
		find("search-not", `{"query":{"bool":{"must_not":{"exists":{"field":"n"}},"filter":[{"match_all":{}}]}},"_source":false}`),
		find("search-filter", `{"query":{"bool":{"filter":[{"term":{"k":"k1"}},{"range":{"_seq_no":{"lte":2}}}]}},"_source":false}`),
		find("search-should", `{"query":{"bool":{"should":[{"term":{"k":"k1"}},{"term":{"n":2}}]}},"size":0}`),
		find("search-must-should", `{"query":{"bool":{"must":[{"term":{"k":"k1"}}],"should":[{"term":{"n":2}}],"minimum_should_match":1}},"size":0}`),
		{"search-total-limit", "POST", "/conf-a/_search?size=0&track_total_hits=3", `{}`},
		{"search-total-off", "POST", "/conf-a/_search?track_total_hits=false", `{"size":0}`},
		find("search-slice-no-scroll", `{"slice":{"id":0,"max":2},"sort":["_doc"]}`),
		{"search-slice", "POST", "/conf-a/_search?scroll=1m", `{"slice":{"id":0,"max":2},"sort":["_doc"],"size":9,"_source":false}`},
		{"search-slice-four", "POST", "/conf-a/_search?scroll=1m", `{"slice":{"id":3,"max":4},"sort":["_doc"],"size":9,"_source":false}`},
		find("search-negative", `{"size":-1}`),
		{"search-alias-filter", "POST", "/conf-fa/_search", `{"_source":false}`},
		{"search-alias-routing", "POST", "/conf-ra/_search", `{"_source":false,"size":1}`},
		{"search-routing", "POST", "/conf-a/_search?routing=r1", `{"size":0}`},
		{"search-none", "POST", "/conf-none/_search", `{}`},
		{"search-none-pattern", "POST", "/conf-none*/_search", `{}`},
		{"search-one-none", "POST", "/conf-a,conf-none/_search", `{}`},
		{"search-groups", "POST", "/conf-a/_search", `{"size":1,"stats":["g1","g2"],"_source":false}`},
		{"search-groups-stats", "GET", "/conf-a/_stats/search?groups=g1,g2&filter_path=_all.total.search.groups.*.query_total,_shards", ""},
		{"count", "POST", "/conf-a/_count", `{"query":{"term":{"k":"k1"}}}`},
		{"count-all", "GET", "/conf-a/_count", ""},
		{"count-none", "POST", "/conf-none/_count", ""},
		{"preference-nobody", "POST", "/conf-b/_search?preference=_only_nodes:zone:zz", `{"size":0}`},
		{"preference-shard-nodes", "POST", "/conf-a/_search?preference=_shards:0%7C_only_nodes:zone:a,zone:b,zone:spot", `{"size":0}`},
		{"preference-no-shard", "POST", "/conf-a/_search?preference=_shards:7", `{"size":0}`},
		{"preference-nodes", "POST", "/conf-a/_search?preference=_only_nodes:n1,n2,n3", `{"size":0}`},
		{"preference-unknown", "POST", "/conf-a/_search?preference=_bogus", `{"size":0}`},
		{"preference-local", "POST", "/conf-a/_search?preference=_local", `{"size":0}`},
		{"pit", "POST", "/conf-a/_pit?keep_alive=1m", ""},
		{"stats-shards-docs", "GET", "/conf-a/_stats/docs,store?level=shards&filter_path=_shards,indices.*.uuid,indices.*.primaries.docs.count,indices.*.shards.*.routing,indices.*.shards.*.docs.count,indices.*.shards.*.seq_no", ""},
		{"stats-cluster", "GET", "/conf-a/_stats/docs?level=cluster&filter_path=indices,_all.total.docs.count", ""},
		{"stats-metric", "GET", "/conf-a/_stats/bogus", ""},
		// What no shard of the index can answer.
		{"search-bad-term", "POST", "/conf-a/_search?preference=_shards:0", `{"query":{"term":{"n":"abc"}}}`},
		{"search-bad-date", "POST", "/conf-a/_search?preference=_shards:0", `{"query":{"range":{"t":{"gte":"foo"}}}}`},
		{"search-bad-seq", "POST", "/conf-a/_search?preference=_shards:0", `{"query":{"range":{"_seq_no":{"gt":"x"}}}}`},
		{"search-sort-none", "POST", "/conf-a/_search?preference=_shards:0", `{"sort":[{"zz":"asc"}]}`},
		{"search-sort-id", "POST", "/conf-a/_search?preference=_shards:0", `{"sort":[{"_id":"asc"}]}`},
		{"search-sort-text", "POST", "/conf-a/_search?preference=_shards:0", `{"sort":[{"x":"asc"}]}`},
		{"search-window-large", "POST", "/conf-a/_search?preference=_shards:0", `{"size":10001}`},
		{"search-after-no-sort", "POST", "/conf-a/_search?preference=_shards:0", `{"search_after":[1]}`},
		{"search-after-count", "POST", "/conf-a/_search?preference=_shards:0", `{"sort":["_seq_no","n"],"search_after":[1]}`},
		{"", "DELETE", "/conf-a,conf-b", ""},
	}
}

// unavailableSteps ask an index whose shard has no node.
func unavailableSteps() []step {
	return []step{
		{"", "DELETE", "/conf-d,conf-a?ignore_unavailable=true", ""},
		{"", "PUT", "/conf-d?wait_for_active_shards=0", `{"settings":{"number_of_replicas":0,"index.routing.allocation.require._name":"nope"}}`},
		{"", "PUT", "/conf-a", `{"settings":{"number_of_replicas":0}}`},
		{"", "GET", "/_cluster/health/conf-a?wait_for_status=green", ""},
		{"gone-doc", "PUT", "/conf-d/_doc/1?timeout=100ms", `{"a":1}`},
		{"gone-bulk", "POST", "/conf-d/_bulk?timeout=100ms", lines(`{"index":{"_id":"1"}}`, `{"a":1}`, `{"delete":{"_id":"2"}}`)},
		{"gone-bulk-one", "POST", "/conf-d/_bulk?timeout=2s", lines(`{"delete":{"_id":"2"}}`)},
		{"gone-get", "GET", "/conf-d/_doc/1", ""},
		{"gone-mget", "POST", "/conf-d/_mget", `{"ids":["1"]}`},
		{"gone-search", "POST", "/conf-d/_search", `{}`},
		{"gone-count", "POST", "/conf-d/_count", ""},
		{"gone-search-some", "POST", "/conf-d,conf-a/_search", `{"size":0}`},
		{"gone-search-strict", "POST", "/conf-d,conf-a/_search?allow_partial_search_results=false", `{"size":0}`},
		{"gone-search-zone", "POST", "/conf-d/_search?preference=_only_nodes:zone:a", `{}`},
		{"gone-refresh", "POST", "/conf-d/_refresh", ""},
		{"gone-stats", "GET", "/conf-d/_stats", ""},
		{"gone-cat", "GET", "/_cat/indices/conf-d?format=json&bytes=b", ""},
		{"", "DELETE", "/conf-d,conf-a", ""},
	}
}
