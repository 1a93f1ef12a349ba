package machines

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"twokey/deploy"
	"twokey/ops"
)

// describeGroup is "asg describe NAME".
type describeGroup struct{ sites map[string]Site }

func (describeGroup) Kind() string { return "asg describe" }

// Answer lists a group's bounds, instances and newest activities.
func (q describeGroup) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	site, err := pick(q.sites, call.Environment)
	if err != nil {
		return ops.Answer{}, err
	}
	if _, err := site.Verify(ctx); err != nil {
		return ops.Answer{}, err
	}
	api := autoscaling.NewFromConfig(site.ForPlan(call.Kind))
	g, err := site.group(ctx, api, call.Args[0])
	if err != nil {
		return ops.Answer{}, err
	}
	a := ops.Answer{
		Title: fmt.Sprintf("%s in %s: %d of %d in service, between %d and %d", call.Args[0], site.Where(), inService(g), aws.ToInt32(g.DesiredCapacity), aws.ToInt32(g.MinSize), aws.ToInt32(g.MaxSize)),
		Table: &ops.Table{Columns: []string{"Instance", "Zone", "State", "Health", "Protected"}},
	}
	if p := suspended(g); len(p) > 0 {
		a.Lines = append(a.Lines, "Suspended: "+strings.Join(p, ", ")+".")
	}
	for _, i := range g.Instances {
		a.Table.Rows = append(a.Table.Rows, []string{aws.ToString(i.InstanceId), aws.ToString(i.AvailabilityZone), string(i.LifecycleState), aws.ToString(i.HealthStatus), map[bool]string{true: "from scale-in"}[aws.ToBool(i.ProtectedFromScaleIn)]})
	}
	out, err := api.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: g.AutoScalingGroupName, MaxRecords: aws.Int32(5)})
	if err != nil {
		return ops.Answer{}, site.Explain(err)
	}
	for _, x := range out.Activities {
		line := fmt.Sprintf("%s %s: %s", aws.ToTime(x.StartTime).UTC().Format("2006-01-02 15:04"), x.StatusCode, deploy.Short(aws.ToString(x.Description), 200))
		if m := aws.ToString(x.StatusMessage); m != "" {
			line += ": " + deploy.Short(deploy.Mask(m), 200)
		}
		a.Lines = append(a.Lines, line)
	}
	return a, nil
}
