package registertest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"twokey/ops/elastic/indices"
)

// Run runs the suite. Each register of newRegister is empty.
func Run(t *testing.T, newRegister func(t *testing.T) indices.Register) {
	for name, test := range map[string]func(*testing.T, indices.Register){
		"Nothing":     nothing,
		"CreateOnly":  createOnly,
		"Replace":     replace,
		"Stale":       stale,
		"Vanished":    vanished,
		"Same":        same,
		"Order":       order,
		"Names":       names,
		"WrongNames":  wrongNames,
		"Independent": independent,
		"OneWins":     oneWins,
	} {
		t.Run(name, func(t *testing.T) { test(t, newRegister(t)) })
	}
}

// put puts what must be taken.
func put(t *testing.T, r indices.Register, name string, e indices.Entry) indices.Entry {
	t.Helper()
	got, err := r.Put(t.Context(), name, e)
	if err != nil {
		t.Fatal(err)
	}
	if got.Version == "" || got.Version == e.Version {
		t.Fatalf("version %q after %q", got.Version, e.Version)
	}
	if got.Active != e.Active || !slices.Equal(got.Write, e.Write) {
		t.Fatalf("put %+v, answered %+v", e, got)
	}
	want(t, r, name, got)
	return got
}

// want reads what must be there.
func want(t *testing.T, r indices.Register, name string, e indices.Entry) {
	t.Helper()
	got, err := r.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if got.Active != e.Active || got.Version != e.Version || !slices.Equal(got.Write, e.Write) {
		t.Fatalf("%s is %+v, want %+v", name, got, e)
	}
}

// refused puts what must be refused because of the version, and leave no trace.
func refused(t *testing.T, r indices.Register, name string, e indices.Entry) {
	t.Helper()
	before, err := r.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Put(t.Context(), name, e); !errors.Is(err, indices.ErrRegisterChanged) {
		t.Fatalf("put %+v over %+v: %v", e, before, err)
	}
	want(t, r, name, before)
}

func entry(active string, write ...string) indices.Entry {
	return indices.Entry{Active: active, Write: write}
}

func at(version string, e indices.Entry) indices.Entry {
	e.Version = version
	return e
}

func nothing(t *testing.T, r indices.Register) {
	want(t, r, "dashboard-1", indices.Entry{})
	want(t, r, "dashboard-1", indices.Entry{}) // asking creates nothing
}

func createOnly(t *testing.T, r indices.Register) {
	put(t, r, "dashboard-1", entry("v1_1", "v1_1"))
	refused(t, r, "dashboard-1", entry("v2_1", "v2_1"))
	refused(t, r, "dashboard-1", entry("v1_1", "v1_1"))
}

func replace(t *testing.T, r indices.Register) {
	e := put(t, r, "dashboard-1", entry("v1_1", "v1_1"))
	e = put(t, r, "dashboard-1", at(e.Version, entry("v1_1", "v1_1", "v2_1")))
	e = put(t, r, "dashboard-1", at(e.Version, entry("v2_1", "v1_1", "v2_1")))
	e = put(t, r, "dashboard-1", at(e.Version, entry("v2_1", "v2_1")))
	put(t, r, "dashboard-1", at(e.Version, entry("", []string{}...)))
}

func stale(t *testing.T, r indices.Register) {
	first := put(t, r, "dashboard-1", entry("v1_1", "v1_1"))
	second := put(t, r, "dashboard-1", at(first.Version, entry("v1_1", "v1_1", "v2_1")))
	refused(t, r, "dashboard-1", at(first.Version, entry("v2_1", "v2_1")))
	// What is wanted is there already, but not by this caller's hand.
	refused(t, r, "dashboard-1", at(first.Version, entry("v1_1", "v1_1", "v2_1")))
	put(t, r, "dashboard-1", at(second.Version, entry("v2_1", "v2_1")))
}

func vanished(t *testing.T, r indices.Register) {
	e := put(t, r, "dashboard-1", entry("v1_1", "v1_1"))
	refused(t, r, "dashboard-2", at(e.Version, entry("v1_2", "v1_2")))
}

func same(t *testing.T, r indices.Register) {
	e := put(t, r, "dashboard-1", entry("v1_1", "v1_1"))
	put(t, r, "dashboard-1", at(e.Version, entry("v1_1", "v1_1"))) // a new version all the same
}

func order(t *testing.T, r indices.Register) {
	put(t, r, "dashboard-1", entry("b", "c", "a", "b"))
}

func names(t *testing.T, r indices.Register) {
	for i, name := range []string{"a b", "a/b", "a%2Fb", "a?b#c", "ä€", `"quoted"`, "{x}", "..a", "a+b", "nonce:x"} {
		put(t, r, name, entry(fmt.Sprint("v1_", i), fmt.Sprint("v1_", i)))
	}
	want(t, r, "a", indices.Entry{})
}

func wrongNames(t *testing.T, r indices.Register) {
	for _, name := range []string{"", ".", ".."} {
		if _, err := r.Get(t.Context(), name); err == nil {
			t.Errorf("get %q: no error", name)
		}
		if _, err := r.Put(t.Context(), name, entry("a", "a")); err == nil || errors.Is(err, indices.ErrRegisterChanged) {
			t.Errorf("put %q: %v", name, err)
		}
	}
}

func independent(t *testing.T, r indices.Register) {
	one := put(t, r, "dashboard-1", entry("v1_1", "v1_1"))
	put(t, r, "dashboard-2", entry("v1_2", "v1_2"))
	want(t, r, "dashboard-1", one)
}

// oneWins: of several that saw the same version, one writes.
func oneWins(t *testing.T, r indices.Register) {
	const n = 4
	e := put(t, r, "dashboard-1", entry("v1_1", "v1_1"))
	for range 5 {
		var wg sync.WaitGroup
		var won, errs [n]error
		var got [n]indices.Entry
		for i := range n {
			wg.Go(func() {
				var err error
				got[i], err = r.Put(t.Context(), "dashboard-1", at(e.Version, entry(fmt.Sprint("v", i), "v1_1")))
				if errors.Is(err, indices.ErrRegisterChanged) {
					won[i] = err
				} else {
					errs[i] = err
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		winner := slices.Index(won[:], nil)
		if winner < 0 || slices.Contains(won[winner+1:], nil) {
			t.Fatalf("refusals: %v", won)
		}
		want(t, r, "dashboard-1", got[winner])
		e = got[winner]
	}
}
