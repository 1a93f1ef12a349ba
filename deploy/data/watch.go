package data

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"twokey/ops"
)

// watchQueue is "sqs watch NAME": it follows a queue until it is empty or the time is over.
// It is a run, since it takes long, of class R0.
type watchQueue struct{ sites map[string]Site }

const (
	kindWatch    = "sqs watch"
	defaultWatch = 30 * time.Minute
	maxWatch     = 24 * time.Hour
	// emptyPolls is how many looks in a row must find nothing: the counts are approximate.
	emptyPolls = 3
)

func (o watchQueue) Kind() string { return kindWatch }

func (o watchQueue) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "watch" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	long, err := time.ParseDuration(ref.Params["for"])
	if err != nil {
		return nil, fmt.Errorf("step %s: for: %w", ref.Name, err)
	}
	return watchStep{site, ref.Params[paramQueue], long}, nil
}

// Plan finds the queue.
func (o watchQueue) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	long := defaultWatch
	if text := call.Flags["for"]; text != "" {
		if long, err = time.ParseDuration(text); err != nil || long < time.Minute || long > maxWatch {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("--for %s is no time to watch", text), Next: "Write it like 30m or 2h, a day at most."}
		}
	}
	if _, err := site.Verify(ctx); err != nil {
		return ops.Plan{}, err
	}
	name := call.Args[0]
	url, err := site.queue(ctx, sqs.NewFromConfig(site.ForPlan(call.Kind)), name)
	if err != nil {
		return ops.Plan{}, err
	}
	if url == "" {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("there is no queue %s in %s", name, site.Where()), Next: "Check the name and the environment."}
	}
	return ops.Plan{
		Call: call, Class: ops.R0, Targets: []string{name},
		Title:  fmt.Sprintf("Watch queue %s in %s", name, site.Where()),
		Effect: fmt.Sprintf("follows it until it is empty, for %s at most, and changes nothing", long),
		Steps:  []ops.StepRef{{Name: "watch", Version: 1, Title: "follow " + name, Params: map[string]string{paramEnvironment: call.Environment, paramQueue: name, "for": long.String()}}},
		Undo:   []string{"Nothing is changed. Cancelling ends the watching only."},
	}, nil
}

type watchStep struct {
	site Site
	name string
	long time.Duration
}

type watched struct {
	Began time.Time `json:"began"`
	First int       `json:"first"`
	Empty int       `json:"empty"` // looks in a row that found nothing
}

func (watchStep) Start(context.Context, *ops.Tick, string) error { return nil }

func (watchStep) Undo(context.Context, *ops.Tick) (ops.Progress, error) {
	return ops.Progress{Phase: ops.Done}, nil
}

// Poll looks at the queue.
func (s watchStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n watched
	known, err := t.Load(&n)
	if err != nil {
		return ops.Progress{}, err
	}
	api := sqs.NewFromConfig(s.site.ForRun(t))
	url, err := s.site.queue(ctx, api, s.name)
	if err != nil {
		return ops.Progress{}, err
	}
	if url == "" {
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("the queue %s is gone", s.name)}}, nil
	}
	have, err := s.site.attributes(ctx, api, url)
	if err != nil {
		return ops.Progress{}, err
	}
	z := depthOf(have)
	if !known {
		n.Began, n.First = t.Now().UTC(), z.total()
	}
	if n.Empty++; z.total() > 0 {
		n.Empty = 0
	}
	if err := t.Save(n); err != nil {
		return ops.Progress{}, err
	}
	long := t.Now().Sub(n.Began).Round(time.Second)
	switch {
	case n.Empty >= emptyPolls:
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("%s is empty after %s, as far as SQS counts", s.name, long)}}, nil
	case long >= s.long:
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("%s is not empty after %s: %s", s.name, long, z.text())}}, nil
	}
	status := ops.Status{Headline: fmt.Sprintf("%s: %s", s.name, z.text())}
	if gone := n.First - z.total(); gone > 0 && long > 30*time.Second {
		left := time.Duration(float64(long) * float64(z.total()) / float64(gone))
		status.ETALow, status.ETAHigh = left/2, 2*left
	}
	return ops.Progress{Phase: ops.Waiting, Wait: 15 * time.Second, Status: status}, nil
}
