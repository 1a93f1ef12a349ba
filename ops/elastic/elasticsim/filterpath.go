package elasticsim

import "strings"

// pathFilter is a parsed filter_path parameter. A path's segments match names of
// members; "*" matches within one name, "**" any number of names. A dot inside a
// member's name must be written "\.": with flat_settings, a.b does not match the
// member "a.b", exactly as on the server.
type pathFilter struct {
	keep [][]string
	drop [][]string
}

func parseFilterPath(text string) *pathFilter {
	if text == "" {
		return nil
	}
	var f pathFilter
	for path := range strings.SplitSeq(text, ",") {
		path = strings.TrimSpace(path)
		switch {
		case path == "":
		case strings.HasPrefix(path, "-"):
			f.drop = append(f.drop, splitPath(path[1:]))
		default:
			f.keep = append(f.keep, splitPath(path))
		}
	}
	return &f
}

// splitPath splits at dots that are not escaped.
func splitPath(path string) []string {
	var segments []string
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '\\' && i+1 < len(path) && path[i+1] == '.':
			b.WriteByte('.')
			i++
		case path[i] == '.':
			segments = append(segments, b.String())
			b.Reset()
		default:
			b.WriteByte(path[i])
		}
	}
	return append(segments, b.String())
}

// apply returns the part of v that the filter leaves; an object left without
// members vanishes, except the outermost.
func (f *pathFilter) apply(v any) any {
	if f == nil {
		return v
	}
	if len(f.keep) > 0 {
		kept, ok := keepPaths(v, f.keep)
		if !ok {
			kept = emptyLike(v)
		}
		v = kept
	}
	if len(f.drop) > 0 {
		v = dropPaths(v, f.drop)
	}
	return v
}

func emptyLike(v any) any {
	if l, ok := v.(lazy); ok {
		v = l()
	}
	if _, ok := v.(list); ok {
		return list{}
	}
	return object{}
}

func keepPaths(v any, paths [][]string) (any, bool) {
	switch v := v.(type) {
	case lazy:
		return keepPaths(v(), paths)
	case verbatim:
		return keepPaths(v.parsed(), paths)
	case object:
		var out object
		for _, m := range v {
			next, whole := stepPaths(paths, m.name)
			switch {
			case whole:
				out = append(out, m)
			case len(next) > 0:
				if part, ok := keepPaths(m.value, next); ok {
					out = append(out, member{m.name, part})
				}
			}
		}
		return out, len(out) > 0
	case list: // a list does not consume a segment
		var out list
		for _, e := range v {
			if part, ok := keepPaths(e, paths); ok {
				out = append(out, part)
			}
		}
		return out, len(out) > 0
	default:
		return nil, false
	}
}

func dropPaths(v any, paths [][]string) any {
	switch v := v.(type) {
	case lazy:
		return dropPaths(v(), paths)
	case verbatim:
		return dropPaths(v.parsed(), paths)
	case object:
		out := object{}
		for _, m := range v {
			next, whole := stepPaths(paths, m.name)
			switch {
			case whole:
			case len(next) > 0:
				out = append(out, member{m.name, dropPaths(m.value, next)})
			default:
				out = append(out, m)
			}
		}
		return out
	case list:
		out := make(list, len(v))
		for i, e := range v {
			out[i] = dropPaths(e, paths)
		}
		return out
	default:
		return v
	}
}

// stepPaths returns what remains of each path below a member; whole says that one
// of them ended here.
func stepPaths(paths [][]string, name string) (next [][]string, whole bool) {
	for _, p := range paths {
		if p[0] == "**" {
			if len(p) == 1 {
				return nil, true
			}
			next = append(next, p)
			p = p[1:]
		}
		if !wildcard(p[0], name) {
			continue
		}
		if len(p) == 1 {
			return nil, true
		}
		next = append(next, p[1:])
	}
	return next, false
}

// wildcard reports whether s matches pattern, where "*" stands for any text.
func wildcard(pattern, s string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	if !found {
		return pattern == s
	}
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	for {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], more
	}
}
