package indices

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// book is a register in memory that can be told to fail.
type book struct {
	mu      sync.Mutex
	entries map[string]Entry
	n       int
	// before is asked before each call; lost lets a put take effect and fail all the same.
	before func(what string) (err error, lost bool)
}

var errSilent = errors.New("the register does not answer")

func (b *book) ask(what string) (error, bool) {
	if b.before == nil {
		return nil, false
	}
	return b.before(what)
}

func (b *book) Get(_ context.Context, name string) (Entry, error) {
	if err, _ := b.ask("get"); err != nil {
		return Entry{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[name], nil
}

func (b *book) Put(_ context.Context, name string, e Entry) (Entry, error) {
	err, lost := b.ask("put")
	if err != nil && !lost {
		return Entry{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries[name].Version != e.Version {
		return Entry{}, ErrRegisterChanged
	}
	b.n++
	e.Version, e.Write = strconv.Itoa(b.n), slices.Clone(e.Write)
	b.entries[name] = e
	return e, err
}

// doubled has v1 registered as logical, with n documents.
func doubled(t *testing.T, n int) (pretend, *book) {
	s := copying(t)
	s.small(t, "v1", 3, n)
	b := &book{entries: map[string]Entry{"logical": {Active: "v1", Write: []string{"v1"}, Version: "0"}}}
	s.site.Register, s.site.RegisterCache = b, 20*time.Second
	return s, b
}

// careful are several writers of one application: each looks into the register now and
// then, believes what it says for up to the cache's time, and waits up to gap between its
// two writes. Their ids are their own.
type careful struct {
	s    pretend
	b    *book
	stop chan struct{}
	over sync.WaitGroup
	mu   sync.Mutex
	want content
	done int
}

func (s pretend) carefully(t *testing.T, b *book, writers int, gap time.Duration) *careful {
	w := &careful{s: s, b: b, stop: make(chan struct{}), want: s.content("v1", false)}
	for i := range writers {
		w.over.Go(func() { w.run(t, i, writers, gap) })
	}
	return w
}

func (w *careful) run(t *testing.T, me, of int, gap time.Duration) {
	r := rand.New(rand.NewPCG(uint64(me), 5))
	var known Entry
	var read time.Time
	for i := 0; ; i++ {
		select {
		case <-w.stop:
			return
		case <-time.After(time.Duration(r.IntN(300)) * time.Millisecond):
		}
		// It may have read long ago, but what it begins now it ends within the time.
		if time.Since(read) > w.s.site.RegisterCache-gap-time.Second {
			w.b.mu.Lock()
			known, read = w.b.entries["logical"], time.Now()
			w.b.mu.Unlock()
		}
		id := numbered(r.IntN(150)*of + me)
		drop := r.IntN(4) == 0
		source := fmt.Sprintf(`{"n":%d,"by":"writer %d"}`, i, me)
		targets := slices.Clone(known.Write)
		for k, name := range targets {
			if k > 0 && gap > 0 {
				time.Sleep(time.Duration(r.Int64N(int64(gap))))
			}
			err := error(nil)
			if drop {
				err = w.s.DeleteDoc(name, id)
			} else {
				err = w.s.PutDoc(name, id, source)
			}
			if err != nil {
				t.Errorf("writer %d to %s: %v", me, name, err)
			}
		}
		w.mu.Lock()
		if w.done++; drop {
			delete(w.want, id)
		} else {
			w.want[id] = source
		}
		w.mu.Unlock()
	}
}

func (w *careful) end() content {
	close(w.stop)
	w.over.Wait()
	return w.want
}

// Both indices end as the writers' log says, though deletions race the copier and writers
// stay between their two writes for long.
func TestCopyDual(t *testing.T) {
	for _, tt := range []struct {
		n     int
		gap   time.Duration
		flags string
	}{{400, 0, ""}, {400, 18 * time.Second, ""}, {1500, 5 * time.Second, " throttle=100"}, {0, time.Second, ""}, {600, 10 * time.Second, " read-from=a"}} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, b := doubled(t, tt.n)
				s.everywhere(t, "v1")
				w := s.carefully(t, b, 4, tt.gap)
				time.Sleep(time.Minute)
				s.faults(func(*http.Request) elasticsim.Fault { return elasticsim.Fault{Delay: 20 * time.Millisecond} })
				rig, run := s.reindexed(t, "v1", "v2", "writes=dual register=logical"+tt.flags)
				time.Sleep(time.Minute)
				want := w.end()
				succeeded(t, rig, run)
				s.holds(t, "v1", want)
				s.holds(t, "v2", want)
				if e := b.entries["logical"]; e.Active != "v2" || !slices.Equal(e.Write, []string{"v1", "v2"}) {
					t.Errorf("%+v", e)
				}
				if at := s.at1(t, "v1-alias"); at != "v2" || s.isBlocked(t, "v1") {
					t.Errorf("alias at %s", at)
				}
				x, _ := s.site.metadata(t.Context(), "v2")
				if x.Settings["index.number_of_replicas"] != "2" || x.Settings["index.refresh_interval"] != "" {
					t.Errorf("%v", x.Settings)
				}
				s.onlyIndices(t, "v1", "v2")
				t.Logf("%d operations", w.done)
			})
		})
	}
}

