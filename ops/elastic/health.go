package elastic

import (
	"context"
	"fmt"

	"twokey/ops"
)

// healthQuery is es health.
type healthQuery struct{ clusters map[string]Cluster }

func (q healthQuery) Kind() string { return "es health" }

func (q healthQuery) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	c, err := Pick(q.clusters, call.Environment)
	if err != nil {
		return ops.Answer{}, err
	}
	h, err := c.Health(ctx)
	if err != nil {
		return ops.Answer{}, err
	}
	top, err := c.Topology(ctx)
	if err != nil {
		return ops.Answer{}, err
	}
	alloc, err := c.Allocation(ctx)
	if err != nil {
		return ops.Answer{}, err
	}
	flood, err := c.FloodBlocked(ctx)
	if err != nil {
		return ops.Answer{}, err
	}
	a := ops.Answer{
		Title: fmt.Sprintf("%s: %s, %s, %s", c.Environment, h.Status, Plural(int64(h.Nodes), "node"), Plural(int64(h.Active), "shard")),
		Lines: []string{fmt.Sprintf("Cluster %s, master %s.", top.Name, top.NameOf(top.Master))},
	}
	if h.Unassigned+h.Relocating+h.Initializing > 0 {
		a.Lines = append(a.Lines, fmt.Sprintf("Shards: %d unassigned, %d relocating, %d initializing.", h.Unassigned, h.Relocating, h.Initializing))
	}
	if h.Pending > 0 {
		a.Lines = append(a.Lines, fmt.Sprintf("%s pending at the master.", Plural(int64(h.Pending), "task")))
	}
	if v := alloc.Get("allocation.enable"); v != "all" {
		a.Lines = append(a.Lines, fmt.Sprintf("cluster.routing.allocation.enable is %s.", v))
	}
	for _, family := range []string{exclude, include, require} {
		if len(alloc.family(family)) > 0 {
			a.Lines = append(a.Lines, fmt.Sprintf("Allocation filters: %s.", alloc.show(family)))
		}
	}
	if len(flood) > 0 {
		a.Lines = append(a.Lines, fmt.Sprintf("%d indices are read-only because a disk is over the flood-stage watermark, among them %s.", len(flood), flood[0]))
	}
	return a, nil
}
