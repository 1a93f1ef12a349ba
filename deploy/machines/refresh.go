package machines

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"twokey/deploy"
	"twokey/ops"
)

// refreshGroup is "asg refresh NAME": its instances are replaced, a few at a time.
type refreshGroup struct{ sites map[string]Site }

const kindRefresh = "asg refresh"

func (o refreshGroup) Kind() string { return kindRefresh }

func (o refreshGroup) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "refresh" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	healthy, err := strconv.ParseInt(ref.Params["healthy"], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("step %s: healthy: %w", ref.Name, err)
	}
	return refreshStep{site, ref.Params[paramGroup], int32(healthy), ref.Params["skip"] == "true"}, nil
}

// going are the states of a refresh that is not over.
var going = []types.InstanceRefreshStatus{
	types.InstanceRefreshStatusPending, types.InstanceRefreshStatusInProgress, types.InstanceRefreshStatusCancelling,
	types.InstanceRefreshStatusRollbackInProgress, types.InstanceRefreshStatusBaking,
}

// refreshes lists the newest refreshes of a group, newest first.
func (s Site) refreshes(ctx context.Context, api Groups, name string) ([]types.InstanceRefresh, error) {
	out, err := api.DescribeInstanceRefreshes(ctx, &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: &name})
	if err != nil {
		return nil, s.Explain(err)
	}
	return out.InstanceRefreshes, nil
}

// Plan refuses a group that somebody is refreshing.
func (o refreshGroup) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	name, healthy := call.Args[0], 90
	if text := call.Flags["min-healthy"]; text != "" {
		if healthy, err = strconv.Atoi(text); err != nil || healthy < 0 || healthy > 100 {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("--min-healthy %s is no percentage", text), Next: "Give a number from 0 to 100."}
		}
	}
	api := autoscaling.NewFromConfig(site.ForPlan(call.Kind))
	g, err := site.group(ctx, api, name)
	if err != nil {
		return ops.Plan{}, err
	}
	list, err := site.refreshes(ctx, api, name)
	if err != nil {
		return ops.Plan{}, err
	}
	for _, r := range list {
		if slices.Contains(going, r.Status) {
			return ops.Plan{}, &ops.UserError{
				What: fmt.Sprintf("a refresh of %s is going on: %s, %s, %d %%", name, aws.ToString(r.InstanceRefreshId), r.Status, aws.ToInt32(r.PercentageComplete)),
				Next: "Wait for its end; Twokey does not touch another's.",
			}
		}
	}
	if len(g.Instances) == 0 {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s has no instances", name), Next: "There is nothing to refresh."}
	}
	p := ops.Plan{
		Call: call, Class: ops.R2, Targets: []string{name},
		Title:  fmt.Sprintf("Replace the instances of %s in %s", name, site.Where()),
		Effect: fmt.Sprintf("ends and replaces %d instances, at least %d %% in service all the time", len(g.Instances), healthy),
		Steps: []ops.StepRef{{Name: "refresh", Version: 1, Title: "refresh the instances, follow it to its end", Params: map[string]string{
			paramEnvironment: call.Environment, paramGroup: name, "healthy": strconv.Itoa(healthy), "skip": call.Flags["skip-matching"],
		}}},
		Undo:  []string{"The refresh is stopped where it is. Instances that were replaced stay replaced."},
		Keeps: []string{"new instances of the group's present configuration."},
		Locks: []string{site.Lock(number, "Auto Scaling group", name)},
		Shown: []ops.Line{{Label: "Account", Text: number + ", " + site.Region}, {Label: "Now", Text: fmt.Sprintf("%s; %d in service", sizeOf(g).text(), inService(g))}, {Label: "Configuration", Text: configuration(g)}},
		Facts: []ops.Fact{{Key: "missing", Text: "fewer instances are in service than when it was asked", Level: int64(max(0, int(aws.ToInt32(g.DesiredCapacity))-inService(g)))}},
	}
	for _, s := range suspended(g) {
		p.Warnings = append(p.Warnings, fmt.Sprintf("Its process %s is suspended: the refresh may stand still.", s))
	}
	return p, nil
}

// configuration is what new instances are made of.
func configuration(g types.AutoScalingGroup) string {
	switch {
	case g.LaunchTemplate != nil:
		return fmt.Sprintf("launch template %s, version %s", aws.ToString(g.LaunchTemplate.LaunchTemplateName), aws.ToString(g.LaunchTemplate.Version))
	case g.LaunchConfigurationName != nil:
		return "launch configuration " + *g.LaunchConfigurationName
	}
	return "a mixed instances policy"
}

// refreshStep refreshes a group.
type refreshStep struct {
	site    Site
	name    string
	healthy int32
	skip    bool
}

// refreshed is what the step remembers.
type refreshed struct {
	Known []string  `json:"known"`           // ids of the refreshes there were before
	Sent  time.Time `json:"sent,omitzero"`   // the first request
	ID    string    `json:"id,omitempty"`    // of this run's
	Taken bool      `json:"taken,omitempty"` // somebody else began one just before
}

// answeredBy is how long after the first request a refresh that it began can have begun, and
// is listed.
const answeredBy = time.Minute

func (s refreshStep) api(t *ops.Tick) Groups { return autoscaling.NewFromConfig(s.site.ForRun(t)) }

