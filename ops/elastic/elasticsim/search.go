package elasticsim

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hit is a document that a search found.
type hit struct {
	image *image
	at    *part
	keys  []key // by sort; a missing value has kind 0
}

// part is a shard's share in a search: what it looks at, and what it answered.
type part struct {
	searched
	ordinal int
	from    *node // that asks
	data    snapshot
	match   matcher
	failure *failure
	hits    []hit
	total   int
}

// run searches every part. want is how many hits are needed, all sorted.
func (s *search) run(parts []*part, want int, now time.Time) []hit {
	var all []hit
	counted := 0
	for _, p := range parts {
		if p.copy == nil {
			p.failure = &failure{status: http.StatusServiceUnavailable, kind: "no_shard_available_action_exception"}
			continue
		}
		if p.failure = s.prepare(p, now); p.failure == nil {
			p.failure = s.onShard(p, want, counted)
		}
		if p.failure != nil && p.copy.node != p.from {
			p.failure.more = fromAfar(p.failure.more)
		}
		counted += p.total
		all = append(all, p.hits...)
	}
	if len(s.sort) > 0 {
		slices.SortStableFunc(all, func(a, b hit) int { return s.compare(a.keys, b.keys) })
	}
	return all[:min(want, len(all))]
}

// prepare checks the search against the part's index.
func (s *search) prepare(p *part, now time.Time) *failure {
	limit := 10_000
	if n, err := strconv.Atoi(p.index.settings["index.max_result_window"].text); err == nil {
		limit = n
	}
	switch window := s.from + s.size; {
	case s.scroll > 0 && s.size > limit:
		return illegalFailure("Batch size is too large, size must be less than or equal to: [%d] but was [%d]. Scroll batch sizes cost as much memory as result windows so they are controlled by the [index.max_result_window] index level setting.", limit, s.size)
	case s.scroll == 0 && window > limit:
		return illegalFailure("Result window is too large, from + size must be less than or equal to: [%d] but was [%d]. See the scroll api for a more efficient way to request large data sets. This limit can be set by changing the [index.max_result_window] index level setting.", limit, window)
	}
	var clauses []query
	if s.query != nil {
		clauses = append(clauses, s.query)
	}
	if p.filter != nil {
		clauses = append(clauses, p.filter)
	}
	p.match = everything()
	var f *failure
	switch len(clauses) {
	case 1:
		p.match, f = clauses[0].ready(p.index, now)
	case 2:
		p.match, f = boolQuery{must: clauses}.ready(p.index, now)
	}
	return f
}

// onShard finds the part's hits and counts them as far as the search wants to know.
func (s *search) onShard(p *part, want, counted int) *failure {
	readers := make([]fieldReader, len(s.sort))
	for i, k := range s.sort {
		switch k.field {
		case "_doc", "_shard_doc", "_score", "_seq_no":
			readers[i].name = k.field
			continue
		case "_id":
			return illegalFailure("Fielddata access on the _id field is disallowed, you can re-enable it by updating the dynamic cluster setting: indices.id_field_data.enabled")
		}
		r, known := p.index.reader(k.field)
		switch {
		case !known && !k.unmapped:
			return &failure{status: http.StatusBadRequest, kind: "query_shard_exception", reason: "No mapping found for [" + k.field + "] in order to sort on",
				more: object{{"index_uuid", p.index.uuid}, {"index", p.index.name}}}
		case known && r.field != nil && r.field.kind == "text":
			return illegalFailure("Fielddata is disabled on [%s] in [%s]. Text fields are not optimised for operations that require per-document field data like aggregations and sorting, so these operations are disabled by default. Please use a keyword field instead. Alternatively, set fielddata=true on [%s] in order to load field data by uninverting the inverted index. Note that this can use significant memory.", k.field, p.index.name, k.field)
		}
		readers[i] = r
	}
	after, f := s.afterKeys(readers)
	if f != nil {
		return f
	}
	order := byDocument
	if len(s.sort) > 0 {
		order = s.sort[0].order()
	}
	lo, hi := p.match.from, p.match.to
	if order == byDocument && len(after) > 0 && len(s.sort) == 1 && s.sort[0].field != "_shard_doc" && s.total < 0 {
		lo = max(lo, after[0].whole+1)
	}
	all := p.match.match == nil && p.match.ids == nil && p.match.from == 0 && p.match.to == math.MaxInt64 && s.slice == nil
	if all {
		p.total = p.data.count
	}
	each := func(i *image) bool {
		if !p.data.shows(i) || s.slice != nil && !sliceOf(i.id, p.number, len(p.index.groups), s.slice.id, s.slice.most) || p.match.match != nil && !p.match.match(i) {
			return true
		}
		if !all {
			p.total++
		}
		full := order != byValue && len(p.hits) >= want
		if !full {
			h := hit{i, p, s.keys(i, p, readers)}
			if len(after) == 0 || s.compare(h.keys, after) > 0 {
				p.hits = append(p.hits, h)
			}
		}
		return !full || !all && counted+p.total <= s.total
	}
	p.scan(lo, hi, order == byDocumentDown, each)
	if order == byValue {
		slices.SortStableFunc(p.hits, func(a, b hit) int { return s.compare(a.keys, b.keys) })
		p.hits = p.hits[:min(want, len(p.hits))]
	}
	return nil
}

