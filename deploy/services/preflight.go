package services

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	aastypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"

	"twokey/ops"
)

// preflight looks at what new tasks need beside their image: roles and secrets that are
// gone keep every new task from starting, and are refused; where they are to run, and what
// scales the service meanwhile, is shown. The values of secrets are not read.
func (s Site) preflight(ctx context.Context, cfg aws.Config, name string, svc types.Service, d *types.TaskDefinition, p *ops.Plan) error {
	roles, err := s.roles(ctx, iam.NewFromConfig(cfg), d)
	if err != nil {
		return err
	}
	secrets, err := s.secrets(ctx, cfg, d)
	if err != nil {
		return err
	}
	room, warning, err := s.room(ctx, ecs.NewFromConfig(cfg), name, svc, d)
	if err != nil {
		return err
	}
	scaling, err := s.scaling(ctx, applicationautoscaling.NewFromConfig(cfg), name)
	if err != nil {
		return err
	}
	p.Shown = append(p.Shown, ops.Line{Label: "Roles", Text: roles}, ops.Line{Label: "Secrets", Text: secrets}, ops.Line{Label: "Room", Text: room}, ops.Line{Label: "Scaling", Text: scaling})
	if warning != "" {
		p.Warnings = append(p.Warnings, warning)
	}
	return nil
}

// roles sees that the definition's roles exist.
func (s Site) roles(ctx context.Context, api *iam.Client, d *types.TaskDefinition) (string, error) {
	var there []string
	for _, x := range []struct{ what, arn string }{{"task", aws.ToString(d.TaskRoleArn)}, {"execution", aws.ToString(d.ExecutionRoleArn)}} {
		if x.arn == "" {
			continue
		}
		name := last(x.arn)
		_, err := api.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
		if gone := new(iamtypes.NoSuchEntityException); errors.As(err, &gone) {
			return "", &ops.UserError{What: fmt.Sprintf("the %s role %s of %s does not exist: no new task would start", x.what, name, last(aws.ToString(d.TaskDefinitionArn))), Next: "Create the role, or register a definition with another one.", Err: err}
		}
		if err != nil {
			return "", s.Explain(err)
		}
		there = append(there, x.what+" "+name)
	}
	if len(there) == 0 {
		return "none", nil
	}
	return strings.Join(there, ", ") + ", there", nil
}

// references are what the definition reads from Secrets Manager and Parameter Store.
func references(d *types.TaskDefinition) []string {
	var refs []string
	for _, c := range d.ContainerDefinitions {
		for _, x := range c.Secrets {
			refs = append(refs, aws.ToString(x.ValueFrom))
		}
		if c.LogConfiguration != nil {
			for _, x := range c.LogConfiguration.SecretOptions {
				refs = append(refs, aws.ToString(x.ValueFrom))
			}
		}
		if c.RepositoryCredentials != nil {
			refs = append(refs, aws.ToString(c.RepositoryCredentials.CredentialsParameter))
		}
	}
	slices.Sort(refs)
	return slices.Compact(refs)
}

// secrets sees that what the definition's containers read exists.
func (s Site) secrets(ctx context.Context, cfg aws.Config, d *types.TaskDefinition) (string, error) {
	there, elsewhere := 0, 0
	for _, ref := range references(d) {
		a, err := arn.Parse(ref)
		var ok bool
		switch {
		case err == nil && a.Region != s.Region:
			elsewhere++
			continue
		case err == nil && a.Service == "secretsmanager":
			ok, err = s.HasSecret(ctx, cfg, ref)
		case err == nil && a.Service == "ssm":
			ok, err = s.HasParameter(ctx, cfg, strings.TrimPrefix(a.Resource, "parameter"))
		default:
			ok, err = s.HasParameter(ctx, cfg, ref)
		}
		if err != nil {
			return "", err
		}
		if !ok {
			return "", &ops.UserError{What: fmt.Sprintf("%s reads %s, which does not exist: no new task would start", last(aws.ToString(d.TaskDefinitionArn)), ref), Next: "Create it, or register a definition without it."}
		}
		there++
	}
	text := fmt.Sprintf("%d, all there", there)
	if there == 0 {
		text = "none"
	}
	if elsewhere > 0 {
		text += fmt.Sprintf("; %d in other regions, not looked at", elsewhere)
	}
	return text, nil
}

