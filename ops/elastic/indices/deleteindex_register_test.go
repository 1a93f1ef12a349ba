package indices

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// disturbed is a register in memory, with things that happen at its writes.
type disturbed struct {
	*memory
	before func(name string, e Entry)
	after  func(name string) error
}

func (d *disturbed) Put(ctx context.Context, name string, e Entry) (Entry, error) {
	if d.before != nil {
		d.before(name, e)
	}
	e, err := d.memory.Put(ctx, name, e)
	if err == nil && d.after != nil {
		err = d.after(name)
	}
	return e, err
}

// edit changes an entry as somebody else would.
func (d *disturbed) edit(name, active string, write ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries[name] = Entry{Active: active, Write: write, Version: d.entries[name].Version + "y"}
}

func (d *disturbed) writes(name string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entries[name].Write
}

// dualled has old-1 to old-4 as doomed, of which old-1 to old-3 were replaced by new-1 to
// new-3 with the register's entries d-1 to d-3. None is held any more.
func dualled(t *testing.T) (pretend, *disturbed) {
	s := doomed(t)
	d := &disturbed{memory: &memory{entries: map[string]Entry{}}}
	s.site.Register = d
	for i := 1; i <= 3; i++ {
		source, dest, entry := fmt.Sprintf("old-%d", i), fmt.Sprintf("new-%d", i), fmt.Sprintf("d-%d", i)
		s.create(t, dest, `{}`)
		m := mark{Run: "01DUALLED", Source: source, SourceUUID: s.uuidOf(t, source), Register: entry,
			SwappedAt: time.Now().Add(-2 * time.Hour), HoldUntil: time.Now().Add(-time.Hour)}
		if err := s.site.writeMark(t.Context(), dest, m, "other"); err != nil {
			t.Fatal(err)
		}
		d.edit(entry, dest, source, dest)
	}
	return s, d
}

// watched lets no index be deleted that the register names, or too early.
func (s pretend) watched(t *testing.T, d *disturbed, changed *time.Time) {
	s.idle(func(r *http.Request) elasticsim.Fault {
		if r.Method == http.MethodDelete {
			for entry := range d.entries {
				if slices.Contains(d.writes(entry), r.URL.Path[1:]) {
					t.Errorf("DELETE %s, and entry %s names it", r.URL.Path, entry)
				}
			}
			if after := time.Since(*changed); after < 30*time.Second {
				t.Errorf("DELETE %s %s after the register was changed", r.URL.Path, after)
			}
		}
		return elasticsim.Fault{}
	})
}

// Writers are told first; what others have in the entries stays.
func TestDeleteIndexRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := dualled(t)
		d.edit("d-1", "new-1", "mirror", "old-1", "new-1")
		op := deleteIndex{s.sites()}
		b := bench(t, op, "", "old-1", "old-2", "old-4")
		plan := b.Run().Plan
		var shown []string
		for _, l := range plan.Shown {
			if l.Label == "Register" {
				shown = append(shown, l.Text)
			}
		}
		want := []string{"entry d-1: old-1 is taken out of the write targets first", "entry d-2: old-2 is taken out of the write targets first"}
		if d := cmp.Diff(want, shown); d != "" {
			t.Error(d)
		}
		if len(plan.Steps) != 2 || plan.Steps[0].Name != "register" || plan.Steps[1].Name != "delete" {
			t.Errorf("%+v", plan.Steps)
		}
		var changed time.Time
		s.watched(t, d, &changed)
		d.before = func(name string, e Entry) {
			if c, ok := b.Entry(writeKey(name)); !ok || c.State != ops.Intended || *c.Intended != strings.Join(e.Write, ",") {
				t.Errorf("%s is changed to %v with %+v in the journal", name, e.Write, c)
			}
			if name == "d-1" && slices.Contains(d.writes(name), "old-1") && len(d.writes(name)) == 3 {
				d.edit("d-1", "new-1", "mirror", "old-1", "new-1", "late") // somebody is faster
			}
			changed = time.Now()
		}
		began := time.Now()
		if p := run(t, op, b, 0, nil); p.Phase != ops.Done || p.Status.Headline != "3 indices are gone, read back" {
			t.Fatalf("%+v", p)
		}
		if took := time.Since(began); took > 40*time.Second {
			t.Errorf("took %s: one wait for all is enough", took)
		}
		if d := cmp.Diff([]string{"mirror", "new-1", "late"}, d.writes("d-1")); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"old-3", "new-3"}, d.writes("d-3")); d != "" {
			t.Error(d)
		}
		if c := b.Entries()["register d-1 write"]; c.State != ops.Kept || *c.Before != "mirror,old-1,new-1" || *c.After != "mirror,new-1,late" {
			t.Errorf("%+v", c)
		}
	})
}

