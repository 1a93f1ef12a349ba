package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFillAndCompare(t *testing.T) {
	f := newFakeNode(t)
	urls, bad := []string{f.URL}, Filling{Seed: 7, Bad: []int{12, 4711}}
	if err := Fill(t.Context(), urls, "src", 5000, bad); err != nil {
		t.Fatal(err)
	}
	content := Filled(5000, bad)
	for _, c := range []struct {
		name    string
		change  func()
		want    Diff
		example string
	}{
		{"equal", func() {}, Diff{Read: 5000}, ""},
		{"missing", func() { delete(f.docs, ID(3)); delete(f.docs, ID(4999)) }, Diff{Read: 4998, Missing: 2}, ID(3) + ": missing"},
		{"extra", func() { f.docs["x"] = json.RawMessage(`{"n":1}`) }, Diff{Read: 5001, Extra: 1}, "x: extra"},
		{"different", func() { f.docs[ID(12)] = Document(13, bad) }, Diff{Read: 5000, Different: 1}, ID(12)},
		{"deleted but there", func() { content[ID(9)] = []json.RawMessage{nil} }, Diff{Read: 5000, Extra: 1}, ID(9) + ": deleted, but there"},
		{"unknown", func() { content[ID(9)] = append(Filled(10, bad)[ID(9)], nil); delete(f.docs, ID(9)) }, Diff{Read: 4999}, ""},
		{"more than can be shown", func() { clear(f.docs) }, Diff{Missing: 5000}, ": missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			docs, was := maps.Clone(f.docs), maps.Clone(content)
			defer func() { f.docs, content = docs, was }()
			c.change()
			got, err := Compare(t.Context(), urls, "src", content)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Examples) > 20 || !strings.Contains(strings.Join(got.Examples, "\n"), c.example) {
				t.Errorf("examples %q, want one with %q", got.Examples, c.example)
			}
			got.Examples = nil
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDocuments(t *testing.T) {
	if n := len(Document(123_456, Filling{})); n < 130 || n > 170 {
		t.Errorf("a document has %d bytes, want about 150", n)
	}
	bad := Filling{Bad: []int{2, 3}}
	for i, want := range []string{1: `"n":1,`, 2: `"n":"no number 2"`, 3: `"from":"no address 3"`, 4: `"n":4,`} {
		if got := string(Document(i, bad)); !strings.Contains(got, want) {
			t.Errorf("document %d: %s, want %s in it", i, got, want)
		}
	}
}

// TestWriterTrouble lets every kind of trouble hit a writer. Replaying its log must give
// exactly what the server holds.
func TestWriterTrouble(t *testing.T) {
	f := newFakeNode(t)
	const dead = "http://127.0.0.1:1" // nobody listens there
	w := startOn(t, f, Writing{URLs: []string{f.URL, dead}, Filled: 400, Filling: Filling{Bad: []int{5, 6}}, Seed: 1, Rate: 4000}, func(ask int) int {
		switch {
		case ask%97 == 0:
			return -1
		case ask%101 == 0:
			return -2
		case ask > 200 && ask < 240:
			return 403
		case ask%53 == 0:
			return 503
		case ask%59 == 0:
			return 429
		}
		return 0
	})
	await(t, func() bool { return w.Acknowledged() >= 900 })
	log := w.Stop(t.Context())
	checkLog(t, f, log, 400, Filling{Bad: []int{5, 6}})
	if s := Surprises(log); len(s) > 0 {
		t.Errorf("surprised by a server that lost nothing: %+v", s[0])
	}
	seen := make(map[string]int)
	for _, e := range log {
		seen[fmt.Sprint(e.Kind, " ", e.Fate)]++
		seen[fmt.Sprint(e.Status)]++
		if e.Fate == Refused {
			t.Errorf("given up: %+v", e)
		}
		if e.ID == ID(5) || e.ID == ID(6) {
			t.Errorf("a bad document was written: %+v", e)
		}
	}
	for _, want := range []string{
		"create acknowledged", "index acknowledged", "update acknowledged", "delete acknowledged",
		"create uncertain", "index uncertain", "update uncertain", "delete uncertain", "0", "403", "429", "503",
	} {
		if seen[want] == 0 {
			t.Errorf("never happened: %s (%v)", want, seen)
		}
	}
}

// TestWriterUnfinished stops a writer that the server has stopped answering: what was
// under way may have come about or not, and both are right.
func TestWriterUnfinished(t *testing.T) {
	f := newFakeNode(t)
	w := startOn(t, f, Writing{URLs: []string{f.URL}, Filled: 100, Seed: 2, Rate: 4000}, func(ask int) int {
		if ask > 300 {
			return -1 - ask%2
		}
		return 0
	})
	await(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.asks > 310 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	log := w.Stop(ctx)
	checkLog(t, f, log, 100, Filling{})
	content, open := Replay(Filled(100, Filling{}), log), 0
	for _, sources := range content {
		if len(sources) > 1 {
			open++
		}
	}
	if open == 0 || open > writers {
		t.Errorf("%d documents are unknown, want 1 to %d", open, writers)
	}
}

// TestWriterSurprised takes documents away from under a writer, and gives deleted ones
// back: it must notice, and so must Compare.
func TestWriterSurprised(t *testing.T) {
	f := newFakeNode(t)
	w := startOn(t, f, Writing{URLs: []string{f.URL}, Filled: 200, Seed: 3, Rate: 4000, Creates: 1, Updates: 1, Deletes: 1}, func(ask int) int {
		if ask == 300 {
			for i := range 200 {
				if _, there := f.docs[ID(i)]; !there {
					f.docs[ID(i)] = Document(i, Filling{})
				} else if i%2 == 0 {
					delete(f.docs, ID(i))
				}
			}
		}
		return 0
	})
	await(t, func() bool { return w.Acknowledged() >= 900 })
	log := w.Stop(t.Context())
	what := make(map[string]int)
	for _, e := range Surprises(log) {
		what[e.Surprise]++
	}
	want := []string{"replaced a document that was not there", "the document is gone already", "the document is not there", "the document is there already"}
	for _, s := range want {
		if what[s] == 0 {
			t.Errorf("not noticed: %s (%v)", s, what)
		}
	}
	d, err := Compare(t.Context(), []string{f.URL}, "live", Replay(Filled(200, Filling{}), log))
	if err != nil {
		t.Fatal(err)
	}
	if d.Missing == 0 || d.Extra == 0 {
		t.Errorf("Compare: %s", d)
	}
}

func TestReplay(t *testing.T) {
	a, b, c := json.RawMessage(`{"v":1}`), json.RawMessage(`{"v":2}`), json.RawMessage(`{"v":3}`)
	start := Content{"x": {a}, "y": {a}}
	log := []Entry{
		{ID: "x", Source: b, Fate: Uncertain}, {ID: "x", Source: b, Fate: Acknowledged},
		{ID: "y", Fate: Acknowledged},
		{ID: "z", Source: b, Fate: Uncertain}, {ID: "z", Source: b, Fate: Uncertain},
		{ID: "u", Source: b, Fate: Acknowledged}, {ID: "u", Source: c, Fate: Refused, Status: 400},
		{ID: "v", Kind: Create, Source: b, Fate: Refused, Status: 409},
	}
	got := Replay(start, log)
	want := Content{"x": {b}, "y": {nil}, "z": {nil, b, b}, "u": {b}, "v": {nil, b}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Content{"x": {a}, "y": {a}}, start); d != "" {
		t.Errorf("start was changed: %s", d)
	}
}

func startOn(t *testing.T, f *fakeNode, o Writing, fault func(int) int) *Writer {
	t.Helper()
	f.fault, o.Index = fault, "live"
	if err := Fill(t.Context(), []string{f.URL}, "live", o.Filled, o.Filling); err != nil {
		t.Fatal(err)
	}
	return StartWriter(o)
}

// checkLog compares what the node holds with the log, and the log's order with revisions.
func checkLog(t *testing.T, f *fakeNode, log []Entry, n int, filling Filling) {
	t.Helper()
	d, err := Compare(t.Context(), []string{f.URL}, "live", Replay(Filled(n, filling), log))
	if err != nil {
		t.Fatal(err)
	}
	if !d.Same() {
		t.Errorf("not what the log says: %s", d)
	}
	revs := make(map[string]int64)
	for _, e := range log {
		var doc document
		if e.Source != nil && json.Unmarshal(e.Source, &doc) == nil {
			if doc.Rev < revs[e.ID] {
				t.Errorf("%s: revision %d after %d", e.ID, doc.Rev, revs[e.ID])
			}
			revs[e.ID] = doc.Rev
		}
	}
}

// await waits for what other goroutines do over real connections.
func await(t *testing.T, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ready(); {
		if time.Now().After(end) {
			t.Fatal("it did not come about within a minute")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
