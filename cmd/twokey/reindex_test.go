package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twokey/bot/slacksim"
	"twokey/ops/elastic/elasticsim"
)

// inSandbox is inWorld with the sandbox's cluster: products behind the alias catalog, and
// the indices v1_101 to v1_112 behind dashboard-101 to dashboard-112.
func inSandbox(t *testing.T, socket bool, f func(t *testing.T, w *world)) {
	t.Helper()
	inWorld(t, socket, func(t *testing.T, w *world) {
		w.es = elasticsim.Sandbox()
		defer func() {
			if t.Failed() || testing.Verbose() {
				t.Logf("the channel:\n%s\nprivately:\n%s", w.read(), w.private())
			}
		}()
		f(t, w)
	})
}

// unpriced is how many of the sandbox's products have a price that is no number, as the
// sandbox's template of products-v… wants it.
const unpriced = 7

// request sends somebody else's request to the cluster and returns the answer's body.
func (w *world) request(method, path, body string) string {
	w.t.Helper()
	status, answer := w.outsider(method, path, body)
	if status >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// outsider sends somebody else's request to the cluster.
func (w *world) outsider(method, path, body string) (status int, answer string) {
	w.t.Helper()
	r, err := http.NewRequest(method, "http://n1:9200"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := w.es.RoundTripper().RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// read is the channel with its threads, whole: each version of what was edited, all
// blocks, and files.
func (w *world) read() string {
	var b strings.Builder
	for _, m := range w.slack.Channel(sandboxChannel) {
		for _, r := range w.slack.Thread(sandboxChannel, m.TS) {
			indent := ""
			if r.Thread != "" {
				indent = "    "
			}
			for i, v := range append(r.Edits, slacksim.Version{Text: r.Text, Blocks: r.Blocks}) {
				text := fmt.Sprintf("%s %d: %s%s", r.User, i, v.Text, blockTexts(v.Blocks))
				fmt.Fprintf(&b, "%s%s\n", indent, strings.ReplaceAll(text, "\n", "\n  "+indent))
			}
			for _, f := range r.Files {
				fmt.Fprintf(&b, "%sfile %s:\n%s", indent, f.Name, f.Content)
			}
		}
	}
	return b.String()
}

// blockTexts are the texts of a message's blocks, a line each.
func blockTexts(blocks []byte) string {
	var v any
	if json.Unmarshal(blocks, &v) != nil {
		return ""
	}
	var b strings.Builder
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if s, ok := v["text"].(string); ok {
				b.WriteString("\n| " + strings.ReplaceAll(s, "\n", "\n| "))
			} else {
				walk(v["text"])
			}
			walk(v["elements"])
			walk(v["accessory"])
		}
	}
	walk(v)
	return b.String()
}

// file waits for a file of the card's thread.
func (w *world) file(card slacksim.Message, name string) string {
	w.t.Helper()
	content := ""
	w.await(5*time.Minute, "file "+name, func() bool {
		for _, m := range w.thread(card) {
			for _, f := range m.Files {
				if f.Name == name {
					content = f.Content
					return true
				}
			}
		}
		return false
	})
	return content
}

// at are the indices an alias points to.
func (w *world) at(alias string) []string {
	w.t.Helper()
	var rows []struct{ Index string }
	if err := json.Unmarshal([]byte(w.request("GET", "/_cat/aliases/"+alias+"?format=json&h=index", "")), &rows); err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, r := range rows {
		names = append(names, r.Index)
	}
	return names
}

// writer writes to an alias all the time and remembers what was acknowledged.
type writer struct {
	mu      sync.Mutex
	docs    map[string]string // what there is to be, by id
	refused int               // writes under a block
	stop    func()
}

// write starts a writer on catalog that adds, changes and deletes products, ten a second.
// Its stop waits for it.
func (w *world) write() *writer {
	wr := &writer{docs: w.documents("products")}
	quit, done := make(chan struct{}), make(chan struct{})
	wr.stop = sync.OnceFunc(func() { close(quit); <-done })
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			case <-time.After(100 * time.Millisecond):
			}
			wr.step(w, i)
		}
	}()
	w.t.Cleanup(wr.stop)
	return wr
}

// step is the writer's write number i.
func (wr *writer) step(w *world, i int) {
	wr.mu.Lock()
	defer wr.mu.Unlock()
	method, id, body := "PUT", fmt.Sprintf("w%05d", i), fmt.Sprintf(`{"name":"new %d","price":"%d.50","stock":1}`, i, i)
	switch i % 3 {
	case 1: // one that is there
		id = fmt.Sprintf("p%05d", i*101%4000)
	case 2:
		method, id, body = "DELETE", fmt.Sprintf("p%05d", i*211%4000), ""
	}
	if was, there := wr.docs[id]; method == "DELETE" && !there || strings.Contains(was, "on request") {
		return
	}
	if status, answer := w.outsider(method, "/catalog/_doc/"+id, body); status == http.StatusForbidden {
		wr.refused++ // the writer knows that it was not written
	} else if status >= 300 {
		w.t.Errorf("%s %s: %d %s", method, id, status, answer)
	} else if method == "DELETE" {
		delete(wr.docs, id)
	} else {
		wr.docs[id] = body
	}
}

// turnedAway counts the writer's writes under a block.
func (wr *writer) turnedAway() int {
	wr.mu.Lock()
	defer wr.mu.Unlock()
	return wr.refused
}

