package elasticsim

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

func clusterState(r *request) answer {
	c := r.cluster
	if !r.flag("local") && !c.await(r, r.timeout("master_timeout", 30*time.Second), func() bool { return c.master != nil }) {
		return masterNotDiscovered()
	}
	indices, f := r.indices(r.path["names"])
	if f != nil {
		return f.answer()
	}
	metrics := r.path["metrics"]
	if metrics == "" || metrics == "_all" {
		metrics = "version,master_node,blocks,nodes,metadata,routing_table,routing_nodes"
	}
	return answer{value: append(object{{"cluster_name", c.opt.Name}, {"cluster_uuid", c.uuid}}, c.state(r, metrics, indices)...)}
}

// state builds the parts of the cluster state asked for. Everything that grows with
// the number of shards is lazy.
func (c *Cluster) state(r *request, metrics string, indices []*index) object {
	want := strings.Split(metrics, ",")
	has := func(m string) bool { return slices.Contains(want, m) }
	var out object
	if has("version") {
		out = append(out, member{"version", c.version}, member{"state_uuid", strconv.FormatUint(c.stateID, 36)})
	}
	if has("master_node") {
		var m any
		if c.master != nil {
			m = c.master.id
		}
		out = append(out, member{"master_node", m})
	}
	if has("blocks") {
		out = append(out, member{"blocks", lazy(func() any { return c.blocks(c.sorted) })})
	}
	if has("nodes") {
		out = append(out, member{"nodes", c.stateNodes()})
	}
	if has("metadata") {
		out = append(out, member{"metadata", c.metadata(r, indices)})
	}
	if has("routing_table") {
		out = append(out, member{"routing_table", object{{"indices", lazy(func() any { return routingTable(indices) })}}})
	}
	if has("routing_nodes") {
		nodes := object{}
		for _, n := range c.nodes {
			if n.alive && n.data() {
				nodes = append(nodes, member{n.id, lazy(func() any { return routingNode(n) })})
			}
		}
		out = append(out, member{"routing_nodes", object{
			{"unassigned", lazy(func() any { return c.unassignedRouting() })}, {"nodes", nodes}}})
	}
	return out
}

// blocks are those that settings put on: the whole cluster read-only, and indices on
// a disk over the flood stage.
func (c *Cluster) blocks(indices []*index) object {
	out := object{}
	if c.get(readOnly) == "true" {
		out = append(out, member{"global", object{{"6", object{
			{"description", "cluster read-only (api)"}, {"retryable", false}, {"levels", list{"write", "metadata_write"}}}}}})
	}
	blocked := object{}
	for _, ix := range indices {
		own := object{}
		for _, name := range []string{"read_only", "read", "write", "metadata"} {
			if ix.settings["index.blocks."+name].text == "true" {
				id, description, _ := strings.Cut(indexBlocks[name], "/")
				own = append(own, member{id, object{{"description", description}, {"retryable", false}, {"levels", blockLevels[name]}}})
			}
		}
		if ix.settings["index.blocks.read_only_allow_delete"].text == "true" {
			own = append(own, member{"12", object{
				{"description", "disk usage exceeded flood-stage watermark, index has read-only-allow-delete block; for more information, see https://www.elastic.co/guide/en/elasticsearch/reference/8.19/fix-watermark-errors.html"},
				{"retryable", false}, {"levels", list{"write"}}}})
		}
		if len(own) > 0 {
			blocked = append(blocked, member{ix.name, own})
		}
	}
	if len(blocked) > 0 {
		out = append(out, member{"indices", blocked})
	}
	return out
}

var blockLevels = map[string]list{"read_only": {"write", "metadata_write"}, "read": {"read"}, "write": {"write"}, "metadata": {"metadata_write", "metadata_read"}}

// state is the mapping as the cluster state writes it.
func (m *mapping) state() object {
	if o := m.render(); len(o) > 0 {
		return object{{"_doc", o}}
	}
	return object{}
}

func (c *Cluster) legacyState() object {
	out := object{}
	for _, t := range chosen("", c.legacy) {
		m := object{}
		if t.mapping != nil {
			m = t.mapping.state()
		}
		out = append(out, member{t.name, object{{"index_patterns", stringList(t.patterns)}, {"order", t.rank}, {"settings", t.settings.nested()}, {"mappings", m}, {"aliases", renderAliases(t.aliases)}}})
	}
	return out
}

func (c *Cluster) stateNodes() object {
	out := object{}
	for _, n := range c.nodes {
		if n.alive {
			out = append(out, member{n.id, object{
				{"name", n.Name}, {"ephemeral_id", n.ephemeral}, {"transport_address", n.transport()}, {"external_id", n.Name},
				{"attributes", n.attrs()}, {"roles", n.roles()}, {"version", n.Version},
				{"min_index_version", 7000099}, {"max_index_version", 8537000},
			}})
		}
	}
	return out
}

