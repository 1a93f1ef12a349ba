package elastic

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sample is how much was left at a time.
type Sample struct {
	At     time.Time `json:"at"`
	Shards int       `json:"shards"`
	Bytes  int64     `json:"bytes"`
}

// maxSamples is how many polls the rate is taken from: two minutes at 5 s.
const maxSamples = 24

// Track is what was left at recent polls, oldest first.
type Track []Sample

// Add appends a sample, dropping the oldest over maxSamples.
func (t Track) Add(s Sample) Track {
	t = append(t, s)
	if len(t) > maxSamples {
		t = t[len(t)-maxSamples:]
	}
	return t
}

// Moved reports whether less is left now than at the sample before.
func (t Track) Moved() bool {
	n := len(t)
	return n > 1 && (t[n-1].Bytes < t[n-2].Bytes || t[n-1].Shards < t[n-2].Shards)
}

// rate is bytes per second from sample i to the last; zero without movement.
func (t Track) rate(i int) float64 {
	last := t[len(t)-1]
	d := last.At.Sub(t[i].At).Seconds()
	if d <= 0 || last.Bytes >= t[i].Bytes {
		return 0
	}
	return float64(t[i].Bytes-last.Bytes) / d
}

// ETA is the recent rate and the range of time left at the rates of the whole track and
// of its last third. All zero: unknown, because there was no movement lately.
func (t Track) ETA() (rate float64, low, high time.Duration) {
	n := len(t)
	if n < 3 {
		return 0, 0, 0
	}
	whole, recent := t.rate(0), t.rate(n-1-max(n/3, 1))
	left := float64(t[n-1].Bytes)
	if whole == 0 || recent == 0 || left == 0 {
		return recent, 0, 0
	}
	seconds := func(rate float64) time.Duration { return time.Duration(left / rate * float64(time.Second)) }
	up := func(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }
	return recent, up(seconds(max(whole, recent))), up(seconds(min(whole, recent)) * 5 / 4)
}

// bytesLeft is what is still to be copied of the bytes on the drained nodes. The nodes'
// own figure may be some seconds old, so what the running copies lack is the least.
func bytesLeft(onNodes int64, moves []Moving) int64 {
	done, lacking := int64(0), int64(0)
	for _, m := range moves {
		done += m.Done
		lacking += max(m.Total-m.Done, 0)
	}
	return max(onNodes-done, lacking)
}

// Moving is a shard being copied off a drained node.
type Moving struct {
	Index string
	Shard int
	To    string
	Done  int64 // bytes copied
	Total int64
}

// Label is the move for people: "logs[3] to n1, 40 %".
func (m Moving) Label() string {
	text := fmt.Sprintf("%s[%d] to %s", m.Index, m.Shard, m.To)
	if m.Total > 0 {
		text += fmt.Sprintf(", %d %%", m.Done*100/m.Total)
	}
	return text
}

// Leaving is a copy that the master is moving off a node, by the name of the node it
// goes to: no two copies of a shard go to one node.
type Leaving struct {
	index string
	shard int
	to    string
}

// LeavingOf are the copies on their way off a node.
func LeavingOf(copies []CopyOn, top Topology) []Leaving {
	var found []Leaving
	for _, s := range copies {
		if s.State == "RELOCATING" && s.Other != nil {
			found = append(found, Leaving{s.Index, s.Shard, top.NameOf(*s.Other)})
		}
	}
	return found
}

// Moves reads how far the copies on their way are. The source that Elasticsearch
// names cannot tell which those are: a replica is copied from its primary, wherever that
// is. Only the indices concerned are asked for, because Elasticsearch asks every shard of
// those it is asked for; of them it moves only a few at a time.
func (c Cluster) Moves(ctx context.Context, away []Leaving) ([]Moving, error) {
	var names []string
	for _, l := range away {
		names = append(names, l.index)
	}
	slices.Sort(names)
	var found []Moving
	for part := range InURLs(slices.Compact(names)) {
		var rows []struct {
			Index  string `json:"index"`
			Shard  string `json:"shard"`
			Target string `json:"target_node"`
			Done   string `json:"bytes_recovered"`
			Total  string `json:"bytes_total"`
		}
		err := c.Get(ctx, "/_cat/recovery/"+part, Query("active_only", "true", "bytes", "b", "format", "json",
			"h", "index,shard,target_node,bytes_recovered,bytes_total", "s", "index,shard"), &rows)
		if IsStatus(err, 404) {
			continue // one of them was deleted since: the next poll asks without it
		} else if err != nil {
			return nil, err
		}
		for _, r := range rows {
			shard, err := strconv.Atoi(r.Shard)
			if err == nil && slices.Contains(away, Leaving{r.Index, shard, r.Target}) {
				found = append(found, Moving{r.Index, shard, r.Target, max(number(&r.Done), 0), max(number(&r.Total), 0)})
			}
		}
	}
	return found, nil
}

// inURLs joins index names for the path of requests, some dozens at a time, because a
// URL may not be longer than 4 KB.
func InURLs(names []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(names) > 0 {
			n, size := 0, 0
			for n < len(names) && (n == 0 || size+len(url.PathEscape(names[n]))+1 < 2500) {
				size += len(url.PathEscape(names[n])) + 1
				n++
			}
			if !yield(url.PathEscape(strings.Join(names[:n], ","))) {
				return
			}
			names = names[n:]
		}
	}
}
