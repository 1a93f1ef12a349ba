package stacks

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/deploy"
	"twokey/ops"
)

const (
	maxEvents  = 1000 // events read of one stack, newest first
	shownRows  = 30   // of them in the table
	maxNesting = 4    // levels of nested stacks followed to a cause
	moreCauses = 4    // failures listed beside the first
)

// stackEvents is "cfn events STACK".
type stackEvents struct{ accounts map[string]*deploy.Account }

// Kind is the command's path.
func (stackEvents) Kind() string { return "cfn events" }

// Answer lists a stack's newest events, newest first, since Slack folds long messages at
// the end, and names in its title what failed first. Its errors are for the person who
// asked.
func (q stackEvents) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
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
	// By ARN: a stack made anew under the name meanwhile is another one.
	h, err := p.history(ctx, aws.ToString(s.StackId), nil, shownRows)
	if err != nil {
		return ops.Answer{}, err
	}
	a := ops.Answer{Title: p.title(s)}
	if phaseOf(s.StackStatus) == failed || goingBack(string(s.StackStatus)) {
		p.tellCause(ctx, &a, h)
	}
	if m := meanings[s.StackStatus]; m != "" {
		a.Lines = append(a.Lines, m)
	}
	newest := h.events[:min(len(h.events), shownRows)]
	a.Lines = append(a.Lines, h.scope(len(newest)))
	if len(newest) > 0 {
		a.Table = table(newest)
	}
	return a, nil
}

// history is the newest events of a stack, newest first.
type history struct {
	stack  string // ARN
	events []types.StackEvent
	op     int  // how many of them belong to the latest operation
	begun  bool // its beginning is among them
	all    bool // there are no older events
}

// history reads a stack's events back to the beginning of its latest operation, and
// at least so many; but it never reads beyond maxEvents by more than a page. What
// came after until, if that is not nil, is left out.
func (p *reader) history(ctx context.Context, arn string, until *time.Time, least int) (history, error) {
	h := history{stack: arn}
	in := &cloudformation.DescribeStackEventsInput{StackName: &arn}
	for read := 0; ; {
		out, err := p.api.DescribeStackEvents(ctx, in)
		if err != nil {
			return history{}, p.Explain(err)
		}
		read += len(out.StackEvents)
		for _, e := range out.StackEvents {
			if until != nil && e.Timestamp != nil && e.Timestamp.After(*until) {
				continue
			}
			h.events = append(h.events, e)
			if !h.begun {
				h.op++
				h.begun = h.own(e) && begins[e.ResourceStatus]
			}
		}
		in.NextToken = out.NextToken
		h.all = aws.ToString(out.NextToken) == ""
		if h.all || read >= maxEvents || h.begun && len(h.events) >= least {
			return h, nil
		}
	}
}

// own reports whether an event is of the stack itself.
func (h history) own(e types.StackEvent) bool { return aws.ToString(e.PhysicalResourceId) == h.stack }

// begins is the statuses of a stack with which an operation begins; a rollback belongs
// to the operation it undoes.
var begins = map[types.ResourceStatus]bool{
	types.ResourceStatusCreateInProgress: true,
	types.ResourceStatusUpdateInProgress: true,
	types.ResourceStatusDeleteInProgress: true,
	types.ResourceStatusImportInProgress: true,
}

// scope says which events were read and shown.
func (h history) scope(shown int) string {
	switch {
	case len(h.events) == 0:
		return "CloudFormation has no events of it; it keeps them for 90 days."
	case h.all && shown == len(h.events):
		return fmt.Sprintf("All its %d events, newest first.", shown)
	}
	return fmt.Sprintf("Its newest %d events, newest first.", shown)
}

// failures is what failed in the latest operation, oldest first: before the rollback
// began, and in it. Resources that were merely cancelled are not failures, nor is the
// stack itself.
func (h history) failures() (first, inRollback []types.StackEvent) {
	back := false
	for _, e := range slices.Backward(h.events[:h.op]) {
		status := string(e.ResourceStatus)
		switch {
		case h.own(e):
			back = back || goingBack(status)
		case !strings.HasSuffix(status, "_FAILED") || cancelled.MatchString(aws.ToString(e.ResourceStatusReason)):
		case back:
			inRollback = append(inRollback, e)
		default:
			first = append(first, e)
		}
	}
	return first, inRollback
}

