package main

import (
	"net/url"
	"regexp"
	"strings"
	"time"
)

// ParseConfig checks a configuration file's text; name is its name in messages.
// Unknown keys are mistakes. All mistakes are in one *ConfigError.
func ParseConfig(name string, src []byte) (Config, error) {
	var r yamlReader
	var c Config
	if root, ok := r.document(src); ok {
		c = r.config(root)
	}
	if err := r.err(name); err != nil {
		return Config{}, err
	}
	return c, nil
}

// What words in the file may look like.
var (
	slashCommand = regexp.MustCompile(`^/[a-z0-9_-]{1,31}$`)
	teamID       = regexp.MustCompile(`^T[A-Z0-9]+$`)
	channelID    = regexp.MustCompile(`^[CG][A-Z0-9]+$`)
	groupID      = regexp.MustCompile(`^S[A-Z0-9]+$`)
	userID       = regexp.MustCompile(`^[UW][A-Z0-9]+$`)
	simpleWord   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)
	variable     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	region       = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
	accountID    = regexp.MustCompile(`^[0-9]{12}$`)
	roleARN      = regexp.MustCompile(`^arn:aws[a-z-]*:iam::([0-9]{12}):role/[A-Za-z0-9+=,.@_/-]+$`)
)

const (
	defaultCommand = "/ops"
	defaultExpires = time.Hour
	minExpires     = time.Minute
	maxExpires     = 7 * 24 * time.Hour
	maxQuorum      = 10
)

func (r *yamlReader) config(root yamlValue) Config {
	c := Config{
		Slack:        SlackConfig{Command: defaultCommand},
		Defaults:     DefaultsConfig{Expires: defaultExpires},
		Environments: map[string]EnvironmentConfig{},
	}
	var named yamlPlace // of defaults.environment
	r.mapping(root, map[string]yamlKey{
		"slack": {required: true, read: func(v yamlValue) {
			r.mapping(v, map[string]yamlKey{
				"command":  {read: func(v yamlValue) { c.Slack.Command = r.word(v, slashCommand, "a slash command like /ops") }},
				"team":     {read: func(v yamlValue) { c.Slack.Team = r.word(v, teamID, "a workspace id like T0HOME") }, required: true},
				"announce": {read: func(v yamlValue) { c.Slack.Announce = r.word(v, channelID, "a channel id like C0OPS, not a name") }},
			})
		}},
		"defaults": {read: func(v yamlValue) {
			r.mapping(v, map[string]yamlKey{
				"environment": {read: func(v yamlValue) { c.Defaults.Environment, named = r.text(v), v.yamlPlace }},
				"expires":     {read: func(v yamlValue) { c.Defaults.Expires = r.duration(v, minExpires, maxExpires) }},
			})
		}},
		"environments": {required: true, read: func(v yamlValue) {
			entries, ok := r.entries(v)
			if ok && len(entries) == 0 {
				r.wrong(v.yamlPlace, "names no environment")
			}
			for _, e := range entries {
				if !simpleWord.MatchString(e.name) {
					r.wrong(e.at, "an environment's name must be a simple word like prod or eu-1: small letters, digits, dashes")
				}
				c.Environments[e.name] = r.environment(e.value)
			}
		}},
	}, "runbooks")
	if name := c.Defaults.Environment; name != "" && len(c.Environments) > 0 {
		if _, ok := c.Environments[name]; !ok {
			r.wrong(named, "there is no environment %q; there are: %s", name, strings.Join(c.EnvironmentNames(), ", "))
		}
	}
	return c
}

func (r *yamlReader) environment(v yamlValue) EnvironmentConfig {
	var e EnvironmentConfig
	written := map[string]yamlPlace{}
	r.mapping(v, map[string]yamlKey{
		"channels": {read: func(v yamlValue) { e.Channels = r.words(v, channelID, "a channel id like C0PROD, not a name") }},
		"approvers": {read: func(v yamlValue) {
			r.mapping(v, map[string]yamlKey{
				"groups": {read: func(v yamlValue) { e.Groups = r.words(v, groupID, "a user group id like S0SRE, not a name") }},
				"users":  {read: func(v yamlValue) { e.Users = r.words(v, userID, "a user id like U0LEAD, not a name") }},
			})
		}},
		"quorum": {read: func(v yamlValue) {
			e.Quorum = map[string]int{}
			entries, _ := r.entries(v)
			for _, q := range entries {
				switch q.name {
				case "R1", "R2", "R3":
					if n := r.number(q.value, 1, maxQuorum); n > 0 {
						e.Quorum[q.name], written[q.name] = n, q.at
					}
				case "R0":
					r.wrong(q.at, "R0 only reads; nobody is asked")
				default:
					r.wrong(q.at, "unknown risk class; known: R1, R2, R3")
				}
			}
		}},
		"elasticsearch": {read: func(v yamlValue) { e.Elasticsearch = r.elasticsearch(v) }},
		"aws":           {read: func(v yamlValue) { e.AWS = r.aws(v) }},
	}, "freeze", "hosts", "roles", "roles_from", "restart")
	if len(e.Groups) == 0 && len(e.Users) > 0 {
		for class, at := range written {
			if n := e.Quorum[class]; n > len(e.Users) {
				r.wrong(at, "nobody could ever reach %d approvals: approvers names %d user%s and no group", n, len(e.Users), plural(len(e.Users)))
			}
		}
	}
	return e
}

