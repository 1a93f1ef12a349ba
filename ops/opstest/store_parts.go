package opstest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
)

func testParts(t *testing.T, s ops.Store) {
	create(t, s, "A", "B")
	c, r := take(t, s, "A", long)
	parts := func(want map[string]string) {
		t.Helper()
		claimed, err := c.Parts(t.Context())
		ok(t, "parts of the claim", err)
		stored, err := s.Parts(t.Context(), "A")
		ok(t, "parts of the store", err)
		for _, got := range []map[string][]byte{claimed, stored} {
			texts := make(map[string]string)
			for key, b := range got {
				texts[key] = string(b)
			}
			if d := cmp.Diff(want, texts); d != "" {
				t.Errorf("parts (-want +got):\n%s", d)
			}
		}
	}
	parts(map[string]string{})
	ok(t, "put nothing", c.PutParts(t.Context(), nil))
	ok(t, "put", c.PutParts(t.Context(), map[string][]byte{"a": []byte(`{"n": 1}`), "b 1.%d": []byte("ü \x00\n"), "": nil}))
	parts(map[string]string{"a": `{"n": 1}`, "b 1.%d": "ü \x00\n", "": ""})
	ok(t, "put again", c.PutParts(t.Context(), map[string][]byte{"a": []byte("2"), "c": []byte("3")}))
	want := map[string]string{"a": "2", "b 1.%d": "ü \x00\n", "": "", "c": "3"}
	parts(want)

	ok(t, "put of the record", c.Put(t.Context(), &r, nil))
	if got, err := s.Get(t.Context(), "A"); err != nil || got.Rev != 2 {
		t.Errorf("parts count as writes of the record: rev %d, %v", got.Rev, err)
	}
	for _, id := range []string{"B", "none"} {
		if got, err := s.Parts(t.Context(), id); len(got) != 0 || err != nil {
			t.Errorf("parts of %s: %v, %v", id, got, err)
		}
	}
	// The next claim finds them, and writes over them, whatever its own count of writes.
	_, err := c.Release(t.Context(), 0)
	ok(t, "release", err)
	wants(t, "put after release", c.PutParts(t.Context(), map[string][]byte{"a": []byte("late")}), ops.ErrFenced)
	_, err = c.Parts(t.Context())
	wants(t, "parts after release", err, ops.ErrFenced)
	c, r = take(t, s, "A", long)
	parts(want)
	ok(t, "put of the next claim", c.PutParts(t.Context(), map[string][]byte{"a": []byte("4")}))
	want["a"] = "4"
	parts(want)

	r.State = ops.Succeeded
	ok(t, "end", c.Put(t.Context(), &r, nil))
	wants(t, "put after the end", c.PutParts(t.Context(), map[string][]byte{"a": []byte("late")}), ops.ErrFenced)
	if got, err := s.Parts(t.Context(), "A"); err != nil || len(got) != 4 || string(got["a"]) != "4" {
		t.Errorf("parts after the end: %q, %v", got, err)
	}
}

