package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"twokey/approvals"
)

// Config is the configuration file, checked. It holds no secret: those are in the
// environment variables and files it names.
type Config struct {
	Slack        SlackConfig
	Defaults     DefaultsConfig
	Environments map[string]EnvironmentConfig // by name; at least one
}

// SlackConfig says where the bot lives.
type SlackConfig struct {
	Command  string // the slash command: "/ops" if the file names none
	Team     string // id of the home workspace
	Announce string // id of the channel where cards asked for in a DM go; empty: none
}

// DefaultsConfig holds for all environments.
type DefaultsConfig struct {
	Environment string        // where a command names none; empty: it must
	Expires     time.Duration // how long a request waits for votes: 1 h if the file says nothing
}

// EnvironmentConfig is one named place. Nil parts are not there, and their
// commands are refused.
type EnvironmentConfig struct {
	Channels      []string // ids of the channels where its commands may be typed; none: anywhere
	Groups, Users []string // ids of those who may approve; none: nobody may
	Quorum        map[string]int
	Elasticsearch *ElasticsearchConfig
	AWS           *AWSConfig
	DNS           *DNSConfig
}

// ElasticsearchConfig is how a cluster is reached. Username with PasswordEnv,
// APIKeyEnv alone, or neither.
type ElasticsearchConfig struct {
	URLs        []string // at least one; absolute, without user information
	Username    string
	PasswordEnv string // name of the environment variable that holds the password
	APIKeyEnv   string // name of the environment variable that holds the API key
	CAFile      string // PEM; a relative path starts at the configuration file; empty: the system's
	Register    RegisterConfig
	Campaigns   string        // folder of campaign files; a relative path starts at the configuration file; empty: none
	Hold        time.Duration // how long a replaced index is kept: a week if the file says nothing
}

// RegisterConfig says who knows which index is which.
type RegisterConfig struct {
	URL      string        // absolute, without user information; empty: the one in Redis
	TokenEnv string        // name of the environment variable that holds the bearer token; empty: none
	Cache    time.Duration // how old readers' and writers' knowledge may be: 30 s if the file says nothing
}

// AWSConfig is an account and region.
type AWSConfig struct {
	Region  string
	Account string // twelve digits; the bot refuses to work in any other
	RoleARN string // assumed if set

	ServiceRoleARN string // CloudFormation works as it; empty: as Twokey itself
	Templates      string // folder of templates; a relative path starts at the configuration file; empty: none
	TemplateBucket string // where templates are put that are too long to be sent; empty: they are refused
	Repositories   map[string]RepositoryConfig
	Variables      []string               // of Twokey's process, that env: references may name
	Builds         map[string]BuildConfig // by the name of the image's repository in ECR
}

// RepositoryConfig is a git repository.
type RepositoryConfig struct {
	URL      string // https://…, without user information, or a directory of this machine
	Username string // with TokenEnv; most servers take any
	TokenEnv string // name of the environment variable that holds the token; empty: none
}

// BuildConfig is how an image is built.
type BuildConfig struct {
	Project    string // of CodeBuild
	Repository string // the one of Repositories whose commits are built
	Dockerfile string // that a commit must have; empty: not looked for
}

// DNSConfig is where the names of an environment are.
type DNSConfig struct {
	Cloudflare         []string          // zones at Cloudflare; all others are at Route 53
	CloudflareTokenEnv string            // name of the environment variable that holds its token
	Records            map[string]string // where a record's target is found: "instance:{stack}-web"
	Probes             []string          // URLs asked at a new address before the switch; none: http://{address}/
}

// LoadConfig reads and checks a configuration file. Mistakes in it are a
// *strictyaml.Error, which holds them all.
func LoadConfig(path string) (Config, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	c, err := ParseConfig(path, src)
	if err != nil {
		return Config{}, err
	}
	for _, e := range c.Environments {
		var files []*string
		if es := e.Elasticsearch; es != nil {
			files = append(files, &es.CAFile, &es.Campaigns)
		}
		if e.AWS != nil {
			files = append(files, &e.AWS.Templates)
		}
		for _, name := range files {
			if *name != "" && !filepath.IsAbs(*name) {
				*name = filepath.Join(filepath.Dir(path), *name)
			}
		}
	}
	return c, nil
}

// EnvironmentNames returns the names, sorted.
func (c Config) EnvironmentNames() []string { return slices.Sorted(maps.Keys(c.Environments)) }

