package elasticsim

import (
	"fmt"
	"slices"
	"strings"
)

// failed notes what elasticsim does not simulate and answers the failure.
func (r *request) failed(f *failure) answer {
	if f.unknown != "" {
		r.cluster.unknown = append(r.cluster.unknown, r.Method+" "+r.URL.Path+": "+f.unknown)
	}
	return f.answer()
}

// parts are the shards of a search with what they show now.
func (r *request) parts(expression string) ([]*part, *failure) {
	known, none := r.known(expression)
	if none {
		return nil, nil
	}
	targets, f := r.cluster.targets(known)
	if f != nil {
		return nil, f
	}
	chosen, f := r.shardsFor(targets)
	if f != nil {
		return nil, f
	}
	out := make([]*part, len(chosen))
	for i, s := range chosen {
		out[i] = &part{searched: s, ordinal: i, from: r.local, data: s.index.stores[s.number].snapshot()}
	}
	return out, nil
}

func searchDocuments(r *request) answer {
	s, f := parseSearch(r)
	if f != nil {
		return r.failed(f)
	}
	var parts []*part
	if s.pit != "" {
		if r.path["index"] != "" {
			return invalidFailure("[indices] cannot be used with point in time. Do not specify any index with point in time.").answer()
		}
		p, f := r.cluster.openContext(s.pit, r.now, "")
		if f != nil {
			return f.answer()
		}
		parts = p.fresh()
		if n := len(s.sort); n > 0 && s.sort[n-1].field != "_shard_doc" {
			s.sort = append(s.sort, sortKey{field: "_shard_doc"})
			if len(s.after) == n {
				s.after = append(slices.Clone(s.after), nil)
			}
		}
	} else if parts, f = r.parts(r.path["index"]); f != nil {
		return r.failed(f)
	}
	if r.query.Get("allow_partial_search_results") == "false" {
		if f := missingShards(parts); f != nil {
			return f.answer()
		}
	}
	want := s.from + s.size
	if s.scroll > 0 {
		want = 1 << 40
	}
	hits := s.run(parts, want, r.now)
	if bad := allFailed(parts); bad != nil {
		return *bad
	}
	for _, p := range parts {
		if p.failure == nil {
			p.copy.searches.add(s.groups, len(p.hits) > 0 && s.size > 0, p.copy.node)
		}
	}
	if s.scroll > 0 {
		ctx := r.cluster.newContext(parts, s.scroll, r.now)
		ctx.search, ctx.left = s, hits
		return ctx.page(r.cluster)
	}
	hits = hits[min(s.from, len(hits)):]
	out := s.answer(parts, hits)
	if s.pit != "" {
		out = append(object{{"pit_id", s.pit}}, out...)
	}
	return answer{value: out}
}

// answer is the body of a search's answer.
func (s *search) answer(parts []*part, hits []hit) object {
	total, found := 0, object{}
	for _, p := range parts {
		total += p.total
	}
	if s.total >= 0 {
		relation := "eq"
		if total > s.total {
			total, relation = s.total, "gte"
		}
		found = append(found, member{"total", object{{"value", total}, {"relation", relation}}})
	}
	var top any
	switch {
	case len(parts) == 0:
		top = decimal(0)
	case s.scored() && len(hits) > 0:
		top = s.score()
	}
	rows := make(list, len(hits))
	for i := range hits {
		rows[i] = s.row(&hits[i])
	}
	return object{{"took", 1}, {"timed_out", false}, {"_shards", shardsObject(parts)}, {"hits", append(found, member{"max_score", top}, member{"hits", rows})}}
}

// score is every hit's: 1, or 0 of a query of filters only.
func (s *search) score() decimal {
	if b, ok := s.query.(boolQuery); ok && b.filters {
		return 0
	}
	return 1
}