// room says where new tasks can be placed, and warns where one more has no place although
// none of the old may end first.
func (s Site) room(ctx context.Context, api ECS, name string, svc types.Service, d *types.TaskDefinition) (text, warning string, err error) {
	if svc.LaunchType != types.LaunchTypeEc2 {
		return "not on instances of its own", "", nil
	}
	cluster, _, err := split(name)
	if err != nil {
		return "", "", err
	}
	cpu, memory := wants(d)
	instances, tasks := 0, 0
	in := &ecs.ListContainerInstancesInput{Cluster: &cluster, Status: types.ContainerInstanceStatusActive, MaxResults: aws.Int32(100)}
	for {
		list, err := api.ListContainerInstances(ctx, in)
		if err != nil {
			return "", "", s.Explain(err)
		}
		if len(list.ContainerInstanceArns) > 0 {
			out, err := api.DescribeContainerInstances(ctx, &ecs.DescribeContainerInstancesInput{Cluster: &cluster, ContainerInstances: list.ContainerInstanceArns})
			if err != nil {
				return "", "", s.Explain(err)
			}
			for _, i := range out.ContainerInstances {
				instances++
				tasks += fit(i.RemainingResources, cpu, memory)
			}
		}
		if in.NextToken = list.NextToken; aws.ToString(in.NextToken) == "" {
			break
		}
	}
	text = fmt.Sprintf("for about %d more tasks (%d CPU units, %d MiB each) on %d instances", tasks, cpu, memory, instances)
	if low, _ := bounds(svc); tasks == 0 && (svc.DesiredCount*low+99)/100 >= svc.DesiredCount {
		warning = "No instance has room for one more task, and none may end before a new one runs: the deployment will wait."
	}
	return text, warning, nil
}

// wants is what one task takes: CPU units and MiB.
func wants(d *types.TaskDefinition) (cpu, memory int) {
	number := func(s *string) (n int) {
		_, _ = fmt.Sscan(aws.ToString(s), &n) // empty: what its containers say
		return n
	}
	cpu, memory = number(d.Cpu), number(d.Memory)
	for _, c := range d.ContainerDefinitions {
		if d.Cpu == nil {
			cpu += int(c.Cpu)
		}
		if d.Memory == nil {
			n := aws.ToInt32(c.MemoryReservation)
			if n == 0 {
				n = aws.ToInt32(c.Memory)
			}
			memory += int(n)
		}
	}
	return cpu, memory
}

// fit is how many tasks the rest of an instance takes.
func fit(rest []types.Resource, cpu, memory int) int {
	n := 1 << 10
	for _, r := range rest {
		switch want := map[string]int{"CPU": cpu, "MEMORY": memory}[aws.ToString(r.Name)]; {
		case want > 0:
			n = min(n, int(r.IntegerValue)/want)
		}
	}
	return n
}

// scaling says what changes the number of tasks meanwhile. ECS itself holds scale-in back
// while a deployment goes on
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-auto-scaling.html).
func (s Site) scaling(ctx context.Context, api Scaling, name string) (string, error) {
	targets, err := api.DescribeScalableTargets(ctx, &applicationautoscaling.DescribeScalableTargetsInput{
		ServiceNamespace: aastypes.ServiceNamespaceEcs, ResourceIds: []string{target(name)}, ScalableDimension: aastypes.ScalableDimensionECSServiceDesiredCount,
	})
	if err != nil {
		return "", s.Explain(err)
	}
	if len(targets.ScalableTargets) == 0 {
		return "nothing scales it by itself", nil
	}
	policies, err := s.policies(ctx, api, name)
	if err != nil {
		return "", err
	}
	t := targets.ScalableTargets[0]
	text := fmt.Sprintf("between %d and %d tasks, %d policies; AWS scales in no further while a deployment goes on", aws.ToInt32(t.MinCapacity), aws.ToInt32(t.MaxCapacity), len(policies))
	if x := t.SuspendedState; x != nil && (aws.ToBool(x.DynamicScalingInSuspended) || aws.ToBool(x.DynamicScalingOutSuspended) || aws.ToBool(x.ScheduledScalingSuspended)) {
		text += "; suspended by somebody"
	}
	return text, nil
}

// policies are those that change a service's number of tasks by themselves, with the alarms
// that set them off.
func (s Site) policies(ctx context.Context, api Scaling, name string) ([]string, error) {
	id := target(name)
	in := &applicationautoscaling.DescribeScalingPoliciesInput{
		ServiceNamespace: aastypes.ServiceNamespaceEcs, ResourceId: &id, ScalableDimension: aastypes.ScalableDimensionECSServiceDesiredCount,
	}
	var all []string
	for {
		out, err := api.DescribeScalingPolicies(ctx, in)
		if err != nil {
			return nil, s.Explain(err)
		}
		for _, p := range out.ScalingPolicies {
			text := aws.ToString(p.PolicyName)
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
