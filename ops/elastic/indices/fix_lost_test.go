package indices

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
)

// The destination has to be made again, and the reply to its deletion is lost; or somebody
// else deletes it.
func TestFixLostDestinationDeleted(t *testing.T) {
	for _, others := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := copying(t)
			s.small(t, "v1", 2, 21_000)
			op := reindex{s.sites()}
			b := bench(t, op, "", "v1", "v2")
			phases(t, op, b, 100, "create", "copy")
			deleted := others
			if others {
				s.remove(t, "v2")
			} else {
				s.LoseShard("v2", 0)
			}
			s.Intercept(func(r *http.Request) elasticsim.Fault {
				if deleted || !is("DELETE", "/v2")(r) {
					return elasticsim.Fault{}
				}
				deleted = true
				return elasticsim.Fault{LoseReply: true}
			})
			if p := phases(t, op, b, 300, "catch-up", "replicate", "block", "verify", "swap", "finish"); p.Phase != ops.Done || !deleted {
				t.Fatalf("%+v", p)
			}
			s.holds(t, "v2", s.content("v1", false))
		})
	}
}

// A destination that no node may have is not made again and again: a person is told why.
func TestFixNeverAllocated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := copying(t)
		s.small(t, "v1", 2, 60)
		s.ask(t, "PUT", "/_index_template/x", `{"index_patterns":["v2*"],"template":{"settings":{"index.routing.allocation.require.zone":"nowhere"}}}`)
		_, run := s.reindexed(t, "v1", "v2", "")
		if run.State != ops.Paused || !strings.Contains(run.Reason, "The shards of v2 have not started for") || !strings.Contains(run.Reason, "allocate this shard") {
			t.Errorf("%s: %s", run.State, run.Reason)
		}
	})
}

// With dual, a shard of the destination is lost after readers moved: they go back first,
// the destination is nobody's when it is deleted, and everything is proven once more.
func TestFixDualLostAfterSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, book := doubled(t, 21_000)
		op := reindex{s.sites()}
		b := bench(t, op, "writes=dual register=logical", "v1", "v2")
		if p := phases(t, op, b, 300, "create", "register", "copy", "verify", "swap"); p.Phase != ops.Done {
			t.Fatalf("%+v", p)
		}
		deleted := false
		var changed time.Time
		s.Intercept(func(r *http.Request) elasticsim.Fault {
			e := book.entries["logical"]
			if !slices.Contains(e.Write, "v2") && changed.IsZero() {
				changed = time.Now()
			}
			if is("DELETE", "/v2")(r) {
				deleted = true
				if e.Active != "v1" || slices.Contains(e.Write, "v2") || time.Since(changed) < 19*time.Second {
					t.Errorf("deleted while %+v", e)
				}
			}
			return elasticsim.Fault{}
		})
		s.LoseShard("v2", 0)
		if p := phases(t, op, b, 500, "replicate", "finish"); p.Phase != ops.Done || !deleted {
			t.Fatalf("%+v", p)
		}
		s.holds(t, "v2", s.content("v1", false))
		if e := book.entries["logical"]; e.Active != "v2" || !slices.Equal(e.Write, []string{"v1", "v2"}) || s.at1(t, "v1-alias") != "v2" {
			t.Errorf("%+v, alias at %s", e, s.at1(t, "v1-alias"))
		}
	})
}

// Somebody takes the destination out of the register: it is not switched to.
func TestFixDualNotWrittenTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, book := doubled(t, 60)
		op := reindex{s.sites()}
		b := bench(t, op, "writes=dual register=logical", "v1", "v2")
		phases(t, op, b, 300, "create", "register", "copy", "verify")
		e := book.entries["logical"]
		e.Write, e.Version = []string{"v1"}, "other"
		book.entries["logical"] = e
		p := phases(t, op, b, 300, "swap")
		if p.Phase != ops.Blocked || !strings.Contains(p.Reason, "does not say any more that v2 is written to") || book.entries["logical"].Active != "v1" {
			t.Errorf("%+v", p)
		}
	})
}

// A register that says something else does not keep a run from being undone.
func TestFixUndoForeignRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, book := doubled(t, 60)
		op := reindex{s.sites()}
		b := bench(t, op, "writes=dual register=logical", "v1", "v2")
		phases(t, op, b, 300, "create", "register", "copy", "verify")
		phases(t, op, b, 1, "swap") // switched, and not read back
		book.entries["logical"] = Entry{Active: "v3", Write: []string{"v1", "v3"}, Version: "other"}
		s.Intercept(nil)
		b.Change(func(r *ops.Run) { r.Step = 4 })
		entries := back(t, op, b, 0)
		if e := entries["register logical active"]; e.State != ops.Left || !strings.Contains(e.Reason, "says that v3 is active") {
			t.Errorf("%+v", e)
		}
		s.onlyIndices(t, "v1")
	})
}

// Writers with dual are told that their writes are kept.
func TestFixDualDurable(t *testing.T) {
	j := &job{spec: spec{Writes: writesDual}, state: &state{}}
	during := j.whileCopying()
	if d := during["index.translog.durability"]; d == nil || *d != "request" {
		t.Errorf("durability %v", d)
	}
	if _, ok := during["index.translog.sync_interval"]; ok {
		t.Error("sync interval")
	}
	f := j.final(map[string]string{"index.translog.sync_interval": "9s"})
	if v := f["index.translog.sync_interval"]; v == nil || *v != "9s" {
		t.Errorf("final %v", v)
	}
}
