//go:build integration

package stacks

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/deploy"
	"twokey/deploy/deploytest"
)

// region is one of its own, so that the emulator may serve other tests too.
const region = "eu-north-1"

const template = `
Description: Twokey integration
Parameters:
  QueueName: {Type: String}
  QueuePassword: {Type: String, NoEcho: true}
  ApiToken: {Type: String}
Resources:
  First: {Type: AWS::SQS::Queue}
  Second:
    Type: AWS::SQS::Queue
    DependsOn: First
    Properties: {QueueName: !Ref QueueName}
Outputs:
  Address: {Value: !Ref First}
`

// gated holds its stack in progress until its gate is told how to go on.
const gated = `
Resources:
  First: {Type: AWS::SQS::Queue}
  Handle: {Type: AWS::CloudFormation::WaitConditionHandle}
  Gate:
    Type: AWS::CloudFormation::WaitCondition
    DependsOn: First
    Properties: {Handle: !Ref Handle, Timeout: "60"}
`

func TestEmulator(t *testing.T) {
	a, _ := deploytest.Emulated(t, region, nil)
	admin := cloudformation.NewFromConfig(deploytest.Direct(t, region, deploytest.MiniStack()))
	good := fmt.Sprintf("twokey-good-%d", time.Now().UnixNano())
	bad := fmt.Sprintf("twokey-bad-%d", time.Now().UnixNano())

	create(t, admin, good, template, map[string]string{"QueueName": good, "QueuePassword": "hunter2", "ApiToken": "hunter2"})
	settle(t, admin, good)
	create(t, admin, bad, gated, nil)

	t.Run("complete", func(t *testing.T) {
		got, err := ask(t, a, "cfn describe", good)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s\n%s\n%v", got.Title, strings.Join(got.Lines, "\n"), got.Table)
		if want := good + " in staging (" + region + "): done (CREATE_COMPLETE)"; got.Title != want {
			t.Errorf("title = %q, want %q", got.Title, want)
		}
		for _, want := range [][]string{
			{"parameter", "QueueName", good}, {"parameter", "QueuePassword", deploy.Masked},
			{"parameter", "ApiToken", deploy.Masked}, {"tag", "owner", "twokey"},
		} {
			if !slices.ContainsFunc(got.Table.Rows, func(row []string) bool { return slices.Equal(row, want) }) {
				t.Errorf("rows = %q, want %q among them", got.Table.Rows, want)
			}
		}
		if text := fmt.Sprint(got.Lines, got.Table); strings.Contains(text, "hunter2") {
			t.Errorf("a secret is shown: %s", text)
		}
		events, err := ask(t, a, "cfn events", good)
		if err != nil {
			t.Fatal(err)
		}
		if newest := events.Table.Rows[0]; !strings.HasPrefix(newest[1], good) || newest[2] != "CREATE_COMPLETE" {
			t.Errorf("newest event = %q", newest)
		}
	})

	t.Run("in progress, then rolled back", func(t *testing.T) {
		got, err := ask(t, a, "cfn events", bad)
		if err != nil {
			t.Fatal(err)
		}
		place := bad + " in staging (" + region + "): "
		if want := place + "running (CREATE_IN_PROGRESS)"; got.Title != want {
			t.Errorf("title = %q, want %q", got.Title, want)
		}
		refuse(t, admin, bad, "the instances never came up")
		settle(t, admin, bad)
		got, err = ask(t, a, "cfn events", bad)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s\n%s\n%v", got.Title, strings.Join(got.Lines, "\n"), got.Table)
		want := place + "failed (ROLLBACK_COMPLETE). First failure: Gate (AWS::CloudFormation::WaitCondition): "
		if !strings.HasPrefix(got.Title, want) || !strings.Contains(got.Title, "the instances never came up") {
			t.Errorf("title = %q, want %q… and the reason", got.Title, want)
		}
	})

	t.Run("absent", func(t *testing.T) {
		for _, kind := range []string{"cfn describe", "cfn events"} {
			_, err := ask(t, a, kind, good+"x")
			wantError(t, err, "there is no stack "+good+"x in staging ("+region+")", "Did you mean "+good+"?")
		}
	})

	t.Run("wrong account", func(t *testing.T) {
		other, _ := deploytest.Emulated(t, region, nil, func(s *deploy.Settings) { s.ID = "000000000001" })
		if _, err := ask(t, other, "cfn describe", good); err == nil || !strings.Contains(err.Error(), "not of 000000000001; nothing was read") {
			t.Errorf("err = %v", err)
		}
	})
}

// create begins to make a stack, which is deleted after the test.
func create(t *testing.T, admin *cloudformation.Client, stack, template string, parameters map[string]string) {
	t.Helper()
	in := &cloudformation.CreateStackInput{
		StackName: &stack, TemplateBody: &template,
		Tags: []types.Tag{{Key: aws.String("owner"), Value: aws.String("twokey")}},
	}
	for k, v := range parameters {
		in.Parameters = append(in.Parameters, types.Parameter{ParameterKey: &k, ParameterValue: &v})
	}
	if _, err := admin.CreateStack(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		if _, err := admin.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &stack}); err != nil {
			t.Errorf("delete %s: %v", stack, err)
			return
		}
		quickly := func(o *cloudformation.StackDeleteCompleteWaiterOptions) {
			o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
		}
		if err := cloudformation.NewStackDeleteCompleteWaiter(admin, quickly).Wait(ctx, &cloudformation.DescribeStacksInput{StackName: &stack}, time.Minute); err != nil {
			t.Errorf("delete %s: %v", stack, err)
		}
	})
}

// settle waits until nothing runs on a stack any more, well or badly ended.
func settle(t *testing.T, admin *cloudformation.Client, stack string) {
	t.Helper()
	err := cloudformation.NewStackCreateCompleteWaiter(admin, func(o *cloudformation.StackCreateCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
		o.Retryable = func(_ context.Context, _ *cloudformation.DescribeStacksInput, out *cloudformation.DescribeStacksOutput, err error) (bool, error) {
			if err != nil {
				return false, err
			}
			return len(out.Stacks) == 1 && phaseOf(out.Stacks[0].StackStatus) == running, nil
		}
	}).Wait(t.Context(), &cloudformation.DescribeStacksInput{StackName: &stack}, time.Minute)
	if err != nil {
		t.Fatalf("waiting for %s: %v", stack, err)
	}
}

// refuse tells the gate of a stack that what it waits for failed. It waits until the
// gate's resource begins, since a signal before that may be lost.
func refuse(t *testing.T, admin *cloudformation.Client, stack, why string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			t.Fatalf("the gate of %s did not begin: %v", stack, ctx.Err())
		case <-tick.C:
		}
		out, err := admin.DescribeStackEvents(t.Context(), &cloudformation.DescribeStackEventsInput{StackName: &stack})
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(out.StackEvents, func(e types.StackEvent) bool { return aws.ToString(e.LogicalResourceId) == "Gate" }) {
			break
		}
	}
	handle, err := admin.DescribeStackResource(t.Context(), &cloudformation.DescribeStackResourceInput{StackName: &stack, LogicalResourceId: aws.String("Handle")})
	if err != nil {
		t.Fatal(err)
	}
	url := aws.ToString(handle.StackResourceDetail.PhysicalResourceId)
	body := fmt.Sprintf(`{"Status":"FAILURE","UniqueId":"1","Reason":%q,"Data":""}`, why)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("signal to %s: %s", url, resp.Status)
	}
}
