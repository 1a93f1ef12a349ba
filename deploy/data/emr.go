package data

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/emr"
	"github.com/aws/aws-sdk-go-v2/service/emr/types"

	"twokey/deploy"
	"twokey/ops"
)

const (
	kindCluster    = "emr create"
	kindStep       = "emr step"
	kindEndCluster = "emr terminate"
	paramCluster   = "cluster"
	clusterKey     = "cluster"
	stepKey        = "step"
	tokenTag       = "twokey-token"
)

// EMR is the methods used of *emr.Client.
type EMR interface {
	RunJobFlow(context.Context, *emr.RunJobFlowInput, ...func(*emr.Options)) (*emr.RunJobFlowOutput, error)
	ListClusters(context.Context, *emr.ListClustersInput, ...func(*emr.Options)) (*emr.ListClustersOutput, error)
	DescribeCluster(context.Context, *emr.DescribeClusterInput, ...func(*emr.Options)) (*emr.DescribeClusterOutput, error)
	AddJobFlowSteps(context.Context, *emr.AddJobFlowStepsInput, ...func(*emr.Options)) (*emr.AddJobFlowStepsOutput, error)
	ListSteps(context.Context, *emr.ListStepsInput, ...func(*emr.Options)) (*emr.ListStepsOutput, error)
	DescribeStep(context.Context, *emr.DescribeStepInput, ...func(*emr.Options)) (*emr.DescribeStepOutput, error)
	CancelSteps(context.Context, *emr.CancelStepsInput, ...func(*emr.Options)) (*emr.CancelStepsOutput, error)
	TerminateJobFlows(context.Context, *emr.TerminateJobFlowsInput, ...func(*emr.Options)) (*emr.TerminateJobFlowsOutput, error)
}

var clusterID = regexp.MustCompile(`^j-[A-Z0-9]{8,20}$`)

// cluster reads a cluster.
func (s Site) cluster(ctx context.Context, api EMR, id string) (types.Cluster, error) {
	if !clusterID.MatchString(id) {
		return types.Cluster{}, &ops.UserError{What: fmt.Sprintf("%q is no cluster's id", id), Next: "Give it as EMR tells it, like j-2AXXXXXXGAPLF."}
	}
	out, err := api.DescribeCluster(ctx, &emr.DescribeClusterInput{ClusterId: &id})
	if err != nil {
		return types.Cluster{}, s.Explain(err)
	}
	if out.Cluster == nil || out.Cluster.Status == nil {
		return types.Cluster{}, fmt.Errorf("cluster %s is unreadable", id)
	}
	return *out.Cluster, nil
}

// why is the reason of a cluster's state.
func why(c types.Cluster) string {
	if r := c.Status.StateChangeReason; r != nil {
		return deploy.Short(deploy.Mask(strings.TrimSpace(string(r.Code)+" "+aws.ToString(r.Message))), 300)
	}
	return ""
}

// over reports whether a cluster has ended or is ending.
func over(s types.ClusterState) bool {
	return s == types.ClusterStateTerminated || s == types.ClusterStateTerminatedWithErrors || s == types.ClusterStateTerminating
}

// clusterStatus is "emr status CLUSTER".
type clusterStatus struct{ sites map[string]Site }

func (clusterStatus) Kind() string { return "emr status" }

// Answer tells a cluster's state and its newest steps.
func (q clusterStatus) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	site, err := pick(q.sites, call.Environment)
	if err != nil {
		return ops.Answer{}, err
	}
	if _, err := site.Verify(ctx); err != nil {
		return ops.Answer{}, err
	}
	api := emr.NewFromConfig(site.ForPlan(call.Kind))
	c, err := site.cluster(ctx, api, call.Args[0])
	if err != nil {
		return ops.Answer{}, err
	}
	a := ops.Answer{Title: fmt.Sprintf("%s (%s) in %s: %s", call.Args[0], aws.ToString(c.Name), site.Where(), c.Status.State), Table: &ops.Table{Columns: []string{"Step", "Name", "State"}}}
	if w := why(c); w != "" {
		a.Lines = append(a.Lines, w)
	}
	out, err := api.ListSteps(ctx, &emr.ListStepsInput{ClusterId: aws.String(call.Args[0])})
	if err != nil {
		return ops.Answer{}, site.Explain(err)
	}
	for i, x := range out.Steps {
		if i == 20 {
			break
		}
		state := ""
		if x.Status != nil {
			state = string(x.Status.State)
		}
		a.Table.Rows = append(a.Table.Rows, []string{aws.ToString(x.Id), deploy.Short(deploy.Mask(aws.ToString(x.Name)), 80), state})
	}
	return a, nil
}
