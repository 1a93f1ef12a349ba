package stacks

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/ops"
)

// watchStack is "cfn watch STACK": it follows what somebody else does to a stack, to its
// end. It is a run, since it takes long, of class R0.
type watchStack struct{ sites map[string]Site }

const kindWatch = "cfn watch"

func (o watchStack) Kind() string { return kindWatch }

func (o watchStack) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "watch" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	return watchStep{site, ref.Params}, nil
}

// Plan refuses a stack on which nothing runs.
func (o watchStack) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	r, name, err := open(ctx, accounts(o.sites), call)
	if err != nil {
		return ops.Plan{}, err
	}
	s, err := r.stack(ctx, name)
	if err != nil {
		return ops.Plan{}, err
	}
	if phaseOf(s.StackStatus) != running {
		return ops.Plan{}, &ops.UserError{
			What: fmt.Sprintf("nothing runs on %s", r.title(s)),
			Next: fmt.Sprintf("cfn events %s shows what happened to it.", aws.ToString(s.StackName)),
		}
	}
	name = aws.ToString(s.StackName)
	return ops.Plan{
		Call: call, Class: ops.R0,
		Title:  fmt.Sprintf("Watch stack %s in %s", name, r.Where()),
		Effect: fmt.Sprintf("follows it from %s to its end and changes nothing", s.StackStatus),
		// Not the status: it goes on between the command and the first look.
		Targets: []string{name},
		Steps: []ops.StepRef{{Name: "watch", Version: 1, Title: "follow " + name, Params: map[string]string{
			paramEnvironment: call.Environment, paramStack: name, paramARN: aws.ToString(s.StackId),
		}}},
		Undo: []string{"Nothing is changed. Cancelling ends the watching only."},
	}, nil
}

// Replan is the plan as it was: what is watched may have ended meanwhile, which is its
// ending to tell.
func (o watchStack) Replan(_ context.Context, approved ops.Plan) (ops.Plan, error) {
	return approved, nil
}

// Discard has nothing to remove.
func (o watchStack) Discard(context.Context, ops.Plan) error { return nil }

type watchStep struct {
	site   Site
	params map[string]string
}

// watchNotes remember which operation is watched, and what was said.
type watchNotes struct {
	Began time.Time `json:"began,omitzero"` // of the operation
	Token string    `json:"token,omitempty"`
	Told  bool      `json:"told,omitempty"` // that it goes back
}

func (s watchStep) Start(context.Context, *ops.Tick, string) error { return nil }

func (s watchStep) Undo(context.Context, *ops.Tick) (ops.Progress, error) {
	return ops.Progress{Phase: ops.Done}, nil
}

// Poll follows the operation that was the latest at the first look.
func (s watchStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	r := &reader{s.site.Account, cloudformation.NewFromConfig(s.site.ForRun(t))}
	var n watchNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	var v view
	var err error
	if n.Token != "" {
		v, err = r.follow(ctx, s.params[paramARN], n.Began, n.Token)
	} else {
		v, err = r.follow(ctx, s.params[paramARN], time.Time{})
	}
	if err != nil {
		return ops.Progress{}, err
	}
	name := s.params[paramStack]
	if !v.seen {
		return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: "CloudFormation has no event of it yet"}}, nil
	}
	if n.Began.IsZero() {
		n.Began, n.Token = v.began, aws.ToString(v.h.events[len(v.h.events)-1].ClientRequestToken)
	}
	if v.back && !n.Told && v.ended == "" {
		n.Told = true
		t.Say("%s goes back. First failure: %s", name, r.cause(ctx, v))
	}
	if err := t.Save(n); err != nil {
		return ops.Progress{}, err
	}
	if v.ended == "" {
		return ops.Progress{Phase: ops.Waiting, Wait: deployStep{}.wait(v), Status: v.status(t.Now(), 0, nil)}, nil
	}
	head := fmt.Sprintf("%s ended in %s after %s", name, v.ended, spoken(v.at.Sub(v.began)))
	if phaseOf(types.StackStatus(v.ended)) == failed {
		head += ". First failure: " + r.cause(ctx, v)
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: head}}, nil
}
