package stacks

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"twokey/ops"
)

// deployStep executes a change set and follows the stack to the end of that operation.
type deployStep struct {
	site   Site
	params map[string]string
}

// deployNotes is what the step remembers.
type deployNotes struct {
	Token string    `json:"token"` // of the execution
	Since time.Time `json:"since"` // when it was asked for first
	// Cancel is the token of the cancel; empty: none was asked for.
	Cancel string `json:"cancel,omitempty"`
	// Usual is how long the stack's operation before took, by path of resource; "" is all.
	Usual map[string]time.Duration `json:"usual,omitempty"`
	// Told is what the thread was told: the first failure, the silence.
	Told map[string]bool `json:"told,omitempty"`
}

// journalKey is the one entry of the journal.
const journalKey = "stack"

// quietFor is how long a stack may be silent before the thread says so.
const quietFor = 15 * time.Minute

func (s deployStep) writer(t *ops.Tick) *writer { return newWriter(s.site.Account, s.site.ForRun(t)) }

// Start executes the change set. Executed once more with the same token, it changes
// nothing.
func (s deployStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	w := s.writer(t)
	var n deployNotes
	known, err := t.Load(&n)
	if err != nil {
		return err
	}
	if !known {
		n = deployNotes{Token: token, Since: t.Now().UTC()}
		if s.params[paramNew] != "true" {
			n.Usual = w.usual(ctx, s.params[paramARN])
		}
	}
	n.Token = token
	if err := t.Save(n); err != nil {
		return err
	}
	change := ops.Change{
		Key: journalKey, Resource: "stack " + s.params[paramStack], Setting: "resources",
		Intended: aws.String(fmt.Sprintf("as of change set %s (%s)", setName(s.params[paramSet]), s.params[paramSummary])),
	}
	if s.params[paramNew] != "true" {
		change.Before = aws.String(s.before())
	}
	if err := t.Record(ctx, change); err != nil {
		return err
	}
	in := &cloudformation.ExecuteChangeSetInput{ChangeSetName: aws.String(s.params[paramSet]), ClientRequestToken: &token}
	if s.params[paramKeep] == "true" {
		in.DisableRollback = aws.Bool(true)
	}
	_, err = w.api.ExecuteChangeSet(ctx, in)
	if busy := new(types.InvalidChangeSetStatusException); errors.As(err, &busy) {
		return nil // executed already, or past it: Poll sees which
	}
	return w.Explain(err)
}

// before is the stack's state when planned.
func (s deployStep) before() string {
	if at := s.params[paramUpdated]; at != "" {
		return s.params[paramStatus] + ", updated " + at
	}
	return s.params[paramStatus] + ", never updated"
}

// setName is a change set's name in its ARN.
func setName(arn string) string {
	if parts := strings.Split(arn, "/"); len(parts) >= 2 {
		return parts[1]
	}
	return arn
}

// seen looks at the operation. begun is false while it certainly has not begun.
func (s deployStep) seen(ctx context.Context, t *ops.Tick) (n deployNotes, v view, begun bool, err error) {
	known, err := t.Load(&n)
	if err != nil || !known {
		return n, view{}, false, err
	}
	w := s.writer(t)
	if v, err = w.follow(ctx, s.params[paramARN], n.Since, n.Token, n.Token+cancelSuffix); err != nil || v.seen {
		return n, v, v.seen, err
	}
	// No event tells of it yet; does the change set?
	set, err := w.changeSet(ctx, s.params[paramSet])
	switch {
	case errors.Is(err, errNoSet):
		return n, v, false, errSetGone
	case err != nil:
		return n, v, false, err
	case set.executed():
		return n, v, true, nil
	case set.Execution == types.ExecutionStatusObsolete:
		return n, v, false, errSetGone
	}
	return n, v, false, nil
}

var errSetGone = errors.New("the change set cannot be executed any more")

// cancelSuffix makes the token of a cancel from that of the execution.
const cancelSuffix = "-cancel"

