// Package approvalstest has what tests of approvals share: the suite every Store
// passes, builders of requests, and stand-ins for the Launcher and the Directory that
// remember what they were asked.
package approvalstest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twokey/approvals"
)

// Run checks that the stores newStore makes are approvals.Stores. Each must be empty.
func Run(t *testing.T, newStore func(t *testing.T) approvals.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, approvals.Store)
	}{
		{"create and get", createAndGet},
		{"one request per trigger", oneRequestPerTrigger},
		{"one request per trigger, at once", oneRequestPerTriggerAtOnce},
		{"update by rev", updateByRev},
		{"update has one winner", updateHasOneWinner},
		{"update of nothing", updateOfNothing},
		{"find", find},
		{"find is ambiguous", findIsAmbiguous},
		{"open", open},
		{"changed and settled", changedAndSettled},
		{"a request that changes often holds no other back", changedIsFair},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newStore(t)) })
	}
}

func createAndGet(t *testing.T, s approvals.Store) {
	want := NewRequest(func(r *approvals.Request) {
		r.Sealed = []byte(`{"empty":[],"none":{},"text":"é <&> \u2028"}`)
		r.Rule.Groups = []string{"S0SRE"}
	})
	made, fresh, err := s.Create(t.Context(), want)
	if err != nil || !fresh {
		t.Fatalf("Create: %v, fresh %v", err, fresh)
	}
	if made.Rev <= 0 {
		t.Errorf("Rev %d after Create, want more than 0", made.Rev)
	}
	got, err := s.Get(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	// The plan is the same value; its spelling may differ.
	for _, r := range []*approvals.Request{&want, &made, &got} {
		r.Sealed = spell(t, r.Sealed)
	}
	if d := cmp.Diff(made, got); d != "" {
		t.Errorf("stored otherwise than returned:\n%s", d)
	}
	want.Rev = made.Rev
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("stored otherwise than given:\n%s", d)
	}
	if _, err := s.Get(t.Context(), NewRequest().ID); !errors.Is(err, approvals.ErrNotFound) {
		t.Errorf("Get of an unknown id: %v, want ErrNotFound", err)
	}
}

func oneRequestPerTrigger(t *testing.T, s approvals.Store) {
	first := Create(t, s)
	decided := first
	decided.State = approvals.Declined
	decided, err := s.Update(t.Context(), decided)
	if err != nil {
		t.Fatal(err)
	}
	again := NewRequest(func(r *approvals.Request) { r.Trigger = first.Trigger })
	got, fresh, err := s.Create(t.Context(), again)
	if err != nil || fresh {
		t.Fatalf("Create: %v, fresh %v; want the first request", err, fresh)
	}
	if d := cmp.Diff(decided, got); d != "" {
		t.Errorf("not the first request as it is now:\n%s", d)
	}
	if _, err := s.Get(t.Context(), again.ID); !errors.Is(err, approvals.ErrNotFound) {
		t.Errorf("the second request is stored: %v", err)
	}
}

func oneRequestPerTriggerAtOnce(t *testing.T, s approvals.Store) {
	const n = 16
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids, made := map[string]bool{}, 0
	for range n {
		wg.Go(func() {
			r, fresh, err := s.Create(t.Context(), NewRequest(func(r *approvals.Request) { r.Trigger = "one" }))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[r.ID] = true
			if fresh {
				made++
			}
		})
	}
	wg.Wait()
	if len(ids) != 1 || made != 1 {
		t.Errorf("%d requests of one trigger, %d of %d calls said they made it; want 1 and 1", len(ids), made, n)
	}
}

