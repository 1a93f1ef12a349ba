package indices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"twokey/ops"
	"twokey/ops/elastic"
)

// index is what is known of one index.
type index struct {
	Name     string
	UUID     string
	Shards   int
	Settings map[string]string // flat: "index.number_of_replicas"; a list is JSON
	Mappings map[string]any
	Docs     int64 // top-level documents, as searchable
	Bytes    int64 // of the primaries
}

// metadata reads name, uuid, settings and mappings of one concrete index.
func (s Site) metadata(ctx context.Context, name string) (index, error) {
	var answer map[string]struct {
		Settings map[string]any `json:"settings"`
		Mappings map[string]any `json:"mappings"`
	}
	err := s.Get(ctx, "/"+url.PathEscape(name), elastic.Query("flat_settings", "true", "features", "settings,mappings", "master_timeout", "5s"), &answer)
	if elastic.IsStatus(err, 404) {
		return index{}, &ops.UserError{What: fmt.Sprintf("%s has no index %s.", s.Environment, name), Next: "Check its name.", Err: err}
	} else if err != nil {
		return index{}, err
	}
	found, ok := answer[name]
	if !ok {
		for real := range answer {
			return index{}, &ops.UserError{
				What: fmt.Sprintf("%s is not an index but another name of %s.", name, real),
				Next: fmt.Sprintf("Name the index: %s.", real),
				Err:  errAnotherName,
			}
		}
		return index{}, &ops.UserError{What: fmt.Sprintf("%s has no index %s.", s.Environment, name), Next: "Check its name."}
	}
	x := index{Name: name, Settings: map[string]string{}, Mappings: found.Mappings}
	for k, v := range found.Settings {
		x.Settings[k] = settingText(v)
	}
	x.UUID = x.Settings["index.uuid"]
	if x.Shards, err = strconv.Atoi(x.Settings["index.number_of_shards"]); err != nil || x.UUID == "" {
		return index{}, s.Translate(fmt.Errorf("%w: settings of %s", elastic.ErrAnswer, name))
	}
	return x, nil
}

// fewest is how many documents a search of an index has to give at least to copy it.
const fewest = 1_000

// searchable is how many documents one search of any of these gives, if fewer than by
// default (index.max_result_window); else 0.
func searchable(all ...index) int64 {
	n := comparePage
	for _, x := range all {
		n = min(n, x.number("index.max_result_window", comparePage))
	}
	if n == comparePage {
		return 0
	}
	return int64(n)
}

// unsearchable refuses to read an index by very small pages.
func unsearchable(x index) error {
	if n := x.number("index.max_result_window", comparePage); n < fewest {
		return &ops.UserError{
			What: fmt.Sprintf("%s has index.max_result_window=%d: reading it by so few documents would take for ever.", x.Name, n),
			Next: fmt.Sprintf("Set it to %s or more while it is copied.", grouped(fewest)),
		}
	}
	return nil
}

