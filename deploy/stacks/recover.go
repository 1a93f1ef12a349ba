package stacks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/ops"
)

// recoverStack is "cfn recover STACK": class R3. It brings a stack that failed in its
// rollback, or that was kept as it failed, to a stable status.
type recoverStack struct{ sites map[string]Site }

const kindRecover = "cfn recover"

const paramSkip = "skip" // logical ids by comma

func (o recoverStack) Kind() string { return kindRecover }

func (o recoverStack) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "recover" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	return recoverStep{site, ref.Params}, nil
}

// Plan refuses stacks that need no recovery.
func (o recoverStack) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	r, name, err := open(ctx, accounts(o.sites), call)
	if err != nil {
		return ops.Plan{}, err
	}
	number, err := r.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	s, err := r.stack(ctx, name)
	if err != nil {
		return ops.Plan{}, err
	}
	name = aws.ToString(s.StackName)
	how := ""
	switch s.StackStatus {
	case types.StackStatusUpdateRollbackFailed:
		how = "continue its rollback"
	case types.StackStatusCreateFailed, types.StackStatusUpdateFailed:
		how = "roll it back"
	default:
		return ops.Plan{}, &ops.UserError{
			What: fmt.Sprintf("%s needs no recovery", r.title(s)),
			Next: "This is for UPDATE_ROLLBACK_FAILED, UPDATE_FAILED and CREATE_FAILED.",
		}
	}
	api := cloudformation.NewFromConfig(r.ForPlan(call.Kind))
	list, err := listResources(ctx, r, api, aws.ToString(s.StackId))
	if err != nil {
		return ops.Plan{}, err
	}
	h, err := r.history(ctx, aws.ToString(s.StackId), nil, 0)
	if err != nil {
		return ops.Plan{}, err
	}
	_, inRollback := h.failures()
	failed := failedOnes(list)
	for _, e := range inRollback { // what the list says of one may be older
		x := resource{logical: aws.ToString(e.LogicalResourceId), physical: aws.ToString(e.PhysicalResourceId), kind: aws.ToString(e.ResourceType), status: string(e.ResourceStatus)}
		if h.ended(x.logical) == x.status && !slices.ContainsFunc(failed, func(f resource) bool { return f.logical == x.logical }) {
			failed = append(failed, x)
		}
	}
	skip, err := skipped(call.Flags["skip"], s, failed)
	if err != nil {
		return ops.Plan{}, err
	}
	p := ops.Plan{
		Call: call, Class: ops.R3, Confirm: name,
		Title:   fmt.Sprintf("Recover stack %s in %s", name, r.Where()),
		Effect:  fmt.Sprintf("goes from %s to a stable status", s.StackStatus),
		Targets: []string{name},
		Params:  map[string]string{"arn": aws.ToString(s.StackId)},
		Steps: []ops.StepRef{{Name: "recover", Version: 1, Title: how + " and follow it to its end", Params: map[string]string{
			paramEnvironment: call.Environment, paramStack: name, paramARN: aws.ToString(s.StackId), paramStatus: string(s.StackStatus), paramSkip: strings.Join(skip, ","),
		}}},
		Undo:  []string{"None: a rollback cannot be taken back, nor stopped."},
		Keeps: []string{fmt.Sprintf("%s in a stable status.", name)},
		Locks: []string{r.Lock(number, "stack", name)},
		Shown: []ops.Line{
			{Label: "Account", Text: number + ", " + r.Region},
			{Label: "Stack", Text: fmt.Sprintf("%s; %s", s.StackStatus, times(s))},
			{Label: "Failed", Text: brief(texts(failed), maxNamed)},
			{Label: "First failure", Text: r.cause(ctx, view{stack: aws.ToString(s.StackId), h: h})},
		},
	}
	if len(inRollback) > 0 {
		p.Shown = append(p.Shown, ops.Line{Label: "In the rollback", Text: failure(inRollback[0])})
	}
	if len(skip) > 0 {
		p.Warnings = append(p.Warnings, "CloudFormation will take these for rolled back without touching them; they stay inconsistent with the template: "+strings.Join(skip, ", ")+".")
		p.Keeps = append(p.Keeps, "inconsistent with the template: "+strings.Join(skip, ", "))
	}
	return p, nil
}

func failedOnes(list []resource) []resource {
	var failed []resource
	for _, x := range list {
		if strings.HasSuffix(x.status, "_FAILED") {
			failed = append(failed, x)
		}
	}
	return failed
}

func texts(list []resource) []string {
	var out []string
	for _, x := range list {
		out = append(out, x.text())
	}
	return out
}

