package data

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"twokey/ops"
)

// createQueue is "sqs create NAME".
type createQueue struct{ sites map[string]Site }

const (
	kindQueue  = "sqs create"
	paramQueue = "queue"
	queueKey   = "queue"
)

// Queues is the methods used of *sqs.Client.
type Queues interface {
	GetQueueUrl(context.Context, *sqs.GetQueueUrlInput, ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
	CreateQueue(context.Context, *sqs.CreateQueueInput, ...func(*sqs.Options)) (*sqs.CreateQueueOutput, error)
	ListQueueTags(context.Context, *sqs.ListQueueTagsInput, ...func(*sqs.Options)) (*sqs.ListQueueTagsOutput, error)
	DeleteQueue(context.Context, *sqs.DeleteQueueInput, ...func(*sqs.Options)) (*sqs.DeleteQueueOutput, error)
}

var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

func (o createQueue) Kind() string { return kindQueue }

func (o createQueue) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "create" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	attributes := map[string]string{}
	for k, v := range ref.Params {
		if name, ok := strings.CutPrefix(k, "attribute "); ok {
			attributes[name] = v
		}
	}
	return queueStep{site, ref.Params[paramQueue], attributes}, nil
}

// queue finds a queue's URL; empty: there is none.
func (s Site) queue(ctx context.Context, api Queues, name string) (string, error) {
	out, err := api.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	var absent *types.QueueDoesNotExist
	var no smithy.APIError
	if errors.As(err, &absent) || errors.As(err, &no) && strings.Contains(no.ErrorCode(), "NonExistentQueue") {
		return "", nil
	}
	if err != nil {
		return "", s.Explain(err)
	}
	return aws.ToString(out.QueueUrl), nil
}

func (s Site) attributes(ctx context.Context, api Queues, url string) (map[string]string, error) {
	out, err := api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		return nil, s.Explain(err)
	}
	return out.Attributes, nil
}

// differs lists the wanted attributes that a queue has otherwise.
func differs(want, have map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if have[k] != want[k] {
			out = append(out, fmt.Sprintf("%s is %q, not %q", k, have[k], want[k]))
		}
	}
	return out
}

// Plan refuses a name under which there is another queue.
func (o createQueue) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	name := call.Args[0]
	if !queueName.MatchString(strings.TrimSuffix(name, ".fifo")) {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%q cannot be the name of a queue", name), Next: "A name is up to 80 letters, digits, hyphens and underscores; that of a FIFO queue ends in .fifo."}
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	api := sqs.NewFromConfig(site.ForPlan(call.Kind))
	want, err := site.wanted(ctx, api, name, call.Flags)
	if err != nil {
		return ops.Plan{}, err
	}
	url, err := site.queue(ctx, api, name)
	if err != nil {
		return ops.Plan{}, err
	}
	if url != "" {
		have, err := site.attributes(ctx, api, url)
		if err != nil {
			return ops.Plan{}, err
		}
		if d := differs(want, have); len(d) > 0 {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("the queue %s exists, and differs: %s", name, strings.Join(d, "; ")), Next: "Change it by hand, or choose another name."}
		}
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("the queue %s exists already", name), Next: "There is nothing to do."}
	}
	p := ops.Plan{
		Call: call, Class: ops.R1, Targets: []string{name},
		Title:  fmt.Sprintf("Create queue %s in %s", name, site.Where()),
		Effect: "makes an empty queue",
		Steps:  []ops.StepRef{{Name: "create", Version: 1, Title: "create " + name, Params: map[string]string{paramEnvironment: call.Environment, paramQueue: name}}},
		Undo:   []string{"The queue is deleted, if this run made it and it is empty."},
		Keeps:  []string{"the queue."},
		Locks:  []string{site.Lock(number, "queue", name)},
		Shown:  []ops.Line{{Label: "Account", Text: number + ", " + site.Region}},
	}
	for k, v := range want {
		p.Steps[0].Params["attribute "+k] = v
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		p.Shown = append(p.Shown, ops.Line{Label: k, Text: want[k]})
	}
	return p, nil
}

