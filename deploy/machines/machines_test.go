package machines

import (
	"fmt"
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

// world has the group web with 2 of 1 to 4 instances, and two machines of other names.
type world struct {
	*awssim.Sim
	proxy *awsproxy.Proxy
	sites map[string]Site
}

func newWorld(t *testing.T, edit func(*awssim.Group)) *world {
	t.Helper()
	w := &world{Sim: awssim.New(awssim.Options{Now: time.Now, Stacks: []awssim.Stack{}})}
	w.proxy = awsproxy.Over(w.Sim)
	w.sites = map[string]Site{"staging": {deploytest.Simulated(t, w.proxy)}}
	g := awssim.Group{Min: 1, Max: 4, Desired: 2, RefreshTime: time.Minute}
	if edit != nil {
		edit(&g)
	}
	w.SetGroup("web", g)
	w.SetInstance(awssim.Instance{ID: "i-0a", Name: "old-web", Group: "web"})
	w.SetInstance(awssim.Instance{ID: "i-0b", Name: "old-web"})
	w.SetInstance(awssim.Instance{ID: "i-0c", Name: "database", Protected: true})
	return w
}

// The steps of an operation, carried out and undone.
var (
	bench, call, explained = deploytest.Bench, deploytest.Call, opstest.Explained
	run, back              = deploytest.Run, deploytest.Back
)

func TestScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		op := scaleGroup{w.sites}
		for _, tt := range []struct{ args, flags, want string }{
			{"web 9", "", "9 is not between 1 and 4 | Give --min and --max that hold it."},
			{"web 2", "", "web has 2, between 1 and 4 already | There is nothing to do."},
			{"wep 2", "", "there is no Auto Scaling group wep in staging (eu-west-1) | Did you mean web?"},
			{"web x", "", "DESIRED x is no number of instances | Give a number from 0 to 10000."},
		} {
			if _, err := op.Plan(t.Context(), call(op, tt.args, tt.flags)); explained(err) != tt.want {
				t.Errorf("%s: %s\nwant %s", tt.args, explained(err), tt.want)
			}
		}
		b := bench(t, op, "web 6", "max=8")
		if p := run(t, op, b, nil); p.Phase != ops.Done || p.Status.Headline != "web: 6 instances in service" {
			t.Errorf("%+v", p)
		}
		if e := back(t, op, b)[groupKey]; e.State != ops.Restored || w.GroupSize("web") != "1 4 2" {
			t.Errorf("%+v, %s", e, w.GroupSize("web"))
		}
		// What changes the number by itself is on the card.
		w.SetGroup("own", awssim.Group{Min: 1, Max: 4, Desired: 2, Policies: [][2]string{{"up", "cpu-high"}, {"down", "cpu-low"}}})
		if plan, err := op.Plan(t.Context(), call(op, "own 3", "")); err != nil || !strings.Contains(fmt.Sprint(plan.Shown), "{Alarms up: cpu-high; down: cpu-low}") || len(plan.Warnings) != 1 {
			t.Errorf("%+v, %q, %v", plan.Shown, plan.Warnings, err)
		}
		// What somebody changed since is left, and both are shown.
		b = bench(t, op, "web 3", "")
		run(t, op, b, nil)
		w.SetGroup("web", awssim.Group{Min: 2, Max: 4, Desired: 4})
		if e := back(t, op, b)[groupKey]; e.State != ops.Left || *e.After != "4, between 2 and 4" || w.GroupSize("web") != "2 4 4" {
			t.Errorf("%+v", e)
		}
	})
}

// TestNoCapacity: why a group cannot follow is told, once.
func TestNoCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(g *awssim.Group) { g.NoCapacity = 3 })
		op := scaleGroup{w.sites}
		b := bench(t, op, "web 4", "")
		n := 0
		run(t, op, b, func(ops.Progress) bool { n++; return n > 100 })
		if said := b.Said(); len(said) != 1 || said[0] != "web cannot follow: We currently do not have sufficient m5.large capacity in the Availability Zone you requested." {
			t.Errorf("said %q", said)
		}
		w = newWorld(t, func(g *awssim.Group) { g.Suspended = []string{"Launch"} })
		if _, err := (scaleGroup{w.sites}).Plan(t.Context(), call(op, "web 4", "")); explained(err) != "web has its process Launch suspended: it would not follow | Resume that process first." {
			t.Error(explained(err))
		}
	})
}

func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		op := refreshGroup{w.sites}
		b := bench(t, op, "web", "")
		if p := run(t, op, b, nil); p.Phase != ops.Done || p.Status.Headline != "web: 2 instances in service, all of launch template web, version 7" || w.Refreshes("web") != 1 {
			t.Errorf("%+v", p)
		}
		b = bench(t, op, "web", "min-healthy=50")
		run(t, op, b, func(p ops.Progress) bool {
			return strings.Contains(p.Status.Headline, "% replaced") && p.Status.Done > 20
		})
		if e := back(t, op, b)[groupKey]; e.State != ops.Left || !strings.Contains(e.Reason, "ended as Cancelled; what was replaced stays so") {
			t.Errorf("%+v", e)
		}
		w.Refresh("web")
		if _, err := op.Plan(t.Context(), call(op, "web", "")); !strings.HasPrefix(explained(err), "a refresh of web is going on: refresh-") {
			t.Error(explained(err))
		}
		w = newWorld(t, func(g *awssim.Group) { g.RefreshFails = true })
		op = refreshGroup{w.sites}
		if p := run(t, op, bench(t, op, "web", ""), nil); p.Phase != ops.Failed || !strings.Contains(p.Reason, "ended as Failed at 50 %: instances failed their health checks") {
			t.Errorf("%+v", p)
		}
	})
}

