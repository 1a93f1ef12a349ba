package elastic

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
)

// stopping is a process that is stopped as it sends a change: the request was handed to
// the transport, and goes on when the process does.
type stopping struct {
	to   http.RoundTripper
	stop func()
}

func (s stopping) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut {
		s.stop()
	}
	return s.to.RoundTrip(r)
}

// A process that is stopped between its journal entry and its write, and goes on after its
// claim has run out and before any context of it has noticed, writes nothing: neither
// when it had not begun to send, nor when it waited for a connection.
func TestStoppedProcessSendsNothing(t *testing.T) {
	for _, sending := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := three(t)
			s.exclude(t, "zone", "spot")
			s.AddIndex("logs", 4, 0, mb)
			before, writes := s.texts(t), len(s.Writes())
			stopped := false
			client, err := Connect(Settings{URLs: []string{"http://n1:9200"}, Transport: stopping{s.RoundTripper(), func() {
				if sending && !stopped {
					stopped = true
					time.Sleep(5 * time.Second)
				}
			}}})
			if err != nil {
				t.Fatal(err)
			}
			d := drain{map[string]Cluster{"staging": {"staging", client}}, stall}
			b := begin(t, d, call("es drain", "", "n2"))
			b.OnWrite(func(_ int, run ops.Run) {
				if len(run.Journal) == 2 && !sending && !stopped { // the last entry before the write
					stopped = true
					time.Sleep(5 * time.Second)
				}
			})
			ctx := ops.WithLease(t.Context(), time.Now().Add(5*time.Second))
			step, _ := d.Step(b.Run().Plan.Steps[0])
			err = b.Start(ctx, 0, step)
			if !stopped || ctx.Err() != nil || !errors.Is(err, ops.Held(ctx)) {
				t.Errorf("stopped %t, error %v", stopped, err)
			}
			if len(s.Writes()) != writes || !maps.Equal(s.texts(t), before) {
				t.Errorf("written: %v, settings %v", s.Writes()[writes:], s.texts(t))
			}
			b.Restart()
			if p := drive(t, d, b, nil); p.Phase != ops.Done {
				t.Errorf("carried on by another: %+v", p)
			}
			if err := client.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
}

// firstWrite is the body of the first settings update that a drain of n2 sends beside
// exclude.zone=spot.
const firstWrite = `{"persistent":{"cluster.routing.allocation.exclude._name":"n2","cluster.routing.allocation.exclude.zone":"spot,spot"}}`

// A write of a stopped process that arrives all the same, in the middle of the wait, is
// noticed, named, and put right: the other's text comes back.
func TestLateWriteIsPutRight(t *testing.T) {
	for _, cancel := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := three(t)
			s.exclude(t, "zone", "spot")
			s.AddIndex("logs", 8, 0, 100*mb)
			b := begin(t, s.drain(), call("es drain", "", "n2"))
			polls := 0
			p := drive(t, s.drain(), b, func(step int, p ops.Progress) bool {
				if step == 1 {
					if polls++; polls == 2 {
						if first := s.Writes()[0].Body; first != firstWrite {
							t.Errorf("the first write was %s", first)
						}
						s.put(t, firstWrite)
						return cancel
					}
				}
				return false
			})
			want := texts{pers("zone"): "spot"}
			if cancel {
				undo(t, s.drain(), b)
			} else {
				want[pers("_name")] = s.texts(t)[pers("_name")]
				if p.Phase != ops.Done || !said(b, "A write of this run reached the cluster late and altered exclude.zone=spot,spot again") {
					t.Errorf("%+v; said %q", p, b.Said())
				}
				if !sameSet(Tokens(want[pers("_name")]), []string{"n2"}) {
					t.Errorf("filters %v", s.texts(t))
				}
			}
			if got := s.texts(t); !maps.Equal(got, want) {
				t.Errorf("cancelled %t: filters %v, want %v", cancel, got, want)
			}
			if f := s.Filter(exclude); !slices.Contains(f["zone"], "spot") {
				t.Errorf("in effect: %v", f)
			}
			for _, e := range b.Journal() {
				if e.State != ops.Restored && e.State != ops.Kept {
					t.Errorf("%s is %s", e.Key, e.State)
				}
			}
		})
	}
}

// One that arrives after its run has ended cannot be told from somebody's own text: the
// next plan names it, and an undrain keeps it in effect.
func TestLateWriteAfterTheEndIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := three(t)
		s.exclude(t, "zone", "spot")
		s.AddIndex("logs", 4, 0, mb)
		s.put(t, firstWrite)
		const warning = "exclude.zone=spot,spot names a value twice. It has the same effect, but a write of Twokey that arrived late may have left it so; its owner may want spot."
		u := undrain{s.clusters()}
		b := begin(t, u, call("es undrain", "", "n2"))
		for _, plan := range []ops.Plan{begin(t, s.drain(), call("es drain", "", "n1")).Run().Plan, b.Run().Plan} {
			if !slices.Contains(plan.Warnings, warning) {
				t.Errorf("%s: warnings %q", plan.Title, plan.Warnings)
			}
		}
		if p := drive(t, u, b, nil); p.Phase != ops.Done {
			t.Errorf("%+v", p)
		}
		if got := s.texts(t); !maps.Equal(got, texts{pers("zone"): "spot,spot"}) {
			t.Errorf("filters %v", got)
		}
		if f := s.Filter(exclude); !slices.Contains(f["zone"], "spot") || len(f["_name"]) > 0 {
			t.Errorf("in effect: %v", f)
		}
	})
}
