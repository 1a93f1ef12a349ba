package main

import (
	"net/url"
	"regexp"
	"strings"
	"time"

	"twokey/strictyaml"
)

// ParseConfig checks a configuration file's text; name is its name in messages.
// Unknown keys are mistakes. All mistakes are in one *strictyaml.Error.
func ParseConfig(name string, src []byte) (Config, error) {
	var r configReader
	var c Config
	if root, ok := r.Document(src); ok {
		c = r.config(root)
	}
	if err := r.Err(name); err != nil {
		return Config{}, err
	}
	return c, nil
}

// configReader adds the forms of the configuration to YAML's.
type configReader struct{ strictyaml.Reader }

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
	defaultHold    = 7 * 24 * time.Hour
	minHold        = time.Minute
	maxHold        = 90 * 24 * time.Hour
	defaultCache   = 30 * time.Second
	minCache       = time.Second
	maxCache       = 10 * time.Minute
)

func (r *configReader) config(root strictyaml.Value) Config {
	c := Config{
		Slack:        SlackConfig{Command: defaultCommand},
		Defaults:     DefaultsConfig{Expires: defaultExpires},
		Environments: map[string]EnvironmentConfig{},
	}
	var named strictyaml.Place // of defaults.environment
	r.Mapping(root, map[string]strictyaml.Key{
		"slack": {Required: true, Read: func(v strictyaml.Value) {
			r.Mapping(v, map[string]strictyaml.Key{
				"command": {Read: func(v strictyaml.Value) { c.Slack.Command = r.Word(v, slashCommand, "a slash command like /ops") }},
				"team":    {Read: func(v strictyaml.Value) { c.Slack.Team = r.Word(v, teamID, "a workspace id like T0HOME") }, Required: true},
				"announce": {Read: func(v strictyaml.Value) {
					c.Slack.Announce = r.Word(v, channelID, "a channel id like C0OPS, not a name")
				}},
			})
		}},
		"defaults": {Read: func(v strictyaml.Value) {
			r.Mapping(v, map[string]strictyaml.Key{
				"environment": {Read: func(v strictyaml.Value) { c.Defaults.Environment, named = r.Text(v), v.Place }},
				"expires":     {Read: func(v strictyaml.Value) { c.Defaults.Expires = r.Duration(v, minExpires, maxExpires) }},
			})
		}},
		"environments": {Required: true, Read: func(v strictyaml.Value) {
			entries, ok := r.Entries(v)
			if ok && len(entries) == 0 {
				r.Wrong(v.Place, "names no environment")
			}
			for _, e := range entries {
				if !simpleWord.MatchString(e.Name) {
					r.Wrong(e.At, "an environment's name must be a simple word like prod or eu-1: small letters, digits, dashes")
				}
				c.Environments[e.Name] = r.environment(e.Value)
			}
		}},
	}, "runbooks")
	if name := c.Defaults.Environment; name != "" && len(c.Environments) > 0 {
		if _, ok := c.Environments[name]; !ok {
			r.Wrong(named, "there is no environment %q; there are: %s", name, strings.Join(c.EnvironmentNames(), ", "))
		}
	}
	return c
}

func (r *configReader) environment(v strictyaml.Value) EnvironmentConfig {
	var e EnvironmentConfig
	written := map[string]strictyaml.Place{}
	r.Mapping(v, map[string]strictyaml.Key{
		"channels": {Read: func(v strictyaml.Value) { e.Channels = r.Words(v, channelID, "a channel id like C0PROD, not a name") }},
		"approvers": {Read: func(v strictyaml.Value) {
			r.Mapping(v, map[string]strictyaml.Key{
				"groups": {Read: func(v strictyaml.Value) { e.Groups = r.Words(v, groupID, "a user group id like S0SRE, not a name") }},
				"users":  {Read: func(v strictyaml.Value) { e.Users = r.Words(v, userID, "a user id like U0LEAD, not a name") }},
			})
		}},
		"quorum": {Read: func(v strictyaml.Value) {
			e.Quorum = map[string]int{}
			entries, _ := r.Entries(v)
			for _, q := range entries {
				switch q.Name {
				case "R1", "R2", "R3":
					if n := r.Number(q.Value, 1, maxQuorum); n > 0 {
						e.Quorum[q.Name], written[q.Name] = n, q.At
					}
				case "R0":
					r.Wrong(q.At, "R0 only reads; nobody is asked")
				default:
					r.Wrong(q.At, "unknown risk class; known: R1, R2, R3")
				}
			}
		}},
		"elasticsearch": {Read: func(v strictyaml.Value) { e.Elasticsearch = r.elasticsearch(v) }},
		"aws":           {Read: func(v strictyaml.Value) { e.AWS = r.aws(v) }},
		"dns":           {Read: func(v strictyaml.Value) { e.DNS = r.dns(v) }},
	}, "freeze", "hosts", "roles", "roles_from", "restart")
	if len(e.Groups) == 0 && len(e.Users) > 0 {
		for class, at := range written {
			if n := e.Quorum[class]; n > len(e.Users) {
				r.Wrong(at, "nobody could ever reach %d approvals: approvers names %d user%s and no group", n, len(e.Users), plural(len(e.Users)))
			}
		}
	}
	return e
}

