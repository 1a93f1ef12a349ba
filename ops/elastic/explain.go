package elastic

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"twokey/ops"
)

// obstacle is why a shard copy may go to no node that is to stay.
type obstacle struct {
	Copy CopyOn
	// Nodes are the names of the nodes that each decider closed, sorted; Words the text
	// of its first no.
	Nodes map[string][]string
	Words map[string]string
}

// obstacle reads an explanation of a copy that has to leave; leaving are the ids of all
// nodes drained. It is nil if some node would take the copy, be it later: a throttled
// one is not stuck. It is nil too while the copy is on its way.
func (e explanation) obstacle(s CopyOn, leaving map[string]bool) *obstacle {
	if !e.decided() {
		return nil
	}
	o := &obstacle{s, map[string][]string{}, map[string]string{}}
	for _, n := range e.Nodes {
		if leaving[n.ID] {
			continue
		}
		if n.Decision != "no" {
			return nil
		}
		for _, d := range n.Deciders {
			if d.Decision != "NO" {
				continue
			}
			if _, have := o.Words[d.Decider]; !have {
				o.Words[d.Decider] = d.Explanation
			}
			o.Nodes[d.Decider] = append(o.Nodes[d.Decider], n.Name)
		}
	}
	for _, names := range o.Nodes {
		slices.Sort(names)
	}
	return o
}

// deciders are the rules that say no, sorted.
func (o obstacle) deciders() []string { return slices.Sorted(maps.Keys(o.Nodes)) }

// signature is the same for obstacles that one sentence can speak of.
func (o obstacle) signature() string {
	var parts []string
	for _, d := range o.deciders() {
		parts = append(parts, d+"@"+strings.Join(o.Nodes[d], "+"))
	}
	return strings.Join(parts, " ")
}

// text says in plain words what is in the way and what would free the shard. stay is
// how many data nodes are not drained.
func (o obstacle) text(stay int) string {
	if len(o.Nodes) == 0 {
		return fmt.Sprintf("%s cannot leave: there is no other data node. To free it: add one.", o.Copy.label())
	}
	var why, fix []string
	for _, d := range o.deciders() {
		w, f := words(d, o.Words[d], o.Copy.Index, stay)
		why = append(why, fmt.Sprintf("%s: %s", strings.Join(o.Nodes[d], ", "), w))
		fix = append(fix, f)
	}
	return fmt.Sprintf("%s cannot leave. %s. To free it: %s.",
		o.Copy.label(), strings.Join(why, "; "), strings.Join(unique(fix), "; and "))
}

// label names the copy: "logs[3] (primary)".
func (s CopyOn) label() string {
	kind := "replica"
	if s.Primary {
		kind = "primary"
	}
	return fmt.Sprintf("%s[%d] (%s)", s.Index, s.Shard, kind)
}

var settingNamed = regexp.MustCompile(`(cluster|index) setting \[([^\]]*?)\.?\] filters \[(.*)\]`)

// words translates a decider's no: why, and what would lift it.
func words(decider, explanation, index string, stay int) (why, fix string) {
	switch decider {
	case "same_shard":
		return "already holds a copy of this shard",
			fmt.Sprintf("add a data node, or set number_of_replicas of %s to %d or less", index, max(stay-1, 0))
	case "disk_threshold":
		return "its disk would go over the watermark",
			"free disk space there, add a data node, or raise cluster.routing.allocation.disk.watermark.low"
	case "awareness":
		return "its zone would hold too many copies of this shard (allocation awareness)",
			fmt.Sprintf("add a data node in another zone, or lower number_of_replicas of %s", index)
	case "filter":
		if m := settingNamed.FindStringSubmatch(explanation); m != nil {
			where := "the cluster's"
			if m[1] == "index" {
				where = index + "'s"
			}
			return fmt.Sprintf("%s filter %s (%s) keeps it off", where, m[2], m[3]),
				fmt.Sprintf("change %s %s, or add a data node it admits", where, m[2])
		}
		return "an allocation filter keeps it off", fmt.Sprintf("look at the allocation filters of the cluster and of %s", index)
	case "shards_limit":
		return "it holds as many shards as total_shards_per_node allows",
			fmt.Sprintf("raise total_shards_per_node of %s or of the cluster, or add a data node", index)
	case "node_version":
		return "it runs an older Elasticsearch than the node the shard is on", "upgrade it, or add an upgraded data node"
	case "enable":
		return "allocation is switched off", fmt.Sprintf("set allocation.enable back to all, for the cluster and for %s", index)
	case "max_retry":
		return "allocating it failed too often", "find the cause in the node's log, then POST _cluster/reroute?retry_failed=true"
	case "data_tier":
		return "it is not in the data tier the index asks for", fmt.Sprintf("add a data node of that tier, or change _tier_preference of %s", index)
	case "snapshot_in_progress":
		return "a snapshot of this shard is running", "wait for the snapshot to end, or stop it"
	case "node_shutdown":
		return "it is registered as shutting down", "finish or delete its shutdown record"
	case "replica_after_primary_active":
		return "the primary of this shard is not active", fmt.Sprintf("bring the primary of %s back first", index)
	}
	return fmt.Sprintf("%s says no (%s)", decider, strings.TrimSuffix(explanation, ".")), "see that rule of Elasticsearch's allocation"
}

