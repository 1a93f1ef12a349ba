//go:build integration

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/deploy/deploytest"
)

// gated is a stack that, with Gate=a, waits until its gate is told how to go on.
const gated = `{"Parameters": {"Delay": {"Type": "String", "Default": "0"}, "Gate": {"Type": "String", "Default": "none"}},
"Conditions": {"Gated": {"Fn::Equals": [{"Ref": "Gate"}, "a"]}},
"Resources": {
	"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "NAME", "DelaySeconds": {"Ref": "Delay"}}},
	"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle", "Condition": "Gated", "DependsOn": "Queue"},
	"Wait": {"Type": "AWS::CloudFormation::WaitCondition", "Condition": "Gated", "DependsOn": "Handle", "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "600", "Count": 1}},
	"Last": {"Type": "AWS::SQS::Queue", "DependsOn": "Wait", "Properties": {"QueueName": "NAME-last", "DelaySeconds": {"Ref": "Delay"}}}}}`

// TestRealDeployKilled kills the bot by SIGKILL in a deploy on an emulator of CloudFormation
// that is not the project's own: when the change set is created, approved, executed with the
// reply not seen, while events come, and while the update goes back. Started again, the bot
// comes to the same end, with one execution, one ending, and no change set left.
func TestRealDeployKilled(t *testing.T) {
	if deploytest.MiniStack() == "" {
		t.Skip("TWOKEY_TEST_AWS is not set: run by make integration")
	}
	began := time.Now()
	ways := []struct {
		name, dieAt    string
		events, cancel bool
	}{
		{"change set created", "1 after aws CreateChangeSet", false, false},
		{"approved", "1 after record", false, false},
		{"executed, reply not seen", "1 after aws ExecuteChangeSet", false, false},
		{"events", "", true, false},
		// The emulator goes back before the resource after the gate.
		{"rollback", "1 after aws CancelUpdateStack", false, true},
	}
	t.Run("moments", func(t *testing.T) {
		for i, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				t.Parallel()
				s := &realStack{t: t, name: fmt.Sprintf("killed-%d-%d", i, time.Now().UnixNano()%1e9), admin: cloudformation.NewFromConfig(deploytest.Direct(t, sandboxRegion, deploytest.MiniStack()))}
				dir := t.TempDir()
				body := strings.ReplaceAll(gated, "NAME", s.name)
				if err := os.WriteFile(filepath.Join(dir, "gated.json"), []byte(body), 0o644); err != nil {
					t.Fatal(err)
				}
				if _, err := s.admin.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: &s.name, TemplateBody: &body}); err != nil {
					t.Fatal(err)
				}
				waitFor(t, time.Minute, "creation", func() bool { return s.status() == types.StackStatusCreateComplete }, func() string { return string(s.status()) })

				o := newOutside(t, false, smallCluster())
				o.aws, o.templates = deploytest.MiniStack(), dir
				c := o.child()
				c.DieAt = way.dieAt
				o.process = startChild(t, c)
				first := o.process
				o.up()
				o.command(alice, "/ops cfn deploy "+s.name+" --template gated.json --set Delay=5,Gate=a")
				card := o.card()
				o.click(bob, card, "approve")
				waitFor(t, time.Minute, "update", func() bool { o.revive(); return s.status() == types.StackStatusUpdateInProgress }, o.state)
				last, want := ":white_check_mark: Done", types.StackStatusUpdateComplete
				if way.events {
					first.kill()
				}
				if way.cancel {
					last, want = ": Cancelled", types.StackStatusUpdateRollbackComplete
					o.command(alice, "/ops cancel "+buttonID(t, card))
				}
				waitFor(t, time.Minute, "death", func() bool {
					select {
					case <-first.done:
						return true
					default:
						return false
					}
				}, o.state)
				s.signal()
				o.revive()
				end := o.replyWith(card, 90*time.Second, last)
				o.saidOnce(card, end)
				if !first.killed() || s.status() != want {
					t.Errorf("killed %v, the stack is %s", first.killed(), s.status())
				}
				if way.cancel && !strings.Contains(blockTexts(end.Blocks), "Restored") {
					t.Errorf("the ending says: %s%s", end.Text, blockTexts(end.Blocks))
				}
				s.once()
			})
		}
	})
	t.Logf("figure: kill -9 at %d moments of deploys on the emulator, same ending and one execution each: %.0f s", len(ways), time.Since(began).Seconds())
}

// realStack is a stack in the emulator, and somebody's hands on it.
type realStack struct {
	t     *testing.T
	name  string
	admin *cloudformation.Client
}

func (s *realStack) status() types.StackStatus {
	s.t.Helper()
	out, err := s.admin.DescribeStacks(s.t.Context(), &cloudformation.DescribeStacksInput{StackName: &s.name})
	if err != nil || len(out.Stacks) != 1 {
		s.t.Fatal(err)
	}
	return out.Stacks[0].StackStatus
}

// signal tells the gate that all is well.
func (s *realStack) signal() {
	s.t.Helper()
	var url string
	waitFor(s.t, time.Minute, "gate", func() bool {
		h, err := s.admin.DescribeStackResource(s.t.Context(), &cloudformation.DescribeStackResourceInput{StackName: &s.name, LogicalResourceId: aws.String("Handle")})
		if err == nil {
			url = aws.ToString(h.StackResourceDetail.PhysicalResourceId)
		}
		return strings.HasPrefix(url, "http")
	}, func() string { return string(s.status()) })
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPut, url, strings.NewReader(`{"Status":"SUCCESS","UniqueId":"1","Reason":"","Data":""}`))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
}

// once wants one update to have begun, and no change set to be left.
func (s *realStack) once() {
	s.t.Helper()
	out, err := s.admin.DescribeStackEvents(s.t.Context(), &cloudformation.DescribeStackEventsInput{StackName: &s.name})
	if err != nil {
		s.t.Fatal(err)
	}
	begun := 0
	for _, e := range out.StackEvents {
		if aws.ToString(e.LogicalResourceId) == s.name && e.ResourceStatus == types.ResourceStatusUpdateInProgress {
			begun++
		}
	}
	sets, err := s.admin.ListChangeSets(s.t.Context(), &cloudformation.ListChangeSetsInput{StackName: &s.name})
	if err != nil {
		s.t.Fatal(err)
	}
	left := 0
	for _, x := range sets.Summaries {
		if x.ExecutionStatus == types.ExecutionStatusAvailable {
			left++
		}
	}
	if begun != 1 || left != 0 {
		s.t.Errorf("%d updates begun, %d change sets left", begun, left)
	}
}
