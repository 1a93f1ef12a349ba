package images

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// usage is what in an account and region names images.
type usage struct {
	// References are what names an image as registries do: "host/repo:tag",
	// "host/repo@sha256:…". The value says who does: "task definition web:7".
	References map[string]string
	// Digests are of what runs now.
	Digests map[string]string
	// Values are of parameters of stacks.
	Values map[string]string
}

// definitions are the images of task definitions, which never change, by ARN.
type definitions map[string][]string

// perRead is how many task definitions are read at once: they are one call each.
const perRead = 120

// usage reads who uses which images. known is what task definitions name, as far as they
// were read before; it is added to. more says that there are task definitions left to be
// read: the usage is not whole then, and another call goes on.
func (s Site) usage(ctx context.Context, services Services, stacks Stacks, known definitions) (u usage, more bool, err error) {
	u = usage{map[string]string{}, map[string]string{}, map[string]string{}}
	wanted, err := s.active(ctx, services)
	if err != nil {
		return u, false, err
	}
	ran, err := s.tasks(ctx, services, u)
	if err != nil {
		return u, false, err
	}
	for arn := range ran {
		wanted[arn] = true
	}
	read := 0
	for arn := range wanted {
		if _, ok := known[arn]; ok {
			continue
		}
		if read++; read > perRead {
			more = true
			continue
		}
		out, err := services.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &arn})
		if err != nil {
			return u, false, s.Explain(err)
		}
		if out.TaskDefinition == nil {
			return u, false, fmt.Errorf("task definition %s is unreadable", arn)
		}
		names := []string{}
		for _, c := range out.TaskDefinition.ContainerDefinitions {
			names = append(names, aws.ToString(c.Image))
		}
		known[arn] = names
	}
	for arn := range wanted {
		for _, name := range known[arn] {
			u.References[name] = "task definition " + arn[strings.LastIndex(arn, "/")+1:]
		}
	}
	return u, more, s.parameters(ctx, stacks, u)
}

// active lists the active task definitions.
func (s Site) active(ctx context.Context, api Services) (map[string]bool, error) {
	all := map[string]bool{}
	in := &ecs.ListTaskDefinitionsInput{Status: ecstypes.TaskDefinitionStatusActive}
	for {
		out, err := api.ListTaskDefinitions(ctx, in)
		if err != nil {
			return nil, s.Explain(err)
		}
		for _, arn := range out.TaskDefinitionArns {
			all[arn] = true
		}
		if in.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			return all, nil
		}
	}
}

// tasks reads services and tasks of all clusters: the task definitions they use, active or
// not, and the digests of what runs.
func (s Site) tasks(ctx context.Context, api Services, u usage) (map[string]bool, error) {
	used := map[string]bool{}
	clusters := &ecs.ListClustersInput{}
	for {
		out, err := api.ListClusters(ctx, clusters)
		if err != nil {
			return nil, s.Explain(err)
		}
		for _, cluster := range out.ClusterArns {
			if err := s.cluster(ctx, api, cluster, used, u); err != nil {
				return nil, err
			}
		}
		if clusters.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			return used, nil
		}
	}
}

func (s Site) cluster(ctx context.Context, api Services, cluster string, used map[string]bool, u usage) error {
	services := &ecs.ListServicesInput{Cluster: &cluster, MaxResults: aws.Int32(10)}
	for {
		out, err := api.ListServices(ctx, services)
		if err != nil {
			return s.Explain(err)
		}
		if len(out.ServiceArns) > 0 {
			list, err := api.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &cluster, Services: out.ServiceArns})
			if err != nil {
				return s.Explain(err)
			}
			if len(list.Failures) > 0 {
				return fmt.Errorf("%d services of %s could not be read", len(list.Failures), cluster)
			}
			for _, x := range list.Services {
				used[aws.ToString(x.TaskDefinition)] = true
				for _, d := range x.Deployments {
					used[aws.ToString(d.TaskDefinition)] = true
				}
				for _, set := range x.TaskSets {
					used[aws.ToString(set.TaskDefinition)] = true
				}
			}
		}
		if services.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			break
		}
	}
	delete(used, "")
	tasks := &ecs.ListTasksInput{Cluster: &cluster, DesiredStatus: ecstypes.DesiredStatusRunning} // pending ones too
	for {
		out, err := api.ListTasks(ctx, tasks)
		if err != nil {
			return s.Explain(err)
		}
		for arns := range slices.Chunk(out.TaskArns, 100) {
			list, err := api.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &cluster, Tasks: arns})
			if err != nil {
				return s.Explain(err)
			}
			for _, t := range list.Tasks {
				if arn := aws.ToString(t.TaskDefinitionArn); arn != "" {
					used[arn] = true
				}
				for _, c := range t.Containers {
					who := "a task of " + cluster[strings.LastIndex(cluster, "/")+1:]
					if c.ImageDigest != nil {
						u.Digests[*c.ImageDigest] = who
					}
					if c.Image != nil {
						u.References[*c.Image] = who
					}
				}
			}
		}
		if tasks.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			return nil
		}
	}
}

// parameters reads the parameters of all stacks.
func (s Site) parameters(ctx context.Context, api Stacks, u usage) error {
	in := &cloudformation.DescribeStacksInput{}
	for {
		out, err := api.DescribeStacks(ctx, in)
		if err != nil {
			return s.Explain(err)
		}
		for _, x := range out.Stacks {
			for _, p := range x.Parameters {
				for _, v := range []string{aws.ToString(p.ParameterValue), aws.ToString(p.ResolvedValue)} {
					if v != "" {
						u.Values[v] = "stack " + aws.ToString(x.StackName)
					}
				}
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			return nil
		}
	}
}

// by says who uses an image of a repository; empty: nobody. Rather too much counts as used
// than too little: a parameter with the value of one of its tags is enough.
func (u usage) by(repo string, i image) string {
	for ref, who := range u.References {
		if names(ref, repo, i) {
			return who
		}
	}
	if who, ok := u.Digests[i.Digest]; ok {
		return who
	}
	for value, who := range u.Values {
		if names(value, repo, i) || value == i.Digest || slices.Contains(i.Tags, value) || strings.Contains(value, i.Digest) {
			return who
		}
		for _, tag := range i.Tags {
			if strings.Contains(value, repo+":"+tag) {
				return who
			}
		}
	}
	return ""
}

// names reports whether a reference names an image of a repository: by digest, by tag, or,
// without either, as latest.
func names(ref, repo string, i image) bool {
	name, digest, byDigest := strings.Cut(ref, "@")
	slash := strings.LastIndex(name, "/")
	tag := "latest"
	if colon := strings.LastIndex(name, ":"); colon > slash {
		name, tag = name[:colon], name[colon+1:]
	}
	if name != repo && !strings.HasSuffix(name, "/"+repo) {
		return false
	}
	if byDigest {
		return digest == i.Digest
	}
	return slices.Contains(i.Tags, tag)
}
