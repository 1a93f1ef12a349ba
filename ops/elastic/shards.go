package elastic

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"twokey/ops"
)

// shardsQuery is es shards NODE.
type shardsQuery struct{ clusters map[string]Cluster }

// maxRows is how many shards are listed.
const maxRows = 50

func (q shardsQuery) Kind() string { return "es shards" }

func (q shardsQuery) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	c, err := Pick(q.clusters, call.Environment)
	if err != nil {
		return ops.Answer{}, err
	}
	top, err := c.Topology(ctx)
	if err != nil {
		return ops.Answer{}, err
	}
	targets, err := resolve(c, top, call.Args)
	if err != nil {
		return ops.Answer{}, err
	}
	t := targets[0]
	copies, err := c.copiesOn(ctx, t.ID)
	if err != nil {
		return ops.Answer{}, err
	}
	sizes, err := c.shardSizes(ctx, t.ID)
	if err != nil {
		return ops.Answer{}, err
	}
	table, sum := &ops.Table{Columns: []string{"index", "shard", "copy", "state", "size"}}, int64(0)
	for _, s := range copies {
		bytes, known := sizes[numbered{s.Index, s.Shard}]
		sum += bytes
		if len(table.Rows) == maxRows {
			continue
		}
		kind, text, state := "replica", "unknown", strings.ToLower(s.State)
		if s.Primary {
			kind = "primary"
		}
		if known {
			text = Bytes(bytes)
		}
		if s.Other != nil && s.State == "RELOCATING" {
			state += " to " + top.NameOf(*s.Other)
		}
		table.Rows = append(table.Rows, []string{s.Index, strconv.Itoa(s.Shard), kind, state, text})
	}
	a := ops.Answer{Title: fmt.Sprintf("%s in %s: no shard", t.Name, c.Environment)}
	if len(copies) > 0 {
		a.Title = fmt.Sprintf("%s in %s: %s, %s", t.Name, c.Environment, Plural(int64(len(copies)), "shard"), Bytes(sum))
		a.Table = table
	}
	if more := len(copies) - len(table.Rows); more > 0 {
		a.Lines = append(a.Lines, fmt.Sprintf("The first %d by index are listed, %d are not.", maxRows, more))
	}
	return a, nil
}

// numbered is a shard, whichever its copies.
type numbered struct {
	index string
	shard int
}

// shardSizes reads the bytes of each shard from the node that holds them. A node that
// does not answer gives an empty map: sizes are then unknown.
func (c Cluster) shardSizes(ctx context.Context, id string) (map[numbered]int64, error) {
	var answer struct {
		Nodes map[string]struct {
			Indices struct {
				Shards map[string][]map[string]struct {
					Store struct {
						Bytes int64 `json:"size_in_bytes"`
					} `json:"store"`
				} `json:"shards"`
			} `json:"indices"`
		} `json:"nodes"`
	}
	err := c.Get(ctx, "/_nodes/"+url.PathEscape(id)+"/stats/indices/store", Query("level", "shards", "timeout", "5s",
		"filter_path", "nodes.*.indices.shards.*.*.store.size_in_bytes"), &answer)
	sizes := map[numbered]int64{}
	for index, all := range answer.Nodes[id].Indices.Shards {
		for _, one := range all {
			for number, stats := range one {
				if shard, err := strconv.Atoi(number); err == nil {
					sizes[numbered{index, shard}] = stats.Store.Bytes
				}
			}
		}
	}
	return sizes, err
}
