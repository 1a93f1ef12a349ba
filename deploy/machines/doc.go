// Package machines is the operations on Auto Scaling groups and EC2 instances: how many
// there are, replacing them by an instance refresh, and ending named ones.
package machines

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"twokey/deploy"
	"twokey/ops"
)

// Site is one environment's account, with what the configuration says for this package.
type Site struct {
	*deploy.Account
}

// Groups is the methods used of *autoscaling.Client.
type Groups interface {
	DescribeAutoScalingGroups(context.Context, *autoscaling.DescribeAutoScalingGroupsInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error)
	DescribeScalingActivities(context.Context, *autoscaling.DescribeScalingActivitiesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeScalingActivitiesOutput, error)
	DescribePolicies(context.Context, *autoscaling.DescribePoliciesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribePoliciesOutput, error)
	UpdateAutoScalingGroup(context.Context, *autoscaling.UpdateAutoScalingGroupInput, ...func(*autoscaling.Options)) (*autoscaling.UpdateAutoScalingGroupOutput, error)
	DescribeInstanceRefreshes(context.Context, *autoscaling.DescribeInstanceRefreshesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeInstanceRefreshesOutput, error)
	StartInstanceRefresh(context.Context, *autoscaling.StartInstanceRefreshInput, ...func(*autoscaling.Options)) (*autoscaling.StartInstanceRefreshOutput, error)
	CancelInstanceRefresh(context.Context, *autoscaling.CancelInstanceRefreshInput, ...func(*autoscaling.Options)) (*autoscaling.CancelInstanceRefreshOutput, error)
}

// Instances is the methods used of *ec2.Client.
type Instances interface {
	DescribeInstances(context.Context, *ec2.DescribeInstancesInput, ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error)
	DescribeInstanceAttribute(context.Context, *ec2.DescribeInstanceAttributeInput, ...func(*ec2.Options)) (*ec2.DescribeInstanceAttributeOutput, error)
	TerminateInstances(context.Context, *ec2.TerminateInstancesInput, ...func(*ec2.Options)) (*ec2.TerminateInstancesOutput, error)
}

// Operations returns the operations over sites, keyed by environment name.
func Operations(sites map[string]Site) []ops.Operation {
	return []ops.Operation{scaleGroup{sites}, refreshGroup{sites}, terminate{sites}}
}

// Queries returns the queries over sites.
func Queries(sites map[string]Site) []ops.Query { return []ops.Query{describeGroup{sites}} }

const paramEnvironment = "environment"

// pick is the site of an environment.
func pick(sites map[string]Site, environment string) (Site, error) {
	if s, ok := sites[environment]; ok {
		return s, nil
	}
	accounts := make(map[string]*deploy.Account, len(sites))
	for name, s := range sites {
		accounts[name] = s.Account
	}
	_, err := deploy.Pick(accounts, environment)
	return Site{}, err
}

var groupName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._/@+=-]{0,254}$`)

// group reads one group.
func (s Site) group(ctx context.Context, api Groups, name string) (types.AutoScalingGroup, error) {
	if !groupName.MatchString(name) {
		return types.AutoScalingGroup{}, &ops.UserError{What: fmt.Sprintf("%q cannot be the name of an Auto Scaling group", name), Next: "Check the name."}
	}
	out, err := api.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil {
		return types.AutoScalingGroup{}, s.Explain(err)
	}
	for _, g := range out.AutoScalingGroups {
		if aws.ToString(g.AutoScalingGroupName) == name {
			return g, nil
		}
	}
	e := &ops.UserError{What: fmt.Sprintf("there is no Auto Scaling group %s in %s", name, s.Where()), Next: "Check the name and the environment."}
	if all, err := api.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{}); err == nil {
		var names []string
		for _, g := range all.AutoScalingGroups {
			names = append(names, aws.ToString(g.AutoScalingGroupName))
		}
		if like := deploy.Near(name, names); len(like) > 0 {
			e.Next = "Did you mean " + strings.Join(like, " or ") + "?"
		}
	}
	return types.AutoScalingGroup{}, e
}

// inService is how many instances of a group take traffic.
func inService(g types.AutoScalingGroup) int {
	n := 0
	for _, i := range g.Instances {
		if i.LifecycleState == types.LifecycleStateInService && aws.ToString(i.HealthStatus) == "Healthy" {
			n++
		}
	}
	return n
}

// suspended are the processes of a group that somebody has suspended.
func suspended(g types.AutoScalingGroup) []string {
	var names []string
	for _, p := range g.SuspendedProcesses {
		names = append(names, aws.ToString(p.ProcessName))
	}
	slices.Sort(names)
	return names
}

// trouble is the newest activity of a group that failed; empty: none of the newest did.
func (s Site) trouble(ctx context.Context, api Groups, name string) string {
	out, err := api.DescribeScalingActivities(ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: &name, MaxRecords: aws.Int32(10)})
	if err != nil {
		return "" // there is merely less to tell
	}
	for _, a := range out.Activities {
		if a.StatusCode == types.ScalingActivityStatusCodeFailed || a.StatusCode == types.ScalingActivityStatusCodeCancelled {
			return deploy.Short(deploy.Mask(aws.ToString(a.StatusMessage)), 300)
		}
	}
	return ""
}