func updateByRev(t *testing.T, s approvals.Store) {
	first := Create(t, s)
	second := first
	second.Votes = []approvals.Vote{{Voter: "U0LEAD", Approve: true, Digest: first.Digest, At: first.CreatedAt}}
	second, err := s.Update(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	if second.Rev <= first.Rev {
		t.Errorf("Rev %d after %d", second.Rev, first.Rev)
	}
	first.State = approvals.Cancelled
	if _, err := s.Update(t.Context(), first); !errors.Is(err, approvals.ErrConflict) {
		t.Errorf("Update of an old rev: %v, want ErrConflict", err)
	}
	got, err := s.Get(t.Context(), first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(second, got); d != "" {
		t.Errorf("stored otherwise than returned:\n%s", d)
	}
}

func updateHasOneWinner(t *testing.T, s approvals.Store) {
	r := Create(t, s)
	const n = 16
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range n {
		wg.Go(func() {
			mine := r
			mine.Title = fmt.Sprint(i)
			_, err := s.Update(t.Context(), mine)
			if err != nil && !errors.Is(err, approvals.ErrConflict) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d of %d updates of one rev went through, want 1", won, n)
	}
}

func updateOfNothing(t *testing.T, s approvals.Store) {
	if _, err := s.Update(t.Context(), NewRequest()); !errors.Is(err, approvals.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}

func find(t *testing.T, s approvals.Store) {
	r := Create(t, s, func(r *approvals.Request) { r.ID = "01JD0000000000000000ABCDEF" })
	Create(t, s, func(r *approvals.Request) { r.ID = "01JD0000000000000000ABCDEG" })
	for _, suffix := range []string{r.ID, "BCDEF", "bcdef", "aBcDeF", strings.ToLower(r.ID)} {
		if id, err := s.Find(t.Context(), suffix); err != nil || id != r.ID {
			t.Errorf("Find(%q) = %q, %v; want %q", suffix, id, err, r.ID)
		}
	}
	for _, suffix := range []string{"", "CDEF", "XBCDEF", "01JD0", "0" + r.ID, "BCDE*", "[BCDEF", "é", "BCD EF"} {
		if id, err := s.Find(t.Context(), suffix); !errors.Is(err, approvals.ErrNotFound) {
			t.Errorf("Find(%q) = %q, %v; want ErrNotFound", suffix, id, err)
		}
	}
}

func findIsAmbiguous(t *testing.T, s approvals.Store) {
	want := []string{"01JD0000000000000001ABCDEF", "01JD0000000000000002ABCDEF"}
	for _, id := range want {
		Create(t, s, func(r *approvals.Request) { r.ID = id })
	}
	_, err := s.Find(t.Context(), "abcdef")
	var ambiguous *approvals.AmbiguousError
	if !errors.As(err, &ambiguous) {
		t.Fatalf("%v, want an AmbiguousError", err)
	}
	if d := cmp.Diff(want, ambiguous.IDs); d != "" {
		t.Error(d)
	}
	if id, err := s.Find(t.Context(), "2abcdef"); err != nil || id != want[1] {
		t.Errorf("Find of a longer word = %q, %v", id, err)
	}
}

func open(t *testing.T, s approvals.Store) {
	var want []string
	for range 3 {
		want = append(want, Create(t, s).ID)
	}
	approved, err := s.Get(t.Context(), want[1])
	if err != nil {
		t.Fatal(err)
	}
	approved.State = approvals.Approved
	if approved, err = s.Update(t.Context(), approved); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Open(t.Context()); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("Open = %v, %v; want %v, oldest first", got, err, want)
	}
	approved.State = approvals.Launched
	if _, err := s.Update(t.Context(), approved); err != nil {
		t.Fatal(err)
	}
	want = []string{want[0], want[2]}
	if got, err := s.Open(t.Context()); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("after the launch of one: Open = %v, %v; want %v", got, err, want)
	}
}

func changedAndSettled(t *testing.T, s approvals.Store) {
	a := Create(t, s)
	b := Create(t, s)
	wantChanged(t, s, 10, approvals.Changed{ID: a.ID, Rev: a.Rev}, approvals.Changed{ID: b.ID, Rev: b.Rev})
	wantChanged(t, s, 1, approvals.Changed{ID: a.ID, Rev: a.Rev})
	wantChanged(t, s, 0)

	// Written between Changed and Settle: it stays.
	old := approvals.Changed{ID: a.ID, Rev: a.Rev}
	a.State = approvals.Declined
	a, err := s.Update(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	settle(t, s, old)
	settle(t, s, approvals.Changed{ID: b.ID, Rev: b.Rev})
	wantChanged(t, s, 10, approvals.Changed{ID: a.ID, Rev: a.Rev})
	settle(t, s, approvals.Changed{ID: a.ID, Rev: a.Rev})
	settle(t, s, approvals.Changed{ID: a.ID, Rev: a.Rev}) // a repetition
	wantChanged(t, s, 10)

	// Written after it was settled: it is back.
	b.State = approvals.Cancelled
	if b, err = s.Update(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	wantChanged(t, s, 10, approvals.Changed{ID: b.ID, Rev: b.Rev})
	settle(t, s, approvals.Changed{ID: NewRequest().ID, Rev: 1}) // unknown: no error
}

func changedIsFair(t *testing.T, s approvals.Store) {
	busy := Create(t, s)
	quiet := Create(t, s)
	// Those that wait since the same millisecond have no order: write until it is over.
	for range 100_000 {
		old := approvals.Changed{ID: busy.ID, Rev: busy.Rev}
		var err error
		if busy, err = s.Update(t.Context(), busy); err != nil {
			t.Fatal(err)
		}
		settle(t, s, old)
		first, err := s.Changed(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(first) == 1 && first[0].ID == quiet.ID {
			return
		}
	}
	t.Error("the request that is written again and again stays the first")
}

func wantChanged(t *testing.T, s approvals.Store, n int, want ...approvals.Changed) {
	t.Helper()
	got, err := s.Changed(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Changed(%d):\n%s", n, d)
	}
}

func settle(t *testing.T, s approvals.Store, c approvals.Changed) {
	t.Helper()
	if err := s.Settle(t.Context(), c); err != nil {
		t.Error(err)
	}
}
