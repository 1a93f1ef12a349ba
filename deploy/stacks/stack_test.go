package stacks

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"

	"twokey/deploy"
	"twokey/deploy/awssim"
	"twokey/ops"
)

func TestDescribe(t *testing.T) {
	_, a := simulated(t, awssim.Options{})
	got, err := ask(t, a, "cfn describe", "web")
	if err != nil {
		t.Fatal(err)
	}
	want := ops.Answer{
		Title: "web in staging (eu-west-1): done (UPDATE_COMPLETE)",
		Lines: []string{
			"Web service behind a public load balancer",
			"Created 2026-11-17 12:00:00 UTC, last updated 2026-11-18 12:00:24 UTC.",
			"Termination protection: on. Drift: none.",
			awssim.Presets("eu-west-1", "123456789012", noon)[0].ID,
		},
		Table: &ops.Table{Columns: []string{"", "Name", "Value"}, Rows: [][]string{
			{"output", "Cluster", "web-cluster (exported as web-cluster)"},
			{"output", "Url", "https://web.example"},
			{"parameter", "CacheUrl", "redis://web:****@cache.example:6379/0"},
			{"parameter", "DatabasePassword", "****"},
			{"parameter", "ImageId", "/images/web = ami-0abcdef1234567890"},
			{"parameter", "ImageTag", "2026-11-18"},
			{"parameter", "PaymentApiKey", "****"},
			{"tag", "cost-centre", "1207"},
			{"tag", "team", "storefront"},
		}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestDescribeManyValues(t *testing.T) {
	st := awssim.Presets("eu-west-1", "123456789012", noon)[0]
	for i := range 200 {
		st.Outputs = append(st.Outputs, awssim.Output{Key: fmt.Sprintf("Output%03d", i), Value: strings.Repeat("é", 4000)})
	}
	_, a := simulated(t, awssim.Options{Stacks: []awssim.Stack{st}})
	got, err := ask(t, a, "cfn describe", "web")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Table.Rows) != maxRows {
		t.Errorf("%d rows, want %d", len(got.Table.Rows), maxRows)
	}
	if last := got.Lines[len(got.Lines)-1]; last != "60 of 209 values are shown." {
		t.Errorf("last line = %q", last)
	}
	if v := []rune(got.Table.Rows[1][2]); len(v) != maxValue {
		t.Errorf("a value has %d characters, want %d", len(v), maxValue)
	}
}

// No secret of the presets leaves the package, whichever stack is asked for.
func TestNoSecretIsShown(t *testing.T) {
	_, a := simulated(t, awssim.Options{})
	for _, st := range awssim.Presets("eu-west-1", "123456789012", noon) {
		for _, kind := range []string{"cfn describe", "cfn events"} {
			got, err := ask(t, a, kind, st.ID)
			if err != nil {
				t.Errorf("%s %s: %v", kind, st.Name, err)
			}
			for _, secret := range []string{"hunter2", "pk-live-1234", "never shown"} {
				if strings.Contains(fmt.Sprint(got.Title, got.Lines, got.Table), secret) {
					t.Errorf("%s %s shows %q", kind, st.Name, secret)
				}
			}
		}
	}
}

func TestMask(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"Port", "443", "443"},
		{"KeyName", "ops-key-pair", "ops-key-pair"},
		{"Monkey", "banana", "banana"},
		{"DBPassword", "x", deploy.Masked},
		{"db_pwd", "x", deploy.Masked},
		{"SlackToken", "x", deploy.Masked},
		{"OAuthClientSecret", "x", deploy.Masked},
		{"API-Key", "x", deploy.Masked},
		{"LicenseKey", "x", deploy.Masked},
		{"SentryDSN", "x", deploy.Masked},
		{"ConnectionString", "x", deploy.Masked},
		{"EmptySecret", "", ""},
		{"Url", "https://a:b@c.example/x?y=1", "https://a:****@c.example/x?y=1"},
		{"Url", "amqp://:b@c", "amqp://:****@c"},
		{"Url", "postgres://u:p@ss/w@db", "postgres://u:****@db"},
		{"Url", "https://c.example/?user=a&access_key=b&z=1", "https://c.example/?user=a&access_key=****&z=1"},
		{"Url", "https://c.example:8443/a", "https://c.example:8443/a"},
		{"Env", `{"password": "p q", "port": 1}`, `{"password": ****, "port": 1}`},
		{"Note", "key AKIAIOSFODNN7EXAMPLE here", "key **** here"},
		{"Note", "a\nb", "a b"},
		{"Pem", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", deploy.Masked},
	}
	for _, tt := range tests {
		if got := deploy.MaskValue(tt.name, tt.value); got != tt.want {
			t.Errorf("deploy.MaskValue(%q, %q) = %q, want %q", tt.name, tt.value, got, tt.want)
		}
	}
}

func TestPhaseOf(t *testing.T) {
	want := map[types.StackStatus]phase{
		types.StackStatusReviewInProgress:                        waiting,
		types.StackStatusCreateInProgress:                        running,
		types.StackStatusRollbackInProgress:                      running,
		types.StackStatusDeleteInProgress:                        running,
		types.StackStatusUpdateInProgress:                        running,
		types.StackStatusUpdateCompleteCleanupInProgress:         running,
		types.StackStatusUpdateRollbackInProgress:                running,
		types.StackStatusUpdateRollbackCompleteCleanupInProgress: running,
		types.StackStatusImportInProgress:                        running,
		types.StackStatusImportRollbackInProgress:                running,
		types.StackStatusCreateComplete:                          done,
		types.StackStatusUpdateComplete:                          done,
		types.StackStatusDeleteComplete:                          done,
		types.StackStatusImportComplete:                          done,
		types.StackStatusCreateFailed:                            failed,
		types.StackStatusUpdateFailed:                            failed,
		types.StackStatusDeleteFailed:                            failed,
		types.StackStatusRollbackFailed:                          failed,
		types.StackStatusRollbackComplete:                        failed,
		types.StackStatusUpdateRollbackFailed:                    failed,
		types.StackStatusUpdateRollbackComplete:                  failed,
		types.StackStatusImportRollbackFailed:                    failed,
		types.StackStatusImportRollbackComplete:                  failed,
	}
	for _, s := range types.StackStatus("").Values() {
		w, ok := want[s]
		if !ok {
			t.Errorf("%s: not in the table", s)
		}
		if got := phaseOf(s); got != w {
			t.Errorf("phaseOf(%s) = %v, want %v", s, got, w)
		}
		if phaseOf(s) == failed && meanings[s] == "" {
			t.Errorf("%s is not explained", s)
		}
	}
	if got := phaseOf("EVAPORATED"); got != unknown {
		t.Errorf("phaseOf of a new status = %v, want unknown", got)
	}
}
