package stacks

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

// undone undoes the one step, and returns its journal entry.
func undone(t *testing.T, op ops.Operation, b *opstest.Bench) ops.Change {
	t.Helper()
	return deploytest.Back(t, op, b)[journalKey]
}

func planned(t *testing.T, w *world, op ops.Operation, flags string) *opstest.Bench {
	t.Helper()
	call := ops.Call{Kind: op.Kind(), Environment: "staging", Args: []string{"web"}, Flags: map[string]string{}}
	if name, v, ok := strings.Cut(flags, "="); ok {
		call.Flags[name] = v
	}
	plan, err := op.Plan(t.Context(), call)
	if err != nil {
		t.Fatalf("plan: %s", explained(err))
	}
	again, err := op.Plan(t.Context(), call)
	if err != nil || again.Digest() != plan.Digest() || len(ops.Worse(plan.Facts, again.Facts)) > 0 {
		t.Fatalf("planned again: another plan, %v", err)
	}
	return w.onBench(plan)
}

func refusal(t *testing.T, op ops.Operation, flags, want string) {
	t.Helper()
	call := ops.Call{Kind: op.Kind(), Environment: "staging", Args: []string{"web"}, Flags: map[string]string{}}
	if name, v, ok := strings.Cut(flags, "="); ok {
		call.Flags[name] = v
	}
	_, err := op.Plan(t.Context(), call)
	if got := explained(err); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// held is service with a log group that cannot be deleted.
const held = `"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"Retention": 7}, "Metadata": {"Simulate": {"FailDelete": "it is in use"}}},
	"Service": {"Type": "AWS::ECS::Service", "DependsOn": "Group", "Properties": {"Image": {"Ref": "Tag"}}}`

func TestDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{ExecuteDelay: 2 * time.Second})
		op := deleteStack{w.op.sites}
		w.deployed(t, resources(service))
		w.Protect("web", true)
		refusal(t, op, "", "web in staging (eu-west-1) has termination protection, which Twokey never lifts | Whoever may decide that lifts it in the console, then ask again.")
		w.Protect("web", false)
		refusal(t, op, "retain=Group", "--retain is for a stack in DELETE_FAILED; web is in CREATE_COMPLETE | Leave it out. What must stay has DeletionPolicy: Retain in the template.")
		b := planned(t, w, op, "")
		plan := b.Run().Plan
		if plan.Class != ops.R3 || plan.Confirm != "web" || plan.Effect != "deletes the stack with its 2 resources" || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "Group (Logs::LogGroup) group-id") {
			t.Errorf("%+v", plan)
		}
		p := deploytest.Run(t, op, b, nil)
		e, _ := b.Entry(journalKey)
		if p.Phase != ops.Done || p.Status.Headline != "web is gone" || e.State != ops.Kept || w.Status("web") != "" {
			t.Errorf("%+v, %+v, %s", p, e, w.Status("web"))
		}
		if n := len(w.proxy.Calls("DeleteStack")); n != 1 {
			t.Errorf("deleted %d times", n)
		}
	})
}

// TestDeleteFails: what holds the stack is named, and can be left on the second try.
func TestDeleteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		op := deleteStack{w.op.sites}
		w.deployed(t, resources(held))
		b := planned(t, w, op, "")
		p := deploytest.Run(t, op, b, nil)
		if want := "web ended in DELETE_FAILED. First failure: Group (AWS::Logs::LogGroup): it is in use. Empty or release it and delete again, or leave it: cfn delete web --retain Group"; p.Phase != ops.Failed || p.Reason != want {
			t.Errorf("%+v\nwant %s", p, want)
		}
		if e := undone(t, op, b); e.State != ops.Left || e.Reason != "the stack is in DELETE_FAILED, with the resources that could not be deleted" {
			t.Errorf("%+v", e)
		}
		refusal(t, op, "retain=Service", "Service is not among the resources that could not be deleted | Those are Group.")
		b = planned(t, w, op, "retain=Group")
		if p := deploytest.Run(t, op, b, nil); p.Phase != ops.Done || p.Status.Headline != "web is gone; Group stayed" {
			t.Errorf("%+v", p)
		}
	})
}

func TestDeleteImported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		in := resources(service)
		in.body = strings.TrimSuffix(in.body, "}") + `, "Outputs": {"Url": {"Value": "https://web", "Export": {"Name": "web-url"}}}}`
		w.deployed(t, in)
		w.SetImports("web-url", "shop", "blog")
		refusal(t, deleteStack{w.op.sites}, "", "outputs of web are used by other stacks: web-url by shop; web-url by blog | Change those stacks first.")
	})
}

