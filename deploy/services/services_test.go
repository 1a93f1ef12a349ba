package services

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

const host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/"

func digest(n int) string { return fmt.Sprintf("sha256:%064d", n) }

// world has the service main/web on web:1 with image 1, and images 2 and 3 (bad).
type world struct {
	*awssim.Sim
	proxy *awsproxy.Proxy
	sites map[string]Site
	old   string
}

func newWorld(t *testing.T, edit func(*awssim.Service)) *world {
	t.Helper()
	w := &world{Sim: awssim.New(awssim.Options{Now: time.Now, Stacks: []awssim.Stack{}})}
	w.proxy = awsproxy.Over(w.Sim)
	w.sites = map[string]Site{"staging": {deploytest.Simulated(t, w.proxy)}}
	w.SetRegistry("web", awssim.Registry{Images: []awssim.Image{{Digest: digest(1), Tags: []string{"v1"}}, {Digest: digest(2), Tags: []string{"v2"}}, {Digest: digest(3), Tags: []string{"v3"}}}})
	w.old = w.SetTaskDefinition("web:1", awssim.TaskDefinition{Images: []string{host + "web@" + digest(1), "redis:7"}})
	v := awssim.Service{Desired: 4, Rollout: time.Minute, BadImage: digest(3), Breaker: true}
	if edit != nil {
		edit(&v)
	}
	w.SetService("main/web", w.old, v)
	return w
}

// The steps of an operation, carried out and undone.
var (
	bench, call, explained = deploytest.Bench, deploytest.Call, opstest.Explained
	run, back              = deploytest.Run, deploytest.Back
)

func (w *world) runs() string {
	d, _ := w.ServiceState("main/web")
	return last(d)
}

func TestDeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		op := deployService{w.sites}
		b := bench(t, op, "main/web", "image=v2 container=app")
		if got, want := b.Run().Plan.Shown[2].Text, host+"web@"+digest(1)+" → "+host+"web@"+digest(2); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		p := run(t, op, b, nil)
		if want := "4 of 4 tasks of main/web run " + digest(2)[:19] + " (ecs-svc/0002)"; p.Phase != ops.Done || p.Status.Headline != want || w.runs() != "web:2" {
			t.Errorf("%+v, %s\nwant %s", p, w.runs(), want)
		}
		b.Change(func(r *ops.Run) { r.Step = 1 })
		e := back(t, op, b)
		if e[serviceKey].State != ops.Restored || e[definitionKey].State != ops.Left || w.runs() != "web:1" {
			t.Errorf("%+v, %s", e, w.runs())
		}
	})
}

// TestDeployFails: a deployment that the circuit breaker takes back is a failure, although
// the service is stable afterwards; so is one that somebody replaces.
func TestDeployFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		op := deployService{w.sites}
		b := bench(t, op, "main/web", "image=v3 container=app")
		p := run(t, op, b, nil)
		if p.Phase != ops.Failed || !strings.HasPrefix(p.Reason, "deployment ecs-svc/0002 of main/web is gone; the service runs web:1. 1 stopped: Essential container in task exited; app exited with 137") {
			t.Errorf("%+v", p)
		}
		b.Change(func(r *ops.Run) { r.Step = 1 })
		if e := back(t, op, b)[serviceKey]; e.State != ops.Restored || w.runs() != "web:1" {
			t.Errorf("%+v, %s", e, w.runs())
		}
		b = bench(t, op, "main/web", "image=v2 container=app")
		run(t, op, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "new tasks run") })
		w.Deploy("main/web", w.SetTaskDefinition("web:9", awssim.TaskDefinition{Images: []string{host + "web:hotfix"}}))
		b.Change(func(r *ops.Run) { r.Step = 1 })
		if p := run(t, op, b, nil); p.Phase != ops.Failed || !strings.Contains(p.Reason, "replaced by") {
			t.Errorf("%+v", p)
		}
		if e := back(t, op, b)[serviceKey]; e.State != ops.Left || w.runs() != "web:9" {
			t.Errorf("%+v, %s", e, w.runs())
		}
	})
}

func TestDeployRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			edit        func(*awssim.Service)
			flags, want string
		}{
			{nil, "image=v9 container=app", "there is no image v9 in the repository web in staging (eu-west-1) | image list web shows those there are."},
			{nil, "image=v1 container=app", "main/web runs web@" + digest(1)[:19] + " already | There is nothing to do."},
			{nil, "image=v2", "2 containers could be meant | Name one with --container: app, sidecar."},
			{func(s *awssim.Service) { s.Desired = 0 }, "image=v2 container=app", "main/web is scaled to 0 tasks, so nothing would show whether the image works | Scale it first: scale ecs main/web 1."},
		} {
			w := newWorld(t, tt.edit)
			if _, err := (deployService{w.sites}).Plan(t.Context(), call(deployService{}, "main/web", tt.flags)); explained(err) != tt.want {
				t.Errorf("%s\nwant %s", explained(err), tt.want)
			}
		}
		w := newWorld(t, nil)
		w.Deploy("main/web", w.SetTaskDefinition("web:9", awssim.TaskDefinition{Images: []string{host + "web:hotfix"}}))
		if _, err := (deployService{w.sites}).Plan(t.Context(), call(deployService{}, "main/web", "image=v2")); !strings.HasPrefix(explained(err), "a deployment of main/web is going on: ecs-svc/0002 to web:9") {
			t.Error(explained(err))
		}
		a, err := statusOf{w.sites}.Answer(t.Context(), ops.Call{Kind: "ecs status", Environment: "staging", Args: []string{"main/web"}})
		if err != nil || len(a.Table.Rows) != 2 {
			t.Errorf("%+v, %v", a, err)
		}
		w.proxy.Add(awsproxy.Rule{Action: "UpdateService", Times: -1, Code: "AccessDeniedException", Message: "User: u is not authorized to perform: ecs:UpdateService on resource: arn:svc"})
		step, _ := scaleService{w.sites}.Step(ops.StepRef{Name: "scale", Version: 1, Params: map[string]string{paramEnvironment: "staging", paramService: "main/web", "before": "-1 -1 4", "after": "-1 -1 6"}})
		b := opstest.NewBench(ops.Plan{Class: ops.R2, Call: ops.Call{Kind: kindScale}, Steps: []ops.StepRef{{}}})
		if err := b.Start(t.Context(), 0, step); explained(err) != "AWS does not let u do ecs:UpdateService in staging (eu-west-1) on arn:svc | Allow ecs:UpdateService in an IAM policy of u." {
			t.Error(explained(err))
		}
	})
}

func TestScale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(s *awssim.Service) { s.Min, s.Max = 2, 8 })
		op := scaleService{w.sites}
		if _, err := op.Plan(t.Context(), call(op, "main/web 10", "")); explained(err) != "10 is not between 2 and 8 | Give --min and --max that hold it." {
			t.Error(explained(err))
		}
		b := bench(t, op, "main/web 10", "max=12")
		if p := run(t, op, b, nil); p.Phase != ops.Done || p.Status.Headline != "main/web: 10 tasks run" {
			t.Errorf("%+v", p)
		}
		if e := back(t, op, b)[serviceKey]; e.State != ops.Restored {
			t.Errorf("%+v", e)
		}
		// No room, said once; then cancelled.
		w = newWorld(t, func(s *awssim.Service) { s.NoRoom = 5 })
		op = scaleService{w.sites}
		b = bench(t, op, "main/web 6", "")
		n := 0
		run(t, op, b, func(ops.Progress) bool { n++; return n > 200 })
		if said := b.Said(); len(said) != 1 || !strings.HasPrefix(said[0], "There is no room: (service main/web) was unable to place a task") {
			t.Errorf("said %q", said)
		}
		if e := back(t, op, b)[serviceKey]; e.State != ops.Restored {
			t.Errorf("%+v", e)
		}
	})
}

// TestServicesCrash: a deploy and a scaling crash at each write, and lose each reply.
func TestServicesCrash(t *testing.T) {
	for _, way := range []struct {
		name, args, flags string
		op                func(*world) ops.Operation
		good              func(*world) bool
		calls             []string
	}{
		{"ecs deploy", "main/web", "image=v2 container=app", func(w *world) ops.Operation { return deployService{w.sites} },
			func(w *world) bool { return w.runs() == "web:2" }, []string{"RegisterTaskDefinition", "UpdateService"}},
		{"scale ecs", "main/web 6", "", func(w *world) ops.Operation { return scaleService{w.sites} },
			func(w *world) bool { _, n := w.ServiceState("main/web"); return n == 6 }, []string{"UpdateService"}},
	} {
		try := func(at int, lost, cancel bool, rule *awsproxy.Rule) (crashed bool) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				op := way.op(w)
				b := bench(t, op, way.args, way.flags)
				if rule != nil {
					w.proxy.Add(*rule)
				} else {
					b.Crash(at, lost)
				}
				p := run(t, op, b, func(ops.Progress) bool { return b.Crashed() })
				crashed = b.Crashed()
				b.Restart()
				if cancel {
					b.Change(func(r *ops.Run) { r.Step = len(r.Plan.Steps) - 1 })
					for key, e := range back(t, op, b) {
						if e.State != ops.Restored && key != definitionKey {
							t.Errorf("%s at %d, lost %v: %s %+v", way.name, at, lost, key, e)
						}
					}
					if _, n := w.ServiceState("main/web"); w.runs() != "web:1" || n != 4 {
						t.Errorf("%s at %d, lost %v, cancelled: %s, %d", way.name, at, lost, w.runs(), n)
					}
					return
				}
				if crashed {
					p = run(t, op, b, nil)
				}
				if p.Phase != ops.Done || !way.good(w) {
					t.Errorf("%s at %d, lost %v, %+v: %+v, %s", way.name, at, lost, rule, p, w.runs())
				}
			})
			return crashed
		}
		writes := opstest.EveryCrash(func(at int, lost, cancel bool) bool { return try(at, lost, cancel, nil) })
		for _, action := range way.calls {
			for _, cancel := range []bool{true, false} {
				try(0, false, cancel, &awsproxy.Rule{Action: action, Drop: true})
				try(0, false, cancel, &awsproxy.Rule{Action: action, Lose: true})
			}
		}
		try(0, false, false, &awsproxy.Rule{Every: 4, Times: -1, Code: "ThrottlingException", Message: "Rate exceeded"})
		t.Logf("figure: %s crashed before and after each of %d writes, replies lost, throttled; then on or back", way.name, writes)
		if writes < 3 {
			t.Errorf("%s: %d writes only", way.name, writes)
		}
	}
}

