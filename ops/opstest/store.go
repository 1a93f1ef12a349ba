package opstest

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
)

const (
	long  = time.Minute
	short = 40 * time.Millisecond
)

// RunStore runs the suite every ops.Store passes. newStore returns an empty store.
func RunStore(t *testing.T, newStore func(t *testing.T) ops.Store) {
	tests := []struct {
		name string
		test func(t *testing.T, s ops.Store)
	}{
		{"create once", testCreate},
		{"a record comes back as it was", testRecord},
		{"claim", testClaim},
		{"a lost claim writes nothing", testFenced},
		{"renew", testRenew},
		{"events", testEvents},
		{"flags", testFlags},
		{"release", testRelease},
		{"locks", testLocks},
		{"overdue", testOverdue},
		{"changed", testChanged},
		{"ended", testEnded},
		{"parts", testParts},
		{"many parts", testManyParts},
		{"a lost claim writes no part", testFencedParts},
		{"dials", testDials},
		{"files", testFiles},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, newStore(t)) })
	}
}

// NewRun is a run as Submit stores it.
func NewRun(id string) ops.Run {
	plan := ops.Plan{
		Call: ops.Call{Kind: "world", Environment: "test"}, Title: "Run " + id, Targets: []string{"n1"},
		Steps: []ops.StepRef{{Name: "set", Version: 1}}, Locks: []string{"world"},
	}
	return ops.Run{
		ID: id, Plan: plan, Digest: plan.Digest(), Requester: "UASKS", Approvers: []string{"UAGREES"}, State: ops.Starting,
	}
}

func create(t *testing.T, s ops.Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if made, err := s.Create(t.Context(), NewRun(id)); err != nil || !made {
			t.Fatalf("create %s: %v, %v", id, made, err)
		}
	}
}

func take(t *testing.T, s ops.Store, id string, ttl time.Duration) (ops.Claim, ops.Run) {
	t.Helper()
	c, r, err := s.Claim(t.Context(), id, id, ttl)
	if err != nil {
		t.Fatalf("claim %s: %v", id, err)
	}
	return c, r
}

func ok(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// until asks again every few milliseconds, since the store's clock is its own, and
// fails the test after 5 s.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if f() {
			return
		}
		<-tick.C
	}
	t.Fatalf("not within 5 s: %s", what)
}

func testCreate(t *testing.T, s ops.Store) {
	create(t, s, "A")
	other := NewRun("A")
	other.Requester = "UOTHER"
	if made, err := s.Create(t.Context(), other); err != nil || made {
		t.Errorf("create A again: %v, %v", made, err)
	}
	r, err := s.Get(t.Context(), "A")
	if err != nil || r.Requester != "UASKS" || r.Rev != 1 || r.CreatedAt.IsZero() {
		t.Errorf("got %+v, %v", r, err)
	}
	_, err = s.Get(t.Context(), "B")
	wants(t, "get of what is not", err, ops.ErrNotFound)
	create(t, s, "B")
	live, err := s.Live(t.Context())
	if err != nil || len(live) != 2 || live[0].ID != "A" || live[1].ID != "B" {
		t.Errorf("live: %v, %v", live, err)
	}
}

func testRecord(t *testing.T, s ops.Store) {
	create(t, s, "A")
	c, r := take(t, s, "A", long)
	empty, x := "", "x"
	r.State, r.Step, r.Begun, r.Attempt = ops.Running, 0, true, 1
	r.Journal = []ops.Change{{Key: "k", Setting: "s", Before: nil, Intended: &x, After: &empty, State: ops.Written}}
	r.Notes = map[int]json.RawMessage{0: json.RawMessage(`{"empty":[],"none":{},"text":"ü \u0000"}`)}
	r.Status = ops.Status{Headline: "7 of 24", Lines: []string{}}
	ok(t, "put", c.Put(t.Context(), &r, nil))
	got, err := s.Get(t.Context(), "A")
	ok(t, "get", err)
	want, _ := json.Marshal(r)
	have, _ := json.Marshal(got)
	if d := cmp.Diff(string(want), string(have)); d != "" {
		t.Errorf("record (-put +got):\n%s", d)
	}
	if got.Rev != 2 || got.Epoch != 1 {
		t.Errorf("rev %d, epoch %d", got.Rev, got.Epoch)
	}
}

