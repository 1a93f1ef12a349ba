package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"twokey/approvals"
)

func TestLoadConfig(t *testing.T) {
	c, err := LoadConfig(filepath.Join("testdata", "config", "full.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Slack:    SlackConfig{Command: "/ops", Team: "T0HOME", Announce: "C0OPS"},
		Defaults: DefaultsConfig{Environment: "staging", Expires: 30 * time.Minute},
		Environments: map[string]EnvironmentConfig{
			"prod": {
				Channels: []string{"C0PROD"},
				Groups:   []string{"S0SRE"},
				Users:    []string{"U0LEAD"},
				Quorum:   map[string]int{"R1": 1, "R2": 2, "R3": 3},
				Elasticsearch: &ElasticsearchConfig{
					URLs:     []string{"https://es-1.prod:9200", "https://es-2.prod:9200"},
					Username: "twokey", PasswordEnv: "ES_PROD_PASSWORD",
					CAFile:    filepath.Join("testdata", "config", "es-ca.pem"),
					Register:  RegisterConfig{URL: "https://baldur.prod/indexes", TokenEnv: "BALDUR_TOKEN", Cache: 10 * time.Second},
					Campaigns: filepath.Join("testdata", "config", "campaigns"),
					Hold:      48 * time.Hour,
				},
				AWS: &AWSConfig{
					Region: "eu-west-1", Account: "123456789012", RoleARN: "arn:aws:iam::123456789012:role/twokey",
					ServiceRoleARN: "arn:aws:iam::123456789012:role/cloudformation", Templates: filepath.Join("testdata", "config", "templates"), TemplateBucket: "acme-templates",
					Repositories: map[string]RepositoryConfig{"waffle": {URL: "https://git.example/waffle.git", Username: "twokey", TokenEnv: "WAFFLE_TOKEN"}},
					Variables:    []string{"MONGODB_URL"},
					Builds:       map[string]BuildConfig{"ws-prod-ecr": {Project: "waffle-node", Repository: "waffle", Dockerfile: "Dockerfile"}},
				},
				DNS: &DNSConfig{
					Cloudflare: []string{"example.org"}, CloudflareTokenEnv: "CLOUDFLARE_TOKEN", Probes: []string{"http://{address}:8080/hps", "http://{address}/"},
					Records: map[string]string{"waffle-server.example.org": "instance:{stack}-wsLoadBalancer"},
				},
			},
			"staging": {
				Groups: []string{"S0DEV"},
				Elasticsearch: &ElasticsearchConfig{
					URLs: []string{"http://127.0.0.1:9200"}, APIKeyEnv: "ES_STAGING_KEY",
					Register: RegisterConfig{Cache: 30 * time.Second}, Hold: 7 * 24 * time.Hour,
				},
			},
		},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	if _, err := LoadConfig("nowhere.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	policy := approvals.Policy{Team: "T0HOME", Environments: map[string]approvals.Environment{
		"prod": {
			Channels: []string{"C0PROD"}, Groups: []string{"S0SRE"}, Users: []string{"U0LEAD"},
			Quorum: map[string]int{"R1": 1, "R2": 2, "R3": 3}, Expires: 30 * time.Minute,
		},
		"staging": {Groups: []string{"S0DEV"}, Expires: 30 * time.Minute},
	}}
	if d := cmp.Diff(policy, c.Policy()); d != "" {
		t.Errorf("policy:\n%s", d)
	}
}

func TestSmallestConfig(t *testing.T) {
	c, err := ParseConfig("x.yaml", []byte("slack: {team: T0HOME}\nenvironments: {dev: {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Slack:        SlackConfig{Command: "/ops", Team: "T0HOME"},
		Defaults:     DefaultsConfig{Expires: time.Hour},
		Environments: map[string]EnvironmentConfig{"dev": {}},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

// Each archive has a file config.yaml and the mistakes in it: all of them, in order.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "config", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d archives, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			src, want := string(a.Files[0].Data), string(a.Files[1].Data)
			c, err := ParseConfig(a.Files[0].Name, []byte(src))
			if err == nil {
				t.Fatal("no mistake found")
			}
			if d := cmp.Diff(want, err.Error()+"\n"); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(Config{}, c); d != "" {
				t.Errorf("a configuration beside an error:\n%s", d)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("a secret is repeated")
			}
		})
	}
}

func TestCheckEnvironment(t *testing.T) {
	c, err := LoadConfig(filepath.Join("testdata", "config", "full.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(env map[string]string) string {
		return errors.Join(c.CheckEnvironment(func(name string) (string, bool) {
			v, ok := env[name]
			return v, ok
		})...).Error()
	}
	got := check(map[string]string{"ES_PROD_PASSWORD": ""})
	for _, want := range []string{"variable ES_PROD_PASSWORD is not set", "ca_file", "variable ES_STAGING_KEY is not set", "variable BALDUR_TOKEN is not set", "campaigns: ",
		"variable WAFFLE_TOKEN is not set", "variable MONGODB_URL is not set", "variable CLOUDFLARE_TOKEN is not set", "templates: "} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	c.Environments["prod"].Elasticsearch.CAFile = ca
	c.Environments["prod"].Elasticsearch.Campaigns = t.TempDir()
	c.Environments["prod"].AWS.Templates = t.TempDir()
	errs := c.CheckEnvironment(func(string) (string, bool) { return "set", true })
	if len(errs) > 0 {
		t.Errorf("all is set, and yet %v", errs)
	}
}

func TestWarnings(t *testing.T) {
	c, err := ParseConfig("x.yaml", []byte(`
slack: { team: T0HOME }
environments:
  empty: {}
  one: { approvers: { users: [U0LEAD] }, quorum: { R1: 1 } }
  open: { approvers: { groups: [S0SRE] }, elasticsearch: { urls: ["http://es:9200"], api_key_env: KEY, register: { url: "http://baldur/indexes", token_env: TOKEN } } }
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"slack.announce is not set: commands that need approval are refused in a DM",
		"environment empty names no approvers: nobody may approve anything in it",
		"environment one: R1 needs 1 approval and approvers names just as many users: none of them can ask for it",
		"environment one: R2 needs 1 approval and approvers names just as many users: none of them can ask for it",
		"environment one: R3 needs 2 approvals and approvers names 1 user: nobody can reach it",
		"environment open: the secret of elasticsearch goes to http://es:9200 unencrypted",
		"environment open: the token of its register goes to http://baldur/indexes unencrypted",
	}
	if d := cmp.Diff(want, c.Warnings()); d != "" {
		t.Error(d)
	}
}

func FuzzParseConfig(f *testing.F) {
	full, err := os.ReadFile(filepath.Join("testdata", "config", "full.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(full))
	f.Add("slack: &a {team: *a}\n<<: x\n? [a]\n: b\n")
	f.Fuzz(func(t *testing.T, src string) {
		c, err := ParseConfig("x.yaml", []byte(src))
		if err == nil && (c.Slack.Team == "" || len(c.Environments) == 0) {
			t.Errorf("accepted, without what is required: %+v", c)
		}
	})
}

// The example in the documentation is a right one.
func TestDocumentedConfig(t *testing.T) {
	const doc = "../../docs/configuration.md"
	src, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(src), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatalf("%s has no yaml example", doc)
	}
	if _, err := ParseConfig(doc, []byte(example)); err != nil {
		t.Error(err)
	}
}