// skipped reads --skip: only resources that failed in the rollback can be skipped; those
// of nested stacks are named NESTED-STACK.RESOURCE, which CloudFormation itself checks.
func skipped(text string, s types.Stack, failed []resource) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	if s.StackStatus != types.StackStatusUpdateRollbackFailed {
		return nil, &ops.UserError{What: fmt.Sprintf("--skip is for UPDATE_ROLLBACK_FAILED; the stack is in %s", s.StackStatus), Next: "Leave it out."}
	}
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		known := slices.ContainsFunc(failed, func(x resource) bool { return x.logical == name })
		if !known && !strings.Contains(name, ".") {
			return nil, &ops.UserError{What: fmt.Sprintf("%s did not fail in the rollback", name), Next: "Those that did: " + brief(texts(failed), maxNamed) + "."}
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// recoverStep continues or begins a rollback.
type recoverStep struct {
	site   Site
	params map[string]string
}

func (s recoverStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	n := deleteNotes{}
	if known, err := t.Load(&n); err != nil {
		return err
	} else if !known || n.Token != token {
		n = deleteNotes{Token: token, Since: t.Now().UTC()}
	}
	if err := t.Save(n); err != nil {
		return err
	}
	before, after := s.params[paramStatus], "a stable status"
	if err := t.Record(ctx, ops.Change{Key: journalKey, Resource: "stack " + s.params[paramStack], Setting: "status", Before: &before, Intended: &after}); err != nil {
		return err
	}
	api := cloudformation.NewFromConfig(s.site.ForRun(t))
	arn := s.params[paramARN]
	if before != string(types.StackStatusUpdateRollbackFailed) {
		_, err := api.RollbackStack(ctx, &cloudformation.RollbackStackInput{StackName: &arn, ClientRequestToken: &token})
		return n.sent(t, s.refused(err))
	}
	in := &cloudformation.ContinueUpdateRollbackInput{StackName: &arn, ClientRequestToken: &token}
	if s.params[paramSkip] != "" {
		in.ResourcesToSkip = strings.Split(s.params[paramSkip], ",")
	}
	_, err := api.ContinueUpdateRollback(ctx, in)
	return n.sent(t, s.refused(err))
}

// refused lets Poll decide where CloudFormation refuses because of the status: it may be
// our own call, come again.
func (s recoverStep) refused(err error) error {
	if isRefused(err) && strings.Contains(err.Error(), "state") {
		return nil
	}
	return s.site.Explain(err)
}

// Poll is done when the stack is stable, and has failed when it is where it was.
func (s recoverStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n deleteNotes
	known, err := t.Load(&n)
	if err != nil {
		return ops.Progress{}, err
	}
	if !known {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	r := &reader{s.site.Account, cloudformation.NewFromConfig(s.site.ForRun(t))}
	stack, err := r.stack(ctx, s.params[paramARN])
	if err != nil {
		return ops.Progress{}, err
	}
	began, failedSince, err := s.events(ctx, r, n)
	if err != nil {
		return ops.Progress{}, err
	}
	name, status := s.params[paramStack], stack.StackStatus
	switch {
	case strings.HasSuffix(string(status), "_IN_PROGRESS"):
		return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: fmt.Sprintf("%s is %s, %s since the beginning", name, status, spoken(t.Now().Sub(n.Since)))}}, nil
	case !began && n.awaited(t):
		return ops.Progress{Phase: ops.Waiting, Wait: 2 * time.Second, Status: ops.Status{Headline: "Asked for; CloudFormation has not begun yet"}}, nil
	case !began && string(status) == s.params[paramStatus]:
		return ops.Progress{Phase: ops.NotStarted}, nil
	case status == types.StackStatusUpdateRollbackComplete, status == types.StackStatusRollbackComplete:
		after := string(status)
		if err := t.Settle(ctx, journalKey, ops.Kept, &after, ""); err != nil {
			return ops.Progress{}, err
		}
		head := fmt.Sprintf("%s is %s", name, status)
		if s.params[paramSkip] != "" {
			head += "; inconsistent with the template: " + s.params[paramSkip]
		}
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: head}}, nil
	}
	why := fmt.Sprintf("%s ended in %s", name, status)
	if failedSince != "" {
		why += ": " + failedSince
	}
	return ops.Progress{Phase: ops.Failed, Reason: why + fmt.Sprintf(". Put that right and recover again, or skip it: cfn recover %s --skip NAME", name)}, nil
}

// events reports whether the stack has an event since the call, and the first failure
// among those.
func (s recoverStep) events(ctx context.Context, r *reader, n deleteNotes) (began bool, first string, err error) {
	events, err := r.eventsSince(ctx, s.params[paramARN], n.Since.Add(-clockSkew))
	if err != nil {
		return false, "", err
	}
	for _, e := range slices.Backward(events) {
		if aws.ToString(e.ClientRequestToken) != n.Token {
			continue
		}
		began = true
		if strings.HasSuffix(string(e.ResourceStatus), "_FAILED") && aws.ToString(e.PhysicalResourceId) != s.params[paramARN] &&
			!cancelled.MatchString(aws.ToString(e.ResourceStatusReason)) && first == "" {
			first = failure(e)
		}
	}
	return began, first, nil
}

// Undo follows a rollback that runs to its end: it cannot be stopped.
func (s recoverStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	entry, recorded := t.Entry(journalKey)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	var n deleteNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	r := &reader{s.site.Account, cloudformation.NewFromConfig(s.site.ForRun(t))}
	stack, err := r.stack(ctx, s.params[paramARN])
	if err != nil {
		return ops.Progress{}, err
	}
	began, _, err := s.events(ctx, r, n)
	if err != nil {
		return ops.Progress{}, err
	}
	status := string(stack.StackStatus)
	switch {
	case strings.HasSuffix(status, "_IN_PROGRESS"):
		return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: "A rollback cannot be stopped; following it to its end"}}, nil
	case !began && t.Now().Sub(n.Since) < time.Minute:
		return ops.Progress{Phase: ops.Waiting, Wait: 5 * time.Second, Status: ops.Status{Headline: "Looking whether the rollback begins"}}, nil
	case status == aws.ToString(entry.Before):
		err = t.Settle(ctx, journalKey, ops.Restored, entry.Before, "")
	default:
		err = t.Settle(ctx, journalKey, ops.Left, &status, "a rollback cannot be taken back")
	}
	return ops.Progress{Phase: ops.Done}, err
}