// testManyParts writes parts from several goroutines while the record is written too: no
// write disturbs another, and the record's repetitions are still told from new writes.
func testManyParts(t *testing.T, s ops.Store) {
	create(t, s, "A")
	c, r := take(t, s, "A", long)
	const writers, each = 8, 25
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range each {
				parts := map[string][]byte{
					fmt.Sprintf("%d/%d", w, n): []byte("x"),
					fmt.Sprintf("%d", w):       fmt.Appendf(nil, "%d", n),
				}
				if err := c.PutParts(t.Context(), parts); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	all.Go(func() {
		for range each {
			if err := c.Put(t.Context(), &r, []ops.Event{{Kind: ops.Milestone, Text: "x"}}); err != nil {
				t.Errorf("put of the record: %v", err)
			}
		}
	})
	all.Wait()
	got, err := s.Parts(t.Context(), "A")
	ok(t, "parts", err)
	if len(got) != writers*(each+1) {
		t.Errorf("%d parts, want %d", len(got), writers*(each+1))
	}
	for w := range writers {
		if last := string(got[fmt.Sprint(w)]); last != fmt.Sprint(each-1) {
			t.Errorf("part %d is from write %s of %d", w, last, each)
		}
	}
	if events, err := s.Events(t.Context(), "A", 0); len(events) != each || err != nil {
		t.Errorf("%d events, want %d; %v", len(events), each, err)
	}
	many := make(map[string][]byte)
	for i := range 10_000 {
		many[fmt.Sprintf("index-%05d", i)] = []byte(`{"state":"waiting"}`)
	}
	ok(t, "put of many", c.PutParts(t.Context(), many))
	if got, err := c.Parts(t.Context()); err != nil || len(got) != writers*(each+1)+len(many) {
		t.Errorf("%d parts, %v", len(got), err)
	}
}

// testFencedParts: a claim that ran out, with and without a successor, writes no part.
func testFencedParts(t *testing.T, s ops.Store) {
	create(t, s, "A")
	old, _ := take(t, s, "A", short)
	put := func() error { return old.PutParts(t.Context(), map[string][]byte{"a": []byte("zombie")}) }
	until(t, "an expired claim is fenced, even with no other", func() bool {
		_, err := old.Parts(t.Context())
		return errors.Is(err, ops.ErrFenced)
	})
	wants(t, "put of an expired claim", put(), ops.ErrFenced)
	next, _ := take(t, s, "A", long)
	ok(t, "put of the next", next.PutParts(t.Context(), map[string][]byte{"b": nil}))
	wants(t, "put of a lost claim", put(), ops.ErrFenced)
	_, err := old.Dials(t.Context())
	wants(t, "dials of a lost claim", err, ops.ErrFenced)
	if got, err := s.Parts(t.Context(), "A"); err != nil || len(got) != 1 {
		t.Errorf("parts: %q, %v", got, err)
	}
}

func testDials(t *testing.T, s ops.Store) {
	_, err := s.Turn(t.Context(), "A", "throttle", "1", "U1")
	wants(t, "turn of no run", err, ops.ErrNotFound)
	create(t, s, "A")
	c, r := take(t, s, "A", long)
	task := "A"
	turn := func(name, value, by string) {
		t.Helper()
		if w, err := s.Turn(t.Context(), "A", name, value, by); err != nil || w != (ops.Wake{ID: "A", Task: task}) {
			t.Errorf("turn %s: %v, %v", name, w, err)
		}
	}
	dials := func(want map[string]ops.Dial) {
		t.Helper()
		got, err := c.Dials(t.Context())
		ok(t, "dials", err)
		for name, d := range got {
			if d.At.Before(r.CreatedAt) || time.Since(d.At).Abs() > time.Minute {
				t.Errorf("dial %s turned at %v", name, d.At)
			}
			d.At = time.Time{}
			got[name] = d
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("dials (-want +got):\n%s", d)
		}
	}
	release := func(want time.Duration) {
		t.Helper()
		if d, err := c.Release(t.Context(), time.Hour); d != want || err != nil {
			t.Errorf("release: %v, %v; want %v", d, err, want)
		}
		late, err := s.Overdue(t.Context(), 0)
		if due := want == 0; err != nil || (len(late) == 1) != due {
			t.Errorf("overdue: %v, %v; want it due: %t", late, err, due)
		}
		if len(late) == 1 {
			task = late[0].Task
		}
		c, r, err = s.Claim(t.Context(), "A", task, long)
		ok(t, "claim", err)
	}
	dials(map[string]ops.Dial{})
	turn("throttle", "5000", "U1")
	turn("impact", `"low" ü`, "U2")
	turn("throttle", "", "U3")
	want := map[string]ops.Dial{"throttle": {Value: "", By: "U3"}, "impact": {Value: `"low" ü`, By: "U2"}}
	dials(want)
	dials(want) // reading does not turn them back
	release(time.Hour)

	// One that was turned and not read yet makes the run due at once, as does one that is
	// turned while nobody holds the run; a step that never reads it is not called for ever.
	turn("throttle", "7", "U1")
	release(0)
	release(time.Hour)
	_, err = c.Release(t.Context(), time.Hour)
	ok(t, "release", err)
	turn("throttle", "8", "U1")
	late, err := s.Overdue(t.Context(), 0)
	ok(t, "overdue", err)
	if len(late) != 1 {
		t.Fatalf("a run with a turned dial is not due: %v", late)
	}
	c, r, err = s.Claim(t.Context(), "A", late[0].Task, long)
	ok(t, "claim", err)
	want["throttle"] = ops.Dial{Value: "8", By: "U1"}
	dials(want)

	r.State = ops.Cancelled
	ok(t, "end", c.Put(t.Context(), &r, nil))
	_, err = s.Turn(t.Context(), "A", "throttle", "9", "U1")
	wants(t, "turn after the end", err, ops.ErrEnded)
}

func testFiles(t *testing.T, s ops.Store) {
	create(t, s, "A")
	c, r := take(t, s, "A", long)
	file := &ops.File{Name: "refused.tsv", Content: strings.Repeat("é\t\"q\"\n", ops.MaxFile/7)}
	ok(t, "put", c.Put(t.Context(), &r, []ops.Event{
		{Kind: ops.Milestone, Text: "37 refused", File: file}, {Kind: ops.Milestone, Text: "no file"},
	}))
	events, err := s.Events(t.Context(), "A", 0)
	ok(t, "events", err)
	if len(events) != 2 || events[0].Text != "37 refused" || events[1].File != nil {
		t.Fatalf("events: %d", len(events))
	}
	if d := cmp.Diff(file, events[0].File); d != "" {
		t.Errorf("file (-put +got):\n%s", d)
	}
}
