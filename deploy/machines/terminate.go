package machines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"twokey/ops"
)

// terminate is "ec2 terminate INSTANCE…": class R3, the approved list and no other.
type terminate struct{ sites map[string]Site }

const (
	kindTerminate = "ec2 terminate"
	maxInstances  = 100
)

var instanceID = regexp.MustCompile(`^i-[0-9a-z]{2,32}$`)

func (o terminate) Kind() string { return kindTerminate }

func (o terminate) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "terminate" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	return terminateStep{site, strings.Split(ref.Params["instances"], ",")}, nil
}

// machine is one instance, as far as it matters here.
type machine struct{ id, name, state, group, text string }

// machines reads instances by id, or by Name tag.
func (s Site) machines(ctx context.Context, api Instances, in *ec2.DescribeInstancesInput) (map[string]machine, error) {
	found := map[string]machine{}
	for {
		out, err := api.DescribeInstances(ctx, in)
		var no smithy.APIError
		if errors.As(err, &no) && no.ErrorCode() == "InvalidInstanceID.NotFound" && len(in.InstanceIds) == 1 {
			return found, nil
		}
		if err != nil {
			return nil, s.Explain(err)
		}
		for _, r := range out.Reservations {
			for _, i := range r.Instances {
				m := machine{id: aws.ToString(i.InstanceId)}
				if i.State != nil {
					m.state = string(i.State.Name)
				}
				for _, t := range i.Tags {
					switch aws.ToString(t.Key) {
					case "Name":
						m.name = aws.ToString(t.Value)
					case "aws:autoscaling:groupName":
						m.group = aws.ToString(t.Value)
					}
				}
				zone := ""
				if i.Placement != nil {
					zone = aws.ToString(i.Placement.AvailabilityZone)
				}
				m.text = fmt.Sprintf("%s %s, %s in %s, launched %s", m.id, m.name, i.InstanceType, zone, aws.ToTime(i.LaunchTime).UTC().Format("2006-01-02 15:04"))
				if m.group != "" {
					m.text += ", of group " + m.group
				}
				for _, d := range i.BlockDeviceMappings {
					if d.Ebs != nil && !aws.ToBool(d.Ebs.DeleteOnTermination) {
						m.text += ", volume " + aws.ToString(d.Ebs.VolumeId) + " stays"
					}
				}
				found[m.id] = m
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			return found, nil
		}
	}
}

// Plan resolves ids and exact names to the list that people agree to.
func (o terminate) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	api := ec2.NewFromConfig(site.ForPlan(call.Kind))
	chosen := map[string]machine{}
	for _, what := range call.Args {
		in := &ec2.DescribeInstancesInput{InstanceIds: []string{what}}
		if !instanceID.MatchString(what) {
			in = &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: aws.String("tag:Name"), Values: []string{what}}}}
		}
		found, err := site.machines(ctx, api, in)
		if err != nil {
			return ops.Plan{}, err
		}
		n := 0
		for id, m := range found {
			if (id == what || m.name == what) && m.state != "terminated" && m.state != "shutting-down" {
				chosen[id] = m
				n++
			}
		}
		if n == 0 {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("there is no instance %s in %s", what, site.Where()), Next: "Give an instance's id or its exact Name tag."}
		}
	}
	if len(chosen) > maxInstances {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%d instances are meant; one run ends at most %d", len(chosen), maxInstances), Next: "Ask for fewer."}
	}
	var ids, shown []string
	groups := map[string]int{}
	for id := range chosen {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		out, err := api.DescribeInstanceAttribute(ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: &id, Attribute: types.InstanceAttributeNameDisableApiTermination})
		if err != nil {
			return ops.Plan{}, site.Explain(err)
		}
		if out.DisableApiTermination != nil && aws.ToBool(out.DisableApiTermination.Value) {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s has termination protection, which Twokey never lifts", chosen[id].text), Next: "Whoever may decide that lifts it in the console, then ask again."}
		}
		shown = append(shown, chosen[id].text)
		if g := chosen[id].group; g != "" {
			groups[g]++
		}
	}
	p := ops.Plan{
		Call: call, Class: ops.R3, Confirm: ids[0], Targets: ids,
		Title:  fmt.Sprintf("Terminate %d instances in %s", len(ids), site.Where()),
		Effect: "ends them with their memory and the volumes that go with them",
		Steps: []ops.StepRef{{Name: "terminate", Version: 1, Title: "terminate " + strings.Join(ids, ", "), Params: map[string]string{
			paramEnvironment: call.Environment, "instances": strings.Join(ids, ","),
		}}},
		Undo:  []string{"None: a terminated instance is gone."},
		Keeps: []string{"the instances gone."},
		Shown: []ops.Line{{Label: "Account", Text: number + ", " + site.Region}, {Label: "Instances", Text: strings.Join(shown, "; ")}},
	}
	for _, id := range ids {
		p.Locks = append(p.Locks, site.Lock(number, "instance", id))
	}
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d belong to the group %s, which will start others in their place. To have fewer, use scale asg.", groups[g], g))
	}
	return p, nil
}

