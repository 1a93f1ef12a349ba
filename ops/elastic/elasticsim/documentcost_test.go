package elasticsim

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Two hundred thousand documents must be affordable, and a page of a window of sequence
// numbers must cost what it shows, not what the shard holds.
func TestTwoHundredThousandDocuments(t *testing.T) {
	c := New(Options{Nodes: []Node{{Name: "n1"}, {Name: "n2"}}})
	ask(t, c, 200, "PUT", "/a", `{"settings":{"number_of_shards":3},"mappings":{"properties":{"n":{"type":"long"},"name":{"type":"keyword"},"at":{"type":"date"}}}}`, nil)
	const docs, batch = 200_000, 5000
	var b strings.Builder
	begin := time.Now()
	var longest time.Duration
	for i := range docs {
		fmt.Fprintf(&b, `{"index":{"_id":"document-%d"}}`+"\n"+`{"n":%d,"name":"document %d","at":"2026-11-26T00:00:00Z","text":"%s"}`+"\n", i, i, i, strings.Repeat("x", 100))
		if (i+1)%batch == 0 {
			one := time.Now()
			ask(t, c, 200, "POST", "/a/_bulk?filter_path=errors", b.String(), nil)
			longest = max(longest, time.Since(one))
			b.Reset()
		}
	}
	ask(t, c, 200, "POST", "/a/_refresh", "", nil)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("%d documents in %s, a bulk of %d at most %s, %d MB held", docs, time.Since(begin), batch, longest, m.HeapAlloc>>20)

	cost := func(body string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := time.Now()
		for range 20 {
			ask(t, c, 200, "POST", "/a/_search?preference=_shards:1", body, nil)
		}
		runtime.ReadMemStats(&after)
		t.Logf("%s: %s", body, time.Since(begin)/20)
		return (after.TotalAlloc - before.TotalAlloc) / 20
	}
	for _, body := range []string{
		`{"size":100,"track_total_hits":true,"sort":["_doc"],"version":true,"seq_no_primary_term":true,"query":{"range":{"_seq_no":{"gte":40000,"lte":40099}}}}`,
		`{"size":100,"track_total_hits":false,"sort":[{"_seq_no":"asc"}],"search_after":[50000]}`,
		`{"size":100,"query":{"ids":{"values":["document-3","document-199999"]}}}`,
		`{"size":0,"track_total_hits":true}`,
	} {
		if got := cost(body); got > 1<<20 {
			t.Errorf("%s allocates %d bytes", body, got)
		}
	}
	begin = time.Now()
	var a copied
	ask(t, c, 200, "POST", "/_reindex", `{"source":{"index":"a","size":5000,"query":{"range":{"_seq_no":{"lt":5000}}}},"dest":{"index":"b"}}`, &a)
	t.Logf("a reindex of %d in %s, of which %d ms are the simulated server's", a.Created, time.Since(begin), a.Took)
	if a.Created != 15000 {
		t.Errorf("%+v", a)
	}
}