// Poll follows the operation. It is done when the stack's own last event under our token
// is a good ending and the stack's status says the same: statuses alone may be old ones.
func (s deployStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	n, v, begun, err := s.seen(ctx, t)
	if errors.Is(err, errSetGone) {
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf(
			"change set %s of %s is gone or obsolete: somebody changed the stack or deleted it; nothing was executed", setName(s.params[paramSet]), s.params[paramStack])}, nil
	}
	if err != nil {
		return ops.Progress{}, err
	}
	if !begun {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	if !v.seen {
		return ops.Progress{Phase: ops.Waiting, Wait: 2 * time.Second, Status: ops.Status{Headline: "Executed; CloudFormation has not begun yet"}}, nil
	}
	w := s.writer(t)
	if err := s.tell(ctx, t, w, n, v); err != nil {
		return ops.Progress{}, err
	}
	if v.ended == "" {
		return ops.Progress{Phase: ops.Waiting, Wait: s.wait(v), Status: v.status(t.Now(), s.total(), n.Usual)}, nil
	}
	agrees, status, err := s.agrees(ctx, w, v)
	if err != nil {
		return ops.Progress{}, err
	}
	if !agrees {
		return ops.Progress{Phase: ops.Waiting, Wait: 2 * time.Second, Status: ops.Status{
			Headline: fmt.Sprintf("The events say %s, the stack still %s", v.ended, status)}}, nil
	}
	if phaseOf(types.StackStatus(v.ended)) == done {
		after := fmt.Sprintf("%s, %s", v.ended, v.at.UTC().Format(time.RFC3339))
		if err := t.Settle(ctx, journalKey, ops.Kept, &after, ""); err != nil {
			return ops.Progress{}, err
		}
		return ops.Progress{Phase: ops.Done, Status: ops.Status{
			Headline: fmt.Sprintf("%s is %s after %s: %s", s.params[paramStack], v.ended, spoken(v.at.Sub(v.began)), s.params[paramSummary])}}, nil
	}
	return ops.Progress{Phase: ops.Failed, Reason: s.failed(w.cause(ctx, v), v.ended)}, nil
}

func (s deployStep) failed(cause string, status types.ResourceStatus) string {
	if cause == "" {
		return fmt.Sprintf("%s ended in %s without a reason", s.params[paramStack], status)
	}
	return fmt.Sprintf("%s ended in %s. First failure: %s", s.params[paramStack], status, cause)
}

// agrees reports whether the stack's own status is what its events say. Where another
// operation has begun since, the events are the only word about ours.
func (s deployStep) agrees(ctx context.Context, w *writer, v view) (bool, types.StackStatus, error) {
	stack, err := w.stack(ctx, s.params[paramARN])
	if err != nil {
		return false, "", err
	}
	return v.later || string(stack.StackStatus) == string(v.ended), stack.StackStatus, nil
}

// tell puts into the thread, once each, that the stack goes back and why, and that nothing
// moves.
func (s deployStep) tell(ctx context.Context, t *ops.Tick, w *writer, n deployNotes, v view) error {
	once := func(key string) bool {
		if n.Told[key] {
			return false
		}
		if n.Told == nil {
			n.Told = map[string]bool{}
		}
		n.Told[key] = true
		return true
	}
	if v.back && n.Cancel == "" && v.ended == "" && once("back") {
		t.Say("Going back. First failure: %s", w.cause(ctx, v))
	}
	if quiet := t.Now().Sub(v.at); v.ended == "" && quiet > quietFor && once("quiet "+v.at.Format(time.RFC3339)) {
		longest := v.status(t.Now(), s.total(), n.Usual)
		text := "nothing is in work"
		if len(longest.Lines) > 0 {
			text = longest.Lines[0]
		}
		t.Say("No event for %s. Longest in work: %s. Look at that resource in its own service; CloudFormation gives up by its own time limits.", spoken(quiet), text)
	}
	return t.Save(n)
}

func (s deployStep) total() int {
	n, _ := strconv.Atoi(s.params[paramTotal]) // written by the plan
	return n
}

// wait is until the next look: longer where there are many nested stacks to be asked.
func (s deployStep) wait(v view) time.Duration {
	nested := 0
	for _, x := range v.rows {
		if x.kind == "CloudFormation::Stack" {
			nested++
		}
	}
	return min(5*time.Second+time.Duration(nested)*time.Second, 30*time.Second)
}

