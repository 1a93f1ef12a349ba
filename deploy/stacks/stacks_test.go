package stacks

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"twokey/deploy"
	"twokey/deploy/awssim"
	"twokey/deploy/deploytest"
	"twokey/ops"
)

// noon is the simulated present.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// account is an Account whose calls go to a handler.
func account(t *testing.T, h http.Handler, edit ...func(*deploy.Settings)) *deploy.Account {
	return deploytest.Simulated(t, h, edit...)
}

// simulated starts a simulation at noon.
func simulated(t *testing.T, o awssim.Options) (*awssim.Sim, *deploy.Account) {
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	sim := awssim.New(o)
	return sim, account(t, sim)
}

func ask(t *testing.T, a *deploy.Account, kind string, args ...string) (ops.Answer, error) {
	t.Helper()
	for _, q := range Queries(map[string]Site{a.Environment: {Account: a}}) {
		if q.Kind() == kind {
			return q.Answer(t.Context(), ops.Call{Kind: kind, Environment: a.Environment, Args: args})
		}
	}
	t.Fatalf("no query %s", kind)
	return ops.Answer{}, nil
}

// wantError checks what the person is told, and what next.
func wantError(t *testing.T, err error, what, next string) {
	t.Helper()
	var u *ops.UserError
	if !errors.As(err, &u) {
		t.Fatalf("error = %v (%T), want a *ops.UserError", err, err)
	}
	if u.What != what {
		t.Errorf("what = %s\nwant   %s", u.What, what)
	}
	if u.Next != next {
		t.Errorf("next = %s\nwant   %s", u.Next, next)
	}
}

func TestEnvironmentWithoutAccount(t *testing.T) {
	queries := Queries(map[string]Site{"prod": {}, "dev": {}})
	for _, q := range queries {
		_, err := q.Answer(t.Context(), ops.Call{Kind: q.Kind(), Environment: "india", Args: []string{"web"}})
		wantError(t, err, "environment india has no AWS account in the configuration", "Environments that have one: dev, prod.")
	}
	_, err := Queries(nil)[0].Answer(t.Context(), ops.Call{Environment: "india", Args: []string{"web"}})
	wantError(t, err, "environment india has no AWS account in the configuration", "No environment has one.")
}

func TestStackName(t *testing.T) {
	sim, a := simulated(t, awssim.Options{})
	for _, name := range []string{"", "a b", "-web", "1web", "web/../x", "arn:aws:s3:::bucket", strings.Repeat("a", 129)} {
		if _, err := ask(t, a, "cfn describe", name); err == nil || !strings.Contains(err.Error(), "cannot be the name of a stack") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if n := sim.Calls("DescribeStacks"); n != 0 {
		t.Errorf("%d calls for impossible names", n)
	}
}

func TestStackNotFound(t *testing.T) {
	sim, a := simulated(t, awssim.Options{PageSize: 2})
	oldWeb := awssim.Presets("eu-west-1", "123456789012", noon)[5].ID
	tests := []struct{ name, next string }{
		{"weeb", "Did you mean web?"},
		{"check", "Did you mean checkout?"},
		{"zzz", "Check the name, the environment and its region."},
		{"old-web", "It was deleted; ask for " + oldWeb + " to see the deleted one."},
	}
	for _, kind := range []string{"cfn describe", "cfn events"} {
		for _, tt := range tests {
			_, err := ask(t, a, kind, tt.name)
			wantError(t, err, "there is no stack "+tt.name+" in staging (eu-west-1)", tt.next)
		}
	}
	if got, err := ask(t, a, "cfn describe", oldWeb); err != nil || !strings.HasPrefix(got.Title, "old-web in staging (eu-west-1): done (DELETE_COMPLETE)") {
		t.Errorf("deleted stack by ARN: %q, %v", got.Title, err)
	}
	// Without ListStacks there is no suggestion, and still the right error.
	sim.Fail("ListStacks", -1, awssim.Fault{Status: 403, Code: "AccessDenied", Message: "no"})
	_, err := ask(t, a, "cfn describe", "weeb")
	wantError(t, err, "there is no stack weeb in staging (eu-west-1)", "Check the name, the environment and its region.")
}

func TestNoStacksAtAll(t *testing.T) {
	_, a := simulated(t, awssim.Options{Stacks: []awssim.Stack{}})
	_, err := ask(t, a, "cfn describe", "web")
	wantError(t, err, "there is no stack web in staging (eu-west-1)", "There are no stacks there at all. Check the name, the environment and its region.")
}

func TestRefusals(t *testing.T) {
	const user = "arn:aws:sts::123456789012:assumed-role/twokey/twokey-staging"
	tests := []struct {
		name       string
		fault      awssim.Fault
		what, next string
	}{
		{
			"denied", awssim.Fault{Status: 403, Code: "AccessDenied", Message: "User: " + user + " is not authorized to perform: cloudformation:DescribeStacks on resource: arn:aws:cloudformation:eu-west-1:123456789012:stack/web/* because no identity-based policy allows the cloudformation:DescribeStacks action"},
			"AWS does not let " + user + " do cloudformation:DescribeStacks in staging (eu-west-1) on arn:aws:cloudformation:eu-west-1:123456789012:stack/web/*",
			"Allow cloudformation:DescribeStacks in an IAM policy of " + user + ".",
		}, {
			"denied without details", awssim.Fault{Status: 403, Code: "AccessDeniedException", Message: "Access denied"},
			"AWS does not let Twokey's credentials do cloudformation:DescribeStacks in staging (eu-west-1)",
			"Allow cloudformation:DescribeStacks in an IAM policy of Twokey's credentials.",
		}, {
			"throttled", awssim.Throttled,
			"AWS is being asked too often in staging (eu-west-1) and refused cloudformation:DescribeStacks",
			"Try again in a minute.",
		}, {
			"expired", awssim.Fault{Status: 403, Code: "ExpiredToken", Message: "The security token included in the request is expired"},
			"the AWS credentials for staging (eu-west-1) have expired",
			"Renew Twokey's session (for example by logging in to its AWS profile again).",
		}, {
			"unknown key", awssim.Fault{Status: 403, Code: "InvalidClientTokenId", Message: "The security token included in the request is invalid."},
			"AWS does not accept the credentials for staging (eu-west-1): The security token included in the request is invalid.",
			"Check Twokey's access key and that the region is enabled for the account.",
		}, {
			"bad signature", awssim.Fault{Status: 403, Code: "SignatureDoesNotMatch", Message: "Signature expired: now\nearlier than"},
			"AWS refused the signature of the request for staging (eu-west-1): Signature expired: now earlier than",
			"Check Twokey's secret key and the clock of its machine.",
		}, {
			"other", awssim.Fault{Status: 400, Code: "ValidationError", Message: "token=abc123 is wrong"},
			"AWS refused cloudformation:DescribeStacks in staging (eu-west-1): ValidationError: token=**** is wrong",
			"",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim, a := simulated(t, awssim.Options{})
				sim.Fail("DescribeStacks", -1, tt.fault)
				_, err := ask(t, a, "cfn describe", "web")
				wantError(t, err, tt.what, tt.next)
			})
		})
	}
}