func (r *configReader) elasticsearch(v strictyaml.Value) *ElasticsearchConfig {
	es := ElasticsearchConfig{Hold: defaultHold, Register: RegisterConfig{Cache: defaultCache}}
	has := r.Mapping(v, map[string]strictyaml.Key{
		"urls": {Required: true, Read: func(v strictyaml.Value) {
			before := r.Count()
			es.URLs = r.List(v, func(v strictyaml.Value) string { return r.url(v, "username and password_env") })
			if len(es.URLs) == 0 && r.Count() == before {
				r.Wrong(v.Place, "names no URL")
			}
		}},
		"username":     {Read: func(v strictyaml.Value) { es.Username = r.Text(v) }},
		"password_env": {Read: func(v strictyaml.Value) { es.PasswordEnv = r.variable(v) }},
		"api_key_env":  {Read: func(v strictyaml.Value) { es.APIKeyEnv = r.variable(v) }},
		"ca_file":      {Read: func(v strictyaml.Value) { es.CAFile = r.Text(v) }},
		"register":     {Read: func(v strictyaml.Value) { es.Register = r.register(v) }},
		"campaigns":    {Read: func(v strictyaml.Value) { es.Campaigns = r.Text(v) }},
		"hold":         {Read: func(v strictyaml.Value) { es.Hold = r.Duration(v, minHold, maxHold) }},
	})
	switch {
	case has["api_key_env"] && (has["username"] || has["password_env"]):
		r.Wrong(v.Place, "has both an API key and a user; keep one")
	case has["username"] && !has["password_env"]:
		r.Wrong(v.Place, "username needs password_env, the name of the variable that holds the password")
	case has["password_env"] && !has["username"]:
		r.Wrong(v.Place, "password_env needs username")
	}
	return &es
}

func (r *configReader) register(v strictyaml.Value) RegisterConfig {
	c := RegisterConfig{Cache: defaultCache}
	has := r.Mapping(v, map[string]strictyaml.Key{
		"url":       {Read: func(v strictyaml.Value) { c.URL = r.url(v, "token_env") }},
		"token_env": {Read: func(v strictyaml.Value) { c.TokenEnv = r.variable(v) }},
		"cache":     {Read: func(v strictyaml.Value) { c.Cache = r.Duration(v, minCache, maxCache) }},
	})
	if has["token_env"] && !has["url"] {
		r.Wrong(v.Place, "token_env needs url; the register in Redis has no token")
	}
	return c
}

func (r *configReader) aws(v strictyaml.Value) *AWSConfig {
	var a AWSConfig
	var role, service strictyaml.Place
	var builds map[string]strictyaml.Place
	r.Mapping(v, map[string]strictyaml.Key{
		"region":  {Read: func(v strictyaml.Value) { a.Region = r.Word(v, region, "a region like eu-west-1") }, Required: true},
		"account": {Read: func(v strictyaml.Value) { a.Account = r.Word(v, accountID, `twelve digits in quotes: "123456789012"`) }, Required: true},
		"role_arn": {Read: func(v strictyaml.Value) {
			a.RoleARN, role = r.Word(v, roleARN, "a role like arn:aws:iam::123456789012:role/twokey"), v.Place
		}},
		"service_role_arn": {Read: func(v strictyaml.Value) {
			a.ServiceRoleARN, service = r.Word(v, roleARN, "a role like arn:aws:iam::123456789012:role/cloudformation"), v.Place
		}},
		"templates":       {Read: func(v strictyaml.Value) { a.Templates = r.Text(v) }},
		"template_bucket": {Read: func(v strictyaml.Value) { a.TemplateBucket = r.Word(v, bucketName, "the name of a bucket") }},
		"repositories": {Read: func(v strictyaml.Value) {
			a.Repositories, _ = named(r, v, plainName, "a name of letters, digits and ._-", r.repository)
		}},
		"variables": {Read: func(v strictyaml.Value) { a.Variables = r.List(v, r.variable) }},
		"builds": {Read: func(v strictyaml.Value) {
			a.Builds, builds = named(r, v, imageName, "the name of a repository in ECR", r.build)
		}},
	})
	for _, x := range []struct {
		arn string
		at  strictyaml.Place
	}{{a.RoleARN, role}, {a.ServiceRoleARN, service}} {
		if m := roleARN.FindStringSubmatch(x.arn); m != nil && a.Account != "" && m[1] != a.Account {
			r.Wrong(x.at, "is a role of account %s, not of %s", m[1], a.Account)
		}
	}
	for image, at := range builds {
		if from := a.Builds[image].Repository; from != "" {
			if _, ok := a.Repositories[from]; !ok {
				r.Wrong(at, "builds from %s, which repositories does not name", from)
			}
		}
	}
	return &a
}