func (s *search) row(h *hit) object {
	i, ix := h.image, h.at.index
	out := make(object, 0, 10)
	out = append(out, member{"_index", ix.name}, member{"_id", i.id})
	if s.version {
		out = append(out, member{"_version", i.version})
	}
	if s.seqNo {
		out = append(out, member{"_seq_no", i.seq}, member{"_primary_term", i.term})
	}
	var score any
	if s.scored() {
		score = s.score()
	}
	out = append(out, member{"_score", score})
	if i.routing != "" {
		out = append(out, member{"_routing", i.routing})
	}
	if v, ok := s.source.apply(i.source); ok && !ix.mapping.noSource {
		out = append(out, member{"_source", v})
	}
	if len(s.sort) > 0 {
		values := make(list, len(h.keys))
		for n, k := range h.keys {
			switch {
			case k.kind == 0 && s.sort[n].unmapped:
				values[n] = int64(1<<63 - 1)
			case k.kind != 0:
				values[n] = k.json()
			}
		}
		out = append(out, member{"sort", values})
	}
	return out
}

func countDocuments(r *request) answer {
	s := &search{total: 1 << 60, source: &sourceFilter{}}
	body, err := parseObject(r.body)
	if err != nil {
		return r.failed(badQuery(err.Error()))
	}
	for _, m := range body {
		if m.name != "query" {
			return badQuery("request does not support [" + m.name + "]").answer()
		}
	}
	if f := s.parse(body, countBodies); f != nil {
		return r.failed(f)
	}
	parts, f := r.parts(r.path["index"])
	if f != nil {
		return r.failed(f)
	}
	s.run(parts, 0, r.now)
	if bad := allFailed(parts); bad != nil {
		return *bad
	}
	total, made := 0, 0
	for _, p := range parts {
		total += p.total
		if !p.index.documents() && len(body) == 0 {
			made += int(p.index.bytes[p.number] / bytesPerDocument)
		}
		if p.failure == nil {
			p.copy.searches.add(nil, false, p.copy.node)
		}
	}
	return answer{value: object{{"count", total + made}, {"_shards", shardsObject(parts)}}}
}

// searchCounts is what a copy's searches add up to.
type searchCounts struct {
	queries, fetches int64
	millis           int64
	groups           map[string]*searchCounts
}

// add counts a search; each takes the node's search time.
func (s *searchCounts) add(groups []string, fetched bool, n *node) {
	took := int64(1)
	if n.reported != nil && n.reported.Search > 0 {
		took = n.reported.Search.Milliseconds()
	}
	s.queries++
	s.millis += took
	if fetched {
		s.fetches++
	}
	for _, g := range groups {
		if s.groups == nil {
			s.groups = map[string]*searchCounts{}
		}
		if s.groups[g] == nil {
			s.groups[g] = &searchCounts{}
		}
		s.groups[g].add(nil, fetched, n)
	}
}

func (s *searchCounts) sum(o searchCounts) {
	s.queries, s.fetches, s.millis = s.queries+o.queries, s.fetches+o.fetches, s.millis+o.millis
	for g, c := range o.groups {
		if s.groups == nil {
			s.groups = map[string]*searchCounts{}
		}
		if s.groups[g] == nil {
			s.groups[g] = &searchCounts{}
		}
		s.groups[g].sum(*c)
	}
}

// render is the search section of the statistics; groups lists patterns to show.
func (s *searchCounts) render(groups string) object {
	out := object{{"open_contexts", 0}}
	out = append(out, s.figures()...)
	shown := object{}
	for _, g := range sortedKeys(s.groups) {
		if groups != "" && slices.ContainsFunc(strings.Split(groups, ","), func(p string) bool { return p == "_all" || wildcard(p, g) }) {
			shown = append(shown, member{g, s.groups[g].figures()})
		}
	}
	if len(shown) > 0 {
		out = append(out, member{"groups", shown})
	}
	return out
}

func (s *searchCounts) figures() object {
	out := object{{"query_total", s.queries}, {"query_time_in_millis", s.millis}, {"query_current", 0}, {"query_failure", 0},
		{"fetch_total", s.fetches}, {"fetch_time_in_millis", 0}, {"fetch_current", 0}, {"fetch_failure", 0}}
	for _, kind := range []string{"scroll", "suggest"} {
		for _, what := range []string{"total", "time_in_millis", "current"} {
			out = append(out, member{fmt.Sprintf("%s_%s", kind, what), 0})
		}
	}
	return out
}
