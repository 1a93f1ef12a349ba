package indices

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
	"twokey/ops/elastic/elasticsim"
	"twokey/ops/opstest"
)

const mb = 1 << 20

// pretend is a simulated cluster, seen through the code under test.
type pretend struct {
	*elasticsim.Cluster
	site Site
}

// pretended makes a simulated cluster. Call it in a bubble.
func pretended(t *testing.T, nodes ...elasticsim.Node) pretend {
	t.Helper()
	s := elasticsim.New(elasticsim.Options{Nodes: nodes, Seed: 7, BytesPerSecond: 10 << 20})
	client, err := elastic.Connect(elastic.Settings{
		URLs: []string{"http://" + nodes[0].Name + ":9200", "http://" + nodes[1].Name + ":9200"}, Transport: s.RoundTripper()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close(context.WithoutCancel(t.Context()))
		if u := s.Unknown(); len(u) > 0 {
			t.Errorf("requests the simulation does not know: %q", u)
		}
	})
	return pretend{s, Site{Cluster: elastic.Cluster{Environment: "staging", Client: client}}}
}

func (s pretend) sites() map[string]Site { return map[string]Site{"staging": s.site} }

// asked is a call; flags are "from=a to=b".
func asked(op ops.Operation, flags string, args ...string) ops.Call {
	c := ops.Call{Kind: op.Kind(), Environment: "staging", Args: args, Flags: map[string]string{}}
	for f := range strings.FieldsSeq(flags) {
		name, value, _ := strings.Cut(f, "=")
		c.Flags[name] = value
	}
	return c
}

// bench plans twice, which must come to the same, and puts the plan on a bench.
func bench(t *testing.T, op ops.Operation, flags string, args ...string) *opstest.Bench {
	t.Helper()
	plan, err := op.Plan(t.Context(), asked(op, flags, args...))
	if err != nil {
		t.Fatalf("plan: %v", explained(err))
	}
	again, err := op.Plan(t.Context(), plan.Call)
	if err != nil || again.Digest() != plan.Digest() {
		t.Fatalf("planned again: another digest, %v", err)
	}
	if worse := ops.Worse(plan.Facts, again.Facts); len(worse) > 0 {
		t.Fatalf("planned again: worse %q", worse)
	}
	return opstest.NewBench(plan)
}

var explained = opstest.Explained

// run is Forward.
func run(t *testing.T, op ops.Operation, b *opstest.Bench, pause time.Duration, until func(step int, p ops.Progress) bool) ops.Progress {
	t.Helper()
	return b.Forward(t, op, pause, until)
}

// back undoes all begun steps, last first, and returns the journal.
func back(t *testing.T, op ops.Operation, b *opstest.Bench, pause time.Duration) map[string]ops.Change {
	t.Helper()
	return b.Undone(t, op, pause)
}

// says reports whether some event's text contains part.
func says(b *opstest.Bench, part string) bool {
	for _, s := range b.Said() {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

// everyCrash carries a run to its end with a crash at every write, before and after it
// was stored, and then either goes on or cancels. world makes a new world and its
// operation; check is given the run's last progress, or nil after a cancel.
func everyCrash(t *testing.T, bubble func(*testing.T, func(*testing.T)), world func(*testing.T) (ops.Operation, *opstest.Bench), check func(t *testing.T, b *opstest.Bench, cancelled bool)) {
	writes := opstest.EveryCrash(func(at int, lost, cancel bool) (crashed bool) {
		bubble(t, func(t *testing.T) {
			op, b := world(t)
			b.Crash(at, lost)
			b.Forward(t, op, 0, func(int, ops.Progress) bool { return b.Crashed() })
			crashed = b.Crashed()
			b.Restart()
			if cancel {
				back(t, op, b, 0)
			} else if p := b.Forward(t, op, 0, nil); p.Phase != ops.Done {
				t.Fatalf("crash at %d: %+v", at, p)
			}
			check(t, b, cancel)
			if t.Failed() {
				t.Logf("crash at write %d, lost %v, cancelled %v", at, lost, cancel)
			}
		})
		return crashed
	})
	t.Logf("%d writes, each crashed before and after", writes)
}

func ptr[T any](v T) *T { return &v }

// jsonBody is text as the body of a request.
func jsonBody(text string) any { return json.RawMessage(text) }

// Through the real engine: the endings people read.
func TestEndings(t *testing.T) {
	for _, tt := range []struct {
		name string
		op   func(pretend) ops.Operation
		call func(ops.Operation) ops.Call
		want []string
	}{
		{"alias-swap", func(s pretend) ops.Operation { return aliasSwap{s.sites()} },
			func(op ops.Operation) ops.Call { return asked(op, v1v2, "hid", "rich") },
			[]string{
				"Done: Move hid and rich from v1 to v2 in staging: hid and rich are on v2 and not on v1, read back.",
				`cluster staging: alias hid kept as planned: "v2 (hidden)", was "v1 (hidden)"`,
			}},
		{"delete-index", func(s pretend) ops.Operation { return deleteIndex{s.sites()} },
			func(op ops.Operation) ops.Call { return asked(op, "confirm=v2", "v2") },
			[]string{
				"Done: Delete v2 in staging: v2 is gone, read back.",
				`cluster staging: index v2 kept as planned: unset, was "0 documents, `, `uuid `, `(deleted)`,
			}},
		{"zone-move", func(s pretend) ops.Operation { return s.mover() },
			func(op ops.Operation) ops.Call { return asked(op, "from=a to=b", "logs") },
			[]string{
				"Done: Move logs from zone a to zone b in staging: Every copy of logs is in zone b. Seen twice in a row in the master's routing table, none unassigned; the filters were read back.",
				`index logs: index.routing.allocation.include.zone kept as planned: "b", was "a"`,
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := swapping(t)
				s.pinned(t, "logs", 1, 1, mb, pinA)
				s.rest(t)
				s.idle(func(r *http.Request) elasticsim.Fault {
					if strings.HasSuffix(r.URL.Path, "/_count") {
						return elasticsim.Fault{Status: 200, Body: `{"count":1,"_shards":{"failed":0}}`}
					}
					return elasticsim.Fault{}
				})
				op := tt.op(s)
				run, said := opstest.Drive(t, 0, op, tt.call(op))
				if run.State != ops.Succeeded {
					t.Fatalf("%s: %s %s", run.State, run.Reason, run.LastError)
				}
				for _, part := range tt.want {
					if last := said[len(said)-1].Text; !strings.Contains(last, part) {
						t.Errorf("ending:\n%s\nwant %q", last, part)
					}
				}
			})
		})
	}
}