// documents are an index's, by id.
func (w *world) documents(index string) map[string]string {
	docs := make(map[string]string)
	for _, d := range w.es.Docs(index) {
		docs[d.ID] = d.Source
	}
	return docs
}

// same fails the test if there are other documents than want.
func (w *world) same(index string, want map[string]string) {
	w.t.Helper()
	got := w.documents(index)
	wrong := 0
	for id := range want {
		if got[id] != want[id] {
			if wrong++; wrong < 4 {
				w.t.Errorf("%s in %s: %q, want %q", id, index, got[id], want[id])
			}
		}
	}
	if len(got) != len(want) || wrong > 0 {
		w.t.Errorf("%s has %d documents, want %d; %d are missing or other", index, len(got), len(want), wrong)
	}
}

// once fails the test if a text is not in exactly one reply under the card.
func (w *world) once(card slacksim.Message, texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		n := 0
		for i, m := range w.thread(card) {
			if i > 0 && strings.Contains(m.Text+blockTexts(m.Blocks), text) { // the first is the status
				n++
			}
		}
		if n != 1 {
			w.t.Errorf("%d replies with %q, want 1", n, text)
		}
	}
}

// next waits for a card that is newer.
func (w *world) next(card slacksim.Message) slacksim.Message {
	w.t.Helper()
	w.await(time.Minute, "new card", func() bool { return w.card().TS != card.TS })
	return w.card()
}

// TestReindexConversation copies an index that is written to all the time into one with
// a stricter mapping: throttled, stopped by documents that do not fit, cancelled, and
// asked for again with --quarantine.
func TestReindexConversation(t *testing.T) {
	for _, transport := range []string{"http", "socket"} {
		t.Run(transport, func(t *testing.T) { inSandbox(t, transport == "socket", reindexConversation) })
	}
}

func reindexConversation(t *testing.T, w *world) {
	w.start()
	writer := w.write()
	w.command(alice, "/ops es reindex products products-v2 --throttle 40")
	card := w.card()
	inOrder(t, "the card", blockTexts(card.Blocks), "Copies 4,0", "from products to products-v2", "Needs 1 approval", "products, products-v2", "move catalog to products-v2",
		"products-v2 is deleted", "price text → scaled_float", "at most 40 documents a second")
	w.click(bob, card, "approve")
	w.awaitReply(time.Minute, card, "documents copied")
	id := w.cardID(card)
	w.command(alice, "/ops es reindex throttle "+id[20:]+" 150")
	w.awaitReply(time.Minute, card, "throttled to 150 documents a second")
	list := w.file(card, "refused-products-v2.tsv")
	if lines := strings.Split(strings.TrimSpace(list), "\n"); len(lines) != 1+unpriced || !strings.HasPrefix(lines[1], "p00077\t\tprice\t") {
		t.Errorf("the file:\n%s", list)
	}
	w.awaitReply(time.Minute, card, "--quarantine")
	if names := w.at("catalog"); !slices.Equal(names, []string{"products"}) {
		t.Errorf("catalog is at %v", names)
	}

	// Three are corrected: the other four are asked about again, and writes go on.
	for _, n := range []int{77, 727, 1377} {
		writer.put(w, fmt.Sprintf("p%05d", n), `{"name":"chair","price":"12.00","stock":1}`)
	}
	w.command(bob, "/ops resume "+id)
	w.awaitReply(5*time.Minute, card, fmt.Sprintf("%d documents of products do not fit", unpriced-3))
	w.pass(3 * time.Second)
	if n := writer.turnedAway(); n > 0 {
		t.Errorf("%d writes were refused while people were asked", n)
	}
	w.command(alice, "/ops cancel "+id)
	w.awaitReply(time.Minute, card, ": Cancelled by")
	w.once(card, "Made products-v2", "Copied ", "fit now", "Cancelled by <@U0ALICE>; undoing",
		"• cluster staging: index products-v2: \"made as the copy of products\" → unset, as before")
	if w.es.Docs("products-v2") != nil {
		t.Error("products-v2 is still there")
	}

	w.command(alice, "/ops es reindex products products-v2 --quarantine")
	again := w.next(card)
	w.click(bob, again, "approve")
	w.awaitReply(10*time.Minute, again, ":white_check_mark: Done")
	w.pass(3 * time.Second) // the writer goes on behind the alias
	writer.stop()
	w.once(again, "Started", "Made products-v2: 3 shards", "Copied ", "4 documents of products do not fit", "products takes no writes", "Verified: ids and versions of all", "Moved to products-v2: alias catalog",
		"the other 4 are in products-v2-refused", "• cluster staging: alias catalog: \"products\" → \"products-v2\"", "• index products: index.blocks.write: unset → \"true\"", "• cluster staging: index products-v2: unset →", "• cluster staging: index products-v2-refused: unset →")
	if names := w.at("catalog"); !slices.Equal(names, []string{"products-v2"}) {
		t.Errorf("catalog is at %v", names)
	}
	for id, source := range writer.docs {
		if strings.Contains(source, "on request") {
			delete(writer.docs, id)
		}
	}
	w.same("products-v2", writer.docs)
	if n := len(w.es.Docs("products-v2-refused")); n != unpriced-3 {
		t.Errorf("%d documents put aside", n)
	}
}

// put writes one document as the writer does.
func (wr *writer) put(w *world, id, body string) {
	w.t.Helper()
	wr.mu.Lock()
	defer wr.mu.Unlock()
	w.request("PUT", "/catalog/_doc/"+id, body)
	wr.docs[id] = body
}
