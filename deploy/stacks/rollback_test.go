package stacks

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"twokey/deploy/awssim"
	"twokey/ops"
)

// failingService is service whose ECS service fails after a minute.
const failingService = `"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"Retention": 7}},
	"Service": {"Type": "AWS::ECS::Service", "DependsOn": "Group", "Properties": {"Image": {"Ref": "Tag"}},
		"Metadata": {"Simulate": {"Seconds": 60, "Fail": "ECS Deployment Circuit Breaker was triggered"%s}}}`

// TestFailedUpdate: the thread says why while the stack goes back, the run fails only when
// it is back, and the journal says restored.
func TestFailedUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{ExecuteDelay: 2 * time.Second})
		w.deployed(t, resources(service))
		b := w.bench(t, resources(fmt.Sprintf(failingService, "")).with("Tag", "two"))
		p := w.run(t, b, nil)
		const why = "First failure: Service (AWS::ECS::Service): ECS Deployment Circuit Breaker was triggered"
		if want := "web ended in UPDATE_ROLLBACK_COMPLETE. " + why; p.Phase != ops.Failed || p.Reason != want {
			t.Errorf("%+v\nwant %s", p, want)
		}
		if said := b.Said(); len(said) != 1 || said[0] != "Going back. "+why {
			t.Errorf("said %q", said)
		}
		if p, e := w.back(t, b); p.Phase != ops.Done || e.State != ops.Restored || *e.After != *e.Before {
			t.Errorf("%+v, %+v", p, e)
		}
	})
}

// TestFailedCreate: what stays is an empty stack, and the ending says how to remove it.
func TestFailedCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		b := w.bench(t, resources(fmt.Sprintf(failingService, "")))
		if p := w.run(t, b, nil); p.Phase != ops.Failed || !strings.HasPrefix(p.Reason, "web ended in ROLLBACK_COMPLETE. First failure: Service ") {
			t.Errorf("%+v", p)
		}
		_, e := w.back(t, b)
		if e.State != ops.Left || e.Reason != "what was created is removed; the empty stack stays: cfn delete web" {
			t.Errorf("%+v", e)
		}
		_, err := w.op.Plan(t.Context(), w.call())
		if got, want := explained(err), "web in staging (eu-west-1) is in ROLLBACK_COMPLETE: it can only be deleted | Delete it first: cfn delete web."; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}

// TestKeptOnFailure: with --keep-on-failure nothing is rolled back, and that is said.
func TestKeptOnFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		w.deployed(t, resources(service))
		b := w.bench(t, resources(fmt.Sprintf(failingService, "")).with("Tag", "two"), "keep-on-failure=true")
		if p := w.run(t, b, nil); p.Phase != ops.Failed || !strings.HasPrefix(p.Reason, "web ended in UPDATE_FAILED. First failure: Service ") {
			t.Errorf("%+v", p)
		}
		if _, e := w.back(t, b); e.State != ops.Left || e.Reason != "UPDATE_FAILED, kept as it failed: cfn recover web rolls it back" {
			t.Errorf("%+v", e)
		}
	})
}

// TestRollbackFailed: a stack that can go neither way waits for a person.
func TestRollbackFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		w.deployed(t, resources(service))
		b := w.bench(t, resources(fmt.Sprintf(failingService, `, "FailRollback": "the old image is gone"`)).with("Tag", "two"))
		if p := w.run(t, b, nil); p.Phase != ops.Failed || !strings.Contains(p.Reason, "UPDATE_ROLLBACK_FAILED. First failure: Service (AWS::ECS::Service): ECS Deployment Circuit Breaker") {
			t.Errorf("%+v", p)
		}
		p, e := w.back(t, b)
		if p.Phase != ops.Blocked || p.Reason != "web is in UPDATE_ROLLBACK_FAILED: neither old nor new. Bring it to a stable status with cfn recover web, then resume" || e.State != ops.Intended {
			t.Errorf("%+v, %+v", p, e)
		}
		_, err := w.op.Plan(t.Context(), w.call())
		if got := explained(err); !strings.HasSuffix(got, "cfn recover web brings it back to a stable status first.") {
			t.Error(got)
		}
	})
}