func testClaim(t *testing.T, s ops.Store) {
	_, _, err := s.Claim(t.Context(), "A", "A", long)
	wants(t, "claim of what is not", err, ops.ErrNotFound)
	create(t, s, "A")
	_, _, err = s.Claim(t.Context(), "A", "A.7", long)
	wants(t, "claim with another task", err, ops.ErrStale)
	c, r := take(t, s, "A", long)
	if r.Epoch != 1 || r.Requester != "UASKS" {
		t.Errorf("claimed %+v", r)
	}
	_, _, err = s.Claim(t.Context(), "A", "A", long)
	wants(t, "claim of a held run", err, ops.ErrBusy)
	_, err = c.Release(t.Context(), 0)
	ok(t, "release", err)
	if _, r := take(t, s, "A", long); r.Epoch != 2 {
		t.Errorf("epoch %d after the second claim", r.Epoch)
	}
}

func testFenced(t *testing.T, s ops.Store) {
	create(t, s, "A")
	old, r := take(t, s, "A", short)
	var next ops.Claim
	until(t, "claim of an expired one", func() bool {
		var err error
		next, _, err = s.Claim(t.Context(), "A", "A", long)
		return err == nil
	})
	r.Reason = "zombie"
	wants(t, "put", old.Put(t.Context(), &r, []ops.Event{{Kind: ops.Milestone}}), ops.ErrFenced)
	wants(t, "put and clear", old.PutAndClear(t.Context(), &r, nil, ops.FlagPause), ops.ErrFenced)
	wants(t, "renew", old.Renew(t.Context()), ops.ErrFenced)
	wants(t, "lock", old.Lock(t.Context(), []string{"x"}, "", ""), ops.ErrFenced)
	_, _, err := old.Fence(t.Context())
	wants(t, "fence", err, ops.ErrFenced)
	_, err = old.Release(t.Context(), long)
	wants(t, "release", err, ops.ErrFenced)

	got, err := s.Get(t.Context(), "A")
	ok(t, "get", err)
	events, err := s.Events(t.Context(), "A", 0)
	ok(t, "events", err)
	if got.Reason != "" || got.Rev != 1 || len(events) != 0 {
		t.Errorf("a lost claim wrote: rev %d, reason %q, %d events", got.Rev, got.Reason, len(events))
	}
	_, _, err = next.Fence(t.Context())
	ok(t, "fence of the next", err)
	if h, err := s.Holder(t.Context(), "x"); h != nil || err != nil {
		t.Errorf("a lost claim locked: %v, %v", h, err)
	}
}

func testRenew(t *testing.T, s ops.Store) {
	create(t, s, "A")
	const ttl = 2 * time.Second // long enough for a busy machine to renew in time
	c, r := take(t, s, "A", ttl)
	for began := time.Now(); time.Since(began) < ttl*3/2; { // longer than one life of the claim
		ok(t, "renew", c.Renew(t.Context()))
		_, _, err := s.Claim(t.Context(), "A", "A", long)
		wants(t, "claim of a renewed run", err, ops.ErrBusy)
	}
	ok(t, "put", c.Put(t.Context(), &r, nil))
	until(t, "an expired claim is fenced, even with no other", func() bool {
		_, _, err := c.Fence(t.Context())
		return errors.Is(err, ops.ErrFenced)
	})
	wants(t, "renew of an expired claim", c.Renew(t.Context()), ops.ErrFenced)
	wants(t, "put of an expired claim", c.Put(t.Context(), &r, nil), ops.ErrFenced)
}

func testEvents(t *testing.T, s ops.Store) {
	create(t, s, "A")
	c, r := take(t, s, "A", long)
	ok(t, "put", c.Put(t.Context(), &r, []ops.Event{{Kind: ops.Milestone, Text: "one"}, {Kind: ops.WasPaused, Text: "two\nlines \"q\""}}))
	ok(t, "put", c.Put(t.Context(), &r, nil))
	ok(t, "put", c.Put(t.Context(), &r, []ops.Event{{Seq: 99, Kind: ops.Milestone, Text: "three"}}))
	events, err := s.Events(t.Context(), "A", 1)
	ok(t, "events", err)
	if len(events) != 2 || events[0].Seq != 2 || events[1].Seq != 3 ||
		events[0].Text != "two\nlines \"q\"" || events[0].Kind != ops.WasPaused || events[1].At.IsZero() {
		t.Errorf("events after 1: %+v", events)
	}
	if events, err := s.Events(t.Context(), "A", 3); err != nil || len(events) != 0 {
		t.Errorf("events after the last: %v, %v", events, err)
	}
	if events, err := s.Events(t.Context(), "none", 0); err != nil || len(events) != 0 {
		t.Errorf("events of no run: %v, %v", events, err)
	}
}

