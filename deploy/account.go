package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"twokey/ops"
)

// patience is how long one answer may take, retries included.
const patience = 20 * time.Second

// Account is the AWS account and region of one environment.
type Account struct {
	Environment    string
	Region         string
	CloudFormation CloudFormation

	// ID is the account the credentials must be of; empty: any. Checked through
	// Identity before the first answer, so nothing is read elsewhere by mistake.
	ID       string
	Identity Identity // nil: ID is not checked
}

// Settings say how an environment's account is reached. Credentials come from the
// SDK's own chain: environment variables, profiles, roles of machines.
type Settings struct {
	Environment string
	Region      string // required
	ID          string // account the credentials must be of; empty: any
	RoleARN     string // role to assume; empty: none
}

// Connect makes an Account. It makes no call to AWS: what is wrong with credentials
// or role shows at the first answer.
func Connect(ctx context.Context, s Settings) (Account, error) {
	if s.Region == "" {
		return Account{}, fmt.Errorf("aws of environment %s: no region", s.Environment)
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(s.Region), config.WithAppID("twokey"))
	if err != nil {
		return Account{}, fmt.Errorf("aws of environment %s: %w", s.Environment, err)
	}
	if s.RoleARN != "" {
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), s.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = sessionName(s.Environment)
		})
		cfg.Credentials = aws.NewCredentialsCache(role)
	}
	return Account{
		Environment: s.Environment, Region: s.Region, ID: s.ID,
		CloudFormation: cloudformation.NewFromConfig(cfg),
		Identity:       sts.NewFromConfig(cfg),
	}, nil
}

// sessionName is how CloudTrail shows the bot: "twokey-prod". AWS takes letters,
// digits and =,.@_- there, 64 at most.
func sessionName(environment string) string {
	name := strings.Map(func(r rune) rune {
		if r < 128 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("=,.@_-", r)) {
			return r
		}
		return '-'
	}, "twokey-"+environment)
	return name[:min(len(name), 64)]
}

// Queries returns the queries over accounts, keyed by environment name.
func Queries(accounts map[string]Account) []ops.Query {
	p := make(places, len(accounts))
	for env, a := range accounts {
		p[env] = &place{Account: a}
	}
	return []ops.Query{describeStack{p}, stackEvents{p}}
}

// place is an account and whether it was seen to be the right one.
type place struct {
	Account
	verified atomic.Bool
}

type places map[string]*place

// open returns the place of a call and the stack it names.
func (p places) open(ctx context.Context, call ops.Call) (*place, string, error) {
	a, ok := p[call.Environment]
	if !ok {
		e := &ops.UserError{
			What: fmt.Sprintf("environment %s has no AWS account in the configuration", call.Environment),
			Next: "No environment has one.",
		}
		if len(p) > 0 {
			e.Next = "Environments that have one: " + strings.Join(slices.Sorted(maps.Keys(p)), ", ") + "."
		}
		return nil, "", e
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
	if err := a.verify(ctx); err != nil {
		return nil, "", err
	}
	return a, stack, nil
}

// verify checks once that the credentials are of the configured account.
func (p *place) verify(ctx context.Context) error {
	if p.ID == "" || p.Identity == nil || p.verified.Load() {
		return nil
	}
	out, err := p.Identity.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return p.explain(err, "sts:GetCallerIdentity")
	}
	if got := aws.ToString(out.Account); got != p.ID {
		return &ops.UserError{
			What: fmt.Sprintf("the AWS credentials for %s are of account %s, not of %s; nothing was read", p.Environment, got, p.ID),
			Next: "Give Twokey credentials or a role of the right account, or correct the account in its configuration.",
		}
	}
	p.verified.Store(true)
	return nil
}

// where is how answers name the place: "staging (eu-west-1)".
func (p *place) where() string { return p.Environment + " (" + p.Region + ")" }
