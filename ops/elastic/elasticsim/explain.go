package elasticsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const (
	explainDocs = "See https://www.elastic.co/guide/en/elasticsearch/reference/8.19/cluster-allocation-explain.html for more information."

	moveYes      = "This shard may not remain on its current node. Elasticsearch will move it to another node."
	moveThrottle = "This shard may not remain on its current node. Elasticsearch is currently busy with other activities and will move this shard to another node when those activities finish. Please wait."
	moveNo       = "This shard may not remain on its current node, but Elasticsearch isn't allowed to move it to another node. Choose a node to which you expect this shard to be allocated, find this node in the node-by-node explanation, and address the reasons which prevent Elasticsearch from allocating this shard there."
	balanced     = "This shard is in a well-balanced location and satisfies all allocation rules so it will remain on this node. Elasticsearch cannot improve the cluster balance by moving it to another node. If you expect this shard to be rebalanced to another node, find the other node in the node-by-node explanation and address the reasons which prevent Elasticsearch from rebalancing this shard there."
	rebalanceNo  = "Elasticsearch is not allowed to allocate or rebalance this shard to another node. If you expect this shard to be rebalanced to another node, find this node in the node-by-node explanation and address the reasons which prevent Elasticsearch from rebalancing this shard there."
	noCopy       = "Elasticsearch can't allocate this shard because there are no copies of its data in the cluster. Elasticsearch will allocate this shard when a node holding a good copy of its data joins the cluster. If no such node is available, restore this index from a recent snapshot."
	allocateNo   = "Elasticsearch isn't allowed to allocate this shard to any of the nodes in the cluster. Choose a node to which you expect this shard to be allocated, find this node in the node-by-node explanation, and address the reasons which prevent Elasticsearch from allocating this shard there."
	allocateYes  = "Elasticsearch can allocate the shard."
	allocateWait = "Elasticsearch is currently busy with other activities. It expects to be able to allocate this shard when those activities finish. Please wait."
	randomNote   = "No shard was specified in the explain API request, so this response explains a randomly chosen unassigned shard. There may be other unassigned shards in this cluster which cannot be assigned for different reasons. It may not be possible to assign this shard until one of the other shards is assigned correctly. To explain the allocation of other shards (whether assigned or unassigned) you must specify the target shard in the request to this API. " + explainDocs
	nothingToDo  = "No shard was specified in the request which means the response should explain a randomly-chosen unassigned shard, but there are no unassigned shards in this cluster. To explain the allocation of an assigned shard you must specify the target shard in the request. " + explainDocs
)

type explainBody struct {
	Index       *string `json:"index"`
	Shard       *int    `json:"shard"`
	Primary     *bool   `json:"primary"`
	CurrentNode string  `json:"current_node"`
}

func explain(r *request) answer {
	c := r.cluster
	var in explainBody
	if len(r.body) > 0 {
		if f := r.decode(&in); f != nil {
			return f.answer()
		}
	}
	var out object
	var s *shard
	switch {
	case in.Index == nil && in.Shard == nil && in.Primary == nil:
		if len(c.unassigned) == 0 {
			return illegal("%s", nothingToDo)
		}
		s = c.unassigned[0]
		out = object{{"note", randomNote}}
	default:
		var a *answer
		if s, a = c.locate(in); a != nil {
			return *a
		}
	}
	e := explainer{r: r, c: c, s: s, all: r.flag("include_yes_decisions")}
	return answer{value: append(out, e.explain()...)}
}

// locate finds the copy a request means.
func (c *Cluster) locate(in explainBody) (*shard, *answer) {
	var missing string
	for _, want := range []struct {
		is   bool
		name string
	}{{in.Index != nil, "index"}, {in.Shard != nil, "shard"}, {in.Primary != nil, "primary"}} {
		if !want.is {
			missing += fmt.Sprintf("%d: %s must be specified;", strings.Count(missing, ";")+1, want.name)
		}
	}
	if missing != "" {
		a := invalid("%s", missing)
		return nil, &a
	}
	ix := c.indices[*in.Index]
	if ix == nil {
		a := (&failure{status: http.StatusNotFound, kind: "index_not_found_exception", reason: "no such index [" + *in.Index + "]", more: object{{"index_uuid", "_na_"}, {"index", *in.Index}}}).answer()
		return nil, &a
	}
	if *in.Shard < 0 || *in.Shard >= len(ix.groups) {
		a := (&failure{status: http.StatusNotFound, kind: "shard_not_found_exception", reason: "no such shard", more: object{{"index_uuid", ix.uuid}, {"shard", fmt.Sprint(*in.Shard)}, {"index", ix.name}}}).answer()
		return nil, &a
	}
	var at *node
	if in.CurrentNode != "" {
		found := c.resolve(in.CurrentNode, nil)
		if len(found) != 1 {
			a := illegal("failed to resolve [%s], no matching nodes", in.CurrentNode)
			return nil, &a
		}
		at = found[0]
	}
	var best *shard
	for _, s := range ix.groups[*in.Shard] {
		if s.primary != *in.Primary || at != nil && s.node != at {
			continue
		}
		// Of several replicas an unassigned one is preferred.
		if best == nil || s.state == unassigned {
			best = s
		}
	}
	switch kind := map[bool]string{true: "primary", false: "a replica"}[*in.Primary]; {
	case best != nil:
		return best, nil
	case at != nil:
		a := illegal("unable to find %s shard assigned to node [%s]", kind, in.CurrentNode)
		return nil, &a
	default:
		a := illegal("unable to find a %s shard to explain", map[bool]string{true: "primary", false: "replica"}[*in.Primary])
		return nil, &a
	}
}