// Undo makes CloudFormation bring an update back, and watches it to its end. A creation it
// can only follow.
func (s deployStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	n, v, begun, err := s.seen(ctx, t)
	if _, recorded := t.Entry(journalKey); !recorded {
		return ops.Progress{Phase: ops.Done}, err
	}
	w := s.writer(t)
	if err == nil && !begun {
		// Deleted, it cannot be executed any more by a request that is still on its way.
		if err := t.Fence(ctx); err != nil {
			return ops.Progress{}, err
		}
		if err := w.discard(ctx, s.params[paramStack], s.params[paramSet]); err != nil {
			return ops.Progress{}, err
		}
		set, err := w.changeSet(ctx, s.params[paramSet])
		if err == nil && set.executed() {
			return ops.Progress{Phase: ops.Waiting, Wait: time.Second, Status: ops.Status{Headline: "Executed after all; looking what became of it"}}, nil
		}
		if err != nil && !errors.Is(err, errNoSet) {
			return ops.Progress{}, err
		}
		return s.settled(ctx, t, ops.Restored, "")
	}
	if errors.Is(err, errSetGone) {
		return s.settled(ctx, t, ops.Restored, "")
	}
	if err != nil {
		return ops.Progress{}, err
	}
	if !v.seen {
		return ops.Progress{Phase: ops.Waiting, Wait: 2 * time.Second, Status: ops.Status{Headline: "Executed; CloudFormation has not begun yet"}}, nil
	}
	stack, err := w.stack(ctx, s.params[paramARN])
	if err != nil {
		return ops.Progress{}, err
	}
	if v.ended != "" {
		return s.undone(ctx, t, v, stack)
	}
	status := v.status(t.Now(), s.total(), n.Usual)
	if stack.StackStatus == types.StackStatusUpdateInProgress && !v.back && n.Cancel == "" {
		n.Cancel = n.Token + cancelSuffix
		if err := t.Save(n); err != nil {
			return ops.Progress{}, err
		}
		if err := t.Flush(ctx); err != nil {
			return ops.Progress{}, err
		}
	}
	if stack.StackStatus == types.StackStatusUpdateInProgress && !v.back {
		if err := t.Fence(ctx); err != nil {
			return ops.Progress{}, err
		}
		_, err := w.api.CancelUpdateStack(ctx, &cloudformation.CancelUpdateStackInput{StackName: stack.StackId, ClientRequestToken: &n.Cancel})
		if err != nil && !isRefused(err) {
			return ops.Progress{}, w.Explain(err)
		}
		status.Headline = "Cancel asked for; waiting for CloudFormation to go back"
	}
	if s.params[paramNew] == "true" && !v.back {
		status.Headline = "A creation cannot be cancelled; following it to its end. " + status.Headline
	}
	return ops.Progress{Phase: ops.Waiting, Wait: s.wait(v), Status: status}, nil
}

// undone settles the journal by how the operation ended.
func (s deployStep) undone(ctx context.Context, t *ops.Tick, v view, stack types.Stack) (ops.Progress, error) {
	name, status := s.params[paramStack], stack.StackStatus
	switch {
	case v.later:
		return s.settled(ctx, t, ops.Left, fmt.Sprintf("ours ended in %s; somebody has begun another operation on %s since", v.ended, name))
	case strings.HasSuffix(string(status), "_IN_PROGRESS"):
		return ops.Progress{Phase: ops.Waiting, Wait: 2 * time.Second, Status: ops.Status{Headline: fmt.Sprintf("%s is %s", name, status)}}, nil
	case status == types.StackStatusUpdateRollbackComplete && v.ended == types.ResourceStatusUpdateRollbackFailed:
		// What was skipped is UPDATE_COMPLETE to CloudFormation, like what was rolled back
		// (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ContinueUpdateRollback.html).
		_, failed := v.h.failures()
		var names []string
		for _, e := range failed {
			names = append(names, aws.ToString(e.LogicalResourceId))
		}
		slices.Sort(names)
		return s.settled(ctx, t, ops.Left, fmt.Sprintf("it is %s, but its rollback had failed at %s and was continued since: cfn drift %s shows what is not as before",
			status, brief(slices.Compact(names), maxNamed), name))
	case status == types.StackStatusUpdateRollbackComplete:
		return s.settled(ctx, t, ops.Restored, "")
	case status == types.StackStatusUpdateRollbackFailed:
		return ops.Progress{Phase: ops.Blocked, Reason: fmt.Sprintf(
			"%s is in UPDATE_ROLLBACK_FAILED: neither old nor new. Bring it to a stable status with cfn recover %s, then resume", name, name)}, nil
	case status == types.StackStatusRollbackComplete:
		return s.settled(ctx, t, ops.Left, fmt.Sprintf("what was created is removed; the empty stack stays: cfn delete %s", name))
	case status == types.StackStatusDeleteComplete:
		return s.settled(ctx, t, ops.Left, "somebody deleted the stack")
	case status == types.StackStatusCreateFailed, status == types.StackStatusUpdateFailed:
		return s.settled(ctx, t, ops.Left, fmt.Sprintf("%s, kept as it failed: cfn recover %s rolls it back", status, name))
	case phaseOf(status) == done:
		return s.settled(ctx, t, ops.Left, fmt.Sprintf("it was %s before it could be cancelled; to go back, deploy the earlier template", status))
	}
	return s.settled(ctx, t, ops.Left, fmt.Sprintf("the stack is in %s", status))
}

func (s deployStep) settled(ctx context.Context, t *ops.Tick, state ops.ChangeState, why string) (ops.Progress, error) {
	entry, _ := t.Entry(journalKey)
	after := entry.Before
	if state == ops.Left {
		after = entry.Intended
	}
	if err := t.Settle(ctx, journalKey, state, after, why); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Done}, nil
}

// tokenOf is the shape of the engine's client tokens.
var tokenOf = regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{26})-\d+-\d+(-cancel)?$`)

// runOf is the run whose client token it is.
func runOf(token string) (string, bool) {
	if m := tokenOf.FindStringSubmatch(token); m != nil {
		return m[1], true
	}
	return "", false
}
