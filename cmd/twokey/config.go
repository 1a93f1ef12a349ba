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
}

// ElasticsearchConfig is how a cluster is reached. Username with PasswordEnv,
// APIKeyEnv alone, or neither.
type ElasticsearchConfig struct {
	URLs        []string // at least one; absolute, without user information
	Username    string
	PasswordEnv string // name of the environment variable that holds the password
	APIKeyEnv   string // name of the environment variable that holds the API key
	CAFile      string // PEM; a relative path starts at the configuration file; empty: the system's
}

// AWSConfig is an account and region.
type AWSConfig struct {
	Region  string
	Account string // twelve digits; the bot refuses to work in any other
	RoleARN string // assumed if set
}

// LoadConfig reads and checks a configuration file. Mistakes in it are a
// *ConfigError, which holds them all.
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
		if es := e.Elasticsearch; es != nil && es.CAFile != "" && !filepath.IsAbs(es.CAFile) {
			es.CAFile = filepath.Join(filepath.Dir(path), es.CAFile)
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
		es := c.Environments[name].Elasticsearch
		if es == nil {
			continue
		}
		if v := cmp.Or(es.PasswordEnv, es.APIKeyEnv); v != "" {
			if value, _ := lookup(v); value == "" {
				errs = append(errs, fmt.Errorf("environment %s: the variable %s is not set; its elasticsearch secret is read from there", name, v))
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
	}
	return out
}
