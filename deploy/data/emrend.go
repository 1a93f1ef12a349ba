package data

import (
	"context"
	"fmt"
	"time"
	"twokey/deploy"
	"twokey/ops"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/emr"
	"github.com/aws/aws-sdk-go-v2/service/emr/types"
)

// endCluster is "emr terminate CLUSTER": class R3.
type endCluster struct{ sites map[string]Site }

func (o endCluster) Kind() string { return kindEndCluster }

func (o endCluster) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "terminate" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	return endStep{site, ref.Params[paramCluster]}, nil
}

// Plan refuses a protected cluster, and names what runs on it.
func (o endCluster) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	api := emr.NewFromConfig(site.ForPlan(call.Kind))
	id := call.Args[0]
	c, err := site.cluster(ctx, api, id)
	if err != nil {
		return ops.Plan{}, err
	}
	switch {
	case over(c.Status.State):
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("cluster %s is %s already", id, c.Status.State), Next: "There is nothing to do."}
	case aws.ToBool(c.TerminationProtected):
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("cluster %s (%s) has termination protection, which Twokey never lifts", id, aws.ToString(c.Name)), Next: "Whoever may decide that lifts it, then ask again."}
	}
	steps, err := api.ListSteps(ctx, &emr.ListStepsInput{ClusterId: &id, StepStates: []types.StepState{types.StepStateRunning, types.StepStatePending}})
	if err != nil {
		return ops.Plan{}, site.Explain(err)
	}
	p := ops.Plan{
		Call: call, Class: ops.R3, Confirm: id, Targets: []string{id},
		Title:  fmt.Sprintf("Terminate EMR cluster %s (%s) in %s", id, aws.ToString(c.Name), site.Where()),
		Effect: "ends its machines with all that is on their disks",
		Steps:  []ops.StepRef{{Name: "terminate", Version: 1, Title: "terminate " + id, Params: map[string]string{paramEnvironment: call.Environment, paramCluster: id}}},
		Undo:   []string{"None: a terminated cluster is gone."},
		Keeps:  []string{"the cluster gone."},
		Locks:  []string{site.Lock(number, "EMR cluster", id)},
		Shown:  []ops.Line{{Label: "Account", Text: number + ", " + site.Region}, {Label: "Cluster", Text: fmt.Sprintf("%s, %s, %s", aws.ToString(c.Name), c.Status.State, aws.ToString(c.ReleaseLabel))}},
	}
	for _, x := range steps.Steps {
		p.Warnings = append(p.Warnings, fmt.Sprintf("A step runs on it or waits: %s (%s).", aws.ToString(x.Id), deploy.Short(deploy.Mask(aws.ToString(x.Name)), 80)))
	}
	p.Facts = append(p.Facts, ops.Fact{Key: "steps", Text: "more steps run on it than when it was asked", Level: int64(len(steps.Steps))})
	return p, nil
}

// endStep terminates a cluster.
type endStep struct {
	site Site
	id   string
}

func (s endStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	before := "running"
	return t.Record(ctx, ops.Change{Key: clusterKey, Resource: "account", Setting: "EMR cluster " + s.id, Before: &before})
}

func (s endStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if _, recorded := t.Entry(clusterKey); !recorded {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	return ended(ctx, t, s.site, emr.NewFromConfig(s.site.ForRun(t)), s.id, func() error { return t.Settle(ctx, clusterKey, ops.Kept, nil, "") })
}

// Undo only says what became of it.
func (s endStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(clusterKey)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	c, err := s.site.cluster(ctx, emr.NewFromConfig(s.site.ForRun(t)), s.id)
	if err != nil {
		return ops.Progress{}, err
	}
	if over(c.Status.State) {
		after := string(c.Status.State)
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, clusterKey, ops.Left, &after, "a termination cannot be taken back")
	}
	return ops.Progress{Phase: ops.Done}, t.Settle(ctx, clusterKey, ops.Restored, e.Before, "")
}

// ended terminates a cluster and waits until EMR says so; then it calls done.
func ended(ctx context.Context, t *ops.Tick, site Site, api EMR, id string, done func() error) (ops.Progress, error) {
	c, err := site.cluster(ctx, api, id)
	if err != nil {
		return ops.Progress{}, err
	}
	switch state := c.Status.State; {
	case state == types.ClusterStateTerminated || state == types.ClusterStateTerminatedWithErrors:
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("cluster %s is terminated", id)}}, done()
	case state != types.ClusterStateTerminating:
		if err := t.Fence(ctx); err != nil {
			return ops.Progress{}, err
		}
		if _, err := api.TerminateJobFlows(ctx, &emr.TerminateJobFlowsInput{JobFlowIds: []string{id}}); err != nil {
			return ops.Progress{}, site.Explain(err)
		}
	}
	return ops.Progress{Phase: ops.Waiting, Wait: 10 * time.Second, Status: ops.Status{Headline: fmt.Sprintf("cluster %s is %s", id, c.Status.State)}}, nil
}