// TestEndingCrashes: a deletion and a recovery crash at each write, before and after it is
// stored, and lose the reply of their call.
func TestEndingCrashes(t *testing.T) {
	for _, kind := range []string{kindDelete, kindRecover} {
		try := func(at int, lost, cancel bool) (crashed bool) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, awssim.Options{ExecuteDelay: 2 * time.Second})
				w.deployed(t, resources(service))
				var op ops.Operation = deleteStack{w.op.sites}
				action := "DeleteStack"
				if kind == kindRecover {
					op, action = recoverStack{w.op.sites}, "RollbackStack"
					w.run(t, w.bench(t, resources(fmt.Sprintf(failingService, "")).with("Tag", "two"), "keep-on-failure=true"), nil)
				}
				b := planned(t, w, op, "")
				if at == 0 {
					w.proxy.Add(awsproxy.Rule{Action: action, Drop: lost, Lose: !lost})
				} else {
					b.Crash(at, lost)
				}
				p := deploytest.Run(t, op, b, func(ops.Progress) bool { return b.Crashed() })
				crashed = b.Crashed()
				b.Restart()
				if cancel {
					e := undone(t, op, b)
					if e.Key != "" && e.State != ops.Left && e.State != ops.Restored {
						t.Errorf("%s, crash at %d: %+v", kind, at, e)
					}
					return
				}
				if p.Phase != ops.Done {
					p = deploytest.Run(t, op, b, nil)
				}
				if e, _ := b.Entry(journalKey); p.Phase != ops.Done || e.State != ops.Kept {
					t.Errorf("%s, crash at %d, lost %v: %+v, %+v", kind, at, lost, p, e)
				}
			})
			return crashed
		}
		for _, lost := range []bool{true, false} {
			for _, cancel := range []bool{true, false} {
				try(0, lost, cancel)
			}
		}
		t.Logf("figure: %s crashed before and after each of %d writes", kind, opstest.EveryCrash(try))
	}
}

func TestRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{ExecuteDelay: 2 * time.Second})
		op := recoverStack{w.op.sites}
		w.deployed(t, resources(service))
		refusal(t, op, "", "web in staging (eu-west-1): done (CREATE_COMPLETE) needs no recovery | This is for UPDATE_ROLLBACK_FAILED, UPDATE_FAILED and CREATE_FAILED.")
		deploy := w.bench(t, resources(fmt.Sprintf(failingService, `, "FailRollback": "the old image is gone"`)).with("Tag", "two"))
		w.run(t, deploy, nil)
		if p, _ := w.back(t, deploy); p.Phase != ops.Blocked {
			t.Fatalf("%+v", p)
		}
		refusal(t, op, "skip=Group", "Group did not fail in the rollback | Those that did: Service (ECS::Service).")
		// Without a skip it fails in the same way.
		b := planned(t, w, op, "")
		if p := deploytest.Run(t, op, b, nil); p.Phase != ops.Failed || !strings.HasPrefix(p.Reason, "web ended in UPDATE_ROLLBACK_FAILED: Service (AWS::ECS::Service): the old image is gone.") {
			t.Errorf("%+v", p)
		}
		b = planned(t, w, op, "skip=Service")
		if w := b.Run().Plan.Warnings; len(w) != 1 || !strings.Contains(w[0], "inconsistent with the template: Service.") {
			t.Errorf("warnings %q", w)
		}
		if p := deploytest.Run(t, op, b, nil); p.Phase != ops.Done || p.Status.Headline != "web is UPDATE_ROLLBACK_COMPLETE; inconsistent with the template: Service" {
			t.Errorf("%+v", p)
		}
		// The deploy that waited for it can end now.
		const left = "it is UPDATE_ROLLBACK_COMPLETE, but its rollback had failed at Service and was continued since: cfn drift web shows what is not as before"
		if p, e := w.back(t, deploy); p.Phase != ops.Done || e.State != ops.Left || e.Reason != left {
			t.Errorf("%+v, %+v", p, e)
		}
	})
}

