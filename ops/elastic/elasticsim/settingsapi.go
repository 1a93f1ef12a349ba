package elasticsim

import (
	"encoding/json"
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

func pendingTasks(*request) answer { return answer{value: object{{"tasks", list{}}}} }

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
		return (&failure{http.StatusInternalServerError, "timeout_exception",
			"timed out waiting for removal of nodes; if nodes should not be removed, set ?wait_for_removal=false. " + bracketed(there), nil}).answer()
	}
	c.exclusions = nil
	c.reconfigure()
	c.bump()
	return answer{}
}
