package indices

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/elastic/go-elasticsearch/v8/esutil"
	"github.com/valyala/fastjson"

	"twokey/ops"
	"twokey/ops/elastic"
)

// Limits of one request for documents. A step's call has 10 s.
const (
	pageLimit = 8 * time.Second
	bulkLimit = 8 * time.Second
	bulkBytes = 4 << 20
)

// document is one document of an index, or with Source nil its identity only.
type document struct {
	ID      string          `json:"_id"`
	Routing string          `json:"_routing,omitempty"`
	Version int64           `json:"_version"`
	SeqNo   int64           `json:"_seq_no"`
	Term    int64           `json:"_primary_term"`
	Source  json.RawMessage `json:"_source,omitempty"`
}

// window is a part of an index: the documents whose latest operation has a sequence
// number from From to To, both included, on one shard, or on all with Shard -1. A document
// that is written meanwhile leaves the window for a later one, so pages need neither a
// scroll nor a point in time: each is a question of its own, and can be asked again.
type window struct {
	Shard int   `json:"shard"`
	From  int64 `json:"from"`
	To    int64 `json:"to"`
}

// errTooMany says that a window holds more documents than one page may.
var errTooMany = errors.New("more documents than fit one page")

// page reads the documents of a window as they are searchable now, at most size of them.
// prefer is a node attribute and value ("zone:b") to read from only; empty: any copy.
func (s Site) page(ctx context.Context, index string, w window, size int, source bool, prefer string) ([]document, error) {
	q := url.Values{"filter_path": {"timed_out,_shards,hits.total.value,hits.hits"}}
	if p := preference(w.Shard, prefer); p != "" {
		q.Set("preference", p)
	}
	if !source {
		q.Set("filter_path", "timed_out,_shards,hits.total.value,hits.hits._id,hits.hits._routing,hits.hits._version,hits.hits._seq_no,hits.hits._primary_term")
	}
	var raw []byte
	err := s.ask(ctx, elastic.Request{
		Method: http.MethodPost, Path: "/" + url.PathEscape(index) + "/_search", Query: q, Limit: pageLimit, Answer: &raw,
		Body: map[string]any{
			"size": size, "sort": []string{"_doc"}, "track_total_hits": true, "version": true, "seq_no_primary_term": true,
			"_source": source, "stats": []string{searchGroup}, "query": between(w.From, w.To),
		},
	})
	if elastic.IsLonger(err) {
		return nil, errTooMany
	} else if err != nil {
		return nil, err
	}
	parse := identities
	if source {
		parse = contents
	}
	f, err := parse(raw)
	switch {
	case err != nil:
		return nil, s.Translate(fmt.Errorf("%w: page of %s: %w", elastic.ErrAnswer, index, err))
	case f.timedOut || f.failed > 0 || f.shards == 0:
		return nil, fmt.Errorf("reading %s: %d of %d shards failed", index, f.failed, f.shards)
	case f.total > len(f.hits):
		return nil, errTooMany
	}
	return f.hits, nil
}

// ask sends a request that may be carried out twice, and a few times more if the cluster
// turns it away or a node does not answer.
func (s Site) ask(ctx context.Context, r elastic.Request) error {
	for try := 1; ; try++ {
		err := s.Do(ctx, r)
		if err == nil || try == 4 || ops.Held(ctx) != nil || !elastic.WorthAnother(err) || elastic.IsLonger(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond << try):
		}
	}
}

// found is the answer to a search.
type found struct {
	timedOut       bool
	shards, failed int
	total          int
	hits           []document
	next           string // name of the point in time that was read, from now on
	last           int64  // position of the last document in it
}

// contents reads an answer with the documents' sources, as they are, byte for byte.
func contents(raw []byte) (found, error) {
	var answer struct {
		TimedOut bool `json:"timed_out"`
		Shards   struct {
			Total  int `json:"total"`
			Failed int `json:"failed"`
		} `json:"_shards"`
		Hits struct {
			Total struct {
				Value int `json:"value"`
			} `json:"total"`
			Hits []document `json:"hits"`
		} `json:"hits"`
	}
	err := json.Unmarshal(raw, &answer)
	return found{timedOut: answer.TimedOut, shards: answer.Shards.Total, failed: answer.Shards.Failed, total: answer.Hits.Total.Value, hits: answer.Hits.Hits}, err
}

