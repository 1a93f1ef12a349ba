package data

import (
	"context"
	"fmt"
	"strings"
	"time"
	"twokey/deploy"
	"twokey/ops"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/emr"
	"github.com/aws/aws-sdk-go-v2/service/emr/types"
	"github.com/kballard/go-shellquote"
)

// runStep is "emr step CLUSTER --jar …": one step of a cluster, followed to its end.
type runStep struct{ sites map[string]Site }

func (o runStep) Kind() string { return kindStep }

func (o runStep) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "step" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	args, err := shellquote.Split(ref.Params["args"])
	if err != nil {
		return nil, fmt.Errorf("arguments of the step: %w", err)
	}
	return jobStep{site, ref.Params[paramCluster], ref.Params["jar"], args}, nil
}

// Plan refuses a cluster that takes no steps.
func (o runStep) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	id, jar, args := call.Args[0], "command-runner.jar", call.Flags["args"]
	switch {
	case call.Flags["jar"] != "":
		jar = call.Flags["jar"]
	case call.Flags["script"] != "":
		args = strings.TrimSpace(shellquote.Join("spark-submit", call.Flags["script"]) + " " + args)
	default:
		return ops.Plan{}, &ops.UserError{What: "What is to be run?", Next: "Give --script s3://BUCKET/JOB.py or --jar s3://BUCKET/JOB.jar."}
	}
	if _, err := shellquote.Split(args); err != nil {
		return ops.Plan{}, &ops.UserError{What: "a quote in --args is not closed, or a backslash stands at its end", Next: `Quote as in a shell: --args "--title 'first quarter' --n 3".`}
	}
	c, err := site.cluster(ctx, emr.NewFromConfig(site.ForPlan(call.Kind)), id)
	if err != nil {
		return ops.Plan{}, err
	}
	if c.Status.State != types.ClusterStateWaiting && c.Status.State != types.ClusterStateRunning {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("cluster %s is %s and takes no steps", id, c.Status.State), Next: "Choose one that is WAITING or RUNNING."}
	}
	return ops.Plan{
		Call: call, Class: ops.R2, Targets: []string{id},
		Title:  fmt.Sprintf("Run a step on EMR cluster %s (%s) in %s", id, aws.ToString(c.Name), site.Where()),
		Effect: "runs " + deploy.Short(deploy.Mask(jar+" "+args), 300),
		Steps: []ops.StepRef{{Name: "step", Version: 1, Title: "run it, follow it to its end", Params: map[string]string{
			paramEnvironment: call.Environment, paramCluster: id, "jar": jar, "args": args,
		}}},
		Undo:  []string{"The step is cancelled where it has not ended. What it wrote stays."},
		Keeps: []string{"what the step wrote."},
		Locks: []string{site.Lock(number, "EMR cluster", id)},
		Shown: []ops.Line{{Label: "Account", Text: number + ", " + site.Region}, {Label: "Cluster", Text: fmt.Sprintf("%s, %s, %s", aws.ToString(c.Name), c.Status.State, aws.ToString(c.ReleaseLabel))}},
	}, nil
}

// jobStep runs one step of a cluster.
type jobStep struct {
	site         Site
	cluster, jar string
	args         []string
}

func (s jobStep) api(t *ops.Tick) EMR { return emr.NewFromConfig(s.site.ForRun(t)) }

// named is the step's name, by which it is found again.
func named(token string) string { return "twokey " + token }

func (s jobStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	var r request
	if _, err := t.Load(&r); err != nil {
		return err
	}
	text, name := "run", named(token)
	c := ops.Change{Key: stepKey, Resource: "EMR cluster " + s.cluster, Setting: "step", Intended: &text}
	return r.send(ctx, t, token, c, func() (string, error) {
		out, err := s.api(t).AddJobFlowSteps(ctx, &emr.AddJobFlowStepsInput{JobFlowId: &s.cluster, Steps: []types.StepConfig{{
			Name: &name, ActionOnFailure: types.ActionOnFailureContinue, HadoopJarStep: &types.HadoopJarStepConfig{Jar: &s.jar, Args: s.args},
		}}})
		if err != nil {
			return "", s.site.Explain(err)
		}
		if len(out.StepIds) != 1 {
			return "", nil // it is looked for
		}
		return out.StepIds[0], nil
	})
}

