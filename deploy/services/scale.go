package services

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	aastypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"twokey/deploy"
	"twokey/ops"
)

// scaleService is "scale ecs CLUSTER/SERVICE DESIRED": how many tasks there are, and, where
// Application Auto Scaling scales the service, between which bounds.
type scaleService struct{ sites map[string]Site }

const kindScale = "scale ecs"

// Scaling is the methods used of *applicationautoscaling.Client.
type Scaling interface {
	DescribeScalableTargets(context.Context, *applicationautoscaling.DescribeScalableTargetsInput, ...func(*applicationautoscaling.Options)) (*applicationautoscaling.DescribeScalableTargetsOutput, error)
	DescribeScalingPolicies(context.Context, *applicationautoscaling.DescribeScalingPoliciesInput, ...func(*applicationautoscaling.Options)) (*applicationautoscaling.DescribeScalingPoliciesOutput, error)
	RegisterScalableTarget(context.Context, *applicationautoscaling.RegisterScalableTargetInput, ...func(*applicationautoscaling.Options)) (*applicationautoscaling.RegisterScalableTargetOutput, error)
}

// size is how many tasks a service has. Min and Max are -1 where nothing scales it by
// itself.
type size struct{ min, max, desired int32 }

func (z size) text() string {
	if z.min < 0 {
		return fmt.Sprintf("%d tasks", z.desired)
	}
	return fmt.Sprintf("%d tasks, between %d and %d", z.desired, z.min, z.max)
}

func (o scaleService) Kind() string { return kindScale }

func (o scaleService) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "scale" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	s := scaleStep{site: site, name: ref.Params[paramService]}
	for key, into := range map[string]*size{"before": &s.before, "after": &s.after} {
		if _, err := fmt.Sscanf(ref.Params[key], "%d %d %d", &into.min, &into.max, &into.desired); err != nil {
			return nil, fmt.Errorf("step %s: %s: %w", ref.Name, key, err)
		}
	}
	return s, nil
}

func target(name string) string { return "service/" + name }

// size reads how many tasks there are to be.
func (s Site) size(ctx context.Context, api ECS, scaling Scaling, name string) (z size, running int32, err error) {
	svc, err := s.service(ctx, api, name)
	if err != nil {
		return size{}, 0, err
	}
	z = size{-1, -1, svc.DesiredCount}
	out, err := scaling.DescribeScalableTargets(ctx, &applicationautoscaling.DescribeScalableTargetsInput{
		ServiceNamespace: aastypes.ServiceNamespaceEcs, ResourceIds: []string{target(name)}, ScalableDimension: aastypes.ScalableDimensionECSServiceDesiredCount,
	})
	if err != nil {
		return size{}, 0, s.Explain(err)
	}
	for _, t := range out.ScalableTargets {
		z.min, z.max = aws.ToInt32(t.MinCapacity), aws.ToInt32(t.MaxCapacity)
	}
	return z, svc.RunningCount, nil
}

// Plan checks the bounds.
func (o scaleService) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	name := call.Args[0]
	if _, _, err := split(name); err != nil {
		return ops.Plan{}, err
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	cfg := site.ForPlan(call.Kind)
	before, running, err := site.size(ctx, ecs.NewFromConfig(cfg), applicationautoscaling.NewFromConfig(cfg), name)
	if err != nil {
		return ops.Plan{}, err
	}
	after := before
	for _, x := range []struct {
		text, what string
		into       *int32
	}{{call.Args[1], "DESIRED", &after.desired}, {call.Flags["min"], "--min", &after.min}, {call.Flags["max"], "--max", &after.max}} {
		if x.text == "" {
			continue
		}
		n, err := strconv.ParseInt(x.text, 10, 32)
		if err != nil || n < 0 || n > 5000 {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s %s is no number of tasks", x.what, x.text), Next: "Give a number from 0 to 5000."}
		}
		if x.what != "DESIRED" && before.min < 0 {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("nothing scales %s by itself, so it has no bounds", name), Next: "Leave --min and --max out."}
		}
		*x.into = int32(n)
	}
	if after.min >= 0 && (after.min > after.desired || after.desired > after.max) {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%d is not between %d and %d", after.desired, after.min, after.max), Next: "Give --min and --max that hold it."}
	}
	if after == before {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s has %s already", name, before.text()), Next: "There is nothing to do."}
	}
	p := ops.Plan{
		Call: call, Class: ops.R2, Targets: []string{name},
		Title:  fmt.Sprintf("Scale %s to %s in %s", name, after.text(), site.Where()),
		Effect: fmt.Sprintf("from %s to %s", before.text(), after.text()),
		Steps: []ops.StepRef{{Name: "scale", Version: 1, Title: "set " + after.text() + ", wait until they run", Params: map[string]string{
			paramEnvironment: call.Environment, paramService: name,
			"before": fmt.Sprintf("%d %d %d", before.min, before.max, before.desired), "after": fmt.Sprintf("%d %d %d", after.min, after.max, after.desired),
		}}},
		Undo:  []string{fmt.Sprintf("%s back, while it is as this run set it.", before.text())},
		Keeps: []string{"the new number of tasks."},
		Locks: []string{site.Lock(number, "ECS service", name)},
		Shown: []ops.Line{{Label: "Account", Text: number + ", " + site.Region}, {Label: "Now", Text: fmt.Sprintf("%s; %d running", before.text(), running)}},
	}
	if after.desired < before.desired {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d tasks will be stopped.", before.desired-after.desired))
	}
	if after.min >= 0 {
		policies, err := site.policies(ctx, applicationautoscaling.NewFromConfig(cfg), name)
		if err != nil {
			return ops.Plan{}, err
		}
		if len(policies) > 0 {
			p.Shown = append(p.Shown, ops.Line{Label: "Alarms", Text: strings.Join(policies, "; ")})
		}
		p.Warnings = append(p.Warnings, "Its scaling policies go on: they may move the number within the bounds at once.")
	}
	return p, nil
}

