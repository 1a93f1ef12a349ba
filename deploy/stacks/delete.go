package stacks

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/ops"
)

// deleteStack is "cfn delete STACK": class R3, by the stack's ARN, never past its
// termination protection.
type deleteStack struct{ sites map[string]Site }

const kindDelete = "cfn delete"

const paramRetain = "retain" // logical ids by comma

func (o deleteStack) Kind() string { return kindDelete }

func (o deleteStack) Step(ref ops.StepRef) (ops.Step, error) {
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	switch {
	case ref.Name == "delete" && ref.Version == 1:
		return deleteStep{site, ref.Params}, nil
	case ref.Name == "template" && ref.Version == 1:
		return templateStep{site, ref.Params[paramBucket], ref.Params[paramKey]}, nil
	}
	return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
}

// resource is one resource of a stack as it is.
type resource struct{ logical, physical, kind, status string }

func (r resource) text() string {
	return fmt.Sprintf("%s (%s)", r.logical, strings.TrimPrefix(r.kind, "AWS::"))
}

// Deleter is what of *cloudformation.Client deleting needs.
type Deleter interface {
	CloudFormation
	ListStackResources(context.Context, *cloudformation.ListStackResourcesInput, ...func(*cloudformation.Options)) (*cloudformation.ListStackResourcesOutput, error)
	GetTemplate(context.Context, *cloudformation.GetTemplateInput, ...func(*cloudformation.Options)) (*cloudformation.GetTemplateOutput, error)
	ListImports(context.Context, *cloudformation.ListImportsInput, ...func(*cloudformation.Options)) (*cloudformation.ListImportsOutput, error)
	DeleteStack(context.Context, *cloudformation.DeleteStackInput, ...func(*cloudformation.Options)) (*cloudformation.DeleteStackOutput, error)
}

func listResources(ctx context.Context, a interface{ Explain(error) error }, api interface {
	ListStackResources(context.Context, *cloudformation.ListStackResourcesInput, ...func(*cloudformation.Options)) (*cloudformation.ListStackResourcesOutput, error)
}, arn string) ([]resource, error) {
	in := &cloudformation.ListStackResourcesInput{StackName: &arn}
	var all []resource
	for {
		out, err := api.ListStackResources(ctx, in)
		if err != nil {
			return nil, a.Explain(err)
		}
		for _, r := range out.StackResourceSummaries {
			all = append(all, resource{aws.ToString(r.LogicalResourceId), aws.ToString(r.PhysicalResourceId), aws.ToString(r.ResourceType), string(r.ResourceStatus)})
		}
		if in.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			slices.SortFunc(all, func(x, y resource) int { return strings.Compare(x.logical, y.logical) })
			return all, nil
		}
	}
}

// Plan refuses what CloudFormation would refuse, and shows what ends with the stack.
func (o deleteStack) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
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
	cfg := r.ForPlan(call.Kind)
	api := cloudformation.NewFromConfig(cfg)
	if err := deletable(r, s); err != nil {
		return ops.Plan{}, err
	}
	list, err := listResources(ctx, r, api, aws.ToString(s.StackId))
	if err != nil {
		return ops.Plan{}, err
	}
	if err := imported(ctx, r, api, s); err != nil {
		return ops.Plan{}, err
	}
	retain, err := retained(call.Flags["retain"], s, list)
	if err != nil {
		return ops.Plan{}, err
	}
	d, err := o.doomed(ctx, cfg, r, api, s, list)
	if err != nil {
		return ops.Plan{}, err
	}
	p := o.plan(call, r, number, s, d, retain)
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	key, err := site.left(ctx, cfg, api, aws.ToString(s.StackId))
	if err != nil {
		return ops.Plan{}, err
	}
	if key != "" {
		p.Steps = append(p.Steps, ops.StepRef{Name: "template", Version: 1, Title: "remove its template from the bucket " + site.Bucket, Params: map[string]string{
			paramEnvironment: call.Environment, paramBucket: site.Bucket, paramKey: key,
		}})
	}
	return p, nil
}

