package elasticsim

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
)

// template is an index template: a composable one, or a legacy one.
type template struct {
	name     string
	patterns []string
	rank     int // priority, or order of a legacy one
	settings settings
	mapping  *mapping
	aliases  object // as given
	given    object // of a composable one: the body
	inner    object // the body's template
	stream   bool   // data_stream
}

func (t *template) matches(index string) bool {
	return slices.ContainsFunc(t.patterns, func(p string) bool { return wildcard(p, index) })
}

// composable returns the template that applies to a new index of this name, the one
// of the highest priority, or nil.
func (c *Cluster) composable(index string) *template {
	var best *template
	for _, name := range sortedKeys(c.templates) {
		if t := c.templates[name]; t.matches(index) && (best == nil || t.rank > best.rank) {
			best = t
		}
	}
	return best
}

// layers returns the templates that apply to a new index, the first one lowest.
func (c *Cluster) layers(index string) []*template {
	if best := c.composable(index); best != nil {
		return []*template{best}
	}
	var out []*template
	for _, name := range sortedKeys(c.legacy) {
		if t := c.legacy[name]; t.matches(index) {
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b *template) int { return cmp.Compare(a.rank, b.rank) })
	return out
}

// parseTemplate reads settings, mappings and aliases from o.
func parseTemplate(name string, o object) (*template, *failure) {
	t := &template{name: name, settings: settings{}}
	raw, _ := o.get("settings").(object)
	ch, err := parseChange(encode(raw, false))
	if err != nil {
		return nil, illegalFailure("%s", err)
	}
	for k, v := range indexKeys(ch) {
		if v != nil {
			if f := checkIndexSetting(k, *v); f != nil {
				return nil, f
			}
			t.settings[k] = *v
		}
	}
	if m, ok := o.get("mappings").(object); ok {
		var f *failure
		if t.mapping, f = parseMapping(m); f != nil {
			return nil, f
		}
	}
	t.aliases, _ = o.get("aliases").(object)
	_, f := parseAliases(t.aliases)
	return t, f
}

// overlap lists the other templates that some name matches besides t.
func overlap(t *template, others map[string]*template) []*template {
	var out []*template
	for _, name := range sortedKeys(others) {
		o := others[name]
		if o.name != t.name && slices.ContainsFunc(t.patterns, func(a string) bool {
			return slices.ContainsFunc(o.patterns, func(b string) bool { return meet(a, b) })
		}) {
			out = append(out, o)
		}
	}
	return out
}

// meet reports whether some name matches both patterns.
func meet(a, b string) bool {
	switch {
	case a == "" && b == "":
		return true
	case a != "" && a[0] == '*':
		return meet(a[1:], b) || b != "" && meet(a, b[1:])
	case b != "" && b[0] == '*':
		return meet(b, a)
	case a == "" || b == "":
		return false
	}
	return a[0] == b[0] && meet(a[1:], b[1:])
}

func patternsOf(ts []*template) (names, pairs string) {
	var n, p []string
	for _, t := range ts {
		n = append(n, t.name)
		p = append(p, t.name+" => ["+strings.Join(t.patterns, ", ")+"]")
	}
	return strings.Join(n, ","), strings.Join(p, ",")
}

func putTemplate(r *request) answer {
	c, name := r.cluster, r.path["name"]
	body, f := r.object()
	if f != nil {
		return f.answer()
	}
	for _, m := range body {
		if !slices.Contains([]string{"index_patterns", "template", "priority", "version", "_meta", "composed_of", "data_stream", "allow_auto_create", "ignore_missing_component_templates", "deprecated"}, m.name) {
			return (&failure{status: http.StatusBadRequest, kind: "x_content_parse_exception", reason: "[index_template] unknown field [" + m.name + "]"}).answer()
		}
	}
	if !body.has("index_patterns") {
		return illegal("Required [index_patterns]")
	}
	if len(names(body.get("composed_of"))) > 0 {
		return illegal("elasticsim knows no component templates")
	}
	if c.templates[name] != nil && r.flag("create") {
		return illegal("index template [%s] already exists", name)
	}
	inner, _ := body.get("template").(object)
	t, f := parseTemplate(name, inner)
	if f != nil {
		return f.answer()
	}
	t.patterns, t.rank, t.given, t.inner, t.stream = names(body.get("index_patterns")), whole(body.get("priority"), 0), body, inner, body.has("data_stream")
	var same []*template
	for _, o := range overlap(t, c.templates) {
		if o.rank == t.rank {
			same = append(same, o)
		}
	}
	if len(same) > 0 {
		n, pairs := patternsOf(same)
		return illegal("index template [%s] has index patterns [%s] matching patterns from existing templates [%s] with patterns (%s) that have the same priority [%d], multiple index templates may not match during index creation, please use a different priority",
			name, strings.Join(t.patterns, ", "), n, pairs, t.rank)
	}
	c.templates[name] = t
	c.bump()
	return answer{value: object{{"acknowledged", true}}}
}

func (t *template) renderInner() object {
	out := object{}
	if len(t.settings) > 0 {
		out = append(out, member{"settings", t.settings.nested()})
	}
	if t.mapping != nil {
		out = append(out, member{"mappings", t.mapping.render()})
	}
	if t.inner.has("aliases") {
		out = append(out, member{"aliases", renderAliases(t.aliases)})
	}
	return out
}

