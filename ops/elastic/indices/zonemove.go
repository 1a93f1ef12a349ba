package indices

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// zoneMove is es zone-move PATTERN --from a --to b [--attr zone]: it moves indices that
// have copies on nodes of zone a to nodes of zone b, with all their copies, by the
// indices' own allocation filters. --from and --to take several zones, with commas.
//
// Each index gets include.zone=b. A require.zone that asks for another zone is set to b
// (taken out, if there are several to choose from), and b is taken out of exclude.zone.
// Other filters of the index stay as they are.
//
// The trap of the cluster's filters (see package elastic) is not there: of an index'
// filters all keys that its settings list are in effect. Seen on 8.19.13: an index with
// exclude.zone=spot was given exclude.rack=r9, then exclude.rack=r1, then exclude.rack
// null, each in an update of its own, and include.zone beside them; after each update
// the filter decider of _cluster/allocation/explain spelled out every key of the
// settings, those not in the update too. So one key is written alone, and its value read
// back from the settings is what is in effect. A value of "" is no filter, but stays in
// the settings as "".
type zoneMove struct {
	sites map[string]Site
	stall time.Duration // without movement, before shards are explained
}

// zoneStall is the stall outside of tests.
const zoneStall = time.Minute

func (o zoneMove) Kind() string { return "es zone-move" }

func (o zoneMove) Step(ref ops.StepRef) (ops.Step, error) {
	s, err := siteOf(o.sites, ref)
	if err != nil {
		return nil, err
	}
	z := zone{Site: s, uuid: ref.Params[paramCluster], attr: ref.Params["attr"], to: elastic.Tokens(ref.Params["to"])}
	switch ref.Name {
	case "filter":
		return filterStep{z}, nil
	case "wait":
		return zoneWaitStep{z, o.stall}, nil
	}
	return nil, fmt.Errorf("%w: %s", ops.ErrUnknownStep, ref.Name)
}

// Plan reads the indices and where they are, and refuses what cannot work.
func (o zoneMove) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	s, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	w := zoneSurvey{zone: zone{Site: s, attr: call.Flags["attr"], to: elastic.Tokens(call.Flags["to"])},
		from: elastic.Tokens(call.Flags["from"])}
	if w.attr == "" {
		w.attr = "zone"
	}
	switch {
	case len(call.Args) != 1:
		return ops.Plan{}, &ops.UserError{What: "Which indices?", Next: "Give one pattern, for example logs-*."}
	case len(w.from) == 0 || len(w.to) == 0:
		return ops.Plan{}, &ops.UserError{What: "From which zone to which?", Next: "Give --from ZONE and --to ZONE."}
	case slices.ContainsFunc(w.from, func(z string) bool { return slices.Contains(w.to, z) }):
		return ops.Plan{}, &ops.UserError{What: "--from and --to have a zone in common.", Next: "Name different zones."}
	case strings.ContainsAny(w.attr, "*, ."):
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%q is not the name of a node attribute.", w.attr)}
	}
	slices.Sort(w.to)
	w.to = slices.Compact(w.to)
	if err := w.read(ctx, call.Args[0]); err != nil {
		return ops.Plan{}, err
	}
	return w.plan(call), nil
}

// zone is where indices are to go, on one cluster.
type zone struct {
	Site
	uuid string // of the cluster
	attr string
	to   []string // values of the attribute, sorted
}

// label names zones for people: "zone b", "rack r1 and r2".
func (z zone) label(values []string) string { return z.attr + " " + elastic.And(values) }

// holds reports whether a node is where the indices are to go.
func (z zone) holds(n elastic.Node) bool { return slices.Contains(z.to, n.Attributes[z.attr]) }

// ours are the nodes that hold, by id.
func (z zone) ours(top elastic.Topology) map[string]bool {
	found := map[string]bool{}
	for _, n := range top.Nodes {
		if n.Data() && z.holds(n) {
			found[n.ID] = true
		}
	}
	return found
}

const (
	filterPrefix = "index.routing.allocation."
	perNodeKey   = filterPrefix + "total_shards_per_node"
	tierPrefix   = filterPrefix + "include._tier"
)

// families are the filters of an index in the order they are written down.
var families = []string{"include", "exclude", "require"}

func (z zone) key(family string) string { return filterPrefix + family + "." + z.attr }