type failing struct{ err error }

func (f failing) Do(*http.Request) (*http.Response, error) { return nil, f.err }

func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusing := func(err error) *deploy.Account {
			return account(t, nil, func(s *deploy.Settings) { s.HTTP = failing{err} })
		}
		_, err := ask(t, refusing(&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}), "cfn describe", "web")
		wantError(t, err, "AWS cannot be reached for staging (eu-west-1): dial tcp: connection refused", "Check the region and Twokey's network.")

		_, err = ask(t, refusing(context.DeadlineExceeded), "cfn describe", "web")
		wantError(t, err, "AWS did not answer sts:GetCallerIdentity for staging (eu-west-1) in time", "Try again.")
	})
}

func TestNoCredentials(t *testing.T) {
	a := account(t, awssim.New(awssim.Options{}), func(s *deploy.Settings) {
		s.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no EC2 IMDS role found")
		})
	})
	_, err := ask(t, a, "cfn describe", "web")
	wantError(t, err, "Twokey has no AWS credentials for staging (eu-west-1)",
		"Give its process credentials (environment variables, a profile or the machine's role).")
}

// The SDK repeats a throttled read by itself.
func TestThrottledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, a := simulated(t, awssim.Options{})
		sim.Fail("DescribeStacks", 1, awssim.Throttled)
		if _, err := ask(t, a, "cfn describe", "web"); err != nil {
			t.Error(err)
		}
		if n := sim.Calls("DescribeStacks"); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

func TestWrongAccount(t *testing.T) {
	sim := awssim.New(awssim.Options{})
	a := account(t, sim, func(s *deploy.Settings) { s.ID = "210987654321" })
	_, err := ask(t, a, "cfn describe", "web")
	wantError(t, err, "the AWS credentials for staging are of account 123456789012, not of 210987654321; nothing was read",
		"Give Twokey credentials or a role of the right account, or correct the account in its configuration.")
	if n := sim.Calls("DescribeStacks"); n != 0 {
		t.Errorf("%d stacks read in the wrong account", n)
	}
}

// The account is checked once, unless the check failed.
func TestAccountCheckedOnce(t *testing.T) {
	sim, a := simulated(t, awssim.Options{})
	sim.Fail("GetCallerIdentity", 1, awssim.Fault{Code: "Refused"})
	queries := Queries(map[string]Site{"staging": {Account: a}})
	for i := range 3 {
		_, err := queries[i%2].Answer(t.Context(), ops.Call{Kind: queries[i%2].Kind(), Environment: "staging", Args: []string{"web"}})
		if (err != nil) != (i == 0) {
			t.Errorf("answer %d: %v", i, err)
		}
	}
	if n := sim.Calls("GetCallerIdentity"); n != 2 {
		t.Errorf("%d checks, want 2", n)
	}
}