// ended is the status that the latest event of a resource tells.
func (h history) ended(logical string) string {
	for _, e := range h.events[:h.op] { // newest first
		if aws.ToString(e.LogicalResourceId) == logical {
			return string(e.ResourceStatus)
		}
	}
	return ""
}

var cancelled = regexp.MustCompile(`(?i)^resource \w+ cancell?ed`)

// tellCause puts the first failure into the title, and others into lines.
func (p *reader) tellCause(ctx context.Context, a *ops.Answer, h history) {
	first, inRollback := h.failures()
	switch {
	case len(first) > 0:
		text, inside := p.leaf(ctx, h.stack, first[0], maxNesting)
		a.Title += ". First failure: " + text
		if inside != "" {
			a.Lines = append(a.Lines, inside)
		}
	default:
		if why := h.ownReason(); why != "" {
			a.Title += ". Reason: " + why
		}
	}
	if !h.begun && !h.all {
		a.Lines = append(a.Lines, fmt.Sprintf("Only the newest %d events were read: an earlier failure is possible.", len(h.events)))
	}
	also := func(prefix string, events []types.StackEvent) {
		for i, e := range events {
			if i == moreCauses {
				a.Lines = append(a.Lines, fmt.Sprintf("%s: %d more.", prefix, len(events)-i))
				return
			}
			a.Lines = append(a.Lines, prefix+": "+failure(e))
		}
	}
	if len(first) > 1 {
		also("Failed too", first[1:])
	}
	also("Failed in the rollback", inRollback)
}

// leaf follows a failure into nested stacks, deleted ones too, to the resource that
// failed first, and says in which stack that was.
func (p *reader) leaf(ctx context.Context, stack string, e types.StackEvent, depth int) (text, inside string) {
	child := aws.ToString(e.PhysicalResourceId)
	if aws.ToString(e.ResourceType) != "AWS::CloudFormation::Stack" || child == "" || child == stack || depth == 0 {
		return failure(e), ""
	}
	// What the parent's rollback did to the nested stack afterwards is no cause.
	h, err := p.history(ctx, child, e.Timestamp, 0)
	if err != nil {
		return failure(e), "The events of the nested stack could not be read: " + err.Error() + "."
	}
	first, inRollback := h.failures()
	first = append(first, inRollback...)
	if len(first) == 0 {
		return failure(e), ""
	}
	text, inside = p.leaf(ctx, child, first[0], depth-1)
	if inside == "" {
		inside = "That was in the nested stack " + aws.ToString(first[0].StackName) + "."
	}
	return text, inside
}

// ownReason is why the stack itself says it failed or goes back: of the oldest own
// event in the operation that tells, since the later ones repeat it.
func (h history) ownReason() string {
	for _, e := range slices.Backward(h.events[:h.op]) {
		status := string(e.ResourceStatus)
		if h.own(e) && (goingBack(status) || strings.HasSuffix(status, "_FAILED")) {
			if why := deploy.Mask(aws.ToString(e.ResourceStatusReason)); why != "" {
				return deploy.Short(why, maxValue)
			}
		}
	}
	return ""
}

// failure names the resource, its type and the reason.
func failure(e types.StackEvent) string {
	why := deploy.Short(deploy.Mask(aws.ToString(e.ResourceStatusReason)), maxValue)
	if why == "" {
		why = string(e.ResourceStatus) + " without a reason"
	}
	return fmt.Sprintf("%s (%s): %s", aws.ToString(e.LogicalResourceId), aws.ToString(e.ResourceType), why)
}

func table(events []types.StackEvent) *ops.Table {
	t := &ops.Table{Columns: []string{"Time (UTC)", "Resource", "Status", "Reason"}}
	for _, e := range events {
		at := "unknown"
		if e.Timestamp != nil {
			at = e.Timestamp.UTC().Format("2006-01-02 15:04:05")
		}
		kind := strings.TrimPrefix(aws.ToString(e.ResourceType), "AWS::")
		t.Rows = append(t.Rows, []string{
			at,
			fmt.Sprintf("%s (%s)", aws.ToString(e.LogicalResourceId), kind),
			string(e.ResourceStatus),
			deploy.Short(deploy.Mask(aws.ToString(e.ResourceStatusReason)), maxValue),
		})
	}
	return t
}
