package elasticsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// docParser checks a document against a mapping, value by value in the order they
// stand, and stops at the first that does not fit, as the server does.
type docParser struct {
	doc   []byte
	id    string
	m     *mapping
	grows bool // m is this parser's own, new fields go into it
	more  bool // a new field came up and grows is not set
	bad   *failure
}

// parseDocument checks a document. With new fields it returns a mapping that has
// them; the index's own stays as it is.
func parseDocument(m *mapping, id string, doc []byte) (*mapping, *failure) {
	p := &docParser{doc: doc, id: id, m: m}
	p.run()
	if p.more {
		p = &docParser{doc: doc, id: id, m: m.clone(), grows: true}
		p.run()
	}
	return p.m, p.bad
}

func (m *mapping) clone() *mapping {
	return &mapping{root: m.root, fields: cloneFields(m.fields), routing: m.routing, noSource: m.noSource, dynamic: m.dynamic}
}

func cloneFields(fields map[string]*field) map[string]*field {
	if fields == nil {
		return nil
	}
	out := make(map[string]*field, len(fields))
	for name, f := range fields {
		c := *f
		c.props = cloneFields(f.props)
		out[name] = &c
	}
	return out
}

func (p *docParser) fail(at int, format string, args ...any) bool {
	line, column := lineAndColumn(p.doc, at)
	p.bad = &failure{status: http.StatusBadRequest, kind: "document_parsing_exception", reason: fmt.Sprintf("[%d:%d] ", line, column) + fmt.Sprintf(format, args...)}
	return false
}

func (p *docParser) run() {
	i := skipSpace(p.doc, 0)
	if i < len(p.doc) && p.doc[i] != '{' && skipValue(p.doc, i) > 0 {
		p.bad = &failure{status: http.StatusBadRequest, kind: "document_parsing_exception", reason: "Malformed content, must start with an object"}
		return
	}
	if i >= len(p.doc) || p.doc[i] != '{' {
		why := tokenError(p.doc, len(p.doc), jsonParse, contentParse, "Unrecognized token '"+strings.Trim(string(p.doc[i:]), " \n")+"': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')")
		p.fail(len(p.doc), "%s", why.reason)
		p.bad.more = object{{"caused_by", why.object()}}
		return
	}
	if end := p.object(i, p.m.fields, "", p.m.dynamic, "_doc"); end < 0 && p.bad == nil && !p.more {
		p.syntax()
	}
}

// syntax is the answer to text that is no JSON. The places are those of a text cut
// off inside an object; other mistakes get the same words.
func (p *docParser) syntax() {
	end := len(p.doc)
	line, column := lineAndColumn(p.doc, end)
	text := "Unexpected end-of-input within/between Object entries"
	why := tokenError(p.doc, end, "json_e_o_f_exception", "x_content_e_o_f_exception", text)
	why.reason = fmt.Sprintf("[%d:%d] Unexpected end of file", line, column)
	last := strings.LastIndexAny(string(p.doc), ":,{")
	switch {
	case last < 0:
		last = 0
	case p.doc[last] == ':' && skipSpace(p.doc, last+1) >= end:
		last = strings.LastIndexByte(string(p.doc[:max(last-1, 0)]), '"')
		if q := strings.LastIndexByte(string(p.doc[:max(last, 0)]), '"'); last < 0 && q >= 0 {
			last = q
		}
	default:
		last = skipSpace(p.doc, last+1)
		why.inner.reason = strings.Replace(why.inner.reason, text, fmt.Sprintf("Unexpected end-of-input: expected close marker for Object (start marker at [Source: (byte[])\"%s\"; line: 1, column: 1])", p.doc), 1)
	}
	p.fail(last, "failed to parse: %s", why.reason)
	p.bad.more = object{{"caused_by", why.object()}}
}

// object checks the object at i against fields; path is its own, with a dot at the
// end. It returns -1 when something does not fit.
func (p *docParser) object(i int, fields map[string]*field, path, dynamic, name string) int {
	return eachMember(p.doc, i, func(key string, v, at int) bool {
		if path == "" && slices.Contains(metadataFields, key) {
			return p.metadata(key, v)
		}
		if key == "" || strings.Trim(key, " ") == "" {
			p.fail(at, "failed to parse: field name cannot be an empty string")
			p.bad.more = object{{"caused_by", object{{"type", "illegal_argument_exception"}, {"reason", "field name cannot be an empty string"}}}}
			return false
		}
		return p.member(key, v, fields, path, dynamic, name)
	})
}

var metadataFields = []string{"_id", "_index", "_routing", "_seq_no", "_source", "_version", "_field_names", "_ignored", "_primary_term"}

func (p *docParser) metadata(key string, v int) bool {
	if v >= len(p.doc) {
		return false
	}
	line, column := lineAndColumn(p.doc, v)
	inner := fmt.Sprintf("[%d:%d] Field [%s] is a metadata field and cannot be added inside a document. Use the index API request parameters.", line, column, key)
	p.fail(v, "failed to parse field [%s] of type [%s] in document with id '%s'. Preview of field's value: '%s'", key, key, p.id, p.preview(v, skipValue(p.doc, v)))
	why := object{{"type", "document_parsing_exception"}, {"reason", inner}}
	p.bad.root, p.bad.more = why, object{{"caused_by", why}}
	return false
}

