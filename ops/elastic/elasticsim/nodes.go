package elasticsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

var allRoles = []string{"data", "data_cold", "data_content", "data_frozen", "data_hot", "data_warm", "ingest", "master", "ml", "remote_cluster_client", "transform"}

var roleLetters = map[string]string{
	"data": "d", "data_cold": "c", "data_content": "s", "data_frozen": "f", "data_hot": "h", "data_warm": "w",
	"ingest": "i", "master": "m", "ml": "l", "remote_cluster_client": "r", "transform": "t", "voting_only": "v",
}

// letters is the node's roles as _cat/nodes writes them.
func (n *node) letters() string {
	var l []string
	for _, r := range n.Roles {
		l = append(l, roleLetters[r])
	}
	slices.Sort(l)
	if len(l) == 0 {
		return "-"
	}
	return strings.Join(l, "")
}

// resolve finds live nodes by a list of ids, names, addresses, attr:value, role:true,
// _all, _local, _master and patterns. None is no error.
func (c *Cluster) resolve(expression string, local *node) []*node {
	if expression == "" {
		expression = "_all"
	}
	chosen := map[*node]bool{}
	for part := range strings.SplitSeq(expression, ",") {
		attr, value, pair := strings.Cut(part, ":")
		for _, n := range c.nodes {
			var hit bool
			switch {
			case part == "_all":
				hit = true
			case part == "_local":
				hit = n == local
			case part == "_master":
				hit = n == c.master
			case pair && (value == "true" || value == "false") && roleLetters[attr] != "":
				if n.has(attr) || attr == "data" && n.data() {
					chosen[n] = value == "true"
				}
			case pair:
				v, ok := n.attributes[attr]
				hit = ok && wildcard(value, v)
			default:
				hit = n.id == part || wildcard(part, n.Name) || wildcard(part, n.IP) || part == n.transport()
			}
			if hit {
				chosen[n] = true
			}
		}
	}
	var out []*node
	for _, n := range c.nodes {
		if chosen[n] && n.alive {
			out = append(out, n)
		}
	}
	return out
}

func (n *node) attrs() object { return stringObject(n.attributes) }
func (n *node) roles() list   { return stringList(slices.Sorted(slices.Values(n.Roles))) }

func nodesEnvelope(c *Cluster, nodes object) object {
	return object{
		{"_nodes", object{{"total", len(nodes)}, {"successful", len(nodes)}, {"failed", 0}}},
		{"cluster_name", c.opt.Name}, {"nodes", nodes},
	}
}

var infoMetrics = []string{"settings", "os", "process", "jvm", "thread_pool", "transport", "http", "remote_cluster_server", "plugins", "ingest", "aggregations", "indices"}

func nodesInfo(r *request) answer {
	c := r.cluster
	which, metrics := r.path["nodes"], r.path["metrics"]
	if metrics == "" && which != "" && isMetrics(which) {
		which, metrics = "", which
	}
	all := metrics == "" || metrics == "_all"
	out := object{}
	for _, n := range c.resolve(which, r.local) {
		o := object{
			{"name", n.Name}, {"transport_address", n.transport()}, {"host", n.IP}, {"ip", n.IP}, {"version", n.Version},
			{"transport_version", 8841085}, {"index_version", 8537000},
			{"component_versions", object{{"transform_config_version", 10000099}, {"api_key_version", 8150099}, {"ml_config_version", 12000099}}},
			{"build_flavor", "default"}, {"build_type", "zip"}, {"build_hash", buildHash},
			{"roles", n.roles()}, {"attributes", n.attrs()},
		}
		for _, m := range infoMetrics {
			if all || slices.Contains(strings.Split(metrics, ","), m) {
				o = append(o, member{m, c.infoSection(n, m)})
			}
		}
		out = append(out, member{n.id, o})
	}
	return answer{value: nodesEnvelope(c, out)}
}

func isMetrics(s string) bool {
	for part := range strings.SplitSeq(s, ",") {
		if !slices.Contains(infoMetrics, part) {
			return false
		}
	}
	return true
}

func (c *Cluster) infoSection(n *node, metric string) object {
	switch metric {
	case "settings":
		attr := object{}
		for _, k := range sortedKeys(n.attributes) {
			attr = append(attr, member{k, n.attributes[k]})
		}
		return object{{"cluster", object{{"name", c.opt.Name}}}, {"node", object{{"name", n.Name}, {"attr", attr}}}}
	case "os":
		return object{{"refresh_interval_in_millis", 1000}, {"name", "Linux"}, {"arch", "amd64"}, {"available_processors", 2}, {"allocated_processors", 2}}
	case "process":
		return object{{"refresh_interval_in_millis", 1000}, {"id", 100 + n.number}, {"mlockall", false}}
	case "jvm":
		return object{{"pid", 100 + n.number}, {"version", "17.0.15"}, {"start_time_in_millis", n.started.UnixMilli()},
			{"mem", object{{"heap_init_in_bytes", 402653184}, {"heap_max_in_bytes", 402653184}}}}
	case "transport":
		return object{{"bound_address", list{n.transport()}}, {"publish_address", n.transport()}, {"profiles", object{}}}
	case "http":
		return object{{"bound_address", list{n.http()}}, {"publish_address", n.http()}, {"max_content_length_in_bytes", 104857600}}
	}
	return object{}
}

