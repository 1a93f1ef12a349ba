package stacks

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/ops"
)

// deleteStep deletes the stack and follows it.
type deleteStep struct {
	site   Site
	params map[string]string
}

// deleteNotes is what the step remembers.
type deleteNotes struct {
	Token string    `json:"token"`
	Since time.Time `json:"since"`
	// Taken is when CloudFormation answered that it took the call; its events may come
	// later. Zero: no answer yet.
	Taken time.Time `json:"taken,omitzero"`
}

// settling is how long after CloudFormation took a call its first event may be missing.
const settling = time.Minute

// sent notes CloudFormation's answer to the call.
func (n deleteNotes) sent(t *ops.Tick, err error) error {
	if err != nil {
		return err
	}
	n.Taken = t.Now().UTC()
	return t.Save(n)
}

// awaited reports whether the call was taken and its events may still be missing.
func (n deleteNotes) awaited(t *ops.Tick) bool {
	return !n.Taken.IsZero() && t.Now().Sub(n.Taken) < settling
}

func (s deleteStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	n := deleteNotes{Token: token, Since: t.Now().UTC()}
	if known, err := t.Load(&n); err != nil {
		return err
	} else if !known || n.Token != token {
		n = deleteNotes{Token: token, Since: t.Now().UTC()}
	}
	if err := t.Save(n); err != nil {
		return err
	}
	before := s.params[paramARN]
	if err := t.Record(ctx, ops.Change{Key: journalKey, Resource: "stack " + s.params[paramStack], Setting: "stack", Before: &before}); err != nil {
		return err
	}
	api := cloudformation.NewFromConfig(s.site.ForRun(t))
	in := &cloudformation.DeleteStackInput{StackName: &before, ClientRequestToken: &token}
	if s.params[paramRetain] != "" {
		in.RetainResources = strings.Split(s.params[paramRetain], ",")
	}
	_, err := api.DeleteStack(ctx, in)
	return n.sent(t, s.site.Explain(err))
}

// Poll is done when the stack, asked for by ARN, is DELETE_COMPLETE.
func (s deleteStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n deleteNotes
	known, err := t.Load(&n)
	if err != nil {
		return ops.Progress{}, err
	}
	if !known {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	api := cloudformation.NewFromConfig(s.site.ForRun(t))
	r := &reader{s.site.Account, api}
	stack, err := r.stack(ctx, s.params[paramARN])
	if err != nil {
		return ops.Progress{}, err
	}
	v, err := r.follow(ctx, s.params[paramARN], n.Since, n.Token)
	if err != nil {
		return ops.Progress{}, err
	}
	name := s.params[paramStack]
	switch {
	case stack.StackStatus == types.StackStatusDeleteComplete:
		if err := t.Settle(ctx, journalKey, ops.Kept, nil, ""); err != nil {
			return ops.Progress{}, err
		}
		head := fmt.Sprintf("%s is gone", name)
		if s.params[paramRetain] != "" {
			head += "; " + s.params[paramRetain] + " stayed"
		}
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: head}}, nil
	case !v.seen && n.awaited(t):
		return ops.Progress{Phase: ops.Waiting, Wait: 2 * time.Second, Status: ops.Status{Headline: "Asked for; CloudFormation has not begun yet"}}, nil
	case !v.seen && stack.StackStatus != types.StackStatusDeleteInProgress:
		return ops.Progress{Phase: ops.NotStarted}, nil
	case v.ended == types.ResourceStatusDeleteFailed && stack.StackStatus == types.StackStatusDeleteFailed:
		return ops.Progress{Phase: ops.Failed, Reason: s.stuck(ctx, api, r, v)}, nil
	}
	total, _ := strconv.Atoi(s.params[paramTotal]) // written by the plan
	return ops.Progress{Phase: ops.Waiting, Status: v.status(t.Now(), total, nil)}, nil
}

// stuck says what holds the stack, and what to type.
func (s deleteStep) stuck(ctx context.Context, api Deleter, r *reader, v view) string {
	name := s.params[paramStack]
	text := fmt.Sprintf("%s ended in DELETE_FAILED. First failure: %s", name, r.cause(ctx, v))
	list, err := listResources(ctx, r, api, s.params[paramARN])
	if err != nil {
		return text
	}
	var names []string
	for _, x := range list {
		if x.status == "DELETE_FAILED" {
			names = append(names, x.logical)
		}
	}
	if len(names) > 0 {
		text += fmt.Sprintf(". Empty or release it and delete again, or leave it: cfn delete %s --retain %s", name, strings.Join(names, ","))
	}
	return text
}

// Undo waits for a deletion that runs to its end: it cannot be stopped.
func (s deleteStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if _, recorded := t.Entry(journalKey); !recorded {
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
	v, err := r.follow(ctx, s.params[paramARN], n.Since, n.Token)
	if err != nil {
		return ops.Progress{}, err
	}
	var after *string
	state, why := ops.Left, "a deletion cannot be taken back; the stack is gone"
	switch {
	case stack.StackStatus == types.StackStatusDeleteInProgress:
		return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: "A deletion cannot be cancelled; following it to its end"}}, nil
	case stack.StackStatus == types.StackStatusDeleteComplete:
	case !v.seen && t.Now().Sub(n.Since) < time.Minute:
		// A request on its way may still arrive.
		return ops.Progress{Phase: ops.Waiting, Wait: 5 * time.Second, Status: ops.Status{Headline: "Looking whether the deletion begins"}}, nil
	case !v.seen:
		entry, _ := t.Entry(journalKey)
		state, after, why = ops.Restored, entry.Before, ""
	default:
		entry, _ := t.Entry(journalKey)
		after, why = entry.Before, fmt.Sprintf("the stack is in %s, with the resources that could not be deleted", stack.StackStatus)
	}
	if err := t.Settle(ctx, journalKey, state, after, why); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Done}, nil
}