// deletable refuses a stack that is protected, nested, or in somebody's hands.
func deletable(r *reader, s types.Stack) error {
	name := aws.ToString(s.StackName)
	switch {
	case s.StackStatus == types.StackStatusDeleteComplete:
		return &ops.UserError{What: fmt.Sprintf("%s in %s is deleted already", name, r.Where()), Next: "There is nothing to do."}
	case aws.ToBool(s.EnableTerminationProtection):
		return &ops.UserError{
			What: fmt.Sprintf("%s in %s has termination protection, which Twokey never lifts", name, r.Where()),
			Next: "Whoever may decide that lifts it in the console, then ask again.",
		}
	case aws.ToString(s.ParentId) != "":
		return &ops.UserError{What: fmt.Sprintf("%s is nested in %s", name, aws.ToString(s.ParentId)), Next: "Delete or change the outer stack."}
	case phaseOf(s.StackStatus) == running:
		return &ops.UserError{
			What: fmt.Sprintf("%s in %s is being worked on (%s)", name, r.Where(), s.StackStatus),
			Next: fmt.Sprintf("Wait for its end: cfn watch %s shows it.", name),
		}
	}
	return nil
}

// imported refuses a stack of which other stacks import outputs.
func imported(ctx context.Context, r *reader, api Deleter, s types.Stack) error {
	var uses []string
	for _, o := range s.Outputs {
		export := aws.ToString(o.ExportName)
		if export == "" {
			continue
		}
		in := &cloudformation.ListImportsInput{ExportName: &export}
		for {
			out, err := api.ListImports(ctx, in)
			if err != nil && strings.Contains(err.Error(), "is not imported by any stack") {
				break
			}
			if err != nil {
				return r.Explain(err)
			}
			for _, name := range out.Imports {
				uses = append(uses, fmt.Sprintf("%s by %s", export, name))
			}
			if in.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
				break
			}
		}
	}
	if len(uses) == 0 {
		return nil
	}
	return &ops.UserError{
		What: fmt.Sprintf("outputs of %s are used by other stacks: %s", aws.ToString(s.StackName), brief(uses, maxNamed)),
		Next: "Change those stacks first.",
	}
}