func (r *yamlReader) elasticsearch(v yamlValue) *ElasticsearchConfig {
	var es ElasticsearchConfig
	has := r.mapping(v, map[string]yamlKey{
		"urls": {required: true, read: func(v yamlValue) {
			before := len(r.mistakes)
			es.URLs = r.list(v, r.url)
			if len(es.URLs) == 0 && len(r.mistakes) == before {
				r.wrong(v.yamlPlace, "names no URL")
			}
		}},
		"username":     {read: func(v yamlValue) { es.Username = r.text(v) }},
		"password_env": {read: func(v yamlValue) { es.PasswordEnv = r.variable(v) }},
		"api_key_env":  {read: func(v yamlValue) { es.APIKeyEnv = r.variable(v) }},
		"ca_file":      {read: func(v yamlValue) { es.CAFile = r.text(v) }},
	})
	switch {
	case has["api_key_env"] && (has["username"] || has["password_env"]):
		r.wrong(v.yamlPlace, "has both an API key and a user; keep one")
	case has["username"] && !has["password_env"]:
		r.wrong(v.yamlPlace, "username needs password_env, the name of the variable that holds the password")
	case has["password_env"] && !has["username"]:
		r.wrong(v.yamlPlace, "password_env needs username")
	}
	return &es
}

func (r *yamlReader) aws(v yamlValue) *AWSConfig {
	var a AWSConfig
	var role yamlPlace
	r.mapping(v, map[string]yamlKey{
		"region":  {read: func(v yamlValue) { a.Region = r.word(v, region, "a region like eu-west-1") }, required: true},
		"account": {read: func(v yamlValue) { a.Account = r.word(v, accountID, `twelve digits in quotes: "123456789012"`) }, required: true},
		"role_arn": {read: func(v yamlValue) {
			a.RoleARN, role = r.word(v, roleARN, "a role like arn:aws:iam::123456789012:role/twokey"), v.yamlPlace
		}},
	})
	if m := roleARN.FindStringSubmatch(a.RoleARN); m != nil && a.Account != "" && m[1] != a.Account {
		r.wrong(role, "is a role of account %s, not of %s", m[1], a.Account)
	}
	return &a
}

// word reads a text that must look like want.
func (r *yamlReader) word(v yamlValue, form *regexp.Regexp, want string) string {
	before := len(r.mistakes)
	s := r.text(v)
	if len(r.mistakes) > before {
		return ""
	}
	if !form.MatchString(s) {
		r.wrong(v.yamlPlace, "must be %s; it is %q", want, s)
		return ""
	}
	return s
}

func (r *yamlReader) words(v yamlValue, form *regexp.Regexp, want string) []string {
	return r.list(v, func(v yamlValue) string { return r.word(v, form, want) })
}

// variable reads the name of an environment variable. It may have been a password
// that was written there: it is never repeated.
func (r *yamlReader) variable(v yamlValue) string {
	before := len(r.mistakes)
	s := r.text(v)
	if len(r.mistakes) == before && !variable.MatchString(s) {
		r.wrong(v.yamlPlace, "must be the name of an environment variable, like ES_PROD_PASSWORD, and never the secret itself")
		return ""
	}
	return s
}

// url reads an absolute URL; if it holds a password it is never repeated.
func (r *yamlReader) url(v yamlValue) string {
	before := len(r.mistakes)
	s := r.text(v)
	if len(r.mistakes) > before {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case strings.Contains(s, "@"):
		r.wrong(v.yamlPlace, "a URL must hold no user or password; use username and password_env")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		r.wrong(v.yamlPlace, "must be an absolute URL like https://es-1.prod:9200")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		r.wrong(v.yamlPlace, "a URL must have no ? and no #")
	default:
		return s
	}
	return ""
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