// blocked groups obstacles that one sentence can speak of.
type blocked struct {
	obstacle
	More int // further copies found with the same obstacle
}

func (b blocked) text(stay int) string {
	text := b.obstacle.text(stay)
	if b.More > 0 {
		text += fmt.Sprintf(" The same holds for %d more of the copies looked at.", b.More)
	}
	return text
}

// survey explains up to limit copies of those on a node, one of each index first, and
// groups those that cannot leave. It stops early, without an error, when ctx ends: the
// second result is how many were looked at.
func (c Cluster) survey(ctx context.Context, id string, copies []CopyOn, leaving map[string]bool, limit int) ([]blocked, int, error) {
	var found []blocked
	looked := 0
	for _, s := range spread(copies, limit) {
		e, err := c.explain(ctx, s.Index, s.Shard, s.Primary, id)
		switch {
		case IsStatus(err, 404), IsStatus(err, 400): // moved or deleted since the list was read
			continue
		case err != nil && ctx.Err() != nil && looked > 0:
			return found, looked, nil
		case err != nil:
			return nil, looked, err
		}
		looked++
		o := e.obstacle(s, leaving)
		if o == nil {
			continue
		}
		same := slices.IndexFunc(found, func(b blocked) bool { return b.signature() == o.signature() })
		if same < 0 {
			found = append(found, blocked{obstacle: *o})
		} else {
			found[same].More++
		}
	}
	return found, looked, nil
}

// Diagnose explains why copies on one node do not leave it, one of each index first, for
// some seconds at most. Each reason is said in the thread the first time it is found: told
// keeps those that were. It returns all of them. leaving are the ids of all nodes that
// are to be without the copies, stay is how many data nodes are not.
func (c Cluster) Diagnose(ctx context.Context, t *ops.Tick, told *[]string, on Node, copies []CopyOn, leaving map[string]bool, stay int) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	found, _, err := c.survey(ctx, on.ID, copies, leaving, surveyLimit)
	if err != nil {
		return nil, err
	}
	return tell(t, told, found, on.Name, stay), nil
}

// spread chooses up to limit of the copies that stand still, taking one of each index
// before the second of any.
func spread(copies []CopyOn, limit int) []CopyOn {
	var chosen, rest []CopyOn
	seen := map[string]bool{}
	for _, s := range copies {
		switch {
		case s.State != "STARTED":
		case seen[s.Index]:
			rest = append(rest, s)
		default:
			seen[s.Index] = true
			chosen = append(chosen, s)
		}
	}
	chosen = append(chosen, rest...)
	return chosen[:min(len(chosen), limit)]
}

// tell posts each diagnosis the first time it is made, and returns all of them.
func tell(t *ops.Tick, told *[]string, found []blocked, node string, stay int) []string {
	var texts []string
	for _, b := range found {
		text := fmt.Sprintf("%s: %s", node, b.text(stay))
		texts = append(texts, text)
		if sign := node + " " + b.signature(); !slices.Contains(*told, sign) {
			*told = append(*told, sign)
			t.Say("%s", text)
		}
	}
	return texts
}
