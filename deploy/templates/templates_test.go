package templates

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"twokey/deploy/awssim"
	"twokey/deploy/deploytest"
	"twokey/deploy/templates/templatestest"
	"twokey/ops"
)

func explained(err error) string {
	var u *ops.UserError
	if errors.As(err, &u) {
		return u.What + " | " + u.Next
	}
	return fmt.Sprint(err)
}

// TestFolder: only files of the folder are read, whatever the name or links say.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside.yaml")
	folder := filepath.Join(dir, "templates")
	if err := errors.Join(os.MkdirAll(filepath.Join(folder, "shop"), 0o755), os.WriteFile(outside, []byte("secret"), 0o644),
		os.WriteFile(filepath.Join(folder, "web.yaml"), []byte("Resources: {}"), 0o644), os.WriteFile(filepath.Join(folder, "shop", "stack.yaml"), []byte("x"), 0o644),
		os.WriteFile(filepath.Join(folder, "big.yaml"), make([]byte, maxFile+1), 0o644), os.Symlink(outside, filepath.Join(folder, "link.yaml"))); err != nil {
		t.Fatal(err)
	}
	s := Sources{Folder: folder}
	f, err := s.Read(t.Context(), aws.Config{}, "web.yaml", "")
	if err != nil || string(f.Body) != "Resources: {}" || f.Origin != "web.yaml" || len(f.SHA256()) != 64 {
		t.Errorf("%+v, %v", f, err)
	}
	for _, tt := range []struct{ name, at, want string }{
		{"wep.yaml", "", "there is no wep.yaml in the folder of templates | Did you mean web.yaml or big.yaml?"},
		{"stack.yaml", "", "there is no stack.yaml in the folder of templates | Did you mean shop/stack.yaml?"},
		{"../outside.yaml", "", "../outside.yaml cannot be read from the folder of templates | Give the name of a file in it."},
		{outside, "", outside + " cannot be read from the folder of templates | Give the name of a file in it."},
		{"link.yaml", "", "link.yaml cannot be read from the folder of templates | Give the name of a file in it."},
		{"big.yaml", "", "big.yaml is longer than 1 MB | Split it."},
		{"web.yaml", "v1", "web.yaml is in no repository, so --ref v1 says nothing of it | Give REPOSITORY:PATH, or leave --ref out."},
		{"https://x:secret@host/t", "", "https://x:****@host/t is not read: templates come from the folder, a repository or S3 | Give FILE, REPOSITORY:PATH or s3://BUCKET/KEY."},
	} {
		if _, err := s.Read(t.Context(), aws.Config{}, tt.name, tt.at); explained(err) != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, explained(err), tt.want)
		}
	}
	if _, err := (Sources{}).Read(t.Context(), aws.Config{}, "web.yaml", ""); !strings.HasPrefix(explained(err), "this environment has no folder of templates") {
		t.Error(explained(err))
	}
}

