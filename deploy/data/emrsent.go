package data

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"twokey/ops"
)

// lookFor is how long something is looked for whose answer was lost. EMR takes no client
// token, so what was sent is never sent again unless a person says so.
const lookFor = 3 * time.Minute

// request is what is remembered of something asked of EMR.
type request struct {
	Token string    `json:"token"`           // the mark it is found by
	Since time.Time `json:"since"`           // of the first try
	Sent  time.Time `json:"sent,omitzero"`   // zero: not sent, or refused
	Asked bool      `json:"asked,omitempty"` // a person was asked whether to send it again
	ID    string    `json:"id,omitempty"`    // empty: not known
}

// send notes that a request is about to be sent, with its change, and sends it. What EMR
// refused was not carried out; after any other error nobody knows.
func (r *request) send(ctx context.Context, t *ops.Tick, token string, c ops.Change, do func() (id string, err error)) error {
	if r.Since.IsZero() {
		r.Since = t.Now().UTC()
	}
	r.Token, r.Sent, r.Asked = token, t.Now().UTC(), false
	if err := t.Save(r); err != nil {
		return err
	}
	if err := t.Record(ctx, c); err != nil {
		return err
	}
	id, err := do()
	switch {
	case refused(err):
		r.Sent = time.Time{}
	case err == nil:
		r.ID = id
	}
	return errors.Join(err, t.Save(r), t.Flush(ctx))
}

// refused reports whether AWS said that it did not carry out a call. It says so of its own
// faults, too, but then it does not know.
func refused(err error) bool {
	var api smithy.APIError
	var answer *smithyhttp.ResponseError
	return errors.As(err, &api) && api.ErrorFault() != smithy.FaultServer && !strings.HasPrefix(api.ErrorCode(), "Internal") &&
		errors.As(err, &answer) && answer.HTTPStatusCode() < http.StatusInternalServerError
}

// absent is the progress of a request that was not found: it may be on its way.
func (r *request) absent(t *ops.Tick, what string) (ops.Progress, error) {
	if r.Sent.IsZero() {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	if left := lookFor - t.Now().Sub(r.Sent); left > 0 {
		return r.looking(what, left), nil
	}
	if r.Asked { // and resumed
		r.Sent = time.Time{}
		return ops.Progress{Phase: ops.NotStarted}, t.Save(r)
	}
	r.Asked = true
	return ops.Progress{Phase: ops.Blocked, Reason: fmt.Sprintf(
		"EMR's answer about the %s was lost, and none with the mark %s was seen for %s. Look there: if there is one, cancel and end it by hand; if there is none, resume sends the request once more",
		what, r.Token, lookFor)}, t.Save(r)
}

func (r *request) looking(what string, left time.Duration) ops.Progress {
	return ops.Progress{Phase: ops.Waiting, Wait: 10 * time.Second, Status: ops.Status{Headline: fmt.Sprintf("EMR's answer was lost; looking for the %s for %s more", what, left.Round(time.Second))}}
}

// gone is the undo of a request that was not found. It says restored only of what was never
// sent, or was refused.
func (r *request) gone(ctx context.Context, t *ops.Tick, key, what string) (ops.Progress, error) {
	if r.Sent.IsZero() {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, key, ops.Restored, nil, "")
	}
	if left := lookFor - t.Now().Sub(r.Sent); left > 0 {
		return r.looking(what, left), nil
	}
	return ops.Progress{Phase: ops.Done}, t.Settle(ctx, key, ops.Left, nil, fmt.Sprintf(
		"whether EMR carried it out is not known: its answer was lost, and no %s with the mark %s was seen for %s", what, r.Token, lookFor))
}