// A crash at any write, with the reply of one change of the register lost as well.
func TestDeleteIndexRegisterCrashes(t *testing.T) {
	var s pretend
	var d *disturbed
	world := func(t *testing.T) (ops.Operation, *opstest.Bench) {
		s, d = dualled(t)
		op := deleteIndex{s.sites()}
		b := bench(t, op, "campaign=alled")
		var changed time.Time
		s.watched(t, d, &changed)
		lost := false
		d.after = func(name string) error {
			changed = time.Now()
			if name == "d-2" && !lost {
				lost = true
				return errors.New("no answer")
			}
			return nil
		}
		return op, b
	}
	everyCrash(t, synctest.Test, world, func(t *testing.T, b *opstest.Bench, cancelled bool) {
		left := s.names(t)
		for i := 1; i <= 3; i++ {
			old, dest, entry := fmt.Sprintf("old-%d", i), fmt.Sprintf("new-%d", i), fmt.Sprintf("d-%d", i)
			c, begun := b.Entry(writeKey(entry))
			write, state := []string{dest}, ops.Kept
			switch kept := slices.Contains(left, old); {
			case kept && !cancelled:
				t.Errorf("%s is there", old)
			case kept:
				write, state = []string{old, dest}, ops.Restored
			case cancelled:
				state = ops.Left
			}
			if is := d.writes(entry); !slices.Equal(is, write) {
				t.Errorf("entry %s has %v, want %v", entry, is, write)
			}
			if begun && c.State != state || c.State == ops.Left && c.Reason != old+" deleted, cannot be written to any more" {
				t.Errorf("%+v, want %s", c, state)
			}
			if !begun && state != ops.Restored {
				t.Errorf("entry %s was changed without a word in the journal", entry)
			}
		}
	})
}

// Somebody changes an entry while the run works: a person is asked, and nothing that the
// register names is deleted.
func TestDeleteIndexRegisterChanged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(d *disturbed)
		mend   func(d *disturbed)
		step   int
		want   string
		left   []string
	}{
		{"active again", func(d *disturbed) { d.edit("d-2", "old-2", "old-2", "new-2") }, func(d *disturbed) { d.edit("d-2", "new-2", "old-2", "new-2") }, 0,
			"Nothing is deleted: register entry d-2 has old-2 as its active index.", []string{"old-1", "old-2", "old-3", "old-4"}},
		{"no other target", func(d *disturbed) { d.edit("d-2", "new-2", "old-2") }, func(d *disturbed) { d.edit("d-2", "new-2", "old-2", "new-2") }, 0,
			"Nothing is deleted: register entry d-2 has no other write target than old-2.", []string{"old-1", "old-2", "old-3", "old-4"}},
		{"put back", nil, func(d *disturbed) { d.edit("d-2", "new-2", "new-2") }, 1,
			"Register entry d-2 names old-2 again: somebody put it back. Take it out there, wait 30 s, and resume to go on, or cancel to keep the 1 that are left.", []string{"old-2", "old-3", "old-4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := dualled(t)
				op := deleteIndex{s.sites()}
				b := bench(t, op, "", "old-1", "old-2")
				if tt.change != nil {
					tt.change(d)
				} else {
					s.idle(func(r *http.Request) elasticsim.Fault {
						if r.Method == http.MethodDelete && r.URL.Path == "/old-1" {
							d.edit("d-2", "new-2", "new-2", "old-2")
						}
						return elasticsim.Fault{}
					})
				}
				p := run(t, op, b, 0, nil)
				if p.Phase != ops.Blocked || !strings.Contains(p.Reason, tt.want) || b.Run().Step != tt.step {
					t.Fatalf("%+v in step %d", p, b.Run().Step)
				}
				got := slices.DeleteFunc(s.names(t), func(n string) bool { return strings.HasPrefix(n, "new") })
				if !slices.Equal(got, tt.left) {
					t.Errorf("left: %v", got)
				}
				tt.mend(d)
				if p := run(t, op, b, 0, nil); p.Phase != ops.Done {
					t.Fatalf("%+v", p)
				}
				if got := d.writes("d-2"); !slices.Equal(got, []string{"new-2"}) {
					t.Errorf("entry d-2 has %v", got)
				}
			})
		})
	}
}

