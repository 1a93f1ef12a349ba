package elastic

import (
	"context"
	"strings"
	"testing"
	"time"

	"twokey/ops"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

// sim is the simulated cluster, seen through the code under test.
type sim struct {
	*elasticsim.Cluster
	c Cluster
}

// three makes nodes n1, n2, n3 in the zones a, b, spot. Call it in a bubble.
func three(t *testing.T) sim {
	return newSim(t, elasticsim.Node{Name: "n1", Zone: "a"}, elasticsim.Node{Name: "n2", Zone: "b"}, elasticsim.Node{Name: "n3", Zone: "spot"})
}

func newSim(t *testing.T, nodes ...elasticsim.Node) sim {
	t.Helper()
	s := elasticsim.New(elasticsim.Options{Nodes: nodes, Seed: 7, BytesPerSecond: 10 << 20})
	client, err := Connect(Settings{URLs: []string{"http://n1:9200", "http://n2:9200"}, Transport: s.RoundTripper()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close(context.WithoutCancel(t.Context()))
		if u := s.Unknown(); len(u) > 0 {
			t.Errorf("requests the simulation does not know: %q", u)
		}
	})
	return sim{s, Cluster{"staging", client}}
}

func (s sim) clusters() map[string]Cluster { return map[string]Cluster{"staging": s.c} }

func (s sim) drain() drain { return drain{s.clusters(), stall} }

func (s sim) put(t *testing.T, body string) {
	t.Helper()
	if err := s.PutSettings(body); err != nil {
		t.Fatal(err)
	}
}

// exclude writes one filter by hand: exclude(t, "zone", "spot").
func (s sim) exclude(t *testing.T, key, value string) {
	t.Helper()
	s.put(t, `{"persistent":{"`+allocationPrefix+exclude+"."+key+`":"`+value+`"}}`)
}

// texts are the exclude family's settings.
func (s sim) texts(t *testing.T) texts {
	t.Helper()
	now, err := s.c.filters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return now
}

func call(kind string, flags string, args ...string) ops.Call {
	c := ops.Call{Kind: kind, Environment: "staging", Args: args, Flags: map[string]string{}}
	for f := range strings.FieldsSeq(flags) {
		c.Flags[f] = "true"
	}
	return c
}

// begin plans and puts the plan on a bench.
func begin(t *testing.T, op ops.Operation, c ops.Call) *opstest.Bench {
	t.Helper()
	plan, err := op.Plan(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return opstest.NewBench(plan)
}

// drive carries the run on, as the engine does, until a step ends other than Done, the run
// is over, or until says stop. It returns the last progress.
func drive(t *testing.T, op ops.Operation, b *opstest.Bench, until func(step int, p ops.Progress) bool) ops.Progress {
	t.Helper()
	var p ops.Progress
	for i, ref := range b.Run().Plan.Steps {
		if i < b.Run().Step {
			continue
		}
		step, err := op.Step(ref)
		if err != nil {
			t.Fatal(err)
		}
		for polls := 0; ; polls++ {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			p, err = b.Advance(ctx, i, step)
			cancel()
			if err != nil {
				t.Logf("step %s: %v", ref.Name, err)
				p = ops.Progress{Phase: ops.Waiting}
			}
			if until != nil && until(i, p) || p.Phase == ops.Blocked || p.Phase == ops.Failed {
				return p
			}
			if p.Phase == ops.Done {
				break
			}
			if polls > 500 {
				t.Fatalf("step %s does not end: %+v; said %q", ref.Name, p, b.Said())
			}
			wait := p.Wait
			if wait == 0 {
				wait = 5 * time.Second
			}
			time.Sleep(wait) // the bubble's clock
		}
	}
	return p
}

// undo undoes all begun steps, last first.
func undo(t *testing.T, op ops.Operation, b *opstest.Bench) {
	t.Helper()
	for i := b.Run().Step; i >= 0; i-- {
		step, err := op.Step(b.Run().Plan.Steps[i])
		if err != nil {
			t.Fatal(err)
		}
		for polls := 0; ; polls++ {
			p, err := b.Undo(t.Context(), i, step)
			if err == nil && (p.Phase == ops.Done || p.Phase == ops.NotStarted) {
				break
			}
			if polls > 20 {
				t.Fatalf("undo of step %d does not end: %+v %v", i, p, err)
			}
			time.Sleep(time.Second) // the bubble's clock
		}
	}
	for _, c := range b.Journal() {
		if c.State != ops.Restored {
			t.Errorf("after undo %s is %s: %s", c.Key, c.State, c.Reason)
		}
	}
}

// said reports whether some event's text contains part.
func said(b *opstest.Bench, part string) bool {
	for _, s := range b.Said() {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}
