package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"twokey/test/workload"
)

const (
	singleSource = prefix + "src"
	singleTarget = prefix + "dst"
	singleShards = 3
)

// newSingle measures the copying of one index.
func newSingle(ctx context.Context, c *cluster, t *twokey, d elasticdump, o order) (*table, error) {
	log.Printf("filling %s with %d documents", singleSource, o.docs)
	if err := c.create(ctx, singleSource, singleShards, false); err != nil {
		return nil, err
	}
	if err := workload.Fill(ctx, c.urls, singleSource, o.docs, workload.Filling{}); err != nil {
		return nil, err
	}
	if err := c.Read(ctx, http.MethodPost, "/"+singleSource+"/_flush?force=true", nil, nil); err != nil {
		return nil, err
	}
	table := &table{
		name: "single", docs: o.docs,
		title: fmt.Sprintf("One index: %d documents of %d bytes, %d primaries, no replicas", o.docs, len(workload.Document(o.docs/2, workload.Filling{})), singleShards),
	}
	raw := func(k call) func(context.Context) figures {
		return func(ctx context.Context) figures { return c.reindex(ctx, singleSource, singleTarget, singleShards, k) }
	}
	all := []contender{
		{name: "raw, slices=1", how: "PUT target, `POST _reindex?refresh=true`", copy: raw(call{slices: "1"})},
		{name: "raw, slices=auto", how: "the same with `slices=auto`", copy: raw(call{slices: "auto"})},
		{name: "raw, best"},
		{name: "scroll+bulk", how: scrollBulkHow, copy: func(ctx context.Context) figures { return c.scrollBulk(ctx, singleSource, singleTarget) }},
		{name: "elasticdump, tuned", how: "`elasticdump " + dumpTuned.String() + "` into a target made before", copy: func(ctx context.Context) figures { return d.copy(ctx, c, singleSource, singleTarget, dumpTuned) }},
		{name: "elasticdump, defaults", how: "the same without an option but `--type=data`", copy: func(ctx context.Context) figures { return d.copy(ctx, c, singleSource, singleTarget, dumpDefaults) }},
	}
	for _, writes := range []string{"block", "catchup"} {
		all = append(all, t.single(writes))
	}
	if o.only.MatchString(all[2].name) {
		best, note, err := c.best(ctx, singleSource, singleTarget, singleShards)
		if err != nil {
			return nil, err
		}
		all[2].how, all[2].copy = "the fastest of the calibration: "+best.String(), raw(best)
		table.notes = append(table.notes, note)
	}
	count := func(ctx context.Context) (int, error) { return c.count(ctx, singleTarget) }
	return table, c.rounds(ctx, table, o, singleSource, singleTarget, count, all)
}