// A document that its writer deleted from both just before the copier wrote it would come
// back; one that is in the copy only because its writer has not got to the source yet must
// not go.
func TestCopyDualResurrects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := doubled(t, 50)
		once, compared := false, false
		s.faults(func(r *http.Request) elasticsim.Fault {
			if !once && is("POST", "/v2/_bulk")(r) { // read, and not yet written
				once = true
				for i := range 5 {
					s.DeleteDoc("v1", numbered(i))
					s.DeleteDoc("v2", numbered(i))
				}
				s.PutDoc("v1", numbered(10), `{"n":"10","new":true}`)
				s.PutDoc("v2", numbered(10), `{"n":"10","new":true}`)
			}
			if repaired := is("POST", "/v2/_bulk")(r) && r.ContentLength < 200; repaired { // of one document
				s.DeleteDoc("v1", numbered(20))
				s.DeleteDoc("v2", numbered(20))
			}
			if once && !compared && is("POST", "/v2/_refresh")(r) { // they are compared now
				compared = true
				s.DeleteDoc("v2", numbered(20))
				s.PutDoc("v2", "halfway", `{"n":1}`)
				go func() {
					time.Sleep(15 * time.Second)
					s.PutDoc("v1", "halfway", `{"n":1}`)
				}()
			}
			return elasticsim.Fault{}
		})
		_ = b
		rig, run := s.reindexed(t, "v1", "v2", "writes=dual register=logical")
		succeeded(t, rig, run)
		want := s.content("v1", false)
		s.holds(t, "v2", want)
		if len(want) != 45 || want["halfway"] == "" || want[numbered(10)] != `{"n":"10","new":true}` {
			t.Errorf("%d documents", len(want))
		}
	})
}

// A writer that writes to one of both only is found by contents.
func TestCopyDualHalfAWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := doubled(t, 50)
		s.faults(func(r *http.Request) elasticsim.Fault {
			if is("POST", "/v2/_refresh")(r) {
				s.PutDoc("v1", numbered(7), `{"n":7,"only":"here"}`)
			}
			return elasticsim.Fault{}
		})
		rig, run := s.reindexed(t, "v1", "v2", "writes=dual register=logical")
		if run.State != ops.Paused || !strings.Contains(run.Reason, "1 of 50 sampled documents stay different in v1 and v2, among them d00007") {
			t.Fatalf("%s: %s", run.State, run.Reason)
		}
		s.Intercept(nil)
		s.PutDoc("v2", numbered(7), `{"only":"here", "n":7}`)
		rig.Engine.Resume(t.Context(), runID, "UASKS")
		run = rig.Finish(runID)
		succeeded(t, rig, run)
	})
}

