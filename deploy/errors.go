package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/aws/smithy-go"

	"twokey/ops"
)

// Explain turns an error of a call into one for the person who asked. What it cannot
// explain, a UserError and nil come back as they are.
func (a *Account) Explain(err error) error {
	if err == nil || errors.As(err, new(*ops.UserError)) {
		return err
	}
	action := "AWS"
	if call := new(smithy.OperationError); errors.As(err, &call) {
		action = Action(call.Service(), call.Operation())
	} else {
		return err
	}
	e := &ops.UserError{Err: err}
	var api smithy.APIError
	var network net.Error
	switch {
	case errors.As(err, &api):
		a.explainAPI(e, api, action)
	case errors.Is(err, context.DeadlineExceeded):
		e.What = fmt.Sprintf("AWS did not answer %s for %s in time", action, a.Where())
		e.Next = "Try again."
	case errors.Is(err, context.Canceled):
		return err
	case strings.Contains(err.Error(), "get credentials:"):
		// The SDK has no type for this error.
		e.What = "Twokey has no AWS credentials for " + a.Where()
		e.Next = "Give its process credentials (environment variables, a profile or the machine's role)."
	case errors.As(err, &network):
		e.What = "AWS cannot be reached for " + a.Where() + ": " + Mask(network.Error())
		e.Next = "Check the region and Twokey's network."
	default:
		e.What = "AWS answered " + action + " for " + a.Where() + " with something unreadable"
		e.Next = "Twokey's log has the details."
	}
	return e
}

// maxMessage is how many characters of an error's message are shown.
const maxMessage = 400

// explainAPI explains an error that AWS answered with, by its code; codes are those
// of the query protocol and their newer spellings.
func (a *Account) explainAPI(e *ops.UserError, api smithy.APIError, action string) {
	code := strings.TrimSuffix(api.ErrorCode(), "Exception")
	message := Short(Mask(api.ErrorMessage()), maxMessage)
	switch code {
	case "AccessDenied", "UnauthorizedOperation", "NotAuthorized":
		d := denialOf(message, action)
		e.What = fmt.Sprintf("AWS does not let %s do %s in %s", d.who, d.action, a.Where())
		if d.resource != "" {
			e.What += " on " + d.resource
		}
		e.Next = "Allow " + d.action + " in an IAM policy of " + d.who + "."
	case "Throttling", "ThrottlingError", "Throttled", "RequestLimitExceeded", "TooManyRequests", "RequestThrottled":
		e.What = fmt.Sprintf("AWS is being asked too often in %s and refused %s", a.Where(), action)
		e.Next = "Try again in a minute."
	case "ExpiredToken", "RequestExpired":
		e.What = "the AWS credentials for " + a.Where() + " have expired"
		e.Next = "Renew Twokey's session (for example by logging in to its AWS profile again)."
	case "InvalidClientTokenId", "UnrecognizedClient", "InvalidAccessKeyId", "AuthFailure", "MissingAuthenticationToken", "OptInRequired":
		e.What = fmt.Sprintf("AWS does not accept the credentials for %s: %s", a.Where(), message)
		e.Next = "Check Twokey's access key and that the region is enabled for the account."
	case "SignatureDoesNotMatch", "IncompleteSignature", "InvalidSignature", "RequestTimeTooSkewed":
		e.What = fmt.Sprintf("AWS refused the signature of the request for %s: %s", a.Where(), message)
		e.Next = "Check Twokey's secret key and the clock of its machine."
	default:
		e.What = fmt.Sprintf("AWS refused %s in %s: %s: %s", action, a.Where(), api.ErrorCode(), message)
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