// identities reads an answer without sources. A comparison reads millions of these.
func identities(raw []byte) (found, error) {
	var p fastjson.Parser
	v, err := p.ParseBytes(raw)
	if err != nil {
		return found{}, err
	}
	f := found{timedOut: v.GetBool("timed_out"), shards: v.GetInt("_shards", "total"), failed: v.GetInt("_shards", "failed"), total: v.GetInt("hits", "total", "value")}
	hits := v.GetArray("hits", "hits")
	f.position(v, hits)
	f.hits = make([]document, len(hits))
	for i, h := range hits {
		f.hits[i] = document{
			ID: string(h.GetStringBytes("_id")), Routing: string(h.GetStringBytes("_routing")),
			Version: h.GetInt64("_version"), SeqNo: h.GetInt64("_seq_no"), Term: h.GetInt64("_primary_term"),
		}
	}
	return f, nil
}

// searchGroup marks our searches in the statistics, so that they can be told from those
// of the cluster's users.
const searchGroup = "twokey"

func between(from, to int64) any {
	return map[string]any{"range": map[string]any{"_seq_no": map[string]int64{"gte": from, "lte": to}}}
}

func preference(shard int, prefer string) string {
	p := ""
	if shard >= 0 {
		p = "_shards:" + strconv.Itoa(shard)
	}
	if prefer != "" {
		if p != "" {
			p += "|"
		}
		p += "_only_nodes:" + prefer
	}
	return p
}

// lookup reads documents by id, as they are now, searchable or not. Those that are not
// there are left out. ids and routings go together. Large documents are asked for by fewer
// at a time.
func (s Site) lookup(ctx context.Context, index string, docs []document, source bool) (map[string]document, error) {
	type item struct {
		ID      string `json:"_id"`
		Routing string `json:"routing,omitempty"`
	}
	found := make(map[string]document, len(docs))
	most := 2_000
	if source {
		most = 500
	}
	for len(docs) > 0 {
		n := min(len(docs), most)
		var items []item
		for _, d := range docs[:n] {
			items = append(items, item{d.ID, d.Routing})
		}
		var answer struct {
			Docs []struct {
				document
				Found bool            `json:"found"`
				Error json.RawMessage `json:"error"`
			} `json:"docs"`
		}
		err := s.ask(ctx, elastic.Request{
			Method: http.MethodPost, Path: "/" + url.PathEscape(index) + "/_mget",
			Query: elastic.Query("realtime", "true", "_source", strconv.FormatBool(source)),
			Limit: pageLimit, Body: map[string]any{"docs": items}, Answer: &answer,
		})
		if elastic.IsLonger(err) && n > 1 {
			most = n / 2
			continue
		}
		if err != nil {
			return nil, err
		}
		docs = docs[n:]
		if len(answer.Docs) != n {
			return nil, fmt.Errorf("reading %s by id: %d answers for %d documents", index, len(answer.Docs), n)
		}
		for _, d := range answer.Docs {
			if len(d.Error) > 0 {
				return nil, fmt.Errorf("reading %s by id: %.200s", index, d.Error)
			}
			if d.Found {
				found[d.ID] = d.document
			}
		}
	}
	return found, nil
}

// How a document is written to an index.
const (
	newer     = "external"     // refused where that version or a later one is
	asNew     = "external_gte" // refused where a later version is
	onlyIfNew = "create"       // refused where there is any
)

// action is one document to be written or deleted.
type action struct {
	document
	Delete bool
	How    string // newer, asNew or onlyIfNew; a delete with Term set: only what was seen
}

// outcome is what became of an action.
type outcome struct {
	Status int // 200, 201; 409 refused by How; 404 deleted already; 400 unfit; others: try again
	Type   string
	Reason string
}

func (o outcome) done() bool     { return o.Status == 200 || o.Status == 201 }
func (o outcome) conflict() bool { return o.Status == http.StatusConflict }

// unfit reports whether the index's mapping, or the document itself, is the reason: trying
// again does not help.
func (o outcome) unfit() bool { return o.Status == http.StatusBadRequest }