// TestDoomed: the card names what ends with a stack, inside nested stacks too, what stays,
// what holds the deletion up, and which names still lead there; another list is another
// plan.
func TestDoomed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		op := deleteStack{w.op.sites}
		const url = "https://example.org/inner.json"
		w.SetTemplate(url, `{"Resources": {"Table": {"Type": "AWS::DynamoDB::Table"}, "Old": {"Type": "AWS::RDS::DBInstance", "DeletionPolicy": "Retain"}}}`)
		in := resources(`"Files": {"Type": "AWS::S3::Bucket"}, "Front": {"Type": "AWS::ElasticLoadBalancing::LoadBalancer"},
			"Inner": {"Type": "AWS::CloudFormation::Stack", "DependsOn": "Files", "Properties": {"TemplateURL": "` + url + `"}}`)
		in.body = strings.TrimSuffix(in.body, "}") + `, "Outputs": {"Url": {"Value": "https://front-1.elb.example.com/app"}}}`
		w.deployed(t, in)
		w.SetObject("files-id/report.csv", []byte("1"))
		w.AddZone(awssim.Zone{Name: "example.org"})
		w.SetRecord("example.org", "www.example.org", "CNAME", 60, "front-1.elb.example.com.")
		w.SetRecord("example.org", "other.example.org", "CNAME", 60, "front-2.elb.example.com.")
		b := planned(t, w, op, "")
		plan := b.Run().Plan
		want := []string{
			"These hold data or addresses, and end: Files (S3::Bucket) files-id; Inner/Table (DynamoDB::Table) table-id.",
			"These buckets hold objects, so that the deletion will fail on them: Files files-id. Empty them first.",
			"DNS leads here: www.example.org (CNAME) front-1.elb.example.com. Switch it first.",
			"Traffic may still come in here: Front (ElasticLoadBalancing::LoadBalancer) front-id.",
		}
		if got := strings.Join(plan.Warnings, "\n"); got != strings.Join(want, "\n") {
			t.Errorf("%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		if plan.Effect != "deletes the stack with its 5 resources, of which 1 stay" || plan.Shown[2].Text != "Inner/Old, as the template says, in no stack any more" {
			t.Errorf("%s; %+v", plan.Effect, plan.Shown)
		}
		// One more name, and the fact is worse; another template, and it is another plan.
		w.SetRecord("example.org", "late.example.org", "CNAME", 60, "front-1.elb.example.com.")
		again, err := op.Plan(t.Context(), plan.Call)
		if err != nil || len(ops.Worse(plan.Facts, again.Facts)) != 1 || again.Digest() != plan.Digest() {
			t.Errorf("%q, %v", ops.Worse(plan.Facts, again.Facts), err)
		}
		w.proxy.Add(awsproxy.Rule{Service: "route53", Times: -1, Code: "AccessDenied", Message: "User: u is not authorized to perform: route53:ListHostedZones"})
		if blind, err := op.Plan(t.Context(), plan.Call); err != nil || !strings.HasPrefix(blind.Warnings[len(blind.Warnings)-1], "Not known: which DNS records lead here (") {
			t.Errorf("%q, %v", blind.Warnings, err)
		}
	})
}

func TestRetainedBy(t *testing.T) {
	yaml := "Resources:\n  A:\n    Type: AWS::S3::Bucket\n    DeletionPolicy: Retain\n    Properties: {BucketName: !Sub '${X}-b', Tags: !GetAtt B.Arn}\n  B:\n    Type: X\n    DeletionPolicy: Delete\n"
	for _, body := range []string{yaml, `{"Resources":{"A":{"DeletionPolicy":"Retain"},"B":{"DeletionPolicy":{"Ref":"X"}}}}`} {
		if keep := retainedBy(body); len(keep) != 1 || !keep["A"] {
			t.Errorf("%v of %s", keep, body)
		}
	}
}

// TestDeleteTemplate: the template that was too long to be sent goes with its stack.
func TestDeleteTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, awssim.Options{})
		op := deleteStack{w.op.sites}
		in := resources(service)
		in.body = strings.TrimSuffix(in.body, "}") + `, "Description": "` + strings.Repeat("long ", maxBody/5) + `"}`
		w.deployed(t, in)
		b := planned(t, w, op, "")
		plan := b.Run().Plan
		if len(plan.Steps) != 2 || plan.Steps[1].Title != "remove its template from the bucket templates" {
			t.Fatalf("%+v", plan.Steps)
		}
		key := "templates/" + plan.Steps[1].Params[paramKey]
		if !w.HasObject(key) {
			t.Fatal("the template is not in the bucket")
		}
		if p := b.Forward(t, op, 0, func(_ int, p ops.Progress) bool { return p.Phase == ops.Done }); p.Phase != ops.Done || !w.HasObject(key) {
			t.Errorf("%+v", p)
		}
		step, err := op.Step(plan.Steps[1])
		if err != nil {
			t.Fatal(err)
		}
		w.proxy.Add(awsproxy.Rule{Service: "s3", Action: "DELETE /", Drop: true})
		for range 5 {
			if p, err := b.Advance(t.Context(), 1, step); err == nil && p.Phase == ops.Done {
				break
			}
		}
		if e, _ := b.Entry(objectKey); e.State != ops.Kept || w.HasObject(key) {
			t.Errorf("%+v", e)
		}
	})
}
