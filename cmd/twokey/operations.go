package main

import (
	"slices"

	"twokey/deploy"
	"twokey/deploy/data"
	"twokey/deploy/dns"
	"twokey/deploy/images"
	"twokey/deploy/machines"
	"twokey/deploy/services"
	"twokey/deploy/stacks"
	"twokey/deploy/templates"
	"twokey/ops"
	"twokey/ops/elastic"
	"twokey/ops/elastic/indices"
)

// systems is what operations and queries work on, by environment.
type systems struct {
	clusters map[string]elastic.Cluster
	indices  map[string]indices.Site
	accounts map[string]*deploy.Account
	config   Config
}

// operations is every operation of the program.
func (s systems) operations() []ops.Operation {
	return slices.Concat(
		elastic.Operations(s.clusters), indices.Operations(s.indices), stacks.Operations(s.stacks()), images.Operations(s.images()),
		services.Operations(s.services()), machines.Operations(s.machines()), data.Operations(s.data()), dns.Operations(s.dns()),
	)
}

// queries is every query of the program.
func (s systems) queries() []ops.Query {
	return slices.Concat(
		elastic.Queries(s.clusters), stacks.Queries(s.stacks()), images.Queries(s.images()),
		services.Queries(s.services()), machines.Queries(s.machines()), data.Queries(s.data()), dns.Queries(s.dns()),
	)
}

// each makes the site of each account.
func each[T any](s systems, site func(*deploy.Account) T) map[string]T {
	out := make(map[string]T, len(s.accounts))
	for name, a := range s.accounts {
		out[name] = site(a)
	}
	return out
}

// aws is the configuration of an account; zero where there is none.
func (s systems) aws(a *deploy.Account) AWSConfig {
	if c := s.config.Environments[a.Environment].AWS; c != nil {
		return *c
	}
	return AWSConfig{}
}

// sources are where the environment's templates come from, with the tokens of its
// repositories.
func (c AWSConfig) sources() templates.Sources {
	out := templates.Sources{Folder: c.Templates, Environment: c.Variables, Repositories: map[string]templates.Repository{}}
	for name, r := range c.Repositories {
		out.Repositories[name] = templates.Repository{URL: r.URL, Username: r.Username, Token: secret(r.TokenEnv)}
	}
	return out
}

func (s systems) stacks() map[string]stacks.Site {
	return each(s, func(a *deploy.Account) stacks.Site {
		c := s.aws(a)
		return stacks.Site{Account: a, ServiceRole: c.ServiceRoleARN, Bucket: c.TemplateBucket, Sources: c.sources()}
	})
}

func (s systems) images() map[string]images.Site {
	return each(s, func(a *deploy.Account) images.Site {
		c := s.aws(a)
		builds := make(map[string]images.Build, len(c.Builds))
		for repo, b := range c.Builds {
			builds[repo] = images.Build{Project: b.Project, Repository: b.Repository, Dockerfile: b.Dockerfile}
		}
		return images.Site{Account: a, Builds: builds, Sources: c.sources()}
	})
}

func (s systems) services() map[string]services.Site {
	return each(s, func(a *deploy.Account) services.Site { return services.Site{Account: a} })
}

func (s systems) machines() map[string]machines.Site {
	return each(s, func(a *deploy.Account) machines.Site { return machines.Site{Account: a} })
}

func (s systems) data() map[string]data.Site {
	return each(s, func(a *deploy.Account) data.Site { return data.Site{Account: a, Sources: s.aws(a).sources()} })
}

func (s systems) dns() map[string]dns.Site {
	return each(s, func(a *deploy.Account) dns.Site {
		site := dns.Site{Account: a}
		if c := s.config.Environments[a.Environment].DNS; c != nil {
			site.Cloudflare, site.Token, site.Records, site.Probes = c.Cloudflare, secret(c.CloudflareTokenEnv), c.Records, c.Probes
		}
		return site
	})
}
