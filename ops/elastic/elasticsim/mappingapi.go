package elasticsim

import "strings"

func getMapping(r *request) answer {
	indices, f := r.indices(r.path["index"])
	if f != nil {
		return f.answer()
	}
	out := object{}
	for _, ix := range indices {
		out = append(out, member{ix.name, object{{"mappings", lazy(func() any { return ix.mapping.render() })}}})
	}
	return answer{value: out}
}

// putMapping changes all of the indices or, when one refuses, none.
func putMapping(r *request) answer {
	body, f := r.object()
	if f != nil {
		return f.answer()
	}
	indices, f := r.indices(r.path["index"])
	if f != nil {
		return f.answer()
	}
	update, f := parseMapping(body)
	if f != nil {
		return f.answer()
	}
	merged := make([]*mapping, len(indices))
	for i, ix := range indices {
		if merged[i], f = ix.mapping.merge(update); f != nil {
			return f.answer()
		}
	}
	for i, ix := range indices {
		ix.mapping = merged[i]
	}
	r.cluster.bump()
	return answer{value: object{{"acknowledged", true}}}
}

// getFieldMapping answers GET /{index}/_mapping/field/{fields}.
func getFieldMapping(r *request) answer {
	indices, f := r.indices(r.path["index"])
	if f != nil {
		return f.answer()
	}
	out := object{}
	for _, ix := range indices {
		own := object{}
		for name := range strings.SplitSeq(r.path["fields"], ",") {
			if f := ix.mapping.find(name); f != nil {
				last := name[strings.LastIndexByte(name, '.')+1:]
				own = append(own, member{name, object{{"full_name", name}, {"mapping", object{{last, f.render()}}}}})
			}
		}
		out = append(out, member{ix.name, object{{"mappings", own}}})
	}
	return answer{value: out}
}
