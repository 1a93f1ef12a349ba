package stacks

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"

	"twokey/deploy"
	"twokey/ops"
)

// isAbsent reports whether CloudFormation said that a stack does not exist. It has no
// code of its own for that in the calls used here.
func isAbsent(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ValidationError" && strings.Contains(api.ErrorMessage(), "does not exist")
}

// absent is the error for a stack that does not exist: what it was perhaps meant to
// be, or that it was deleted, as far as that can be read quickly.
func (p *reader) absent(ctx context.Context, name string, err error) error {
	e := &ops.UserError{
		What: fmt.Sprintf("there is no stack %s in %s", name, p.Where()),
		Next: "Check the name, the environment and its region.",
		Err:  err,
	}
	live, deleted, whole := p.stackNames(ctx, name)
	switch meant := deploy.Near(name, live); {
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
func (p *reader) stackNames(ctx context.Context, name string) (live []string, deleted string, whole bool) {
	in := &cloudformation.ListStacksInput{}
	for range maxListed {
		out, err := p.api.ListStacks(ctx, in)
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

// isRefused reports whether CloudFormation refused a call for the stack's status.
func isRefused(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ValidationError"
}
