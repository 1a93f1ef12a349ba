package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Mappings for the documents of Fill and Writer. Lenient takes all of them; Strict
// refuses the bad ones.
const (
	Lenient = `{"properties":{"n":{"type":"keyword"},"rev":{"type":"long"},"at":{"type":"date"},"user":{"type":"keyword"},"from":{"type":"keyword"},"text":{"type":"text"}}}`
	Strict  = `{"properties":{"n":{"type":"long"},"rev":{"type":"long"},"at":{"type":"date"},"user":{"type":"keyword"},"from":{"type":"ip"},"text":{"type":"text"}}}`
)

// Filling says what documents Fill makes. The zero value: good ones.
type Filling struct {
	Seed uint64
	// Bad has the numbers of the documents that Strict refuses: an even one for its field
	// n, an odd one for its field from.
	Bad []int
}

// ID is the id of the document with number i.
func ID(i int) string { return fmt.Sprintf("d%07d", i) }

// document is what all documents of this package look like, about 150 bytes.
type document struct {
	N    any    `json:"n"`
	Rev  int64  `json:"rev"`
	At   string `json:"at"`
	User string `json:"user"`
	From string `json:"from"`
	Text string `json:"text"`
}

// began is the time of document 0; each is a second later than the one before.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var words = strings.Fields("shard node index copy write read zone alias block merge flush query bulk task slice count")

// Document is the source of the document with number i as Fill writes it.
func Document(i int, f Filling) json.RawMessage { return encode(filled(i, f)) }

func filled(i int, f Filling) document {
	r := rand.New(rand.NewPCG(f.Seed, uint64(i)))
	d := document{
		N: i, Rev: 0, At: began.Add(time.Duration(i) * time.Second).Format("2006-01-02T15:04:05.000Z"),
		User: fmt.Sprintf("u%03d", r.IntN(500)), From: fmt.Sprintf("10.%d.%d.%d", r.IntN(256), r.IntN(256), r.IntN(256)),
		Text: sentence(r),
	}
	if slices.Contains(f.Bad, i) {
		if i%2 == 0 {
			d.N = fmt.Sprintf("no number %d", i)
		} else {
			d.From = fmt.Sprintf("no address %d", i)
		}
	}
	return d
}

func sentence(r *rand.Rand) string {
	s := make([]string, 9)
	for i := range s {
		s[i] = words[r.IntN(len(words))]
	}
	return strings.Join(s, " ")
}

func encode(d document) json.RawMessage {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return b
}

const (
	fillBatch   = 2000 // documents in one bulk request
	fillWorkers = 3    // requests at one time
)

// Fill writes documents 0 to n-1 into an index, in no order, and refreshes it. A
// document that the index refuses is an error.
func Fill(ctx context.Context, urls []string, index string, n int, f Filling) error {
	nodes := Dial(urls)
	var next atomic.Int64
	g, filling := errgroup.WithContext(ctx)
	for range fillWorkers {
		g.Go(func() error {
			for {
				to := int(next.Add(fillBatch))
				if to-fillBatch >= n {
					return nil
				}
				if err := fillBulk(filling, nodes, index, to-fillBatch, min(to, n), f); err != nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("fill %s: %w", index, err)
	}
	return nodes.Read(ctx, http.MethodPost, "/"+index+"/_refresh", nil, nil)
}

func fillBulk(ctx context.Context, nodes *Nodes, index string, from, to int, f Filling) error {
	var b bytes.Buffer
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `{"index":{"_id":%q}}`+"\n%s\n", ID(i), Document(i, f))
	}
	for {
		var answer struct {
			Errors bool `json:"errors"`
			Items  []map[string]struct {
				ID     string          `json:"_id"`
				Status int             `json:"status"`
				Error  json.RawMessage `json:"error"`
			} `json:"items"`
		}
		if err := nodes.Read(ctx, http.MethodPost, "/"+index+"/_bulk?filter_path=errors,items.*.status,items.*.error,items.*._id", b.Bytes(), &answer); err != nil {
			return err
		}
		if !answer.Errors {
			return nil
		}
		for _, item := range answer.Items {
			if i := item["index"]; i.Status > 299 && i.Status != http.StatusTooManyRequests {
				return fmt.Errorf("%s: answered %d: %.300s", i.ID, i.Status, i.Error)
			}
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil { // some were too many: all again, which is harmless
			return err
		}
	}
}

// Filled is what an index holds after Fill.
func Filled(n int, f Filling) Content {
	c := make(Content, n)
	for i := range n {
		c[ID(i)] = []json.RawMessage{Document(i, f)}
	}
	return c
}