// own finds this run's step, by its name if its reply was lost.
func (s jobStep) own(ctx context.Context, t *ops.Tick) (n request, step *types.Step, err error) {
	if known, err := t.Load(&n); err != nil || !known || n.ID == "" && n.Sent.IsZero() {
		return n, nil, err
	}
	if n.ID == "" {
		in := &emr.ListStepsInput{ClusterId: &s.cluster}
		for {
			out, err := s.api(t).ListSteps(ctx, in)
			if err != nil {
				return n, nil, s.site.Explain(err)
			}
			for _, x := range out.Steps {
				if aws.ToString(x.Name) == named(n.Token) {
					n.ID = aws.ToString(x.Id)
				}
			}
			if in.Marker = out.Marker; aws.ToString(out.Marker) == "" || n.ID != "" {
				break
			}
		}
		if n.ID == "" {
			return n, nil, nil
		}
		if err := t.Save(n); err != nil {
			return n, nil, err
		}
	}
	out, err := s.api(t).DescribeStep(ctx, &emr.DescribeStepInput{ClusterId: &s.cluster, StepId: &n.ID})
	if err != nil {
		return n, nil, s.site.Explain(err)
	}
	if out.Step == nil || out.Step.Status == nil {
		return n, nil, fmt.Errorf("step %s is unreadable", n.ID)
	}
	return n, out.Step, nil
}

func (s jobStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	n, step, err := s.own(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	if step == nil {
		return n.absent(t, "step")
	}
	switch state := step.Status.State; state {
	case types.StepStateCompleted:
		if err := t.Settle(ctx, stepKey, ops.Kept, &n.ID, ""); err != nil {
			return ops.Progress{}, err
		}
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("step %s is completed", n.ID)}}, nil
	case types.StepStateFailed, types.StepStateCancelled, types.StepStateInterrupted:
		reason := fmt.Sprintf("step %s is %s", n.ID, state)
		if d := step.Status.FailureDetails; d != nil {
			reason += fmt.Sprintf(": %s %s (log: %s)", aws.ToString(d.Reason), deploy.Short(deploy.Mask(aws.ToString(d.Message)), 300), aws.ToString(d.LogFile))
		}
		return ops.Progress{Phase: ops.Failed, Reason: reason}, nil
	default:
		return ops.Progress{Phase: ops.Waiting, Wait: 10 * time.Second, Status: ops.Status{Headline: fmt.Sprintf("step %s is %s, %s since the beginning", n.ID, state, t.Now().Sub(n.Since).Round(time.Second))}}, nil
	}
}

func (s jobStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if _, recorded := t.Entry(stepKey); !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	n, step, err := s.own(ctx, t)
	switch {
	case err != nil:
		return ops.Progress{}, err
	case step == nil:
		return n.gone(ctx, t, stepKey, "step")
	}
	switch state := step.Status.State; state {
	case types.StepStatePending, types.StepStateRunning:
		if err := t.Fence(ctx); err != nil {
			return ops.Progress{}, err
		}
		_, err := s.api(t).CancelSteps(ctx, &emr.CancelStepsInput{ClusterId: &s.cluster, StepIds: []string{n.ID}, StepCancellationOption: types.StepCancellationOptionTerminateProcess})
		return ops.Progress{Phase: ops.Waiting, Wait: 5 * time.Second, Status: ops.Status{Headline: "Cancelling the step"}}, s.site.Explain(err)
	case types.StepStateCancelPending:
		return ops.Progress{Phase: ops.Waiting, Wait: 5 * time.Second, Status: ops.Status{Headline: "Cancelling the step"}}, nil
	default:
		after := fmt.Sprintf("%s is %s", n.ID, state)
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, stepKey, ops.Left, &after, "what the step wrote stays")
	}
}
