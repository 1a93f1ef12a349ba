package stacks

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/deploy"
	"twokey/ops"
)

func (w *writer) listSets(ctx context.Context, stack string) ([]types.ChangeSetSummary, error) {
	in := &cloudformation.ListChangeSetsInput{StackName: &stack}
	var all []types.ChangeSetSummary
	for {
		out, err := w.api.ListChangeSets(ctx, in)
		if err != nil {
			return nil, w.Explain(err)
		}
		all = append(all, out.Summaries...)
		if in.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			return all, nil
		}
	}
}

// leftovers deletes change sets of Twokey's own that no request can be waiting for any
// more: those of a process that was killed between making one and storing the request.
func (p *planner) leftovers(ctx context.Context) {
	sets, err := p.listSets(ctx, aws.ToString(p.stack.StackId))
	if err != nil {
		return // the next plan tries again
	}
	for _, s := range sets {
		if strings.HasPrefix(aws.ToString(s.ChangeSetName), setPrefix) && s.RootChangeSetId == nil && s.CreationTime != nil &&
			time.Since(*s.CreationTime) > leftover && s.ExecutionStatus != types.ExecutionStatusExecuteInProgress {
			_, _ = p.api.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{ChangeSetName: s.ChangeSetId}) // or the next plan
		}
	}
}

// makeSet makes the change set and waits until CloudFormation has compared.
func (p *planner) makeSet(ctx context.Context, parameters []types.Parameter) error {
	name := setPrefix + strings.ToLower(rand.Text()[:16])
	in := &cloudformation.CreateChangeSetInput{
		StackName: &p.name, ChangeSetName: &name, ClientToken: &name, ChangeSetType: types.ChangeSetTypeUpdate,
		Description: aws.String("made by Twokey for a request; deleted if that is not approved"),
		Parameters:  parameters, Capabilities: p.summary.Capabilities, IncludeNestedStacks: aws.Bool(true),
	}
	if !p.exists || p.stack.StackStatus == types.StackStatusReviewInProgress {
		in.ChangeSetType = types.ChangeSetTypeCreate
	} else {
		in.Tags = p.stack.Tags
	}
	if len(p.input.tags) > 0 {
		in.Tags = p.input.tags
	}
	if p.site.ServiceRole != "" {
		in.RoleARN = &p.site.ServiceRole
	}
	if err := p.place(ctx, &in.TemplateBody, &in.TemplateURL); err != nil {
		return err
	}
	// From here on there may be a change set, whatever the answer.
	made := ops.Plan{Call: p.call, Steps: []ops.StepRef{{Params: map[string]string{paramEnvironment: p.call.Environment, paramStack: p.name, paramSet: name}}}}
	undo := func(err error) error {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
		defer stop()
		if left := (deployStack{map[string]Site{p.call.Environment: p.site}}).Discard(ctx, made); left != nil {
			return errors.Join(err, left)
		}
		return err
	}
	out, err := p.api.CreateChangeSet(ctx, in)
	arn := ""
	switch {
	case err == nil:
		arn = aws.ToString(out.Id)
	default:
		if p.set, _ = p.readSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: &name, StackName: &p.name}, "", 0); p.set.ID == "" {
			return undo(p.invalid(err))
		}
		arn = p.set.ID // the reply was lost
	}
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 3*time.Second) {
		if p.set, err = p.changeSet(ctx, arn); err != nil {
			return undo(err)
		}
		if p.set.Status == types.ChangeSetStatusCreateComplete {
			return nil
		}
		if p.set.unchanged() {
			return undo(&ops.UserError{
				What: fmt.Sprintf("no changes: %s in %s is as the template and parameters say", p.name, p.Where()), Next: "There is nothing to deploy.",
			})
		}
		if p.set.Status == types.ChangeSetStatusFailed {
			return undo(&ops.UserError{
				What: fmt.Sprintf("CloudFormation could not make the change set for %s: %s", p.name, deploy.Short(deploy.Mask(p.set.Reason), 2*maxValue)),
				Next: "Correct the template or its parameters.",
			})
		}
		select {
		case <-ctx.Done():
			return undo(&ops.UserError{
				What: fmt.Sprintf("CloudFormation is still comparing the template with %s; its change set was withdrawn", p.name),
				Next: "Try again.", Err: ctx.Err(),
			})
		case <-time.After(wait):
		}
	}
}

// Discard deletes a plan's change set if it was not executed, and the stack that was only
// its shell.
func (o deployStack) Discard(ctx context.Context, plan ops.Plan) error {
	if len(plan.Steps) != 1 {
		return nil
	}
	params := plan.Steps[0].Params
	site, err := pick(o.sites, params[paramEnvironment])
	if err != nil {
		return err
	}
	w := newWriter(site.Account, site.ForPlan(kindDeploy))
	return w.discard(ctx, params[paramStack], params[paramSet])
}

// discard deletes a change set, by ARN or by its name on a stack, and the stack if it is
// an empty shell.
func (w *writer) discard(ctx context.Context, stack, set string) error {
	s, err := w.readSet(ctx, &cloudformation.DescribeChangeSetInput{ChangeSetName: &set, StackName: &stack}, "", 0)
	switch {
	case errors.Is(err, errNoSet):
	case err != nil:
		return err
	case s.executed():
		return nil
	default:
		if _, err := w.api.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{ChangeSetName: &s.ID}); err != nil {
			return w.Explain(err)
		}
	}
	out, err := w.api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &stack})
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		return w.Explain(err)
	}
	if len(out.Stacks) != 1 || out.Stacks[0].StackStatus != types.StackStatusReviewInProgress {
		return nil
	}
	left, err := w.listSets(ctx, aws.ToString(out.Stacks[0].StackId))
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return nil // somebody's, or another request's
	}
	_, err = w.api.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: out.Stacks[0].StackId})
	return w.Explain(err)
}
