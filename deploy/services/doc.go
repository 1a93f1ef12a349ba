// Package services is the operations on ECS services: a new image by digest, followed by
// the id of its deployment, and how many tasks there are.
package services

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"twokey/deploy"
	"twokey/ops"
)

// Site is one environment's account, with what the configuration says for this package.
type Site struct {
	*deploy.Account
}

// ECS is the methods used of *ecs.Client.
type ECS interface {
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	UpdateService(context.Context, *ecs.UpdateServiceInput, ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error)
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
	ListTaskDefinitions(context.Context, *ecs.ListTaskDefinitionsInput, ...func(*ecs.Options)) (*ecs.ListTaskDefinitionsOutput, error)
	RegisterTaskDefinition(context.Context, *ecs.RegisterTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.RegisterTaskDefinitionOutput, error)
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
	ListContainerInstances(context.Context, *ecs.ListContainerInstancesInput, ...func(*ecs.Options)) (*ecs.ListContainerInstancesOutput, error)
	DescribeContainerInstances(context.Context, *ecs.DescribeContainerInstancesInput, ...func(*ecs.Options)) (*ecs.DescribeContainerInstancesOutput, error)
	ListServiceDeployments(context.Context, *ecs.ListServiceDeploymentsInput, ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error)
	StopServiceDeployment(context.Context, *ecs.StopServiceDeploymentInput, ...func(*ecs.Options)) (*ecs.StopServiceDeploymentOutput, error)
}

// Operations returns the operations over sites, keyed by environment name.
func Operations(sites map[string]Site) []ops.Operation {
	return []ops.Operation{deployService{sites}, scaleService{sites}}
}

// Queries returns the queries over sites.
func Queries(sites map[string]Site) []ops.Query { return []ops.Query{statusOf{sites}} }

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

// serviceName is CLUSTER/SERVICE.
var serviceName = regexp.MustCompile(`^([A-Za-z0-9_-]{1,255})/([A-Za-z0-9_-]{1,255})$`)

// split reads CLUSTER/SERVICE.
func split(name string) (cluster, service string, err error) {
	m := serviceName.FindStringSubmatch(name)
	if m == nil {
		return "", "", &ops.UserError{What: fmt.Sprintf("%q names no service", name), Next: "Write it CLUSTER/SERVICE."}
	}
	return m[1], m[2], nil
}

// service reads one service.
func (s Site) service(ctx context.Context, api ECS, name string) (types.Service, error) {
	cluster, service, err := split(name)
	if err != nil {
		return types.Service{}, err
	}
	out, err := api.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &cluster, Services: []string{service}})
	if err != nil {
		return types.Service{}, s.Explain(err)
	}
	if len(out.Services) != 1 || aws.ToString(out.Services[0].Status) == "INACTIVE" {
		return types.Service{}, &ops.UserError{What: fmt.Sprintf("there is no service %s in %s", name, s.Where()), Next: "Check cluster, service and environment."}
	}
	return out.Services[0], nil
}

// primary is the deployment that new tasks are of.
func primary(s types.Service) types.Deployment {
	for _, d := range s.Deployments {
		if aws.ToString(d.Status) == "PRIMARY" {
			return d
		}
	}
	return types.Deployment{}
}

// last is what stands behind the last slash: "web:7" of a task definition's ARN.
func last(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

// stopped says why tasks of a service stopped lately, grouped, the commonest first.
func (s Site) stopped(ctx context.Context, api ECS, name string, definition string) []string {
	cluster, service, err := split(name)
	if err != nil {
		return nil
	}
	list, err := api.ListTasks(ctx, &ecs.ListTasksInput{Cluster: &cluster, ServiceName: &service, DesiredStatus: types.DesiredStatusStopped})
	if err != nil || len(list.TaskArns) == 0 {
		return nil // there is merely less to tell
	}
	out, err := api.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &cluster, Tasks: list.TaskArns[:min(len(list.TaskArns), 100)]})
	if err != nil {
		return nil
	}
	count := map[string]int{}
	var order []string
	for _, t := range out.Tasks {
		if definition != "" && aws.ToString(t.TaskDefinitionArn) != definition {
			continue
		}
		why := deploy.Short(deploy.Mask(aws.ToString(t.StoppedReason)), 200)
		for _, c := range t.Containers {
			if c.ExitCode != nil && *c.ExitCode != 0 {
				why += fmt.Sprintf("; %s exited with %d", aws.ToString(c.Name), *c.ExitCode)
			}
			if r := aws.ToString(c.Reason); r != "" {
				why += fmt.Sprintf("; %s: %s", aws.ToString(c.Name), deploy.Short(deploy.Mask(r), 200))
			}
		}
		if why != "" {
			if count[why]++; count[why] == 1 {
				order = append(order, why)
			}
		}
	}
	var lines []string
	for _, why := range order[:min(len(order), 3)] {
		lines = append(lines, fmt.Sprintf("%d stopped: %s", count[why], why))
	}
	return lines
}
