package elasticsim

import (
	"net/http"
	"slices"
	"strings"
)

// getAliases answers GET /_alias, /_alias/{name}, /{index}/_alias and both. A name
// that is missing is an error beside what was found; a pattern is not.
func getAliases(r *request) answer {
	indices, f := r.indices(r.path["index"])
	if f != nil {
		return f.answer()
	}
	wanted := r.path["name"]
	if wanted == "" || wanted == "_all" {
		wanted = "*"
	}
	patterns := strings.Split(wanted, ",")
	found := map[string]bool{}
	out := object{}
	for _, ix := range indices {
		own := object{}
		for _, name := range sortedKeys(ix.aliases) {
			for _, p := range patterns {
				if wildcard(p, name) {
					own = own.with(name, ix.aliases[name].render())
					found[p] = true
				}
			}
		}
		if len(own) > 0 || r.path["name"] == "" {
			out = append(out, member{ix.name, object{{"aliases", own}}})
		}
	}
	var missing []string
	for _, p := range patterns {
		if !strings.Contains(p, "*") && !found[p] {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return answer{value: out}
	}
	slices.Sort(missing)
	text := "alias [" + missing[0] + "] missing"
	if len(missing) > 1 {
		text = "aliases [" + strings.Join(missing, ",") + "] missing"
	}
	return answer{status: http.StatusNotFound, value: append(object{{"error", text}, {"status", http.StatusNotFound}}, out...)}
}

// aliasAction is one action of POST /_aliases, its names resolved.
type aliasAction struct {
	kind    string
	indices []*index
	aliases []string
	body    object
	missing bool // a remove of an alias that is not there
}

var aliasActionFields = map[string][]string{
	"add":          {"index", "indices", "alias", "aliases", "filter", "routing", "index_routing", "indexRouting", "search_routing", "searchRouting", "is_write_index", "is_hidden", "must_exist"},
	"remove":       {"index", "indices", "alias", "aliases", "must_exist"},
	"remove_index": {"index", "indices", "must_exist"},
}

func updateAliases(r *request) answer {
	body, f := r.object()
	if f != nil {
		return f.answer()
	}
	entries, _ := body.get("actions").(list)
	if len(entries) == 0 {
		return illegal("No action specified")
	}
	var actions []*aliasAction
	for _, e := range entries {
		o, _ := e.(object)
		if len(o) != 1 {
			return illegal("an alias action has one field")
		}
		a, f := r.cluster.parseAliasAction(o[0].name, o[0].value)
		if f != nil {
			return f.answer()
		}
		actions = append(actions, a)
	}
	return r.cluster.runAliasActions(actions)
}

func unknownAliasField(outer, field string) *failure {
	cause := object{{"type", "x_content_parse_exception"}, {"reason", "[" + outer + "] unknown field [" + field + "]"}}
	return &failure{status: http.StatusBadRequest, kind: "x_content_parse_exception", reason: "[aliases] failed to parse field [actions]",
		more: object{{"caused_by", cause}}, root: cause}
}

// parseAliasAction reads an action. must_exist is known to remove only.
func (c *Cluster) parseAliasAction(kind string, value any) (*aliasAction, *failure) {
	fields, ok := aliasActionFields[kind]
	if !ok {
		return nil, unknownAliasField("alias_action", kind)
	}
	body, _ := value.(object)
	for _, m := range body {
		if !slices.Contains(fields, m.name) || m.name == "must_exist" && kind != "remove" {
			return nil, unknownAliasField(kind, m.name)
		}
	}
	needed := func(one, many string) ([]string, *failure) {
		list := append(names(body.get(one)), names(body.get(many))...)
		if len(list) == 0 {
			return nil, &failure{status: http.StatusBadRequest, kind: "x_content_parse_exception", reason: "[aliases] failed to parse field [actions]",
				more: object{{"caused_by", object{{"type", "illegal_argument_exception"}, {"reason", "One of [" + one + "] or [" + many + "] is required"}}}}}
		}
		return list, nil
	}
	expressions, f := needed("index", "indices")
	if f != nil {
		return nil, f
	}
	a := &aliasAction{kind: kind, body: body}
	if kind != "remove_index" {
		if a.aliases, f = needed("alias", "aliases"); f != nil {
			return nil, f
		}
	}
	for _, e := range expressions {
		found, f := c.concrete(e)
		if f != nil {
			return nil, f
		}
		if len(found) == 0 {
			return nil, noSuchIndex(e)
		}
		a.indices = append(a.indices, found...)
	}
	if kind != "remove" {
		return a, nil
	}
	wanted := a.aliases
	a.aliases = nil
	for _, ix := range a.indices {
		for _, name := range sortedKeys(ix.aliases) {
			for _, p := range wanted {
				if wildcard(p, name) && !slices.Contains(a.aliases, name) {
					a.aliases = append(a.aliases, name)
				}
			}
		}
	}
	if a.missing = len(a.aliases) == 0; a.missing {
		a.aliases = wanted
		if isTrue(body.get("must_exist")) {
			return nil, aliasesMissing(wanted)
		}
	}
	return a, nil
}

func aliasesMissing(aliases []string) *failure {
	more := object{{"resource.type", "aliases"}, {"resource.id", strings.Join(aliases, ",")}}
	if len(aliases) > 1 {
		more[1].value = stringList(aliases)
	}
	return &failure{status: http.StatusNotFound, kind: "aliases_not_found_exception", reason: "aliases [" + strings.Join(aliases, ",") + "] missing", more: more}
}

// runAliasActions carries out all of the actions or none. A remove of an alias that
// is not there is told in the results, unless no action does anything.
func (c *Cluster) runAliasActions(actions []*aliasAction) answer {
	set := c.aliases()
	var gone []*index
	did, errors := false, false
	for _, a := range actions {
		if a.kind == "remove_index" {
			for _, ix := range a.indices {
				delete(set, ix)
				gone = append(gone, ix)
			}
			did = true
		}
	}
	for _, a := range actions {
		switch {
		case a.missing:
			errors = true
			continue
		case a.kind == "add":
			for _, name := range a.aliases {
				if why := checkName(name); why != "" {
					return badAlias(name, why).answer()
				}
				al, f := parseAlias(name, a.body)
				if f != nil {
					return f.answer()
				}
				for _, ix := range a.indices {
					if set[ix] == nil {
						return noSuchIndex(ix.name).answer()
					}
					set[ix][name] = al
				}
			}
		case a.kind == "remove":
			for _, ix := range a.indices {
				for _, name := range a.aliases {
					delete(set[ix], name)
				}
			}
		}
		did = true
	}
	if !did {
		return aliasesMissing(actions[0].aliases).answer()
	}
	if f := set.check(); f != nil {
		return f.answer()
	}
	for _, ix := range gone {
		c.remove(ix)
	}
	c.apply(set)
	out := object{{"acknowledged", true}, {"errors", errors}}
	if !errors {
		return answer{value: out}
	}
	results := list{}
	for _, a := range actions {
		var on []string
		for _, ix := range a.indices {
			on = append(on, ix.name)
		}
		action := object{{"type", a.kind}, {"indices", stringList(on)}, {"aliases", stringList(a.aliases)}}
		result := object{{"action", action}, {"status", http.StatusOK}}
		if a.missing {
			f := aliasesMissing(a.aliases)
			result = object{{"action", action}, {"status", f.status}, {"error", f.object()}}
		}
		results = append(results, result)
	}
	return answer{value: append(out, member{"action_results", results})}
}

func putAlias(r *request) answer {
	props, err := parseObject(r.body)
	if err != nil {
		return illegal("%s", err)
	}
	a, f := r.cluster.parseAliasAction("add", append(slices.Clone(props), member{"index", r.path["index"]}, member{"alias", r.path["name"]}))
	if f != nil {
		return f.answer()
	}
	return r.cluster.runAliasActions([]*aliasAction{a})
}

func deleteAlias(r *request) answer {
	remove := object{{"indices", stringList(strings.Split(r.path["index"], ","))}, {"aliases", stringList(strings.Split(r.path["name"], ","))}}
	a, f := r.cluster.parseAliasAction("remove", remove)
	if f != nil {
		return f.answer()
	}
	return r.cluster.runAliasActions([]*aliasAction{a})
}

func catAliases(r *request) answer {
	t := table{columns: []column{{name: "alias", aliases: "a"}, {name: "index", aliases: "i idx"}, {name: "filter", aliases: "f fi"},
		{name: "routing.index", aliases: "ri routingIndex"}, {name: "routing.search", aliases: "rs routingSearch"}, {name: "is_write_index", aliases: "w isWriteIndex"}}}
	or := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	for _, ix := range r.cluster.sorted {
		for _, name := range sortedKeys(ix.aliases) {
			if want := r.path["names"]; want != "" && !slices.ContainsFunc(strings.Split(want, ","), func(p string) bool { return wildcard(p, name) }) {
				continue
			}
			a := ix.aliases[name]
			filter, write := "-", "-"
			if a.filter != nil {
				filter = "*"
			}
			if a.write != nil {
				write = scalarText(*a.write)
			}
			t.rows = append(t.rows, []any{name, ix.name, filter, or(a.indexRouting), or(a.searchRouting), write})
		}
	}
	return t.answer(r)
}
