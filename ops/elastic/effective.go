package elastic

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
)

// explanation is the answer of _cluster/allocation/explain about one shard copy.
type explanation struct {
	Index   string `json:"index"`
	Shard   int    `json:"shard"`
	Primary bool   `json:"primary"`
	State   string `json:"current_state"` // started, unassigned, initializing, relocating
	Current struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"current_node"`
	CanRemain string         `json:"can_remain_on_current_node"`
	Remain    []decision     `json:"can_remain_decisions"`
	CanMove   string         `json:"can_move_to_other_node"`
	Nodes     []nodeDecision `json:"node_allocation_decisions"`
}

// nodeDecision is whether the shard could go to a node.
type nodeDecision struct {
	ID       string     `json:"node_id"`
	Name     string     `json:"node_name"`
	Decision string     `json:"node_decision"` // yes, worse_balance, throttled, awaiting_info, no
	Deciders []decision `json:"deciders"`      // those that did not say yes
}

// decision is what one rule of the allocator says, and why.
type decision struct {
	Decider     string `json:"decider"`
	Decision    string `json:"decision"` // NO, THROTTLE
	Explanation string `json:"explanation"`
}

// decided reports whether the answer has the deciders' verdict for each node. There is
// none while the shard is on its way, nor for a lost primary: there Elasticsearch looks
// for a copy on disk and leaves the deciders out, which reads as if no filter was set.
func (e explanation) decided() bool { return e.State == "started" }

// explain asks the elected master about one shard copy; with on empty about the primary
// or some replica, else about the copy on the node with this id.
func (c Cluster) explain(ctx context.Context, index string, shard int, primary bool, on string) (explanation, error) {
	body := map[string]any{"index": index, "shard": shard, "primary": primary}
	if on != "" {
		body["current_node"] = on
	}
	var e explanation
	err := c.Read(ctx, "POST", "/_cluster/allocation/explain", Query("master_timeout", "5s", "filter_path", fields(
		"index", "shard", "primary", "current_state", "current_node.id", "current_node.name",
		"can_remain_on_current_node", "can_remain_decisions", "can_move_to_other_node",
		"node_allocation_decisions.node_id", "node_allocation_decisions.node_name",
		"node_allocation_decisions.node_decision", "node_allocation_decisions.deciders")), body, &e)
	return e, err
}

// effect is what an explanation gives away about the filters in effect.
type effect struct {
	// Spelled has the tokens of each key by family. A family is there only if it turned
	// some node away, because only then does the decider spell it out.
	Spelled map[string]map[string][]string
	// Away names the family by which each node id was turned away; empty text: none.
	Away map[string]string
}

var clusterFilter = regexp.MustCompile(`cluster setting \[cluster\.routing\.allocation\.(exclude|include|require)\] filters \[(.*)\]$`)
var filterPart = regexp.MustCompile(`([^,"]+):"([^"]*)"`)

// effect reads the filter decider of an explanation that is decided. Elasticsearch asks
// require, include, exclude in this order and the first no hides the others.
func (e explanation) effect() effect {
	f := effect{map[string]map[string][]string{}, map[string]string{}}
	look := func(node string, all []decision) {
		f.Away[node] = ""
		for _, d := range all {
			m := clusterFilter.FindStringSubmatch(d.Explanation)
			if d.Decider != "filter" || d.Decision != "NO" || m == nil {
				continue
			}
			family, keys := m[1], map[string][]string{}
			separator := " OR "
			if family == require {
				separator = " AND "
			}
			for _, part := range filterPart.FindAllStringSubmatch(m[2], -1) {
				keys[part[1]] = strings.Split(part[2], separator)
			}
			f.Away[node], f.Spelled[family] = family, keys
		}
	}
	if e.Current.ID != "" {
		look(e.Current.ID, e.Remain)
	}
	for _, n := range e.Nodes {
		look(n.ID, n.Deciders)
	}
	return f
}

// broken returns the keys of the family that the settings list but that are not in
// effect, sorted. Where the decider did not spell the family out, a node that should
// be turned away and is not gives the broken keys away.
func (f effect) broken(family string, t texts, nodes []Node) []string {
	var keys []string
	if spelled, ok := f.Spelled[family]; ok {
		for _, s := range t.live() {
			if !sameSet(Tokens(t[s]), spelled[s.Key]) {
				keys = append(keys, s.Key)
			}
		}
		return unique(keys)
	}
	for _, n := range nodes {
		if by, judged := f.Away[n.ID]; judged && by == "" && turnsAway(family, t, n) {
			if family == exclude {
				keys = append(keys, matching(family, t, n)...)
				continue
			}
			for _, s := range t.live() {
				keys = append(keys, s.Key)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// probe is a shard copy whose explanation is used to see the filters.
type probe struct {
	Index   string `json:"index"`
	Shard   int    `json:"shard"`
	Primary bool   `json:"primary"` // else one of its replicas
}

const maxProbes = 5

// effect explains the first probe that can be explained. The second result is false if
// none can: what is in effect is then unknown.
func (c Cluster) effect(ctx context.Context, probes []probe) (effect, bool, error) {
	for _, p := range probes {
		e, err := c.explain(ctx, p.Index, p.Shard, p.Primary, "")
		switch {
		case IsStatus(err, 404), IsStatus(err, 400): // index deleted, or no such shard any more
		case err != nil:
			return effect{}, false, err
		case e.decided():
			return e.effect(), true, nil
		}
	}
	return effect{}, false, nil
}

// maxLooks is how many other nodes are looked at for shards to explain.
const maxLooks = 3

// probes finds shards to explain: of the given nodes, or, when none stands still there,
// of the other data nodes, those that hold the fewest first. No shard at all gives none.
func (c Cluster) probes(ctx context.Context, ids []string, top Topology) ([]probe, error) {
	for _, id := range ids {
		copies, err := c.copiesOn(ctx, id)
		if err != nil {
			return nil, err
		}
		if p := probesOf(copies); len(p) > 0 {
			return p, nil
		}
	}
	use, err := c.Disks(ctx)
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Clone(top.Nodes), func(n Node) bool {
		return slices.Contains(ids, n.ID) || use[n.Name].Shards <= 0
	})
	slices.SortStableFunc(others, func(a, b Node) int { return cmp.Compare(use[a.Name].Shards, use[b.Name].Shards) })
	for _, n := range others[:min(len(others), maxLooks)] {
		copies, err := c.copiesOn(ctx, n.ID)
		if err != nil {
			return nil, err
		}
		if p := probesOf(copies); len(p) > 0 {
			return p, nil
		}
	}
	return nil, nil
}

// probesOf takes up to maxProbes started copies, of different indices if possible.
func probesOf(copies []CopyOn) []probe {
	var chosen []probe
	for _, s := range spread(copies, maxProbes) {
		chosen = append(chosen, probe{s.Index, s.Shard, s.Primary})
	}
	return chosen
}