func (s refreshStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	api := s.api(t)
	var n refreshed
	known, err := t.Load(&n)
	if err != nil {
		return err
	}
	if !known {
		list, err := s.site.refreshes(ctx, api, s.name)
		if err != nil {
			return err
		}
		n.Known = []string{}
		for _, r := range list {
			n.Known = append(n.Known, aws.ToString(r.InstanceRefreshId))
		}
	}
	first := n.Sent.IsZero()
	if first {
		n.Sent = t.Now().UTC()
	}
	if err := t.Save(n); err != nil {
		return err
	}
	text := "replaced"
	if err := t.Record(ctx, ops.Change{Key: groupKey, Resource: "Auto Scaling group " + s.name, Setting: "instances", Intended: &text}); err != nil {
		return err
	}
	out, err := api.StartInstanceRefresh(ctx, &autoscaling.StartInstanceRefreshInput{
		AutoScalingGroupName: &s.name, Preferences: &types.RefreshPreferences{MinHealthyPercentage: &s.healthy, SkipMatching: &s.skip},
	})
	if busy := new(types.InstanceRefreshInProgressFault); errors.As(err, &busy) {
		// Perhaps it is ours, whose reply was lost: then Poll sees it soon.
		n.Taken = first || t.Now().Sub(n.Sent) > 2*answeredBy
		return t.Save(n)
	}
	if err != nil {
		return s.site.Explain(err)
	}
	n.ID = aws.ToString(out.InstanceRefreshId)
	return t.Save(n)
}

// own finds this run's refresh: by its id, or, where the reply was lost, the one there was
// not before and that began when it was asked for. The group is locked against other runs,
// and AWS lets no two go on at once.
func (s refreshStep) own(ctx context.Context, t *ops.Tick) (n refreshed, r *types.InstanceRefresh, err error) {
	if known, err := t.Load(&n); err != nil || !known {
		return n, nil, err
	}
	list, err := s.site.refreshes(ctx, s.api(t), s.name)
	if err != nil {
		return n, nil, err
	}
	for i := range list {
		id := aws.ToString(list[i].InstanceRefreshId)
		if at := list[i].StartTime; n.ID == "" && !n.Taken && !slices.Contains(n.Known, id) &&
			(at == nil || at.After(n.Sent.Add(-2*time.Second)) && at.Before(n.Sent.Add(answeredBy))) {
			n.ID = id
		}
		if id == n.ID {
			return n, &list[i], t.Save(n)
		}
	}
	return n, nil, nil
}

// Poll follows the refresh to its end.
func (s refreshStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	n, r, err := s.own(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	if r == nil {
		if n.ID != "" {
			return ops.Progress{}, fmt.Errorf("refresh %s of %s is not listed", n.ID, s.name)
		}
		if n.Taken {
			return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("somebody else began a refresh of %s just now; it was not touched", s.name)}, nil
		}
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	why := deploy.Short(deploy.Mask(aws.ToString(r.StatusReason)), 300)
	switch {
	case slices.Contains(going, r.Status):
		status := ops.Status{Done: int64(aws.ToInt32(r.PercentageComplete)), Total: 100, Unit: "%", Headline: fmt.Sprintf("%d %% replaced, %d instances left", aws.ToInt32(r.PercentageComplete), aws.ToInt32(r.InstancesToUpdate))}
		if why != "" {
			status.Lines = []string{why}
		}
		return ops.Progress{Phase: ops.Waiting, Status: status}, nil
	case r.Status != types.InstanceRefreshStatusSuccessful:
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("refresh %s of %s ended as %s at %d %%: %s", n.ID, s.name, r.Status, aws.ToInt32(r.PercentageComplete), why)}, nil
	}
	g, err := s.site.group(ctx, s.api(t), s.name)
	if err != nil {
		return ops.Progress{}, err
	}
	if inService(g) < int(aws.ToInt32(g.DesiredCapacity)) {
		return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: fmt.Sprintf("Replaced; %d of %d instances in service", inService(g), aws.ToInt32(g.DesiredCapacity))}}, nil
	}
	after := "replaced by refresh " + n.ID
	if err := t.Settle(ctx, groupKey, ops.Kept, &after, ""); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("%s: %d instances in service, all of %s", s.name, inService(g), configuration(g))}}, nil
}

// Undo stops the refresh where it is.
func (s refreshStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(groupKey)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	n, r, err := s.own(ctx, t)
	switch {
	case err != nil:
		return ops.Progress{}, err
	case r == nil && !n.Taken && t.Now().Sub(n.Sent) < answeredBy:
		// A request on its way may still arrive.
		return ops.Progress{Phase: ops.Waiting, Wait: 5 * time.Second, Status: ops.Status{Headline: "Looking whether the refresh begins"}}, nil
	case r == nil:
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Restored, nil, "")
	case slices.Contains(going, r.Status):
		if r.Status != types.InstanceRefreshStatusCancelling {
			if err := t.Fence(ctx); err != nil {
				return ops.Progress{}, err
			}
			_, err := s.api(t).CancelInstanceRefresh(ctx, &autoscaling.CancelInstanceRefreshInput{AutoScalingGroupName: &s.name})
			if over := new(types.ActiveInstanceRefreshNotFoundFault); err != nil && !errors.As(err, &over) {
				return ops.Progress{}, s.site.Explain(err)
			}
		}
		return ops.Progress{Phase: ops.Waiting, Wait: 2 * time.Second, Status: ops.Status{Headline: "Stopping the refresh"}}, nil
	}
	after := fmt.Sprintf("%d %% replaced", aws.ToInt32(r.PercentageComplete))
	return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Left, &after, fmt.Sprintf("refresh %s ended as %s; what was replaced stays so", n.ID, r.Status))
}
