package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	scrollSize    = 1000
	outputWorkers = 4
)

const scrollBulkHow = "what Logstash does with its elasticsearch input and output, in Go and so without Logstash's own cost: one scroll of 1000, 4 output workers, bulk requests of 1000"

// page is one answer of a scroll.
type page struct {
	Scroll string `json:"_scroll_id"`
	Hits   struct {
		Hits []struct {
			ID     string          `json:"_id"`
			Source json.RawMessage `json:"_source"`
		} `json:"hits"`
	} `json:"hits"`
}

// scrollBulk copies source into a new target by one scroll and some bulk workers.
func (c *cluster) scrollBulk(ctx context.Context, source, target string) figures {
	return timed(func() error {
		if err := c.create(ctx, target, singleShards, false); err != nil {
			return err
		}
		pages := make(chan page, outputWorkers)
		g, copying := errgroup.WithContext(ctx)
		g.Go(func() error { defer close(pages); return c.scroll(copying, source, pages) })
		for range outputWorkers {
			g.Go(func() error {
				for p := range pages {
					if err := c.bulk(copying, target, p); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		return c.Do(ctx, http.MethodPost, "/"+target+"/_refresh", nil, nil)
	})
}

func (c *cluster) scroll(ctx context.Context, source string, pages chan<- page) error {
	path, body := "/"+source+"/_search?scroll=1m", map[string]any{"size": scrollSize, "sort": []string{"_doc"}}
	for {
		var p page
		if err := c.Do(ctx, http.MethodPost, path, body, &p); err != nil {
			return err
		}
		path, body = "/_search/scroll", map[string]any{"scroll": "1m", "scroll_id": p.Scroll}
		if len(p.Hits.Hits) == 0 {
			return c.Do(ctx, http.MethodDelete, path, map[string]any{"scroll_id": p.Scroll}, nil)
		}
		select {
		case pages <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// bulk writes a page, again while the cluster has too much to do, as Logstash does.
func (c *cluster) bulk(ctx context.Context, target string, p page) error {
	var b bytes.Buffer
	for _, h := range p.Hits.Hits {
		fmt.Fprintf(&b, `{"index":{"_id":%q}}`+"\n%s\n", h.ID, h.Source)
	}
	for try := 1; ; try++ {
		var answer struct {
			Errors bool `json:"errors"`
		}
		err := c.Do(ctx, http.MethodPost, "/"+target+"/_bulk?filter_path=errors", b.Bytes(), &answer)
		if err == nil && answer.Errors {
			err = errors.New("the bulk request has items that failed")
		}
		if err == nil || try == 5 || ctx.Err() != nil {
			return err
		}
		time.Sleep(time.Duration(try) * 500 * time.Millisecond)
	}
}