// explainer writes the answer about one copy.
type explainer struct {
	r   *request
	c   *Cluster
	s   *shard
	all bool // yes decisions too
}

func (e *explainer) explain() object {
	s := e.s
	out := object{{"index", s.index.name}, {"shard", s.number}, {"primary", s.primary}, {"current_state", strings.ToLower(s.state.String())}}
	if s.state == unassigned || s.state == initializing {
		info := object{{"reason", s.reason}, {"at", stamp(s.since)}}
		if s.details != "" {
			info = append(info, member{"details", s.details})
		}
		out = append(out, member{"unassigned_info", append(info, member{"last_allocation_status", s.attempt()})})
	}
	if s.node != nil {
		at := nodeObject(s.node)
		if s.state == started && e.remain() {
			at = append(at, member{"weight_ranking", 1 + s.node.number%3})
		}
		out = append(out, member{"current_node", at})
	}
	if e.r.flag("include_disk_info") {
		out = append(out, member{"cluster_info", e.c.clusterInfo()})
	}
	switch s.state {
	case unassigned:
		return append(out, e.unassigned()...)
	case initializing:
		return append(out, member{"explanation", "the shard is in the process of initializing on node [" + s.node.Name + "], wait until initialization has completed"})
	case relocating:
		return append(out, member{"explanation", "the shard is in the process of relocating from node [" + s.node.Name + "] to node [" + s.target.Name + "], wait until relocation has completed"})
	}
	if e.remain() {
		return append(out, e.stay()...)
	}
	return append(out, e.leave()...)
}

func nodeObject(n *node) object {
	return object{{"id", n.id}, {"name", n.Name}, {"transport_address", n.transport()}, {"attributes", n.attrs()}, {"roles", n.roles()}}
}

// remain reports whether the copy may stay where it is.
func (e *explainer) remain() bool {
	return e.s.node.refused == "" && !e.c.mustLeave(e.s)
}

// stay is the answer about a copy that may remain.
func (e *explainer) stay() object {
	out := object{{"can_remain_on_current_node", "yes"}}
	text := balanced
	if mode := e.c.get(rebalanceEnable); mode == "none" {
		text = rebalanceNo
		out = append(out, member{"can_rebalance_cluster", "no"}, member{"can_rebalance_cluster_decisions", list{object{
			{"decider", "enable"}, {"decision", "NO"},
			{"explanation", "no rebalancing is allowed due to cluster setting [" + rebalanceEnable + "=none]"}}}})
	} else {
		out = append(out, member{"can_rebalance_cluster", "yes"})
	}
	nodes, _ := e.nodes(func(v verdict) string {
		return map[verdict]string{yes: "worse_balance", throttle: "throttled", no: "no"}[v]
	})
	return append(out, member{"can_rebalance_to_other_node", "no"}, member{"rebalance_explanation", text}, member{"node_allocation_decisions", nodes})
}

// leave is the answer about a copy that may not remain.
func (e *explainer) leave() object {
	decisions := list{}
	for i := range deciders {
		if deciders[i].remain == nil {
			continue
		}
		v, text := deciders[i].remain(e.c, e.s, true)
		if v != yes || e.all {
			decisions = append(decisions, decision(deciders[i].name, v, text))
		}
	}
	out := object{{"can_remain_on_current_node", "no"}, {"can_remain_decisions", decisions}}
	nodes, best := e.nodes(decisionName)
	can, text := "no", moveNo
	switch best {
	case yes:
		can, text = "yes", moveYes
		if t := e.c.bestTarget(e.s); t != nil {
			out = append(out, member{"can_move_to_other_node", can}, member{"target_node", nodeObject(t)[:4]})
			return append(out, member{"move_explanation", text}, member{"node_allocation_decisions", nodes})
		}
	case throttle:
		text = moveThrottle
	}
	return append(out, member{"can_move_to_other_node", can}, member{"move_explanation", text}, member{"node_allocation_decisions", nodes})
}

