package indices

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"twokey/ops/elastic"
)

// alias is one alias of one index with all its properties. The zero values and nil are
// absent ones.
type alias struct {
	Name          string          `json:"name"`
	Filter        json.RawMessage `json:"filter,omitempty"`
	IndexRouting  string          `json:"index_routing,omitempty"`
	SearchRouting string          `json:"search_routing,omitempty"`
	IsWriteIndex  *bool           `json:"is_write_index,omitempty"`
	IsHidden      *bool           `json:"is_hidden,omitempty"`
}

// aliases reads the aliases of these indices, by index, each list by name. An index that
// is not there has no entry; one without aliases has an empty list.
func (s Site) aliases(ctx context.Context, indices ...string) (map[string][]alias, error) {
	all := map[string][]alias{}
	for part := range elastic.InURLs(indices) {
		var answer map[string]struct {
			Aliases map[string]alias `json:"aliases"`
		}
		err := s.Get(ctx, "/"+part+"/_alias", elastic.Query("expand_wildcards", "all", "ignore_unavailable", "true"), &answer)
		if elastic.IsStatus(err, 404) { // none of them is there
			continue
		} else if err != nil {
			return nil, err
		}
		for index, is := range answer {
			list := []alias{}
			for _, name := range slices.Sorted(maps.Keys(is.Aliases)) {
				a := is.Aliases[name]
				a.Name = name
				list = append(list, a.canonical())
			}
			all[index] = list
		}
	}
	return all, nil
}

// canonical has the filter as JSON with sorted keys, so that equal ones have equal texts.
func (a alias) canonical() alias {
	if len(a.Filter) == 0 {
		return a
	}
	d := json.NewDecoder(bytes.NewReader(a.Filter))
	d.UseNumber()
	var v any
	if d.Decode(&v) == nil {
		if b, err := json.Marshal(v); err == nil {
			a.Filter = b
		}
	}
	return a
}

// encode writes the alias down for a plan or a journal.
func (a alias) encode() string {
	b, err := json.Marshal(a.canonical())
	if err != nil {
		panic(err) // what was decoded encodes
	}
	return string(b)
}

func decodeAlias(text string) (alias, error) {
	var a alias
	err := json.Unmarshal([]byte(text), &a)
	return a, err
}

// equal reports whether both are the same alias with the same properties.
func (a alias) equal(b alias) bool { return a.encode() == b.encode() }

// text is the alias for people: "logs (filter {"term":{"a":1}}, routing 3, write index)".
func (a alias) text() string {
	if p := a.properties(); p != "" {
		return a.Name + " (" + p + ")"
	}
	return a.Name
}

// properties are the alias' properties for people; empty: it has none.
func (a alias) properties() string {
	var list []string
	if len(a.Filter) > 0 {
		list = append(list, "filter "+string(a.canonical().Filter))
	}
	switch {
	case a.IndexRouting == "" && a.SearchRouting == "":
	case a.IndexRouting == a.SearchRouting:
		list = append(list, "routing "+a.IndexRouting)
	default:
		list = append(list, fmt.Sprintf("routing %s for writing, %s for searching",
			cmp.Or(a.IndexRouting, "none"), cmp.Or(a.SearchRouting, "none")))
	}
	if a.IsWriteIndex != nil {
		list = append(list, map[bool]string{true: "write index", false: "not the write index"}[*a.IsWriteIndex])
	}
	if a.IsHidden != nil && *a.IsHidden {
		list = append(list, "hidden")
	}
	return strings.Join(list, ", ")
}

// swap are the actions of one POST _aliases that take the aliases off one index and give
// them to another with all their properties. Elasticsearch carries out all or none, and
// none if one of them is not on from.
func swap(from, to string, list []alias) []map[string]any {
	var actions []map[string]any
	for _, a := range list {
		actions = append(actions, map[string]any{"remove": map[string]any{"index": from, "alias": a.Name, "must_exist": true}})
	}
	for _, a := range list {
		actions = append(actions, map[string]any{"add": a.on(to)})
	}
	return actions
}

// on is the body of the action that gives an index the alias.
func (a alias) on(index string) map[string]any {
	body := map[string]any{"index": index, "alias": a.Name}
	if len(a.Filter) > 0 {
		body["filter"] = a.Filter
	}
	if a.IndexRouting != "" {
		body["index_routing"] = a.IndexRouting
	}
	if a.SearchRouting != "" {
		body["search_routing"] = a.SearchRouting
	}
	if a.IsWriteIndex != nil {
		body["is_write_index"] = *a.IsWriteIndex
	}
	if a.IsHidden != nil {
		body["is_hidden"] = *a.IsHidden
	}
	return body
}

// changeAliases sends actions in one request.
func (s Site) changeAliases(ctx context.Context, actions []map[string]any, token string) error {
	return s.Write(ctx, "POST", "/_aliases", elastic.Query("master_timeout", "5s", "timeout", "5s"),
		map[string]any{"actions": actions}, token)
}

// place is where an alias of a swap stands.
type place int

const (
	elsewhere place = iota // neither of both as it was: somebody else changed it
	onFrom                 // on from as it was, and not on to
	onTo                   // on to with the same properties, and not on from
)

// where says where an alias stands, by the aliases of both indices as read now.
func (a alias) where(now map[string][]alias, from, to string) place {
	is := func(index string) (same, there bool) {
		i := slices.IndexFunc(now[index], func(b alias) bool { return b.Name == a.Name })
		return i >= 0 && now[index][i].equal(a), i >= 0
	}
	sameFrom, onF := is(from)
	sameTo, onT := is(to)
	switch {
	case sameFrom && !onT:
		return onFrom
	case sameTo && !onF:
		return onTo
	}
	return elsewhere
}

// stands says for people where an alias is among some indices: "on logs-1 (filter …)".
func stands(name string, now map[string][]alias, indices ...string) string {
	var list []string
	for _, index := range indices {
		for _, a := range now[index] {
			if a.Name == name {
				text := "on " + index
				if p := a.properties(); p != "" {
					text += " (" + p + ")"
				}
				list = append(list, text)
			}
		}
	}
	if len(list) == 0 {
		return "on neither of " + elastic.And(indices)
	}
	return elastic.And(list)
}
