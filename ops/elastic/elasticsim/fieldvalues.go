package elasticsim

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// key is a value to compare: a number, or a text.
type key struct {
	number float64
	whole  int64 // of whole numbers and dates, exact
	text   string
	kind   byte // 'n' number, 'w' whole, 't' text
}

func (k key) compare(o key) int {
	switch {
	case k.kind == 't' || o.kind == 't':
		return strings.Compare(k.text, o.text)
	case k.kind == 'w' && o.kind == 'w':
		switch {
		case k.whole < o.whole:
			return -1
		case k.whole > o.whole:
			return 1
		}
		return 0
	case k.number < o.number:
		return -1
	case k.number > o.number:
		return 1
	}
	return 0
}

func (k key) json() any {
	switch k.kind {
	case 't':
		return k.text
	case 'w':
		return k.whole
	}
	return decimal(k.number)
}

// fieldReader reads a field's values as keys.
type fieldReader struct {
	name  string
	path  string // in the source
	field *field // nil: _seq_no, _routing, _index and such
	index *index
}

// reader finds a field; false: the index has none of that name.
func (ix *index) reader(name string) (fieldReader, bool) {
	switch name {
	case "_seq_no", "_routing", "_index", "_version", "_primary_term":
		return fieldReader{name: name, index: ix}, true
	}
	f := ix.mapping.find(name)
	if f == nil || f.group() {
		return fieldReader{}, false
	}
	return fieldReader{name: name, path: ix.sourcePath(name), field: f, index: ix}, true
}

// sourcePath is where a field's value stands in the source: a multi-field's is its
// parent's.
func (ix *index) sourcePath(name string) string {
	at := len(name)
	for i := strings.LastIndexByte(name, '.'); i > 0; i = strings.LastIndexByte(name[:i], '.') {
		if parent := ix.mapping.find(name[:i]); parent != nil && parent.multi != nil {
			at = i
		}
	}
	return name[:at]
}

// each calls f with the values of a document.
func (v fieldReader) each(i *image, f func(key)) {
	switch v.name {
	case "_seq_no":
		f(key{whole: i.seq, number: float64(i.seq), kind: 'w'})
		return
	case "_routing":
		if i.routing != "" {
			f(key{text: i.routing, kind: 't'})
		}
		return
	case "_index":
		f(key{text: v.index.name, kind: 't'})
		return
	}
	valuesAt(i.source, v.path, func(raw []byte) {
		text := string(raw)
		if raw[0] == '"' {
			text = unquote(raw)
		}
		if k, ok := v.key(text, false); ok {
			f(k)
		}
		if v.field != nil && v.field.kind == "text" { // its words
			for word := range strings.FieldsSeq(strings.ToLower(text)) {
				f(key{text: word, kind: 't'})
			}
		}
	})
}

// key reads a text as the field's type does.
func (v fieldReader) key(text string, up bool) (key, bool) {
	kind := "long"
	if v.field != nil {
		kind = v.field.kind
	} else if v.name == "_routing" || v.name == "_index" {
		kind = "keyword"
	}
	switch kind {
	case "long", "integer", "short", "byte", "unsigned_long":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return key{whole: n, number: float64(n), kind: 'w'}, true
		}
		n, err := strconv.ParseFloat(text, 64)
		return key{number: n, kind: 'n'}, err == nil
	case "float", "double", "half_float", "scaled_float":
		n, err := strconv.ParseFloat(text, 64)
		return key{number: n, kind: 'n'}, err == nil
	case "date", "date_nanos":
		n, err := v.field.date(text, up)
		return key{whole: n, number: float64(n), kind: 'w'}, err == nil
	case "ip":
		a, err := netip.ParseAddr(text)
		if err != nil {
			return key{}, false
		}
		b := a.As16()
		return key{text: string(b[:]), kind: 't'}, true
	}
	return key{text: text, kind: 't'}, true
}

// bound reads a value of a query; one that the type does not take fails the shard.
func (v fieldReader) bound(ix *index, text string, up bool, now time.Time) (key, *failure) {
	if v.field != nil && strings.HasPrefix(v.field.kind, "date") && strings.HasPrefix(text, "now") {
		if t, ok := dateMath(text[3:], now); ok {
			return key{whole: t.UnixMilli(), number: float64(t.UnixMilli()), kind: 'w'}, nil
		}
	}
	k, ok := v.key(text, up)
	if ok {
		return k, nil
	}
	if v.field != nil && strings.HasPrefix(v.field.kind, "date") {
		format := v.field.dateFormat()
		again := "failed to parse date field [" + text + "] with format [" + format + "]"
		return k, &failure{status: http.StatusBadRequest, kind: "parse_exception", reason: again + ": [" + again + "]", more: object{{"caused_by", badDate(text, format).object()}}}
	}
	return k, &failure{status: http.StatusBadRequest, kind: "query_shard_exception", reason: `failed to create query: For input string: "` + text + `"`,
		more: object{{"index_uuid", ix.uuid}, {"index", ix.name}, {"caused_by", object{{"type", "number_format_exception"}, {"reason", `For input string: "` + text + `"`}}}}}
}

// dateMath reads what follows "now": "-1d", "+2h/d", "/d".
func dateMath(text string, now time.Time) (time.Time, bool) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'H': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	for len(text) > 1 {
		sign, rest := text[0], text[1:]
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits >= len(rest) {
			return now, false
		}
		unit, ok := units[rest[digits]]
		if !ok {
			return now, false
		}
		n := 1
		if digits > 0 {
			n, _ = strconv.Atoi(rest[:digits])
		}
		switch sign {
		case '+':
			now = now.Add(time.Duration(n) * unit)
		case '-':
			now = now.Add(-time.Duration(n) * unit)
		case '/':
			now = now.Truncate(unit)
		default:
			return now, false
		}
		text = rest[digits+1:]
	}
	return now, text == ""
}
