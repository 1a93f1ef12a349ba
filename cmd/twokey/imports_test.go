package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// room says what a package may import, in files that are not tests. Go's own and pure
// libraries are free to all.
type room struct {
	own  []string // packages of twokey, without that prefix
	sdks []string // keys of sdks
	pure bool     // nothing below it may do I/O either: no SDK and no net/http, however deep
	all  bool     // no rule
}

// rooms has every package of the module: a new one needs an entry here, which says
// where it stands between the others. Test doubles know nothing of twokey: they speak
// the wire protocol only.
var rooms = map[string]room{
	"commands":                         {pure: true},
	"approvals":                        {pure: true},
	"ops":                              {pure: true},
	"approvals/approvalsredis":         {own: []string{"approvals"}, sdks: []string{"redis"}},
	"approvals/approvalstest":          {own: []string{"approvals"}},
	"ops/opsredis":                     {own: []string{"ops"}, sdks: []string{"redis", "asynq"}},
	"ops/opstest":                      {own: []string{"ops", "ops/opsredis"}, sdks: []string{"redis"}}, // its store is the real one
	"ops/elastic":                      {own: []string{"ops"}, sdks: []string{"elasticsearch"}},
	"ops/elastic/indices":              {own: []string{"ops", "ops/elastic", "strictyaml"}, sdks: []string{"elasticsearch"}},
	"ops/elastic/indices/registertest": {own: []string{"ops/elastic/indices"}},
	"ops/elastic/registerredis":        {own: []string{"ops", "ops/elastic/indices"}, sdks: []string{"redis"}},
	"ops/elastic/elasticsim":           {},
	"strictyaml":                       {pure: true},
	"deploy":                           {own: []string{"ops"}, sdks: []string{"aws"}},
	"deploy/awsproxy":                  {},
	"deploy/awssim":                    {},
	"deploy/deploytest":                {own: []string{"deploy", "deploy/awsproxy", "deploy/awssim", "ops", "ops/opstest"}, sdks: []string{"aws", "redis"}}, // opstest's store is the real one
	"deploy/templates":                 {own: []string{"deploy", "ops", "strictyaml"}, sdks: []string{"aws", "git"}},
	"deploy/templates/templatestest":   {sdks: []string{"git"}},
	"deploy/stacks":                    {own: []string{"deploy", "deploy/templates", "ops"}, sdks: []string{"aws"}},
	"deploy/images":                    {own: []string{"deploy", "deploy/templates", "ops"}, sdks: []string{"aws"}},
	"deploy/services":                  {own: []string{"deploy", "ops"}, sdks: []string{"aws"}},
	"deploy/machines":                  {own: []string{"deploy", "ops"}, sdks: []string{"aws"}},
	"deploy/data":                      {own: []string{"deploy", "deploy/templates", "ops"}, sdks: []string{"aws"}},
	"deploy/dns/cloudflaresim":         {},
	"deploy/dns":                       {own: []string{"deploy", "ops"}, sdks: []string{"aws", "cloudflare", "dns"}},
	"bot":                              {own: []string{"commands", "approvals", "ops"}, sdks: []string{"slack"}},
	"bot/botredis":                     {own: []string{"bot"}, sdks: []string{"redis"}},
	"bot/slacksim":                     {},
	"cmd/twokey":                       {all: true},
	"test/servers":                     {},
	"test/with":                        {own: []string{"test/servers"}},
	"test/workload":                    {},
	"test/bench": {
		own:  []string{"ops", "ops/elastic", "ops/elastic/indices", "ops/opsredis", "ops/opstest", "test/servers", "test/workload"},
		sdks: []string{"elasticsearch", "redis"},
	},
}

// sdks are the libraries that do I/O, by the beginning of their import paths.
var sdks = map[string][]string{
	"slack":         {"github.com/slack-go/"},
	"elasticsearch": {"github.com/elastic/"},
	"aws":           {"github.com/aws/"},
	"redis":         {"github.com/redis/", "github.com/alicebob/miniredis/"},
	"asynq":         {"github.com/hibiken/asynq"},
	"database":      {"database/sql"},
	"docker":        {"github.com/docker/", "github.com/moby/"},
	"ssh":           {"golang.org/x/crypto/ssh"},
	"git":           {"github.com/go-git/"},
	"cloudflare":    {"github.com/cloudflare/"},
	"dns":           {"github.com/miekg/dns"},
}

