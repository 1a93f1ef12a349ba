package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"twokey/test/workload"
)

// call is one way to call _reindex.
type call struct {
	slices string
	size   int // documents in a batch; 0: the server's own, 1000
	// lean: the target neither refreshes nor syncs its log while it is filled, and gets its
	// own settings afterwards.
	lean bool
}

func (k call) String() string {
	s := "slices=" + k.slices
	if k.size > 0 {
		s += fmt.Sprintf(", size %d", k.size)
	}
	if k.lean {
		s += ", lean target"
	}
	return s
}

// create makes an index without replicas for the documents of the workload.
func (c *cluster) create(ctx context.Context, name string, shards int, lean bool) error {
	settings := map[string]any{"number_of_shards": shards, "number_of_replicas": 0}
	if lean {
		settings["refresh_interval"] = "-1"
		settings["translog"] = map[string]any{"durability": "async", "sync_interval": "60s", "flush_threshold_size": "1gb"}
	}
	return c.Do(ctx, http.MethodPut, "/"+name, map[string]any{"settings": settings, "mappings": json.RawMessage(workload.Strict)}, nil)
}

// reindex copies source into a new target by one call, after which the target is
// searchable and has its own settings.
func (c *cluster) reindex(ctx context.Context, source, target string, shards int, k call) figures {
	var answer struct {
		Took     int64 `json:"took"`
		Failures []any `json:"failures"`
	}
	f := timed(func() error {
		if err := c.create(ctx, target, shards, k.lean); err != nil {
			return err
		}
		from := map[string]any{"index": source}
		if k.size > 0 {
			from["size"] = k.size
		}
		body := map[string]any{"source": from, "dest": map[string]any{"index": target}}
		if err := c.long(ctx, "/_reindex?refresh=true&slices="+k.slices, body, &answer); err != nil {
			return err
		}
		if len(answer.Failures) > 0 {
			return fmt.Errorf("_reindex has %d failures, the first is %v", len(answer.Failures), answer.Failures[0])
		}
		if !k.lean {
			return nil
		}
		return c.Do(ctx, http.MethodPut, "/"+target+"/_settings", []byte(`{"index":{"refresh_interval":null,"translog":{"durability":null,"sync_interval":null,"flush_threshold_size":null}}}`), nil)
	})
	f.alone = time.Duration(answer.Took) * time.Millisecond
	return f
}

// long posts a request that may take as long as it likes.
func (c *cluster) long(ctx context.Context, path string, body, out any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.urls[0]+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if b, err = io.ReadAll(res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d: %.500s", path, res.StatusCode, b)
	}
	return json.Unmarshal(b, out)
}

// calibrations is how often each candidate for the best call is tried.
const calibrations = 2

// best tries several tuned calls and returns the one whose copying was fastest, and what
// all came to.
func (c *cluster) best(ctx context.Context, source, target string, shards int) (call, string, error) {
	var best call
	var least time.Duration
	note := "Calibration of the best raw call, seconds from no target to a searchable one:"
	took := make(map[call][]time.Duration)
	var candidates []call
	for _, slices := range []int{1, shards, 2 * shards} {
		for _, size := range []int{1000, 5000} {
			candidates = append(candidates, call{fmt.Sprint(slices), size, true})
		}
	}
	for range calibrations {
		for _, k := range candidates {
			if err := c.settle(ctx, source, target); err != nil {
				return call{}, "", err
			}
			f := c.reindex(ctx, source, target, shards, k)
			if f.err != nil {
				return call{}, "", fmt.Errorf("calibration, %s: %w", k, f.err)
			}
			log.Printf("calibration, %s: %.1f s", k, f.took.Seconds())
			took[k] = append(took[k], f.took)
			if least == 0 || f.took < least {
				best, least = k, f.took
			}
		}
	}
	for _, k := range candidates {
		note += fmt.Sprintf(" %s:", k)
		for _, d := range took[k] {
			note += fmt.Sprintf(" %.1f", d.Seconds())
		}
		note += ";"
	}
	return best, note[:len(note)-1] + ".", nil
}
