package stacks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/deploy"
	"twokey/ops"
)

// deployStack is "cfn deploy STACK --template T": it creates or updates a stack by a
// change set, and people agree to that change set.
type deployStack struct{ sites map[string]Site }

const (
	kindDeploy    = "cfn deploy"
	deployVersion = 1
	// setPrefix begins the names of Twokey's change sets. Those it finds older than
	// leftover, longer than any request may wait, nobody can be waiting for.
	setPrefix = "twokey-"
	leftover  = 8 * 24 * time.Hour
)

// Names of parameters of the step.
const (
	paramEnvironment = "environment"
	paramStack       = "stack"   // name
	paramARN         = "arn"     // of the stack
	paramSet         = "set"     // ARN of the change set
	paramNew         = "new"     // "true": the stack is created
	paramStatus      = "status"  // of the stack when planned
	paramUpdated     = "updated" // its last update, RFC 3339; empty: never
	paramTotal       = "total"   // resources in the change set
	paramKeep        = "keep"    // "true": a failure is not rolled back
	paramSummary     = "summary" // "2 to add, 1 to replace"
)

func (o deployStack) Kind() string { return kindDeploy }

func (o deployStack) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "deploy" || ref.Version != deployVersion {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	return deployStep{site, ref.Params}, nil
}

// pick is the site of an environment.
func pick(sites map[string]Site, environment string) (Site, error) {
	if s, ok := sites[environment]; ok {
		return s, nil
	}
	_, err := deploy.Pick(accounts(sites), environment)
	return Site{}, err
}

func accounts(sites map[string]Site) map[string]*deploy.Account {
	out := make(map[string]*deploy.Account, len(sites))
	for name, s := range sites {
		out[name] = s.Account
	}
	return out
}

// Plan makes a change set, which changes nothing, and shows what is in it. What is
// refused, or changes nothing, leaves no change set behind.
func (o deployStack) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	name := ""
	if len(call.Args) == 1 {
		name = call.Args[0]
	}
	if !stackName.MatchString(name) || strings.HasPrefix(name, "arn:") {
		return ops.Plan{}, &ops.UserError{
			What: fmt.Sprintf("%q cannot be the name of a stack", name),
			Next: "A stack's name is letters, digits and hyphens, beginning with a letter.",
		}
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	p := planner{writer: newWriter(site.Account, site.ForPlan(kindDeploy)), site: site, call: call, name: name, number: number}
	return p.plan(ctx)
}

// planner is what was read to plan one deploy.
type planner struct {
	*writer
	site         Site
	call         ops.Call
	name, number string

	stack   types.Stack // zero where there is none
	exists  bool
	input   input
	placed  bool // the template is in the bucket
	summary *cloudformation.GetTemplateSummaryOutput
	policy  bool
	set     changeSet
	usual   map[string]time.Duration
}

func (p *planner) plan(ctx context.Context) (ops.Plan, error) {
	if err := p.present(ctx); err != nil {
		return ops.Plan{}, err
	}
	var err error
	if p.input, err = p.site.input(ctx, p.call); err != nil {
		return ops.Plan{}, err
	}
	if err := p.readTemplate(ctx); err != nil {
		return ops.Plan{}, err
	}
	parameters, err := p.parameters()
	if err != nil {
		return ops.Plan{}, err
	}
	if p.exists && p.stack.StackStatus != types.StackStatusReviewInProgress {
		p.usual = p.reader.usual(ctx, aws.ToString(p.stack.StackId))
	}
	if err := p.makeSet(ctx, parameters); err != nil {
		return ops.Plan{}, err
	}
	return p.card(), nil
}

// present reads the stack, and refuses where something is unfinished that is not ours.
func (p *planner) present(ctx context.Context) error {
	out, err := p.api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &p.name})
	switch {
	case isAbsent(err):
		return nil
	case err != nil:
		return p.Explain(err)
	case len(out.Stacks) != 1:
		return fmt.Errorf("%d stacks named %s", len(out.Stacks), p.name)
	}
	p.stack, p.exists = out.Stacks[0], true
	status := p.stack.StackStatus
	refuse := func(next, format string, args ...any) error {
		return &ops.UserError{What: fmt.Sprintf(format, args...), Next: next}
	}
	switch {
	case status == types.StackStatusReviewInProgress:
		return p.review(ctx)
	case strings.HasSuffix(string(status), "_IN_PROGRESS"):
		return refuse(fmt.Sprintf("Wait for its end: cfn watch %s shows it.", p.name),
			"%s in %s is being worked on (%s) by %s", p.name, p.Where(), status, p.whose(ctx))
	case status == types.StackStatusUpdateRollbackFailed:
		return refuse(fmt.Sprintf("cfn recover %s brings it back to a stable status first.", p.name),
			"%s in %s is in UPDATE_ROLLBACK_FAILED: neither old nor new", p.name, p.Where())
	case status == types.StackStatusRollbackComplete, status == types.StackStatusRollbackFailed, status == types.StackStatusDeleteFailed:
		return refuse(fmt.Sprintf("Delete it first: cfn delete %s.", p.name),
			"%s in %s is in %s: it can only be deleted", p.name, p.Where(), status)
	case status == types.StackStatusCreateFailed:
		return refuse(fmt.Sprintf("cfn recover %s rolls it back, cfn delete %s removes it.", p.name, p.name),
			"%s in %s is in CREATE_FAILED: what was created is kept", p.name, p.Where())
	}
	p.leftovers(ctx)
	return nil
}

