package deploy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/aws-permissions.md from the list of permissions")

// TestPermissionsPage: docs/aws-permissions.md is what the list makes.
// go test ./deploy -run TestPermissionsPage -update writes it.
func TestPermissionsPage(t *testing.T) {
	file := filepath.Join("..", "docs", "aws-permissions.md")
	page, err := permissionsPage()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != page {
		t.Error("docs/aws-permissions.md is not what the list of permissions makes: go test ./deploy -run TestPermissionsPage -update")
	}
}

func permissionsPage() (string, error) {
	var b strings.Builder
	b.WriteString(`# What Twokey may ask of AWS

Made from the list in the package deploy; do not edit. A call that is not listed for a command is refused by Twokey itself before it is sent, and a test fails
when a listed one is never made.

Each section is the least policy for one command. In the resources, REGION, ACCOUNT and names in capitals are to be filled in; narrow the stars to what Twokey may work on.
An environment's role_arn needs the policies of the commands used there, and Twokey's own credentials need sts:AssumeRole on that role. sts:GetCallerIdentity needs no permission.

What CloudFormation makes of a template, it makes with the caller's permissions, or with those of the service role where one is configured: that role's policy depends
on the templates and is not listed here.
`)
	for _, kind := range Kinds() {
		policy, err := PolicyDocument(kind)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n## %s\n\n", kind)
		for _, p := range Permissions(kind) {
			fmt.Fprintf(&b, "- `%s`: %s\n", p.Action, p.Why)
		}
		fmt.Fprintf(&b, "\n```json\n%s\n```\n", policy)
	}
	return b.String(), nil
}

// TestPermissionsList: each entry is complete, and no action is listed twice for a
// resource.
func TestPermissionsList(t *testing.T) {
	action := regexp.MustCompile(`^[a-z0-9-]+:[A-Z][A-Za-z0-9]+$`)
	services := map[string]bool{"iam": true}
	for _, name := range iamNames {
		services[name] = true
	}
	for _, kind := range Kinds() {
		seen := map[string]bool{}
		for _, p := range Permissions(kind) {
			service, _, _ := strings.Cut(p.Action, ":")
			if !action.MatchString(p.Action) || !services[service] || p.Resource == "" || p.Why == "" || strings.HasSuffix(p.Why, ".") {
				t.Errorf("%s: %+v", kind, p)
			}
			if key := p.Action + " " + p.Resource; seen[key] {
				t.Errorf("%s: %s twice", kind, key)
			} else {
				seen[key] = true
			}
		}
	}
}
