package stacks

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/deploy/awsproxy"
	"twokey/deploy/awssim"
	"twokey/ops"
	"twokey/ops/opstest"
)

// TestDeploy creates a stack and updates it, through the engine, as people read it.
func TestDeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{ChangeSetTime: 3 * time.Second, ExecuteDelay: 4 * time.Second})
		w.next(t, resources(service))
		rig := opstest.NewRig(t, ops.Options{}, w.op)
		through := func(id string) (ops.Run, string) {
			rig.Submit(id, w.call())
			run := rig.Finish(id)
			said := rig.Said(id)
			return run, said[len(said)-1].Text
		}
		run, last := through("01KB3JQX2N9Y8Z7V6T5S4R0001")
		for _, part := range []string{
			"Done: Create stack web in staging (eu-west-1): web is CREATE_COMPLETE after 1m7s: 2 to add.",
			`stack web: resources kept as planned: "CREATE_COMPLETE, `,
		} {
			if run.State != ops.Succeeded || !strings.Contains(last, part) {
				t.Errorf("%s: %s\nwant %q", run.State, last, part)
			}
		}
		w.next(t, resources(service).with("Tag", "two"))
		run, last = through("01KB3JQX2N9Y8Z7V6T5S4R0002")
		if want := "web is UPDATE_COMPLETE after 1m4s: 1 to modify."; run.State != ops.Succeeded || !strings.Contains(last, want) {
			t.Errorf("%s: %s\nwant %q", run.State, last, want)
		}
		if e := run.Plan.Estimate; e.Basis != "its last operation took 1m7s" {
			t.Errorf("estimate %+v", e)
		}
		var shown []string
		for _, l := range run.Plan.Shown {
			shown = append(shown, l.Label+": "+l.Text)
		}
		want := []string{
			"Account: 123456789012, eu-west-1", "Stack: CREATE_COMPLETE; termination protection off; drift: never checked",
			"Template: web.yaml", "Modify: Service (ECS::Service): Image", "Parameters: Tag one → two; 1 as before",
		}
		if !slices.Equal(shown, want) {
			t.Errorf("shown %q\nwant  %q", shown, want)
		}
		if sets := w.ChangeSets(); len(sets) > 0 {
			t.Errorf("change sets left: %q", sets)
		}
	})
}

// TestUnchanged: deploys that change nothing say so and leave nothing behind.
func TestUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		w.deployed(t, resources(service))
		for range 30 {
			_, err := w.op.Plan(t.Context(), w.call())
			if got, want := explained(err), "no changes: web in staging (eu-west-1) is as the template and parameters say | There is nothing to deploy."; got != want {
				t.Fatalf("%s\nwant %s", got, want)
			}
		}
		if sets := w.ChangeSets(); len(sets) > 0 {
			t.Errorf("change sets left: %q", sets)
		}
	})
}

// TestNotApproved: what was planned and is not carried out leaves neither a change set nor
// the shell of a new stack; another request's is not touched.
func TestNotApproved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		first, second := w.bench(t, resources(service)), w.bench(t, resources(service))
		if n := len(w.ChangeSets()); n != 2 || w.Status("web") != "REVIEW_IN_PROGRESS" {
			t.Fatalf("%d change sets, %s", n, w.Status("web"))
		}
		for range 2 {
			if err := w.op.Discard(t.Context(), first.Run().Plan); err != nil {
				t.Fatal(err)
			}
			if n := len(w.ChangeSets()); n != 1 || w.Status("web") != "REVIEW_IN_PROGRESS" {
				t.Fatalf("%d change sets, %s", n, w.Status("web"))
			}
		}
		if p := w.run(t, second, nil); p.Phase != ops.Done {
			t.Fatalf("%+v", p)
		}
		// After its execution there is nothing to discard.
		if err := w.op.Discard(t.Context(), second.Run().Plan); err != nil || w.Status("web") != "CREATE_COMPLETE" {
			t.Errorf("%v, %s", err, w.Status("web"))
		}
		third := w.bench(t, resources(service).with("Tag", "two"))
		if err := w.op.Discard(t.Context(), third.Run().Plan); err != nil || len(w.ChangeSets()) > 0 || w.Status("web") != "CREATE_COMPLETE" {
			t.Errorf("%v, %q, %s", err, w.ChangeSets(), w.Status("web"))
		}
		// A shell alone goes.
		w.Sim = awssim.New(awssim.Options{Now: time.Now, Stacks: []awssim.Stack{}})
	})
}

