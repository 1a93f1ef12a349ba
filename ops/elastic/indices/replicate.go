package indices

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// replicate gives the destination the settings it is to have, and waits until all copies
// are there; with zones, where they are to be.
func (j *job) replicate(ctx context.Context) (progress, error) {
	if !j.Given {
		if p, ok, err := j.complete(ctx); err != nil || !ok {
			return p, err
		}
		if j.Writes == writesDual && j.Swapped.IsZero() {
			// It was lost after the switch: readers went back until it is proven again.
			if p, err := j.swap(ctx); err != nil || !p.done {
				return p, err
			}
		}
		x := index{Name: j.Dest}
		if !j.asMade() {
			var err error
			if x, err = j.metadata(ctx, j.Dest); err != nil {
				return progress{}, err
			}
			change := settings{}
			for _, k := range j.Final.missingFrom(x) {
				change[k] = j.Final[k]
			}
			if len(change) > 0 {
				return waiting(soon), j.putSettings(ctx, j.Dest, change, j.token)
			}
		}
		j.Given = true
		if err := j.settleSettings(ctx, x, ops.Written); err != nil {
			return progress{}, err
		}
	}
	if !j.Flushed && !j.Small {
		// The log was not synced for each request: from here on what is there is on disk.
		err := j.ask(ctx, elastic.Request{Method: "POST", Path: "/" + url.PathEscape(j.Dest) + "/_flush", Query: elastic.Query("wait_if_ongoing", "true"), Limit: pageLimit})
		if err != nil {
			return progress{}, err
		}
		if err := j.refresh(ctx, j.Dest); err != nil {
			return progress{}, err
		}
		// Nothing that was copied was lost before that; what is on disk now, stays.
		j.memo.wholeAt = time.Time{}
		if p, ok, err := j.destination(ctx); err != nil || !ok {
			j.Given = false
			return p, err
		}
		j.Flushed = true
	}
	away, whole, err := j.away(ctx)
	if err != nil {
		return progress{}, err
	}
	if !whole {
		j.Given = false // a primary is away: see what is left of the copy
		return waiting(100 * time.Millisecond), j.save(ctx)
	}
	if len(away) == 0 {
		j.Waited = time.Time{}
		return finished, j.save(ctx)
	}
	if j.Waited.IsZero() || j.Away != len(away) {
		j.Waited, j.Away = time.Now(), len(away)
	}
	if time.Since(j.Waited) > stuckAfter {
		j.Waited = time.Now()
		return progress{blocked: fmt.Sprintf("For %s no copy of %s got further; still to come: %s. es shards and _cluster/allocation/explain say why. Resume to wait on, or cancel.",
			elastic.Span(stuckAfter), j.Dest, elastic.And(away[:min(len(away), 3)]))}, nil
	}
	return waiting(replicaWait(time.Since(j.Waited))), j.save(ctx)
}

// asMade reports whether the destination was made with its final settings.
func (j *job) asMade() bool {
	if !j.Small || !j.Made {
		return false
	}
	for _, v := range j.Final {
		if v != nil {
			return false
		}
	}
	return true
}

const stuckAfter = 15 * time.Minute

func replicaWait(since time.Duration) time.Duration {
	return min(100*time.Millisecond+since/4, 3*time.Second)
}

// away are the copies of the destination that are not yet what and where they are to be,
// for people: "[2] replica unassigned". whole is false while a primary is not there.
func (j *job) away(ctx context.Context) (list []string, whole bool, err error) {
	var answer struct {
		Table struct {
			Indices map[string]struct {
				Shards map[string][]struct {
					Primary bool   `json:"primary"`
					State   string `json:"state"`
					Node    string `json:"node"`
				} `json:"shards"`
			} `json:"indices"`
		} `json:"routing_table"`
	}
	err = j.Get(ctx, "/_cluster/state/routing_table/"+url.PathEscape(j.Dest), elastic.Query("master_timeout", "5s", "ignore_unavailable", "true", "filter_path",
		"routing_table.indices.*.shards.*.primary,routing_table.indices.*.shards.*.state,routing_table.indices.*.shards.*.node"), &answer)
	if err != nil {
		return nil, false, err
	}
	shards := answer.Table.Indices[j.Dest].Shards
	if len(shards) == 0 {
		return nil, false, nil // it is gone
	}
	var top elastic.Topology
	if j.Indexing != "" {
		if top, err = j.Topology(ctx); err != nil {
			return nil, false, err
		}
	}
	whole = true
	for _, n := range slices.Sorted(maps.Keys(shards)) {
		for _, c := range shards[n] {
			kind := "replica"
			if c.Primary {
				kind = "primary"
				whole = whole && (c.State == "STARTED" || c.State == "RELOCATING")
			}
			switch {
			case c.State != "STARTED":
				list = append(list, fmt.Sprintf("[%s] %s %s", n, kind, strings.ToLower(c.State)))
			case j.Indexing != "" && !j.inProduction(top, c.Node):
				list = append(list, fmt.Sprintf("[%s] %s on %s", n, kind, top.NameOf(c.Node)))
			}
		}
	}
	return list, whole, nil
}

// unassigned says why a primary of the destination has not started, for people, as far as
// the cluster says.
func (j *job) unassigned(ctx context.Context) string {
	unknown := "_cluster/allocation/explain says why."
	list, _, err := j.away(ctx)
	if err != nil || len(list) == 0 {
		return unknown
	}
	i := slices.IndexFunc(list, func(s string) bool { return strings.Contains(s, " primary ") })
	if i < 0 {
		return unknown
	}
	var shard int
	if _, err := fmt.Sscanf(list[i], "[%d]", &shard); err != nil {
		return unknown
	}
	var answer struct {
		Why   string `json:"allocate_explanation"`
		Nodes []struct {
			Name     string `json:"node_name"`
			Deciders []struct {
				Why string `json:"explanation"`
			} `json:"deciders"`
		} `json:"node_allocation_decisions"`
	}
	err = j.Read(ctx, "POST", "/_cluster/allocation/explain", elastic.Query("master_timeout", "5s", "filter_path",
		"allocate_explanation,node_allocation_decisions.node_name,node_allocation_decisions.deciders.explanation"),
		map[string]any{"index": j.Dest, "shard": shard, "primary": true}, &answer)
	if err != nil {
		return unknown
	}
	for _, n := range answer.Nodes {
		if len(n.Deciders) > 0 {
			return fmt.Sprintf("%s: %s.", n.Name, strings.TrimSuffix(n.Deciders[0].Why, "."))
		}
	}
	return cmp.Or(answer.Why, unknown)
}

func (j *job) inProduction(top elastic.Topology, id string) bool {
	for _, n := range top.Nodes {
		if n.ID == id {
			return slices.Contains(j.Production, n.Attributes[j.Attr])
		}
	}
	return false
}
