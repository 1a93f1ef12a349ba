package indices

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"twokey/ops"
	"twokey/ops/elastic"
)

// fit refuses indices whose copies have no home where they are to go.
func (w *zoneSurvey) fit() error {
	var unfit []string
	first := ""
	for _, x := range w.list {
		if why := w.misfit(x); why != "" {
			unfit = append(unfit, x.Name)
			first = cmp.Or(first, why)
		}
	}
	if len(unfit) == 0 {
		return nil
	}
	e := &ops.UserError{
		What: fmt.Sprintf("%s cannot move to %s: %s.", unfit[0], w.label(w.to), first),
		Next: fmt.Sprintf("Change that, or leave it out with ,-%s at the end of the pattern.", unfit[0]),
	}
	if len(unfit) > 1 {
		e.What += fmt.Sprintf(" Neither can %s.", brief(unfit[1:], 10))
		e.Next = "Change that, or leave them out, each with ,-NAME at the end of the pattern."
	}
	return e
}

// misfit says why an index cannot have all its copies where they are to go.
func (w *zoneSurvey) misfit(x listed) string {
	for _, block := range []string{"metadata", "read_only", "read_only_allow_delete"} {
		if x.Settings["index.blocks."+block] == "true" {
			return fmt.Sprintf("it has index.blocks.%s, so its settings cannot be changed", block)
		}
	}
	if v := x.Settings[filterPrefix+"enable"]; v == "none" || v == "new_primaries" {
		return fmt.Sprintf("its routing.allocation.enable is %s", v)
	}
	filters := x.after(w.goal(x)).filters()
	var homes []elastic.Node
	off := ""
	for _, n := range w.top.Nodes {
		if !n.Data() || !w.holds(n) {
			continue
		}
		if why := cmp.Or(filters.KeepsOff(n), w.alloc.KeepsOff(n)); why != "" {
			off = fmt.Sprintf("%s keeps shards off %s", why, n.Name)
			continue
		}
		homes = append(homes, n)
	}
	if len(homes) == 0 {
		return off
	}
	if v := x.Settings["index.auto_expand_replicas"]; v != "" && v != "false" {
		return "" // Elasticsearch makes as many copies as there are nodes that the filters allow
	}
	replicas, err := strconv.Atoi(x.Settings["index.number_of_replicas"])
	if err != nil {
		return "its number_of_replicas cannot be read"
	}
	copies := replicas + 1
	if copies > len(homes) {
		return fmt.Sprintf("it has %d copies of each shard, and there is room for %d, on %s", copies, len(homes), nodeNames(homes))
	}
	for _, by := range elastic.Tokens(w.alloc.Get("allocation.awareness.attributes")) {
		if room := w.aware(by, homes, copies); room < copies {
			return fmt.Sprintf("it has %d copies of each shard, and allocation awareness by %s allows %d of them there", copies, by, room)
		}
	}
	shards, err := strconv.Atoi(x.Settings["index.number_of_shards"])
	if limit, lerr := strconv.Atoi(x.Settings[perNodeKey]); err == nil && lerr == nil && limit >= 0 && shards*copies > limit*len(homes) {
		return fmt.Sprintf("its total_shards_per_node is %d, which leaves room for %d of its %d copies", limit, limit*len(homes), shards*copies)
	}
	return ""
}

// aware is how many copies of one shard allocation awareness allows on the nodes: of as
// many equal parts as the attribute has values in the cluster, or is said to have
// (forced), each value takes one, rounded up.
func (w *zoneSurvey) aware(by string, homes []elastic.Node, copies int) int {
	values := map[string]bool{}
	for _, n := range w.top.Nodes {
		if v := n.Attributes[by]; n.Data() && v != "" {
			values[v] = true
		}
	}
	for _, v := range elastic.Tokens(w.alloc.Get("allocation.awareness.force." + by + ".values")) {
		values[v] = true
	}
	if len(values) == 0 {
		return copies
	}
	each, on := (copies+len(values)-1)/len(values), map[string]int{}
	for _, n := range homes {
		if v := n.Attributes[by]; v != "" {
			on[v]++
		}
	}
	room := 0
	for _, n := range on {
		room += min(n, each)
	}
	return room
}

func nodeNames(nodes []elastic.Node) string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	return elastic.And(names)
}

// copySizes reads the bytes of one copy of each index: the mean of its shards' largest.
func (s Site) copySizes(ctx context.Context, names []string) (map[string]int64, error) {
	type shard struct{ index, number string }
	largest := map[shard]int64{}
	for part := range elastic.InURLs(names) {
		var rows []struct {
			Index  string  `json:"index"`
			Number string  `json:"shard"`
			Bytes  *string `json:"store"`
		}
		err := s.Get(ctx, "/_cat/shards/"+part, elastic.Query("h", "index,shard,store", "bytes", "b", "format", "json", "master_timeout", "5s"), &rows)
		if elastic.IsStatus(err, 404) {
			continue // one was deleted meanwhile: how much is left is then a guess
		} else if err != nil {
			return nil, err
		}
		for _, r := range rows {
			at := shard{r.Index, r.Number}
			largest[at] = max(largest[at], amount(r.Bytes), 0)
		}
	}
	sum, count := map[string]int64{}, map[string]int64{}
	for at, bytes := range largest {
		sum[at.index] += bytes
		count[at.index]++
	}
	for index := range sum {
		sum[index] /= count[index]
	}
	return sum, nil
}
