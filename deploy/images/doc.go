// Package images is the operations on container images in ECR: listing, building from a
// commit by CodeBuild, moving a tag to another digest, and deleting what nothing uses.
//
// What is in use is read from everything in the account and region that can name an image:
// active task definitions, services with all their deployments, running and pending tasks,
// and the parameters of stacks, by tag or by digest. An image of several platforms keeps
// its parts. What cannot be read counts as in use: then nothing is deleted.
package images

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"twokey/deploy"
	"twokey/deploy/templates"
	"twokey/ops"
)

// Site is one environment's account, with what the configuration says for this package.
type Site struct {
	*deploy.Account
	// Builds say how images are built, by the name of their repository in ECR.
	Builds map[string]Build
	// Sources resolve commits.
	Sources templates.Sources
}

// Build is how an image is built.
type Build struct {
	Project    string // of CodeBuild
	Dockerfile string // that the commit must have; empty: not looked for
	Repository string // the git repository, as Sources names it
}

// Registry is the methods used of *ecr.Client.
type Registry interface {
	DescribeRepositories(context.Context, *ecr.DescribeRepositoriesInput, ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error)
	DescribeImages(context.Context, *ecr.DescribeImagesInput, ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error)
	BatchGetImage(context.Context, *ecr.BatchGetImageInput, ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error)
	BatchDeleteImage(context.Context, *ecr.BatchDeleteImageInput, ...func(*ecr.Options)) (*ecr.BatchDeleteImageOutput, error)
	PutImage(context.Context, *ecr.PutImageInput, ...func(*ecr.Options)) (*ecr.PutImageOutput, error)
	CreateRepository(context.Context, *ecr.CreateRepositoryInput, ...func(*ecr.Options)) (*ecr.CreateRepositoryOutput, error)
}

// Services is the methods used of *ecs.Client.
type Services interface {
	ListClusters(context.Context, *ecs.ListClustersInput, ...func(*ecs.Options)) (*ecs.ListClustersOutput, error)
	ListServices(context.Context, *ecs.ListServicesInput, ...func(*ecs.Options)) (*ecs.ListServicesOutput, error)
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
	ListTaskDefinitions(context.Context, *ecs.ListTaskDefinitionsInput, ...func(*ecs.Options)) (*ecs.ListTaskDefinitionsOutput, error)
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
}

// Stacks is the method used of *cloudformation.Client.
type Stacks interface {
	DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error)
}

// Operations returns the operations over sites, keyed by environment name.
func Operations(sites map[string]Site) []ops.Operation {
	return []ops.Operation{buildImages{sites}, promote{sites}, cleanup{sites}}
}

// Queries returns the queries over sites.
func Queries(sites map[string]Site) []ops.Query { return []ops.Query{listImages{sites}} }

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