func settingText(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// find is metadata of an index that may not be there.
func (s Site) find(ctx context.Context, name string) (x index, there bool, err error) {
	x, err = s.metadata(ctx, name)
	if elastic.IsStatus(err, 404) || errors.Is(err, errAnotherName) {
		return index{}, false, nil
	}
	return x, err == nil, err
}

// errAnotherName says that a name is an alias: the index of that name is gone.
var errAnotherName = errors.New("the name of an alias")

// count counts the top-level documents that are searchable now.
func (s Site) count(ctx context.Context, name string) (int64, error) {
	var answer struct {
		Count  *int64 `json:"count"`
		Shards struct {
			Failed int `json:"failed"`
		} `json:"_shards"`
	}
	if err := s.Get(ctx, "/"+url.PathEscape(name)+"/_count", nil, &answer); err != nil {
		return 0, err
	}
	if answer.Count == nil || answer.Shards.Failed > 0 {
		return 0, fmt.Errorf("counting %s: %d shards failed", name, answer.Shards.Failed)
	}
	return *answer.Count, nil
}

// positions says how far the shards of an index are, by shard number.
type positions struct {
	Durable map[int]int64 // every operation up to here is on all copies in sync: never lost
	Latest  map[int]int64 // the last operation of the primary
	Bytes   int64         // of the primaries
	Docs    int64         // on the primaries, as searchable; nested ones count too
	Nodes   []string      // ids of the nodes with primaries, sorted
}

// operations counts the operations after others, for all shards.
func (p positions) after(since map[int]int64) int64 {
	n := int64(0)
	for shard, last := range p.Latest {
		was, ok := since[shard]
		if !ok {
			was = -1
		}
		n += max(0, last-was)
	}
	return n
}

func (p positions) highest() int64 {
	high := int64(-1)
	for _, last := range p.Latest {
		high = max(high, last)
	}
	return high
}

// positions reads them. It is an error if a primary is missing.
func (s Site) positions(ctx context.Context, x index) (positions, error) {
	var answer struct {
		Indices map[string]struct {
			UUID   string `json:"uuid"`
			Shards map[string][]struct {
				Routing struct {
					Primary bool   `json:"primary"`
					Node    string `json:"node"`
				} `json:"routing"`
				Docs struct {
					Count int64 `json:"count"`
				} `json:"docs"`
				Store struct {
					Size int64 `json:"size_in_bytes"`
				} `json:"store"`
				SeqNo struct { // absent while the shard is being closed
					Max    *int64 `json:"max_seq_no"`
					Global *int64 `json:"global_checkpoint"`
				} `json:"seq_no"`
			} `json:"shards"`
		} `json:"indices"`
	}
	err := s.Get(ctx, "/"+url.PathEscape(x.Name)+"/_stats/store,docs", elastic.Query("level", "shards", "filter_path",
		"indices.*.uuid,indices.*.shards.*.docs.count,indices.*.shards.*.routing.primary,indices.*.shards.*.routing.node,indices.*.shards.*.store.size_in_bytes,indices.*.shards.*.seq_no"), &answer)
	if err != nil {
		return positions{}, err
	}
	found := answer.Indices[x.Name]
	if found.UUID != "" && found.UUID != x.UUID {
		return positions{}, fmt.Errorf("%w: %s", errRecreated, x.Name)
	}
	p := positions{Durable: map[int]int64{}, Latest: map[int]int64{}}
	for number, copies := range found.Shards {
		shard, err := strconv.Atoi(number)
		if err != nil {
			return positions{}, s.Translate(fmt.Errorf("%w: shard %q", elastic.ErrAnswer, number))
		}
		for _, c := range copies {
			if c.Routing.Primary {
				if c.SeqNo.Max == nil || c.SeqNo.Global == nil {
					return positions{}, fmt.Errorf("%s: shard %d does not say how far it is", x.Name, shard)
				}
				p.Durable[shard], p.Latest[shard] = *c.SeqNo.Global, *c.SeqNo.Max
				p.Bytes += c.Store.Size
				p.Docs += c.Docs.Count
				p.Nodes = append(p.Nodes, c.Routing.Node)
			}
		}
	}
	if len(p.Latest) != x.Shards {
		return positions{}, &ops.UserError{
			What: fmt.Sprintf("%d of %d primary shards of %s answer.", len(p.Latest), x.Shards, x.Name),
			Next: "es health shows what is missing.",
		}
	}
	slices.Sort(p.Nodes)
	p.Nodes = slices.Compact(p.Nodes)
	return p, nil
}

// errRecreated says that an index of this name is not the one that was planned with.
var errRecreated = fmt.Errorf("deleted and made again since the plan")

// refresh makes all operations so far searchable on every copy.
func (s Site) refresh(ctx context.Context, name string) error {
	var answer struct {
		Shards struct {
			Failed int `json:"failed"`
		} `json:"_shards"`
	}
	err := s.ask(ctx, elastic.Request{Method: "POST", Path: "/" + url.PathEscape(name) + "/_refresh", Limit: pageLimit, Answer: &answer})
	if err == nil && answer.Shards.Failed > 0 {
		err = fmt.Errorf("refreshing %s: %d shards failed", name, answer.Shards.Failed)
	}
	return err
}

// change is one update of settings; nil takes one away.
type settings map[string]*string

// put writes settings of one index.
func (s Site) putSettings(ctx context.Context, name string, change settings, token string) error {
	return s.Write(ctx, "PUT", "/"+url.PathEscape(name)+"/_settings", elastic.Query("master_timeout", "5s", "timeout", "5s"), change, token)
}

// missingFrom are the keys of want that x does not have so.
func (want settings) missingFrom(x index) []string {
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(want)) {
		is, set := x.Settings[k]
		if (want[k] == nil) == set || want[k] != nil && *want[k] != is {
			keys = append(keys, k)
		}
	}
	return keys
}

// setting returns what x has under key, nil if nothing.
func (x index) setting(key string) *string {
	if v, ok := x.Settings[key]; ok {
		return &v
	}
	return nil
}

// number reads a setting that is a number.
func (x index) number(key string, otherwise int) int {
	if n, err := strconv.Atoi(x.Settings[key]); err == nil {
		return n
	}
	return otherwise
}