// renderAliases writes aliases that parseAliases took.
func renderAliases(given object) object {
	out := object{}
	parsed, _ := parseAliases(given)
	for _, name := range sortedKeys(parsed) {
		out = append(out, member{name, parsed[name].render()})
	}
	return out
}

// chosen picks templates by a list of names and patterns.
func chosen(wanted string, from map[string]*template) []*template {
	var out []*template
	for _, name := range sortedKeys(from) {
		if wanted == "" || slices.ContainsFunc(strings.Split(wanted, ","), func(p string) bool { return wildcard(p, name) }) {
			out = append(out, from[name])
		}
	}
	return out
}

func getTemplates(r *request) answer {
	wanted := r.path["name"]
	found := chosen(wanted, r.cluster.templates)
	if len(found) == 0 && wanted != "" && !strings.Contains(wanted, "*") {
		return (&failure{status: http.StatusNotFound, kind: "resource_not_found_exception", reason: "index template matching [" + wanted + "] not found"}).answer()
	}
	out := list{}
	for _, t := range found {
		body := object{{"index_patterns", stringList(t.patterns)}}
		if t.given.has("template") {
			body = append(body, member{"template", t.renderInner()})
		}
		body = append(body, member{"composed_of", list{}})
		for _, key := range []string{"priority", "version", "_meta", "data_stream", "allow_auto_create"} {
			if t.given.has(key) {
				body = append(body, member{key, t.given.get(key)})
			}
		}
		out = append(out, object{{"name", t.name}, {"index_template", body}})
	}
	a := answer{value: object{{"index_templates", out}}}
	if len(found) == 0 && wanted != "" {
		a.status = http.StatusNotFound
	}
	return a
}

func simulateIndex(r *request) answer {
	best := r.cluster.composable(r.path["name"])
	if best == nil {
		return answer{value: object{}}
	}
	own := settings{}
	own, _ = own.with(toChange(best.settings))
	if _, ok := own[tierPreference]; !ok {
		own[tierPreference] = setting{text: "data_content"}
	}
	inner := object{{"settings", own.nested()}}
	if best.mapping != nil {
		inner = append(inner, member{"mappings", best.mapping.render()})
	}
	inner = append(inner, member{"aliases", renderAliases(best.aliases)})
	overlapping := list{}
	for _, o := range append(overlap(best, r.cluster.templates), overlap(best, r.cluster.legacy)...) {
		overlapping = append(overlapping, object{{"name", o.name}, {"index_patterns", stringList(o.patterns)}})
	}
	return answer{value: object{{"template", inner}, {"overlapping", overlapping}}}
}

func putLegacyTemplate(r *request) answer {
	c, name := r.cluster, r.path["name"]
	body, f := r.object()
	if f != nil {
		return f.answer()
	}
	t, f := parseTemplate(name, body)
	if f != nil {
		return f.answer()
	}
	t.patterns, t.rank, t.given = names(body.get("index_patterns")), whole(body.get("order"), 0), body
	if len(t.patterns) == 0 {
		return invalid("1: index patterns are missing;")
	}
	if r.flag("create") && c.legacy[name] != nil {
		return illegal("index_template [%s] already exists", name)
	}
	if with := overlap(t, c.templates); len(with) > 0 && c.legacy[name] == nil {
		n, pairs := patternsOf(with)
		return illegal("legacy template [%s] has index patterns [%s] matching patterns from existing composable templates [%s] with patterns (%s), use composable templates (/_index_template) instead",
			name, strings.Join(t.patterns, ", "), n, pairs)
	}
	c.legacy[name] = t
	c.bump()
	return answer{value: object{{"acknowledged", true}}}
}

func getLegacyTemplates(r *request) answer {
	out := object{}
	for _, t := range chosen(r.path["name"], r.cluster.legacy) {
		body := object{{"order", t.rank}}
		if t.given.has("version") {
			body = append(body, member{"version", t.given.get("version")})
		}
		m := object{}
		if t.mapping != nil {
			m = t.mapping.render()
		}
		out = append(out, member{t.name, append(body, member{"index_patterns", stringList(t.patterns)},
			member{"settings", t.settings.render(r.flag("flat_settings"))}, member{"mappings", m}, member{"aliases", renderAliases(t.aliases)})})
	}
	a := answer{value: out}
	if want := r.path["name"]; len(out) == 0 && want != "" && !strings.Contains(want, "*") {
		a.status = http.StatusNotFound
	}
	return a
}

func deleteTemplate(r *request) answer       { return dropTemplates(r, r.cluster.templates) }
func deleteLegacyTemplate(r *request) answer { return dropTemplates(r, r.cluster.legacy) }

func dropTemplates(r *request, from map[string]*template) answer {
	found := chosen(r.path["name"], from)
	if len(found) == 0 && !strings.Contains(r.path["name"], "*") {
		return (&failure{status: http.StatusNotFound, kind: "index_template_missing_exception", reason: "index_template [" + r.path["name"] + "] missing"}).answer()
	}
	for _, t := range found {
		delete(from, t.name)
	}
	r.cluster.bump()
	return answer{value: object{{"acknowledged", true}}}
}