// goal is the update that leads an index' filters to where its copies are to go; empty:
// they lead there already. It depends on the present values alone, and after it was
// made the next is empty.
func (z zone) goal(x listed) settings {
	change := settings{}
	set := func(family string, values []string) {
		if len(values) == 0 {
			change[z.key(family)] = nil
			return
		}
		text := strings.Join(values, ",")
		change[z.key(family)] = &text
	}
	if in := slices.Sorted(slices.Values(elastic.Tokens(x.Settings[z.key("include")]))); !slices.Equal(slices.Compact(in), z.to) {
		set("include", z.to)
	}
	out := elastic.Tokens(x.Settings[z.key("exclude")])
	if keep := slices.DeleteFunc(slices.Clone(out), func(token string) bool { return matchesAny(token, z.to) }); len(keep) < len(out) {
		set("exclude", keep)
	}
	if must := elastic.Tokens(x.Settings[z.key("require")]); len(must) > 0 {
		switch {
		case len(z.to) > 1:
			set("require", nil)
		case slices.ContainsFunc(must, func(token string) bool { return !matchesAny(token, z.to) }):
			set("require", z.to)
		}
	}
	return change
}

// matchesAny reports whether a filter's token matches one of the values.
func matchesAny(token string, values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return elastic.Glob(token, v) })
}

// body is a settings update as it is sent; a value that is written as a list goes as one.
func (c settings) body() map[string]any {
	body := map[string]any{}
	for k, text := range c {
		body[k] = nil
		if text != nil {
			body[k] = *text
			if list, ok := elastic.AsList(*text); ok {
				body[k] = list
			}
		}
	}
	return body
}

// sign is the same for equal updates.
func (c settings) sign() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(b)
}

// own returns what the index has under key, nil if nothing.
func (x listed) own(key string) *string {
	if v, ok := x.Settings[key]; ok {
		return &v
	}
	return nil
}

// after is the index after an update of its settings.
func (x listed) after(c settings) listed {
	x.Settings = maps.Clone(x.Settings)
	for k, v := range c {
		if v == nil {
			delete(x.Settings, k)
		} else {
			x.Settings[k] = *v
		}
	}
	return x
}

// filters are the index' own allocation filters, as the settings of a cluster would be,
// so that the same rules can be asked about them.
func (x listed) filters() elastic.Allocation {
	a := elastic.Allocation{Persistent: map[string]string{}}
	for k, v := range x.Settings {
		rest, ok := strings.CutPrefix(k, filterPrefix)
		if family, _, dotted := strings.Cut(rest, "."); ok && dotted && slices.Contains(families, family) && !strings.HasPrefix(k, tierPrefix) {
			a.Persistent["cluster.routing.allocation."+rest] = v
		}
	}
	return a
}

// placed is where the master has one copy of a shard. Node is empty for an unassigned one.
// A copy on its way has the node it leaves.
type placed struct {
	Primary bool    `json:"primary"`
	State   string  `json:"state"`
	Node    string  `json:"node"`
	Other   *string `json:"relocating_node"`
	shard   string
}

// routing reads where the copies of indices are, by index. An index that is not there is
// left out. The answer grows with the copies of the indices asked for.
func (s Site) routing(ctx context.Context, names []string) (map[string][]placed, error) {
	found := map[string][]placed{}
	for part := range elastic.InURLs(names) {
		var answer struct {
			UUID  string `json:"cluster_uuid"`
			Table struct {
				Indices map[string]struct {
					Shards map[string][]placed `json:"shards"`
				} `json:"indices"`
			} `json:"routing_table"`
		}
		err := s.Get(ctx, "/_cluster/state/routing_table/"+part, elastic.Query("master_timeout", "5s", "ignore_unavailable", "true",
			"expand_wildcards", "all", "filter_path", "cluster_uuid,routing_table.indices.*.shards.*.primary,routing_table.indices.*.shards.*.state,"+
				"routing_table.indices.*.shards.*.node,routing_table.indices.*.shards.*.relocating_node"), &answer)
		if err != nil {
			return nil, err
		}
		for index, table := range answer.Table.Indices {
			for number, copies := range table.Shards {
				for _, c := range copies {
					if c.State == "INITIALIZING" && c.Other != nil {
						continue // the same copy, where it arrives
					}
					c.shard = number
					found[index] = append(found[index], c)
				}
			}
		}
	}
	return found, nil
}
