//go:build integration

package stacks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"twokey/deploy/awsproxy"
	"twokey/deploy/deploytest"
	"twokey/ops"
)

// written makes e deploy a template without parameters of its own.
func (e *emulated) written(body string) {
	e.t.Helper()
	dir := e.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "t.json"), []byte(body), 0o644); err != nil {
		e.t.Fatal(err)
	}
	site := e.op.sites["staging"]
	site.Sources.Folder = dir
	e.op.sites["staging"] = site
	e.file, e.base = "t.json", nil
}

// givenUp tells the creation of each queue as CloudFormation tells one that it gave up
// because of another's failure. The emulator makes one resource after the other, so it has
// none to give up.
func givenUp(body string) string {
	events := strings.Split(body, "</member>")
	for i, e := range events {
		if strings.Contains(e, "AWS::SQS::Queue") && strings.Contains(e, "<ResourceStatus>CREATE_COMPLETE</ResourceStatus>") {
			e = strings.Replace(e, "CREATE_COMPLETE", "CREATE_FAILED", 1)
			events[i] = strings.Replace(e, "<ResourceStatusReason>", "<ResourceStatusReason>Resource creation cancelled", 1)
		}
	}
	return strings.Join(events, "</member>")
}

// within fills in which stack a nested one that failed is: CloudFormation says it in the
// event, the emulator does not.
func (e *emulated) within(body string) string {
	const none = "<LogicalResourceId>Last</LogicalResourceId><PhysicalResourceId></PhysicalResourceId>"
	i, j := strings.Index(body, "<StackName>"), strings.Index(body, "</StackName>")
	if i < 0 || !strings.Contains(body, none) {
		return body
	}
	prefix := body[i+len("<StackName>"):j] + "-Last-"
	all, err := e.admin.ListStacks(context.Background(), &cloudformation.ListStacksInput{})
	if err != nil {
		return body
	}
	for _, s := range all.StackSummaries {
		if rest, ok := strings.CutPrefix(*s.StackName, prefix); ok && !strings.Contains(rest, "-Last-") {
			body = strings.ReplaceAll(body, none, strings.Replace(none, "></Phys", ">"+*s.StackId+"</Phys", 1))
		}
	}
	return body
}

// TestEmulatedNested: three levels of nested stacks, in which one resource fails and 140
// are merely cancelled, before it even, have one cause; it is found in stacks that are
// deleted by then.
func TestEmulatedNested(t *testing.T) {
	t.Parallel()
	e := newEmulated(t, "")
	storage := s3.NewFromConfig(deploytest.Direct(t, "eu-west-3", deploytest.MiniStack()), func(o *s3.Options) { o.UsePathStyle = true })
	bucket := e.op.sites["staging"].Bucket
	level := func(number, queues int, last string) string {
		r := map[string]any{}
		var names []string
		for i := range queues {
			name := fmt.Sprintf("Queue%03d", i)
			r[name] = map[string]any{"Type": "AWS::SQS::Queue", "Properties": map[string]any{"QueueName": fmt.Sprintf("%s-%d-%d", e.name, number, i)}}
			names = append(names, name)
		}
		var x map[string]any
		if err := json.Unmarshal([]byte(last), &x); err != nil {
			t.Fatal(err)
		}
		x["DependsOn"] = names
		r["Last"] = x
		body, err := json.Marshal(map[string]any{"Resources": r})
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	store := ssm.NewFromConfig(deploytest.Direct(t, "eu-west-3", deploytest.MiniStack()))
	if _, err := store.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &e.name, Value: aws.String("1"), Type: "String"}); err != nil {
		t.Fatal(err)
	}
	last := fmt.Sprintf(`{"Type":"AWS::SSM::Parameter","Properties":{"Name":%q,"Type":"String","Value":"2"}}`, e.name)
	for number, queues := range []int{30, 50, 40} {
		key := fmt.Sprintf("level%d.json", 3-number)
		if _, err := storage.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(level(3-number, queues, last))}); err != nil {
			t.Fatal(err)
		}
		last = fmt.Sprintf(`{"Type":"AWS::CloudFormation::Stack","Properties":{"TemplateURL":"%s/%s/%s"}}`, deploytest.MiniStack(), bucket, key)
	}
	e.written(level(0, 20, last))
	e.proxy.Add(awsproxy.Rule{Action: "DescribeStackEvents", Times: -1, Edit: func(body string) string { return e.within(givenUp(body)) }})
	began := time.Now()
	id := e.id()
	e.rig.Submit(id, e.call())
	run := e.run(id, "")
	if run.State != ops.FailedRun || !strings.HasPrefix(run.Reason, e.name+" ended in ROLLBACK_COMPLETE. First failure: Last (AWS::SSM::Parameter): ") ||
		strings.Count(run.Reason, "That was in the nested stack ") != 1 || strings.Contains(run.Reason, "cancelled") || strings.Contains(run.Reason, "Queue0") {
		t.Errorf("%s: %s", run.State, run.Reason)
	}
	for _, s := range e.rig.Said(id) {
		if strings.Contains(s.Text, "Queue0") {
			t.Errorf("said: %s", s.Text)
		}
	}
	t.Logf("figure: a cause three stacks deep among 140 cancelled resources, in %.1f s and %d calls: %s", time.Since(began).Seconds(), len(e.proxy.Calls("")), run.Reason)
}