// The register may not answer, its replies be lost, and others change the entry meanwhile.
func TestCopyDualRegisterTrouble(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(b *book, call int, what string) (error, bool)
	}{
		{"does not answer", func(b *book, call int, _ string) (error, bool) {
			return map[bool]error{true: errSilent}[call > 3 && call%3 == 0], false
		}},
		{"replies are lost", func(_ *book, _ int, what string) (error, bool) {
			if what == "put" {
				return errSilent, true
			}
			return nil, false
		}},
		{"somebody adds a target", func(b *book, _ int, what string) (error, bool) {
			if e := b.entries["logical"]; what == "put" && !slices.Contains(e.Write, "third") {
				e.Write, e.Version = append(e.Write, "third"), e.Version+"x"
				b.entries["logical"] = e
			}
			return nil, false
		}},
	} {
		for _, cancel := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, cancel), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, b := doubled(t, 50)
					rig := s.rig(t)
					rig.Submit(runID, asked(reindex{}, "writes=dual register=logical", "v1", "v2"))
					call, cancelled := 0, false
					b.before = func(what string) (error, bool) {
						call++
						return tt.f(b, call, what)
					}
					s.faults(func(r *http.Request) elasticsim.Fault {
						if cancel && !cancelled && is("POST", "/v2/_bulk")(r) {
							cancelled = true
							rig.Engine.Cancel(t.Context(), runID, "UASKS")
						}
						return elasticsim.Fault{}
					})
					run := rig.Finish(runID)
					e := b.entries["logical"]
					e.Write = slices.DeleteFunc(slices.Clone(e.Write), func(n string) bool { return n == "third" })
					if cancel {
						if run.State != ops.Cancelled || e.Active != "v1" || !slices.Equal(e.Write, []string{"v1"}) {
							t.Errorf("%s %s: %+v", run.State, run.Reason, e)
						}
						s.onlyIndices(t, "v1")
						return
					}
					succeeded(t, rig, run)
					if e.Active != "v2" || !slices.Equal(e.Write, []string{"v1", "v2"}) {
						t.Errorf("%+v", e)
					}
				})
			})
		}
	}
}

// A crash at any write, with dual: the same end, or the register as it was.
func TestCopyDualCrashes(t *testing.T) {
	var (
		s pretend
		b *book
	)
	world := func(t *testing.T) (ops.Operation, *opstest.Bench) {
		s, b = doubled(t, 40)
		op := reindex{s.sites()}
		return op, bench(t, op, "writes=dual register=logical", "v1", "v2")
	}
	n := crashed(t, 1, 1, world, func(t *testing.T, run *opstest.Bench, cancelled bool) {
		e := b.entries["logical"]
		switch {
		case !cancelled || s.at1(t, "v1-alias") == "v2":
			if e.Active != "v2" || !slices.Equal(e.Write, []string{"v1", "v2"}) {
				t.Errorf("%+v", e)
			}
			s.onlyIndices(t, "v1", "v2")
			s.holds(t, "v2", s.content("v1", false))
			x, err := s.site.metadata(t.Context(), "v2")
			if err != nil || x.Settings["index.refresh_interval"] != "" || x.Settings["index.number_of_replicas"] != "1" {
				t.Errorf("%v, %v", x.Settings, err)
			}
			if m, err := s.site.marksOf(t.Context(), []string{"v2"}); err != nil || m["v2"].SwappedAt.IsZero() || m["v2"].Register != "logical" {
				t.Errorf("%+v, %v", m, err)
			}
		default:
			if e.Active != "v1" || !slices.Equal(e.Write, []string{"v1"}) || s.at1(t, "v1-alias") != "v1" {
				t.Errorf("%+v, alias at %s", e, s.at1(t, "v1-alias"))
			}
			s.onlyIndices(t, "v1")
		}
	})
	t.Logf("%d writes", n)
}

func TestCopyDualRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := doubled(t, 5)
		op := reindex{s.sites()}
		for _, tt := range []struct {
			e    Entry
			want string
		}{
			{Entry{}, "The register has no entry logical"}, {Entry{Active: "v0", Write: []string{"v1"}, Version: "1"}, "says: active v0, write v1."},
			{Entry{Active: "v1", Write: []string{"v0"}, Version: "1"}, "says: active v1, write v0."}, {Entry{Active: "v1", Write: []string{"v0", "v1"}, Version: "1"}, ""},
		} {
			b.entries["logical"] = tt.e
			_, err := op.Plan(t.Context(), asked(op, "writes=dual register=logical", "v1", "v2"))
			if (err == nil) != (tt.want == "") || !strings.Contains(explained(err), tt.want) {
				t.Errorf("%+v: %s", tt.e, explained(err))
			}
		}
	})
}