// TestRepository: a branch is read at the commit it is at, and named by that.
func TestRepository(t *testing.T) {
	dir := templatestest.Repository(t, map[string]string{"deploy/stack.json": "one", "site/index.html": "<h1>", "site/a.js": "a"})
	s := Sources{Repositories: map[string]Repository{"waffle": {URL: dir}}}
	first, err := s.Read(t.Context(), aws.Config{}, "waffle:deploy/stack.json", "master")
	if err != nil || string(first.Body) != "one" || len(first.Commit) != 40 || first.Origin != "waffle@"+first.Commit[:12]+":deploy/stack.json" {
		t.Fatalf("%+v, %v", first, err)
	}
	second := templatestest.Commit(t, dir, map[string]string{"deploy/stack.json": "two"})
	for at, want := range map[string]string{"master": "two", second: "two", first.Commit: "one"} {
		if f, err := s.Read(t.Context(), aws.Config{}, "waffle:deploy/stack.json", at); err != nil || string(f.Body) != want {
			t.Errorf("at %s: %q, %v", at, f.Body, err)
		}
	}
	tree, err := s.Tree(t.Context(), "waffle", "master")
	if err != nil {
		t.Fatal(err)
	}
	files, err := tree.Files("site")
	if err != nil || len(files) != 2 {
		t.Errorf("%+v, %v", files, err)
	}
	for _, tt := range []struct{ name, at, want string }{
		{"other:x", "master", "there is no repository other in the configuration of this environment | There are waffle."},
		{"waffle:x", "", "which commit of waffle? | Give --ref COMMIT, a tag or a branch."},
		{"waffle:deploy/stack.json", "v9", "waffle has no commit, tag or branch v9 | Check --ref; a commit is given whole, with its 40 digits."},
		{"waffle:deploy/stak.json", "master", "there is no deploy/stak.json in waffle@" + second[:12] + " | Did you mean deploy/stack.json?"},
		{"waffle:../../etc/passwd", "master", "there is no ../../etc/passwd in waffle@" + second[:12] + " | Check the name."},
	} {
		if _, err := s.Read(t.Context(), aws.Config{}, tt.name, tt.at); explained(err) != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, explained(err), tt.want)
		}
	}
	gone := Sources{Repositories: map[string]Repository{"waffle": {URL: filepath.Join(dir, "nowhere")}}}
	if _, err := gone.Tree(t.Context(), "waffle", "master"); explained(err) != "repository waffle is not where the configuration says | Check its URL." {
		t.Error(explained(err))
	}
}

func TestParseParameters(t *testing.T) {
	const settings = `# stage
export STACK_NAME="wsstagestack"   # the stack
export MIN=1
NODE_ENV='stage'
export MONGODB_URL=secret:waffle#mongodb
export EMPTY=
export TWO=a\ b"c d"
`
	got, err := ParseParameters("SETTINGS", []byte(settings))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"STACK_NAME": "wsstagestack", "MIN": "1", "NODE_ENV": "stage", "EMPTY": "", "TWO": "a bc d"} {
		if v, ok := got[name]; !ok || v.Text() != want {
			t.Errorf("%s = %q, want %q", name, v.Text(), want)
		}
	}
	if v := got["MONGODB_URL"]; v.Ref() != "secret:waffle#mongodb" || v.Text() != "" {
		t.Errorf("%+v", v)
	}
	yaml := "Tag: \"1\"\nCount: 3\nSubnets: [a, b]\nPassword: ssm:/web/password\nOdd: plain:ssm:not\n"
	got, err = ParseParameters("p.yaml", []byte(yaml))
	if err != nil || got["Tag"].Text() != "1" || got["Count"].Text() != "3" || got["Subnets"].Text() != "a,b" || got["Password"].Ref() != "ssm:/web/password" || got["Odd"].Text() != "ssm:not" {
		t.Errorf("%v, %v", got, err)
	}
	for _, tt := range []struct{ src, want string }{
		{"export A=$HOME\nexport B=`id`\nB=\"x\nexport C=1\nexport C=2\nexport D=a b\nif true", "SETTINGS:1: A: a shell would replace \"$\" here, Twokey does not: write the value itself; " +
			"SETTINGS:2: B: a shell would replace \"`\" here, Twokey does not: write the value itself; SETTINGS:3: B: the quote is not closed; SETTINGS:5: C is set in line 4 already; " +
			"SETTINGS:6: D: there is more behind the value: quote it; SETTINGS:7: want export NAME=value"},
		{"export A=ssm:", "SETTINGS:1: A looks like a reference and is none"},
		{"A: {b: c}\n", "must be a value or a list of values"},
		{"A:\n", "must be a value or a list of values"},
		{"A: 1\nA: 2\n", "is here twice"},
	} {
		if _, err := ParseParameters("SETTINGS", []byte(tt.src)); !strings.Contains(explained(err), tt.want) {
			t.Errorf("%q: %s\nwant %s", tt.src, explained(err), tt.want)
		}
	}
	if _, err := ParseAssignments("A=1,B"); explained(err) != `"B" sets nothing | Write NAME=VALUE, several by commas; a comma within a value as \,.` {
		t.Error(explained(err))
	}
	if got, err := ParseAssignments(`A=1\,2,B=`); err != nil || got["A"].Text() != "1,2" || got["B"].Text() != "" {
		t.Errorf("%v, %v", got, err)
	}
}

