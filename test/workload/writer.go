package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Writing says what a Writer does.
type Writing struct {
	URLs  []string // each goroutine stays with a node until it does not answer, and then takes the next
	Index string   // or an alias that can be written to
	// Alias: Index is an alias, and must not become an index if it is gone for a moment.
	Alias bool
	// Filled is how many documents of Fill with this Filling the index holds. Bad ones
	// are left alone.
	Filled  int
	Filling Filling
	Rate    float64 // operations per second; while writes are refused they are not made up for
	Seed    uint64
	// Creates, Updates and Deletes are shares of the operations. All zero: 3, 5 and 2. Half
	// of the updates replace the document, half change some of its fields.
	Creates, Updates, Deletes int
}

const (
	writers    = 8                      // goroutines, each with documents of its own
	tryLimit   = 20 * time.Second       // of one request, more than the server's own
	tryAgain   = 100 * time.Millisecond // after an answer
	tryAnother = 500 * time.Millisecond // after none: what is under way in the cluster may end first
)

// Writer changes documents as an application does: whatever is not acknowledged, it
// waits and tries again, until it is. Documents it makes have ids that begin with "w".
type Writer struct {
	o    Writing
	rev  atomic.Int64
	acks atomic.Int64
	mu   sync.Mutex
	log  []Entry
	stop chan struct{}
	done sync.WaitGroup
	end  context.CancelFunc // ends even the operations in hand
}

// StartWriter starts one. It goes on until Stop.
func StartWriter(o Writing) *Writer {
	if o.Creates+o.Updates+o.Deletes == 0 {
		o.Creates, o.Updates, o.Deletes = 3, 5, 2
	}
	ctx, end := context.WithCancel(context.Background())
	w := &Writer{o: o, stop: make(chan struct{}), end: end}
	for i := range writers {
		first := i % len(o.URLs)
		h := hand{
			w: w, number: i, rand: rand.New(rand.NewPCG(o.Seed, uint64(i))),
			nodes: Dial(slices.Concat(o.URLs[first:], o.URLs[:first])),
		}
		w.done.Go(func() { h.run(ctx) })
	}
	return w
}

// Acknowledged counts the operations that were, so far.
func (w *Writer) Acknowledged() int { return int(w.acks.Load()) }

// Stop begins no more operations, waits until those in hand are acknowledged, or until
// ctx ends, and returns the log. It may be called once.
func (w *Writer) Stop(ctx context.Context) []Entry {
	close(w.stop)
	defer w.end()
	defer context.AfterFunc(ctx, w.end)()
	w.done.Wait()
	return w.log
}

func (w *Writer) note(e Entry) {
	e.At = time.Now()
	w.mu.Lock()
	w.log = append(w.log, e)
	w.mu.Unlock()
	if e.Fate == Acknowledged {
		w.acks.Add(1)
	}
}

// hand is one goroutine of a writer. Nobody else writes its documents.
type hand struct {
	w       *Writer
	number  int
	nodes   *Nodes
	rand    *rand.Rand
	made    int
	there   []string // ids of documents that exist
	gone    []string // ids of documents that were deleted
	content map[string]document
}

func (h *hand) run(ctx context.Context) {
	h.content = make(map[string]document)
	for i := h.number; i < h.w.o.Filled; i += writers {
		if !slices.Contains(h.w.o.Filling.Bad, i) {
			h.there = append(h.there, ID(i))
			h.content[ID(i)] = filled(i, h.w.o.Filling)
		}
	}
	interval := time.Duration(float64(time.Second) * writers / h.w.o.Rate)
	next := time.Now().Add(time.Duration(h.rand.Int64N(int64(interval))))
	for {
		select {
		case <-h.w.stop:
			return
		case <-time.After(time.Until(next)):
		}
		h.carryOut(ctx, h.choose())
		if ctx.Err() != nil {
			return
		}
		next = next.Add(interval)
		if now := time.Now(); next.Before(now) {
			next = now
		}
	}
}

// operation is one change of one document.
type operation struct {
	id    string
	kind  Kind
	after document // zero for Delete
}

// choose picks the next operation. Every fourth change is to one of the ten documents
// created or recreated last, so that some are changed again and again.
func (h *hand) choose() operation {
	o := h.w.o
	p := h.rand.IntN(o.Creates + o.Updates + o.Deletes)
	if p < o.Creates || len(h.there) == 0 {
		return h.create()
	}
	at := h.rand.IntN(len(h.there))
	if h.rand.IntN(4) == 0 {
		at = len(h.there) - 1 - h.rand.IntN(min(10, len(h.there)))
	}
	id := h.there[at]
	if p >= o.Creates+o.Updates {
		return operation{id: id, kind: Delete}
	}
	op := operation{id: id, kind: Index, after: h.content[id]}
	if h.rand.IntN(2) == 0 {
		op.kind = Update
	} else {
		op.after.User = fmt.Sprintf("u%03d", h.rand.IntN(500))
	}
	h.touch(&op.after)
	return op
}

