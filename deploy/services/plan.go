package services

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"twokey/ops"
)

// deployService is "ecs deploy CLUSTER/SERVICE --image IMAGE".
type deployService struct{ sites map[string]Site }

const (
	kindDeploy       = "ecs deploy"
	paramEnvironment = "environment"
	paramService     = "service"   // CLUSTER/SERVICE
	paramBefore      = "before"    // ARN of the task definition when planned
	paramContainer   = "container" // whose image changes
	paramImage       = "image"     // the new one, by digest
	paramDigest      = "digest"
)

func (o deployService) Kind() string { return kindDeploy }

func (o deployService) Step(ref ops.StepRef) (ops.Step, error) {
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	switch {
	case ref.Name == "register" && ref.Version == 1:
		return registerStep{site, ref.Params}, nil
	case ref.Name == "deploy" && ref.Version == 1:
		return deployStep{site, ref.Params}, nil
	}
	return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
}

// Plan pins the image to its digest and shows what differs.
func (o deployService) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
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
	api := ecs.NewFromConfig(cfg)
	s, err := site.service(ctx, api, name)
	if err != nil {
		return ops.Plan{}, err
	}
	if err := deployable(name, s); err != nil {
		return ops.Plan{}, err
	}
	out, err := api.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: s.TaskDefinition})
	if err != nil || out.TaskDefinition == nil {
		return ops.Plan{}, site.Explain(errors.Join(err))
	}
	c, repo, err := container(out.TaskDefinition, call.Flags["image"], call.Flags["container"])
	if err != nil {
		return ops.Plan{}, err
	}
	digest, err := site.digest(ctx, ecr.NewFromConfig(cfg), repo, call.Flags["image"])
	if err != nil {
		return ops.Plan{}, err
	}
	now := aws.ToString(c.Image)
	image := registry(now) + repo + "@" + digest
	if now == image {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s runs %s@%s already", name, repo, digest[:19]), Next: "There is nothing to do."}
	}
	params := map[string]string{
		paramEnvironment: call.Environment, paramService: name, paramBefore: aws.ToString(s.TaskDefinition),
		paramContainer: aws.ToString(c.Name), paramImage: image, paramDigest: digest,
	}
	p := ops.Plan{
		Call: call, Class: ops.R2, Targets: []string{name},
		Title:  fmt.Sprintf("Deploy %s to %s in %s", repo+"@"+digest[:19], name, site.Where()),
		Effect: fmt.Sprintf("replaces %d tasks", s.DesiredCount),
		Steps: []ops.StepRef{
			{Name: "register", Version: 1, Title: fmt.Sprintf("register a task definition with the new image of %s", aws.ToString(c.Name)), Params: params},
			{Name: "deploy", Version: 1, Title: fmt.Sprintf("update %s, follow its deployment", name), Params: params},
		},
		Undo:  []string{fmt.Sprintf("%s back on %s, while it still runs this run's definition, followed to the end. The new definition stays registered.", name, last(aws.ToString(s.TaskDefinition)))},
		Keeps: []string{fmt.Sprintf("%s on the new definition.", name)},
		Locks: []string{site.Lock(number, "ECS service", name)},
		Shown: []ops.Line{
			{Label: "Account", Text: number + ", " + site.Region},
			{Label: "Now", Text: fmt.Sprintf("%s, %d of %d running", last(aws.ToString(s.TaskDefinition)), s.RunningCount, s.DesiredCount)},
			{Label: "Container " + aws.ToString(c.Name), Text: now + " → " + image},
			{Label: "Rollout", Text: rollout(s)},
		},
	}
	if err := site.preflight(ctx, cfg, name, s, out.TaskDefinition, &p); err != nil {
		return ops.Plan{}, err
	}
	if s.RunningCount < s.DesiredCount {
		p.Warnings = append(p.Warnings, fmt.Sprintf("Only %d of %d tasks run now.", s.RunningCount, s.DesiredCount))
	}
	p.Facts = append(p.Facts, ops.Fact{Key: "missing", Text: "fewer tasks run than when it was asked", Level: int64(max(0, s.DesiredCount-s.RunningCount))})
	if b := breaker(s); b == nil || !b.Enable {
		p.Warnings = append(p.Warnings, "The service has no circuit breaker: a deployment that cannot start goes on trying until it is cancelled.")
	}
	return p, nil
}

func breaker(s types.Service) *types.DeploymentCircuitBreaker {
	if s.DeploymentConfiguration == nil {
		return nil
	}
	return s.DeploymentConfiguration.DeploymentCircuitBreaker
}

