package stacks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/deploy"
	"twokey/ops"
)

// maxRows is how many rows an answer's table has; a stack may have 450 outputs,
// parameters and tags.
const maxRows = 60

// maxValue is how many characters of a value or reason are shown.
const maxValue = 200

// describeStack is "cfn describe STACK".
type describeStack struct{ accounts map[string]*deploy.Account }

// Kind is the command's path.
func (describeStack) Kind() string { return "cfn describe" }

// Answer describes one stack. Its errors are for the person who asked.
func (q describeStack) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	p, name, err := open(ctx, q.accounts, call)
	if err != nil {
		return ops.Answer{}, err
	}
	s, err := p.stack(ctx, name)
	if err != nil {
		return ops.Answer{}, err
	}
	a := ops.Answer{
		Title: p.title(s),
		Lines: about(s),
	}
	rows := values(s)
	if len(rows) > maxRows {
		a.Lines = append(a.Lines, fmt.Sprintf("%d of %d values are shown.", maxRows, len(rows)))
		rows = rows[:maxRows]
	}
	if len(rows) > 0 {
		a.Table = &ops.Table{Columns: []string{"", "Name", "Value"}, Rows: rows}
	}
	return a, nil
}

// stack reads a stack by name or ARN.
func (p *reader) stack(ctx context.Context, name string) (types.Stack, error) {
	out, err := p.api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		if isAbsent(err) {
			return types.Stack{}, p.absent(ctx, name, err)
		}
		return types.Stack{}, p.Explain(err)
	}
	if len(out.Stacks) != 1 {
		return types.Stack{}, &ops.UserError{
			What: fmt.Sprintf("CloudFormation in %s answered with %d stacks for %s: whether it exists is unknown", p.Where(), len(out.Stacks), name),
		}
	}
	return out.Stacks[0], nil
}

// about is what is said of a stack beside its values.
func about(s types.Stack) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if m := meanings[s.StackStatus]; m != "" {
		add("%s", m)
	}
	if r := deploy.Mask(aws.ToString(s.StackStatusReason)); r != "" {
		add("Reason: %s", deploy.Short(r, 3*maxValue))
	}
	if d := deploy.Mask(aws.ToString(s.Description)); d != "" {
		add("%s", deploy.Short(d, maxValue))
	}
	add("%s", times(s))
	protection := "off"
	if aws.ToBool(s.EnableTerminationProtection) {
		protection = "on"
	}
	add("Termination protection: %s. Drift: %s.", protection, drift(s.DriftInformation))
	if aws.ToBool(s.DisableRollback) {
		add("Rollback is disabled: a failure keeps what was made.")
	}
	if parent := aws.ToString(s.ParentId); parent != "" {
		add("Nested in %s.", parent)
	}
	add("%s", aws.ToString(s.StackId))
	return lines
}

func times(s types.Stack) string {
	t := "Created " + utc(s.CreationTime)
	if s.LastUpdatedTime != nil {
		t += ", last updated " + utc(s.LastUpdatedTime)
	} else {
		t += ", never updated"
	}
	if s.DeletionTime != nil {
		t += ", deleted " + utc(s.DeletionTime)
	}
	return t + "."
}

// utc is a time for people; nil: unknown.
func utc(t *time.Time) string {
	if t == nil {
		return "at an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// drift says what the latest drift detection found; nobody is asked to detect it now.
func drift(d *types.StackDriftInformation) string {
	if d == nil {
		return "unknown"
	}
	words := map[types.StackDriftStatus]string{
		types.StackDriftStatusInSync:     "none",
		types.StackDriftStatusDrifted:    "changed outside CloudFormation",
		types.StackDriftStatusNotChecked: "never checked",
	}
	w := cmp.Or(words[d.StackDriftStatus], "unknown")
	if d.LastCheckTimestamp != nil {
		w += " when checked on " + utc(d.LastCheckTimestamp)
	}
	return w
}

// values is outputs, parameters and tags, each sorted by name, without secrets.
func values(s types.Stack) [][]string {
	var outputs, parameters, tags [][]string
	for _, o := range s.Outputs {
		name := aws.ToString(o.OutputKey)
		value := deploy.MaskValue(name, aws.ToString(o.OutputValue))
		if export := aws.ToString(o.ExportName); export != "" {
			value += " (exported as " + export + ")"
		}
		outputs = append(outputs, []string{"output", name, deploy.Short(value, maxValue)})
	}
	for _, p := range s.Parameters {
		name := aws.ToString(p.ParameterKey)
		value := deploy.MaskValue(name, aws.ToString(p.ParameterValue))
		if r := aws.ToString(p.ResolvedValue); r != "" && value != deploy.Masked {
			value += " = " + deploy.Mask(r)
		}
		parameters = append(parameters, []string{"parameter", name, deploy.Short(value, maxValue)})
	}
	for _, t := range s.Tags {
		name := aws.ToString(t.Key)
		tags = append(tags, []string{"tag", name, deploy.Short(deploy.MaskValue(name, aws.ToString(t.Value)), maxValue)})
	}
	byName := func(a, b []string) int { return cmp.Compare(a[1], b[1]) }
	for _, rows := range [][][]string{outputs, parameters, tags} {
		slices.SortFunc(rows, byName)
	}
	return slices.Concat(outputs, parameters, tags)
}
