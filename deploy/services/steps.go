package services

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"twokey/deploy"
	"twokey/ops"
)

// registerStep registers the task definition with the new image. The definition carries
// the step's token as a tag, so that one registered just before a crash is found again.
type registerStep struct {
	site   Site
	params map[string]string
}

// registered is what the step remembers, and what deployStep reads.
type registered struct {
	Token string `json:"token"`
	ARN   string `json:"arn,omitempty"`
}

const (
	tokenTag      = "twokey-token"
	definitionKey = "definition"
	serviceKey    = "service"
)

func (s registerStep) api(t *ops.Tick) ECS { return ecs.NewFromConfig(s.site.ForRun(t)) }

func (s registerStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	n := registered{Token: token}
	if err := t.Save(n); err != nil {
		return err
	}
	text := "registered, with " + s.params[paramImage]
	if err := t.Record(ctx, ops.Change{Key: definitionKey, Resource: "ECS service " + s.params[paramService], Setting: "new task definition", Intended: &text}); err != nil {
		return err
	}
	api := s.api(t)
	out, err := api.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(s.params[paramBefore]), Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}})
	if err != nil {
		return s.site.Explain(err)
	}
	d := out.TaskDefinition
	for i, c := range d.ContainerDefinitions {
		if aws.ToString(c.Name) == s.params[paramContainer] {
			d.ContainerDefinitions[i].Image = aws.String(s.params[paramImage])
		}
	}
	tags := []types.Tag{{Key: aws.String(tokenTag), Value: &token}}
	for _, tag := range out.Tags {
		if key := aws.ToString(tag.Key); key != tokenTag && !strings.HasPrefix(key, "aws:") {
			tags = append(tags, tag)
		}
	}
	made, err := api.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		Family: d.Family, ContainerDefinitions: d.ContainerDefinitions, Cpu: d.Cpu, Memory: d.Memory, EphemeralStorage: d.EphemeralStorage,
		EnableFaultInjection: d.EnableFaultInjection, ExecutionRoleArn: d.ExecutionRoleArn, IpcMode: d.IpcMode, NetworkMode: d.NetworkMode, PidMode: d.PidMode,
		PlacementConstraints: d.PlacementConstraints, ProxyConfiguration: d.ProxyConfiguration, RequiresCompatibilities: d.RequiresCompatibilities,
		RuntimePlatform: d.RuntimePlatform, TaskRoleArn: d.TaskRoleArn, Volumes: d.Volumes, Tags: tags,
	})
	if err != nil {
		return s.site.Explain(err)
	}
	n.ARN = aws.ToString(made.TaskDefinition.TaskDefinitionArn)
	return t.Save(n)
}

// find looks for the definition with the step's token among the newest of the family.
func (s registerStep) find(ctx context.Context, api ECS, token string) (string, error) {
	family, _, _ := strings.Cut(last(s.params[paramBefore]), ":")
	list, err := api.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: &family, Sort: types.SortOrderDesc, MaxResults: aws.Int32(10)})
	if err != nil {
		return "", s.site.Explain(err)
	}
	for _, arn := range list.TaskDefinitionArns {
		out, err := api.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &arn, Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}})
		if err != nil {
			return "", s.site.Explain(err)
		}
		for _, tag := range out.Tags {
			if aws.ToString(tag.Key) == tokenTag && aws.ToString(tag.Value) == token {
				return arn, nil
			}
		}
	}
	return "", nil
}

func (s registerStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n registered
	known, err := t.Load(&n)
	if err != nil || !known {
		return ops.Progress{Phase: ops.NotStarted}, err
	}
	if n.ARN == "" {
		if n.ARN, err = s.find(ctx, s.api(t), n.Token); err != nil {
			return ops.Progress{}, err
		}
		if n.ARN == "" {
			return ops.Progress{Phase: ops.NotStarted}, nil
		}
	}
	if err := t.Save(n); err != nil {
		return ops.Progress{}, err
	}
	after := last(n.ARN)
	if err := t.Settle(ctx, definitionKey, ops.Kept, &after, ""); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: "Registered " + after}}, nil
}

