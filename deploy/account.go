package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"twokey/ops"
)

// Settings say how an environment's account is reached.
type Settings struct {
	Environment string
	Region      string // required
	ID          string // account the credentials must be of; empty: any
	RoleARN     string // role to assume; empty: none

	// Endpoint is a URL that serves all of AWS. Empty: AWS itself, or what the SDK's own
	// variables say (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 …).
	Endpoint string
	// Credentials are those of the bot itself. Nil: the SDK's own chain of environment
	// variables, profiles and roles of machines.
	Credentials aws.CredentialsProvider
	// HTTP carries the requests. Nil: the SDK's own client.
	HTTP aws.HTTPClient
	// Observe is told of each call before it is sent. Nil: nobody is. Tests compare what
	// it hears with Permissions.
	Observe func(kind, action string)
}

// Account is the AWS account and region of one environment. It is safe for concurrent
// use, and all who work in one account share one, since it holds their common budget.
type Account struct {
	Environment string
	Region      string

	s      Settings
	base   aws.Config // the bot's own credentials
	budget *budget

	mu       sync.Mutex
	sessions map[string]aws.CredentialsProvider // by session name
	number   string                             // the account's, once seen
}

// Connect makes an Account. It makes no call to AWS: what is wrong with credentials
// or role shows at the first answer.
func Connect(ctx context.Context, s Settings) (*Account, error) {
	if s.Region == "" {
		return nil, fmt.Errorf("aws of environment %s: no region", s.Environment)
	}
	options := []func(*config.LoadOptions) error{config.WithRegion(s.Region), config.WithAppID("twokey")}
	if s.Credentials != nil {
		options = append(options, config.WithCredentialsProvider(s.Credentials))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("aws of environment %s: %w", s.Environment, err)
	}
	if s.HTTP != nil {
		cfg.HTTPClient = s.HTTP
	}
	cfg.HTTPClient = ReadWhole(cfg.HTTPClient)
	if s.Endpoint != "" {
		cfg.BaseEndpoint = &s.Endpoint
	}
	a := &Account{
		Environment: s.Environment, Region: s.Region, s: s,
		budget: newBudget(), sessions: make(map[string]aws.CredentialsProvider),
	}
	cfg.Retryer = func() aws.Retryer { return a.budget }
	a.base = cfg
	return a, nil
}

// Pick returns the account of an environment, or an error that names those there are.
func Pick(accounts map[string]*Account, environment string) (*Account, error) {
	if a, ok := accounts[environment]; ok {
		return a, nil
	}
	e := &ops.UserError{
		What: fmt.Sprintf("environment %s has no AWS account in the configuration", environment),
		Next: "No environment has one.",
	}
	if len(accounts) > 0 {
		e.Next = "Environments that have one: " + strings.Join(slices.Sorted(maps.Keys(accounts)), ", ") + "."
	}
	return nil, e
}

// Caller is on whose behalf AWS is called, and for which kind of work.
type Caller struct {
	// Kind is the operation's or query's. Calls that Permissions does not list for it are
	// refused before they are sent.
	Kind string
	// User is the Slack user id of the requester and Run the run's id: together the name
	// of the role session, which CloudTrail shows. Empty while planning, whose session is
	// named after the environment.
	User, Run string
}

// session is "U0ALICE-01JABC…", or "twokey-prod". AWS takes letters, digits and =,.@_-
// there, 64 at most.
func (c Caller) session(environment string) string {
	name := "twokey-" + environment
	if c.Run != "" {
		name = c.User + "-" + c.Run
	}
	name = strings.Map(func(r rune) rune {
		if r < 128 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("=,.@_-", r)) {
			return r
		}
		return '-'
	}, name)
	return name[:min(len(name), 64)]
}

// Config is what the clients of a caller are made of: NewFromConfig(a.Config(c)).
func (a *Account) Config(c Caller) aws.Config {
	cfg := a.base.Copy()
	cfg.Credentials = a.credentials(c.session(a.Environment))
	cfg.APIOptions = append(slices.Clone(cfg.APIOptions), guard(c.Kind, a.s.Observe))
	return cfg
}

// ForPlan is the configuration for planning and for queries.
func (a *Account) ForPlan(kind string) aws.Config { return a.Config(Caller{Kind: kind}) }

// ForRun is the configuration for a step of a run.
func (a *Account) ForRun(t *ops.Tick) aws.Config {
	r := t.Run()
	return a.Config(Caller{Kind: r.Plan.Call.Kind, User: r.Requester, Run: r.ID})
}

// maxSessions is how many role sessions are remembered; beyond, all begin anew.
const maxSessions = 500

// credentials are those of a session of the role, or the bot's own where there is none.
func (a *Account) credentials(session string) aws.CredentialsProvider {
	if a.s.RoleARN == "" {
		return a.base.Credentials
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if p, ok := a.sessions[session]; ok {
		return p
	}
	if len(a.sessions) >= maxSessions {
		clear(a.sessions)
	}
	role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(a.base), a.s.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = session
	})
	p := aws.NewCredentialsCache(role)
	a.sessions[session] = p
	return p
}

// Verify checks that the credentials are of the configured account, and returns its
// number. It asks AWS once and then remembers.
func (a *Account) Verify(ctx context.Context) (string, error) {
	a.mu.Lock()
	number := a.number
	a.mu.Unlock()
	if number != "" {
		return number, nil
	}
	out, err := sts.NewFromConfig(a.ForPlan("")).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", a.Explain(err)
	}
	number = aws.ToString(out.Account)
	if a.s.ID != "" && number != a.s.ID {
		return "", &ops.UserError{
			What: fmt.Sprintf("the AWS credentials for %s are of account %s, not of %s; nothing was read", a.Environment, number, a.s.ID),
			Next: "Give Twokey credentials or a role of the right account, or correct the account in its configuration.",
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.number = number
	return number, nil
}

// Where is how answers name the place: "staging (eu-west-1)".
func (a *Account) Where() string { return a.Environment + " (" + a.Region + ")" }

// Lock is the lock of a thing in an account, for Plan.Locks: "stack:123456789012/eu-west-1/web".
// kind is for people: "stack".
func (a *Account) Lock(number, kind, name string) string {
	return kind + ":" + number + "/" + a.Region + "/" + name
}
