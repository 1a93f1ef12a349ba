package elastic

import (
	"context"
	"strings"
	"testing"

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

// drive is Forward in a bubble.
func drive(t *testing.T, op ops.Operation, b *opstest.Bench, until func(step int, p ops.Progress) bool) ops.Progress {
	t.Helper()
	return b.Forward(t, op, 0, until)
}

// undo undoes all begun steps, last first; everything must be restored.
func undo(t *testing.T, op ops.Operation, b *opstest.Bench) {
	t.Helper()
	for _, c := range b.Undone(t, op, 0) {
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
