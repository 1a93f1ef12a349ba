package elastic

import (
	"context"
	"errors"
	"maps"
	"net/http"
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