// wanted are the attributes that the flags ask for.
func (s Site) wanted(ctx context.Context, api Queues, name string, flags map[string]string) (map[string]string, error) {
	want := map[string]string{}
	for flag, x := range map[string]struct {
		attribute string
		low, high time.Duration
	}{"visibility": {"VisibilityTimeout", 0, 12 * time.Hour}, "retention": {"MessageRetentionPeriod", time.Minute, 14 * 24 * time.Hour}} {
		if flags[flag] == "" {
			continue
		}
		d, err := time.ParseDuration(flags[flag])
		if err != nil || d < x.low || d > x.high {
			return nil, &ops.UserError{What: fmt.Sprintf("--%s %s is not between %s and %s", flag, flags[flag], x.low, x.high), Next: "Write it like 30s or 96h."}
		}
		want[x.attribute] = strconv.Itoa(int(d.Seconds()))
	}
	if strings.HasSuffix(name, ".fifo") {
		want["FifoQueue"] = "true"
	}
	if dead := flags["dead-letter"]; dead != "" {
		n, err := strconv.Atoi(flags["max-receives"])
		if err != nil || n < 1 || n > 1000 {
			return nil, &ops.UserError{What: "--dead-letter needs --max-receives", Next: "Give a number from 1 to 1000: after so many receives a message goes there."}
		}
		url, err := s.queue(ctx, api, dead)
		if err != nil {
			return nil, err
		}
		if url == "" {
			return nil, &ops.UserError{What: fmt.Sprintf("there is no queue %s for dead letters", dead), Next: fmt.Sprintf("Make it first: sqs create %s.", dead)}
		}
		have, err := s.attributes(ctx, api, url)
		if err != nil {
			return nil, err
		}
		want["RedrivePolicy"] = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, have["QueueArn"], n)
	}
	return want, nil
}

// queueStep makes a queue.
type queueStep struct {
	site       Site
	name       string
	attributes map[string]string
}

func (s queueStep) api(t *ops.Tick) Queues { return sqs.NewFromConfig(s.site.ForRun(t)) }

// Start makes the queue, with a tag that says whose it is. Made once more with the same
// attributes, it is the same queue; a queue that is there keeps its tags.
func (s queueStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	if err := t.Save(token); err != nil {
		return err
	}
	text := "exists"
	if err := t.Record(ctx, ops.Change{Key: queueKey, Resource: "account", Setting: "queue " + s.name, Intended: &text}); err != nil {
		return err
	}
	_, err := s.api(t).CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &s.name, Attributes: s.attributes, Tags: map[string]string{tokenTag: token}})
	return s.site.Explain(err)
}

// ours reports whether this run made the queue.
func (s queueStep) ours(ctx context.Context, t *ops.Tick, url string) (bool, error) {
	var token string
	if known, err := t.Load(&token); err != nil || !known {
		return false, err
	}
	out, err := s.api(t).ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &url})
	if err != nil {
		return false, s.site.Explain(err)
	}
	return out.Tags[tokenTag] == token, nil
}

func (s queueStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(queueKey)
	if !recorded {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	url, err := s.site.queue(ctx, s.api(t), s.name)
	if err != nil {
		return ops.Progress{}, err
	}
	if url == "" {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	have, err := s.site.attributes(ctx, s.api(t), url)
	if err != nil {
		return ops.Progress{}, err
	}
	if d := differs(s.attributes, have); len(d) > 0 {
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("the queue %s is not as asked for: %s", s.name, strings.Join(d, "; "))}, nil
	}
	if e.State != ops.Kept {
		if err := t.Settle(ctx, queueKey, ops.Kept, e.Intended, ""); err != nil {
			return ops.Progress{}, err
		}
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("queue %s is there: %s", s.name, have["QueueArn"])}}, nil
}

// Undo deletes the queue if it is empty. SQS takes up to a minute for that.
func (s queueStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(queueKey)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	api := s.api(t)
	url, err := s.site.queue(ctx, api, s.name)
	if err != nil {
		return ops.Progress{}, err
	}
	if url == "" {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, queueKey, ops.Restored, nil, "")
	}
	ours, err := s.ours(ctx, t, url)
	if err != nil {
		return ops.Progress{}, err
	}
	if !ours {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, queueKey, ops.Left, e.Intended, "somebody else made the queue meanwhile")
	}
	have, err := s.site.attributes(ctx, api, url)
	if err != nil {
		return ops.Progress{}, err
	}
	if z := depthOf(have); z.total() > 0 {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, queueKey, ops.Left, e.Intended, fmt.Sprintf("it holds messages by now: %s", z.text()))
	}
	if err := t.Fence(ctx); err != nil {
		return ops.Progress{}, err
	}
	if _, err := api.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: &url}); err != nil {
		return ops.Progress{}, s.site.Explain(err)
	}
	return ops.Progress{Phase: ops.Waiting, Wait: 2 * time.Second, Status: ops.Status{Headline: "Deleted; looking"}}, nil
}

// depth is about how many messages a queue has.
type depth struct{ waiting, inFlight, delayed int }

func (z depth) total() int { return z.waiting + z.inFlight + z.delayed }
func (z depth) text() string {
	return fmt.Sprintf("about %d waiting, %d in flight, %d delayed", z.waiting, z.inFlight, z.delayed)
}

func depthOf(a map[string]string) depth {
	n := func(k string) int { v, _ := strconv.Atoi(a[k]); return v } // SQS writes numbers
	return depth{n("ApproximateNumberOfMessages"), n("ApproximateNumberOfMessagesNotVisible"), n("ApproximateNumberOfMessagesDelayed")}
}