// Policy is what the file says about who may agree to what.
func (c Config) Policy() approvals.Policy {
	p := approvals.Policy{Team: c.Slack.Team, Environments: make(map[string]approvals.Environment, len(c.Environments))}
	for name, e := range c.Environments {
		p.Environments[name] = approvals.Environment{
			Channels: e.Channels,
			Groups:   e.Groups,
			Users:    e.Users,
			Quorum:   e.Quorum,
			Expires:  c.Defaults.Expires,
		}
	}
	return p
}

// CheckEnvironment reports each environment variable the file names that lookup
// (os.LookupEnv) does not know or knows as empty, and each file that cannot be read.
func (c Config) CheckEnvironment(lookup func(string) (string, bool)) []error {
	var errs []error
	for _, name := range c.EnvironmentNames() {
		errs = append(errs, c.Environments[name].checkAWS(name, lookup)...)
		es := c.Environments[name].Elasticsearch
		if es == nil {
			continue
		}
		if v := cmp.Or(es.PasswordEnv, es.APIKeyEnv); v != "" {
			if value, _ := lookup(v); value == "" {
				errs = append(errs, fmt.Errorf("environment %s: the variable %s is not set; its elasticsearch secret is read from there", name, v))
			}
		}
		if v := es.Register.TokenEnv; v != "" {
			if value, _ := lookup(v); value == "" {
				errs = append(errs, fmt.Errorf("environment %s: the variable %s is not set; the token of its register is read from there", name, v))
			}
		}
		if es.Campaigns != "" {
			if _, err := os.ReadDir(es.Campaigns); err != nil {
				errs = append(errs, fmt.Errorf("environment %s: campaigns: %w", name, err))
			}
		}
		if es.CAFile != "" {
			if _, err := os.ReadFile(es.CAFile); err != nil {
				errs = append(errs, fmt.Errorf("environment %s: ca_file: %w", name, err))
			}
		}
	}
	return errs
}

// checkAWS is CheckEnvironment for what concerns AWS and DNS.
func (e EnvironmentConfig) checkAWS(name string, lookup func(string) (string, bool)) []error {
	var errs []error
	unset := func(variable, what string) {
		if value, _ := lookup(variable); variable != "" && value == "" {
			errs = append(errs, fmt.Errorf("environment %s: the variable %s is not set; %s is read from there", name, variable, what))
		}
	}
	if a := e.AWS; a != nil {
		for _, repository := range slices.Sorted(maps.Keys(a.Repositories)) {
			unset(a.Repositories[repository].TokenEnv, "the token of repository "+repository)
		}
		for _, variable := range a.Variables {
			unset(variable, "env:"+variable)
		}
		if a.Templates != "" {
			if _, err := os.ReadDir(a.Templates); err != nil {
				errs = append(errs, fmt.Errorf("environment %s: templates: %w", name, err))
			}
		}
	}
	if e.DNS != nil {
		unset(e.DNS.CloudflareTokenEnv, "the token of Cloudflare")
	}
	return errs
}

// Warnings are sentences about what is allowed and perhaps not meant.
func (c Config) Warnings() []string {
	var out []string
	warn := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if c.Slack.Announce == "" {
		warn("slack.announce is not set: commands that need approval are refused in a DM")
	}
	policy := c.Policy()
	for _, name := range c.EnvironmentNames() {
		e := c.Environments[name]
		if len(e.Groups)+len(e.Users) == 0 {
			warn("environment %s names no approvers: nobody may approve anything in it", name)
		}
		for _, class := range []string{"R1", "R2", "R3"} {
			rule, err := policy.Rule(name, class)
			switch n := len(e.Users); {
			case err != nil || n == 0 || len(e.Groups) > 0 || rule.Quorum < n:
			case rule.Quorum > n:
				warn("environment %s: %s needs %d approvals and approvers names %d user%s: nobody can reach it", name, class, rule.Quorum, n, plural(n))
			default:
				warn("environment %s: %s needs %d approval%s and approvers names just as many users: none of them can ask for it", name, class, n, plural(n))
			}
		}
		if es := e.Elasticsearch; es != nil && es.PasswordEnv+es.APIKeyEnv != "" {
			for _, u := range es.URLs {
				if strings.HasPrefix(u, "http:") {
					warn("environment %s: the secret of elasticsearch goes to %s unencrypted", name, u)
				}
			}
		}
		if es := e.Elasticsearch; es != nil && es.Register.TokenEnv != "" && strings.HasPrefix(es.Register.URL, "http:") {
			warn("environment %s: the token of its register goes to %s unencrypted", name, es.Register.URL)
		}
	}
	return out
}