// A change whose reply never came may still be made: a cancel waits for it.
func TestDeleteIndexRegisterLate(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s, d := dualled(t)
			op := deleteIndex{s.sites()}
			b := bench(t, op, "", "old-1")
			step, _ := op.Step(b.Run().Plan.Steps[0])
			s.site.Register = &silent{d}
			late, _ := deleteIndex{s.sites()}.Step(b.Run().Plan.Steps[0])
			if err := b.Start(t.Context(), 0, late); err == nil {
				t.Fatal("no error")
			}
			if p, err := b.Undo(t.Context(), 0, step); err != nil || p.Phase != ops.Waiting {
				t.Fatalf("%+v, %v; want it to wait", p, err)
			}
			reason := ""
			if arrives {
				d.edit("d-1", "new-1", "new-1")
				reason = "what writers wrote in between is not in old-1"
			}
			if c := back(t, op, b, 0)["register d-1 write"]; c.State != ops.Restored || *c.After != "old-1,new-1" || c.Reason != reason {
				t.Errorf("%+v", c)
			}
			if got := d.writes("d-1"); !slices.Equal(got, []string{"old-1", "new-1"}) {
				t.Errorf("entry d-1 has %v", got)
			}
		})
	}
}

// silent is a register that does not answer writes.
type silent struct{ *disturbed }

func (silent) Put(context.Context, string, Entry) (Entry, error) {
	return Entry{}, errors.New("no answer")
}

func TestDeleteIndexRegisterRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := dualled(t)
		d.edit("d-1", "old-1", "old-1", "new-1") // readers are back
		d.edit("d-2", "new-2", "old-2")
		d.edit("d-3", "new-3", "new-3") // somebody took it out
		op := deleteIndex{s.sites()}
		for name, want := range map[string]string{
			"old-1": "Register entry d-1 has old-1 as its active index. | Let readers and writers of the entry use another index first.",
			"old-2": "Register entry d-2 has no other write target than old-2.",
			"new-3": "Register entry d-3 has new-3 as its active index.", // its own mark names the entry
		} {
			if _, err := op.Plan(t.Context(), asked(op, "", name)); !strings.Contains(explained(err), want) {
				t.Errorf("%s: %s", name, explained(err))
			}
		}
		plan, err := op.Plan(t.Context(), asked(op, "campaign=alled"))
		if err != nil || !slices.Equal(plan.Targets, []string{"old-3"}) || len(plan.Steps) != 1 ||
			!strings.HasPrefix(plan.Warnings[0], "2 of the campaign stay: old-1 (Register entry d-1 has") {
			t.Errorf("%+v %v", plan, err)
		}
		// The other way round: what was gone back from is still written to.
		plan, err = op.Plan(t.Context(), asked(op, "", "new-1"))
		if err != nil || plan.Steps[0].Params[paramEntry+"d-1"] != "new-1" {
			t.Errorf("%+v %v", plan.Steps, err)
		}
		s.site.Register = nil
		op = deleteIndex{s.sites()}
		for entry, asks := range map[string]ops.Call{"d-3": asked(op, "", "old-3"), "d-1": asked(op, "campaign=alled")} {
			want := fmt.Sprintf("staging has no register, and writers of its entry %s may write to old-%s. | Configure elasticsearch.register", entry, entry[2:])
			if _, err := op.Plan(t.Context(), asks); !strings.Contains(explained(err), want) {
				t.Error(explained(err))
			}
		}
		if _, err := op.Step(plan.Steps[0]); err == nil {
			t.Error("a step without its register")
		}
		if _, err := op.Plan(t.Context(), asked(op, "", "old-4")); err != nil {
			t.Errorf("without a mark: %s", explained(err))
		}
	})
}
