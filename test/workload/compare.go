package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
)

// shown is how many differences a Diff has in words.
const shown = 20

// Diff is where an index is not what it should be.
type Diff struct {
	Read      int // documents in the index
	Missing   int // in the content, not in the index
	Extra     int // in the index, not in the content
	Different int // with another source
	Examples  []string
}

// Same reports whether there is no difference.
func (d Diff) Same() bool { return d.Missing+d.Extra+d.Different == 0 }

func (d Diff) String() string {
	s := fmt.Sprintf("%d documents read: %d missing, %d extra, %d different", d.Read, d.Missing, d.Extra, d.Different)
	return strings.Join(append([]string{s}, d.Examples...), "\n")
}

func (d *Diff) note(count *int, format string, args ...any) {
	*count++
	if len(d.Examples) < shown {
		d.Examples = append(d.Examples, fmt.Sprintf(format, args...))
	}
}

type hit struct {
	ID     string          `json:"_id"`
	Source json.RawMessage `json:"_source"`
	Sort   json.RawMessage `json:"sort"`
}

// Compare refreshes an index or alias, reads all of it and returns the differences. An
// error means that it could not be read whole.
func Compare(ctx context.Context, urls []string, index string, content Content) (Diff, error) {
	var d Diff
	seen := make(map[string]bool, len(content))
	err := scan(ctx, Dial(urls), index, func(h hit) {
		d.Read++
		sources, known := content[h.ID]
		switch {
		case seen[h.ID]:
			d.note(&d.Extra, "%s: there twice", h.ID)
		case !known:
			d.note(&d.Extra, "%s: extra, %s", h.ID, h.Source)
		case !holds(sources, h.Source) && onlyNil(sources):
			d.note(&d.Extra, "%s: deleted, but there: %s", h.ID, h.Source)
		case !holds(sources, h.Source):
			d.note(&d.Different, "%s: %s, not %s", h.ID, h.Source, bytes.Join(raw(sources), []byte(" or ")))
		}
		seen[h.ID] = true
	})
	if err != nil {
		return Diff{}, fmt.Errorf("compare %s: %w", index, err)
	}
	for id, sources := range content {
		if !seen[id] && !holds(sources, nil) {
			d.note(&d.Missing, "%s: missing, %s", id, sources[len(sources)-1])
		}
	}
	return d, nil
}

// scan calls f for each document of an index, as it is now.
func scan(ctx context.Context, nodes *Nodes, index string, f func(hit)) error {
	if err := nodes.Read(ctx, http.MethodPost, "/"+index+"/_refresh", nil, nil); err != nil {
		return err
	}
	var pit struct {
		ID string `json:"id"`
	}
	if err := nodes.Read(ctx, http.MethodPost, "/"+index+"/_pit?keep_alive=5m", nil, &pit); err != nil {
		return err
	}
	defer nodes.Do(context.WithoutCancel(ctx), http.MethodDelete, "/_pit", map[string]string{"id": pit.ID}, nil) // it ends by itself, too
	query := map[string]any{
		"size": 2000, "sort": []string{"_shard_doc"}, "track_total_hits": false,
		"pit": map[string]string{"id": pit.ID, "keep_alive": "5m"},
	}
	for {
		var page struct {
			Hits struct {
				Hits []hit `json:"hits"`
			} `json:"hits"`
		}
		if err := nodes.Read(ctx, http.MethodPost, "/_search?allow_partial_search_results=false&filter_path=hits.hits._id,hits.hits._source,hits.hits.sort", query, &page); err != nil {
			return err
		}
		hits := page.Hits.Hits
		if len(hits) == 0 {
			return nil
		}
		for _, h := range hits {
			f(h)
		}
		query["search_after"] = hits[len(hits)-1].Sort
	}
}

// holds reports whether source is one of sources; nil is the absence of a document.
func holds(sources []json.RawMessage, source json.RawMessage) bool {
	for _, s := range sources {
		if (s == nil) == (source == nil) && (bytes.Equal(s, source) || equal(s, source)) {
			return true
		}
	}
	return false
}

func onlyNil(sources []json.RawMessage) bool {
	for _, s := range sources {
		if s != nil {
			return false
		}
	}
	return true
}

func raw(sources []json.RawMessage) [][]byte {
	var b [][]byte
	for _, s := range sources {
		if s == nil {
			s = json.RawMessage("no document")
		}
		b = append(b, s)
	}
	return b
}

// equal reports whether two sources say the same; the order of fields does not matter,
// how numbers are written does.
func equal(a, b json.RawMessage) bool {
	var x, y any
	return decode(a, &x) == nil && decode(b, &y) == nil && reflect.DeepEqual(x, y)
}

func decode(b json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}
