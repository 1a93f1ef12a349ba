package commands

import "slices"

// Catalog returns every command, in the order help shows them. The slice and what
// it holds are the caller's own.
//
// The kinds of the entries that are not Own are those of the operations and queries
// in ops/elastic and deploy.
func Catalog() []Spec {
	all := slices.Concat(
		elasticsearch(), indices(), stacksSpecs(), imagesSpecs(), servicesSpecs(), machinesSpecs(), dataSpecs(), dnsSpecs(), own(),
	)
	// Commands of one noun stand together, where the first of them is.
	first := map[string]int{}
	for i, s := range all {
		if _, ok := first[s.Path[0]]; !ok {
			first[s.Path[0]] = i
		}
	}
	slices.SortStableFunc(all, func(a, b Spec) int { return first[a.Path[0]] - first[b.Path[0]] })
	return all
}

// nouns says what the first word of a two-word command is about.
var nouns = map[string]string{
	"es":    "Elasticsearch clusters",
	"cfn":   "CloudFormation stacks",
	"image": "container images",
	"ecs":   "ECS services",
	"scale": "how many there are of something",
	"asg":   "Auto Scaling groups",
	"ec2":   "EC2 instances",
	"s3":    "S3 buckets",
	"site":  "static sites in S3",
	"sqs":   "SQS queues",
	"emr":   "EMR clusters",
	"dns":   "DNS records",
}

// heading says which part of the list of all commands a command belongs to.
func heading(s Spec) string {
	switch {
	case len(s.Path) > 1:
		return nouns[s.Path[0]]
	case s.Path[0] == "help" || s.Path[0] == "env":
		return "This bot"
	}
	return "Requests and runs"
}

func elasticsearch() []Spec {
	nodes := Arg{Name: "NODE", Summary: "a node's exact name", Repeat: true}
	return []Spec{{
		Path:     []string{"es", "health"},
		Summary:  "health of the cluster, and what is wrong with it",
		Examples: []string{"es health", "es health --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path:     []string{"es", "nodes"},
		Summary:  "nodes with roles, zone, shards and disk",
		Examples: []string{"es nodes --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path:     []string{"es", "shards"},
		Args:     []Arg{{Name: "NODE", Summary: "a node's exact name"}},
		Summary:  "shards on one node",
		Examples: []string{"es shards n3 --env staging"},
		Class:    "R0",
		Env:      true,
	}, {
		Path: []string{"es", "drain"},
		Args: []Arg{nodes},
		Flags: []Flag{
			{Name: "release", Summary: "readmit the nodes once they are empty: the exclusion is removed at the end"},
			{Name: "decommission", Summary: "the nodes leave for good: master-eligible ones lose their vote too"},
		},
		Summary: "move all shards off nodes",
		Detail: []string{
			"Excludes the nodes from shard allocation and waits until they hold no shard. All filters in effect stay in effect.",
			"If a shard cannot leave, the thread says why and what would free it.",
			"The exclusion stays afterwards, so that nothing moves back, until es undrain; with --release it is removed at the end.",
			"Cancelling removes the exclusion this run added and nobody else's; shards that moved stay where they are.",
		},
		Examples: []string{
			"es drain n3 --env staging",
			"es drain n3 n4 --env staging --release",
			"es drain n3 --env staging --decommission",
		},
		Class: "R2",
		Env:   true,
	}, {
		Path:     []string{"es", "undrain"},
		Args:     []Arg{nodes},
		Summary:  "let nodes hold shards again",
		Detail:   []string{"Removes the nodes' names from the allocation exclusion; other exclusions stay as they are."},
		Examples: []string{"es undrain n3 --env staging"},
		Class:    "R1",
		Env:      true,
	}}
}

func own() []Spec {
	id := Arg{Name: "ID", Summary: "a request's id, or any ending of it of 5 or more characters; list shows them"}
	why := Arg{Name: "WHY", Summary: "the reason, shown in the thread", Optional: true, Rest: true}
	return []Spec{{
		Path:     []string{"list"},
		Summary:  "open requests and runs",
		Examples: []string{"list"},
		Own:      true,
	}, {
		Path:     []string{"show"},
		Args:     []Arg{id},
		Summary:  "one request or run: plan, votes, steps, changes",
		Examples: []string{"show 7Q2MK"},
		Own:      true,
	}, {
		Path:     []string{"approve"},
		Args:     []Arg{id},
		Summary:  "agree to another person's request",
		Detail:   []string{"The same as the card's button, or a check mark as a reaction to the card. Nobody approves their own request."},
		Examples: []string{"approve 7Q2MK"},
		Own:      true,
	}, {
		Path:     []string{"decline"},
		Args:     []Arg{id, why},
		Summary:  "end another person's request before it starts",
		Detail:   []string{"The same as the card's button, or a cross as a reaction to the card. For approvers; a request of your own is ended by cancel."},
		Examples: []string{"decline 7Q2MK", "decline 7Q2MK not during the sale"},
		Own:      true,
	}, {
		Path:     []string{"cancel"},
		Args:     []Arg{id, {Name: "WHY", Summary: "the reason; a run's thread does not show it, a request's card does", Optional: true, Rest: true}},
		Summary:  "withdraw a request, or stop a run and undo its changes",
		Detail:   []string{"For the requester and for approvers. What the run changed is put back, and the thread says of each change what became of it."},
		Examples: []string{"cancel 7Q2MK", "cancel 7Q2MK wrong node"},
		Own:      true,
	}, {
		Path:     []string{"pause"},
		Args:     []Arg{id},
		Summary:  "make a run wait; its changes stay",
		Detail:   []string{"For the requester and for approvers. The run writes nothing more; what the systems do by themselves goes on: shards that are moving keep moving."},
		Examples: []string{"pause 7Q2MK"},
		Own:      true,
	}, {
		Path:     []string{"resume"},
		Args:     []Arg{id},
		Summary:  "let a paused run go on",
		Detail:   []string{"For the requester and for approvers."},
		Examples: []string{"resume 7Q2MK"},
		Own:      true,
	}, {
		Path:     []string{"env"},
		Summary:  "environments, and which one is meant without --env",
		Examples: []string{"env"},
		Own:      true,
	}, {
		Path:     []string{"help"},
		Args:     []Arg{{Name: "COMMAND", Summary: "a command or the first word of several", Optional: true, Repeat: true}},
		Summary:  "all commands, or one of them",
		Examples: []string{"help", "help es", "help es drain"},
		Own:      true,
	}}
}