// listed is a package as go list prints it.
type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string // of Imports, and so on
}

func TestImports(t *testing.T) {
	for _, tags := range []string{"", "integration"} {
		pkgs, err := listPackages(tags)
		if err != nil {
			t.Fatal(err)
		}
		if len(pkgs) < 10 {
			t.Fatalf("go list found %d packages only", len(pkgs))
		}
		for _, v := range violations(pkgs) {
			t.Errorf("tags %q: %s", tags, v)
		}
	}
}

// TestImportRules shows that the rules find what they are for.
func TestImportRules(t *testing.T) {
	const slack, redis = "github.com/slack-go/slack", "github.com/redis/go-redis/v9"
	for _, c := range []struct {
		pkg  listed
		want []string
	}{
		{listed{"twokey/bot", []string{"twokey/ops", slack, "net/http"}, nil}, nil},
		{listed{"twokey/cmd/twokey", []string{"twokey/bot", slack, redis}, nil}, nil},
		{listed{"twokey/bot/botredis", []string{"twokey/bot", redis}, []string{slack}}, nil},
		{listed{"twokey/ops", []string{"twokey/approvals"}, nil}, []string{"ops imports approvals"}},
		{listed{"twokey/ops", []string{redis}, []string{redis, "net/http"}}, []string{"ops imports " + redis, "ops depends on " + redis, "ops depends on net/http"}},
		{listed{"twokey/commands", []string{"x/y"}, []string{"x/y", "net/http"}}, []string{"commands depends on net/http"}},
		{listed{"twokey/bot", []string{redis}, nil}, []string{"bot imports " + redis}},
		{listed{"twokey/bot", []string{"twokey/ops/elastic"}, nil}, []string{"bot imports ops/elastic"}},
		{listed{"twokey/bot/slacksim", []string{"twokey/bot"}, nil}, []string{"bot/slacksim imports bot"}},
		{listed{"twokey/utils", nil, nil}, []string{"utils is not in the table of imports_test.go"}},
	} {
		if d := cmp.Diff(c.want, violations([]listed{c.pkg})); d != "" {
			t.Errorf("%v:\n%s", c.pkg, d)
		}
	}
}

// violations says which imports break a rule.
func violations(pkgs []listed) []string {
	var out []string
	for _, p := range pkgs {
		name := strings.TrimPrefix(p.ImportPath, "twokey/")
		r, ok := rooms[name]
		if !ok {
			out = append(out, name+" is not in the table of imports_test.go")
			continue
		}
		if r.all {
			continue
		}
		for _, i := range p.Imports {
			own, isOwn := strings.CutPrefix(i, "twokey/")
			sdk := sdkOf(i)
			switch {
			case isOwn && !slices.Contains(r.own, own):
				out = append(out, fmt.Sprintf("%s imports %s", name, own))
			case sdk != "" && !slices.Contains(r.sdks, sdk):
				out = append(out, fmt.Sprintf("%s imports %s", name, i))
			}
		}
		for _, d := range p.Deps {
			// ulid implements an interface of database/sql/driver, which does no I/O.
			if r.pure && (sdkOf(d) != "" && d != "database/sql/driver" || d == "net/http") {
				out = append(out, fmt.Sprintf("%s depends on %s", name, d))
			}
		}
	}
	return out
}

// sdkOf returns which of sdks an import path belongs to; "" for none.
func sdkOf(path string) string {
	for name, prefixes := range sdks {
		for _, prefix := range prefixes {
			if strings.HasPrefix(path, prefix) {
				return name
			}
		}
	}
	return ""
}

// listPackages asks the go command for the packages of this module.
func listPackages(tags string) ([]listed, error) {
	cmd := exec.Command("go", "list", "-tags", tags, "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("go list: %w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	var pkgs []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}
