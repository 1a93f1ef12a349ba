package elasticsim

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// context is a scroll or a point in time: shards as they were at its beginning. It
// lives on the nodes whose copies it reads, until they die or it expires.
type context struct {
	id    string
	parts []*part
	nodes map[*node]string // their ephemeral ids
	keep  time.Duration
	until time.Time

	search *search // of a scroll
	left   []hit
}

func (c *Cluster) newContext(parts []*part, keep time.Duration, now time.Time) *context {
	c.expire(now)
	ctx := &context{parts: parts, nodes: map[*node]string{}, keep: keep, until: now.Add(keep)}
	ctx.id = base64.URLEncoding.EncodeToString([]byte("elasticsim " + c.newID() + c.newID()))
	for _, p := range parts {
		if p.copy != nil {
			ctx.nodes[p.copy.node] = p.copy.node.ephemeral
		}
	}
	c.contexts[ctx.id] = ctx
	return ctx
}

func (c *Cluster) expire(now time.Time) {
	for id, ctx := range c.contexts {
		if ctx.until.Before(now) {
			delete(c.contexts, id)
		}
	}
}

// lost reports whether a node that the context lives on died since.
func (ctx *context) lost() *part {
	for _, p := range ctx.parts {
		if p.copy == nil {
			continue
		}
		for n, ephemeral := range ctx.nodes {
			if !n.alive || n.ephemeral != ephemeral {
				return p
			}
		}
	}
	return nil
}

// openContext finds a context and keeps it alive; keep is a new keep-alive, or empty.
func (c *Cluster) openContext(id string, now time.Time, keep string) (*context, *failure) {
	c.expire(now)
	ctx := c.contexts[id]
	if ctx == nil || ctx.lost() != nil {
		return nil, noContext()
	}
	if d, err := parseTime(keep); err == nil && d > 0 {
		ctx.keep = d
	}
	ctx.until = now.Add(ctx.keep)
	return ctx, nil
}

func noContext() *failure {
	inner := object{{"type", "search_context_missing_exception"}, {"reason", "No search context found for id [1]"}}
	return &failure{status: http.StatusNotFound, kind: "search_phase_execution_exception", reason: "all shards failed", root: inner,
		more: object{{"phase", "query"}, {"grouped", true}, {"failed_shards", list{object{{"shard", -1}, {"index", nil}, {"reason", inner}}}}, {"caused_by", inner}}}
}

// fresh copies the context's parts for one search.
func (ctx *context) fresh() []*part {
	out := make([]*part, len(ctx.parts))
	for i, p := range ctx.parts {
		out[i] = &part{searched: p.searched, ordinal: p.ordinal, data: p.data}
	}
	return out
}

// page answers the next page of a scroll.
func (ctx *context) page(c *Cluster) answer {
	n := min(ctx.search.size, len(ctx.left))
	hits := ctx.left[:n]
	ctx.left = ctx.left[n:]
	return answer{value: append(object{{"_scroll_id", ctx.id}}, ctx.search.answer(ctx.parts, hits)...)}
}

func nextPage(r *request) answer {
	body, err := parseObject(r.body)
	if err != nil {
		return illegal("%s", err)
	}
	id, keep := r.query.Get("scroll_id"), r.query.Get("scroll")
	if v := body.get("scroll_id"); v != nil {
		id = scalarText(v)
	}
	if v := body.get("scroll"); v != nil {
		keep = scalarText(v)
	}
	if v := r.path["id"]; v != "" {
		id = v
	}
	if id == "" {
		return invalidFailure("scrollId is missing").answer()
	}
	ctx, f := r.cluster.openContext(id, r.now, keep)
	if f != nil {
		return f.answer()
	}
	if ctx.search == nil {
		return noContext().answer()
	}
	return ctx.page(r.cluster)
}

func openPIT(r *request) answer {
	keep, err := parseTime(r.query.Get("keep_alive"))
	if err != nil || keep <= 0 {
		return invalidFailure("[keep_alive] is not specified").answer()
	}
	parts, f := r.parts(r.path["index"])
	if f != nil {
		return f.answer()
	}
	if f := missingShards(parts); f != nil {
		return f.answer()
	}
	ctx := r.cluster.newContext(parts, keep, r.now)
	return answer{value: object{{"id", ctx.id}, {"_shards", shardsObject(parts)}}}
}

// closeContexts answers DELETE /_pit and DELETE /_search/scroll.
func closeContexts(r *request) answer {
	c := r.cluster
	body, err := parseObject(r.body)
	if err != nil {
		return illegal("%s", err)
	}
	ids := append(names(body.get("scroll_id")), names(body.get("id"))...)
	if v := r.path["id"]; v != "" {
		ids = append(ids, strings.Split(v, ",")...)
	}
	freed := 0
	for _, id := range ids {
		if id == "_all" {
			for k, ctx := range c.contexts {
				if ctx.search != nil {
					freed += len(ctx.parts)
					delete(c.contexts, k)
				}
			}
		}
		if ctx := c.contexts[id]; ctx != nil {
			freed += len(ctx.parts)
			delete(c.contexts, id)
		}
	}
	a := answer{value: object{{"succeeded", true}, {"num_freed", freed}}}
	if freed == 0 {
		a.status = http.StatusNotFound
	}
	return a
}
