package elasticsim

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// searched is a shard that a search asks: the copy that answers, or none.
type searched struct {
	index  *index
	number int
	copy   *shard // nil: no copy is active
	filter query  // of the aliases it came by; nil: none
}

// shardsFor chooses the shards of a search and their copies by routing and
// preference.
func (r *request) shardsFor(targets []*target) ([]searched, *failure) {
	only, rest, f := splitPreference(r.query.Get("preference"))
	if f != nil {
		return nil, f
	}
	var out []searched
	for _, t := range targets {
		t.index.refreshDue(r.now)
		numbers := t.routed(r.query.Get("routing"))
		for _, n := range numbers {
			if only != nil && !slices.Contains(only, n) {
				continue
			}
			s := searched{index: t.index, number: n, filter: t.filter()}
			if s.copy, f = r.chooseCopy(t.index, n, rest); f != nil {
				return nil, f
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// splitPreference takes "_shards:0,1|rest" apart.
func splitPreference(p string) (only []int, rest string, f *failure) {
	numbers, ok := strings.CutPrefix(p, "_shards:")
	if !ok {
		return nil, p, nil
	}
	numbers, rest, _ = strings.Cut(numbers, "|")
	only = []int{}
	for part := range strings.SplitSeq(numbers, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return nil, "", illegalFailure("For input string: \"%s\"", part)
		}
		only = append(only, n)
	}
	return only, rest, nil
}

// routed lists the shards of the index that routing leaves, the request's or the
// aliases'.
func (t *target) routed(routing string) []int {
	all := make([]int, len(t.index.groups))
	for i := range all {
		all[i] = i
	}
	values := routing
	if routing == "" && !t.direct {
		for _, a := range t.aliases {
			if a.searchRouting == "" {
				return all
			}
			values += "," + a.searchRouting
		}
	}
	if strings.Trim(values, ",") == "" {
		return all
	}
	var out []int
	for v := range strings.SplitSeq(strings.Trim(values, ","), ",") {
		if n := t.index.shardOf("", v); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// filter is what a hit must match because of the aliases the index came by.
func (t *target) filter() query {
	if t.whole {
		return nil
	}
	any := boolQuery{least: 1}
	for _, a := range t.aliases {
		any.should = append(any.should, a.query)
	}
	return any
}

// chooseCopy chooses the copy that answers. Without a preference they take turns.
func (r *request) chooseCopy(ix *index, number int, preference string) (*shard, *failure) {
	c := r.cluster
	var active []*shard
	for _, s := range ix.groups[number] {
		if s.active() && s.node.alive {
			active = append(active, s)
		}
	}
	on := func(nodes []*node) []*shard {
		return slices.DeleteFunc(slices.Clone(active), func(s *shard) bool { return !slices.Contains(nodes, s.node) })
	}
	turn := c.requests + number
	kind, what, _ := strings.Cut(preference, ":")
	switch {
	case preference == "":
	case preference == "_local":
		if near := on([]*node{r.local}); len(near) > 0 {
			active = near
		}
	case preference == "_only_local":
		active = on([]*node{r.local})
	case kind == "_prefer_nodes":
		if near := on(c.resolve(what, r.local)); len(near) > 0 {
			active = near
		}
	case kind == "_only_nodes":
		if active = on(c.resolve(what, r.local)); len(active) == 0 {
			return nil, illegalFailure("no data nodes with criteria [%s] found for shard: [%s][%d]", what, ix.name, number)
		}
	case strings.HasPrefix(preference, "_"):
		return nil, illegalFailure("no Preference for [%s]", preference)
	default:
		h := fnv.New32a()
		fmt.Fprint(h, preference)
		turn = int(h.Sum32()>>1) + number
	}
	if len(active) == 0 {
		return nil, nil
	}
	return active[turn%len(active)], nil
}