func testFlags(t *testing.T, s ops.Store) {
	_, err := s.Flag(t.Context(), "A", ops.FlagPause, "U1")
	wants(t, "flag of no run", err, ops.ErrNotFound)
	create(t, s, "A")
	c, r := take(t, s, "A", long)
	fence := func(want ops.Flag, by string) {
		t.Helper()
		if f, who, err := c.Fence(t.Context()); err != nil || f != want || who != by {
			t.Errorf("flag %q by %q, %v; want %q by %q", f, who, err, want, by)
		}
	}
	flag := func(f ops.Flag, by string) {
		t.Helper()
		if w, err := s.Flag(t.Context(), "A", f, by); err != nil || w != (ops.Wake{ID: "A", Task: "A"}) {
			t.Errorf("flag %s: %v, %v", f, w, err)
		}
	}
	fence(ops.NoFlag, "")
	flag(ops.FlagPause, "U1")
	fence(ops.FlagPause, "U1")
	ok(t, "put", c.Put(t.Context(), &r, nil))
	fence(ops.FlagPause, "U1") // a plain put keeps it
	flag(ops.FlagResume, "U2")
	ok(t, "put", c.PutAndClear(t.Context(), &r, nil, ops.FlagPause))
	fence(ops.FlagResume, "U2") // it was replaced meanwhile
	ok(t, "put", c.PutAndClear(t.Context(), &r, nil, ops.FlagResume))
	fence(ops.NoFlag, "")
	flag(ops.FlagCancel, "U3")
	flag(ops.FlagResume, "U4")
	fence(ops.FlagCancel, "U3")
}

func testRelease(t *testing.T, s ops.Store) {
	create(t, s, "A")
	c, r := take(t, s, "A", long)
	if d, err := c.Release(t.Context(), time.Hour); d != time.Hour || err != nil {
		t.Errorf("release: %v, %v", d, err)
	}
	wants(t, "put after release", c.Put(t.Context(), &r, nil), ops.ErrFenced)
	if late, err := s.Overdue(t.Context(), 0); len(late) != 0 || err != nil {
		t.Errorf("a run due in an hour is overdue: %v, %v", late, err)
	}
	c, _ = take(t, s, "A", long)
	_, err := s.Flag(t.Context(), "A", ops.FlagPause, "U1")
	ok(t, "flag", err)
	if d, err := c.Release(t.Context(), time.Hour); d != 0 || err != nil {
		t.Errorf("release with a flag waiting: %v, %v", d, err)
	}
	if late, err := s.Overdue(t.Context(), 0); len(late) != 1 || err != nil {
		t.Errorf("a flagged run is not due: %v, %v", late, err)
	}
}

func testLocks(t *testing.T, s ops.Store) {
	create(t, s, "A", "B")
	a, ra := take(t, s, "A", long)
	b, _ := take(t, s, "B", long)
	ok(t, "lock", a.Lock(t.Context(), []string{"x", "y"}, "Run A", "UA"))
	ok(t, "lock again", a.Lock(t.Context(), []string{"x", "y"}, "Run A", "UA"))
	ok(t, "lock nothing", b.Lock(t.Context(), nil, "Run B", "UB"))

	err := b.Lock(t.Context(), []string{"free", "y"}, "Run B", "UB")
	want := &ops.HeldError{Resource: "y", Run: "A", Title: "Run A", By: "UA"}
	var held *ops.HeldError
	if !errors.As(err, &held) || *held != *want {
		t.Errorf("lock of a held resource: %v, want %v", err, want)
	}
	if h, err := s.Holder(t.Context(), "free"); h != nil || err != nil {
		t.Errorf("a refused lock took a part: %v, %v", h, err)
	}
	if h, err := s.Holder(t.Context(), "x"); h == nil || h.Run != "A" || err != nil {
		t.Errorf("holder of x: %v, %v", h, err)
	}
	// Locks belong to the run, not to the claim.
	_, err = a.Release(t.Context(), 0)
	ok(t, "release", err)
	if h, err := s.Holder(t.Context(), "x"); h == nil || err != nil {
		t.Errorf("holder of x after the release: %v, %v", h, err)
	}
	a, _ = take(t, s, "A", long)
	ra.State = ops.Succeeded
	ok(t, "end", a.Put(t.Context(), &ra, nil))
	ok(t, "lock after the end of the holder", b.Lock(t.Context(), []string{"free", "x", "y"}, "Run B", "UB"))
}

