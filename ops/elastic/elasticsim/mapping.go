package elasticsim

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// mapping is an index's mapping.
type mapping struct {
	root     object // parameters other than properties, as given
	fields   map[string]*field
	routing  bool // _routing.required
	noSource bool // _source.enabled is false
	dynamic  string
}

// field is a field of a mapping: an object with properties, or a leaf of a type.
type field struct {
	kind    string // "object" and "nested" have props
	params  object // without type, properties and fields, as given
	dynamic string // of an object; empty: its parent's
	props   map[string]*field
	multi   map[string]*field // fields
}

func newMapping() *mapping { return &mapping{fields: map[string]*field{}} }

// rootParams are the parameters of a mapping in the order the server writes them.
var rootParams = []string{"dynamic", "_meta", "dynamic_templates", "date_detection", "numeric_detection", "dynamic_date_formats", "runtime", "_routing", "_source", "_field_names", "subobjects", "_doc_count"}

// fieldKinds are the types the server without plugins knows; the ones in typed are
// also checked in documents.
var fieldKinds = strings.Fields("alias binary boolean byte completion date date_nanos date_range dense_vector double double_range flattened float float_range geo_point geo_shape half_float integer integer_range ip ip_range join keyword long long_range match_only_text nested object percolator rank_feature rank_features scaled_float search_as_you_type short text token_count unsigned_long version wildcard constant_keyword sparse_vector")

// fieldParams are the parameters that a field may have.
var fieldParams = strings.Fields("analyzer boost coerce copy_to depth_limit dims doc_values dynamic eager_global_ordinals enabled fielddata fielddata_frequency_filter fields format ignore_above ignore_malformed ignore_z_value index index_options index_phrases index_prefixes locale meta metric_type norms normalizer null_value path position_increment_gap positive_score_impact priority properties relations scaling_factor script search_analyzer search_quote_analyzer similarity split_queries_on_whitespace store subobjects term_vector time_series_dimension type value")

// defaultParams are not shown when they have these values.
var defaultParams = map[string]string{"index": "true", "doc_values": "true", "store": "false", "coerce": "true", "ignore_malformed": "false", "enabled": "true"}

// fixedParams cannot be updated; the defaults are the server's words.
var fixedParams = map[string]string{"analyzer": "default", "index": "true", "doc_values": "true", "store": "false", "format": "strict_date_optional_time||epoch_millis", "norms": "true", "normalizer": "null"}

func badMapping(format string, args ...any) *failure {
	reason := fmt.Sprintf(format, args...)
	cause := object{{"type", "mapper_parsing_exception"}, {"reason", reason}}
	return &failure{status: http.StatusBadRequest, kind: "mapper_parsing_exception", reason: "Failed to parse mapping: " + reason,
		more: object{{"caused_by", cause}}, root: cause}
}

func illegalFailure(format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, kind: "illegal_argument_exception", reason: fmt.Sprintf(format, args...)}
}

// parseMapping reads a mapping body.
func parseMapping(o object) (*mapping, *failure) {
	m := newMapping()
	if inner, ok := o.get("_doc").(object); ok && len(o) == 1 {
		o = inner
	}
	for _, p := range o {
		switch {
		case p.name == "properties":
			props, ok := p.value.(object)
			if !ok {
				return nil, badMapping("Expected map for property [properties] on field [_doc] but got a %T", p.value)
			}
			var f *failure
			if m.fields, f = parseFields("", props); f != nil {
				return nil, f
			}
		case slices.Contains(rootParams, p.name):
			m.root = m.root.with(p.name, p.value)
		default:
			return nil, badMapping("Root mapping definition has unsupported parameters:  [%s : %s]", p.name, javaText(p.value))
		}
	}
	m.read()
	return m, nil
}

// read takes over what the root parameters say.
func (m *mapping) read() {
	m.dynamic = ""
	if v := m.root.get("dynamic"); v != nil {
		m.dynamic = scalarText(v)
		m.root = m.root.with("dynamic", m.dynamic)
	}
	r, _ := m.root.get("_routing").(object)
	m.routing = isTrue(r.get("required"))
	s, _ := m.root.get("_source").(object)
	m.noSource = s.has("enabled") && !isTrue(s.get("enabled"))
}

func parseFields(prefix string, props object) (map[string]*field, *failure) {
	out := map[string]*field{}
	for _, p := range props {
		path := prefix + p.name
		spec, ok := p.value.(object)
		if !ok {
			return nil, badMapping("Expected map for property [fields] on field [%s] but got a %T", p.name, p.value)
		}
		f, bad := parseField(path, spec)
		if bad != nil {
			return nil, bad
		}
		out[p.name] = f
	}
	return out, nil
}

func parseField(path string, spec object) (*field, *failure) {
	f := &field{}
	kind, _ := spec.get("type").(string)
	switch {
	case kind == "" && !spec.has("properties") && !spec.has("dynamic") && !spec.has("enabled") && len(spec) > 0:
		return nil, badMapping("No type specified for field [%s]", path)
	case kind == "":
		kind = "object"
	case !slices.Contains(fieldKinds, kind):
		return nil, badMapping("The mapper type [%s] declared on field [%s] does not exist. It might have been created within a future version or requires a plugin to be installed. Check the documentation.", kind, path)
	}
	f.kind = kind
	for _, p := range spec {
		var bad *failure
		switch p.name {
		case "type":
		case "properties":
			props, _ := p.value.(object)
			if f.props, bad = parseFields(path+".", props); bad != nil {
				return nil, bad
			}
		case "fields":
			multi, _ := p.value.(object)
			if f.multi, bad = parseFields(path+".", multi); bad != nil {
				return nil, bad
			}
		case "dynamic":
			f.dynamic = scalarText(p.value)
		default:
			if !slices.Contains(fieldParams, p.name) {
				return nil, badMapping("unknown parameter [%s] on mapper [%s] of type [%s]", p.name, path, kind)
			}
			if defaultParams[p.name] != scalarText(p.value) {
				f.params = append(f.params, p)
			}
		}
	}
	if f.group() && f.props == nil {
		f.props = map[string]*field{}
	}
	return f, nil
}