// named reads a mapping of names to what one reads of each.
func named[T any](r *configReader, v strictyaml.Value, form *regexp.Regexp, want string, one func(strictyaml.Value) T) (map[string]T, map[string]strictyaml.Place) {
	entries, ok := r.Entries(v)
	if !ok {
		return nil, nil
	}
	out, places := map[string]T{}, map[string]strictyaml.Place{}
	for _, e := range entries {
		if !form.MatchString(e.Name) {
			r.Wrong(e.At, "must be %s", want)
			continue
		}
		out[e.Name], places[e.Name] = one(e.Value), e.At
	}
	return out, places
}

func (r *configReader) repository(v strictyaml.Value) RepositoryConfig {
	var c RepositoryConfig
	r.Mapping(v, map[string]strictyaml.Key{
		"url": {Required: true, Read: func(v strictyaml.Value) {
			if c.URL = r.Text(v); strings.Contains(c.URL, "://") {
				c.URL = r.url(v, "username and token_env")
			}
		}},
		"username":  {Read: func(v strictyaml.Value) { c.Username = r.Text(v) }},
		"token_env": {Read: func(v strictyaml.Value) { c.TokenEnv = r.variable(v) }},
	})
	return c
}

func (r *configReader) build(v strictyaml.Value) BuildConfig {
	var b BuildConfig
	r.Mapping(v, map[string]strictyaml.Key{
		"project":    {Required: true, Read: func(v strictyaml.Value) { b.Project = r.Text(v) }},
		"repository": {Required: true, Read: func(v strictyaml.Value) { b.Repository = r.Text(v) }},
		"dockerfile": {Read: func(v strictyaml.Value) { b.Dockerfile = r.Text(v) }},
	})
	return b
}

func (r *configReader) dns(v strictyaml.Value) *DNSConfig {
	var d DNSConfig
	r.Mapping(v, map[string]strictyaml.Key{
		"cloudflare": {Read: func(v strictyaml.Value) {
			d.Cloudflare = r.List(v, func(v strictyaml.Value) string { return r.Word(v, dnsName, "a zone like example.org") })
		}},
		"cloudflare_token_env": {Read: func(v strictyaml.Value) { d.CloudflareTokenEnv = r.variable(v) }},
		"records": {Read: func(v strictyaml.Value) {
			d.Records, _ = named(r, v, dnsName, "a name like www.example.org", func(v strictyaml.Value) string {
				return r.Word(v, recordTarget, "instance:NAME or output:KEY, with {stack} for the stack's name")
			})
		}},
		"probes": {Read: func(v strictyaml.Value) {
			d.Probes = r.Words(v, probeURL, "a URL with {address}, like http://{address}:8080/health")
		}},
	})
	if len(d.Cloudflare) > 0 && d.CloudflareTokenEnv == "" {
		r.Wrong(v.Place, "names zones at Cloudflare and no cloudflare_token_env")
	}
	return &d
}

var (
	bucketName   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	plainName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	imageName    = regexp.MustCompile(`^[a-z0-9][a-z0-9._/-]*$`)
	dnsName      = regexp.MustCompile(`^([a-z0-9_]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])$`)
	recordTarget = regexp.MustCompile(`^(instance|output):.+$`)
	probeURL     = regexp.MustCompile(`^https?://[^\s]*\{address\}[^\s]*$`)
)

// variable reads the name of an environment variable. It may have been a password
// that was written there: it is never repeated.
func (r *configReader) variable(v strictyaml.Value) string {
	before := r.Count()
	s := r.Text(v)
	if r.Count() == before && !variable.MatchString(s) {
		r.Wrong(v.Place, "must be the name of an environment variable, like ES_PROD_PASSWORD, and never the secret itself")
		return ""
	}
	return s
}

// url reads an absolute URL; if it holds a password it is never repeated. login names the
// keys where that belongs.
func (r *configReader) url(v strictyaml.Value, login string) string {
	before := r.Count()
	s := r.Text(v)
	if r.Count() > before {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case strings.Contains(s, "@"):
		r.Wrong(v.Place, "a URL must hold no user or password; use %s", login)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		r.Wrong(v.Place, "must be an absolute URL like https://es-1.prod:9200")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		r.Wrong(v.Place, "a URL must have no ? and no #")
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