func rollout(s types.Service) string {
	low, high := bounds(s)
	text := fmt.Sprintf("between %d %% and %d %% of %d tasks", low, high, s.DesiredCount)
	if b := breaker(s); b != nil && b.Enable {
		text += "; circuit breaker on"
		if b.Rollback {
			text += ", rolls back by itself"
		}
	}
	return text
}

func bounds(s types.Service) (low, high int32) {
	low, high = 100, 200
	if c := s.DeploymentConfiguration; c != nil {
		if c.MinimumHealthyPercent != nil {
			low = *c.MinimumHealthyPercent
		}
		if c.MaximumPercent != nil {
			high = *c.MaximumPercent
		}
	}
	return low, high
}

// deployable refuses a service in which nothing could be proved, or somebody deploys.
func deployable(name string, s types.Service) error {
	d := primary(s)
	low, high := bounds(s)
	switch {
	case s.DeploymentController != nil && s.DeploymentController.Type != types.DeploymentControllerTypeEcs:
		return &ops.UserError{What: fmt.Sprintf("%s is deployed by %s, not by ECS itself", name, s.DeploymentController.Type), Next: "Deploy it there."}
	case len(s.Deployments) > 1 || d.RolloutState == types.DeploymentRolloutStateInProgress:
		return &ops.UserError{
			What: fmt.Sprintf("a deployment of %s is going on: %s to %s, %d of %d running", name, aws.ToString(d.Id), last(aws.ToString(d.TaskDefinition)), d.RunningCount, d.DesiredCount),
			Next: fmt.Sprintf("Wait for its end: ecs status %s.", name),
		}
	case s.DesiredCount == 0:
		return &ops.UserError{What: fmt.Sprintf("%s is scaled to 0 tasks, so nothing would show whether the image works", name), Next: fmt.Sprintf("Scale it first: scale ecs %s 1.", name)}
	case s.DesiredCount*high/100 <= s.DesiredCount && (s.DesiredCount*low+99)/100 >= s.DesiredCount:
		return &ops.UserError{
			What: fmt.Sprintf("%s may neither start a task beside its %d nor stop one (minimum %d %%, maximum %d %%)", name, s.DesiredCount, low, high),
			Next: "Change its deployment configuration.",
		}
	}
	return nil
}

// registry is the part of an image's reference up to its repository: "host/".
func registry(image string) string {
	if i := strings.Index(image, "/"); i >= 0 && strings.ContainsAny(image[:i], ".:") {
		return image[:i+1]
	}
	return ""
}

// repository is the repository in an image's reference, without host, tag and digest.
func repository(image string) string {
	image = strings.TrimPrefix(image, registry(image))
	image, _, _ = strings.Cut(image, "@")
	image, _, _ = strings.Cut(image, ":")
	return image
}

// container finds whose image changes: the named container, or the only one of the image's
// repository, or the only one there is.
func container(d *types.TaskDefinition, image, name string) (types.ContainerDefinition, string, error) {
	wanted := ""
	if r, _, ok := strings.Cut(image, "@"); ok {
		wanted = r
	}
	var fit []types.ContainerDefinition
	var names []string
	for _, c := range d.ContainerDefinitions {
		names = append(names, aws.ToString(c.Name))
		if (name == "" || aws.ToString(c.Name) == name) && (wanted == "" || repository(aws.ToString(c.Image)) == repository(wanted)) {
			fit = append(fit, c)
		}
	}
	if len(fit) != 1 {
		return types.ContainerDefinition{}, "", &ops.UserError{What: fmt.Sprintf("%d containers could be meant", len(fit)), Next: "Name one with --container: " + strings.Join(names, ", ") + "."}
	}
	return fit[0], repository(aws.ToString(fit[0].Image)), nil
}

// digest resolves what was typed, a digest or a tag, and sees that the image exists.
func (s Site) digest(ctx context.Context, api *ecr.Client, repo, image string) (string, error) {
	if _, d, ok := strings.Cut(image, "@"); ok {
		image = d
	}
	id := ecrtypes.ImageIdentifier{ImageTag: &image}
	if strings.HasPrefix(image, "sha256:") {
		id = ecrtypes.ImageIdentifier{ImageDigest: &image}
	}
	out, err := api.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: &repo, ImageIds: []ecrtypes.ImageIdentifier{id}})
	var noImage *ecrtypes.ImageNotFoundException
	var noRepo *ecrtypes.RepositoryNotFoundException
	if errors.As(err, &noImage) || errors.As(err, &noRepo) || err == nil && len(out.ImageDetails) == 0 {
		return "", &ops.UserError{What: fmt.Sprintf("there is no image %s in the repository %s in %s", image, repo, s.Where()), Next: fmt.Sprintf("image list %s shows those there are.", repo)}
	}
	if err != nil {
		return "", s.Explain(err)
	}
	return aws.ToString(out.ImageDetails[0].ImageDigest), nil
}