// TestCancelDeploy: an update in the middle is taken back; one that is over is left, and a
// creation is followed to its end.
func TestCancelDeploy(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fresh  bool
		until  string // part of the headline
		status string
		state  ops.ChangeState
		reason string
	}{
		{"before it shows", false, "has not begun", "UPDATE_ROLLBACK_COMPLETE", ops.Restored, ""},
		{"in the middle", false, "0 of 1 resources done after 3", "UPDATE_ROLLBACK_COMPLETE", ops.Restored, ""},
		{"creating", true, "1 of 2 resources done", "CREATE_COMPLETE", ops.Left, "it was CREATE_COMPLETE before it could be cancelled; to go back, deploy the earlier template"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, awssim.Options{ExecuteDelay: 5 * time.Second})
				in := resources(service)
				if !tt.fresh {
					w.deployed(t, in)
					in = in.with("Tag", "two")
				}
				b := w.bench(t, in)
				p := w.run(t, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, tt.until) })
				if !strings.Contains(p.Status.Headline, tt.until) {
					t.Fatalf("%+v", p)
				}
				p, e := w.back(t, b)
				if p.Phase != ops.Done || e.State != tt.state || e.Reason != tt.reason || w.Status("web") != tt.status {
					t.Errorf("%+v, %+v, %s", p, e, w.Status("web"))
				}
				if n := len(w.proxy.Calls("CancelUpdateStack")); tt.fresh != (n == 0) {
					t.Errorf("%d cancels", n)
				}
			})
		})
	}
}

// TestCauseInNestedStacks: three levels of nested stacks, in which one resource fails and
// 140 are merely cancelled, have one cause.
func TestCauseInNestedStacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		siblings := func(n int, more string) string {
			var list []string
			for i := range n {
				list = append(list, fmt.Sprintf(`"Queue%03d": {"Type": "AWS::SQS::Queue", "Properties": {"Delay": "1"}, "Metadata": {"Simulate": {"Seconds": 300}}}`, i))
			}
			return `{"Resources": {` + strings.Join(append(list, more), ",") + `}}`
		}
		nested := func(url string) string {
			return `"Inner": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "` + url + `"}}`
		}
		w := newWorld(t, awssim.Options{Templates: map[string]string{
			"https://t/1": siblings(40, nested("https://t/2")),
			"https://t/2": siblings(50, nested("https://t/3")),
			"https://t/3": siblings(30, `"Role": {"Type": "AWS::IAM::Role", "Properties": {"Path": "/"}, "Metadata": {"Simulate": {"Seconds": 20, "Fail": "role web-role already exists"}}}`),
		}})
		in := resources("")
		in.body = siblings(20, nested("https://t/1"))
		b := w.bench(t, in)
		if n := len(b.Run().Plan.Steps[0].Params[paramTotal]); n == 0 {
			t.Fatal("no total")
		}
		p := w.run(t, b, nil)
		if p.Phase != ops.Failed || !strings.HasPrefix(p.Reason, "web ended in ROLLBACK_COMPLETE. First failure: Role (AWS::IAM::Role): role web-role already exists That was in the nested stack web-Inner-1ABC-Inner-1ABC-Inner-1ABC") {
			t.Errorf("%+v", p)
		}
		if said := b.Said(); len(said) != 1 || strings.Count(strings.Join(said, ""), "Queue") > 0 {
			t.Errorf("said %q", said)
		}
		if got := b.Run().Plan.Effect; got != "changes 144 resources: 144 to add" {
			t.Errorf("effect %q", got)
		}
	})
}

// TestSomebodyWorksOnIt: another's unfinished work is never touched, and is named.
func TestSomebodyWorksOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		w.deployed(t, resources(service))
		b := w.bench(t, resources(service).with("Tag", "two"))
		w.run(t, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "resources done") })
		_, err := w.op.Plan(t.Context(), w.call())
		want := "web in staging (eu-west-1) is being worked on (UPDATE_IN_PROGRESS) by Twokey's run " + b.Run().ID + " | Wait for its end: cfn watch web shows it."
		if got := explained(err); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}
