package stacks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"

	"twokey/deploy"
	"twokey/ops"
)

// validate is "cfn validate TEMPLATE": what CloudFormation says of a template. Nothing is
// made.
type validate struct{ sites map[string]Site }

func (validate) Kind() string { return "cfn validate" }

// Answer lists the parameters and capabilities that the template needs.
func (q validate) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	site, err := pick(q.sites, call.Environment)
	if err != nil {
		return ops.Answer{}, err
	}
	if _, err := site.Verify(ctx); err != nil {
		return ops.Answer{}, err
	}
	cfg := site.ForPlan(call.Kind)
	file, err := site.Sources.Read(ctx, cfg, call.Args[0], call.Flags["ref"])
	if err != nil {
		return ops.Answer{}, site.Explain(err)
	}
	if len(file.Body) > maxBody {
		return ops.Answer{}, &ops.UserError{
			What: fmt.Sprintf("the template %s has %d bytes; more than %d are validated from S3 only", file.Origin, len(file.Body), maxBody),
			Next: "cfn deploy puts it there and shows what it would change, before anybody agrees.",
		}
	}
	body := string(file.Body)
	out, err := cloudformation.NewFromConfig(cfg).ValidateTemplate(ctx, &cloudformation.ValidateTemplateInput{TemplateBody: &body})
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "ValidationError" {
		return ops.Answer{
			Title: fmt.Sprintf("%s is not valid: %s", file.Origin, deploy.Short(deploy.Mask(api.ErrorMessage()), 2*maxValue)),
		}, nil
	}
	if err != nil {
		return ops.Answer{}, site.Explain(err)
	}
	a := ops.Answer{Title: fmt.Sprintf("%s is a valid template for %s", file.Origin, site.Where())}
	if d := deploy.Mask(aws.ToString(out.Description)); d != "" {
		a.Lines = append(a.Lines, deploy.Short(d, maxValue))
	}
	if len(out.Capabilities) > 0 {
		caps := make([]string, len(out.Capabilities))
		for i, c := range out.Capabilities {
			caps[i] = string(c)
		}
		a.Lines = append(a.Lines, fmt.Sprintf("It needs %s: %s.", strings.Join(caps, " and "),
			cmp.Or(strings.TrimSuffix(deploy.Mask(aws.ToString(out.CapabilitiesReason)), "."), "it changes who may do what")))
	}
	a.Lines = append(a.Lines, "Whether its resources can be made shows only in a deploy.")
	rows := make([][]string, 0, len(out.Parameters))
	for _, p := range out.Parameters {
		name, value := aws.ToString(p.ParameterKey), "required"
		switch {
		case aws.ToBool(p.NoEcho) && p.DefaultValue != nil:
			value = deploy.Masked
		case p.DefaultValue != nil:
			value = "default " + deploy.Short(deploy.MaskValue(name, *p.DefaultValue), 60)
		}
		rows = append(rows, []string{name, value, deploy.Short(deploy.Mask(aws.ToString(p.Description)), maxValue)})
	}
	slices.SortFunc(rows, func(x, y []string) int { return strings.Compare(x[0], y[0]) })
	if len(rows) > 0 {
		a.Table = &ops.Table{Columns: []string{"Parameter", "Value", "Description"}, Rows: rows[:min(len(rows), maxRows)]}
	}
	return a, nil
}

// outputs is "cfn outputs STACK".
type outputs struct{ accounts map[string]*deploy.Account }

func (outputs) Kind() string { return "cfn outputs" }

// Answer lists a stack's outputs, with the names they are exported under.
func (q outputs) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	r, name, err := open(ctx, q.accounts, call)
	if err != nil {
		return ops.Answer{}, err
	}
	s, err := r.stack(ctx, name)
	if err != nil {
		return ops.Answer{}, err
	}
	a := ops.Answer{Title: r.title(s)}
	t := &ops.Table{Columns: []string{"Output", "Value"}}
	for _, row := range values(s) {
		if row[0] == "output" {
			t.Rows = append(t.Rows, row[1:])
		}
	}
	if len(t.Rows) == 0 {
		a.Lines = []string{"It has no outputs."}
		return a, nil
	}
	a.Table = t
	return a, nil
}

// driftOf is "cfn drift STACK": what was changed outside CloudFormation.
type driftOf struct{ accounts map[string]*deploy.Account }

func (driftOf) Kind() string { return "cfn drift" }

// Drifts is what of *cloudformation.Client finding drift needs.
type Drifts interface {
	DetectStackDrift(context.Context, *cloudformation.DetectStackDriftInput, ...func(*cloudformation.Options)) (*cloudformation.DetectStackDriftOutput, error)
	DescribeStackDriftDetectionStatus(context.Context, *cloudformation.DescribeStackDriftDetectionStatusInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStackDriftDetectionStatusOutput, error)
	DescribeStackResourceDrifts(context.Context, *cloudformation.DescribeStackResourceDriftsInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStackResourceDriftsOutput, error)
}