// scaleStep sets the number of tasks.
type scaleStep struct {
	site          Site
	name          string
	before, after size
}

func (s scaleStep) clients(t *ops.Tick) (ECS, Scaling) {
	cfg := s.site.ForRun(t)
	return ecs.NewFromConfig(cfg), applicationautoscaling.NewFromConfig(cfg)
}

// set writes a size, the bounds first where they must hold the number.
func (s scaleStep) set(ctx context.Context, t *ops.Tick, z, from size) error {
	api, scaling := s.clients(t)
	if z.min >= 0 && (z.min != from.min || z.max != from.max) {
		_, err := scaling.RegisterScalableTarget(ctx, &applicationautoscaling.RegisterScalableTargetInput{
			ServiceNamespace: aastypes.ServiceNamespaceEcs, ResourceId: aws.String(target(s.name)), ScalableDimension: aastypes.ScalableDimensionECSServiceDesiredCount,
			MinCapacity: &z.min, MaxCapacity: &z.max,
		})
		if err != nil {
			return s.site.Explain(err)
		}
	}
	cluster, service, err := split(s.name)
	if err != nil {
		return err
	}
	_, err = api.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &cluster, Service: &service, DesiredCount: &z.desired})
	return s.site.Explain(err)
}

func (s scaleStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	before, after := s.before.text(), s.after.text()
	if err := t.Record(ctx, ops.Change{Key: serviceKey, Resource: "ECS service " + s.name, Setting: "size", Before: &before, Intended: &after}); err != nil {
		return err
	}
	return s.set(ctx, t, s.after, s.before)
}

// Poll is done when as many tasks run as were asked for, or, where the service scales by
// itself, as many as it wants within the new bounds.
func (s scaleStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if _, recorded := t.Entry(serviceKey); !recorded {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	api, scaling := s.clients(t)
	now, running, err := s.site.size(ctx, api, scaling, s.name)
	if err != nil {
		return ops.Progress{}, err
	}
	var n followed
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	scaled := now == s.after || n.Counts != "" && now.min == s.after.min && now.max == s.after.max && now.min >= 0
	if !scaled {
		if now == s.before || now.desired == s.before.desired || now.desired == s.after.desired {
			return ops.Progress{Phase: ops.NotStarted}, nil
		}
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("%s has %s: somebody else scaled it", s.name, now.text())}, nil
	}
	n.Counts = "set"
	if n.Moved.IsZero() {
		n.Moved = t.Now()
	}
	if running == now.desired {
		after := now.text()
		if err := t.Settle(ctx, serviceKey, ops.Kept, &after, ""); err != nil {
			return ops.Progress{}, err
		}
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("%s: %d tasks run", s.name, running)}}, t.Save(n)
	}
	status := ops.Status{Done: int64(running), Total: int64(now.desired), Unit: "tasks", Headline: fmt.Sprintf("%d of %d tasks run", running, now.desired)}
	if svc, err := s.site.service(ctx, api, s.name); err == nil && len(svc.Events) > 0 {
		message := deploy.Short(deploy.Mask(aws.ToString(svc.Events[0].Message)), 300)
		status.Lines = []string{"Newest event: " + message}
		if strings.Contains(message, "unable to place a task") && !n.Quiet && t.Now().Sub(n.Moved) > time.Minute {
			n.Quiet = true
			t.Say("There is no room: %s", message)
		}
	}
	return ops.Progress{Phase: ops.Waiting, Status: status}, t.Save(n)
}

// Undo sets the size before, while the service is as this run set it.
func (s scaleStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(serviceKey)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	api, scaling := s.clients(t)
	now, _, err := s.site.size(ctx, api, scaling, s.name)
	if err != nil {
		return ops.Progress{}, err
	}
	half := size{s.after.min, s.after.max, s.before.desired} // set between two calls
	back := size{s.before.min, s.before.max, s.after.desired}
	switch now {
	case s.before:
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Restored, e.Before, "")
	case s.after, half, back:
	default:
		after := now.text()
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Left, &after, "it is not as this run set it: somebody, or its own scaling, changed it since")
	}
	if err := t.Fence(ctx); err != nil {
		return ops.Progress{}, err
	}
	if err := s.set(ctx, t, s.before, s.after); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Waiting, Wait: time.Second, Status: ops.Status{Headline: "Set back; reading it"}}, nil
}