func decisionName(v verdict) string {
	return map[verdict]string{yes: "yes", throttle: "throttled", no: "no"}[v]
}

// unassigned is the answer about a copy without a node.
func (e *explainer) unassigned() object {
	s := e.s
	nodes, best := e.nodes(decisionName)
	switch {
	case s.lost():
		for i := range nodes {
			n := nodes[i].(object)[:4:4]
			nodes[i] = append(n, member{"roles", nodes[i].(object)[4].value}, member{"node_decision", "no"}, member{"store", object{{"found", false}}})
		}
		return object{{"can_allocate", "no_valid_shard_copy"}, {"allocate_explanation", noCopy}, {"node_allocation_decisions", nodes}}
	case !s.delayed.IsZero():
		left := s.delayed.Sub(e.r.now)
		return object{{"can_allocate", "allocation_delayed"},
			{"allocate_explanation", "The node containing this shard copy recently left the cluster. Elasticsearch is waiting for it to return. If the node does not return within [" + formatTook(left) + "] then Elasticsearch will allocate this shard to another node. Please wait."},
			{"configured_delay_in_millis", s.index.delay().Milliseconds()}, {"remaining_delay_in_millis", left.Milliseconds()},
			{"node_allocation_decisions", nodes}}
	}
	can, text := "no", allocateNo
	switch best {
	case yes:
		can, text = "yes", allocateYes
	case throttle:
		can, text = "throttled", allocateWait
	}
	return object{{"can_allocate", can}, {"allocate_explanation", text}, {"node_allocation_decisions", nodes}}
}

// nodes asks every other node's deciders; best is the mildest verdict. The nodes
// come in the server's order: takers first.
func (e *explainer) nodes(name func(verdict) string) (list, verdict) {
	type row struct {
		v verdict
		o object
	}
	var rows []row
	best := no
	for _, n := range e.c.nodes {
		if !n.alive || !n.data() || n == e.s.node {
			continue
		}
		worst, decisions := yes, list{}
		for i := range deciders {
			v, text := deciders[i].target(e.c, e.s, n, true)
			worst = max(worst, v)
			if v != yes || e.all {
				decisions = append(decisions, decision(deciders[i].name, v, text))
			}
		}
		best = min(best, worst)
		o := object{{"node_id", n.id}, {"node_name", n.Name}, {"transport_address", n.transport()}, {"node_attributes", n.attrs()},
			{"roles", n.roles()}, {"node_decision", name(worst)}}
		if s := e.s; s.node != nil || s.delayed.IsZero() && !s.lost() {
			o = append(o, member{"weight_ranking", 0})
		}
		if len(decisions) > 0 {
			o = append(o, member{"deciders", decisions})
		}
		rows = append(rows, row{worst, o})
	}
	slices.SortStableFunc(rows, func(a, b row) int { return int(a.v) - int(b.v) })
	out := list{}
	for i, r := range rows {
		for j := range r.o {
			if r.o[j].name == "weight_ranking" {
				r.o[j].value = i + 1
			}
		}
		out = append(out, r.o)
	}
	return out, best
}

func decision(name string, v verdict, text string) object {
	return object{{"decider", name}, {"decision", v.String()}, {"explanation", text}}
}

// clusterInfo is include_disk_info's part. It grows with all shards of the cluster,
// as the server's does; ask with a filter_path.
func (c *Cluster) clusterInfo() object {
	nodes := object{}
	for _, n := range c.nodes {
		if !n.alive || !n.data() {
			continue
		}
		usage := object{{"path", "/data/" + n.Name}, {"total_bytes", n.DiskBytes}, {"used_bytes", n.used()}, {"free_bytes", n.free()},
			{"free_disk_percent", percentOf(n.free(), n.DiskBytes)}, {"used_disk_percent", percentOf(n.used(), n.DiskBytes)}}
		nodes = append(nodes, member{n.id, object{{"node_name", n.Name}, {"least_available", usage}, {"most_available", usage}}})
	}
	sizes := func(withKind bool) lazy {
		return func() any {
			out := object{}
			for _, ix := range c.sorted {
				for number, group := range ix.groups {
					key := fmt.Sprintf("[%s][%d]", ix.name, number)
					if !withKind {
						out = append(out, member{key + "_bytes", ix.bytes[number]})
						continue
					}
					for _, s := range group[:min(2, len(group))] {
						out = append(out, member{key + "[" + s.kind() + "]_bytes", ix.bytes[number]})
					}
				}
			}
			return out
		}
	}
	return object{{"nodes", nodes}, {"shard_sizes", sizes(true)}, {"shard_data_set_sizes", sizes(false)},
		{"shard_paths", object{}}, {"reserved_sizes", list{}}}
}

func percentOf(part, whole int64) decimal {
	return decimal(float64(part*1000/whole) / 10)
}