// Orders in which the documents of a shard come.
const (
	byDocument     = iota // as they stand
	byDocumentDown        // the other way round
	byValue               // must be sorted
)

func (k sortKey) order() int {
	switch k.field {
	case "_doc", "_shard_doc", "_seq_no":
		if k.desc {
			return byDocumentDown
		}
		return byDocument
	case "_score":
		return byDocument
	}
	return byValue
}

// scan calls each with the images whose _seq_no is within bounds, until it returns
// false. With ids it looks at no others.
func (p *part) scan(lo, hi int64, down bool, each func(*image) bool) {
	if p.match.ids != nil {
		wanted := map[string]bool{}
		for _, id := range p.match.ids {
			wanted[id] = true
		}
		inner := each
		each = func(i *image) bool { return !wanted[i.id] || inner(i) }
		if s := p.index.stores[p.number]; s.generation == p.data.generation && len(wanted) < 1000 {
			var found []*image
			for id := range wanted {
				if e := s.docs[id]; e != nil && e.shown != nil && e.shown.seq >= lo && e.shown.seq <= hi {
					found = append(found, e.shown)
				}
			}
			slices.SortFunc(found, func(a, b *image) int { return cmp.Compare(a.seq, b.seq) })
			if down {
				slices.Reverse(found)
			}
			for _, i := range found {
				if !inner(i) {
					return
				}
			}
			return
		}
	}
	if lo > hi {
		return
	}
	first, last := p.data.from(lo), len(p.data.visible)
	if hi < math.MaxInt64 {
		last = p.data.from(hi + 1)
	}
	for n := first; n < last; n++ {
		i := p.data.visible[n]
		if down {
			i = p.data.visible[last-1-(n-first)]
		}
		if !each(i) {
			return
		}
	}
}

// keys are a document's values to sort by; of several the least, or the greatest when
// descending.
func (s *search) keys(i *image, p *part, readers []fieldReader) []key {
	if len(s.sort) == 0 {
		return nil
	}
	out := make([]key, len(s.sort))
	for n, k := range s.sort {
		switch k.field {
		case "_doc", "_seq_no":
			out[n] = key{whole: i.seq, number: float64(i.seq), kind: 'w'}
		case "_shard_doc":
			out[n] = key{whole: int64(p.ordinal)<<32 | i.seq, kind: 'w'}
		case "_score":
			out[n] = key{number: 1, kind: 'n'}
		default:
			if readers[n].name == "" {
				continue // unmapped
			}
			readers[n].each(i, func(v key) {
				if d := v.compare(out[n]); out[n].kind == 0 || d < 0 && !k.desc || d > 0 && k.desc {
					out[n] = v
				}
			})
		}
	}
	return out
}

