package elastic

import (
	"testing"
	"time"
)

func TestLowWatermarkRoom(t *testing.T) {
	const gb = int64(1) << 30
	d := Disk{Avail: 100 * gb, Total: 200 * gb}
	set := func(pairs ...string) Allocation {
		a := Allocation{Persistent: map[string]string{}, Defaults: map[string]string{
			"cluster.routing.allocation.disk.watermark.low": "85%", "cluster.routing.allocation.disk.watermark.low.max_headroom": "200GB"}}
		for i := 0; i < len(pairs); i += 2 {
			a.Persistent["cluster.routing.allocation.disk."+pairs[i]] = pairs[i+1]
		}
		return a
	}
	tests := []struct {
		name string
		a    Allocation
		want int64
	}{
		{"default", set(), 70 * gb},
		{"ratio", set("watermark.low", "0.75"), 50 * gb},
		{"free bytes", set("watermark.low", "40gb"), 60 * gb},
		{"headroom is less", set("watermark.low.max_headroom", "10gb"), 90 * gb},
		{"no headroom", set("watermark.low.max_headroom", "-1"), 70 * gb},
		{"over it", set("watermark.low", "150gb"), 0},
		{"off", set("threshold_enabled", "false"), 100 * gb},
	}
	for _, tt := range tests {
		w, err := LowWatermark(tt.a)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got, ok := w.Room(d); !ok || got < tt.want-1 || got > tt.want+1 {
			t.Errorf("%s: room %s, want %s", tt.name, Bytes(got), Bytes(tt.want))
		}
	}
	if _, err := LowWatermark(set("watermark.low", "plenty")); err == nil {
		t.Error("an unreadable watermark gave no error")
	}
	if _, ok := (Watermark{}).Room(Disk{Avail: -1, Total: -1}); ok {
		t.Error("an unknown disk has known room")
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"200GB": 200 << 30, "40mb": 40 << 20, "512b": 512, "1.5kb": 1536} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("parseBytes(%q) = %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "12", "-1", "gb", "-5mb"} {
		if _, err := parseBytes(text); err == nil {
			t.Errorf("parseBytes(%q) gave no error", text)
		}
	}
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KB", 5 << 40: "5.0 TB"} {
		if got := Bytes(bytes); got != want {
			t.Errorf("Bytes(%d) = %q", bytes, got)
		}
	}
	for d, want := range map[time.Duration]string{40 * time.Second: "40 s", 90 * time.Minute: "1 h 30 min", 50 * time.Hour: "2 d 2 h"} {
		if got := Span(d); got != want {
			t.Errorf("Span(%s) = %q", d, got)
		}
	}
}

func TestETA(t *testing.T) {
	at := time.Unix(0, 0)
	line := func(left ...int64) Track {
		var tr Track
		for i, b := range left {
			tr = tr.Add(Sample{at.Add(time.Duration(i) * 5 * time.Second), 3, b})
		}
		return tr
	}
	tests := []struct {
		name      string
		t         Track
		low, high time.Duration
	}{
		{"too few", line(100, 50), 0, 0},
		{"steady", line(1000, 900, 800, 700, 600), 30 * time.Second, 38 * time.Second},
		{"slowing down", line(1000, 700, 400, 390, 380, 370), 15 * time.Second, 232 * time.Second},
		{"stands still", line(1000, 700, 400, 400, 400, 400), 0, 0},
		{"grows", line(400, 500, 600, 700), 0, 0},
	}
	for _, tt := range tests {
		if _, low, high := tt.t.ETA(); low != tt.low || high != tt.high {
			t.Errorf("%s: %s to %s, want %s to %s", tt.name, low, high, tt.low, tt.high)
		}
	}
	if n := len(line(make([]int64, 100)...)); n != maxSamples {
		t.Errorf("%d samples kept", n)
	}
}

func TestBytesLeft(t *testing.T) {
	moves := []Moving{{Done: 60, Total: 100}, {Done: 0, Total: 50}}
	if got := bytesLeft(1000, moves); got != 940 {
		t.Errorf("%d", got)
	}
	if got := bytesLeft(70, moves); got != 90 { // the node's figure is old
		t.Errorf("%d", got)
	}
}