// TestScaleAlarms: what changes the number of tasks by itself is on the card.
func TestScaleAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(v *awssim.Service) { v.Min, v.Max, v.Policies = 2, 8, [][2]string{{"up", "cpu-high"}} })
		op := scaleService{w.sites}
		plan, err := op.Plan(t.Context(), call(op, "main/web 6", ""))
		if err != nil || !strings.Contains(fmt.Sprint(plan.Shown), "{Alarms up: cpu-high}") {
			t.Errorf("%+v, %v", plan.Shown, err)
		}
	})
}

// TestPreflight: what new tasks need is looked at before anybody is asked.
func TestPreflight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:web/db-a1B2c3"
		w := newWorld(t, func(v *awssim.Service) { v.Instances, v.Min, v.Max = []int{100, 700}, 2, 8 })
		op := deployService{w.sites}
		w.SetTaskDefinition("web:1", awssim.TaskDefinition{
			Images: []string{host + "web@" + digest(1)}, TaskRole: "arn:aws:iam::123456789012:role/app/web", Memory: 256,
			Secrets: []string{secret + ":password::", "arn:aws:ssm:eu-west-1:123456789012:parameter/web/key", "plain", "arn:aws:ssm:us-east-1:123456789012:parameter/far"},
		})
		refused := func(want string) {
			t.Helper()
			if _, err := op.Plan(t.Context(), call(op, "main/web", "image=v2")); explained(err) != want {
				t.Errorf("%s\nwant %s", explained(err), want)
			}
		}
		refused("the task role web of web:1 does not exist: no new task would start | Create the role, or register a definition with another one.")
		w.SetRole("web")
		refused("web:1 reads arn:aws:secretsmanager:eu-west-1:123456789012:secret:web/db-a1B2c3:password::, which does not exist: no new task would start | Create it, or register a definition without it.")
		w.SetValue("secret:"+secret, "x")
		refused("web:1 reads arn:aws:ssm:eu-west-1:123456789012:parameter/web/key, which does not exist: no new task would start | Create it, or register a definition without it.")
		w.SetValue("ssm:/web/key", "x")
		w.SetValue("ssm:plain", "x")
		plan, err := op.Plan(t.Context(), call(op, "main/web", "image=v2"))
		if err != nil {
			t.Fatal(explained(err))
		}
		shown := map[string]string{}
		for _, l := range plan.Shown {
			shown[l.Label] = l.Text
		}
		for label, want := range map[string]string{
			"Roles": "task web, there", "Secrets": "3, all there; 1 in other regions, not looked at", "Room": "for about 2 more tasks (0 CPU units, 256 MiB each) on 2 instances",
			"Scaling": "between 2 and 8 tasks, 0 policies; AWS scales in no further while a deployment goes on",
		} {
			if shown[label] != want {
				t.Errorf("%s: %q, want %q", label, shown[label], want)
			}
		}
		w.SetService("main/web", w.old, awssim.Service{Desired: 4, Instances: []int{100, 200}, Breaker: true})
		plan, err = op.Plan(t.Context(), call(op, "main/web", "image=v2"))
		if err != nil || len(plan.Warnings) == 0 || !strings.HasPrefix(plan.Warnings[0], "No instance has room for one more task") {
			t.Errorf("%q, %v", plan.Warnings, err)
		}
	})
}

// TestTakenBackUnseen: a deployment that began and was taken back while nobody looked has
// failed, and is not tried a second time.
func TestTakenBackUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		op := deployService{w.sites}
		w.proxy.Add(awsproxy.Rule{Action: "UpdateService", Drop: true})
		b := bench(t, op, "main/web", "image=v3 container=app")
		n := 0
		run(t, op, b, func(ops.Progress) bool { n = len(w.proxy.Calls("UpdateService")); return n > 0 })
		time.Sleep(10 * time.Minute) // the process is away
		b.Change(func(r *ops.Run) { r.Step = 1 })
		p := run(t, op, b, nil)
		if p.Phase != ops.Failed || !strings.HasPrefix(p.Reason, "main/web is on web:1 again: deployment 0002 ended in ROLLBACK_SUCCESSFUL. 1 stopped: ") {
			t.Errorf("%+v", p)
		}
		if n := len(w.proxy.Calls("UpdateService")); n != 1 {
			t.Errorf("updated %d times", n)
		}
		if e := back(t, op, b)[serviceKey]; e.State != ops.Restored {
			t.Errorf("%+v", e)
		}
	})
}
