package stacks

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"

	"twokey/deploy"
	"twokey/deploy/templates"
	"twokey/ops"
)

// patience is how long one answer may take, retries included.
const patience = 20 * time.Second

// stackName is what CloudFormation takes as a stack's name, or its ARN.
var stackName = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]{0,127}|arn:[a-z-]+:cloudformation:[a-z0-9-]+:[0-9]{12}:stack/[A-Za-z0-9-]+/[A-Za-z0-9-]+)$`)

// reader reads the stacks of one account, for one kind of work.
type reader struct {
	*deploy.Account
	api CloudFormation
}

// open returns a reader for a call, and the stack that the call is about.
func open(ctx context.Context, accounts map[string]*deploy.Account, call ops.Call) (*reader, string, error) {
	a, err := deploy.Pick(accounts, call.Environment)
	if err != nil {
		return nil, "", err
	}
	if len(call.Args) != 1 {
		return nil, "", &ops.UserError{What: fmt.Sprintf("%s is about one stack, not %d", call.Kind, len(call.Args))}
	}
	stack := call.Args[0]
	if !stackName.MatchString(stack) {
		return nil, "", &ops.UserError{
			What: fmt.Sprintf("%q cannot be the name of a stack", stack),
			Next: "A stack's name is letters, digits and hyphens, beginning with a letter; its ARN will do too.",
		}
	}
	if _, err := a.Verify(ctx); err != nil {
		return nil, "", err
	}
	return &reader{a, cloudformation.NewFromConfig(a.ForPlan(call.Kind))}, stack, nil
}

// Site is one environment's account, with what the configuration says for this package.
type Site struct {
	*deploy.Account
	// ServiceRole is the ARN of the role CloudFormation works as; empty: Twokey's own.
	ServiceRole string
	// Bucket is where templates are put that are too long to be sent; empty: they are
	// refused.
	Bucket string
	// Sources are where templates and parameters come from.
	Sources templates.Sources
}

// Operations returns the operations over sites, keyed by environment name.
func Operations(sites map[string]Site) []ops.Operation {
	return []ops.Operation{deployStack{sites}, recoverStack{sites}, deleteStack{sites}, watchStack{sites}}
}

// Queries returns the queries over sites.
func Queries(sites map[string]Site) []ops.Query {
	a := accounts(sites)
	return []ops.Query{describeStack{a}, stackEvents{a}, outputs{a}, driftOf{a}, validate{sites}}
}
