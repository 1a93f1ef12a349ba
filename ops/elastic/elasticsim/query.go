package elasticsim

import (
	"math"
	"net/http"
	"slices"
	"time"
)

// query is a parsed query; ready checks it against an index.
type query interface {
	ready(ix *index, now time.Time) (matcher, *failure)
}

// matcher is a query made ready for an index. It can only match documents whose
// _seq_no is in the bounds and, with ids, whose id is listed.
type matcher struct {
	match    func(*image) bool // nil: all within the bounds
	from, to int64             // _seq_no, both included
	ids      []string          // nil: any
}

func everything() matcher { return matcher{from: 0, to: math.MaxInt64} }

func (m matcher) matches(i *image) bool {
	return i.seq >= m.from && i.seq <= m.to && (m.ids == nil || slices.Contains(m.ids, i.id)) && (m.match == nil || m.match(i))
}

func badQuery(format string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "parsing_exception", reason: format}
}

// parseQuery reads a query clause.
func parseQuery(o object) (query, *failure) {
	if len(o) == 0 {
		return nil, illegalFailure("query malformed, empty clause found")
	}
	if len(o) > 1 {
		return nil, badQuery("[" + o[0].name + "] malformed query, expected [END_OBJECT] but found [FIELD_NAME]")
	}
	kind := o[0].name
	body, ok := o[0].value.(object)
	if !ok {
		return nil, badQuery("[" + kind + "] query malformed, no start_object after query name")
	}
	switch kind {
	case "match_all":
		return allQuery{}, nil
	case "match_none":
		return idsQuery{}, nil
	case "ids":
		return idsQuery(names(body.get("values"))), nil
	case "term", "terms":
		return parseTerms(kind, body)
	case "range":
		return parseRange(body)
	case "exists":
		return existsQuery(scalarText(body.get("field"))), nil
	case "bool":
		return parseBool(body)
	case "constant_score":
		inner, _ := body.get("filter").(object)
		return parseQuery(inner)
	}
	f := badQuery("unknown query [" + kind + "]")
	f.more = object{{"caused_by", object{{"type", "named_object_not_found_exception"}, {"reason", "unknown field [" + kind + "]"}}}}
	f.unknown = "query [" + kind + "]"
	return nil, f
}

type allQuery struct{}

func (allQuery) ready(*index, time.Time) (matcher, *failure) { return everything(), nil }

type idsQuery []string

func (q idsQuery) ready(*index, time.Time) (matcher, *failure) {
	m := everything()
	m.ids = append([]string{}, q...)
	return m, nil
}

// termsQuery matches a field that has one of the values.
type termsQuery struct {
	field  string
	values []any
}

func parseTerms(kind string, body object) (query, *failure) {
	for _, m := range body {
		if m.name == "boost" || m.name == "_name" {
			continue
		}
		q := termsQuery{field: m.name}
		switch v := m.value.(type) {
		case object:
			q.values = []any{v.get("value")}
		case list:
			q.values = v
		default:
			q.values = []any{v}
		}
		if kind == "term" && len(q.values) != 1 {
			return nil, badQuery("[term] query does not support array of values")
		}
		return q, nil
	}
	return nil, badQuery("[" + kind + "] query requires a field")
}

func (q termsQuery) ready(ix *index, now time.Time) (matcher, *failure) {
	m := everything()
	if q.field == "_id" {
		m.ids = []string{}
		for _, v := range q.values {
			m.ids = append(m.ids, scalarText(v))
		}
		return m, nil
	}
	value, known := ix.reader(q.field)
	if !known {
		return matcher{from: 1, to: 0}, nil
	}
	var wanted []key
	for _, v := range q.values {
		k, f := value.bound(ix, scalarText(v), false, now)
		if f != nil {
			return m, f
		}
		wanted = append(wanted, k)
	}
	m.match = func(i *image) bool {
		hit := false
		value.each(i, func(k key) {
			hit = hit || slices.ContainsFunc(wanted, func(w key) bool { return w.compare(k) == 0 })
		})
		return hit
	}
	return m, nil
}

// rangeQuery matches a field with a value between bounds.
type rangeQuery struct {
	field  string
	bounds object // gte, gt, lte, lt and format
}

func parseRange(body object) (query, *failure) {
	if len(body) != 1 {
		return nil, badQuery("[range] query doesn't support multiple fields")
	}
	bounds, ok := body[0].value.(object)
	if !ok {
		return nil, badQuery("[range] query does not support [" + body[0].name + "]")
	}
	for _, b := range bounds {
		if !slices.Contains([]string{"gte", "gt", "lte", "lt", "format", "boost", "time_zone", "from", "to", "include_lower", "include_upper", "relation"}, b.name) {
			return nil, badQuery("[range] query does not support [" + b.name + "]")
		}
	}
	return rangeQuery{body[0].name, bounds}, nil
}