// TestEmulatedRollbackFailed: an update goes back, but a user pool that it had changed was
// deleted by somebody. The run waits for a person, cfn recover skips the pool, and the run
// then ends.
func TestEmulatedRollbackFailed(t *testing.T) {
	t.Parallel()
	e := newEmulated(t, "")
	template := func(length int, gate string) string {
		return fmt.Sprintf(`{"Resources":{
			"Pool":{"Type":"AWS::Cognito::UserPool","Properties":{"UserPoolName":%q,"Policies":{"PasswordPolicy":{"MinimumLength":%d}}}}%s}}`, e.name, length, gate)
	}
	const gate = `,"GateAHandle":{"Type":"AWS::CloudFormation::WaitConditionHandle","DependsOn":"Pool"},
		"GateAWait":{"Type":"AWS::CloudFormation::WaitCondition","Properties":{"Handle":{"Ref":"GateAHandle"},"Timeout":"600"}}`
	e.written(template(8, ""))
	id := e.id()
	e.rig.Submit(id, e.call())
	if run := e.run(id, ""); run.State != ops.Succeeded {
		t.Fatalf("%s: %s", run.State, e.ending(id))
	}
	e.written(template(12, gate))
	id = e.id()
	e.rig.Submit(id, e.call())
	e.run(id, "resources done")
	pool, err := e.admin.DescribeStackResource(t.Context(), &cloudformation.DescribeStackResourceInput{StackName: &e.name, LogicalResourceId: aws.String("Pool")})
	if err != nil {
		t.Fatal(err)
	}
	deletePool(t, *pool.StackResourceDetail.PhysicalResourceId)
	e.gate("A", "FAILURE", "sign-in fails")
	run := e.run(id, "")
	t.Log(run.State, run.Reason, e.ending(id))
	if run.State != ops.Paused || !strings.Contains(run.Reason, "UPDATE_ROLLBACK_FAILED: neither old nor new. Bring it to a stable status with cfn recover "+e.name) {
		t.Fatalf("%s: %s", run.State, run.Reason)
	}
	call := ops.Call{Kind: kindRecover, Environment: "staging", Args: []string{e.name}, Flags: map[string]string{"skip": "Pool"}}
	last, _ := carried(t, recoverStack{e.op.sites}, call, 77)
	t.Log(last.Status.Headline, last.Reason)
	if last.Phase != ops.Done {
		t.Fatalf("%+v", last)
	}
	if err := e.rig.Engine.Resume(t.Context(), id, "UASKS"); err != nil {
		t.Fatal(err)
	}
	if run = e.run(id, ""); run.State != ops.FailedRun || !strings.Contains(e.ending(id), "had failed at Pool and was continued since: cfn drift "+e.name) {
		t.Errorf("%s: %s", run.State, e.ending(id))
	}
	t.Logf("figure: a rollback that failed at a resource somebody had deleted, continued without it: %s", e.ending(id))
}

// deletePool deletes a user pool behind CloudFormation's back.
func deletePool(t *testing.T, id string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"UserPoolId": id})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, deploytest.MiniStack()+"/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService.DeleteUserPool")
	cfg := deploytest.Direct(t, "eu-west-3", deploytest.MiniStack())
	keys, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, req, fmt.Sprintf("%x", sha256.Sum256(body)), "cognito-idp", cfg.Region, time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the pool was not deleted: %s", resp.Status)
	}
}