// Undo leaves the definition: it costs nothing, and its number cannot be had back.
func (s registerStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(definitionKey)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	var n registered
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	if n.ARN == "" {
		var err error
		if n.ARN, err = s.find(ctx, s.api(t), n.Token); err != nil {
			return ops.Progress{}, err
		}
	}
	if n.ARN == "" {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Restored, nil, "")
	}
	after := last(n.ARN)
	return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Left, &after, "a registered definition costs nothing and stays")
}

// deployStep updates the service and follows the deployment that this made, by its id.
type deployStep struct {
	site   Site
	params map[string]string
}

// followed is what the step remembers.
type followed struct {
	Sent       time.Time `json:"sent,omitzero"`        // the first update
	Deployment string    `json:"deployment,omitempty"` // id
	Moved      time.Time `json:"moved,omitzero"`       // when a count changed last
	Counts     string    `json:"counts,omitempty"`
	Quiet      bool      `json:"quiet,omitempty"` // that nothing moves was said
	Stopped    bool      `json:"stopped,omitempty"`
}

// quietFor is how long a deployment may stand still before the thread says so.
const quietFor = 10 * time.Minute

func (s deployStep) api(t *ops.Tick) ECS { return ecs.NewFromConfig(s.site.ForRun(t)) }

// definition is the ARN that registerStep made; it is the step before.
func (s deployStep) definition(t *ops.Tick) (string, error) {
	var n registered
	if _, err := t.LoadOf(0, &n); err != nil {
		return "", err
	}
	if n.ARN == "" {
		return "", fmt.Errorf("no task definition was registered")
	}
	return n.ARN, nil
}

func (s deployStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	arn, err := s.definition(t)
	if err != nil {
		return err
	}
	before, after := last(s.params[paramBefore]), last(arn)
	var n followed
	if _, err := t.Load(&n); err != nil {
		return err
	}
	if n.Sent.IsZero() {
		n.Sent = t.Now().UTC()
	}
	if err := t.Save(n); err != nil {
		return err
	}
	if err := t.Record(ctx, ops.Change{Key: serviceKey, Resource: "ECS service " + s.params[paramService], Setting: "task definition", Before: &before, Intended: &after}); err != nil {
		return err
	}
	return s.update(ctx, t, arn)
}

// takenBack says how a deployment ended that began after this run's update, where the
// service is on its old definition again; empty: there was none. While nobody looked, a
// circuit breaker may have done all of that, and the image is not tried a second time.
func (s deployStep) takenBack(ctx context.Context, api ECS, since time.Time) (string, error) {
	cluster, service, err := split(s.params[paramService])
	if err != nil || since.IsZero() {
		return "", err
	}
	after := since.Add(-2 * time.Second) // of another clock
	list, err := api.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{Cluster: &cluster, Service: &service, CreatedAt: &types.CreatedAt{After: &after}})
	if err != nil {
		return "", s.site.Explain(err)
	}
	for _, d := range list.ServiceDeployments {
		switch d.Status {
		case types.ServiceDeploymentStatusPending, types.ServiceDeploymentStatusInProgress, types.ServiceDeploymentStatusSuccessful:
		default:
			return fmt.Sprintf("%s ended in %s", last(aws.ToString(d.ServiceDeploymentArn)), d.Status), nil
		}
	}
	return "", nil
}

func (s deployStep) update(ctx context.Context, t *ops.Tick, arn string) error {
	cluster, service, err := split(s.params[paramService])
	if err != nil {
		return err
	}
	_, err = s.api(t).UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &cluster, Service: &service, TaskDefinition: &arn})
	return s.site.Explain(err)
}