// member checks one member; a name with dots is a path.
func (p *docParser) member(key string, v int, fields map[string]*field, path, dynamic, name string) bool {
	first, rest, dotted := strings.Cut(key, ".")
	f := fields[first]
	if f == nil {
		switch dynamic {
		case "strict":
			line, column := lineAndColumn(p.doc, v)
			p.bad = &failure{status: http.StatusBadRequest, kind: "strict_dynamic_mapping_exception",
				reason: fmt.Sprintf("[%d:%d] mapping set to strict, dynamic introduction of [%s] within [%s] is not allowed", line, column, key, name)}
			return false
		case "false", "runtime":
			return true
		}
		kind := "object"
		if !dotted {
			if kind = p.guess(v); kind == "" {
				return true // null, or nothing but nulls
			}
		}
		if p.more = !p.grows; p.more {
			return false
		}
		f = newField(kind)
		fields[first] = f
	}
	if dotted {
		if !f.group() {
			return true // a multi-field's name
		}
		return p.member(rest, v, f.props, path+first+".", p.inherit(f, dynamic), path+first)
	}
	return p.value(v, f, path+first, first, dynamic)
}

func (p *docParser) inherit(f *field, dynamic string) string {
	if f.dynamic != "" {
		return f.dynamic
	}
	return dynamic
}

// value checks the value at v.
func (p *docParser) value(v int, f *field, path, name, dynamic string) bool {
	if v >= len(p.doc) {
		return false
	}
	switch c := p.doc[v]; {
	case c == 'n':
		return skipValue(p.doc, v) > 0
	case c == '[':
		return eachElement(p.doc, v, func(e, _ int) bool { return p.value(e, f, path, name, dynamic) }) > 0
	case f.params.has("enabled") || f.kind == "flattened" || f.kind == "geo_point" || f.kind == "geo_shape" || f.kind == "join" || strings.HasSuffix(f.kind, "_range") || f.kind == "percolator" || f.kind == "completion" || strings.HasSuffix(f.kind, "_vector") || f.kind == "rank_features":
		return skipValue(p.doc, v) > 0
	case f.group() && c == '{':
		return p.object(v, f.props, path+".", p.inherit(f, dynamic), path) > 0
	case f.group():
		return p.fail(v, "object mapping for [%s] tried to parse field [%s] as object, but found a concrete value", path, name)
	}
	end := skipValue(p.doc, v)
	if end < 0 {
		return false
	}
	at, why := v, (*cause)(nil)
	if p.doc[v] == '{' {
		at = end - 1
		if _, number := integers[f.kind]; number || f.kind == "float" || f.kind == "double" || f.kind == "half_float" {
			why = &cause{kind: "illegal_argument_exception", reason: "Cannot parse object as number"}
		} else {
			line, column := lineAndColumn(p.doc, v)
			why = &cause{kind: "illegal_argument_exception", reason: fmt.Sprintf("Expected text at %d:%d but found START_OBJECT", line, column)}
		}
	} else {
		why = f.checkLeaf(p.doc, v, end)
	}
	if why == nil {
		return true
	}
	shown := why.preview
	if shown == "" {
		shown = p.preview(v, end)
	}
	p.fail(at, "failed to parse field [%s] of type [%s] in document with id '%s'. Preview of field's value: '%s'", path, f.kind, p.id, shown)
	p.bad.more = object{{"caused_by", why.object()}}
	return false
}

func (p *docParser) preview(v, end int) string {
	if end < 0 {
		return ""
	}
	value, err := parseJSON(p.doc[v:end])
	if err != nil {
		return string(p.doc[v:end])
	}
	return javaText(value)
}

// guess is the type a new field gets from its first value; empty: none.
func (p *docParser) guess(v int) string {
	if v >= len(p.doc) {
		return ""
	}
	switch c := p.doc[v]; {
	case c == '{':
		return "object"
	case c == '[':
		kind := ""
		eachElement(p.doc, v, func(e, _ int) bool {
			kind = p.guess(e)
			return kind == ""
		})
		return kind
	case c == 't' || c == 'f':
		return "boolean"
	case c == 'n':
		return ""
	case c != '"':
		end := skipScalar(p.doc, v)
		if end > 0 && strings.ContainsAny(string(p.doc[v:end]), ".eE") {
			return "float"
		}
		return "long"
	}
	end := skipString(p.doc, v)
	if end < 0 {
		return ""
	}
	text := unquote(p.doc[v:end])
	if len(text) >= 10 && text[4] == '-' && p.m.root.get("date_detection") != false {
		if _, err := (&field{kind: "date"}).date(text, false); err == nil {
			return "date"
		}
	}
	return "text"
}

// newField is a field as dynamic mapping makes it.
func newField(kind string) *field {
	f := &field{kind: kind}
	switch kind {
	case "object":
		f.props = map[string]*field{}
	case "text":
		f.multi = map[string]*field{"keyword": {kind: "keyword", params: object{{"ignore_above", 256}}}}
	}
	return f
}
