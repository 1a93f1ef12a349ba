package data

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/deploy/awsproxy"
	"twokey/deploy/awssim"
	"twokey/deploy/deploytest"
	"twokey/ops"
	"twokey/ops/opstest"
)

// world is a simulated account behind a proxy.
type world struct {
	*awssim.Sim
	proxy *awsproxy.Proxy
	sites map[string]Site
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Sim: awssim.New(awssim.Options{Now: time.Now, Stacks: []awssim.Stack{}})}
	w.proxy = awsproxy.Over(w.Sim)
	w.sites = map[string]Site{"staging": {Account: deploytest.Simulated(t, w.proxy)}}
	return w
}

// The steps of an operation, carried out and undone.
var (
	bench, call, explained = deploytest.Bench, deploytest.Call, opstest.Explained
	run, back              = deploytest.Run, deploytest.Back
)

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		op := createQueue{w.sites}
		w.SetQueue("dead", awssim.Queue{})
		w.SetQueue("taken", awssim.Queue{Attributes: map[string]string{"VisibilityTimeout": "30"}})
		for _, tt := range []struct{ args, flags, want string }{
			{"a.b", "", `"a.b" cannot be the name of a queue | A name is up to 80 letters, digits, hyphens and underscores; that of a FIFO queue ends in .fifo.`},
			{"taken", "visibility=5m", `the queue taken exists, and differs: VisibilityTimeout is "30", not "300" | Change it by hand, or choose another name.`},
			{"taken", "visibility=30s", "the queue taken exists already | There is nothing to do."},
			{"etl", "dead-letter=none max-receives=3", "there is no queue none for dead letters | Make it first: sqs create none."},
			{"etl", "visibility=20h", "--visibility 20h is not between 0s and 12h0m0s | Write it like 30s or 96h."},
		} {
			if _, err := op.Plan(t.Context(), call(op, tt.args, tt.flags)); explained(err) != tt.want {
				t.Errorf("%s: %s\nwant %s", tt.args, explained(err), tt.want)
			}
		}
		b := bench(t, op, "etl", "visibility=5m dead-letter=dead max-receives=3")
		if p := run(t, op, b, nil); p.Phase != ops.Done || w.Queue("etl").Attributes["VisibilityTimeout"] != "300" {
			t.Errorf("%+v", p)
		}
		if e := back(t, op, b)[queueKey]; e.State != ops.Restored || w.Queue("etl") != nil {
			t.Errorf("%+v", e)
		}
		b = bench(t, op, "etl", "")
		run(t, op, b, nil)
		w.Queue("etl").Waiting = func() int { return 5 }
		if e := back(t, op, b)[queueKey]; e.State != ops.Left || w.Queue("etl") == nil {
			t.Errorf("%+v", e)
		}
	})
}

// TestWatch follows a queue until it is empty three times in a row.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		op := watchQueue{w.sites}
		if _, err := op.Plan(t.Context(), call(op, "etl", "")); explained(err) != "there is no queue etl in staging (eu-west-1) | Check the name and the environment." {
			t.Error(explained(err))
		}
		began := time.Now()
		w.SetQueue("etl", awssim.Queue{Waiting: func() int { return max(0, 100-int(time.Since(began)/time.Second)) }})
		r, said := opstest.Drive(t, 0, op, call(op, "etl", ""))
		if last := said[len(said)-1].Text; r.State != ops.Succeeded || !strings.Contains(last, "etl is empty after 2m") || len(r.Journal) > 0 {
			t.Errorf("%s: %s", r.State, last)
		}
		w.SetQueue("full", awssim.Queue{Waiting: func() int { return 7 }})
		_, said = opstest.Drive(t, 0, op, call(op, "full", "for=5m"))
		if last := said[len(said)-1].Text; !strings.Contains(last, "full is not empty after 5m0s: about 7 waiting, 0 in flight, 0 delayed") {
			t.Error(last)
		}
	})
}

// cluster starts a cluster and waits until it takes steps.
func (w *world) cluster(t *testing.T) string {
	t.Helper()
	b := bench(t, createCluster{w.sites}, "spark", "workers=3")
	if p := run(t, createCluster{w.sites}, b, nil); p.Phase != ops.Done {
		t.Fatalf("%+v", p)
	}
	e, _ := b.Entry(clusterKey)
	return *e.After
}