const (
	// freshDrift is how old a detection may be to be told instead of beginning another.
	freshDrift = 5 * time.Minute
	// driftWait is how long an answer waits for a detection.
	driftWait = 10 * time.Second
)

// Answer detects drift, or tells what was found a moment ago.
func (q driftOf) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	r, name, err := open(ctx, q.accounts, call)
	if err != nil {
		return ops.Answer{}, err
	}
	s, err := r.stack(ctx, name)
	if err != nil {
		return ops.Answer{}, err
	}
	api := cloudformation.NewFromConfig(r.ForPlan(call.Kind))
	if d := s.DriftInformation; d == nil || d.LastCheckTimestamp == nil || time.Since(*d.LastCheckTimestamp) > freshDrift {
		found, err := detect(ctx, r, api, aws.ToString(s.StackId))
		if err != nil {
			return ops.Answer{}, err
		}
		if !found {
			return ops.Answer{
				Title: r.title(s),
				Lines: []string{fmt.Sprintf("Drift is still being detected. Ask again in a minute: cfn drift %s.", aws.ToString(s.StackName))},
			}, nil
		}
		if s, err = r.stack(ctx, aws.ToString(s.StackId)); err != nil {
			return ops.Answer{}, err
		}
	}
	return q.found(ctx, r, api, s)
}

// detect begins a detection and waits for it a little; false: it is not over yet.
func detect(ctx context.Context, r *reader, api Drifts, arn string) (bool, error) {
	out, err := api.DetectStackDrift(ctx, &cloudformation.DetectStackDriftInput{StackName: &arn})
	var refused smithy.APIError
	if errors.As(err, &refused) && strings.Contains(refused.ErrorMessage(), "already") {
		return false, nil // somebody's detection runs
	}
	if err != nil {
		return false, r.Explain(err)
	}
	for until := time.Now().Add(driftWait); ; {
		status, err := api.DescribeStackDriftDetectionStatus(ctx, &cloudformation.DescribeStackDriftDetectionStatusInput{StackDriftDetectionId: out.StackDriftDetectionId})
		if err != nil {
			return false, r.Explain(err)
		}
		switch status.DetectionStatus {
		case types.StackDriftDetectionStatusDetectionComplete:
			return true, nil
		case types.StackDriftDetectionStatusDetectionFailed:
			return false, &ops.UserError{What: "CloudFormation could not detect drift: " + deploy.Short(deploy.Mask(aws.ToString(status.DetectionStatusReason)), 2*maxValue)}
		}
		if time.Now().After(until) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(time.Second):
		}
	}
}

// found lists the resources that differ from the template.
func (q driftOf) found(ctx context.Context, r *reader, api Drifts, s types.Stack) (ops.Answer, error) {
	a := ops.Answer{Title: fmt.Sprintf("%s. Drift: %s", r.title(s), drift(s.DriftInformation))}
	in := &cloudformation.DescribeStackResourceDriftsInput{
		StackName:                       s.StackId,
		StackResourceDriftStatusFilters: []types.StackResourceDriftStatus{types.StackResourceDriftStatusModified, types.StackResourceDriftStatusDeleted},
	}
	t := &ops.Table{Columns: []string{"Resource", "Drift", "Property", "Template", "Now"}}
	for {
		out, err := api.DescribeStackResourceDrifts(ctx, in)
		if err != nil {
			return ops.Answer{}, r.Explain(err)
		}
		for _, d := range out.StackResourceDrifts {
			who := fmt.Sprintf("%s (%s)", aws.ToString(d.LogicalResourceId), strings.TrimPrefix(aws.ToString(d.ResourceType), "AWS::"))
			status := strings.ToLower(string(d.StackResourceDriftStatus))
			if len(d.PropertyDifferences) == 0 {
				t.Rows = append(t.Rows, []string{who, status, "", "", ""})
			}
			for _, p := range d.PropertyDifferences {
				path := aws.ToString(p.PropertyPath)
				t.Rows = append(t.Rows, []string{who, status, path, deploy.Short(deploy.MaskValue(path, aws.ToString(p.ExpectedValue)), 60), deploy.Short(deploy.MaskValue(path, aws.ToString(p.ActualValue)), 60)})
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			break
		}
	}
	if len(t.Rows) > maxRows {
		a.Lines = append(a.Lines, fmt.Sprintf("%d of %d differences are shown.", maxRows, len(t.Rows)))
		t.Rows = t.Rows[:maxRows]
	}
	if len(t.Rows) > 0 {
		a.Table = t
	}
	a.Lines = append(a.Lines, "CloudFormation cannot detect drift of every type of resource.")
	return a, nil
}
