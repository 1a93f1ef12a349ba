package machines

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"twokey/ops"
)

// scaleGroup is "scale asg NAME DESIRED".
type scaleGroup struct{ sites map[string]Site }

const (
	kindScale  = "scale asg"
	paramGroup = "group"
	groupKey   = "group"
)

// size is how many instances a group has to have.
type size struct{ min, max, desired int32 }

func (z size) text() string { return fmt.Sprintf("%d, between %d and %d", z.desired, z.min, z.max) }

func sizeOf(g types.AutoScalingGroup) size {
	return size{aws.ToInt32(g.MinSize), aws.ToInt32(g.MaxSize), aws.ToInt32(g.DesiredCapacity)}
}

func (o scaleGroup) Kind() string { return kindScale }

func (o scaleGroup) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "scale" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	s := scaleStep{site: site, name: ref.Params[paramGroup]}
	for key, into := range map[string]*size{"before": &s.before, "after": &s.after} {
		if _, err := fmt.Sscanf(ref.Params[key], "%d %d %d", &into.min, &into.max, &into.desired); err != nil {
			return nil, fmt.Errorf("step %s: %s: %w", ref.Name, key, err)
		}
	}
	return s, nil
}

// Plan checks the bounds and what would keep the group from following.
func (o scaleGroup) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	name := call.Args[0]
	api := autoscaling.NewFromConfig(site.ForPlan(call.Kind))
	g, err := site.group(ctx, api, name)
	if err != nil {
		return ops.Plan{}, err
	}
	alarms, err := site.alarms(ctx, api, name)
	if err != nil {
		return ops.Plan{}, err
	}
	before := sizeOf(g)
	after := before
	for _, x := range []struct {
		text, what string
		into       *int32
	}{{call.Args[1], "DESIRED", &after.desired}, {call.Flags["min"], "--min", &after.min}, {call.Flags["max"], "--max", &after.max}} {
		if x.text == "" {
			continue
		}
		n, err := strconv.ParseInt(x.text, 10, 32)
		if err != nil || n < 0 || n > 10000 {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s %s is no number of instances", x.what, x.text), Next: "Give a number from 0 to 10000."}
		}
		*x.into = int32(n)
	}
	if after.min > after.desired || after.desired > after.max {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%d is not between %d and %d", after.desired, after.min, after.max), Next: "Give --min and --max that hold it."}
	}
	if after == before {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s has %s already", name, before.text()), Next: "There is nothing to do."}
	}
	for _, p := range suspended(g) {
		if p == "Launch" && after.desired > before.desired || p == "Terminate" && after.desired < before.desired {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s has its process %s suspended: it would not follow", name, p), Next: "Resume that process first."}
		}
	}
	plan := ops.Plan{
		Call: call, Class: ops.R2, Targets: []string{name},
		Title:  fmt.Sprintf("Scale %s to %s in %s", name, after.text(), site.Where()),
		Effect: fmt.Sprintf("from %s to %s", before.text(), after.text()),
		Steps: []ops.StepRef{{Name: "scale", Version: 1, Title: "set " + after.text() + ", wait until they are in service", Params: map[string]string{
			paramEnvironment: call.Environment, paramGroup: name,
			"before": fmt.Sprintf("%d %d %d", before.min, before.max, before.desired), "after": fmt.Sprintf("%d %d %d", after.min, after.max, after.desired),
		}}},
		Undo:  []string{fmt.Sprintf("%s back, while it is as this run set it. Instances that ended do not come back; new ones are started.", before.text())},
		Keeps: []string{"the new number of instances."},
		Locks: []string{site.Lock(number, "Auto Scaling group", name)},
		Shown: []ops.Line{{Label: "Account", Text: number + ", " + site.Region}, {Label: "Now", Text: fmt.Sprintf("%s; %d in service", before.text(), inService(g))}},
	}
	if len(alarms) > 0 {
		plan.Shown = append(plan.Shown, ops.Line{Label: "Alarms", Text: strings.Join(alarms, "; ")})
		plan.Warnings = append(plan.Warnings, "Its own policies may change the number again, within the bounds.")
	}
	if p := suspended(g); len(p) > 0 {
		plan.Shown = append(plan.Shown, ops.Line{Label: "Suspended", Text: strings.Join(p, ", ")})
	}
	if n := before.desired - after.desired; n > 0 {
		protected := 0
		for _, i := range g.Instances {
			if aws.ToBool(i.ProtectedFromScaleIn) {
				protected++
			}
		}
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("%d instances will end; which ones, the group decides (%d are protected).", n, protected))
	}
	return plan, nil
}

