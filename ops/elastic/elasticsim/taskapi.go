package elasticsim

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// splitTask takes a task's name apart.
func splitTask(name string) (node string, id int64, f *failure) {
	node, number, ok := strings.Cut(name, ":")
	id, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil {
		return "", 0, illegalFailure("malformed task id %s", name)
	}
	return node, id, nil
}

// running finds a running task, or nil.
func (c *Cluster) running(node string, id int64) *task {
	for _, t := range c.tasks {
		if t.id == id && t.node.id == node {
			return t
		}
	}
	return nil
}

// getTask answers GET /_tasks/{task}. The result of a task outlives its node; a task
// that died with its node is nowhere.
func getTask(r *request) answer {
	c, name := r.cluster, r.path["task"]
	node, id, f := splitTask(name)
	if f != nil {
		return f.answer()
	}
	t := c.running(node, id)
	if t != nil && r.flag("wait_for_completion") {
		limit := r.timeout("timeout", 30*time.Second)
		if !c.await(r, limit, func() bool { return t.over() || !t.node.alive }) {
			return (&failure{status: http.StatusInternalServerError, kind: "timeout_exception", reason: fmt.Sprintf("timed out after [%s/%dms]", formatTook(limit), limit.Milliseconds())}).answer()
		}
		t = c.running(node, id)
	}
	if t != nil {
		return answer{value: object{{"completed", false}, {"task", t.info(r.now, true)}}}
	}
	if t = c.results[name]; t != nil {
		out := object{{"completed", true}, {"task", t.info(r.now, true)}}
		if t.failure != nil {
			return answer{value: append(out, member{"error", t.failure.object()})}
		}
		return answer{value: append(out, member{"response", t.response(true)})}
	}
	lost := noTask(name)
	if n := c.byID[node]; n == nil || !n.alive {
		inner := lost.object()
		lost.root, lost.more = inner, object{{"caused_by", inner}}
		lost.reason = "task [" + name + "] belongs to the node [" + node + "] which isn't part of the cluster and there is no record of the task"
	}
	return lost.answer()
}

// chosenTasks are the running tasks that the parameters pick.
func (r *request) chosenTasks() []*task {
	var out []*task
	actions, parent := r.query.Get("actions"), r.query.Get("parent_task_id")
	nodes := r.cluster.resolve(r.query.Get("nodes"), r.local)
	for _, t := range r.cluster.tasks {
		if actions != "" && !slices.ContainsFunc(strings.Split(actions, ","), func(p string) bool { return wildcard(p, "indices:data/write/reindex") }) {
			continue
		}
		if parent != "" && (t.parent == nil || t.parent.name() != parent) || !slices.Contains(nodes, t.node) {
			continue
		}
		out = append(out, t)
	}
	return out
}

// group answers with tasks as group_by asks.
func (r *request) group(tasks []*task, detailed bool) object {
	switch r.query.Get("group_by") {
	case "none":
		l := list{}
		for _, t := range tasks {
			l = append(l, t.info(r.now, detailed))
		}
		return object{{"tasks", l}}
	case "parents":
		o := object{}
		for _, t := range tasks {
			if t.parent != nil && slices.Contains(tasks, t.parent) {
				continue
			}
			info := t.info(r.now, detailed)
			if !t.leaf() {
				l := list{}
				for _, s := range t.slices {
					if slices.Contains(tasks, s) {
						l = append(l, s.info(r.now, detailed))
					}
				}
				info = append(info, member{"children", l})
			}
			o = append(o, member{t.name(), info})
		}
		return object{{"tasks", o}}
	}
	out := object{}
	for _, n := range r.cluster.nodes {
		own := object{}
		for _, t := range tasks {
			if t.node == n {
				own = append(own, member{t.name(), t.info(r.now, detailed)})
			}
		}
		if len(own) > 0 {
			out = append(out, member{n.id, object{{"name", n.Name}, {"transport_address", n.transport()}, {"host", n.IP}, {"ip", n.transport()},
				{"roles", n.roles()}, {"attributes", n.attrs()}, {"tasks", own}}})
		}
	}
	return object{{"nodes", out}}
}

func listTasks(r *request) answer {
	return answer{value: r.group(r.chosenTasks(), r.flag("detailed"))}
}

// nodeFailure is the answer about a task that its node does not have.
func nodeFailure(c *Cluster, node, reason string) answer {
	cause := object{{"type", "resource_not_found_exception"}, {"reason", reason}}
	if n := c.byID[node]; n == nil || !n.alive {
		cause = object{{"type", "no_such_node_exception"}, {"reason", "No such node [" + node + "]"}, {"node_id", node}}
	}
	return answer{value: object{{"node_failures", list{object{{"type", "failed_node_exception"}, {"reason", "Failed node [" + node + "]"}, {"node_id", node}, {"caused_by", cause}}}}, {"nodes", object{}}}}
}

func cancelTasks(r *request) answer {
	var tasks []*task
	if name := r.path["task"]; name != "" {
		node, id, f := splitTask(name)
		if f != nil {
			return f.answer()
		}
		t := r.cluster.running(node, id)
		if t == nil {
			return nodeFailure(r.cluster, node, "task ["+name+"] is not found")
		}
		tasks = []*task{t}
	} else {
		tasks = r.chosenTasks()
	}
	for _, t := range tasks {
		t.stop(r.now)
	}
	r.cluster.bump()
	if r.flag("wait_for_completion") {
		r.cluster.await(r, r.timeout("timeout", 30*time.Second), func() bool {
			return !slices.ContainsFunc(tasks, func(t *task) bool { return !t.over() && t.node.alive })
		})
	}
	return answer{value: r.group(tasks, false)}
}

func rethrottle(r *request) answer {
	if !r.query.Has("requests_per_second") {
		return illegal("requests_per_second is a required parameter")
	}
	rate, f := parseRate(r.query.Get("requests_per_second"))
	if f != nil {
		return f.answer()
	}
	name := r.path["task"]
	node, id, f := splitTask(name)
	if f != nil {
		return f.answer()
	}
	t := r.cluster.running(node, id)
	if t == nil {
		return nodeFailure(r.cluster, node, "task ["+name+"] is missing")
	}
	t.rethrottle(rate, r.now)
	r.cluster.bump()
	return answer{value: r.group([]*task{t}, true)}
}
