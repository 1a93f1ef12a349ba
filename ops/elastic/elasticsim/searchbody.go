package elasticsim

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// search is a parsed search request.
type search struct {
	query          query // nil: all
	from, size     int
	sort           []sortKey
	after          []any
	version, seqNo bool
	source         *sourceFilter
	total          int // hits are counted up to here; negative: not at all
	groups         []string
	slice          *slice
	pit            string
	scroll         time.Duration // 0: none
}

type slice struct{ id, most int }

// sortKey is one of a search's sort criteria.
type sortKey struct {
	field    string // or _doc, _shard_doc, _seq_no, _score
	desc     bool
	unmapped bool // unmapped_type is given
	first    bool // missing: _first
}

const defaultTotal = 10_000

// scored reports whether hits are in the order of their scores, all alike.
func (s *search) scored() bool { return len(s.sort) == 0 }

// searchKeys are the members of a search's body; elasticsim refuses others that the
// server knows.
var (
	searchKeys  = strings.Fields("query from size sort search_after version seq_no_primary_term _source track_total_hits stats slice pit timeout track_scores")
	serverKeys  = strings.Fields("aggs aggregations fields docvalue_fields stored_fields highlight collapse suggest rescore runtime_mappings script_fields post_filter min_score explain profile knn rank retriever indices_boost terminate_after ext")
	countBodies = []string{"query"}
)

func unsupported(what string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "illegal_argument_exception", reason: "elasticsim does not simulate " + what, unknown: what}
}

// parseSearch reads a search from its body and parameters.
func parseSearch(r *request) (*search, *failure) {
	s := &search{size: 10, total: defaultTotal, source: &sourceFilter{}}
	body, err := parseObject(r.body)
	if err != nil {
		return nil, &failure{status: http.StatusBadRequest, kind: "parsing_exception", reason: err.Error()}
	}
	if f := s.parse(body, searchKeys); f != nil {
		return nil, f
	}
	for _, p := range []struct {
		name string
		to   *int
	}{{"size", &s.size}, {"from", &s.from}} {
		if v := r.query.Get(p.name); v != "" {
			*p.to = whole(v, *p.to)
		}
	}
	if r.query.Get("q") != "" {
		return nil, unsupported("the parameter [q]")
	}
	if v := r.query.Get("track_total_hits"); v != "" {
		s.trackTotal(v)
	}
	if v := r.query.Get("sort"); v != "" {
		for part := range strings.SplitSeq(v, ",") {
			name, order, _ := strings.Cut(part, ":")
			s.sort = append(s.sort, sortKey{field: name, desc: order == "desc"})
		}
	}
	if v := r.query.Get("stats"); v != "" {
		s.groups = append(s.groups, strings.Split(v, ",")...)
	}
	s.version = s.version || r.flag("version")
	s.seqNo = s.seqNo || r.flag("seq_no_primary_term")
	s.source = r.sourceParams(s.source)
	if v := r.query.Get("scroll"); v != "" {
		d, err := parseTime(v)
		if err != nil || d <= 0 {
			return nil, illegalFailure("failed to parse setting [scroll] with value [%s] as a time value", v)
		}
		s.scroll = d
	}
	return s, s.check()
}

func (s *search) trackTotal(v any) {
	switch text := scalarText(v); text {
	case "true":
		s.total = math.MaxInt
	case "false":
		s.total = -1
	default:
		s.total = whole(v, defaultTotal)
	}
}

func (s *search) parse(body object, keys []string) *failure {
	for _, m := range body {
		if !slices.Contains(keys, m.name) {
			if slices.Contains(serverKeys, m.name) {
				return unsupported("[" + m.name + "] of a search")
			}
			f := badQuery("Unknown key for a " + javaToken(m.value) + " in [" + m.name + "].")
			f.unknown = "[" + m.name + "] of a search"
			return f
		}
		var f *failure
		switch m.name {
		case "query":
			q, _ := m.value.(object)
			s.query, f = parseQuery(q)
		case "from":
			s.from = whole(m.value, 0)
		case "size":
			s.size = whole(m.value, 10)
		case "sort":
			s.sort, f = parseSort(m.value)
		case "search_after":
			s.after, _ = m.value.(list)
		case "version":
			s.version = isTrue(m.value)
		case "seq_no_primary_term":
			s.seqNo = isTrue(m.value)
		case "_source":
			s.source = parseSource(m.value)
		case "track_total_hits":
			s.trackTotal(m.value)
		case "stats":
			s.groups = names(m.value)
		case "slice":
			s.slice, f = parseSlice(m.value)
		case "pit":
			o, _ := m.value.(object)
			s.pit = scalarText(o.get("id"))
		}
		if f != nil {
			return f
		}
	}
	return nil
}

func javaToken(v any) string {
	switch v.(type) {
	case object:
		return "START_OBJECT"
	case list:
		return "START_ARRAY"
	case string:
		return "VALUE_STRING"
	case bool:
		return "VALUE_BOOLEAN"
	case json.Number:
		return "VALUE_NUMBER"
	}
	return "VALUE_NULL"
}

func parseSlice(v any) (*slice, *failure) {
	o, _ := v.(object)
	s := &slice{whole(o.get("id"), -1), whole(o.get("max"), -1)}
	bad := func(why string) *failure {
		f := &failure{status: http.StatusBadRequest, kind: "x_content_parse_exception", reason: "[slice] failed to parse field [max]"}
		return becauseOf(f, "illegal_argument_exception", why)
	}
	switch {
	case o.has("field"):
		return nil, unsupported("[field] of a slice")
	case s.id < 0:
		return nil, bad("id must be greater than or equal to 0")
	case s.most <= 1:
		return nil, bad("max must be greater than 1")
	case s.id >= s.most:
		return nil, bad("max must be greater than id")
	}
	return s, nil
}

func parseSort(v any) ([]sortKey, *failure) {
	entries, ok := v.(list)
	if !ok {
		entries = list{v}
	}
	var out []sortKey
	for _, e := range entries {
		switch e := e.(type) {
		case string:
			out = append(out, sortKey{field: e, desc: e == "_score"})
		case object:
			for _, m := range e {
				k := sortKey{field: m.name, desc: m.value == "desc"}
				if o, ok := m.value.(object); ok {
					k.desc = o.get("order") == "desc"
					k.unmapped = o.has("unmapped_type")
					k.first = o.get("missing") == "_first"
					for _, p := range o {
						if !slices.Contains([]string{"order", "unmapped_type", "missing", "format", "numeric_type"}, p.name) {
							return nil, unsupported("[" + p.name + "] of a sort")
						}
					}
				}
				out = append(out, k)
			}
		}
	}
	return out, nil
}

// check refuses what no index is asked about.
func (s *search) check() *failure {
	switch {
	case s.size < 0:
		return illegalFailure("[size] parameter cannot be negative, found [%d]", s.size)
	case s.from < 0:
		return illegalFailure("[from] parameter cannot be negative but was [%d]", s.from)
	case s.slice != nil && s.scroll == 0 && s.pit == "":
		return invalidFailure("[slice] can only be used with [scroll] or [point-in-time] requests")
	case s.scroll > 0 && s.size == 0:
		return invalidFailure("[size] cannot be [0] in a scroll context")
	case s.scroll > 0 && s.from > 0:
		return invalidFailure("using [from] is not allowed in a scroll context")
	case s.scroll > 0 && len(s.after) > 0:
		return invalidFailure("`search_after` cannot be used in a scroll context.")
	}
	return nil
}
