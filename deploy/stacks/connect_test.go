package stacks

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"twokey/deploy"
	"twokey/deploy/awssim"
)

// serve starts a simulation on a socket and points the SDK's environment at it.
func serve(t *testing.T) *awssim.Sim {
	t.Helper()
	sim := awssim.New(awssim.Options{})
	srv := httptest.NewServer(sim)
	t.Cleanup(srv.Close)
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": srv.URL, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		"AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_CA_BUNDLE": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none,
		"AWS_ENDPOINT_URL_CLOUDFORMATION": "", "AWS_ENDPOINT_URL_STS": "", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "",
	} {
		t.Setenv(name, value)
	}
	return sim
}

func TestConnectWithRole(t *testing.T) {
	sim := serve(t)
	a, err := deploy.Connect(t.Context(), deploy.Settings{
		Environment: "staging", Region: "eu-west-1", ID: "123456789012",
		RoleARN: "arn:aws:iam::123456789012:role/twokey",
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := sim.Calls("AssumeRole"); n != 0 {
		t.Errorf("Connect called AWS %d times", n)
	}
	got, err := ask(t, a, "cfn describe", "web")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.Title, "web in staging (eu-west-1): done") {
		t.Errorf("title = %q", got.Title)
	}
	if n := sim.Calls("AssumeRole"); n == 0 {
		t.Error("the role was not assumed")
	}
}

func TestConnectWithForeignRole(t *testing.T) {
	sim := serve(t)
	const role = "arn:aws:iam::210987654321:role/other"
	a, err := deploy.Connect(t.Context(), deploy.Settings{Environment: "staging", Region: "eu-west-1", RoleARN: role})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ask(t, a, "cfn describe", "web")
	wantError(t, err,
		"AWS does not let arn:aws:iam::123456789012:user/twokey do sts:AssumeRole in staging (eu-west-1) on "+role,
		"Allow sts:AssumeRole in an IAM policy of arn:aws:iam::123456789012:user/twokey.")
	if n := sim.Calls("DescribeStacks"); n != 0 {
		t.Errorf("%d stacks read without the role", n)
	}
}

func TestConnectWithoutRegion(t *testing.T) {
	if _, err := deploy.Connect(t.Context(), deploy.Settings{Environment: "prod"}); err == nil || !strings.Contains(err.Error(), "environment prod: no region") {
		t.Errorf("err = %v", err)
	}
}
