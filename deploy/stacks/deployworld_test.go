package stacks

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"twokey/deploy/awsproxy"
	"twokey/deploy/awssim"
	"twokey/deploy/deploytest"
	"twokey/deploy/templates"
	"twokey/ops"
	"twokey/ops/opstest"
)

// world is a simulated CloudFormation behind a proxy, seen through the code under test.
type world struct {
	*awssim.Sim
	proxy *awsproxy.Proxy
	op    deployStack
	dir   string
	set   string
	runs  int
}

// newWorld makes a world with no stacks. Call it in a bubble.
func newWorld(t *testing.T, o awssim.Options) *world {
	t.Helper()
	o.Now = time.Now
	if o.Stacks == nil {
		o.Stacks = []awssim.Stack{}
	}
	w := &world{Sim: awssim.New(o)}
	w.proxy = awsproxy.Over(w.Sim)
	w.dir = t.TempDir()
	site := Site{Account: deploytest.Simulated(t, w.proxy), Bucket: "templates", Sources: templates.Sources{
		Folder: w.dir, Environment: []string{"HOME"},
	}}
	w.op = deployStack{map[string]Site{"staging": site}}
	return w
}

// next makes the next call deploy something.
func (w *world) next(t *testing.T, in given) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "web.yaml"), []byte(in.body), 0o644); err != nil {
		t.Fatal(err)
	}
	w.set = in.set
}

// given is a template and what is typed after --set.
type given struct{ body, set string }

// resources is a template of the resources in JSON, with parameter Tag.
func resources(text string) given {
	return given{
		body: `{"Parameters": {"Tag": {"Type": "String", "Default": "one"}, "Password": {"Type": "String", "NoEcho": true, "Default": "hunter2"}}, "Resources": {` + text + `}}`,
	}
}

func (in given) with(name, text string) given {
	in.set = name + "=" + text
	return in
}

// service is an ECS service that runs Tag and depends on its group.
const service = `"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"Retention": 7}},
	"Service": {"Type": "AWS::ECS::Service", "DependsOn": "Group", "Properties": {"Image": {"Ref": "Tag"}}, "Metadata": {"Simulate": {"Seconds": 60}}}`

func (w *world) call(flags ...string) ops.Call {
	c := ops.Call{Kind: kindDeploy, Environment: "staging", Args: []string{"web"}, Flags: map[string]string{"template": "web.yaml"}}
	if w.set != "" {
		c.Flags["set"] = w.set
	}
	for _, f := range flags {
		name, v, _ := strings.Cut(f, "=")
		c.Flags[name] = v
	}
	return c
}

// bench plans, plans again as the engine does at the start, which must come to the same,
// and puts the plan on a bench.
func (w *world) bench(t *testing.T, in given, flags ...string) *opstest.Bench {
	t.Helper()
	w.next(t, in)
	plan, err := w.op.Plan(t.Context(), w.call(flags...))
	if err != nil {
		t.Fatalf("plan: %s", explained(err))
	}
	again, err := w.op.Replan(t.Context(), plan)
	if err != nil || again.Digest() != plan.Digest() {
		t.Fatalf("planned again: another digest, %v", err)
	}
	return w.onBench(plan)
}

// onBench puts a plan on a bench, as a run of its own.
func (w *world) onBench(plan ops.Plan) *opstest.Bench {
	w.runs++
	b := opstest.NewBench(plan)
	b.Change(func(r *ops.Run) { r.ID = fmt.Sprintf("01KB3JQX2N9Y8Z7V6T5S4R%04d", w.runs) })
	return b
}

var explained = opstest.Explained

// run carries the step on as the engine does, until it ends or until says stop.
func (w *world) run(t *testing.T, b *opstest.Bench, until func(ops.Progress) bool) ops.Progress {
	t.Helper()
	return deploytest.Run(t, w.op, b, until)
}

// back undoes the step and returns its journal entry.
func (w *world) back(t *testing.T, b *opstest.Bench) (ops.Progress, ops.Change) {
	t.Helper()
	p := b.Back(t, w.op, 0)
	e, _ := b.Entry(journalKey)
	return p, e
}

// deployed deploys to the end, which must be good.
func (w *world) deployed(t *testing.T, in given, flags ...string) *opstest.Bench {
	t.Helper()
	b := w.bench(t, in, flags...)
	if p := w.run(t, b, nil); p.Phase != ops.Done {
		t.Fatalf("%+v; said %q", p, b.Said())
	}
	return b
}