var statsMetrics = []string{"indices", "os", "process", "jvm", "thread_pool", "fs", "transport", "http", "breaker", "script", "discovery", "ingest", "adaptive_selection", "script_cache", "indexing_pressure", "repositories", "allocations"}

func nodesStats(r *request) answer {
	c := r.cluster
	metrics := strings.Split(r.path["metrics"], ",")
	if r.path["metrics"] == "" || r.path["metrics"] == "_all" {
		metrics = statsMetrics
	}
	for _, m := range metrics {
		if !slices.Contains(statsMetrics, m) {
			return illegal("request [%s] contains unrecognized metric: [%s]", r.URL.Path, m)
		}
	}
	parts := r.path["parts"]
	if parts == "_all" {
		parts = ""
	}
	out := object{}
	for _, n := range c.resolve(r.path["nodes"], r.local) {
		o := object{
			{"timestamp", r.now.UnixMilli()}, {"name", n.Name}, {"transport_address", n.transport()}, {"host", n.IP}, {"ip", n.transport()},
			{"roles", n.roles()}, {"attributes", n.attrs()},
		}
		for _, m := range statsMetrics {
			if slices.Contains(metrics, m) {
				o = append(o, member{m, lazy(func() any { return c.statsSection(r, n, m, parts) })})
			}
		}
		out = append(out, member{n.id, o})
	}
	return answer{value: nodesEnvelope(c, out)}
}

func (c *Cluster) statsSection(r *request, n *node, metric, parts string) object {
	switch metric {
	case "indices":
		return c.indicesStats(r, n, parts)
	case "fs":
		return c.fsStats(r, n)
	case "jvm":
		return object{{"timestamp", r.now.UnixMilli()}, {"uptime_in_millis", r.now.Sub(n.started).Milliseconds()},
			{"mem", object{{"heap_used_in_bytes", 161061273}, {"heap_used_percent", 40}, {"heap_max_in_bytes", 402653184}}}}
	case "os":
		return object{{"timestamp", r.now.UnixMilli()}, {"cpu", object{{"percent", c.load(n)}}}}
	case "thread_pool":
		return object{{"search", object{{"threads", 4}, {"queue", 0}, {"active", 0}, {"rejected", 0}, {"largest", 4}, {"completed", 0}}}, {"write", n.writePool()}}
	}
	return object{}
}

// load is the CPU percentage that was set, or one made up, steady enough to be looked at.
func (c *Cluster) load(n *node) int {
	if cpu := n.busy().CPU; cpu >= 0 {
		return cpu
	}
	return 5 + 10*(n.in+n.out) + n.number%7
}

func (c *Cluster) indicesStats(r *request, n *node, parts string) object {
	want := func(part string) bool { return parts == "" || slices.Contains(strings.Split(parts, ","), part) }
	var f figures
	for _, s := range n.shards {
		f.add(s)
	}
	f.copies, f.bytes, f.writes = int64(n.held()), n.bytes, n.written
	out := f.render(want, r.query.Get("groups"))
	if r.query.Get("level") == "shards" && n.held() > 0 {
		out = append(out, member{"shards", lazy(func() any { return shardStats(n, want, r.query.Get("groups")) })})
	}
	return out
}

// shardStats lists the node's copies by index, a JSON object for each, with the parts
// wanted.
func shardStats(n *node, want func(part string) bool, groups string) object {
	out := object{}
	for _, s := range n.ordered() {
		entry := object{{strconv.Itoa(s.number), lazy(func() any { return copyStats(s, n, want, groups) })}}
		if i := len(out) - 1; i >= 0 && out[i].name == s.index.name {
			out[i].value = append(out[i].value.(list), entry)
			continue
		}
		out = append(out, member{s.index.name, list{entry}})
	}
	return out
}

func (c *Cluster) fsStats(r *request, n *node) object {
	return object{
		{"timestamp", r.now.UnixMilli()},
		{"total", object{{"total_in_bytes", n.DiskBytes}, {"free_in_bytes", n.free()}, {"available_in_bytes", n.free()}}},
		{"data", list{object{
			{"path", "/data/" + n.Name}, {"mount", "/data (/dev/vdb)"}, {"type", "ext4"},
			{"total_in_bytes", n.DiskBytes}, {"free_in_bytes", n.free()}, {"available_in_bytes", n.free()},
			{"low_watermark_free_space_in_bytes", c.diskThreshold(diskLow, n)},
			{"high_watermark_free_space_in_bytes", c.diskThreshold(diskHigh, n)},
			{"flood_stage_free_space_in_bytes", c.diskThreshold(diskFlood, n)},
		}}},
		{"io_stats", object{}},
	}
}

func broadcast(r *request) answer {
	indices, f := r.indices(r.path["index"])
	if f != nil {
		return f.answer()
	}
	n := r.cluster.count(append([]*index{}, indices...))
	return answer{status: http.StatusOK, value: object{{"_shards", object{{"total", n.total()}, {"successful", n.active()}, {"failed", 0}}}}}
}
