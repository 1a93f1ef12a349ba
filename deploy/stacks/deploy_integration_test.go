//go:build integration

package stacks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"twokey/deploy/awsproxy"
	"twokey/deploy/deploytest"
	"twokey/deploy/templates"
	"twokey/deploy/templates/templatestest"
	"twokey/ops"
	"twokey/ops/opstest"
)

// emulated is a stack of a template in the emulator, seen through the code under test.
type emulated struct {
	t     *testing.T
	op    deployStack
	proxy *awsproxy.Proxy
	admin *cloudformation.Client
	name  string
	base  map[string]string // parameters
	file  string            // the template's name
	rig   *opstest.Rig
	runs  int
}

func newEmulated(t *testing.T, template string) *emulated {
	t.Helper()
	const region = "eu-west-3"
	account, proxy := deploytest.Emulated(t, region, nil)
	e := &emulated{t: t, proxy: proxy, file: template, admin: cloudformation.NewFromConfig(deploytest.Direct(t, region, deploytest.MiniStack()))}
	bucket := fmt.Sprintf("twokey-templates-%d", time.Now().UnixNano())
	storage := s3.NewFromConfig(deploytest.Direct(t, region, deploytest.MiniStack()), func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := storage.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: region}}); err != nil {
		t.Fatal(err)
	}
	e.name = fmt.Sprintf("t%d", time.Now().UnixNano()%1e9)
	e.op = deployStack{map[string]Site{"staging": {Account: account, Bucket: bucket, Sources: templates.Sources{Folder: "testdata"}}}}
	e.rig = opstest.NewRig(t, ops.Options{}, e.op)
	e.rig.Most = 200 * time.Millisecond
	network := ec2.NewFromConfig(deploytest.Direct(t, region, deploytest.MiniStack()))
	vpcs, err := network.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
	if err != nil || len(vpcs.Vpcs) == 0 {
		t.Fatalf("%d networks, %v", len(vpcs.Vpcs), err)
	}
	vpc := vpcs.Vpcs[0].VpcId
	subnets, err := network.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{Filters: []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{*vpc}}}})
	if err != nil || len(subnets.Subnets) == 0 {
		t.Fatalf("no subnets, %v", err)
	}
	var ids []string
	for _, s := range subnets.Subnets {
		ids = append(ids, *s.SubnetId)
	}
	e.base = map[string]string{"Name": e.name, "VpcId": *vpc, "SubnetIds": strings.Join(ids, `\,`)}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		if _, err := e.admin.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &e.name}); err != nil {
			t.Error(err)
		}
	})
	return e
}

// call is a deploy with these parameters: "ImageTag=2".
func (e *emulated) call(parameters ...string) ops.Call {
	for k, v := range e.base {
		parameters = append(parameters, k+"="+v)
	}
	return ops.Call{Kind: kindDeploy, Environment: "staging", Args: []string{e.name}, Flags: map[string]string{
		"template": e.file, "set": strings.Join(parameters, ","),
	}}
}

// id is a new run's.
func (e *emulated) id() string {
	e.runs++
	return fmt.Sprintf("01KB3JQX2N9Y8Z7V6T5S4R%04d", e.runs)
}

// run submits a deploy and ticks it until its headline contains until, or it ends.
func (e *emulated) run(id, until string) ops.Run {
	e.t.Helper()
	for range 600 {
		_, err := e.rig.TryTick(id)
		if err != nil && !errors.Is(err, ops.ErrEnded) {
			e.t.Fatal(err)
		}
		run := e.rig.Run(id)
		if run.State.Ended() || run.State == ops.Paused || until != "" && strings.Contains(run.Status.Headline, until) {
			return run
		}
		time.Sleep(100 * time.Millisecond)
	}
	e.t.Fatalf("run %s: %+v", id, e.rig.Run(id))
	return ops.Run{}
}

func (e *emulated) ending(id string) string {
	said := e.rig.Said(id)
	return said[len(said)-1].Text
}