func (f *field) group() bool { return f.kind == "object" || f.kind == "nested" }

// render is the mapping as GET _mapping writes it.
func (m *mapping) render() object {
	out := object{}
	for _, name := range rootParams {
		v := m.root.get(name)
		if v == nil || name == "_routing" && !m.routing || name == "_source" && len(v.(object)) == 0 {
			continue
		}
		out = append(out, member{name, v})
	}
	if len(m.fields) > 0 {
		out = append(out, member{"properties", renderFields(m.fields)})
	}
	return out
}

func renderFields(fields map[string]*field) object {
	out := object{}
	for _, name := range sortedKeys(fields) {
		out = append(out, member{name, fields[name].render()})
	}
	return out
}

func (f *field) render() object {
	out := object{}
	if f.kind != "object" || len(f.props) == 0 {
		out = append(out, member{"type", f.kind})
	}
	if f.dynamic != "" {
		out = append(out, member{"dynamic", f.dynamic})
	}
	out = append(out, f.params...)
	if len(f.multi) > 0 {
		out = append(out, member{"fields", renderFields(f.multi)})
	}
	if len(f.props) > 0 {
		out = append(out, member{"properties", renderFields(f.props)})
	}
	return out
}

// merge returns the mapping with another laid over it; m stays as it is.
func (m *mapping) merge(update *mapping) (*mapping, *failure) {
	if _, given := update.root.get("_routing").(object); given && update.routing != m.routing && (len(m.root) > 0 || len(m.fields) > 0) {
		return nil, illegalFailure("Mapper for [_routing] conflicts with existing mapper:\n\tCannot update parameter [required] from [%t] to [%t]", m.routing, update.routing)
	}
	out := &mapping{root: slices.Clone(m.root)}
	for _, p := range update.root {
		out.root = out.root.with(p.name, p.value)
	}
	var f *failure
	if out.fields, f = mergeFields("", m.fields, update.fields); f != nil {
		return nil, f
	}
	out.read()
	return out, nil
}

func mergeFields(prefix string, old, update map[string]*field) (map[string]*field, *failure) {
	out := make(map[string]*field, len(old)+len(update))
	for name, f := range old {
		out[name] = f
	}
	for _, name := range sortedKeys(update) {
		was, is := old[name], update[name]
		if was == nil {
			out[name] = is
			continue
		}
		merged, f := was.merge(prefix+name, is)
		if f != nil {
			return nil, f
		}
		out[name] = merged
	}
	return out, nil
}

func (f *field) merge(path string, update *field) (*field, *failure) {
	switch {
	case f.group() != update.group():
		return nil, illegalFailure("can't merge a non object mapping [%s] with an object mapping", path)
	case f.kind == "nested" && update.kind == "object", f.kind == "object" && update.kind == "nested" && len(f.props) > 0:
		return nil, illegalFailure("cannot change object mapping from %snested to %snested", map[bool]string{true: "", false: "non-"}[f.kind == "nested"], map[bool]string{true: "", false: "non-"}[update.kind == "nested"])
	case f.kind != update.kind:
		return nil, illegalFailure("mapper [%s] cannot be changed from type [%s] to [%s]", path, f.kind, update.kind)
	}
	out := &field{kind: f.kind, params: slices.Clone(f.params), dynamic: f.dynamic}
	if update.dynamic != "" {
		out.dynamic = update.dynamic
	}
	for _, key := range sortedKeys(fixedParams) {
		was, is := fixedParams[key], fixedParams[key]
		if f.params.has(key) {
			was = scalarText(f.params.get(key))
		}
		if update.params.has(key) {
			is = scalarText(update.params.get(key))
		}
		if was != is && !f.group() {
			return nil, illegalFailure("Mapper for [%s] conflicts with existing mapper:\n\tCannot update parameter [%s] from [%s] to [%s]", path, key, was, is)
		}
	}
	for _, p := range update.params {
		out.params = out.params.with(p.name, p.value)
	}
	var bad *failure
	if out.props, bad = mergeFields(path+".", f.props, update.props); bad != nil {
		return nil, bad
	}
	if out.multi, bad = mergeFields(path+".", f.multi, update.multi); bad != nil {
		return nil, bad
	}
	return out, nil
}

// find returns the leaf field of a dotted path, multi-fields included, or nil.
func (m *mapping) find(path string) *field {
	fields, f := m.fields, (*field)(nil)
	for part := range strings.SplitSeq(path, ".") {
		if fields == nil {
			return nil
		}
		if f = fields[part]; f == nil {
			return nil
		}
		if fields = f.props; fields == nil {
			fields = f.multi
		}
	}
	return f
}

// javaText writes a value as Java's toString does.
func javaText(v any) string {
	switch v := v.(type) {
	case object:
		parts := make([]string, len(v))
		for i, m := range v {
			parts[i] = m.name + "=" + javaText(m.value)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case list:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = javaText(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), ".eE") {
			return javaDouble(f)
		}
	}
	return scalarText(v)
}

// javaDouble writes a number as Java's Double.toString does.
func javaDouble(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-3 || a >= 1e7) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		sign := ""
		if strings.HasPrefix(exponent, "-") {
			sign = "-"
		}
		return mantissa + "E" + sign + strings.TrimLeft(exponent, "+-0")
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