// Poll is done when this very deployment is COMPLETED and all its tasks run the image.
func (s deployStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if _, recorded := t.Entry(serviceKey); !recorded {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	arn, err := s.definition(t)
	if err != nil {
		return ops.Progress{}, err
	}
	var n followed
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	api, name := s.api(t), s.params[paramService]
	svc, err := s.site.service(ctx, api, name)
	if err != nil {
		return ops.Progress{}, err
	}
	now := primary(svc)
	failed := func(format string, args ...any) (ops.Progress, error) {
		reason := fmt.Sprintf(format, args...)
		if why := s.site.stopped(ctx, api, name, arn); len(why) > 0 {
			reason += ". " + strings.Join(why, "; ")
		}
		return ops.Progress{Phase: ops.Failed, Reason: reason}, nil
	}
	if n.Deployment == "" {
		switch aws.ToString(now.TaskDefinition) {
		case arn:
			n.Deployment, n.Moved = aws.ToString(now.Id), t.Now()
			if err := t.Save(n); err != nil {
				return ops.Progress{}, err
			}
		case s.params[paramBefore]:
			how, err := s.takenBack(ctx, api, n.Sent)
			if err != nil {
				return ops.Progress{}, err
			}
			if how != "" {
				return failed("%s is on %s again: deployment %s", name, last(s.params[paramBefore]), how)
			}
			return ops.Progress{Phase: ops.NotStarted}, nil
		default:
			return failed("somebody deployed %s to %s meanwhile", last(aws.ToString(now.TaskDefinition)), name)
		}
	}
	var d *types.Deployment
	for i := range svc.Deployments {
		if aws.ToString(svc.Deployments[i].Id) == n.Deployment {
			d = &svc.Deployments[i]
		}
	}
	switch {
	case d == nil:
		return failed("deployment %s of %s is gone; the service runs %s", n.Deployment, name, last(aws.ToString(now.TaskDefinition)))
	case d.RolloutState == types.DeploymentRolloutStateFailed:
		return failed("deployment %s of %s failed: %s", n.Deployment, name, deploy.Short(deploy.Mask(aws.ToString(d.RolloutStateReason)), 300))
	case aws.ToString(now.Id) != n.Deployment:
		return failed("deployment %s of %s was replaced by %s (%s)", n.Deployment, name, aws.ToString(now.Id), last(aws.ToString(now.TaskDefinition)))
	}
	status := ops.Status{
		Done: int64(d.RunningCount), Total: int64(d.DesiredCount), Unit: "tasks",
		Headline: fmt.Sprintf("%d of %d new tasks run, %d pending, %d failed", d.RunningCount, d.DesiredCount, d.PendingCount, d.FailedTasks),
	}
	if d.FailedTasks > 0 {
		status.Lines = s.site.stopped(ctx, api, name, arn)
	}
	if d.RolloutState == types.DeploymentRolloutStateCompleted && d.RunningCount == d.DesiredCount && d.DesiredCount > 0 {
		other, err := s.others(ctx, api, arn)
		if err != nil {
			return ops.Progress{}, err
		}
		if other == "" {
			after := last(arn)
			if err := t.Settle(ctx, serviceKey, ops.Kept, &after, ""); err != nil {
				return ops.Progress{}, err
			}
			return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("%d of %d tasks of %s run %s (%s)", d.RunningCount, d.DesiredCount, name, s.params[paramDigest][:19], n.Deployment)}}, nil
		}
		status.Headline = other
	}
	s.quiet(t, &n, svc, status)
	return ops.Progress{Phase: ops.Waiting, Status: status}, t.Save(n)
}

// others says which running task of the definition has another image than the approved
// one; empty: none.
func (s deployStep) others(ctx context.Context, api ECS, arn string) (string, error) {
	cluster, service, err := split(s.params[paramService])
	if err != nil {
		return "", err
	}
	list, err := api.ListTasks(ctx, &ecs.ListTasksInput{Cluster: &cluster, ServiceName: &service})
	if err != nil {
		return "", s.site.Explain(err)
	}
	if len(list.TaskArns) == 0 {
		return "", nil
	}
	out, err := api.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &cluster, Tasks: list.TaskArns[:min(len(list.TaskArns), 100)]})
	if err != nil {
		return "", s.site.Explain(err)
	}
	for _, task := range out.Tasks {
		if aws.ToString(task.TaskDefinitionArn) != arn {
			continue
		}
		for _, c := range task.Containers {
			if aws.ToString(c.Name) == s.params[paramContainer] && c.ImageDigest != nil && *c.ImageDigest != s.params[paramDigest] {
				return fmt.Sprintf("task %s runs %s, not the approved image", last(aws.ToString(task.TaskArn)), *c.ImageDigest), nil
			}
		}
	}
	return "", nil
}

