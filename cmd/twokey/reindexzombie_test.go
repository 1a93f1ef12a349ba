package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"twokey/ops/elastic/elasticsim"
)

// TestReindexZombie has two replicas. The one that copies is stopped by SIGSTOP right
// before it writes documents to the destination; meanwhile those documents are changed and
// deleted, the other replica takes over and ends the reindex, and people go on writing
// behind the alias. Then the first is continued. Nothing in the destination may become
// older than it is.
func TestReindexZombie(t *testing.T) {
	t.Parallel()
	o := newOutside(t, false, shelf(t))
	c := o.child()
	c.Halt = "before cluster POST _bulk"
	first := startChild(t, c)
	o.process = first
	o.up()
	o.command(alice, "/ops es reindex items items-v2")
	card := o.card()
	o.click(bob, card, "approve")
	waitFor(t, 20*time.Second, "stop", func() bool { return processState(t, first) == "T" }, o.state)
	o.change("items", 0)
	o.process = startChild(t, o.child())
	end := o.replyWith(card, 90*time.Second, ":white_check_mark: Done")
	o.equal("items", "items-v2")
	o.change("shop", 100)
	want, writes := o.es.Docs("items-v2"), len(o.es.Writes())

	said := len(first.all())
	first.signal(syscall.SIGCONT)
	waitFor(t, 20*time.Second, "sign of life of the continued process", func() bool {
		since := first.all()[said:]
		return strings.Contains(since, "claim lost") || strings.Contains(since, "tick failed")
	}, first.tail)
	time.Sleep(3 * time.Second) // to do harm in
	notOlder(t, want, o.es.Docs("items-v2"))
	for _, w := range o.es.Writes()[writes:] {
		t.Errorf("the continued process wrote: %s %s %d", w.Method, w.Path, w.Status)
	}
	o.saidOnce(card, end)
}

// change writes 50 documents anew and deletes 50, from number n on.
func (o *outside) change(index string, n int) {
	o.t.Helper()
	for i := n; i < n+100; i++ {
		var err error
		if id := fmt.Sprintf("i%03d", i); i%2 == 0 {
			err = o.es.PutDoc(index, id, `{"n":-1}`)
		} else {
			err = o.es.DeleteDoc(index, id)
		}
		if err != nil {
			o.t.Fatal(err)
		}
	}
}

// notOlder fails the test if a document has another version than it had, is gone, or came
// back.
func notOlder(t *testing.T, before, after []elasticsim.Doc) {
	t.Helper()
	is := make(map[string]elasticsim.Doc)
	for _, d := range after {
		is[d.ID] = d
	}
	for _, d := range before {
		if now, ok := is[d.ID]; !ok || now != d {
			t.Errorf("%s was %+v and is %+v", d.ID, d, now)
		}
		delete(is, d.ID)
	}
	for id, d := range is {
		t.Errorf("%s came back: %+v", id, d)
	}
}

// late keeps the first bulk request and answers nothing; the client dies over it.
type late struct {
	next http.Handler
	mu   sync.Mutex
	uri  string // of the kept request; empty: none yet
	body string
}

func (l *late) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.keep(r) {
		<-r.Context().Done()
		return
	}
	l.next.ServeHTTP(w, r)
}

func (l *late) keep(r *http.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.uri != "" || !strings.HasSuffix(r.URL.Path, "/_bulk") {
		return false
	}
	b, err := io.ReadAll(r.Body)
	l.uri, l.body = r.URL.RequestURI(), string(b)
	return err == nil
}

func (l *late) kept() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.uri != ""
}

// TestReindexLateWrite has a request to write documents stay on its way, whole, while its
// sender dies, another replica ends the reindex, and people go on writing. Then it
// arrives. Nothing it finds there may become older. What was deleted before the
// destination ever had it does come back: there is nothing left to compare it with.
func TestReindexLateWrite(t *testing.T) {
	t.Parallel()
	o := newOutside(t, false, shelf(t))
	l := &late{next: o.es}
	server := httptest.NewServer(l)
	defer server.Close()
	direct := o.esURLs
	o.esURLs = []string{server.URL}
	first := startChild(t, o.child())
	o.process = first
	o.up()
	o.command(alice, "/ops es reindex items items-v2")
	card := o.card()
	o.click(bob, card, "approve")
	waitFor(t, 20*time.Second, "request to write documents", l.kept, o.state)
	first.kill()
	o.change("items", 0)
	o.process = startChild(t, o.child())
	o.replyWith(card, 90*time.Second, ":white_check_mark: Done")
	o.equal("items", "items-v2")
	o.change("shop", 100)
	want := o.es.Docs("items-v2")

	o.esURLs = direct
	o.request("POST", l.uri, l.body)
	after := o.es.Docs("items-v2")
	back := 0
	after = slices.DeleteFunc(after, func(d elasticsim.Doc) bool {
		never := d.ID < "i100" && d.Version == 1 // deleted from items before the second replica copied
		if never {
			back++
		}
		return never
	})
	notOlder(t, want, after)
	t.Logf("figure: a request to write %d documents arrives after the end of its reindex: none became older, %d that had been deleted came back", strings.Count(l.body, "\n")/2, back)
}