// alarms are the policies that change the group's number by themselves, with the alarms
// that set them off.
func (s Site) alarms(ctx context.Context, api Groups, name string) ([]string, error) {
	var all []string
	in := &autoscaling.DescribePoliciesInput{AutoScalingGroupName: &name}
	for {
		out, err := api.DescribePolicies(ctx, in)
		if err != nil {
			return nil, s.Explain(err)
		}
		for _, p := range out.ScalingPolicies {
			text := aws.ToString(p.PolicyName)
			if p.Enabled != nil && !*p.Enabled {
				text += " (off)"
			}
			for i, a := range p.Alarms {
				text += map[bool]string{true: ": ", false: ", "}[i == 0] + aws.ToString(a.AlarmName)
			}
			all = append(all, text)
		}
		if in.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			return all, nil
		}
	}
}

// scaleStep sets bounds and number.
type scaleStep struct {
	site          Site
	name          string
	before, after size
}

// scaled is what the step remembers.
type scaled struct {
	Set  bool   `json:"set,omitempty"`  // the group was seen as this run set it
	Told string `json:"told,omitempty"` // the failure that was said
}

func (s scaleStep) api(t *ops.Tick) Groups { return autoscaling.NewFromConfig(s.site.ForRun(t)) }

func (s scaleStep) set(ctx context.Context, t *ops.Tick, z size) error {
	_, err := s.api(t).UpdateAutoScalingGroup(ctx, &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: &s.name, MinSize: &z.min, MaxSize: &z.max, DesiredCapacity: &z.desired,
	})
	return s.site.Explain(err)
}

func (s scaleStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	before, after := s.before.text(), s.after.text()
	if err := t.Record(ctx, ops.Change{Key: groupKey, Resource: "Auto Scaling group " + s.name, Setting: "size", Before: &before, Intended: &after}); err != nil {
		return err
	}
	return s.set(ctx, t, s.after)
}

// Poll is done when as many instances are in service and healthy as the group wants. Its
// own policies may have moved the number since, within the bounds.
func (s scaleStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if _, recorded := t.Entry(groupKey); !recorded {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	var n scaled
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	api := s.api(t)
	g, err := s.site.group(ctx, api, s.name)
	if err != nil {
		return ops.Progress{}, err
	}
	now := sizeOf(g)
	n.Set = n.Set || now == s.after
	switch {
	case !n.Set && now == s.before:
		return ops.Progress{Phase: ops.NotStarted}, nil
	case now.min != s.after.min || now.max != s.after.max || !n.Set:
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("%s is %s: somebody else changed it", s.name, now.text())}, nil
	}
	running := int32(inService(g))
	if running == now.desired && int32(len(g.Instances)) == now.desired {
		after := now.text()
		if err := t.Settle(ctx, groupKey, ops.Kept, &after, ""); err != nil {
			return ops.Progress{}, err
		}
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("%s: %d instances in service", s.name, running)}}, t.Save(n)
	}
	status := ops.Status{Done: int64(running), Total: int64(now.desired), Unit: "instances", Headline: fmt.Sprintf("%d of %d instances in service", running, now.desired)}
	if why := s.site.trouble(ctx, api, s.name); why != "" {
		status.Lines = []string{"Failed: " + why}
		if why != n.Told {
			n.Told = why
			t.Say("%s cannot follow: %s", s.name, why)
		}
	}
	return ops.Progress{Phase: ops.Waiting, Status: status}, t.Save(n)
}

// Undo sets the bounds and number before, while they are as this run set them.
func (s scaleStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(groupKey)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	g, err := s.site.group(ctx, s.api(t), s.name)
	if err != nil {
		return ops.Progress{}, err
	}
	switch now := sizeOf(g); now {
	case s.before:
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Restored, e.Before, "")
	case s.after:
	default:
		after := now.text()
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Left, &after, "it is not as this run set it: somebody, or its own policies, changed it since")
	}
	if err := t.Fence(ctx); err != nil {
		return ops.Progress{}, err
	}
	if err := s.set(ctx, t, s.before); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Waiting, Wait: time.Second, Status: ops.Status{Headline: "Set back; reading it"}}, nil
}
