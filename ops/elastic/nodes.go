package elastic

import (
	"context"
	"fmt"
	"strings"

	"twokey/ops"
)

// nodesQuery is es nodes.
type nodesQuery struct{ clusters map[string]Cluster }

func (q nodesQuery) Kind() string { return "es nodes" }

func (q nodesQuery) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	c, err := Pick(q.clusters, call.Environment)
	if err != nil {
		return ops.Answer{}, err
	}
	top, err := c.Topology(ctx)
	if err != nil {
		return ops.Answer{}, err
	}
	if err := c.addHosts(ctx, top); err != nil {
		return ops.Answer{}, err
	}
	alloc, err := c.Allocation(ctx)
	if err != nil {
		return ops.Answer{}, err
	}
	disks, err := c.Disks(ctx)
	if err != nil {
		return ops.Answer{}, err
	}
	s := survey{alloc: alloc}
	table := &ops.Table{Columns: []string{"node", "zone", "roles", "shards", "data", "free", "version", "note"}}
	for _, n := range top.Nodes {
		shards, data, free := "-", "-", "-"
		if d, ok := disks[n.Name]; ok && n.Data() {
			shards = fmt.Sprint(d.Shards)
			data, free = sizeOrUnknown(d.Indices), sizeOrUnknown(d.Avail)
		}
		table.Rows = append(table.Rows, []string{
			n.Name, s.zone(n), shortRoles(n), shards, data, free, n.Version, noteOn(n, top, alloc),
		})
	}
	return ops.Answer{
		Title: fmt.Sprintf("%s: %s, master %s", c.Environment, Plural(int64(len(top.Nodes)), "node"), top.NameOf(top.Master)),
		Table: table,
	}, nil
}

func sizeOrUnknown(b int64) string {
	if b < 0 {
		return "unknown"
	}
	return Bytes(b)
}

func shortRoles(n Node) string {
	var list []string
	if n.Data() {
		list = append(list, "data")
	}
	if n.masterEligible() {
		list = append(list, "master")
	}
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, "+")
}

// noteOn says who is master and which filters are set to keep shards off the node.
func noteOn(n Node, top Topology, alloc Allocation) string {
	var notes []string
	if n.ID == top.Master {
		notes = append(notes, "master")
	}
	for _, family := range []string{exclude, include, require} {
		set := alloc.family(family)
		if !n.Data() || !turnsAway(family, set, n) {
			continue
		}
		if keys := matching(family, set, n); family == exclude {
			notes = append(notes, "excluded by "+strings.Join(keys, ", "))
		} else {
			notes = append(notes, "kept out by "+family)
		}
	}
	return strings.Join(notes, "; ")
}
