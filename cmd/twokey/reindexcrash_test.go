package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twokey/ops/elastic/elasticsim"
)

// shelf is a small cluster with 400 documents in items, behind the alias shop.
func shelf(t *testing.T) *elasticsim.Cluster {
	t.Helper()
	c := elasticsim.New(elasticsim.Options{BytesPerSecond: 1 << 30, Nodes: []elasticsim.Node{
		{Name: "n1", Zone: "a"}, {Name: "n2", Zone: "b"}, {Name: "n3", Zone: "spot"},
	}})
	w := &world{t: t, es: c}
	w.request("PUT", "/items", `{"settings":{"number_of_shards":2,"number_of_replicas":1},"aliases":{"shop":{}}}`)
	for i := range 400 {
		if err := c.PutDoc("items", fmt.Sprintf("i%03d", i), fmt.Sprintf(`{"n":%d}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// writes changes, adds and deletes documents of items until they are refused, as somebody
// who uses them does. Its stop waits for it.
func (o *outside) writes() (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			var err error
			if id := fmt.Sprintf("i%03d", i*37%450); i%4 == 3 {
				err = o.es.DeleteDoc("items", id)
			} else {
				err = o.es.PutDoc("items", id, fmt.Sprintf(`{"n":%d,"again":true}`, i))
			}
			if err != nil && strings.Contains(err.Error(), "blocked") {
				return
			}
		}
	}()
	return sync.OnceFunc(func() { close(quit); <-done })
}

// reindexed is how a reindex ended.
type reindexed struct {
	text   string
	points []string
	died   bool
}

// reindex has the conversation of one reindex of items, which are written to meanwhile,
// with the bot dying at a point such as "2 after part" (empty: never), and checks what must
// hold however it went. With cancel Alice cancels it in the middle of the copy.
func (o *outside) reindex(dieAt string, cancel bool) reindexed {
	o.t.Helper()
	t := o.t
	c := o.child()
	c.DieAt, c.Points = dieAt, filepath.Join(t.TempDir(), "points")
	o.process = startChild(t, c)
	first := o.process
	stop := o.writes()
	defer stop()
	o.up()
	text, last := "/ops es reindex items items-v2", ":white_check_mark: Done"
	if cancel {
		text, last = text+" --throttle 20", ": Cancelled"
	}
	o.command(alice, text)
	card := o.card()
	o.click(bob, card, "approve")
	if cancel {
		waitFor(t, time.Minute, "copied document", func() bool { o.revive(); return len(o.es.Docs("items-v2")) > 0 }, o.state)
		o.command(alice, "/ops cancel "+buttonID(t, card))
	}
	end := o.replyWith(card, 90*time.Second, last)
	o.saidOnce(card, end)
	if cancel {
		stop()
		o.asBefore()
	} else {
		o.equal("items", "items-v2")
	}
	m := reindexed{text: varying.ReplaceAllString(end.Text+blockTexts(end.Blocks), "#"), points: readLines(t, c.Points)}
	select {
	case <-first.done:
		m.died = true
	default:
	}
	return m
}

// asBefore checks that items is behind its alias, takes writes, and has no copy.
func (o *outside) asBefore() {
	o.t.Helper()
	if err := o.es.PutDoc("shop", "new", `{"n":-1}`); err != nil {
		o.t.Errorf("items after the cancel: %v", err)
	}
	if all := o.request("GET", "/_all", ""); strings.Contains(all, "items-v2") || !strings.Contains(all, `"shop"`) {
		o.t.Errorf("after the cancel: %s", all)
	}
}

// equal checks that an index is the copy of another: same documents, same contents, and
// that the alias shop points to it and to nothing else.
func (o *outside) equal(source, dest string) {
	o.t.Helper()
	want, got := docs(o.es, source), docs(o.es, dest)
	if !maps.Equal(want, got) {
		n := 0
		for id := range want {
			if got[id] != want[id] && n < 3 {
				n++
				o.t.Errorf("%s: %q in %s, %q in %s", id, got[id], dest, want[id], source)
			}
		}
		o.t.Errorf("%s has %d documents, %s %d, and they differ", source, len(want), dest, len(got))
	}
	if len(want) == 0 || len(o.es.Docs("shop")) != len(got) || !strings.Contains(o.request("GET", "/_alias/shop", ""), `{"`+dest+`":`) {
		o.t.Errorf("shop is not %s: %s", dest, o.request("GET", "/_alias/shop", ""))
	}
}

// docs are an index's documents, by id.
func docs(c *elasticsim.Cluster, index string) map[string]string {
	all := make(map[string]string)
	for _, d := range c.Docs(index) {
		all[d.ID] = d.Source
	}
	return all
}

// request asks the first node that answers, and returns the body.
func (o *outside) request(method, path, body string) string {
	o.t.Helper()
	var last error
	for _, u := range o.esURLs {
		req, err := http.NewRequest(method, u+path, strings.NewReader(body))
		if err != nil {
			o.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err
			continue
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			o.t.Fatal(err)
		}
		if res.StatusCode >= 300 {
			o.t.Fatalf("%s %s: %s %s", method, path, res.Status, b)
		}
		return string(b)
	}
	o.t.Fatal(last)
	return ""
}

// TestReindexKilledAnywhere kills the bot by SIGKILL before and after each kind of outside
// write, and after writes of the record and of a part, of a catchup reindex and of its undo, starts it again, and wants
// the same ending, equal indices, and nothing posted twice.
func TestReindexKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some forty processes")
	}
	for _, way := range []struct {
		name   string
		cancel bool
	}{{"reindex", false}, {"cancelled reindex", true}} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			clean := newOutside(t, false, shelf(t))
			want := clean.reindex("", way.cancel)
			clean.process.kill()
			chosen := oneOfEach(want.points, way.cancel)
			died := make(chan string, len(chosen))
			t.Run("points", func(t *testing.T) {
				for i, at := range chosen {
					t.Run(at, func(t *testing.T) {
						t.Parallel()
						o := newOutside(t, i%2 == 0, shelf(t))
						got := o.reindex(at, way.cancel)
						if got.text != want.text {
							t.Errorf("another ending:\n%s\nwant\n%s", got.text, want.text)
						}
						if got.died {
							died <- at
						}
					})
				}
			})
			close(died)
			var names []string
			for at := range died {
				names = append(names, at)
			}
			slices.Sort(names)
			t.Logf("figure: kill -9 at %d of %d points of a %s that is written to, same ending and equal indices each time: %q", len(names), len(want.points), way.name, names)
			if len(names) < len(chosen)*3/4 {
				t.Errorf("only %d of %d runs reached their point: %q", len(names), len(chosen), chosen)
			}
		})
	}
}

// oneOfEach chooses a passing of each name of a point, from the middle; with late one
// of the last of those that the undo has.
func oneOfEach(lines []string, late bool) []string {
	count := make(map[string]int)
	undo := make(map[string]bool)
	deleted := false
	for _, line := range lines {
		_, name, _ := strings.Cut(line, " ")
		count[name]++
		deleted = deleted || strings.Contains(name, "DELETE")
		undo[name] = undo[name] || deleted
	}
	var chosen []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		n := (count[name] + 1) / 2
		switch {
		case name == "before part" || name == "before record":
			continue // as after the point before it
		case late && !undo[name]:
			continue
		case late:
			n = max(count[name]-3, 1)
		}
		chosen = append(chosen, fmt.Sprintf("%d %s", n, name))
	}
	return chosen
}
