package elasticsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

func createIndex(r *request) answer {
	c, name := r.cluster, r.path["index"]
	if f := c.checkIndexName(name); f != nil {
		return f.answer()
	}
	body, f := r.object()
	if f != nil && len(r.body) > 0 {
		return f.answer()
	}
	for _, m := range body {
		if !slices.Contains([]string{"settings", "mappings", "aliases"}, m.name) {
			return (&failure{status: http.StatusBadRequest, kind: "parse_exception", reason: "unknown key [" + m.name + "] for create index"}).answer()
		}
	}
	if _, f := c.create(name, body, r.now); f != nil {
		return f.answer()
	}
	return answer{value: object{{"acknowledged", true}, {"shards_acknowledged", true}, {"index", name}}}
}

func (c *Cluster) checkIndexName(name string) *failure {
	if ix := c.indices[name]; ix != nil {
		return &failure{status: http.StatusBadRequest, kind: "resource_already_exists_exception", reason: "index [" + name + "/" + ix.uuid + "] already exists",
			more: object{{"index_uuid", ix.uuid}, {"index", name}}}
	}
	if why := checkName(name); why != "" {
		return badIndexName(name, why)
	}
	if name != strings.ToLower(name) {
		return badIndexName(name, "must be lowercase")
	}
	if len(c.holders(name)) > 0 {
		return badIndexName(name, "already exists as alias")
	}
	return nil
}

// create makes an index: templates first, then the body over them.
func (c *Cluster) create(name string, body object, now time.Time) (*index, *failure) {
	own, f := parseTemplate(name, body)
	if f != nil {
		return nil, f
	}
	given, m, aliases := settings{}, newMapping(), map[string]*alias{}
	for _, t := range append(c.layers(name), own) {
		if t.stream {
			return nil, illegalFailure("cannot create index with name [%s], because it matches with template [%s] that creates data streams only, use create data stream api instead", name, t.name)
		}
		given, _ = given.with(toChange(t.settings))
		if t.mapping != nil {
			if m, f = m.merge(t.mapping); f != nil {
				return nil, f
			}
		}
		parsed, f := parseAliases(t.aliases)
		if f != nil {
			return nil, f
		}
		for _, n := range sortedKeys(parsed) {
			if why := checkName(n); why != "" {
				return nil, badAlias(n, why)
			}
			if c.indices[n] != nil || n == name {
				return nil, badAlias(n, "an index or data stream exists with the same name as the alias")
			}
			aliases[n] = parsed[n]
		}
	}
	count := func(key string, normally int) int {
		n, err := strconv.Atoi(given[key].text)
		if err != nil {
			return normally
		}
		return n
	}
	ix := c.newIndex(name, count("index.number_of_shards", 1), count("index.number_of_replicas", 1), given, now)
	ix.mapping = m
	set := c.aliases()
	set[ix] = aliases
	if f := set.check(); f != nil {
		c.remove(ix)
		return nil, f
	}
	ix.aliases = aliases
	c.spread(ix)
	c.bump()
	return ix, nil
}

// autoCreate makes the index a document is written to, if
// action.auto_create_index allows it.
func (c *Cluster) autoCreate(name string, now time.Time) (*index, *failure) {
	if f := c.mayAutoCreate(name); f != nil {
		return nil, f
	}
	return c.create(name, object{}, now)
}

// mayAutoCreate is why an index of this name would not be made, or nil.
func (c *Cluster) mayAutoCreate(name string) *failure {
	if f := c.checkIndexName(name); f != nil {
		return f
	}
	refuse := func(why string) *failure {
		return &failure{status: http.StatusNotFound, kind: "index_not_found_exception", reason: "no such index [" + name + "] and " + why,
			more: object{{"index_uuid", "_na_"}, {"index", name}}}
	}
	switch rule := c.get("action.auto_create_index"); rule {
	case "true":
	case "false":
		return refuse("[action.auto_create_index] is [false]")
	default:
		allowed := false
		for part := range strings.SplitSeq(rule, ",") {
			pattern := strings.TrimSpace(part)
			forbids := strings.HasPrefix(pattern, "-")
			if !wildcard(strings.TrimLeft(pattern, "+-"), name) {
				continue
			}
			if forbids {
				return refuse("[action.auto_create_index] contains [" + pattern + "] which forbids automatic creation of the index")
			}
			allowed = true
			break
		}
		if !allowed {
			return refuse("[action.auto_create_index] ([" + rule + "]) doesn't match")
		}
	}
	return nil
}

// notAnAlias is the answer to require_alias.
func notAnAlias(name string) *failure {
	return &failure{status: http.StatusNotFound, kind: "index_not_found_exception",
		reason: "no such index [" + name + "] and [require_alias] request flag is [true] and [" + name + "] is not an alias",
		more:   object{{"index_uuid", "_na_"}, {"index", name}}}
}