// quiet tells the thread, once, that nothing moves, with the service's newest events.
func (s deployStep) quiet(t *ops.Tick, n *followed, svc types.Service, status ops.Status) {
	if n.Counts != status.Headline {
		n.Counts, n.Moved, n.Quiet = status.Headline, t.Now(), false
	}
	if n.Quiet || t.Now().Sub(n.Moved) < quietFor {
		return
	}
	n.Quiet = true
	text := "it has no events"
	if len(svc.Events) > 0 {
		text = deploy.Short(deploy.Mask(aws.ToString(svc.Events[0].Message)), 300)
	}
	t.Say("Nothing has moved for %s. The service's newest event: %s", quietFor, text)
}

// Undo brings the service back to the definition it had, while it still runs this run's,
// and follows that to its end.
func (s deployStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(serviceKey)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	arn, err := s.definition(t)
	if err != nil {
		return ops.Progress{}, err
	}
	var n followed
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	svc, err := s.site.service(ctx, s.api(t), s.params[paramService])
	if err != nil {
		return ops.Progress{}, err
	}
	now := primary(svc)
	running := aws.ToString(now.TaskDefinition)
	switch {
	case running == s.params[paramBefore]:
		if len(svc.Deployments) > 1 || now.RunningCount != now.DesiredCount {
			return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: fmt.Sprintf("Going back: %d of %d tasks run %s", now.RunningCount, now.DesiredCount, last(running))}}, nil
		}
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Restored, e.Before, "")
	case running != arn:
		after := last(running)
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Left, &after, "somebody deployed another definition since")
	}
	if err := t.Fence(ctx); err != nil {
		return ops.Progress{}, err
	}
	if !n.Stopped {
		n.Stopped = true
		if err := t.Save(n); err != nil {
			return ops.Progress{}, err
		}
		if err := t.Flush(ctx); err != nil {
			return ops.Progress{}, err
		}
		if s.stop(ctx, t) {
			return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: "Deployment stopped; ECS goes back"}}, nil
		}
	} else if now.RolloutState == types.DeploymentRolloutStateInProgress && s.stopping(ctx, t) {
		return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: "ECS goes back"}}, nil
	}
	// Nothing was there to stop: the old definition is deployed.
	if err := s.update(ctx, t, s.params[paramBefore]); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: "Deploying " + last(s.params[paramBefore]) + " again"}}, nil
}

// stop asks ECS to roll the running deployment back, and reports whether one was running.
// Where that fails, the old definition is deployed instead.
func (s deployStep) stop(ctx context.Context, t *ops.Tick) bool {
	api := s.api(t)
	id, ok := s.current(ctx, api, types.ServiceDeploymentStatusInProgress, types.ServiceDeploymentStatusPending)
	if !ok {
		return false
	}
	_, err := api.StopServiceDeployment(ctx, &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: &id, StopType: types.StopServiceDeploymentStopTypeRollback})
	return err == nil
}

// stopping reports whether a stop or rollback is under way.
func (s deployStep) stopping(ctx context.Context, t *ops.Tick) bool {
	_, ok := s.current(ctx, s.api(t), types.ServiceDeploymentStatusStopRequested, types.ServiceDeploymentStatusRollbackRequested, types.ServiceDeploymentStatusRollbackInProgress)
	return ok
}

func (s deployStep) current(ctx context.Context, api ECS, states ...types.ServiceDeploymentStatus) (string, bool) {
	cluster, service, err := split(s.params[paramService])
	if err != nil {
		return "", false
	}
	list, err := api.ListServiceDeployments(ctx, &ecs.ListServiceDeploymentsInput{Cluster: &cluster, Service: &service, Status: states})
	if err != nil || len(list.ServiceDeployments) == 0 {
		return "", false
	}
	return aws.ToString(list.ServiceDeployments[0].ServiceDeploymentArn), true
}
