// Package data is the operations on S3 buckets and static sites, SQS queues and EMR
// clusters.
package data

import (
	"twokey/deploy"
	"twokey/deploy/templates"
	"twokey/ops"
)

// Site is one environment's account, with what the configuration says for this package.
type Site struct {
	*deploy.Account
	// Sources have the repositories that sites are synced from.
	Sources templates.Sources
}

// Operations returns the operations over sites, keyed by environment name.
func Operations(sites map[string]Site) []ops.Operation {
	return []ops.Operation{
		createBucket{sites}, syncSite{sites}, createQueue{sites}, watchQueue{sites}, createCluster{sites}, runStep{sites}, endCluster{sites},
	}
}

// Queries returns the queries over sites.
func Queries(sites map[string]Site) []ops.Query { return []ops.Query{clusterStatus{sites}} }

const paramEnvironment = "environment"

// pick is the site of an environment.
func pick(sites map[string]Site, environment string) (Site, error) {
	if s, ok := sites[environment]; ok {
		return s, nil
	}
	accounts := make(map[string]*deploy.Account, len(sites))
	for name, s := range sites {
		accounts[name] = s.Account
	}
	_, err := deploy.Pick(accounts, environment)
	return Site{}, err
}
