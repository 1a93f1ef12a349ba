package images

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"twokey/deploy"
	"twokey/ops"
)

// codeBuild is AWS CodeBuild. The project's buildspec gets IMAGE_REPO, IMAGE_TAG and
// IMAGE_COMMIT, and exports IMAGE_DIGEST (docs/images.md).
type codeBuild struct {
	builds *codebuild.Client
	logs   *cloudwatchlogs.Client
}

func (s buildStep) builder(t *ops.Tick) Builder {
	cfg := s.site.ForRun(t)
	return codeBuild{codebuild.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)}
}

// tokenVariable marks a build as that of a step's attempt: CodeBuild forgets its own token
// after five minutes
// (https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html).
const tokenVariable = "TWOKEY_TOKEN"

func (c codeBuild) Start(ctx context.Context, b order, token string) (string, error) {
	plain := func(name, value string) types.EnvironmentVariable {
		return types.EnvironmentVariable{Name: &name, Value: &value, Type: types.EnvironmentVariableTypePlaintext}
	}
	out, err := c.builds.StartBuild(ctx, &codebuild.StartBuildInput{
		ProjectName: &b.project, SourceVersion: &b.commit, IdempotencyToken: &token,
		EnvironmentVariablesOverride: []types.EnvironmentVariable{
			plain("IMAGE_REPO", b.repo), plain("IMAGE_TAG", b.tag), plain("IMAGE_COMMIT", b.commit), plain(tokenVariable, token),
		},
	})
	if err != nil {
		return "", err
	}
	if out.Build == nil {
		return "", fmt.Errorf("CodeBuild began no build")
	}
	return aws.ToString(out.Build.Id), nil
}

func (c codeBuild) Find(ctx context.Context, b order, token string) (string, error) {
	list, err := c.builds.ListBuildsForProject(ctx, &codebuild.ListBuildsForProjectInput{ProjectName: &b.project, SortOrder: types.SortOrderTypeDescending})
	if err != nil {
		return "", err
	}
	if len(list.Ids) == 0 {
		return "", nil
	}
	out, err := c.builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: list.Ids[:min(len(list.Ids), 100)]})
	if err != nil {
		return "", err
	}
	for _, x := range out.Builds {
		if x.Environment == nil {
			continue
		}
		for _, v := range x.Environment.EnvironmentVariables {
			if aws.ToString(v.Name) == tokenVariable && aws.ToString(v.Value) == token {
				return aws.ToString(x.Id), nil
			}
		}
	}
	return "", nil
}

func (c codeBuild) Look(ctx context.Context, id string) (progress, error) {
	out, err := c.builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{id}})
	if err != nil {
		return progress{}, err
	}
	if len(out.Builds) != 1 {
		return progress{}, fmt.Errorf("CodeBuild knows %d builds of the id %s", len(out.Builds), id)
	}
	b := out.Builds[0]
	p := progress{
		running: b.BuildStatus == types.StatusTypeInProgress, good: b.BuildStatus == types.StatusTypeSucceeded,
		phase: cmp.Or(aws.ToString(b.CurrentPhase), "SUBMITTED"), began: aws.ToTime(b.StartTime),
	}
	for _, ph := range b.Phases {
		if ph.PhaseStatus == types.StatusTypeFailed || ph.PhaseStatus == types.StatusTypeFault || ph.PhaseStatus == types.StatusTypeTimedOut {
			p.phase = string(ph.PhaseType)
			var why []string
			for _, x := range ph.Contexts {
				why = append(why, strings.TrimSpace(aws.ToString(x.StatusCode)+" "+aws.ToString(x.Message)))
			}
			p.why = deploy.Short(deploy.Mask(strings.Join(why, "; ")), 400)
			break
		}
	}
	p.why = cmp.Or(p.why, string(b.BuildStatus))
	for _, v := range b.ExportedEnvironmentVariables {
		if aws.ToString(v.Name) == "IMAGE_DIGEST" {
			p.digest = aws.ToString(v.Value)
		}
	}
	if b.Logs != nil && b.Logs.GroupName != nil && b.Logs.StreamName != nil {
		p.log = c.tail(ctx, *b.Logs.GroupName, *b.Logs.StreamName, map[bool]int32{true: 5, false: 100}[p.running])
	}
	return p, nil
}

// tail is the last lines of a log; what cannot be read is merely not shown.
func (c codeBuild) tail(ctx context.Context, group, stream string, n int32) []string {
	out, err := c.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: &group, LogStreamName: &stream, Limit: &n, StartFromHead: aws.Bool(false)})
	if err != nil {
		return []string{"The log cannot be read."}
	}
	var lines []string
	for _, e := range out.Events {
		lines = append(lines, deploy.Short(deploy.Mask(aws.ToString(e.Message)), 300))
	}
	return lines
}

func (c codeBuild) Stop(ctx context.Context, id string) error {
	_, err := c.builds.StopBuild(ctx, &codebuild.StopBuildInput{Id: &id})
	return err
}
