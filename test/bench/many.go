package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strings"

	"golang.org/x/sync/errgroup"

	"twokey/test/workload"
)

const (
	manySource = prefix + "v1_"
	manyTarget = prefix + "v2_"
	smallDocs  = 1000 // documents of a small index
)

func small(start string, i int) string { return fmt.Sprintf("%s%03d", start, i) }

// newMany measures the copying of many small indices.
func newMany(ctx context.Context, c *cluster, t *twokey, o order) (*table, error) {
	log.Printf("filling %d indices with %d documents each", o.indices, smallDocs)
	g, filling := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i := range o.indices {
		g.Go(func() error {
			if err := c.create(filling, small(manySource, i), 1, false); err != nil {
				return err
			}
			return workload.Fill(filling, c.urls, small(manySource, i), smallDocs, workload.Filling{Seed: uint64(i)})
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	table := &table{
		name: "many", docs: o.indices * smallDocs,
		title: fmt.Sprintf("%d indices of %d documents, 1 primary, no replicas", o.indices, smallDocs),
	}
	all := []contender{
		{
			name: "raw loop, as a script does it", how: "one index after the other: read the source's mapping, PUT target, `POST _reindex`, refresh, count both; one connection, kept alive",
			copy: func(ctx context.Context) figures {
				return c.loop(ctx, o.indices, c.scripted)
			},
		},
		{
			name: "raw loop, the least", how: "one index after the other: PUT target, `POST _reindex`, nothing else",
			copy: func(ctx context.Context) figures {
				return c.loop(ctx, o.indices, func(ctx context.Context, source, target string) error {
					if err := c.create(ctx, target, 1, false); err != nil {
						return err
					}
					return c.reindexSmall(ctx, source, target)
				})
			},
		},
		{
			name: "raw calls side by side", how: fmt.Sprintf("what any campaign of blocked sources does at least, %d indices at a time: PUT target, block the source, `POST _reindex`, refresh, lift the block; nothing is read, compared or written down", sideBySide),
			copy: func(ctx context.Context) figures { return c.abreast(ctx, o.indices) },
		},
		t.campaign(),
	}
	count := func(ctx context.Context) (int, error) { return c.countMany(ctx, o.indices) }
	return table, c.rounds(ctx, table, o, manySource, manyTarget, count, all)
}

// loop copies one small index after the other.
func (c *cluster) loop(ctx context.Context, n int, one func(ctx context.Context, source, target string) error) figures {
	return timed(func() error {
		for i := range n {
			if err := one(ctx, small(manySource, i), small(manyTarget, i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// sideBySide is how many indices a campaign with --max-impact full has in work on three nodes.
const sideBySide = 24

// abreast copies small indices side by side, each under a write block.
func (c *cluster) abreast(ctx context.Context, n int) figures {
	return timed(func() error {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(sideBySide)
		for i := range n {
			g.Go(func() error {
				source, target := small(manySource, i), small(manyTarget, i)
				if err := c.create(ctx, target, 1, false); err != nil {
					return err
				}
				if err := c.Do(ctx, http.MethodPut, "/"+source+"/_block/write", nil, nil); err != nil {
					return err
				}
				if err := c.reindexSmall(ctx, source, target); err != nil {
					return err
				}
				if err := c.Do(ctx, http.MethodPost, "/"+target+"/_refresh", nil, nil); err != nil {
					return err
				}
				return c.Do(ctx, http.MethodPut, "/"+source+"/_settings", []byte(`{"index.blocks.write":null}`), nil)
			})
		}
		return g.Wait()
	})
}

// scripted is what an operator's script does for one index.
func (c *cluster) scripted(ctx context.Context, source, target string) error {
	var read map[string]struct {
		Mappings json.RawMessage `json:"mappings"`
		Settings struct {
			Index struct {
				Shards   string `json:"number_of_shards"`
				Replicas string `json:"number_of_replicas"`
			} `json:"index"`
		} `json:"settings"`
	}
	if err := c.Do(ctx, http.MethodGet, "/"+source, nil, &read); err != nil {
		return err
	}
	from := read[source]
	settings := map[string]any{"number_of_shards": from.Settings.Index.Shards, "number_of_replicas": from.Settings.Index.Replicas}
	if err := c.Do(ctx, http.MethodPut, "/"+target, map[string]any{"settings": settings, "mappings": from.Mappings}, nil); err != nil {
		return err
	}
	if err := c.reindexSmall(ctx, source, target); err != nil {
		return err
	}
	was, err := c.count(ctx, source)
	if err != nil {
		return err
	}
	is, err := c.count(ctx, target)
	if err != nil {
		return err
	}
	if was != is {
		return fmt.Errorf("%s has %d documents, %s has %d", source, was, target, is)
	}
	return nil
}

func (c *cluster) reindexSmall(ctx context.Context, source, target string) error {
	var answer struct {
		Failures []any `json:"failures"`
	}
	body := map[string]any{"source": map[string]any{"index": source}, "dest": map[string]any{"index": target}}
	if err := c.Do(ctx, http.MethodPost, "/_reindex", body, &answer); err != nil {
		return err
	}
	if len(answer.Failures) > 0 {
		return fmt.Errorf("_reindex of %s has %d failures", source, len(answer.Failures))
	}
	return nil
}

// countMany counts the documents of all targets. An index with another number than its
// source has is an error.
func (c *cluster) countMany(ctx context.Context, n int) (int, error) {
	if err := c.Read(ctx, http.MethodPost, "/"+manyTarget+"*/_refresh", nil, nil); err != nil {
		return 0, err
	}
	var rows []struct {
		Index string `json:"index"`
		Docs  int    `json:"docs.count,string"`
	}
	if err := c.Read(ctx, http.MethodGet, "/_cat/indices/"+manyTarget+"*?format=json&h=index,docs.count", nil, &rows); err != nil {
		return 0, err
	}
	sum := 0
	var odd []string
	for _, r := range rows {
		sum += r.Docs
		if r.Docs != smallDocs {
			odd = append(odd, fmt.Sprintf("%s has %d documents", r.Index, r.Docs))
		}
	}
	if len(odd) > 0 || len(rows) != n {
		return sum, fmt.Errorf("%d indices of %d; %s", len(rows), n, strings.Join(odd[:min(5, len(odd))], ", "))
	}
	return sum, nil
}