// terminateStep ends the approved instances.
type terminateStep struct {
	site Site
	ids  []string
}

// states reads the approved instances; one that is not known any more has ended.
func (s terminateStep) states(ctx context.Context, t *ops.Tick) (map[string]string, error) {
	api := ec2.NewFromConfig(s.site.ForRun(t))
	found, err := s.site.machines(ctx, api, &ec2.DescribeInstancesInput{InstanceIds: s.ids})
	if gone := smithy.APIError(nil); errors.As(err, &gone) && gone.ErrorCode() == "InvalidInstanceID.NotFound" {
		// EC2 forgot some of them: each is asked about alone.
		found = map[string]machine{}
		for _, id := range s.ids {
			one, err := s.site.machines(ctx, api, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
			if err != nil {
				return nil, err
			}
			if found[id] = one[id]; one[id].state == "" {
				found[id] = machine{state: "terminated"}
			}
		}
	} else if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, id := range s.ids {
		if out[id] = found[id].state; out[id] == "" {
			return nil, fmt.Errorf("EC2's answer leaves %s out", id)
		}
	}
	return out, nil
}

func (s terminateStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	now, err := s.states(ctx, t)
	if err != nil {
		return err
	}
	var changes []ops.Change
	var left []string
	for _, id := range s.ids {
		before := now[id]
		if _, known := t.Entry(id); !known {
			changes = append(changes, ops.Change{Key: id, Resource: "instance " + id, Setting: "state", Before: &before, Intended: aws.String("terminated")})
		}
		if before != "terminated" && before != "shutting-down" {
			left = append(left, id)
		}
	}
	if len(changes) > 0 {
		if err := t.RecordAll(ctx, changes); err != nil {
			return err
		}
	}
	if len(left) == 0 {
		return nil
	}
	_, err = ec2.NewFromConfig(s.site.ForRun(t)).TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: left})
	return s.site.Explain(err)
}

// Poll is done when EC2 says of each that it is terminated.
func (s terminateStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	now, err := s.states(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	var gone []ops.Settlement
	ended, going, running := 0, 0, 0
	for _, id := range s.ids {
		e, known := t.Entry(id)
		switch {
		case !known:
			running++
		case now[id] == "terminated":
			ended++
			if e.State == ops.Intended {
				gone = append(gone, ops.Settlement{Key: id, State: ops.Kept, After: aws.String("terminated")})
			}
		case now[id] == "shutting-down":
			going++
		default:
			running++
		}
	}
	if len(gone) > 0 {
		if err := t.SettleAll(ctx, gone); err != nil {
			return ops.Progress{}, err
		}
	}
	status := ops.Status{Done: int64(ended), Total: int64(len(s.ids)), Unit: "instances", Headline: fmt.Sprintf("%d of %d terminated, %d shutting down", ended, len(s.ids), going)}
	switch {
	case running > 0:
		return ops.Progress{Phase: ops.NotStarted, Status: status}, nil
	case ended < len(s.ids):
		return ops.Progress{Phase: ops.Waiting, Status: status}, nil
	}
	status.Headline = fmt.Sprintf("%d instances are terminated", ended)
	return ops.Progress{Phase: ops.Done, Status: status}, nil
}

// Undo only says what became of each.
func (s terminateStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	now, err := s.states(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	var settled []ops.Settlement
	for _, id := range s.ids {
		e, known := t.Entry(id)
		after := now[id]
		switch {
		case !known:
		case after == "shutting-down":
			return ops.Progress{Phase: ops.Waiting, Wait: 5 * time.Second, Status: ops.Status{Headline: id + " is shutting down; that cannot be stopped"}}, nil
		case after == "terminated":
			settled = append(settled, ops.Settlement{Key: id, State: ops.Left, After: &after, Reason: "it was terminated before the cancel"})
		default:
			settled = append(settled, ops.Settlement{Key: id, State: ops.Restored, After: e.Before})
		}
	}
	if len(settled) > 0 {
		return ops.Progress{Phase: ops.Done}, t.SettleAll(ctx, settled)
	}
	return ops.Progress{Phase: ops.Done}, nil
}