// gate tells the gate how to go on: SUCCESS or FAILURE.
func (e *emulated) gate(which, status, why string) {
	e.t.Helper()
	var url string
	for range 100 {
		h, err := e.admin.DescribeStackResource(e.t.Context(), &cloudformation.DescribeStackResourceInput{StackName: &e.name, LogicalResourceId: aws.String("Gate" + which + "Handle")})
		if err == nil {
			url = aws.ToString(h.StackResourceDetail.PhysicalResourceId)
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPut, url, strings.NewReader(fmt.Sprintf(`{"Status":%q,"UniqueId":"1","Reason":%q,"Data":""}`, status, why)))
	if err != nil {
		e.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	resp.Body.Close()
}

func (e *emulated) sets() int {
	out, err := e.admin.ListChangeSets(e.t.Context(), &cloudformation.ListChangeSetsInput{StackName: &e.name})
	if err != nil {
		return 0 // no stack
	}
	n := 0
	for _, s := range out.Summaries {
		if s.ExecutionStatus == "AVAILABLE" || s.Status == "FAILED" {
			n++
		}
	}
	return n
}

// TestEmulatedDeploys: each of two templates is created, updated through a gate, fails and
// is rolled back, is cancelled; thirty deploys without changes leave no change set; then it
// is deleted.
func TestEmulatedDeploys(t *testing.T) {
	for template, change := range map[string]string{"web-stack.yaml": "ImageTag", "search-cluster.yaml": "DataNodes"} {
		t.Run(template, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			e := newEmulated(t, template)
			id := e.id()
			e.rig.Submit(id, e.call(change+"=1"))
			if run := e.run(id, ""); run.State != ops.Succeeded || !strings.Contains(e.ending(id), "is CREATE_COMPLETE") {
				t.Fatalf("%s: %s", run.State, e.ending(id))
			}

			id = e.id()
			plan := e.rig.Submit(id, e.call(change+"=2", "Gate=a"))
			t.Logf("%s; %+v", plan.Effect, plan.Shown)
			e.run(id, "resources done")
			e.gate("A", "SUCCESS", "")
			if run := e.run(id, ""); run.State != ops.Succeeded || !strings.Contains(e.ending(id), "is UPDATE_COMPLETE") {
				t.Fatalf("%s: %s", run.State, e.ending(id))
			}

			id = e.id()
			e.rig.Submit(id, e.call(change+"=3", "Gate=b"))
			e.run(id, "resources done")
			e.gate("B", "FAILURE", "the smoke test found 500s")
			run := e.run(id, "")
			if run.State != ops.FailedRun || !strings.Contains(run.Reason, "First failure: GateBWait (AWS::CloudFormation::WaitCondition)") || !strings.Contains(run.Reason, "the smoke test found 500s") ||
				!strings.Contains(e.ending(id), "resources restored") {
				t.Errorf("%s: %s", run.State, e.ending(id))
			}

			id = e.id()
			e.rig.Submit(id, e.call(change+"=4", "Gate=b"))
			e.run(id, "resources done")
			if err := e.rig.Engine.Cancel(t.Context(), id, "UASKS"); err != nil {
				t.Fatal(err)
			}
			e.run(id, "Cancel asked for")
			e.gate("B", "SUCCESS", "") // the emulator goes back when the resource in hand ends
			if run := e.run(id, ""); run.State != ops.Cancelled || !strings.Contains(e.ending(id), "resources restored") {
				t.Errorf("%s: %s", run.State, e.ending(id))
			}

			for range 30 {
				_, err := e.op.Plan(t.Context(), e.call(change+"=2", "Gate=a"))
				if err == nil || !strings.HasPrefix(err.Error(), "no changes: ") {
					t.Fatalf("unchanged: %v", err)
				}
			}
			if n := e.sets(); n > 0 {
				t.Errorf("%d change sets left", n)
			}
			last, _ := carried(t, deleteStack{e.op.sites}, ops.Call{Kind: kindDelete, Environment: "staging", Args: []string{e.name}, Flags: map[string]string{}}, len(change))
			if last.Phase != ops.Done || last.Status.Headline != e.name+" is gone" {
				t.Errorf("%+v", last)
			}
			t.Logf("figure: %s created, updated at a gate, failed and rolled back, cancelled, 30 times unchanged, deleted: %.1f s, %d calls", template, time.Since(began).Seconds(), len(e.proxy.Calls("")))
		})
	}
}

// TestEmulatedTrouble: every call throttled one time in four, the reply of the execution
// lost, and an old terminal status for a while after it.
func TestEmulatedTrouble(t *testing.T) {
	t.Parallel()
	e := newEmulated(t, "web-stack.yaml")
	e.proxy.Add(awsproxy.Rule{Service: "cloudformation", Action: "ExecuteChangeSet", Drop: true})
	e.proxy.Add(awsproxy.Rule{Service: "cloudformation", Every: 4, Times: -1, Code: "Throttling", Message: "Rate exceeded"})
	id := e.id()
	e.rig.Submit(id, e.call("ImageTag=1"))
	if run := e.run(id, ""); run.State != ops.Succeeded {
		t.Fatalf("%s: %s", run.State, e.ending(id))
	}
	if n := len(e.proxy.Calls("ExecuteChangeSet")); n != 1 {
		t.Errorf("executed %d times", n)
	}
	// The stack's status before the update, told for a while after it began and ended.
	e.proxy.Reset()
	old := "CREATE_COMPLETE"
	id = e.id()
	e.rig.Submit(id, e.call("ImageTag=2"))
	e.proxy.Add(awsproxy.Rule{Action: "DescribeStacks", Skip: 1, Times: 3, Edit: func(body string) string { return strings.ReplaceAll(body, "UPDATE_COMPLETE", old) }})
	e.proxy.Add(awsproxy.Rule{Action: "DescribeStackEvents", Times: 2, Edit: func(body string) string { return emptied(body) }})
	if run := e.run(id, ""); run.State != ops.Succeeded || !strings.Contains(e.ending(id), "is UPDATE_COMPLETE") {
		t.Errorf("%s: %s", run.State, e.ending(id))
	}
}

// emptied is an answer of DescribeStackEvents without events.
func emptied(body string) string {
	i, j := strings.Index(body, "<StackEvents>"), strings.Index(body, "</StackEvents>")
	if i < 0 || j < 0 {
		return body
	}
	return body[:i] + "<StackEvents>" + body[j:]
}

// TestEmulatedSources: a template of a git commit, longer than can be sent, with a settings
// file and values by reference, whose values are seen nowhere.
func TestEmulatedSources(t *testing.T) {
	t.Parallel()
	e := newEmulated(t, "web-stack.yaml")
	const region, secret = "eu-west-3", "correct horse battery staple"
	store := ssm.NewFromConfig(deploytest.Direct(t, region, deploytest.Moto()))
	if _, err := store.PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/" + e.name + "/cache"), Value: aws.String(secret), Type: "SecureString"}); err != nil {
		t.Fatal(err)
	}
	vault := secretsmanager.NewFromConfig(deploytest.Direct(t, region, deploytest.MiniStack()))
	if _, err := vault.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String(e.name + "-tag"), SecretString: aws.String(`{"tag":"from-the-vault"}`)}); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(filepath.Join("testdata", "web-stack.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	long := string(body) + strings.Repeat("# a long template\n", 3000)
	site := e.op.sites["staging"]
	site.Sources.Repositories = map[string]templates.Repository{"shop": {URL: templatestest.Repository(t, map[string]string{
		"deploy/stack.yaml": long,
		"deploy/SETTINGS":   "export CachePassword=ssm:/" + e.name + "/cache\nexport ImageTag=\"secret:" + e.name + "-tag#tag\" # the release\n",
	})}}
	e.op.sites["staging"] = site
	call := e.call()
	call.Flags["template"], call.Flags["parameters"], call.Flags["ref"] = "shop:deploy/stack.yaml", "shop:deploy/SETTINGS", "master"
	id := e.id()
	plan := e.rig.Submit(id, call)
	run := e.run(id, "")
	if run.State != ops.Succeeded {
		t.Fatalf("%s: %s", run.State, e.ending(id))
	}
	out, err := e.admin.DescribeStacks(t.Context(), &cloudformation.DescribeStacksInput{StackName: &e.name})
	if err != nil {
		t.Fatal(err)
	}
	tag := ""
	for _, o := range out.Stacks[0].Outputs {
		if *o.OutputKey == "Tag" {
			tag = *o.OutputValue
		}
	}
	if tag != "from-the-vault" {
		t.Errorf("tag %q", tag)
	}
	all := fmt.Sprintf("%+v %+v %+v", plan, run, e.rig.Said(id))
	if strings.Contains(all, secret) || strings.Contains(all, "from-the-vault") {
		t.Errorf("a secret is in the plan, the record or the thread: %s", all)
	}
	if !strings.Contains(all, "ssm:/"+e.name+"/cache") || !strings.Contains(plan.Params["template"], "shop@") {
		t.Errorf("plan %+v", plan)
	}
}
