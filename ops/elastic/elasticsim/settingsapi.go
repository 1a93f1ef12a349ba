package elasticsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// settingsBody is the body of PUT /_cluster/settings.
type settingsBody struct {
	Persistent json.RawMessage `json:"persistent"`
	Transient  json.RawMessage `json:"transient"`
}

func (b settingsBody) changes() (persistent, transient change, err error) {
	if persistent, err = parseChange(b.Persistent); err != nil {
		return nil, nil, err
	}
	transient, err = parseChange(b.Transient)
	return persistent, transient, err
}

func putSettings(r *request) answer {
	var in settingsBody
	if f := r.decode(&in); f != nil {
		return f.answer()
	}
	persistent, transient, err := in.changes()
	if err != nil {
		return illegal("%s", err)
	}
	if len(persistent)+len(transient) == 0 {
		return invalid("1: no settings to update;")
	}
	if _, lifts := persistent[readOnly]; r.cluster.get(readOnly) == "true" && !lifts {
		a := (&failure{status: http.StatusForbidden, kind: "cluster_block_exception", reason: "blocked by: [FORBIDDEN/6/cluster read-only (api)];"}).answer()
		a.bare = true
		return a
	}
	p, t, err := r.cluster.update(persistent, transient)
	if err != nil {
		return illegal("%s", err)
	}
	flat := r.flag("flat_settings")
	return answer{value: object{{"acknowledged", true}, {"persistent", p.render(flat)}, {"transient", t.render(flat)}}}
}

func getSettings(r *request) answer {
	c, flat := r.cluster, r.flag("flat_settings")
	out := object{{"persistent", c.persistent.render(flat)}, {"transient", c.transient.render(flat)}}
	if r.flag("include_defaults") {
		d := settings{}
		for k, v := range clusterDefaults {
			if _, set := c.inForce[k]; set {
				continue
			}
			d[k] = setting{text: v}
			if k == awarenessAttrs {
				d[k] = setting{list: []string{}}
			}
		}
		out = append(out, member{"defaults", d.render(flat)})
	}
	return answer{value: out}
}

// pendingTask makes up the i-th task that the master has not got round to.
func (c *Cluster) pendingTask(r *request, i int) (order int, source string, waited time.Duration) {
	return 700 + i, fmt.Sprintf("put-mapping [logs-%d/auto-create]", i), r.now.Sub(c.pendingSince)
}

func pendingTasks(r *request) answer {
	c, tasks := r.cluster, list{}
	for i := range c.pending {
		order, source, waited := c.pendingTask(r, i)
		tasks = append(tasks, object{{"insert_order", order}, {"priority", "URGENT"}, {"source", source}, {"executing", i == 0},
			{"time_in_queue_millis", waited.Milliseconds()}, {"time_in_queue", formatTook(waited)}})
	}
	return answer{value: object{{"tasks", tasks}}}
}

func catPendingTasks(r *request) answer {
	c := r.cluster
	t := table{columns: []column{{name: "insertOrder", aliases: "o", right: true}, {name: "timeInQueue", aliases: "t", right: true},
		{name: "priority", aliases: "p"}, {name: "source", aliases: "s"}}}
	for i := range c.pending {
		order, source, waited := c.pendingTask(r, i)
		t.rows = append(t.rows, []any{order, took(waited), "URGENT", source})
	}
	return t.answer(r)
}

func reroute(r *request) answer {
	c := r.cluster
	if strings.Contains(string(r.body), `"commands"`) && !strings.Contains(string(r.body), `"commands":[]`) {
		return illegal("elasticsim knows no reroute commands")
	}
	if !r.flag("dry_run") {
		c.recompute()
		c.bump()
	}
	out := object{{"acknowledged", true}}
	if r.query.Get("metric") != "none" {
		metrics := r.query.Get("metric")
		if metrics == "" {
			metrics = "master_node,version,blocks,nodes,routing_table,routing_nodes"
		}
		out = append(out, member{"state", c.state(r, metrics, c.sorted)})
	}
	return answer{value: out}
}

func addVotingExclusions(r *request) answer {
	c := r.cluster
	names, ids := r.query.Get("node_names"), r.query.Get("node_ids")
	if (names == "") == (ids == "") {
		return illegal("You must set [node_names] or [node_ids] but not both")
	}
	var add []votingExclusion
	for part := range strings.SplitSeq(names+ids, ",") {
		n := c.byName[part]
		if ids != "" {
			n = c.byID[part]
		}
		switch {
		case n != nil:
			add = append(add, votingExclusion{n.id, n.Name})
		case ids != "":
			add = append(add, votingExclusion{part, absentNode})
		default:
			add = append(add, votingExclusion{absentNode, part})
		}
	}
	c.exclude(add)
	return answer{}
}

func clearVotingExclusions(r *request) answer {
	c := r.cluster
	wait := r.query.Get("wait_for_removal") != "false"
	var there []string
	gone := func() bool {
		there = nil
		for _, x := range c.exclusions {
			if n := c.byID[x.id]; n != nil && n.alive {
				there = append(there, "{"+n.Name+"}{"+n.id+"}")
			}
		}
		return len(there) == 0
	}
	if wait && !c.await(r, r.timeout("timeout", 30*time.Second), gone) {
		return (&failure{status: http.StatusInternalServerError, kind: "timeout_exception", reason: "timed out waiting for removal of nodes; if nodes should not be removed, set ?wait_for_removal=false. " + bracketed(there)}).answer()
	}
	c.exclusions = nil
	c.reconfigure()
	c.bump()
	return answer{}
}