func TestTerminate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		op := terminate{w.sites}
		if _, err := op.Plan(t.Context(), call(op, "database", "")); !strings.Contains(explained(err), "has termination protection, which Twokey never lifts") {
			t.Error(explained(err))
		}
		if _, err := op.Plan(t.Context(), call(op, "i-0zz", "")); explained(err) != "there is no instance i-0zz in staging (eu-west-1) | Give an instance's id or its exact Name tag." {
			t.Error(explained(err))
		}
		b := bench(t, op, "old-web", "")
		plan := b.Run().Plan
		if strings.Join(plan.Targets, " ") != "i-0a i-0b" || plan.Class != ops.R3 || plan.Confirm != "i-0a" || len(plan.Warnings) != 1 {
			t.Errorf("%+v", plan)
		}
		w.SetInstance(awssim.Instance{ID: "i-0d", Name: "old-web"}) // came after the approval: not ours
		if p := run(t, op, b, nil); p.Phase != ops.Done || p.Status.Headline != "2 instances are terminated" || w.InstanceState("i-0d") != "running" {
			t.Errorf("%+v, %s", p, w.InstanceState("i-0d"))
		}
		a, err := describeGroup{w.sites}.Answer(t.Context(), ops.Call{Kind: "asg describe", Environment: "staging", Args: []string{"web"}})
		if err != nil || a.Title != "web in staging (eu-west-1): 2 of 2 in service, between 1 and 4" || len(a.Table.Rows) != 2 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

// TestMachinesCrash: each operation crashes at each write, and loses each reply.
func TestMachinesCrash(t *testing.T) {
	for _, way := range []struct {
		name, args, action, throttled string
		op                            func(*world) ops.Operation
		good                          func(*world) bool
	}{
		{"scale asg", "web 4", "UpdateAutoScalingGroup", "Throttling", func(w *world) ops.Operation { return scaleGroup{w.sites} }, func(w *world) bool { return w.GroupSize("web") == "1 4 4" }},
		{"asg refresh", "web", "StartInstanceRefresh", "Throttling", func(w *world) ops.Operation { return refreshGroup{w.sites} }, func(w *world) bool { return w.Refreshes("web") == 1 }},
		{"ec2 terminate", "i-0a i-0b", "TerminateInstances", "RequestLimitExceeded", func(w *world) ops.Operation { return terminate{w.sites} }, func(w *world) bool { return w.InstanceState("i-0b") == "terminated" }},
	} {
		try := func(at int, lost, cancel bool, rule *awsproxy.Rule) (crashed bool) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				op := way.op(w)
				b := bench(t, op, way.args, "")
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
				if p.Phase != ops.Done || !way.good(w) {
					t.Errorf("%s at %d, lost %v, %+v: %+v", way.name, at, lost, rule, p)
				}
			})
			return crashed
		}
		writes := opstest.EveryCrash(func(at int, lost, cancel bool) bool { return try(at, lost, cancel, nil) })
		try(0, false, false, &awsproxy.Rule{Action: way.action, Drop: true})
		try(0, false, false, &awsproxy.Rule{Action: way.action, Lose: true})
		try(0, false, false, &awsproxy.Rule{Every: 4, Times: -1, Code: way.throttled, Message: "Rate exceeded"})
		t.Logf("figure: %s crashed before and after each of %d writes, replies lost, throttled; then on or back", way.name, writes)
		if writes < 3 {
			t.Errorf("%s: %d writes only", way.name, writes)
		}
	}
}

// TestRefreshOfSomebodyElse: a refresh that somebody else begins between the look and the
// request is neither followed nor stopped.
func TestRefreshOfSomebodyElse(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			op := refreshGroup{w.sites}
			b := bench(t, op, "web", "")
			w.proxy.Add(awsproxy.Rule{Action: "StartInstanceRefresh", Lose: lost, Before: func() {
				if !lost {
					w.Refresh("web")
				}
			}})
			if lost { // it begins while this run's process is away
				n := 0
				run(t, op, b, func(ops.Progress) bool { n++; return n > 0 })
				time.Sleep(10 * time.Minute)
				w.Refresh("web")
			}
			if p := run(t, op, b, nil); p.Phase != ops.Failed || !strings.Contains(p.Reason, "somebody else began a refresh of web") {
				t.Errorf("lost %v: %+v", lost, p)
			}
			if e := back(t, op, b)[groupKey]; e.State != ops.Restored || len(w.proxy.Calls("CancelInstanceRefresh")) != 0 {
				t.Errorf("lost %v: %+v", lost, e)
			}
		})
	}
}
