package stacks

import (
	"cmp"
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

// view is one operation on a stack, as its events tell it.
type view struct {
	stack string // ARN
	seen  bool   // it has begun
	began time.Time
	// ended is the stack's status at the operation's end; empty: it has not ended, as far
	// as the events go.
	ended types.ResourceStatus
	at    time.Time // of the end, or else of the newest event
	back  bool      // it goes back, or went
	later bool      // another operation has begun after its end
	rows  []row     // in the order in which they began
	h     history   // its events and no others, for failures
}

// row is one resource in an operation.
type row struct {
	path, kind   string
	status       string
	begun, ended time.Time // zero ended: in progress
	failed       bool
}

// follow reads the operation that has one of the tokens, or, with none, the latest one.
// since is when it began at the earliest: older events are not read. CloudFormation puts
// the token of the call that began an operation on all its events, also on those of its
// rollback (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackEvent.html).
func (r *reader) follow(ctx context.Context, arn string, since time.Time, tokens ...string) (view, error) {
	v := view{stack: arn}
	events, err := r.eventsSince(ctx, arn, since.Add(-clockSkew))
	if err != nil {
		return view{}, err
	}
	ours := func(e types.StackEvent) bool { return slices.Contains(tokens, aws.ToString(e.ClientRequestToken)) }
	if len(tokens) == 0 {
		token := ""
		for _, e := range events {
			if token = aws.ToString(e.ClientRequestToken); token != "" || aws.ToString(e.PhysicalResourceId) == arn {
				break
			}
		}
		ours = func(e types.StackEvent) bool { return aws.ToString(e.ClientRequestToken) == token }
	}
	h := history{stack: arn, all: true}
	for _, e := range events { // newest first
		if !ours(e) {
			if h.own(e) && begins[e.ResourceStatus] && !v.seen && len(h.events) == 0 {
				v.later = true
			}
			continue
		}
		h.events = append(h.events, e)
		if h.own(e) && begins[e.ResourceStatus] {
			v.seen, v.began = true, aws.ToTime(e.Timestamp)
			break
		}
	}
	h.op, h.begun = len(h.events), v.seen
	v.h = h
	if len(h.events) == 0 {
		return v, nil
	}
	v.at = aws.ToTime(h.events[0].Timestamp)
	for _, e := range h.events {
		if !h.own(e) {
			continue
		}
		v.back = goingBack(string(e.ResourceStatus))
		if s := types.StackStatus(e.ResourceStatus); phaseOf(s) == done || phaseOf(s) == failed {
			v.ended, v.at = e.ResourceStatus, aws.ToTime(e.Timestamp)
		}
		break
	}
	v.rows, err = r.rows(ctx, h, "", maxNesting)
	return v, err
}

// clockSkew is by how much this machine's clock and AWS's may differ.
const clockSkew = 5 * time.Minute

// eventsSince reads a stack's events, newest first, back to a time, or, with a zero time,
// to the beginning of its latest operation; and no more than maxEvents by a page.
func (r *reader) eventsSince(ctx context.Context, arn string, since time.Time) ([]types.StackEvent, error) {
	if since.Before(time.Unix(0, 0)) {
		h, err := r.history(ctx, arn, nil, 0)
		return h.events, err
	}
	var all []types.StackEvent
	in := &cloudformation.DescribeStackEventsInput{StackName: &arn}
	for {
		out, err := r.api.DescribeStackEvents(ctx, in)
		if err != nil {
			return nil, r.Explain(err)
		}
		for _, e := range out.StackEvents {
			if e.Timestamp != nil && e.Timestamp.Before(since) {
				return all, nil
			}
			all = append(all, e)
		}
		in.NextToken = out.NextToken
		if aws.ToString(out.NextToken) == "" || len(all) >= maxEvents {
			return all, nil
		}
	}
}

// rows is what the events of an operation say of each resource. Resources of nested stacks
// follow theirs.
func (r *reader) rows(ctx context.Context, h history, path string, depth int) ([]row, error) {
	var rows []row
	at := map[string]int{}
	nested := map[string]string{} // ARN by logical id
	for _, e := range slices.Backward(h.events) {
		name, status := aws.ToString(e.LogicalResourceId), string(e.ResourceStatus)
		if h.own(e) || name == "" {
			continue
		}
		i, ok := at[name]
		if !ok {
			i = len(rows)
			at[name] = i
			rows = append(rows, row{path: path + name, kind: strings.TrimPrefix(aws.ToString(e.ResourceType), "AWS::"), begun: aws.ToTime(e.Timestamp)})
		}
		x := &rows[i]
		if strings.HasSuffix(status, "_IN_PROGRESS") {
			if !strings.HasSuffix(x.status, "_IN_PROGRESS") {
				x.begun = aws.ToTime(e.Timestamp)
			}
			x.ended = time.Time{}
		} else {
			x.ended = aws.ToTime(e.Timestamp)
		}
		x.status, x.failed = status, strings.HasSuffix(status, "_FAILED")
		if id := aws.ToString(e.PhysicalResourceId); x.kind == "CloudFormation::Stack" && id != "" && id != h.stack {
			nested[name] = id
		}
	}
	if depth == 0 {
		return rows, nil
	}
	var out []row
	for _, x := range rows {
		out = append(out, x)
		id := nested[strings.TrimPrefix(x.path, path)]
		if id == "" {
			continue
		}
		events, err := r.eventsSince(ctx, id, x.begun.Add(-time.Second))
		if err != nil {
			return nil, err
		}
		inner, err := r.rows(ctx, history{stack: id, events: events, op: len(events)}, x.path+".", depth-1)
		if err != nil {
			return nil, err
		}
		out = append(out, inner...)
	}
	return out, nil
}

// status is what a watcher reads while an operation runs. total is how many resources the
// change set names; zero: unknown. usual is how long each took last time, by path.
func (v view) status(now time.Time, total int, usual map[string]time.Duration) ops.Status {
	var running []row
	complete := 0
	for _, x := range v.rows {
		switch {
		case x.ended.IsZero():
			running = append(running, x)
		case !x.failed:
			complete++
		}
	}
	slices.SortStableFunc(running, func(a, b row) int { return cmp.Or(a.begun.Compare(b.begun), cmp.Compare(a.path, b.path)) })
	total = max(total, len(v.rows))
	s := ops.Status{Done: int64(complete), Total: int64(total), Unit: "resources"}
	s.Headline = fmt.Sprintf("%d of %d resources done after %s", complete, total, spoken(now.Sub(v.began)))
	if v.back {
		s = ops.Status{Headline: fmt.Sprintf("Going back: %d resources in work, %s since the beginning", len(running), spoken(now.Sub(v.began)))}
	}
	for i, x := range running {
		if i == maxRunning {
			s.Lines = append(s.Lines, fmt.Sprintf("and %d more in work", len(running)-i))
			break
		}
		line := fmt.Sprintf("%s (%s): %s for %s", x.path, x.kind, strings.ToLower(strings.ReplaceAll(strings.TrimSuffix(x.status, "_IN_PROGRESS"), "_", " "))+" in progress", spoken(now.Sub(x.begun)))
		if u := usual[x.path]; u > 0 && !v.back {
			line += fmt.Sprintf(", last time %s", spoken(u))
		}
		s.Lines = append(s.Lines, line)
	}
	if whole := usual[""]; whole > 0 && !v.back {
		if left := whole - now.Sub(v.began); left > 0 {
			s.ETALow, s.ETAHigh = left, 2*left
		}
	}
	return s
}

// maxRunning is how many resources in work are listed, those longest in work first.
const maxRunning = 6

// usual is how long a stack's latest operation took, whole ("") and per resource by path.
// Nothing is returned of one that did not end well.
func (r *reader) usual(ctx context.Context, arn string) map[string]time.Duration {
	v, err := r.follow(ctx, arn, time.Time{})
	if err != nil || !v.seen || v.ended == "" || v.back {
		return nil // there is merely nothing to compare with
	}
	took := map[string]time.Duration{"": v.at.Sub(v.began)}
	for _, x := range v.rows {
		if !x.ended.IsZero() {
			took[x.path] = x.ended.Sub(x.begun)
		}
	}
	return took
}

// spoken is a duration for people: "45s", "3m10s", "2h5m".
func spoken(d time.Duration) string {
	switch d = max(0, d).Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
}

// cause is why an operation failed: the first failure, inside nested stacks too.
func (r *reader) cause(ctx context.Context, v view) string {
	first, inRollback := v.h.failures()
	if first = append(first, inRollback...); len(first) == 0 {
		return v.h.ownReason()
	}
	text, inside := r.leaf(ctx, v.stack, first[0], maxNesting)
	if inside != "" {
		text += " " + inside
	}
	return text
}
