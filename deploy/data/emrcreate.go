package data

import (
	"context"
	"fmt"
	"strconv"
	"time"
	"twokey/ops"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/emr"
	"github.com/aws/aws-sdk-go-v2/service/emr/types"
)

// createCluster is "emr create NAME": a Spark cluster.
type createCluster struct{ sites map[string]Site }

func (o createCluster) Kind() string { return kindCluster }

func (o createCluster) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "create" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	return clusterStep{site, ref.Params}, nil
}

// Plan shows what would be started.
func (o createCluster) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	n, err := strconv.Atoi(call.Flags["workers"])
	if err != nil || n < 1 || n > 500 {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("--workers %s is no number of workers", call.Flags["workers"]), Next: "Give a number from 1 to 500."}
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	name := call.Args[0]
	params := map[string]string{paramEnvironment: call.Environment, "name": name, "workers": strconv.Itoa(n)}
	for flag, fallback := range map[string]string{"release": "emr-7.1.0", "type": "m5.xlarge", "logs": "", "subnet": "", "role": "EMR_DefaultRole", "instance-role": "EMR_EC2_DefaultRole"} {
		if params[flag] = call.Flags[flag]; params[flag] == "" {
			params[flag] = fallback
		}
	}
	return ops.Plan{
		Call: call, Class: ops.R2, Targets: []string{name},
		Title:  fmt.Sprintf("Create EMR cluster %s in %s", name, site.Where()),
		Effect: fmt.Sprintf("starts %d machines of type %s, which cost until emr terminate", n+1, params["type"]),
		Steps:  []ops.StepRef{{Name: "create", Version: 1, Title: "start the cluster, wait until it takes steps", Params: params}},
		Undo:   []string{"The cluster is terminated, if this run made it."},
		Keeps:  []string{"the cluster."},
		Locks:  []string{site.Lock(number, "EMR cluster", name)},
		Shown: []ops.Line{
			{Label: "Account", Text: number + ", " + site.Region}, {Label: "Release", Text: params["release"] + ", Spark"},
			{Label: "Machines", Text: fmt.Sprintf("1 master and %d workers of type %s", n, params["type"])}, {Label: "Roles", Text: params["role"] + ", " + params["instance-role"]},
		},
	}, nil
}

// clusterStep starts a cluster.
type clusterStep struct {
	site   Site
	params map[string]string
}

func (s clusterStep) api(t *ops.Tick) EMR { return emr.NewFromConfig(s.site.ForRun(t)) }

func (s clusterStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	var r request
	if _, err := t.Load(&r); err != nil {
		return err
	}
	workers, err := strconv.ParseInt(s.params["workers"], 10, 32)
	if err != nil {
		return err
	}
	group := func(role types.InstanceRoleType, n int32) types.InstanceGroupConfig {
		return types.InstanceGroupConfig{InstanceRole: role, InstanceType: aws.String(s.params["type"]), InstanceCount: &n}
	}
	in := &emr.RunJobFlowInput{
		Name: aws.String(s.params["name"]), ReleaseLabel: aws.String(s.params["release"]), Applications: []types.Application{{Name: aws.String("Spark")}},
		ServiceRole: aws.String(s.params["role"]), JobFlowRole: aws.String(s.params["instance-role"]),
		Tags: []types.Tag{{Key: aws.String(tokenTag), Value: &token}, {Key: aws.String("Name"), Value: aws.String(s.params["name"])}},
		Instances: &types.JobFlowInstancesConfig{
			KeepJobFlowAliveWhenNoSteps: aws.Bool(true), InstanceGroups: []types.InstanceGroupConfig{group(types.InstanceRoleTypeMaster, 1), group(types.InstanceRoleTypeCore, int32(workers))},
		},
	}
	if s.params["logs"] != "" {
		in.LogUri = aws.String(s.params["logs"])
	}
	if s.params["subnet"] != "" {
		in.Instances.Ec2SubnetId = aws.String(s.params["subnet"])
	}
	text := "started"
	c := ops.Change{Key: clusterKey, Resource: "account", Setting: "EMR cluster " + s.params["name"], Intended: &text}
	return r.send(ctx, t, token, c, func() (string, error) {
		out, err := s.api(t).RunJobFlow(ctx, in)
		if err != nil {
			return "", s.site.Explain(err)
		}
		return aws.ToString(out.JobFlowId), nil
	})
}

// own finds this run's cluster, by its tag if its reply was lost.
func (s clusterStep) own(ctx context.Context, t *ops.Tick) (request, error) {
	var n request
	known, err := t.Load(&n)
	if err != nil || !known || n.ID != "" || n.Sent.IsZero() {
		return n, err
	}
	since := n.Since.Add(-5 * time.Minute)
	in := &emr.ListClustersInput{CreatedAfter: &since}
	for {
		out, err := s.api(t).ListClusters(ctx, in)
		if err != nil {
			return n, s.site.Explain(err)
		}
		for _, c := range out.Clusters {
			if aws.ToString(c.Name) != s.params["name"] {
				continue
			}
			full, err := s.site.cluster(ctx, s.api(t), aws.ToString(c.Id))
			if err != nil {
				return n, err
			}
			for _, tag := range full.Tags {
				if aws.ToString(tag.Key) == tokenTag && aws.ToString(tag.Value) == n.Token {
					n.ID = aws.ToString(c.Id)
					return n, t.Save(n)
				}
			}
		}
		if in.Marker = out.Marker; aws.ToString(out.Marker) == "" {
			return n, nil
		}
	}
}

func (s clusterStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	n, err := s.own(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	if n.ID == "" {
		return n.absent(t, "cluster")
	}
	c, err := s.site.cluster(ctx, s.api(t), n.ID)
	if err != nil {
		return ops.Progress{}, err
	}
	switch state := c.Status.State; {
	case over(state):
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("cluster %s is %s: %s", n.ID, state, why(c))}, nil
	case state == types.ClusterStateWaiting, state == types.ClusterStateRunning:
		if err := t.Settle(ctx, clusterKey, ops.Kept, &n.ID, ""); err != nil {
			return ops.Progress{}, err
		}
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("cluster %s (%s) takes steps: emr step %s", s.params["name"], n.ID, n.ID)}}, nil
	default:
		return ops.Progress{Phase: ops.Waiting, Wait: 10 * time.Second, Status: ops.Status{Headline: fmt.Sprintf("cluster %s is %s, %s since the beginning", n.ID, state, t.Now().Sub(n.Since).Round(time.Second))}}, nil
	}
}

func (s clusterStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if _, recorded := t.Entry(clusterKey); !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	n, err := s.own(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	if n.ID == "" {
		return n.gone(ctx, t, clusterKey, "cluster")
	}
	return ended(ctx, t, s.site, s.api(t), n.ID, func() error { return t.Settle(ctx, clusterKey, ops.Restored, nil, "") })
}
