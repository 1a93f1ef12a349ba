package elasticsim

import (
	"net/http"
	"strconv"
	"strings"
)

// writeOne answers the requests that write one document.
func writeOne(kind string) func(*request) answer {
	return func(r *request) answer {
		q := r.query
		op := &operation{kind: kind, name: r.path["index"], id: r.path["id"], routing: q.Get("routing"), source: r.body, ifSeq: -1, alias: r.flag("require_alias")}
		if kind != "delete" && len(r.body) == 0 {
			return (&failure{status: http.StatusBadRequest, kind: "parse_exception", reason: "request body is required"}).answer()
		}
		if q.Get("op_type") == "create" && kind == "index" {
			op.kind = "create"
		}
		for _, p := range []string{"version_type", "if_seq_no", "if_primary_term", "version"} {
			if v := q.Get(p); v != "" {
				if f := op.set(p, []byte(strconv.Quote(v)), 1); f != nil {
					return f.answer()
				}
			}
		}
		if f := r.checkRefresh(); f != nil {
			return f.answer()
		}
		if f := r.cluster.ingest(q.Get("pipeline"), op); f != nil {
			return f.answer()
		}
		if why := op.check(); why != "" {
			return invalidFailure(why).answer()
		}
		o := r.cluster.writeAll(r, []*operation{op})[0]
		if o.failure != nil {
			return o.failure.answer()
		}
		forced := r.refreshed([]*operation{op})
		return answer{status: o.status(), value: op.written(o, forced)}
	}
}

// readable finds the shard a document is read from; realtime reads see what no
// refresh has shown yet.
func (c *Cluster) readable(name, id, routing string) (*index, int, *failure) {
	indices, f := c.find(name)
	if f != nil {
		return nil, 0, f
	}
	if len(indices) != 1 {
		if len(indices) == 0 {
			return nil, 0, noSuchIndex(name)
		}
		var on []string
		for _, ix := range indices {
			on = append(on, ix.name)
		}
		return nil, 0, illegalFailure("alias [%s] has more than one index associated with it [%s], can't execute a single index op", name, strings.Join(on, ", "))
	}
	ix := indices[0]
	if a := ix.aliases[name]; a != nil && routing == "" {
		routing = a.indexRouting
	}
	if ix.mapping.routing && routing == "" {
		return nil, 0, routingMissing(ix, id)
	}
	return ix, ix.shardOf(id, routing), nil
}

// fetchOne returns the document a read sees, or nil.
func (ix *index) fetchOne(shard int, id string, r *request, realtime bool) *image {
	ix.refreshDue(r.now)
	e := ix.stores[shard].docs[id]
	switch {
	case e == nil:
		return nil
	case realtime:
		return e.now
	}
	return e.shown
}

func noShardFor(what string) *failure {
	return &failure{status: http.StatusServiceUnavailable, kind: "no_shard_available_action_exception", reason: "No shard available for [" + what + "]"}
}

// document is what a read of it answers.
func (i *image) document(ix *index, f *sourceFilter) object {
	out := object{{"_index", ix.name}, {"_id", i.id}, {"_version", i.version}, {"_seq_no", i.seq}, {"_primary_term", i.term}}
	if i.routing != "" {
		out = append(out, member{"_routing", i.routing})
	}
	out = append(out, member{"found", true})
	if v, ok := f.apply(i.source); ok && !ix.mapping.noSource {
		out = append(out, member{"_source", v})
	}
	return out
}

func getDocument(r *request) answer {
	ix, shard, f := r.cluster.readable(r.path["index"], r.path["id"], r.query.Get("routing"))
	if f != nil {
		return f.answer()
	}
	if !ix.readableShard(shard) {
		routing := "null"
		if r.query.Get("routing") != "" {
			routing = r.query.Get("routing")
		}
		return noShardFor("get [" + ix.name + "][" + r.path["id"] + "]: routing [" + routing + "]").answer()
	}
	if r.flag("refresh") {
		ix.refresh()
	}
	i := ix.fetchOne(shard, r.path["id"], r, r.query.Get("realtime") != "false")
	source := strings.Contains(r.URL.Path, "/_source/")
	switch {
	case i == nil && source:
		return (&failure{status: http.StatusNotFound, kind: "resource_not_found_exception", reason: "Document not found [" + ix.name + "]/[" + r.path["id"] + "]"}).answer()
	case i == nil:
		return answer{status: http.StatusNotFound, value: object{{"_index", ix.name}, {"_id", r.path["id"]}, {"found", false}}}
	case source:
		v, _ := r.sourceParams(nil).apply(i.source)
		return answer{value: v}
	}
	return answer{value: i.document(ix, r.sourceParams(nil))}
}

// readableShard reports whether an active copy serves reads.
func (ix *index) readableShard(shard int) bool {
	for _, s := range ix.groups[shard] {
		if s.active() && s.node.alive {
			return true
		}
	}
	return false
}

// multiGet answers _mget: each document on its own, faults too.
func multiGet(r *request) answer {
	body, f := r.object()
	if f != nil {
		return f.answer()
	}
	type wanted struct {
		index, id, routing string
		source             *sourceFilter
	}
	var all []wanted
	for _, id := range names(body.get("ids")) {
		all = append(all, wanted{r.path["index"], id, r.query.Get("routing"), r.sourceParams(nil)})
	}
	docs, _ := body.get("docs").(list)
	for _, d := range docs {
		o, _ := d.(object)
		w := wanted{r.path["index"], scalarText(o.get("_id")), r.query.Get("routing"), r.sourceParams(nil)}
		if o.has("_index") {
			w.index = scalarText(o.get("_index"))
		}
		if v := o.get("routing"); v != nil {
			w.routing = scalarText(v)
		}
		if o.has("_source") {
			w.source = parseSource(o.get("_source"))
		}
		all = append(all, w)
	}
	if len(all) == 0 {
		return invalidFailure("no documents to get").answer()
	}
	var faults []string
	for i, w := range all {
		if w.index == "" {
			faults = append(faults, "index is missing for doc "+strconv.Itoa(i))
		}
	}
	if len(faults) > 0 {
		return validation(faults).answer()
	}
	realtime := r.query.Get("realtime") != "false"
	out := list{}
	for _, w := range all {
		ix, shard, f := r.cluster.readable(w.index, w.id, w.routing)
		if f == nil && !ix.readableShard(shard) {
			f = noShardFor("org.elasticsearch.action.get.MultiGetShardRequest/unset")
		}
		if f != nil {
			whole := f.answer().value.(object).get("error")
			out = append(out, object{{"_index", w.index}, {"_id", w.id}, {"error", whole}})
			continue
		}
		if r.flag("refresh") {
			ix.refresh()
		}
		if i := ix.fetchOne(shard, w.id, r, realtime); i != nil {
			out = append(out, i.document(ix, w.source))
			continue
		}
		out = append(out, object{{"_index", ix.name}, {"_id", w.id}, {"found", false}})
	}
	return answer{value: object{{"docs", out}}}
}