func testOverdue(t *testing.T, s ops.Store) {
	create(t, s, "A", "B")
	if late, err := s.Overdue(t.Context(), long); len(late) != 0 || err != nil {
		t.Errorf("overdue within grace: %v, %v", late, err)
	}
	c, _ := take(t, s, "A", short)
	var late []ops.Wake
	until(t, "B overdue", func() bool {
		var err error
		late, err = s.Overdue(t.Context(), 0)
		ok(t, "overdue", err)
		return len(late) > 0
	})
	if late[0].ID != "B" || late[0].Task == "B" {
		t.Errorf("overdue: %v, want B with a new task", late)
	}
	_, _, err := s.Claim(t.Context(), "B", "B", long)
	wants(t, "claim with the old task", err, ops.ErrStale)
	if again, err := s.Overdue(t.Context(), long); len(again) != 0 || err != nil {
		t.Errorf("B overdue again within a grace: %v, %v", again, err)
	}
	_, _, err = s.Claim(t.Context(), "B", late[0].Task, long)
	ok(t, "claim with the new task", err)
	until(t, "A overdue once its claim has run out", func() bool {
		late, err := s.Overdue(t.Context(), 0)
		ok(t, "overdue", err)
		return len(late) == 1 && late[0].ID == "A"
	})
	_, err = c.Release(t.Context(), 0)
	wants(t, "release of the run-out claim", err, ops.ErrFenced)
}

func testChanged(t *testing.T, s ops.Store) {
	create(t, s, "A")
	later := func(id string) { // what waits longest is told by milliseconds
		until(t, "a moment after the creation of "+id, func() bool {
			r, err := s.Get(t.Context(), id)
			ok(t, "get", err)
			return time.Since(r.CreatedAt) > 2*time.Millisecond
		})
	}
	later("A")
	create(t, s, "B")
	later("B")
	ca, ra := take(t, s, "A", long)
	changed := func(want ...ops.Changed) {
		t.Helper()
		got, err := s.Changed(t.Context(), 10)
		ok(t, "changed", err)
		if d := cmp.Diff(append([]ops.Changed{}, want...), got); d != "" {
			t.Errorf("changed (-want +got):\n%s", d)
		}
	}
	changed(ops.Changed{ID: "A", Rev: 1}, ops.Changed{ID: "B", Rev: 1})
	if one, err := s.Changed(t.Context(), 1); len(one) != 1 || one[0].ID != "A" || err != nil {
		t.Errorf("first changed: %v, %v", one, err)
	}
	ok(t, "put", ca.Put(t.Context(), &ra, nil))
	ok(t, "settle what was read before the put", s.Settle(t.Context(), ops.Changed{ID: "A", Rev: 1}))
	changed(ops.Changed{ID: "B", Rev: 1}, ops.Changed{ID: "A", Rev: 2})
	ok(t, "settle", s.Settle(t.Context(), ops.Changed{ID: "A", Rev: 2}))
	changed(ops.Changed{ID: "B", Rev: 1})
	ok(t, "settle twice", s.Settle(t.Context(), ops.Changed{ID: "A", Rev: 2}))
	ok(t, "settle of no run", s.Settle(t.Context(), ops.Changed{ID: "none", Rev: 2}))
	ok(t, "put", ca.Put(t.Context(), &ra, nil))
	changed(ops.Changed{ID: "B", Rev: 1}, ops.Changed{ID: "A", Rev: 3})
}

func testEnded(t *testing.T, s ops.Store) {
	create(t, s, "A", "B", "C")
	for _, id := range []string{"B", "A"} {
		c, r := take(t, s, id, long)
		r.State = ops.FailedRun
		ok(t, "end", c.Put(t.Context(), &r, []ops.Event{{Kind: ops.Ending, Text: "x"}}))
		if r.EndedAt.IsZero() {
			t.Errorf("end of %s has no time", id)
		}
		wants(t, "put after the end", c.Put(t.Context(), &r, nil), ops.ErrFenced)
		at := r.EndedAt
		until(t, "the next end at a later time", func() bool { return time.Since(at) > 2*time.Millisecond })
	}
	_, _, err := s.Claim(t.Context(), "A", "A", long)
	wants(t, "claim after the end", err, ops.ErrEnded)
	_, err = s.Flag(t.Context(), "A", ops.FlagCancel, "U1")
	wants(t, "flag after the end", err, ops.ErrEnded)
	if made, err := s.Create(t.Context(), NewRun("A")); made || err != nil {
		t.Errorf("create after the end: %v, %v", made, err)
	}
	if live, err := s.Live(t.Context()); len(live) != 1 || live[0].ID != "C" || err != nil {
		t.Errorf("live: %v, %v", live, err)
	}
	recent, err := s.Recent(t.Context(), 10)
	if len(recent) != 2 || recent[0].ID != "A" || recent[1].ID != "B" || err != nil {
		t.Errorf("recent: %v, %v", recent, err)
	}
	if one, err := s.Recent(t.Context(), 1); len(one) != 1 || one[0].ID != "A" || err != nil {
		t.Errorf("most recent: %v, %v", one, err)
	}
	until(t, "C overdue, and it alone", func() bool {
		late, err := s.Overdue(t.Context(), 0)
		ok(t, "overdue", err)
		return len(late) == 1 && late[0].ID == "C"
	})
}