// create makes a new document, or every third time one with the id of a deleted one.
func (h *hand) create() operation {
	op := operation{kind: Create}
	if len(h.gone) > 0 && h.rand.IntN(3) == 0 {
		op.id = h.gone[h.rand.IntN(len(h.gone))]
	} else {
		h.made++
		op.id = fmt.Sprintf("w%d-%06d", h.number, h.made)
	}
	op.after = document{N: h.made, User: fmt.Sprintf("u%03d", h.rand.IntN(500)), From: fmt.Sprintf("10.%d.0.%d", h.number, h.rand.IntN(256))}
	h.touch(&op.after)
	return op
}

// touch changes what every write changes.
func (h *hand) touch(d *document) {
	d.Rev, d.At, d.Text = h.w.rev.Add(1), time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), sentence(h.rand)
}

// carryOut tries an operation until it is acknowledged or refused, or ctx ends.
func (h *hand) carryOut(ctx context.Context, op operation) {
	e := Entry{ID: op.id, Kind: op.kind}
	if op.kind != Delete {
		e.Source = encode(op.after)
	}
	perhaps := false // an earlier try may have been carried out
	for {
		result, err := h.send(ctx, op)
		e := e
		e.judge(result, err, perhaps)
		h.w.note(e)
		switch e.Fate {
		case Acknowledged:
			h.settle(op)
			return
		case Refused:
			h.forget(op.id)
			return
		}
		wait := tryAgain
		if e.Status == 0 {
			wait = tryAnother
		}
		perhaps = perhaps || e.Status == 0 || e.Status >= 500
		if pause(ctx, wait) != nil {
			return
		}
	}
}

// judge fills in what a try came to. perhaps: an earlier one may have been carried out.
func (e *Entry) judge(result string, err error, perhaps bool) {
	e.Fate, e.Status = Acknowledged, http.StatusOK
	if err != nil {
		e.Fate, e.Status, e.Reason = Uncertain, Status(err), err.Error()
	}
	switch {
	case err == nil:
		if e.Kind == Index && result == "created" {
			e.Surprise = "replaced a document that was not there"
		}
	case e.Status == http.StatusBadRequest:
		e.Fate = Refused
	case e.Kind == Create && e.Status == http.StatusConflict && perhaps:
		e.Fate = Acknowledged // by the earlier try
	case e.Kind == Create && e.Status == http.StatusConflict:
		e.Fate, e.Surprise = Refused, "the document is there already"
	case e.Kind == Delete && e.Status == http.StatusNotFound && strings.Contains(e.Reason, `"result":"not_found"`):
		e.Fate = Acknowledged
		if !perhaps {
			e.Surprise = "the document is gone already"
		}
	case e.Kind == Update && e.Status == http.StatusNotFound && strings.Contains(e.Reason, "document_missing_exception"):
		e.Fate, e.Surprise = Refused, "the document is not there"
	}
}

// send tries an operation once. result is the server's word for what it did.
func (h *hand) send(ctx context.Context, op operation) (result string, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryLimit)
	defer cancel()
	method, path, query := http.MethodPut, "_doc", "?timeout=10s"
	if h.w.o.Alias && op.kind != Delete { // a delete never makes an index
		query += "&require_alias=true"
	}
	var body any = op.after
	switch op.kind {
	case Create:
		path = "_create"
	case Update:
		d := op.after
		method, path, body = http.MethodPost, "_update", map[string]any{"doc": map[string]any{"rev": d.Rev, "at": d.At, "text": d.Text}}
	case Delete:
		method, body = http.MethodDelete, nil
	}
	var answer struct {
		Result string `json:"result"`
	}
	err = h.nodes.Do(ctx, method, "/"+h.w.o.Index+"/"+path+"/"+op.id+query, body, &answer)
	return answer.Result, err
}

// settle remembers what an acknowledged operation left.
func (h *hand) settle(op operation) {
	switch op.kind {
	case Create:
		h.there = append(h.there, op.id)
		h.gone = without(h.gone, op.id)
	case Delete:
		h.forget(op.id)
		h.gone = append(h.gone, op.id)
		return
	}
	h.content[op.id] = op.after
}

// forget never touches a document again.
func (h *hand) forget(id string) {
	h.there, h.gone = without(h.there, id), without(h.gone, id)
	delete(h.content, id)
}

func without(ids []string, id string) []string {
	return slices.DeleteFunc(ids, func(s string) bool { return s == id })
}