func (q rangeQuery) ready(ix *index, now time.Time) (matcher, *failure) {
	m := everything()
	value, known := ix.reader(q.field)
	if !known {
		return matcher{from: 1, to: 0}, nil
	}
	if format, ok := q.bounds.get("format").(string); ok && value.field != nil {
		value.field = &field{kind: value.field.kind, params: object{{"format", format}}}
	}
	type limit struct {
		at   key
		sign int  // the comparison with a value that is refused
		open bool // equality is refused too
	}
	var limits []limit
	for _, b := range q.bounds {
		if b.value == nil || len(b.name) > 3 || b.name == "to" {
			continue
		}
		lower := b.name[0] == 'g'
		k, f := value.bound(ix, scalarText(b.value), b.name == "lte" || b.name == "gt", now)
		if f != nil {
			return m, f
		}
		l := limit{k, 1, len(b.name) == 2}
		if !lower {
			l.sign = -1
		}
		limits = append(limits, l)
	}
	if q.field == "_seq_no" {
		for _, l := range limits {
			n, f := l.at.whole, l.at.number
			if l.at.kind != 'w' {
				n = int64(math.Floor(f))
			}
			switch {
			case l.sign > 0 && (l.open || float64(n) < f):
				m.from = max(m.from, n+1)
			case l.sign > 0:
				m.from = max(m.from, n)
			case l.open && float64(n) == f:
				m.to = min(m.to, n-1)
			default:
				m.to = min(m.to, n)
			}
		}
		return m, nil
	}
	m.match = func(i *image) bool {
		hit := false
		value.each(i, func(k key) {
			for _, l := range limits {
				if d := l.at.compare(k); d == l.sign || d == 0 && l.open {
					return
				}
			}
			hit = true
		})
		return hit
	}
	return m, nil
}

type existsQuery string

func (q existsQuery) ready(ix *index, _ time.Time) (matcher, *failure) {
	m := everything()
	name := string(q)
	switch {
	case name == "_id" || name == "_seq_no" || name == "_source":
		return m, nil
	case name == "_routing":
		m.match = func(i *image) bool { return i.routing != "" }
		return m, nil
	}
	f := ix.mapping.find(name)
	if f == nil {
		return matcher{from: 1, to: 0}, nil
	}
	var paths []string
	var leaves func(path string, f *field)
	leaves = func(path string, f *field) {
		if !f.group() {
			paths = append(paths, path)
		}
		for _, n := range sortedKeys(f.props) {
			leaves(path+"."+n, f.props[n])
		}
	}
	leaves(ix.sourcePath(name), f)
	m.match = func(i *image) bool {
		hit := false
		for _, p := range paths {
			valuesAt(i.source, p, func([]byte) { hit = true })
		}
		return hit
	}
	return m, nil
}

// boolQuery combines clauses.
type boolQuery struct {
	must, not, should []query
	least             int
	filters           bool // nothing that scores
}

func parseBool(body object) (query, *failure) {
	q := boolQuery{least: -1, filters: !body.has("must") && !body.has("should")}
	for _, m := range body {
		var to *[]query
		switch m.name {
		case "must", "filter":
			to = &q.must
		case "must_not":
			to = &q.not
		case "should":
			to = &q.should
		case "minimum_should_match":
			q.least = whole(m.value, 1)
			continue
		case "boost", "_name", "adjust_pure_negative":
			continue
		default:
			return nil, badQuery("[bool] query does not support [" + m.name + "]")
		}
		clauses, ok := m.value.(list)
		if !ok {
			clauses = list{m.value}
		}
		for _, c := range clauses {
			o, _ := c.(object)
			inner, f := parseQuery(o)
			if f != nil {
				return nil, f
			}
			*to = append(*to, inner)
		}
	}
	if q.least < 0 {
		q.least = 0
		if len(q.must) == 0 && len(q.should) > 0 {
			q.least = 1
		}
	}
	return q, nil
}

func (q boolQuery) ready(ix *index, now time.Time) (matcher, *failure) {
	out := everything()
	var must, not, should []matcher
	for _, part := range []struct {
		from []query
		to   *[]matcher
	}{{q.must, &must}, {q.not, &not}, {q.should, &should}} {
		for _, c := range part.from {
			m, f := c.ready(ix, now)
			if f != nil {
				return out, f
			}
			*part.to = append(*part.to, m)
		}
	}
	for _, m := range must {
		out.from, out.to = max(out.from, m.from), min(out.to, m.to)
		if m.ids != nil && out.ids == nil {
			out.ids = m.ids
		}
	}
	out.match = func(i *image) bool {
		for _, m := range must {
			if !m.matches(i) {
				return false
			}
		}
		for _, m := range not {
			if m.matches(i) {
				return false
			}
		}
		hits := 0
		for _, m := range should {
			if m.matches(i) {
				hits++
			}
		}
		return hits >= q.least
	}
	return out, nil
}
