package elastic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"twokey/ops"
)

// node is one node as the elected master sees it. ID stays over restarts, Ephemeral
// does not.
type Node struct {
	ID         string
	Ephemeral  string            `json:"ephemeral_id"`
	Name       string            `json:"name"`
	Address    string            `json:"transport_address"`
	Version    string            `json:"version"`
	Roles      []string          `json:"roles"`
	Attributes map[string]string `json:"attributes"`
	IP         string            `json:"-"` // of Address
	Host       string            `json:"-"` // only where addHosts was called
}

// Data reports whether the node may hold shards.
func (n Node) Data() bool {
	return slices.ContainsFunc(n.Roles, func(r string) bool { return r == "data" || strings.HasPrefix(r, "data_") })
}

func (n Node) masterEligible() bool { return slices.Contains(n.Roles, "master") }

// Topology is who is in the cluster, by name.
type Topology struct {
	Name   string
	UUID   string
	Master string // node id; never empty
	Nodes  []Node
}

// Topology reads the nodes from the elected master's cluster state. Its answer grows
// with the nodes only.
func (c Cluster) Topology(ctx context.Context) (Topology, error) {
	var answer struct {
		Name   string          `json:"cluster_name"`
		UUID   string          `json:"cluster_uuid"`
		Master string          `json:"master_node"`
		Nodes  map[string]Node `json:"nodes"`
	}
	err := c.Get(ctx, "/_cluster/state/nodes,master_node", Query("master_timeout", "5s",
		"filter_path", "cluster_name,cluster_uuid,master_node,nodes.*.name,nodes.*.ephemeral_id,"+
			"nodes.*.transport_address,nodes.*.version,nodes.*.roles,nodes.*.attributes"), &answer)
	if err != nil {
		return Topology{}, err
	}
	if answer.Master == "" || answer.UUID == "" || len(answer.Nodes) == 0 {
		return Topology{}, c.Translate(&APIError{Status: http.StatusServiceUnavailable, Type: "master_not_discovered_exception"})
	}
	top := Topology{Name: answer.Name, UUID: answer.UUID, Master: answer.Master}
	for id, n := range answer.Nodes {
		n.ID, n.IP = id, hostOf(n.Address)
		top.Nodes = append(top.Nodes, n)
	}
	slices.SortFunc(top.Nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return top, nil
}

// addHosts fills in Host, which the cluster state leaves out.
func (c Cluster) addHosts(ctx context.Context, top Topology) error {
	var answer struct {
		Nodes map[string]struct {
			Host string `json:"host"`
		} `json:"nodes"`
	}
	if err := c.Get(ctx, "/_nodes/process", Query("filter_path", "nodes.*.host"), &answer); err != nil {
		return err
	}
	for i, n := range top.Nodes {
		top.Nodes[i].Host = answer.Nodes[n.ID].Host
	}
	return nil
}

// byID returns the node with this id.
func (t Topology) byID(id string) (Node, bool) {
	for _, n := range t.Nodes {
		if n.ID == id {
			return n, true
		}
	}
	return Node{}, false
}

// named returns the nodes with this name or, if there is none, this id. Elasticsearch
// does not keep two nodes from having one name.
func (t Topology) named(name string) []Node {
	var found []Node
	for _, n := range t.Nodes {
		if n.Name == name {
			found = append(found, n)
		}
	}
	if n, ok := t.byID(name); ok && len(found) == 0 {
		found = append(found, n)
	}
	return found
}

// NameOf is the name of a node id, or the id if it is not in the cluster.
func (t Topology) NameOf(id string) string {
	if n, ok := t.byID(id); ok {
		return n.Name
	}
	return id
}

// health is the cluster's state in numbers.
type Health struct {
	Status       string `json:"status"`
	Nodes        int    `json:"number_of_nodes"`
	DataNodes    int    `json:"number_of_data_nodes"`
	Active       int    `json:"active_shards"`
	Relocating   int    `json:"relocating_shards"`
	Initializing int    `json:"initializing_shards"`
	Unassigned   int    `json:"unassigned_shards"`
	Pending      int    `json:"number_of_pending_tasks"`
}

func (c Cluster) Health(ctx context.Context) (Health, error) {
	var h Health
	err := c.Get(ctx, "/_cluster/health", Query("master_timeout", "5s", "filter_path",
		"status,number_of_nodes,number_of_data_nodes,active_shards,relocating_shards,"+
			"initializing_shards,unassigned_shards,number_of_pending_tasks"), &h)
	if err == nil && Level(h.Status) < 0 {
		err = c.Translate(fmt.Errorf("%w: health status %q", ErrAnswer, h.Status))
	}
	return h, err
}

// Level orders health: green 0, yellow 1, red 2, anything else -1.
func Level(status string) int64 {
	return int64(slices.Index([]string{"green", "yellow", "red"}, status))
}

// FloodBlocked returns the indices Elasticsearch made read-only because a disk is over
// the flood-stage watermark (cluster block 12), sorted.
func (c Cluster) FloodBlocked(ctx context.Context) ([]string, error) {
	var answer struct {
		UUID   string `json:"cluster_uuid"`
		Blocks struct {
			Indices map[string]any `json:"indices"`
		} `json:"blocks"`
	}
	err := c.Get(ctx, "/_cluster/state/blocks", Query("master_timeout", "5s",
		"filter_path", "cluster_uuid,blocks.indices.*.12.retryable"), &answer)
	var names []string
	for name := range answer.Blocks.Indices {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, err
}

// holding is what one node holds, from two sources: the master's allocation table and
// the node itself.
type holding struct {
	Routed int   // shards the master has on the node, coming ones included
	Held   int   // shards the node says it has
	Bytes  int64 // on its disk
}

func (h holding) empty() bool { return h.Routed == 0 && h.Held == 0 }

// shards is the larger of both counts.
func (h holding) shards() int { return max(h.Routed, h.Held) }

// errAway says that a node did not answer for itself or is not in the cluster: what it
// holds is unknown.
var errAway = errors.New("the node does not answer")

// holding reads what a node holds. An empty answer is not taken for an empty node:
// it is errAway.
func (c Cluster) holding(ctx context.Context, n Node) (holding, error) {
	routed, err := c.routed(ctx, n)
	if err != nil {
		return holding{}, err
	}
	id := n.ID
	var stats struct {
		Nodes map[string]struct {
			Indices struct {
				Shards *struct {
					Total int `json:"total_count"`
				} `json:"shard_stats"`
				Store struct {
					Bytes int64 `json:"size_in_bytes"`
				} `json:"store"`
			} `json:"indices"`
		} `json:"nodes"`
	}
	err = c.Get(ctx, "/_nodes/"+url.PathEscape(id)+"/stats/indices/shard_stats,store",
		Query("timeout", "5s", "filter_path", "nodes.*.indices.shard_stats,nodes.*.indices.store.size_in_bytes"), &stats)
	if err != nil {
		return holding{}, err
	}
	own, ok := stats.Nodes[id]
	if !ok || own.Indices.Shards == nil {
		return holding{}, errAway
	}
	return holding{routed, own.Indices.Shards.Total, own.Indices.Store.Bytes}, nil
}

// routed counts the shards the master has on a node. The answer has a row UNASSIGNED
// beside the node's, or instead of it, while there are unassigned shards: rows are told
// apart by name.
func (c Cluster) routed(ctx context.Context, n Node) (int, error) {
	var rows []struct {
		Node   string `json:"node"`
		Shards string `json:"shards"`
	}
	err := c.Get(ctx, "/_cat/allocation/"+url.PathEscape(n.ID),
		Query("h", "node,shards", "format", "json", "master_timeout", "5s"), &rows)
	if err != nil {
		return 0, err
	}
	found, count := 0, 0
	for _, r := range rows {
		if r.Node != n.Name {
			continue
		}
		if count, err = strconv.Atoi(r.Shards); err != nil {
			return 0, errAway
		}
		found++
	}
	if found != 1 {
		return 0, errAway
	}
	return count, nil
}

// CopyOn is one shard copy on a node.
type CopyOn struct {
	Index   string  `json:"index"`
	Shard   int     `json:"shard"`
	Primary bool    `json:"primary"`
	State   string  `json:"state"` // STARTED, RELOCATING (leaving), INITIALIZING (coming)
	Other   *string `json:"relocating_node"`
}

// copiesOn lists the shard copies the master has on a node, by index and number. The
// answer grows with the node's shards, whatever the cluster holds.
func (c Cluster) copiesOn(ctx context.Context, id string) ([]CopyOn, error) {
	at := "routing_nodes.nodes." + id + "."
	var answer struct {
		UUID  string `json:"cluster_uuid"`
		Nodes struct {
			Nodes map[string][]CopyOn `json:"nodes"`
		} `json:"routing_nodes"`
	}
	err := c.Get(ctx, "/_cluster/state/routing_nodes", Query("master_timeout", "5s", "filter_path", fields(
		"cluster_uuid", at+"index", at+"shard", at+"primary", at+"state", at+"relocating_node")), &answer)
	if err != nil {
		return nil, err
	}
	copies := answer.Nodes.Nodes[id]
	slices.SortFunc(copies, func(a, b CopyOn) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Shard, b.Shard))
	})
	return copies, nil
}