// whose says who began what runs on the stack.
func (p *planner) whose(ctx context.Context) string {
	h, err := p.history(ctx, aws.ToString(p.stack.StackId), nil, 0)
	if err != nil || len(h.events) == 0 {
		return "somebody"
	}
	token := aws.ToString(h.events[min(h.op, len(h.events))-1].ClientRequestToken)
	if run, ok := runOf(token); ok {
		return "Twokey's run " + run
	}
	if token != "" {
		return fmt.Sprintf("somebody else (client token %s)", deploy.Short(deploy.Mask(token), 60))
	}
	return "somebody else"
}

// review allows a stack that is nothing but the shell of change sets of ours.
func (p *planner) review(ctx context.Context) error {
	sets, err := p.listSets(ctx, aws.ToString(p.stack.StackId))
	if err != nil {
		return err
	}
	for _, s := range sets {
		if name := aws.ToString(s.ChangeSetName); !strings.HasPrefix(name, setPrefix) {
			return &ops.UserError{
				What: fmt.Sprintf("%s in %s was begun by somebody else: their change set %s waits to be executed", p.name, p.Where(), name),
				Next: "Let them execute or delete it first.",
			}
		}
	}
	return nil
}

// readTemplate asks CloudFormation what the template declares.
func (p *planner) readTemplate(ctx context.Context) error {
	in := &cloudformation.GetTemplateSummaryInput{}
	if err := p.place(ctx, &in.TemplateBody, &in.TemplateURL); err != nil {
		return err
	}
	out, err := p.api.GetTemplateSummary(ctx, in)
	if err != nil {
		return p.invalid(err)
	}
	p.summary = out
	if p.exists {
		policy, err := p.api.GetStackPolicy(ctx, &cloudformation.GetStackPolicyInput{StackName: p.stack.StackId})
		if err != nil {
			return p.Explain(err)
		}
		p.policy = aws.ToString(policy.StackPolicyBody) != ""
	}
	return nil
}

// invalid explains an error about the template.
func (p *planner) invalid(err error) error {
	err = p.Explain(err)
	if e := new(ops.UserError); errors.As(err, &e) && strings.Contains(e.What, "ValidationError") {
		_, why, _ := strings.Cut(e.What, "ValidationError: ")
		return &ops.UserError{What: fmt.Sprintf("CloudFormation does not take the template %s: %s", p.input.origin, why), Next: "Correct the template or its parameters.", Err: err}
	}
	return err
}

// parameters are those of the change set. Parameters nobody names keep their value, or
// get the template's default.
func (p *planner) parameters() ([]types.Parameter, error) {
	declared := map[string]types.ParameterDeclaration{}
	for _, d := range p.summary.Parameters {
		declared[aws.ToString(d.ParameterKey)] = d
	}
	names := slices.Sorted(maps.Keys(declared))
	for _, name := range slices.Sorted(maps.Keys(p.input.values)) {
		if _, ok := declared[name]; !ok {
			e := &ops.UserError{What: fmt.Sprintf("the template %s has no parameter %s", p.input.origin, name), Next: "It has " + strings.Join(names, ", ") + "."}
			if like := deploy.Near(name, names); len(like) > 0 {
				e.Next = "Did you mean " + strings.Join(like, " or ") + "?"
			}
			return nil, e
		}
	}
	had := map[string]bool{}
	if p.exists && p.stack.StackStatus != types.StackStatusReviewInProgress {
		for _, x := range p.stack.Parameters {
			had[aws.ToString(x.ParameterKey)] = true
		}
	}
	var list []types.Parameter
	var missing []string
	for _, name := range names {
		v, named := p.input.values[name]
		switch {
		case p.input.typed[name] && (aws.ToBool(declared[name].NoEcho) || deploy.MaskValue(name, "x") == deploy.Masked):
			return nil, &ops.UserError{
				What: fmt.Sprintf("%s is secret, and what is typed is shown on the card", name),
				Next: fmt.Sprintf("Give it by reference: --set %s=ssm:/NAME or %s=secret:NAME. Change the secret that you typed.", name, name),
			}
		case named:
			list = append(list, types.Parameter{ParameterKey: &name, ParameterValue: aws.String(v.Text())})
		case had[name]:
			list = append(list, types.Parameter{ParameterKey: &name, UsePreviousValue: aws.Bool(true)})
		case declared[name].DefaultValue == nil:
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, &ops.UserError{
			What: fmt.Sprintf("parameters without a value: %s", strings.Join(missing, ", ")),
			Next: "Give them in a file with --parameters, or with --set NAME=VALUE.",
		}
	}
	return list, nil
}

// Replan returns the approved plan while its change set can be executed and the stack is
// as it was; else it makes another change set.
func (o deployStack) Replan(ctx context.Context, approved ops.Plan) (ops.Plan, error) {
	if len(approved.Steps) != 1 {
		return o.Plan(ctx, approved.Call)
	}
	params := approved.Steps[0].Params
	site, err := pick(o.sites, params[paramEnvironment])
	if err != nil {
		return ops.Plan{}, err
	}
	if _, err := site.Verify(ctx); err != nil {
		return ops.Plan{}, err
	}
	w := newWriter(site.Account, site.ForPlan(kindDeploy))
	set, err := w.changeSet(ctx, params[paramSet])
	if errors.Is(err, errNoSet) {
		return o.Plan(ctx, approved.Call)
	}
	if err != nil {
		return ops.Plan{}, err
	}
	s, err := w.stack(ctx, params[paramARN])
	if err != nil {
		return ops.Plan{}, err
	}
	touched := string(s.StackStatus) != params[paramStatus] || params[paramNew] != "true" && updated(s) != params[paramUpdated]
	if set.Execution != types.ExecutionStatusAvailable || touched {
		return o.Plan(ctx, approved.Call)
	}
	return approved, nil
}

func updated(s types.Stack) string {
	if s.LastUpdatedTime == nil {
		return ""
	}
	return s.LastUpdatedTime.UTC().Format(time.RFC3339)
}
