package elastic

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// sample is how much was left at a time.
type sample struct {
	At     time.Time `json:"at"`
	Shards int       `json:"shards"`
	Bytes  int64     `json:"bytes"`
}

// maxSamples is how many polls the rate is taken from: two minutes at 5 s.
const maxSamples = 24

// track is what was left at recent polls, oldest first.
type track []sample

// add appends a sample, dropping the oldest over maxSamples.
func (t track) add(s sample) track {
	t = append(t, s)
	if len(t) > maxSamples {
		t = t[len(t)-maxSamples:]
	}
	return t
}

// moved reports whether less is left now than at the sample before.
func (t track) moved() bool {
	n := len(t)
	return n > 1 && (t[n-1].Bytes < t[n-2].Bytes || t[n-1].Shards < t[n-2].Shards)
}

// rate is bytes per second from sample i to the last; zero without movement.
func (t track) rate(i int) float64 {
	last := t[len(t)-1]
	d := last.At.Sub(t[i].At).Seconds()
	if d <= 0 || last.Bytes >= t[i].Bytes {
		return 0
	}
	return float64(t[i].Bytes-last.Bytes) / d
}

// eta is the recent rate and the range of time left at the rates of the whole track and
// of its last third. All zero: unknown, because there was no movement lately.
func (t track) eta() (rate float64, low, high time.Duration) {
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
func bytesLeft(onNodes int64, moves []moving) int64 {
	done, lacking := int64(0), int64(0)
	for _, m := range moves {
		done += m.Done
		lacking += max(m.Total-m.Done, 0)
	}
	return max(onNodes-done, lacking)
}

// moving is a shard being copied off a drained node.
type moving struct {
	Index string
	Shard int
	To    string
	Done  int64 // bytes copied
	Total int64
}

// label is the move for people: "logs[3] to n1, 40 %".
func (m moving) label() string {
	text := fmt.Sprintf("%s[%d] to %s", m.Index, m.Shard, m.To)
	if m.Total > 0 {
		text += fmt.Sprintf(", %d %%", m.Done*100/m.Total)
	}
	return text
}

// movingFrom lists the running copies off the nodes with these names. The answer grows
// with the recoveries running, of which Elasticsearch keeps only a few per node.
func (c Cluster) movingFrom(ctx context.Context, names map[string]bool) ([]moving, error) {
	var rows []struct {
		Index  string `json:"index"`
		Shard  string `json:"shard"`
		Source string `json:"source_node"`
		Target string `json:"target_node"`
		Done   string `json:"bytes_recovered"`
		Total  string `json:"bytes_total"`
	}
	err := c.get(ctx, "/_cat/recovery", query("active_only", "true", "bytes", "b", "format", "json",
		"h", "index,shard,source_node,target_node,bytes_recovered,bytes_total", "s", "index,shard"), &rows)
	var found []moving
	for _, r := range rows {
		if !names[r.Source] {
			continue
		}
		shard, err := strconv.Atoi(r.Shard)
		if err != nil {
			continue
		}
		found = append(found, moving{r.Index, shard, r.Target, max(number(&r.Done), 0), max(number(&r.Total), 0)})
	}
	return found, err
}
