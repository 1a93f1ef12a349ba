//go:build integration

package stacks

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"twokey/deploy/awsproxy"
	"twokey/deploy/deploytest"
	"twokey/deploy/templates"
	"twokey/ops"
	"twokey/ops/opstest"
)

func TestMain(m *testing.M) {
	deploytest.Main(m, "cfn describe", "cfn events", "cfn outputs", "cfn drift", "cfn validate", "cfn watch", "cfn deploy", "cfn recover", "cfn delete")
}

// carried drives the one step of an operation against an emulator.
func carried(t *testing.T, op ops.Operation, call ops.Call, run int) (ops.Progress, *opstest.Bench) {
	t.Helper()
	plan, err := op.Plan(t.Context(), call)
	if err != nil {
		t.Fatalf("plan: %s", explained(err))
	}
	b := opstest.NewBench(plan)
	b.Change(func(r *ops.Run) { r.ID = fmt.Sprintf("01KB3JQX2N9Y8Z7V6T5S4X%04d", run) })
	step, err := op.Step(plan.Steps[0])
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		p, err := b.Advance(t.Context(), 0, step)
		if err == nil && (p.Phase == ops.Done || p.Phase == ops.Failed) {
			return p, b
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the step does not end")
	return ops.Progress{}, nil
}

// TestEmulatedEnding: a stack that an image holds is deleted but for that; drift, outputs
// and templates are read; a mistyped name gets a suggestion.
func TestEmulatedEnding(t *testing.T) {
	const region = "us-east-2"
	account, proxy := deploytest.Emulated(t, region, nil)
	cfg := deploytest.Direct(t, region, deploytest.MiniStack())
	admin := cloudformation.NewFromConfig(cfg)
	name := fmt.Sprintf("held-%d", time.Now().UnixNano()%1e9)
	body := fmt.Sprintf(`{"Parameters":{"Delay":{"Type":"String","Default":"0"}},"Resources":{
		"Images":{"Type":"AWS::ECR::Repository","Properties":{"RepositoryName":%q}},
		"Queue":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":%q,"DelaySeconds":5}}},
		"Outputs":{"QueueUrl":{"Value":{"Ref":"Queue"}}}}`, name, name)
	if _, err := admin.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: &name, TemplateBody: &body}); err != nil {
		t.Fatal(err)
	}
	settle(t, admin, name)
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/held.json", []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
	sites := map[string]Site{"staging": {Account: account, Sources: templates.Sources{Folder: dir}}}
	call := func(kind string, flags ...string) ops.Call {
		c := ops.Call{Kind: kind, Environment: "staging", Args: []string{name}, Flags: map[string]string{}}
		for _, f := range flags {
			k, v, _ := strings.Cut(f, "=")
			c.Flags[k] = v
		}
		return c
	}
	answer := func(c ops.Call) (ops.Answer, error) {
		for _, q := range Queries(sites) {
			if q.Kind() == c.Kind {
				return q.Answer(t.Context(), c)
			}
		}
		return ops.Answer{}, fmt.Errorf("no query %s", c.Kind)
	}

	if a, err := answer(call("cfn outputs")); err != nil || len(a.Table.Rows) != 1 || a.Table.Rows[0][0] != "QueueUrl" {
		t.Errorf("outputs: %+v, %v", a, err)
	}
	bucket := fmt.Sprintf("twokey-from-%d", time.Now().UnixNano())
	store := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := store.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: region}}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("t.json"), Body: strings.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
	for _, template := range []string{"held.json", "s3://" + bucket + "/t.json"} {
		c := call("cfn validate")
		c.Args = []string{template}
		if a, err := answer(c); err != nil || !strings.Contains(a.Title, "is a valid template") || a.Table.Rows[0][1] != "default 0" {
			t.Errorf("validate: %+v, %v", a, err)
		}
	}
	_, err := deployStack{sites}.Plan(t.Context(), call(kindDeploy, "template=s3://"+bucket+"/t.json"))
	if !strings.HasPrefix(fmt.Sprint(err), "no changes: ") {
		t.Errorf("the same template from S3: %v", err)
	}
	queue := sqs.NewFromConfig(cfg)
	url, err := queue.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := queue.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: url.QueueUrl, Attributes: map[string]string{"DelaySeconds": "60"}}); err != nil {
		t.Fatal(err)
	}
	a, err := answer(call("cfn drift"))
	t.Log(a.Title, a.Lines, a.Table)
	if err != nil || !strings.Contains(a.Title, "changed outside CloudFormation") || a.Table == nil || !strings.HasPrefix(a.Table.Rows[0][0], "Queue ") {
		t.Errorf("drift: %+v, %v", a, err)
	}

	// What holds the stack.
	images := ecr.NewFromConfig(cfg)
	if _, err := images.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: &name, ImageManifest: aws.String(`{"schemaVersion":2}`), ImageTag: aws.String("v1")}); err != nil {
		t.Fatal(err)
	}
	proxy.Add(awsproxy.Rule{Action: "DeleteStack", Drop: true})
	p, _ := carried(t, deleteStack{sites}, call(kindDelete), 1)
	if p.Phase != ops.Failed || !strings.Contains(p.Reason, "ended in DELETE_FAILED. First failure: Images (AWS::ECR::Repository)") || !strings.Contains(p.Reason, "cfn delete "+name+" --retain Images") {
		t.Errorf("%+v", p)
	}
	p, b := carried(t, deleteStack{sites}, call(kindDelete, "retain=Images"), 2)
	if e, _ := b.Entry(journalKey); p.Phase != ops.Done || e.State != ops.Kept || p.Status.Headline != name+" is gone; Images stayed" {
		t.Errorf("%+v, %+v", p, e)
	}

	// Mistyped names.
	other := name + "x"
	if _, err := admin.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: &other, TemplateBody: aws.String(`{"Resources":{"Q":{"Type":"AWS::SQS::Queue"}}}`)}); err != nil {
		t.Fatal(err)
	}
	settle(t, admin, other)
	for _, kind := range []string{"cfn describe", "cfn events", "cfn outputs", "cfn drift"} {
		c := call(kind)
		c.Args = []string{name + "y"}
		if _, err := answer(c); !strings.Contains(explained(err), "Did you mean "+other) {
			t.Errorf("%s: %s", kind, explained(err))
		}
	}
	for _, op := range Operations(sites) {
		c := call(op.Kind())
		c.Args = []string{name + "y"}
		if _, err := op.Plan(t.Context(), c); op.Kind() != kindDeploy && !strings.Contains(explained(err), "Did you mean "+other) {
			t.Errorf("%s: %s", op.Kind(), explained(err))
		}
	}
}