// TestShellGoes: the stack that only a change set made goes with the last one.
func TestShellGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		b := w.bench(t, resources(service))
		if err := w.op.Discard(t.Context(), b.Run().Plan); err != nil || len(w.ChangeSets()) > 0 || w.Status("web") != "" {
			t.Errorf("%v, %q, %s", err, w.ChangeSets(), w.Status("web"))
		}
	})
}

// TestSuperseded: a plan whose stack was changed meanwhile is made anew, and so is one
// whose change set is gone.
func TestSupersededDeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		w.deployed(t, resources(service))
		plan := w.bench(t, resources(service).with("Tag", "two")).Run().Plan
		w.deployed(t, resources(service).with("Tag", "three"))
		w.next(t, resources(service).with("Tag", "two"))
		again, err := w.op.Replan(t.Context(), plan)
		if err != nil || again.Digest() == plan.Digest() {
			t.Fatalf("the same plan after somebody changed the stack; %v", err)
		}
		if err := w.op.Discard(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		third, err := w.op.Replan(t.Context(), again)
		if err != nil || third.Digest() == again.Digest() {
			t.Errorf("the same plan after its change set was deleted; %v", err)
		}
		// One that is executed past its plan says that nothing was executed.
		b := w.onBench(plan)
		if p := w.run(t, b, nil); p.Phase != ops.Failed || !strings.Contains(p.Reason, "nothing was executed") {
			t.Errorf("%+v", p)
		}
	})
}

// TestClass: a replaced or removed resource that holds data makes it class R3.
func TestClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const table = `"Orders": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": %q, "Billing": %q}%s}`
		w := newWorld(t, awssim.Options{})
		w.deployed(t, resources(service+","+fmt.Sprintf(table, "orders", "a", "")))
		for _, tt := range []struct {
			name, text string
			class      ops.Class
			warning    string
		}{
			{"modified", service + "," + fmt.Sprintf(table, "orders", "b", ""), ops.R2, ""},
			{"replaced", service + "," + fmt.Sprintf(table, "orders2", "a", ""), ops.R3, "replace Orders (DynamoDB::Table)"},
			{"removed", service, ops.R3, "remove Orders (DynamoDB::Table)"},
		} {
			w.next(t, resources(tt.text))
			plan, err := w.op.Plan(t.Context(), w.call())
			if err != nil {
				t.Fatal(err)
			}
			confirm := map[bool]string{true: "web"}[tt.class == ops.R3]
			if plan.Class != tt.class || plan.Confirm != confirm || !strings.Contains(strings.Join(plan.Warnings, "\n"), tt.warning) {
				t.Errorf("%s: %s, confirm %q, warnings %q", tt.name, plan.Class, plan.Confirm, plan.Warnings)
			}
		}
		// One that is kept by its policy is not lost.
		w = newWorld(t, awssim.Options{})
		w.deployed(t, resources(service+","+fmt.Sprintf(table, "orders", "a", `, "DeletionPolicy": "Retain"`)))
		if plan := w.bench(t, resources(service)).Run().Plan; plan.Class != ops.R2 {
			t.Errorf("removed but retained: %s", plan.Class)
		}
	})
}