// TestStepArguments: --args is read as a shell reads words, and nothing of it is lost.
func TestStepArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id, op := w.cluster(t), runStep{w.sites}
		for text, want := range map[string][]string{
			"":                                   {},
			"--n 3  --day 2026-11-27":            {"--n", "3", "--day", "2026-11-27"},
			"--title 'first quarter' \"a b\" ''": {"--title", "first quarter", "a b", ""},
			"a#b #c ; d|e $HOME *":               {"a#b", "#c", ";", "d|e", "$HOME", "*"},
		} {
			c := call(op, id, "script=s3://jobs/index.py")
			c.Flags["args"] = text
			plan, err := op.Plan(t.Context(), c)
			if err != nil {
				t.Fatal(explained(err))
			}
			step, err := op.Step(plan.Steps[0])
			if err != nil {
				t.Fatal(err)
			}
			if got := step.(jobStep).args; !slices.Equal(got, append([]string{"spark-submit", "s3://jobs/index.py"}, want...)) {
				t.Errorf("%s: %q", text, got)
			}
		}
		c := call(op, id, "script=s3://jobs/index.py")
		c.Flags["args"] = "--title 'first"
		if _, err := op.Plan(t.Context(), c); !strings.Contains(explained(err), "a quote in --args is not closed") {
			t.Error(explained(err))
		}
	})
}

func TestCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := w.cluster(t)
		op := runStep{w.sites}
		if _, err := op.Plan(t.Context(), call(op, id, "")); explained(err) != "What is to be run? | Give --script s3://BUCKET/JOB.py or --jar s3://BUCKET/JOB.jar." {
			t.Error(explained(err))
		}
		if p := run(t, op, bench(t, op, id, "script=s3://jobs/index.py"), nil); p.Phase != ops.Done {
			t.Errorf("%+v", p)
		}
		if p := run(t, op, bench(t, op, id, "script=s3://jobs/broken.py"), nil); p.Phase != ops.Failed || !strings.Contains(p.Reason, "Main class threw an exception. KeyError: 'title' (log: s3://logs/stderr.gz)") {
			t.Errorf("%+v", p)
		}
		b := bench(t, op, id, "script=s3://jobs/index.py")
		run(t, op, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "RUNNING") })
		if e := back(t, op, b)[stepKey]; e.State != ops.Left || !strings.Contains(*e.After, "CANCELLED") {
			t.Errorf("%+v", e)
		}
		a, err := clusterStatus{w.sites}.Answer(t.Context(), ops.Call{Kind: "emr status", Environment: "staging", Args: []string{id}})
		if err != nil || len(a.Table.Rows) != 3 {
			t.Errorf("%+v, %v", a, err)
		}
		end := endCluster{w.sites}
		w.ProtectSpark(id, true)
		if _, err := end.Plan(t.Context(), call(end, id, "")); !strings.Contains(explained(err), "termination protection, which Twokey never lifts") {
			t.Error(explained(err))
		}
		w.ProtectSpark(id, false)
		if p := run(t, end, bench(t, end, id, ""), nil); p.Phase != ops.Done || w.SparkState(id) != "TERMINATED" {
			t.Errorf("%+v, %s", p, w.SparkState(id))
		}
		// A cluster that is cancelled while it starts is terminated.
		b = bench(t, createCluster{w.sites}, "spark", "workers=3")
		run(t, createCluster{w.sites}, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "STARTING") })
		if e := back(t, createCluster{w.sites}, b)[clusterKey]; e.State != ops.Restored {
			t.Errorf("%+v", e)
		}
	})
}

// TestDataCrash: each operation crashes at each write, and loses each reply; nothing is
// made twice.
func TestDataCrash(t *testing.T) {
	for _, way := range []struct {
		name, flags, action string
		op                  func(*world) ops.Operation
		args                func(*testing.T, *world) string
		good                func(*world) bool
	}{
		{"sqs create", "", "CreateQueue", func(w *world) ops.Operation { return createQueue{w.sites} }, func(*testing.T, *world) string { return "etl" },
			func(w *world) bool { return w.Queue("etl") != nil && w.Queue("etl").Made == 1 }},
		{"emr create", "workers=2", "RunJobFlow", func(w *world) ops.Operation { return createCluster{w.sites} }, func(*testing.T, *world) string { return "spark" },
			func(w *world) bool { n, _ := w.SparkClusters(); return n == 1 }},
		{"emr step", "script=s3://jobs/index.py", "AddJobFlowSteps", func(w *world) ops.Operation { return runStep{w.sites} }, func(t *testing.T, w *world) string { return w.cluster(t) },
			func(w *world) bool { _, n := w.SparkClusters(); return n == 1 }},
		{"emr terminate", "", "TerminateJobFlows", func(w *world) ops.Operation { return endCluster{w.sites} }, func(t *testing.T, w *world) string { return w.cluster(t) },
			func(*world) bool { return true }},
	} {
		try := func(at int, lost, cancel bool, rule *awsproxy.Rule) (crashed bool) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				op := way.op(w)
				b := bench(t, op, way.args(t, w), way.flags)
				if rule != nil {
					w.proxy.Add(*rule)
				} else {
					b.Crash(at, lost)
				}
				p := run(t, op, b, func(ops.Progress) bool { return b.Crashed() })
				crashed = b.Crashed()
				b.Restart()
				if cancel {
					for key, e := range back(t, op, b) {
						if e.State != ops.Restored && e.State != ops.Left {
							t.Errorf("%s at %d, lost %v, cancelled: %s %+v", way.name, at, lost, key, e)
						}
					}
					return
				}
				if crashed {
					p = run(t, op, b, nil)
				}
				if p.Phase == ops.Blocked && strings.Contains(p.Reason, "answer about the") && rule == nil {
					p = run(t, op, b, nil) // it crashed before it was sent; a person looked, and resumed
				}
				if p.Phase != ops.Done || !way.good(w) {
					t.Errorf("%s at %d, lost %v, %+v: %+v", way.name, at, lost, rule, p)
				}
			})
			return crashed
		}
		writes := opstest.EveryCrash(func(at int, lost, cancel bool) bool { return try(at, lost, cancel, nil) })
		for _, cancel := range []bool{true, false} {
			try(0, false, cancel, &awsproxy.Rule{Action: way.action, Drop: true})
			if !strings.HasPrefix(way.name, "emr") { // see TestLostRequest
				try(0, false, cancel, &awsproxy.Rule{Action: way.action, Lose: true})
			}
		}
		try(0, false, false, &awsproxy.Rule{Every: 4, Times: -1, Code: "ThrottlingException", Message: "Rate exceeded"})
		t.Logf("figure: %s crashed before and after each of %d writes, replies lost, throttled; then on or back", way.name, writes)
		if writes < 3 {
			t.Errorf("%s: %d writes only", way.name, writes)
		}
	}
}

