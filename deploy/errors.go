package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"

	"twokey/ops"
)

// isAbsent reports whether CloudFormation said that a stack does not exist. It has no
// code of its own for that in the calls used here.
func isAbsent(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ValidationError" && strings.Contains(api.ErrorMessage(), "does not exist")
}

// explain turns an error of a call into one for the person who asked. action is the
// IAM action of the call.
func (p *place) explain(err error, action string) error {
	e := &ops.UserError{Err: err}
	var api smithy.APIError
	var network net.Error
	switch {
	case errors.As(err, &api):
		p.explainAPI(e, api, action)
	case errors.Is(err, context.DeadlineExceeded):
		e.What = fmt.Sprintf("AWS did not answer %s for %s in time", action, p.where())
		e.Next = "Nothing was changed; try again."
	case errors.Is(err, context.Canceled):
		return err
	case strings.Contains(err.Error(), "get credentials:"):
		// The SDK has no type for this error.
		e.What = "Twokey has no AWS credentials for " + p.where()
		e.Next = "Give its process credentials (environment variables, a profile or the machine's role)."
	case errors.As(err, &network):
		e.What = "AWS cannot be reached for " + p.where() + ": " + maskText(network.Error())
		e.Next = "Check the region and Twokey's network; nothing was changed."
	default:
		e.What = "AWS answered " + action + " for " + p.where() + " with something unreadable"
		e.Next = "Twokey's log has the details."
	}
	return e
}

// explainAPI explains an error that AWS answered with, by its code; codes are those
// of the query protocol and their newer spellings.
func (p *place) explainAPI(e *ops.UserError, api smithy.APIError, action string) {
	code := strings.TrimSuffix(api.ErrorCode(), "Exception")
	message := short(maskText(api.ErrorMessage()), 2*maxValue)
	switch code {
	case "AccessDenied", "UnauthorizedOperation", "NotAuthorized":
		d := denialOf(message, action)
		e.What = fmt.Sprintf("AWS does not let %s do %s in %s", d.who, d.action, p.where())
		if d.resource != "" {
			e.What += " on " + d.resource
		}
		e.Next = "Allow " + d.action + " in an IAM policy of " + d.who + "."
	case "Throttling", "ThrottlingError", "Throttled", "RequestLimitExceeded", "TooManyRequests", "RequestThrottled":
		e.What = fmt.Sprintf("AWS is being asked too often in %s and refused %s", p.where(), action)
		e.Next = "Try again in a minute."
	case "ExpiredToken", "RequestExpired":
		e.What = "the AWS credentials for " + p.where() + " have expired"
		e.Next = "Renew Twokey's session (for example by logging in to its AWS profile again)."
	case "InvalidClientTokenId", "UnrecognizedClient", "InvalidAccessKeyId", "AuthFailure", "MissingAuthenticationToken", "OptInRequired":
		e.What = fmt.Sprintf("AWS does not accept the credentials for %s: %s", p.where(), message)
		e.Next = "Check Twokey's access key and that the region is enabled for the account."
	case "SignatureDoesNotMatch", "IncompleteSignature", "InvalidSignature", "RequestTimeTooSkewed":
		e.What = fmt.Sprintf("AWS refused the signature of the request for %s: %s", p.where(), message)
		e.Next = "Check Twokey's secret key and the clock of its machine."
	default:
		e.What = fmt.Sprintf("AWS refused %s in %s: %s: %s", action, p.where(), api.ErrorCode(), message)
	}
}

type denial struct{ who, action, resource string }

// IAM's sentence: "User: ARN is not authorized to perform: ACTION on resource: ARN
// because …". The parts after the action may be missing.
var denialText = regexp.MustCompile(`(?:User: (\S+) is )?not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z0-9*]+)(?: on resource: (\S+))?`)

// denialOf reads who may not do what on which resource; action is what was asked
// for, in case the message does not say.
func denialOf(message, action string) denial {
	d := denial{who: "Twokey's credentials", action: action}
	if m := denialText.FindStringSubmatch(message); m != nil {
		if m[1] != "" {
			d.who = m[1]
		}
		d.action, d.resource = m[2], strings.TrimRight(m[3], ".,")
	}
	return d
}

// absent is the error for a stack that does not exist: what it was perhaps meant to
// be, or that it was deleted, as far as that can be read quickly.
func (p *place) absent(ctx context.Context, name string, err error) error {
	e := &ops.UserError{
		What: fmt.Sprintf("there is no stack %s in %s", name, p.where()),
		Next: "Check the name, the environment and its region.",
		Err:  err,
	}
	live, deleted, whole := p.stackNames(ctx, name)
	switch meant := near(name, live); {
	case deleted != "":
		e.Next = "It was deleted; ask for " + deleted + " to see the deleted one."
	case len(meant) > 0:
		e.Next = "Did you mean " + strings.Join(meant, " or ") + "?"
	case whole && len(live) == 0:
		e.Next = "There are no stacks there at all. " + e.Next
	}
	return e
}

// maxListed is how many pages of stacks, of 100 each, are read for a suggestion.
const maxListed = 5

// stackNames lists the stacks that exist, and the ARN of the latest deleted one of
// this name. whole is false if there are more or the list could not be read; then
// there is merely less to suggest.
func (p *place) stackNames(ctx context.Context, name string) (live []string, deleted string, whole bool) {
	in := &cloudformation.ListStacksInput{}
	for range maxListed {
		out, err := p.CloudFormation.ListStacks(ctx, in)
		if err != nil {
			return live, deleted, false
		}
		for _, s := range out.StackSummaries {
			switch {
			case s.StackStatus != "DELETE_COMPLETE":
				live = append(live, aws.ToString(s.StackName))
			case deleted == "" && aws.ToString(s.StackName) == name:
				deleted = aws.ToString(s.StackId)
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return live, deleted, true
		}
		in.NextToken = out.NextToken
	}
	return live, deleted, false
}
