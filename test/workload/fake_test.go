package workload

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fakeNode answers what this package asks, for one index in memory.
type fakeNode struct {
	*httptest.Server
	mu   sync.Mutex
	docs map[string]json.RawMessage
	asks int
	// fault is asked before each write: a status refuses it, -1 carries it out and breaks
	// the connection, -2 breaks the connection first.
	fault func(ask int) int
}

func newFakeNode(t *testing.T) *fakeNode {
	f := &fakeNode{docs: make(map[string]json.RawMessage), fault: func(int) int { return 0 }}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var body struct {
		Doc   map[string]any    `json:"doc"`
		After []json.RawMessage `json:"search_after"`
		Size  int               `json:"size"`
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch last := parts[len(parts)-1]; {
	case last == "_refresh":
		fmt.Fprint(w, `{}`)
	case last == "_pit":
		fmt.Fprint(w, `{"id":"p"}`)
	case last == "_bulk":
		f.bulk(w, r)
	case last == "_search":
		json.NewDecoder(r.Body).Decode(&body)
		f.search(w, body.After, body.Size)
	default:
		f.asks++
		switch status := f.fault(f.asks); status {
		case 0:
			f.write(w, r, parts[1], last)
		case -1:
			f.write(httptest.NewRecorder(), r, parts[1], last)
			panic(http.ErrAbortHandler)
		case -2:
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(status)
		}
	}
}

func (f *fakeNode) write(w http.ResponseWriter, r *http.Request, api, id string) {
	var source json.RawMessage
	json.NewDecoder(r.Body).Decode(&source)
	before, there := f.docs[id]
	answer := func(status int, text string) { w.WriteHeader(status); fmt.Fprint(w, text) }
	switch {
	case r.Method == http.MethodDelete && !there:
		answer(404, `{"result":"not_found"}`)
	case r.Method == http.MethodDelete:
		delete(f.docs, id)
		answer(200, `{"result":"deleted"}`)
	case api == "_create" && there:
		answer(409, `{"error":{"type":"version_conflict_engine_exception"}}`)
	case api == "_update" && !there:
		answer(404, `{"error":{"type":"document_missing_exception"}}`)
	case api == "_update":
		var all, change map[string]json.RawMessage
		json.Unmarshal(before, &all)
		json.Unmarshal(source, &change)
		json.Unmarshal(change["doc"], &all)
		f.docs[id], _ = json.Marshal(all)
		answer(200, `{"result":"updated"}`)
	default:
		f.docs[id] = source
		answer(200, fmt.Sprintf(`{"result":%q}`, map[bool]string{true: "updated", false: "created"}[there]))
	}
}

func (f *fakeNode) bulk(w http.ResponseWriter, r *http.Request) {
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		var action struct {
			Index struct {
				ID string `json:"_id"`
			} `json:"index"`
		}
		json.Unmarshal(lines.Bytes(), &action)
		lines.Scan()
		f.docs[action.Index.ID] = slices.Clone(lines.Bytes())
	}
	fmt.Fprint(w, `{"errors":false}`)
}

func (f *fakeNode) search(w http.ResponseWriter, after []json.RawMessage, size int) {
	ids := slices.Sorted(maps.Keys(f.docs))
	if after != nil {
		var last string
		json.Unmarshal(after[0], &last)
		at, _ := slices.BinarySearch(ids, last)
		ids = ids[at+1:]
	}
	var page struct {
		Hits struct {
			Hits []map[string]any `json:"hits"`
		} `json:"hits"`
	}
	for _, id := range ids[:min(size, len(ids))] {
		page.Hits.Hits = append(page.Hits.Hits, map[string]any{"_id": id, "_source": f.docs[id], "sort": []string{id}})
	}
	json.NewEncoder(w).Encode(page)
}