// TestLostRequest: what EMR may have carried out is looked for, not sent again; where none
// is seen a person decides, and an undo says that it does not know.
func TestLostRequest(t *testing.T) {
	for _, way := range []struct {
		name, flags, action string
		op                  func(*world) ops.Operation
		args                func(*testing.T, *world) string
		made                func(*world) int
	}{
		{"cluster", "workers=2", "RunJobFlow", func(w *world) ops.Operation { return createCluster{w.sites} }, func(*testing.T, *world) string { return "spark" },
			func(w *world) int { n, _ := w.SparkClusters(); return n }},
		{"step", "script=s3://jobs/index.py", "AddJobFlowSteps", func(w *world) ops.Operation { return runStep{w.sites} }, func(t *testing.T, w *world) string { return w.cluster(t) },
			func(w *world) int { _, n := w.SparkClusters(); return n }},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			op := way.op(w)
			w.proxy.Add(awsproxy.Rule{Action: way.action, Lose: true})
			b := bench(t, op, way.args(t, w), way.flags)
			began := time.Now()
			p := run(t, op, b, nil)
			if waited := time.Since(began); p.Phase != ops.Blocked || !strings.Contains(p.Reason, "answer about the "+way.name+" was lost") || waited < lookFor || way.made(w) != 0 {
				t.Fatalf("%s: %+v after %s, made %d", way.name, p, waited, way.made(w))
			}
			if p := run(t, op, b, nil); p.Phase != ops.Done || way.made(w) != 1 {
				t.Errorf("%s resumed: %+v, made %d", way.name, p, way.made(w))
			}
			// Cancelled, nothing says that it was not started.
			w.proxy.Add(awsproxy.Rule{Action: way.action, Lose: true})
			b = bench(t, op, way.args(t, w), way.flags)
			run(t, op, b, func(ops.Progress) bool { return true })
			for key, e := range back(t, op, b) {
				if e.State != ops.Left || !strings.Contains(e.Reason, "not known") {
					t.Errorf("%s cancelled: %s %+v", way.name, key, e)
				}
			}
			// A refusal is certain: it was not carried out.
			w.proxy.Add(awsproxy.Rule{Action: way.action, Code: "ValidationException", Message: "Invalid InstanceProfile"})
			b = bench(t, op, way.args(t, w), way.flags)
			run(t, op, b, func(ops.Progress) bool { return true })
			for key, e := range back(t, op, b) {
				if e.State != ops.Restored {
					t.Errorf("%s refused: %s %+v", way.name, key, e)
				}
			}
		})
	}
	// Cancelled before the list shows it, a cluster whose answer was lost is found and ended.
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		op := createCluster{w.sites}
		w.proxy.Add(awsproxy.Rule{Action: "RunJobFlow", Drop: true})
		b := bench(t, op, "spark", "workers=2")
		run(t, op, b, func(ops.Progress) bool { return true })
		if e := back(t, op, b)[clusterKey]; e.State != ops.Restored || w.SparkState("j-0000000001") != "TERMINATED" {
			t.Errorf("%+v, %s", e, w.SparkState("j-0000000001"))
		}
	})
}

// TestSomebodyElse: a queue that somebody else made between plan and run is not taken back.
func TestSomebodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		op := createQueue{w.sites}
		b := bench(t, op, "etl", "")
		w.SetQueue("etl", awssim.Queue{})
		if p := run(t, op, b, nil); p.Phase != ops.Done {
			t.Errorf("%+v", p)
		}
		if e := back(t, op, b)[queueKey]; e.State != ops.Left || w.Queue("etl") == nil {
			t.Errorf("%+v", e)
		}
	})
}
