package elasticsim

import (
	"net/http"
	"slices"
	"strings"
)

// alias is one index's part in an alias.
type alias struct {
	filter        object // as given; nil: none
	query         query  // filter, parsed
	indexRouting  string
	searchRouting string
	write, hidden *bool
}

// render is the alias as the server writes it.
func (a *alias) render() object {
	out := object{}
	if a.filter != nil {
		out = append(out, member{"filter", a.filter})
	}
	if a.indexRouting != "" {
		out = append(out, member{"index_routing", a.indexRouting})
	}
	if a.searchRouting != "" {
		out = append(out, member{"search_routing", a.searchRouting})
	}
	if a.write != nil {
		out = append(out, member{"is_write_index", *a.write})
	}
	if a.hidden != nil {
		out = append(out, member{"is_hidden", *a.hidden})
	}
	return out
}

// parseAlias reads the properties of an alias; it checks nothing but the filter.
func parseAlias(name string, o object) (*alias, *failure) {
	a := &alias{}
	if filter, ok := o.get("filter").(object); ok && len(filter) > 0 {
		q, f := parseQuery(filter)
		if f != nil {
			cause := append(object{{"type", f.kind}, {"reason", f.reason}}, f.more...)
			bad := illegalFailure("failed to parse filter for alias [%s]", name)
			bad.more = object{{"caused_by", cause}}
			return nil, bad
		}
		a.filter, a.query = filter, q
	}
	if r := o.get("routing"); r != nil {
		a.indexRouting, a.searchRouting = scalarText(r), scalarText(r)
	}
	if r := o.get("index_routing"); r != nil {
		a.indexRouting = scalarText(r)
	}
	if r := o.get("search_routing"); r != nil {
		a.searchRouting = scalarText(r)
	}
	flag := func(key string) *bool {
		if v := o.get(key); v != nil {
			b := isTrue(v)
			return &b
		}
		return nil
	}
	a.write, a.hidden = flag("is_write_index"), flag("is_hidden")
	return a, nil
}

// parseAliases reads the aliases part of an index body or a template.
func parseAliases(o object) (map[string]*alias, *failure) {
	out := map[string]*alias{}
	for _, m := range o {
		props, _ := m.value.(object)
		a, f := parseAlias(m.name, props)
		if f != nil {
			return nil, f
		}
		out[m.name] = a
	}
	return out, nil
}

const badNameCharacters = ` "*,/<>?\|`

// checkName refuses a name that neither an index nor an alias may have.
func checkName(name string) string {
	switch {
	case strings.ContainsAny(name, badNameCharacters):
		return `must not contain the following characters [' ','"','*',',','/','<','>','?','\','|']`
	case strings.HasPrefix(name, "_") || strings.HasPrefix(name, "-") || strings.HasPrefix(name, "+"):
		return "must not start with '_', '-', or '+'"
	case name == "." || name == "..":
		return "must not be '.' or '..'"
	case strings.ContainsAny(name, "#"):
		return "must not contain '#'"
	}
	return ""
}

func badAlias(name, why string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "invalid_alias_name_exception", reason: "Invalid alias name [" + name + "]: " + why}
}

func badIndexName(name, why string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "invalid_index_name_exception", reason: "Invalid index name [" + name + "], " + why,
		more: object{{"index_uuid", "_na_"}, {"index", name}}}
}

// aliasSet is every index's aliases while an update is tried out.
type aliasSet map[*index]map[string]*alias

// aliases copies the present state.
func (c *Cluster) aliases() aliasSet {
	set := aliasSet{}
	for _, ix := range c.sorted {
		own := map[string]*alias{}
		for name, a := range ix.aliases {
			own[name] = a
		}
		set[ix] = own
	}
	return set
}

// check refuses aliases that contradict each other or the names of indices.
func (set aliasSet) check() *failure {
	indices := map[string]bool{}
	byAlias := map[string][]*index{}
	for ix, own := range set {
		indices[ix.name] = true
		for name := range own {
			byAlias[name] = append(byAlias[name], ix)
		}
	}
	illegalState := func(reason string) *failure {
		return &failure{status: http.StatusInternalServerError, kind: "illegal_state_exception", reason: reason}
	}
	for _, name := range sortedKeys(byAlias) {
		if indices[name] {
			return badAlias(name, "an index or data stream exists with the same name as the alias")
		}
		var writers, hidden, shown []string
		members := byAlias[name]
		slices.SortFunc(members, func(a, b *index) int { return strings.Compare(a.name, b.name) })
		for _, ix := range members {
			a := set[ix][name]
			if a.write != nil && *a.write {
				writers = append(writers, ix.name)
			}
			if a.hidden != nil && *a.hidden {
				hidden = append(hidden, ix.name)
			} else {
				shown = append(shown, ix.name)
			}
		}
		if len(writers) > 1 {
			return illegalState("alias [" + name + "] has more than one write index [" + strings.Join(writers, ",") + "]")
		}
		if len(hidden) > 0 && len(shown) > 0 {
			return illegalState("alias [" + name + "] has is_hidden set to true on indices [" + strings.Join(hidden, ",") +
				"] but does not have is_hidden set to true on indices [" + strings.Join(shown, ",") + "]; alias must have the same is_hidden setting on all indices")
		}
	}
	return nil
}

// apply makes the set the cluster's state.
func (c *Cluster) apply(set aliasSet) {
	for ix, own := range set {
		ix.aliases = own
	}
	c.bump()
}

// holders lists the indices of an alias, by name.
func (c *Cluster) holders(name string) []*index {
	var out []*index
	for _, ix := range c.sorted {
		if ix.aliases[name] != nil {
			out = append(out, ix)
		}
	}
	return out
}

// writeIndex finds the index that writes to a name go to; nil and no failure: there
// is none of that name.
func (c *Cluster) writeIndex(name string) (*index, *alias, *failure) {
	if ix := c.indices[name]; ix != nil {
		return ix, nil, nil
	}
	all := c.holders(name)
	for _, ix := range all {
		if a := ix.aliases[name]; a.write != nil && *a.write || len(all) == 1 && a.write == nil {
			return ix, a, nil
		}
	}
	if len(all) == 0 {
		return nil, nil, nil
	}
	return nil, nil, illegalFailure("no write index is defined for alias [%s]. The write index may be explicitly disabled using is_write_index=false or the alias points to multiple indices without one being designated as a write index", name)
}