// FuzzParseParameters: no text makes the reader fail, or a value that a shell would have
// run.
func FuzzParseParameters(f *testing.F) {
	for _, s := range []string{"export A=1", "A: 1", "A='x", "export A=\"$(id)\"", "\x00", "A: &a [b]\nB: *a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		values, err := ParseParameters("f", []byte(src))
		if err == nil && isSettings(src) {
			for name, v := range values {
				if strings.Contains(v.Text(), "`") && !strings.Contains(src, `\`+"`") && !strings.Contains(src, "'") {
					t.Errorf("%s = %q of %q", name, v.Text(), src)
				}
			}
		}
	})
}

// TestResolve reads values that are kept elsewhere; none of them shows when printed.
func TestResolve(t *testing.T) {
	sim := awssim.New(awssim.Options{})
	sim.SetValue("ssm:/web/password", "hunter2")
	sim.SetValue("secret:web", `{"key":"hunter3","port":5432}`)
	account := deploytest.Simulated(t, sim)
	cfg := account.ForPlan("cfn deploy")
	t.Setenv("TWOKEY_TEST_VALUE", "hunter4")
	s := Sources{Environment: []string{"TWOKEY_TEST_VALUE"}}
	got, err := s.Resolve(t.Context(), cfg, map[string]Value{"A": Reference("ssm:/web/password"), "B": Reference("secret:web#key"), "C": Reference("secret:web#port"), "D": Reference("env:TWOKEY_TEST_VALUE"), "E": Plain("x")})
	if err != nil || got["A"].Text() != "hunter2" || got["B"].Text() != "hunter3" || got["C"].Text() != "5432" || got["D"].Text() != "hunter4" {
		t.Fatalf("%v, %v", got, err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("values", "a", got["A"], "all", got)
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%v %+v %#v %s %s %s", got, got, got["A"], got["A"], b, log.String()); strings.Contains(all, "hunter") {
		t.Errorf("a value shows: %s", all)
	}
	for ref, want := range map[string]string{
		"ssm:/none":       "there is no ssm:/none | Check the name, the environment and its region.",
		"secret:none":     "there is no secret:none | Check the name, the environment and its region.",
		"secret:web#none": "secret:web#none: the secret has no key none with a value | Check the key.",
		"env:HOME":        "env:HOME: Twokey's configuration does not allow this variable to be read | Allowed are TWOKEY_TEST_VALUE.",
	} {
		if _, err := s.Resolve(t.Context(), cfg, map[string]Value{"A": Reference(ref)}); explained(err) != want {
			t.Errorf("%s: %s\nwant %s", ref, explained(err), want)
		}
	}
}

// TestS3 reads an object.
func TestS3(t *testing.T) {
	sim := awssim.New(awssim.Options{})
	sim.SetObject("bucket/a/t.yaml", []byte("Resources"))
	cfg := deploytest.Simulated(t, sim).ForPlan("cfn deploy")
	f, err := (Sources{}).Read(t.Context(), cfg, "s3://bucket/a/t.yaml", "")
	if err != nil || string(f.Body) != "Resources" || f.Origin != "s3://bucket/a/t.yaml" {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := (Sources{}).Read(t.Context(), cfg, "s3://bucket/none", ""); explained(err) != "there is no object s3://bucket/none (NoSuchKey) | Check bucket, key and version." {
		t.Error(explained(err))
	}
}