// compare orders by the sort; missing values come last unless asked otherwise.
func (s *search) compare(a, b []key) int {
	for i, k := range s.sort {
		missing := 1
		if k.first {
			missing = -1
		}
		switch {
		case a[i].kind == 0 && b[i].kind == 0:
			continue
		case a[i].kind == 0:
			return missing
		case b[i].kind == 0:
			return -missing
		}
		d := a[i].compare(b[i])
		if k.desc {
			d = -d
		}
		if d != 0 {
			return d
		}
	}
	return 0
}

// afterKeys reads search_after.
func (s *search) afterKeys(readers []fieldReader) ([]key, *failure) {
	if len(s.after) == 0 {
		return nil, nil
	}
	if len(s.sort) == 0 {
		return nil, illegalFailure("Sort must contain at least one field.")
	}
	if len(s.sort) != len(s.after) {
		return nil, illegalFailure("search_after has %d value(s) but sort has %d.", len(s.after), len(s.sort))
	}
	out := make([]key, len(s.after))
	for i, v := range s.after {
		text := scalarText(v)
		if v == nil {
			continue
		}
		k, ok := readers[i].key(text, false)
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && k.kind != 't' {
			k, ok = key{whole: n, number: float64(n), kind: 'w'}, true
		}
		if !ok {
			return nil, becauseOf(illegalFailure("Failed to parse search_after value for field [%s].", s.sort[i].field), "number_format_exception", `For input string: "`+text+`"`)
		}
		out[i] = k
	}
	return out, nil
}

// shards tells how many parts answered.
func shardsObject(parts []*part) object {
	failed := list{}
	for _, p := range parts {
		if p.failure != nil {
			failed = append(failed, p.failed())
		}
	}
	out := object{{"total", len(parts)}, {"successful", len(parts) - len(failed)}, {"skipped", 0}, {"failed", len(failed)}}
	if len(failed) > 0 {
		out = append(out, member{"failures", failed})
	}
	return out
}

func (p *part) failed() object {
	var at any
	if p.copy != nil && p.copy.node != nil {
		at = p.copy.node.id
	}
	return object{{"shard", p.number}, {"index", p.index.name}, {"node", at}, {"reason", p.failure.object()}}
}

// allFailed is the answer when no part could, or nil. Failures of the same reason in
// one index are told once.
func allFailed(parts []*part) *answer {
	if len(parts) == 0 || slices.ContainsFunc(parts, func(p *part) bool { return p.failure == nil }) {
		return nil
	}
	told, roots, failed := map[string]bool{}, list{}, list{}
	for _, p := range parts {
		group := fmt.Sprint(p.index.name, p.failure.kind, p.failure.reason)
		if told[group] {
			continue
		}
		told[group] = true
		root := slices.DeleteFunc(p.failure.object(), func(m member) bool { return m.name == "caused_by" })
		roots = append(roots, root)
		failed = append(failed, p.failed())
	}
	f := parts[0].failure
	out := object{{"root_cause", roots}, {"type", "search_phase_execution_exception"}, {"reason", "all shards failed"}, {"phase", "query"}, {"grouped", true}, {"failed_shards", failed}}
	if f.kind == "illegal_argument_exception" {
		out = append(out, member{"caused_by", object{{"type", f.kind}, {"reason", f.reason}, {"caused_by", f.object()}}})
	}
	return &answer{status: f.status, value: object{{"error", out}, {"status", f.status}}}
}

// missingShards is the answer when a search that allows no partial results would have
// some, or nil.
func missingShards(parts []*part) *failure {
	var missing []string
	for _, p := range parts {
		if p.copy == nil {
			missing = append(missing, fmt.Sprintf("[%s][%d]", p.index.name, p.number))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	inner := object{{"type", "search_phase_execution_exception"}, {"reason", "Search rejected due to missing shards [" + strings.Join(missing, ", ") + "]. Consider using `allow_partial_search_results` setting to bypass this error."},
		{"phase", "query"}, {"grouped", true}, {"failed_shards", list{}}}
	return &failure{status: http.StatusServiceUnavailable, kind: "search_phase_execution_exception", reason: "", root: object{},
		more: object{{"phase", "query"}, {"grouped", true}, {"failed_shards", list{}}, {"caused_by", inner}}}
}