// retained reads --retain: resources that stay. CloudFormation takes it only after a
// deletion that failed.
func retained(text string, s types.Stack, list []resource) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	if s.StackStatus != types.StackStatusDeleteFailed {
		return nil, &ops.UserError{
			What: fmt.Sprintf("--retain is for a stack in DELETE_FAILED; %s is in %s", aws.ToString(s.StackName), s.StackStatus),
			Next: "Leave it out. What must stay has DeletionPolicy: Retain in the template.",
		}
	}
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(list, func(r resource) bool { return r.logical == name })
		if i < 0 || list[i].status != "DELETE_FAILED" {
			var stuck []string
			for _, r := range list {
				if r.status == "DELETE_FAILED" {
					stuck = append(stuck, r.logical)
				}
			}
			return nil, &ops.UserError{What: fmt.Sprintf("%s is not among the resources that could not be deleted", name), Next: "Those are " + brief(stuck, maxNamed) + "."}
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (o deleteStack) plan(call ops.Call, r *reader, number string, s types.Stack, d doomed, retain []string) ops.Plan {
	name := aws.ToString(s.StackName)
	var data, outside, stuck []string
	for _, x := range d.resources {
		if stateful[x.kind] && !slices.Contains(d.retained, x.logical) {
			data = append(data, fmt.Sprintf("%s %s", x.text(), x.physical))
		}
		if entrances[x.kind] {
			outside = append(outside, fmt.Sprintf("%s %s", x.text(), x.physical))
		}
		if x.status == "DELETE_FAILED" {
			stuck = append(stuck, x.text())
		}
	}
	left := len(d.resources)
	p := ops.Plan{
		Call: call, Class: ops.R3, Confirm: name,
		Title:   fmt.Sprintf("Delete stack %s in %s", name, r.Where()),
		Effect:  fmt.Sprintf("deletes the stack with its %s", plural(left, "resource")),
		Targets: []string{name},
		Params:  map[string]string{"arn": aws.ToString(s.StackId), "resources": d.digest()},
		Steps: []ops.StepRef{{Name: "delete", Version: 1, Title: "delete " + name + ", follow it to its end", Params: map[string]string{
			paramEnvironment: call.Environment, paramStack: name, paramARN: aws.ToString(s.StackId), paramRetain: strings.Join(retain, ","), paramTotal: strconv.Itoa(left),
		}}},
		Undo:  []string{"None: what is deleted is gone, and a deletion cannot be cancelled."},
		Keeps: []string{fmt.Sprintf("%s gone.", name)},
		Locks: []string{r.Lock(number, "stack", name)},
		Facts: []ops.Fact{
			{Key: "full", Text: "more buckets of the stack hold objects than when it was asked", Level: int64(len(d.full))},
			{Key: "pointing", Text: "more DNS records lead to the stack than when it was asked", Level: int64(len(d.pointing))},
		},
		Shown: []ops.Line{
			{Label: "Account", Text: number + ", " + r.Region},
			{Label: "Stack", Text: fmt.Sprintf("%s; %s", s.StackStatus, times(s))},
		},
	}
	if len(retain) > 0 {
		p.Effect += "; " + strings.Join(retain, ", ") + " stay, in no stack any more"
	}
	if len(d.retained) > 0 {
		p.Shown = append(p.Shown, ops.Line{Label: "Stay", Text: brief(d.retained, maxNamed) + ", as the template says, in no stack any more"})
		p.Effect += fmt.Sprintf(", of which %d stay", len(d.retained))
	}
	if len(data) > 0 {
		p.Warnings = append(p.Warnings, "These hold data or addresses, and end: "+brief(data, maxNamed)+".")
	}
	if len(d.full) > 0 {
		p.Warnings = append(p.Warnings, "These buckets hold objects, so that the deletion will fail on them: "+brief(d.full, maxNamed)+". Empty them first.")
	}
	if len(d.pointing) > 0 {
		p.Warnings = append(p.Warnings, "DNS leads here: "+brief(d.pointing, maxNamed)+". Switch it first.")
	}
	if len(outside) > 0 {
		p.Warnings = append(p.Warnings, "Traffic may still come in here: "+brief(outside, maxNamed)+".")
	}
	if len(d.unknown) > 0 {
		p.Warnings = append(p.Warnings, "Not known: "+strings.Join(d.unknown, "; ")+".")
	}
	if len(stuck) > 0 {
		p.Warnings = append(p.Warnings, "A deletion failed on these before: "+brief(stuck, maxNamed)+".")
	}
	var outputs []string
	for _, row := range values(s) {
		if row[0] == "output" {
			outputs = append(outputs, row[1]+" "+row[2])
		}
	}
	if len(outputs) > 0 {
		p.Shown = append(p.Shown, ops.Line{Label: "Outputs", Text: brief(outputs, maxNamed)})
	}
	return p
}

// entrances is the types of resources that traffic comes in through.
var entrances = map[string]bool{
	"AWS::ApiGateway::RestApi":                  true,
	"AWS::ApiGatewayV2::Api":                    true,
	"AWS::CloudFront::Distribution":             true,
	"AWS::EC2::EIP":                             true,
	"AWS::ElasticLoadBalancing::LoadBalancer":   true,
	"AWS::ElasticLoadBalancingV2::LoadBalancer": true,
	"AWS::Route53::RecordSet":                   true,
	"AWS::Route53::RecordSetGroup":              true,
}
