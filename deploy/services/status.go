package services

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"twokey/deploy"
	"twokey/ops"
)

// statusOf is "ecs status CLUSTER/SERVICE".
type statusOf struct{ sites map[string]Site }

func (statusOf) Kind() string { return "ecs status" }

// Answer lists the deployments of a service, its newest events and why tasks stopped.
func (q statusOf) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	site, err := pick(q.sites, call.Environment)
	if err != nil {
		return ops.Answer{}, err
	}
	if _, _, err := split(call.Args[0]); err != nil {
		return ops.Answer{}, err
	}
	if _, err := site.Verify(ctx); err != nil {
		return ops.Answer{}, err
	}
	api := ecs.NewFromConfig(site.ForPlan(call.Kind))
	s, err := site.service(ctx, api, call.Args[0])
	if err != nil {
		return ops.Answer{}, err
	}
	a := ops.Answer{
		Title: fmt.Sprintf("%s in %s: %d of %d tasks run", call.Args[0], site.Where(), s.RunningCount, s.DesiredCount),
		Table: &ops.Table{Columns: []string{"Deployment", "Definition", "State", "Running", "Pending", "Failed"}},
	}
	for _, d := range s.Deployments {
		a.Table.Rows = append(a.Table.Rows, []string{
			aws.ToString(d.Id), last(aws.ToString(d.TaskDefinition)), strings.ToLower(aws.ToString(d.Status) + " " + string(d.RolloutState)),
			fmt.Sprintf("%d of %d", d.RunningCount, d.DesiredCount), fmt.Sprint(d.PendingCount), fmt.Sprint(d.FailedTasks),
		})
	}
	out, err := api.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: s.TaskDefinition})
	if err != nil {
		return ops.Answer{}, site.Explain(err)
	}
	for _, c := range out.TaskDefinition.ContainerDefinitions {
		a.Lines = append(a.Lines, fmt.Sprintf("%s: %s", aws.ToString(c.Name), deploy.Mask(aws.ToString(c.Image))))
	}
	a.Lines = append(a.Lines, site.stopped(ctx, api, call.Args[0], "")...)
	for i, e := range s.Events {
		if i == 3 {
			break
		}
		a.Lines = append(a.Lines, aws.ToTime(e.CreatedAt).UTC().Format("15:04:05")+" "+deploy.Short(deploy.Mask(aws.ToString(e.Message)), 300))
	}
	return a, nil
}