// TestDeployCrashes: a process that dies at any write of the record, before or after it is
// stored, leaves a run that another one carries to the same end, or takes back.
func TestDeployCrashes(t *testing.T) {
	writes := opstest.EveryCrash(func(at int, lost, cancel bool) (crashed bool) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, awssim.Options{ExecuteDelay: 3 * time.Second})
			w.deployed(t, resources(service))
			b := w.bench(t, resources(service).with("Tag", "two"))
			b.Crash(at, lost)
			executed := len(w.proxy.Calls("ExecuteChangeSet"))
			w.run(t, b, func(ops.Progress) bool { return b.Crashed() })
			crashed = b.Crashed()
			b.Restart()
			if !cancel {
				if p := w.run(t, b, nil); p.Phase != ops.Done {
					t.Fatalf("crash at %d, lost %v: %+v", at, lost, p)
				}
				if e, _ := b.Entry(journalKey); e.State != ops.Kept || w.Status("web") != "UPDATE_COMPLETE" {
					t.Errorf("crash at %d, lost %v: %+v, %s", at, lost, e, w.Status("web"))
				}
				if n := len(w.proxy.Calls("ExecuteChangeSet")) - executed; n < 1 || n > 2 {
					t.Errorf("crash at %d, lost %v: executed %d times", at, lost, n)
				}
				return
			}
			p, e := w.back(t, b)
			if p.Phase != ops.Done {
				t.Fatalf("crash at %d, lost %v, cancelled: %+v", at, lost, p)
			}
			if status := w.Status("web"); status == "UPDATE_COMPLETE" && e.State != ops.Left ||
				status == "UPDATE_ROLLBACK_COMPLETE" && e.State != ops.Restored ||
				status == "CREATE_COMPLETE" && e.Key != "" && e.State != ops.Restored {
				t.Errorf("crash at %d, lost %v, cancelled: %s, %+v", at, lost, status, e)
			}
		})
		return crashed
	})
	if writes < 4 {
		t.Errorf("%d writes only", writes)
	}
	t.Logf("figure: a deploy crashed before and after each of %d writes, then went on or was cancelled", writes)
}

// TestLostReplies: each call that writes loses its reply, or is lost itself, once; nothing
// is done twice.
func TestLostReplies(t *testing.T) {
	for _, action := range []string{"CreateChangeSet", "ExecuteChangeSet", "CancelUpdateStack", "DeleteChangeSet"} {
		for _, rule := range []awsproxy.Rule{{Action: action, Drop: true}, {Action: action, Lose: true}} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, awssim.Options{ExecuteDelay: 2 * time.Second})
				w.deployed(t, resources(service))
				w.next(t, resources(service).with("Tag", "two"))
				w.proxy.Add(rule)
				plan, err := w.op.Plan(t.Context(), w.call())
				if err != nil {
					if action != "CreateChangeSet" || !rule.Lose {
						t.Fatal(explained(err))
					}
					if sets := w.ChangeSets(); len(sets) > 0 {
						t.Errorf("left %q", sets)
					}
					return
				}
				b := w.onBench(plan)
				if action == "CancelUpdateStack" {
					w.run(t, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "of 1 resources") })
					p, e := w.back(t, b)
					if p.Phase != ops.Done || e.State != ops.Restored || w.Status("web") != "UPDATE_ROLLBACK_COMPLETE" {
						t.Errorf("%s %+v: %+v, %+v, %s", action, rule, p, e, w.Status("web"))
					}
					return
				}
				if action == "DeleteChangeSet" {
					err := w.op.Discard(t.Context(), plan)
					if err == nil {
						t.Error("a lost reply was taken for a deletion")
					}
					if err := w.op.Discard(t.Context(), plan); err != nil || len(w.ChangeSets()) > 0 {
						t.Errorf("%v, %q", err, w.ChangeSets())
					}
					return
				}
				if p := w.run(t, b, nil); p.Phase != ops.Done {
					t.Errorf("%s %+v: %+v", action, rule, p)
				}
				if n := len(w.ChangeSets()); n > 0 {
					t.Errorf("%d change sets left", n)
				}
			})
		}
	}
}

// TestDeployThrottled: one call in four is refused as one too many.
func TestDeployThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{ExecuteDelay: 2 * time.Second})
		w.proxy.Add(awsproxy.Rule{Every: 4, Times: -1, Code: "Throttling", Message: "Rate exceeded"})
		w.deployed(t, resources(service))
		w.deployed(t, resources(service).with("Tag", "two"))
		b := w.bench(t, resources(service).with("Tag", "three"))
		w.run(t, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "resources done") })
		if p, e := w.back(t, b); p.Phase != ops.Done || e.State != ops.Restored {
			t.Errorf("%+v, %+v", p, e)
		}
		refused := 0
		for _, c := range w.proxy.Calls("") {
			if c.Status == 400 {
				refused++
			}
		}
		t.Logf("figure: %d of %d calls throttled, in two deploys and a cancelled one", refused, len(w.proxy.Calls("")))
	})
}
