package elasticsim

import "strings"

// sourceFilter is what of _source an answer holds.
type sourceFilter struct {
	none               bool
	includes, excludes []string
}

// parseSource reads the _source of a request's body.
func parseSource(v any) *sourceFilter {
	f := &sourceFilter{}
	switch v := v.(type) {
	case bool:
		f.none = !v
	case object:
		f.includes = append(names(v.get("includes")), names(v.get("include"))...)
		f.excludes = append(names(v.get("excludes")), names(v.get("exclude"))...)
	default:
		f.includes = names(v)
	}
	return f
}

// sourceParams reads _source, _source_includes and _source_excludes of the query, over
// what the body says.
func (r *request) sourceParams(f *sourceFilter) *sourceFilter {
	if f == nil {
		f = &sourceFilter{}
	}
	if v := r.query.Get("_source"); r.query.Has("_source") {
		switch v {
		case "false":
			f.none = true
		case "true", "":
			f.none = false
		default:
			f.includes = strings.Split(v, ",")
		}
	}
	if v := r.query.Get("_source_includes"); v != "" {
		f.includes = strings.Split(v, ",")
	}
	if v := r.query.Get("_source_excludes"); v != "" {
		f.excludes = strings.Split(v, ",")
	}
	return f
}

// apply returns the source to show; ok false: none.
func (f *sourceFilter) apply(source []byte) (v any, ok bool) {
	switch {
	case f.none:
		return nil, false
	case len(f.includes) == 0 && len(f.excludes) == 0:
		return verbatim(source), true
	}
	o, err := parseObject(source)
	if err != nil {
		return verbatim(source), true
	}
	return f.object(o, ""), true
}

func (f *sourceFilter) object(o object, prefix string) object {
	out := object{}
	for _, m := range o {
		path := prefix + m.name
		if matchesPath(f.excludes, path) {
			continue
		}
		inner, nested := m.value.(object)
		switch {
		case len(f.includes) == 0 || matchesPath(f.includes, path):
			if nested && len(f.excludes) > 0 {
				whole := sourceFilter{excludes: f.excludes}
				out = append(out, member{m.name, whole.object(inner, path+".")})
				continue
			}
			out = append(out, m)
		case nested:
			if part := f.object(inner, path+"."); len(part) > 0 {
				out = append(out, member{m.name, part})
			}
		}
	}
	return out
}

func matchesPath(patterns []string, path string) bool {
	for _, p := range patterns {
		if wildcard(p, path) {
			return true
		}
	}
	return false
}
