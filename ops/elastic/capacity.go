package elastic

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Disk is what one node's disk holds, in bytes. Avail and Total are -1 if unknown.
type Disk struct {
	Shards  int
	Indices int64
	Avail   int64
	Total   int64
}

// Disks reads the disks of all data nodes, by node name.
func (c Cluster) Disks(ctx context.Context) (map[string]Disk, error) {
	var rows []struct {
		Node    string  `json:"node"`
		Shards  string  `json:"shards"`
		Indices *string `json:"disk.indices"`
		Avail   *string `json:"disk.avail"`
		Total   *string `json:"disk.total"`
	}
	err := c.Get(ctx, "/_cat/allocation", Query("h", "node,shards,disk.indices,disk.avail,disk.total",
		"bytes", "b", "format", "json", "master_timeout", "5s"), &rows)
	if err != nil {
		return nil, err
	}
	all := map[string]Disk{}
	for _, r := range rows {
		shards, err := strconv.Atoi(r.Shards)
		if err != nil {
			return nil, c.Translate(fmt.Errorf("%w: shards %q", ErrAnswer, r.Shards))
		}
		if r.Node != "UNASSIGNED" || r.Avail != nil {
			all[r.Node] = Disk{shards, number(r.Indices), number(r.Avail), number(r.Total)}
		}
	}
	return all, nil
}

// number reads a count of bytes; absent or unreadable is -1.
func number(text *string) int64 {
	if text == nil {
		return -1
	}
	n, err := strconv.ParseInt(*text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// Watermark is the low disk watermark: a node takes no new shard that would leave it
// less free space. Free is absolute bytes; Used a share of the disk with Headroom as
// the most that has to stay free (-1: no such limit). Off: not enforced.
type Watermark struct {
	Off      bool
	Free     int64
	Used     float64
	Headroom int64
}

// LowWatermark reads the watermark from the settings. An unreadable one is an error.
func LowWatermark(a Allocation) (Watermark, error) {
	if a.Get("allocation.disk.threshold_enabled") == "false" {
		return Watermark{Off: true}, nil
	}
	w := Watermark{Headroom: -1}
	text := a.Get("allocation.disk.watermark.low")
	if share, ok := strings.CutSuffix(text, "%"); ok {
		used, err := strconv.ParseFloat(share, 64)
		if err != nil {
			return w, fmt.Errorf("watermark %q", text)
		}
		w.Used = used / 100
	} else if used, err := strconv.ParseFloat(text, 64); err == nil {
		w.Used = used
	} else if w.Free, err = parseBytes(text); err != nil {
		return w, fmt.Errorf("watermark %q: %w", text, err)
	}
	if room := a.Get("allocation.disk.watermark.low.max_headroom"); w.Used > 0 && room != "" && room != "-1" {
		var err error
		if w.Headroom, err = parseBytes(room); err != nil {
			return w, fmt.Errorf("headroom %q: %w", room, err)
		}
	}
	return w, nil
}

// Room is how many bytes a disk can take before it reaches the watermark, never
// negative. False: the disk's size is unknown.
func (w Watermark) Room(d Disk) (int64, bool) {
	if d.Avail < 0 || d.Total < 0 {
		return 0, false
	}
	keep := w.Free
	switch {
	case w.Off:
		keep = 0
	case w.Used > 0:
		keep = int64(math.Ceil(float64(d.Total) * (1 - w.Used)))
		if w.Headroom >= 0 {
			keep = min(keep, w.Headroom)
		}
	}
	return max(d.Avail-keep, 0), true
}

// units of sizes in Elasticsearch's settings; all are powers of 1024.
var units = []struct {
	suffix string
	bytes  int64
}{{"pb", 1 << 50}, {"tb", 1 << 40}, {"gb", 1 << 30}, {"mb", 1 << 20}, {"kb", 1 << 10}, {"b", 1}}

// parseBytes reads "200GB", "40mb", "512b".
func parseBytes(text string) (int64, error) {
	lower := strings.ToLower(strings.TrimSpace(text))
	for _, u := range units {
		if n, ok := strings.CutSuffix(lower, u.suffix); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(n), 64)
			if err != nil || v < 0 {
				return 0, fmt.Errorf("size %q", text)
			}
			return int64(v * float64(u.bytes)), nil
		}
	}
	return 0, fmt.Errorf("size %q has no unit", text)
}

// size writes bytes for people: "1.2 GB". Units are powers of 1024, as Elasticsearch's.
func Bytes(b int64) string {
	for _, u := range units {
		if b >= u.bytes && u.bytes > 1 {
			return strconv.FormatFloat(float64(b)/float64(u.bytes), 'f', 1, 64) + " " + strings.ToUpper(u.suffix)
		}
	}
	return fmt.Sprintf("%d B", b)
}

// span writes a duration for people: "40 s", "12 min", "3 h 20 min", "2 d 4 h".
func Span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
	case d < 24*time.Hour:
		return strings.TrimSuffix(fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60), " 0 min")
	}
	return strings.TrimSuffix(fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24), " 0 h")
}