// singleCopies returns those of the started copies that have no other started copy
// anywhere. It asks for the indices of those copies only.
func (c Cluster) singleCopies(ctx context.Context, copies []CopyOn) ([]CopyOn, error) {
	var names []string
	for _, s := range copies {
		if len(names) == 0 || names[len(names)-1] != s.Index {
			names = append(names, s.Index)
		}
	}
	started := map[numbered]int{}
	for part := range InURLs(names) {
		var answer struct {
			Table struct {
				Indices map[string]struct {
					Shards map[string][]struct {
						State string `json:"state"`
					} `json:"shards"`
				} `json:"indices"`
			} `json:"routing_table"`
		}
		err := c.Get(ctx, "/_cluster/state/routing_table/"+part, Query("master_timeout", "5s",
			"ignore_unavailable", "true", "expand_wildcards", "all", "filter_path", "routing_table.indices.*.shards.*.state"), &answer)
		if err != nil {
			return nil, err
		}
		for index, table := range answer.Table.Indices {
			for number, all := range table.Shards {
				shard, err := strconv.Atoi(number)
				if err != nil {
					return nil, c.Translate(fmt.Errorf("%w: shard number %q", ErrAnswer, number))
				}
				for _, one := range all {
					if one.State == "STARTED" || one.State == "RELOCATING" {
						started[numbered{index, shard}]++
					}
				}
			}
		}
	}
	var single []CopyOn
	for _, s := range copies {
		if s.State != "INITIALIZING" && started[numbered{s.Index, s.Shard}] <= 1 {
			single = append(single, s)
		}
	}
	return single, nil
}

// unknownNode is the error for a name nobody has, with the likely ones.
func unknownNode(c Cluster, name string, top Topology) error {
	e := &ops.UserError{What: fmt.Sprintf("%s has no node %q.", c.Environment, name)}
	var names []string
	for _, n := range top.Nodes {
		names = append(names, n.Name)
	}
	if like := Nearest(name, names); like != "" {
		e.Next = fmt.Sprintf("Did you mean %s?", like)
	} else if len(names) <= 30 {
		e.Next = fmt.Sprintf("Its nodes: %s.", strings.Join(names, ", "))
	} else {
		e.Next = "es nodes lists its nodes."
	}
	return e
}