// write sends actions to one index and returns what became of each, in order. An error
// means that some may have been carried out: they can all be sent again.
func (s Site) write(ctx context.Context, index, pipeline, token string, actions []action) ([]outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, bulkLimit)
	defer cancel()
	out := make([]outcome, len(actions))
	var mu sync.Mutex
	var failed error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failed = errors.Join(failed, err)
	}
	bulk, err := esutil.NewBulkIndexer(esutil.BulkIndexerConfig{
		Client: s.Held(ctx), Index: index, Pipeline: pipeline, NumWorkers: 1, FlushBytes: bulkBytes, FlushInterval: time.Hour,
		Timeout: bulkLimit / 2, Header: http.Header{"X-Opaque-Id": {token}},
		FilterPath: []string{"errors", "items.*.status", "items.*.error.type", "items.*.error.reason", "items.*.error.caused_by"},
		OnError:    func(_ context.Context, err error) { fail(err) },
	})
	if err != nil {
		return nil, err
	}
	for i, a := range actions {
		if !quotable(a.ID) || !quotable(a.Routing) {
			if out[i], err = s.writeOne(ctx, index, pipeline, token, a); err != nil {
				fail(err)
			}
			continue
		}
		err := bulk.Add(ctx, a.item(func(o outcome) {
			mu.Lock()
			defer mu.Unlock()
			out[i] = o
		}, fail))
		if err != nil {
			fail(err)
			break
		}
	}
	if err := bulk.Close(ctx); err != nil {
		fail(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if failed != nil {
		return nil, s.Translate(failed)
	}
	for i, o := range out {
		if o.Status == 0 {
			return nil, fmt.Errorf("writing %s: no answer about document %s", index, actions[i].ID)
		}
	}
	return out, nil
}

// item is the action for the bulk indexer, which calls one of the two.
func (a action) item(done func(outcome), failed func(error)) esutil.BulkIndexerItem {
	item := esutil.BulkIndexerItem{Action: "index", DocumentID: a.ID, Routing: a.Routing}
	switch {
	case a.Delete:
		item.Action = "delete"
		item.IfSeqNo, item.IfPrimaryTerm = &a.SeqNo, &a.Term
	case a.How == onlyIfNew:
		item.Action = "create"
	default:
		item.Version, item.VersionType = &a.Version, a.How
	}
	if !a.Delete {
		item.Body = bytes.NewReader(oneLine(a.Source))
	}
	item.OnSuccess = func(_ context.Context, _ esutil.BulkIndexerItem, r esutil.BulkIndexerResponseItem) {
		done(outcome{Status: r.Status})
	}
	item.OnFailure = func(_ context.Context, _ esutil.BulkIndexerItem, r esutil.BulkIndexerResponseItem, err error) {
		if err != nil || r.Status == 0 {
			failed(errors.Join(err, errNoOutcome))
			return
		}
		reason := r.Error.Reason
		if r.Error.Cause.Reason != "" {
			reason += ": " + r.Error.Cause.Reason
		}
		done(outcome{r.Status, r.Error.Type, reason})
	}
	return item
}

var errNoOutcome = errors.New("no answer about a document")

// writeOne writes a document whose id or routing the bulk indexer would garble.
func (s Site) writeOne(ctx context.Context, index, pipeline, token string, a action) (outcome, error) {
	q := url.Values{}
	method, body := http.MethodPut, any([]byte(a.Source))
	kind := "_doc"
	switch {
	case a.Delete:
		method, body = http.MethodDelete, nil
		q.Set("if_seq_no", strconv.FormatInt(a.SeqNo, 10))
		q.Set("if_primary_term", strconv.FormatInt(a.Term, 10))
	case a.How == onlyIfNew:
		kind = "_create"
	default:
		q.Set("version", strconv.FormatInt(a.Version, 10))
		q.Set("version_type", a.How)
	}
	if a.Routing != "" {
		q.Set("routing", a.Routing)
	}
	if pipeline != "" && !a.Delete {
		q.Set("pipeline", pipeline)
	}
	err := s.Do(ctx, elastic.Request{
		Method: method, Path: "/" + url.PathEscape(index) + "/" + kind + "/" + url.PathEscape(a.ID), Query: q,
		Body: body, Token: token, Limit: bulkLimit,
	})
	var refused *elastic.APIError
	if errors.As(err, &refused) && (refused.Status == 409 || refused.Status == 400 || refused.Status == 404 && a.Delete) {
		return outcome{refused.Status, refused.Type, refused.Reason}, nil
	}
	return outcome{Status: http.StatusOK}, err
}

// quotable reports whether Go quotes a text as JSON does, which the bulk indexer takes for
// granted: it would send \x7f and \U0001f600, and the whole request would be refused.
func quotable(s string) bool {
	quoted := strconv.Quote(s)
	var back string
	return json.Unmarshal([]byte(quoted), &back) == nil && back == s
}

// oneLine is a JSON text without line ends, which end a document in a bulk request.
func oneLine(source json.RawMessage) []byte {
	if !bytes.ContainsAny(source, "\n\r") {
		return source
	}
	var b bytes.Buffer
	if json.Compact(&b, source) != nil {
		return source
	}
	return b.Bytes()
}