func (c *Cluster) metadata(r *request, indices []*index) object {
	ids := func(nodes []*node) list {
		var l []string
		for _, n := range nodes {
			l = append(l, n.id)
		}
		slices.Sort(l)
		return stringList(l)
	}
	excluded := list{}
	for _, x := range c.exclusions {
		excluded = append(excluded, object{{"node_id", x.id}, {"node_name", x.name}})
	}
	return object{
		{"cluster_uuid", c.uuid}, {"cluster_uuid_committed", true},
		{"cluster_coordination", object{
			{"term", c.term}, {"last_committed_config", ids(c.config)}, {"last_accepted_config", ids(c.config)},
			{"voting_config_exclusions", excluded}}},
		{"templates", lazy(func() any { return c.legacyState() })},
		{"indices", lazy(func() any {
			out := object{}
			for _, ix := range indices {
				out = append(out, member{ix.name, lazy(func() any { return ix.metadata(r.flag("flat_settings")) })})
			}
			return out
		})},
	}
}

// metadata is an index in the cluster state.
func (ix *index) metadata(flat bool) object {
	terms, inSync := object{}, object{}
	for number, s := range ix.stores {
		terms = append(terms, member{strconv.Itoa(number), s.term})
		ids := list{}
		for _, copy := range ix.groups[number] {
			if copy.active() {
				ids = append(ids, copy.allocationID(0))
			}
		}
		inSync = append(inSync, member{strconv.Itoa(number), ids})
	}
	unknown := object{{"unknown", true}}
	return object{
		{"version", 4}, {"transport_version", "8841085"}, {"mapping_version", 1}, {"settings_version", 1}, {"aliases_version", 1},
		{"routing_num_shards", ix.routingShards()}, {"state", "open"}, {"settings", ix.settings.render(flat)},
		{"mappings", ix.mapping.state()}, {"aliases", stringList(sortedKeys(ix.aliases))},
		{"primary_terms", terms}, {"in_sync_allocations", inSync}, {"rollover_info", object{}}, {"mappings_updated_version", 8537000},
		{"system", false}, {"timestamp_range", unknown}, {"event_ingested_range", unknown}}
}

// routingEntry is a copy as the routing tables show it, seen on node n; nil for an
// unassigned one.
func routingEntry(s *shard, n *node) object {
	st := s.state
	var at, other any
	if n != nil {
		st, at = s.at(n), n.id
		switch {
		case s.target == n && s.node != n:
			other = s.node.id
		case s.target != nil:
			other = s.target.id
		}
	}
	o := object{{"state", st.String()}, {"primary", s.primary}, {"node", at}, {"relocating_node", other},
		{"shard", s.number}, {"index", s.index.name}}
	if st == initializing || st == unassigned {
		source := object{{"type", "PEER"}}
		if s.primary && s.target == nil {
			source = object{{"type", "EXISTING_STORE"}, {"bootstrap_new_history_uuid", false}}
		}
		o = append(o, member{"recovery_source", source})
	}
	if st == unassigned || st == initializing && s.target == nil {
		info := object{{"reason", s.reason}, {"at", stamp(s.since)}, {"delayed", !s.delayed.IsZero()}}
		if s.last != nil {
			info = append(info, member{"last_node", s.last.id})
		}
		if s.details != "" {
			info = append(info, member{"details", s.details})
		}
		o = append(o, member{"unassigned_info", append(info, member{"allocation_status", s.attempt()})})
	}
	if n != nil {
		own, other := uint64(0), uint64(1) // of the leaving copy and the arriving one
		if n == s.target {
			own, other = other, own
		}
		id := object{{"id", s.allocationID(own)}}
		if s.target != nil {
			id = append(id, member{"relocation_id", s.allocationID(other)})
		}
		o = append(o, member{"allocation_id", id})
	}
	return append(o, member{"relocation_failure_info", object{{"failed_attempts", 0}}})
}

// lost reports that no live node holds the primary's data.
func (s *shard) lost() bool {
	return s.primary && s.state == unassigned && (s.last == nil || !s.last.alive)
}

// attempt is the last allocation status of an unassigned copy.
func (s *shard) attempt() string {
	if s.lost() {
		return "no_valid_shard_copy"
	}
	return "no_attempt"
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func routingNode(n *node) list {
	out := list{}
	for _, s := range n.ordered() {
		out = append(out, routingEntry(s, n))
	}
	return out
}

func (c *Cluster) unassignedRouting() list {
	out := list{}
	for _, s := range c.unassigned {
		out = append(out, routingEntry(s, nil))
	}
	return out
}

func routingTable(indices []*index) object {
	out := object{}
	for _, ix := range indices {
		shards := object{}
		for number, group := range ix.groups {
			entries := list{}
			for _, s := range group {
				entries = append(entries, routingEntry(s, s.node))
				if s.target != nil {
					entries = append(entries, routingEntry(s, s.target))
				}
			}
			shards = append(shards, member{strconv.Itoa(number), entries})
		}
		out = append(out, member{ix.name, object{{"shards", shards}}})
	}
	return out
}
