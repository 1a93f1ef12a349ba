package indices

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/opstest"
)

// phases carries the named steps of a copy on, each in so many calls at most, and returns
// the last progress. It ends early where a step is blocked, fails, or is not over.
func phases(t *testing.T, op ops.Operation, b *opstest.Bench, calls int, names ...string) ops.Progress {
	t.Helper()
	var p ops.Progress
	for i, ref := range b.Run().Plan.Steps {
		if !slices.Contains(names, ref.Name) {
			continue
		}
		step, err := op.Step(ref)
		if err != nil {
			t.Fatal(err)
		}
		for range calls {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			p, err = b.Advance(ctx, i, step)
			cancel()
			if err != nil {
				t.Logf("step %s: %v", ref.Name, err)
				p = ops.Progress{Phase: ops.Waiting, Reason: err.Error()}
			}
			if p.Phase != ops.Waiting {
				break
			}
			time.Sleep(max(p.Wait, time.Millisecond))
		}
		if p.Phase != ops.Done {
			return p
		}
	}
	return p
}

// The aliases have moved and the process that asked for it did not live to read it. What
// was written to the destination since stays, though the old index was written to as well.
func TestFixSwapSentBeforeCrash(t *testing.T) {
	for _, n := range []int{300, 21_000} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.small(t, "v1", 2, n)
			op := reindex{s.sites()}
			b := bench(t, op, "", "v1", "v2")
			phases(t, op, b, 300, "create", "copy", "catch-up", "replicate", "block", "verify")
			phases(t, op, b, 1, "swap") // sent, and not read back
			if at := s.at1(t, "v1-alias"); at != "v2" {
				t.Fatalf("alias at %s", at)
			}
			s.PutDoc("v2", "new", `{"n":1}`)
			s.PutDoc("v2", numbered(3), `{"n":333}`)
			s.DeleteDoc("v2", numbered(4))
			want := s.content("v2", true)
			s.PutIndexSettings("v1", `{"index.blocks.write":null}`)
			s.PutDoc("v1", "old", `{"n":1}`)
			time.Sleep(3 * time.Second)
			if p := phases(t, op, b, 100, "swap", "finish"); p.Phase != ops.Done {
				t.Fatalf("%+v", p)
			}
			got := s.content("v2", true)
			for id, is := range want {
				if got[id] != is {
					t.Errorf("%s is %q, want %q", id, got[id], is)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d documents, want %d", len(got), len(want))
			}
		})
	}
}

// Somebody gives the destination an alias that is to move: nothing there is corrected.
func TestFixVerifyUnderReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 2, 300)
		op := reindex{s.sites()}
		b := bench(t, op, "", "v1", "v2")
		phases(t, op, b, 300, "create", "copy", "catch-up", "replicate", "block")
		s.ask(t, "POST", "/_aliases", `{"actions":[{"remove":{"index":"v1","alias":"v1-alias"}},{"add":{"index":"v2","alias":"v1-alias"}}]}`)
		s.PutDoc("v2", "new", `{"n":1}`)
		p := phases(t, op, b, 100, "verify")
		if want := "Alias v1-alias stands on v2 already. What is written there now may be newer than what v1 has, so nothing is corrected. Put the alias back on v1 and resume, or cancel."; p.Phase != ops.Blocked || p.Reason != want {
			t.Errorf("%+v", p)
		}
		if _, ok := s.content("v2", false)["new"]; !ok {
			t.Error("a new document was deleted")
		}
	})
}
