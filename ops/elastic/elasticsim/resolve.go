package elasticsim

import (
	"slices"
	"strings"
)

// find resolves a list of names of indices and aliases and of patterns. A name that
// is neither is an error, a pattern that matches none is not.
func (c *Cluster) find(expression string) ([]*index, *failure) {
	targets, f := c.targets(expression)
	if f != nil {
		return nil, f
	}
	out := make([]*index, len(targets))
	for i, t := range targets {
		out[i] = t.index
	}
	return out, nil
}

// concrete is find where an alias may not be named: for deletions and alias actions.
func (c *Cluster) concrete(expression string) ([]*index, *failure) {
	for part := range strings.SplitSeq(expression, ",") {
		if c.indices[part] == nil && len(c.holders(part)) > 0 {
			return nil, illegalFailure("The provided expression [%s] matches an alias, specify the corresponding concrete indices instead.", part)
		}
	}
	var out []*index
	for part := range strings.SplitSeq(expression, ",") {
		if !strings.Contains(part, "*") && part != "_all" {
			if c.indices[part] == nil {
				return nil, noSuchIndex(part)
			}
		}
		for _, ix := range c.sorted {
			if (wildcard(part, ix.name) || part == "_all") && !slices.Contains(out, ix) {
				out = append(out, ix)
			}
		}
	}
	return out, nil
}

// target is an index that a request resolved to, and the aliases it came by; whole:
// also by its own name or an alias without a filter.
type target struct {
	index   *index
	whole   bool
	aliases []*alias
	direct  bool // by its own name
}

func (c *Cluster) targets(expression string) ([]*target, *failure) {
	if expression == "" || expression == "_all" || expression == "*" {
		out := make([]*target, len(c.sorted))
		for i, ix := range c.sorted {
			out[i] = &target{index: ix, whole: true, direct: true}
		}
		return out, nil
	}
	byIndex := map[*index]*target{}
	var out []*target
	add := func(ix *index, a *alias) {
		t := byIndex[ix]
		if t == nil {
			t = &target{index: ix}
			byIndex[ix], out = t, append(out, t)
		}
		if a == nil {
			t.whole, t.direct = true, true
			return
		}
		t.aliases = append(t.aliases, a)
		t.whole = t.whole || a.query == nil
	}
	for part := range strings.SplitSeq(expression, ",") {
		if dropped, ok := strings.CutPrefix(part, "-"); ok && len(out) > 0 {
			out = slices.DeleteFunc(out, func(t *target) bool {
				gone := wildcard(dropped, t.index.name)
				if gone {
					delete(byIndex, t.index)
				}
				return gone
			})
			continue
		}
		if strings.Contains(part, "*") {
			for _, ix := range c.sorted {
				if wildcard(part, ix.name) && !(ix.hidden() && !strings.HasPrefix(part, ".")) {
					add(ix, nil)
				}
				for _, name := range sortedKeys(ix.aliases) {
					if a := ix.aliases[name]; wildcard(part, name) && (a.hidden == nil || !*a.hidden) {
						add(ix, a)
					}
				}
			}
			continue
		}
		if ix := c.indices[part]; ix != nil {
			add(ix, nil)
			continue
		}
		held := c.holders(part)
		if len(held) == 0 {
			return nil, noSuchIndex(part)
		}
		for _, ix := range held {
			add(ix, ix.aliases[part])
		}
	}
	slices.SortFunc(out, func(a, b *target) int { return strings.Compare(a.index.name, b.index.name) })
	return out, nil
}

func (ix *index) hidden() bool { return ix.settings["index.hidden"].text == "true" }

// indices is find, with ignore_unavailable honoured.
func (r *request) indices(expression string) ([]*index, *failure) {
	known, none := r.known(expression)
	if none {
		return nil, nil
	}
	return r.cluster.find(known)
}

// known drops the names that do not exist when ignore_unavailable is set; none: no
// name is left.
func (r *request) known(expression string) (left string, none bool) {
	if !r.flag("ignore_unavailable") || expression == "" {
		return expression, false
	}
	var known []string
	for part := range strings.SplitSeq(expression, ",") {
		if r.cluster.indices[part] != nil || len(r.cluster.holders(part)) > 0 || part == "_all" || strings.Contains(part, "*") {
			known = append(known, part)
		}
	}
	return strings.Join(known, ","), len(known) == 0
}

// resolveIndex answers GET /_resolve/index/{names}.
func resolveIndex(r *request) answer {
	c, wanted := r.cluster, r.path["names"]
	indices, aliases := list{}, list{}
	for part := range strings.SplitSeq(wanted, ",") {
		if !strings.Contains(part, "*") && part != "_all" && c.indices[part] == nil && len(c.holders(part)) == 0 && !r.flag("ignore_unavailable") {
			return noSuchIndex(part).answer()
		}
	}
	matches := func(name string, hidden bool) bool {
		for part := range strings.SplitSeq(wanted, ",") {
			if part == name || part == "_all" && !hidden || strings.Contains(part, "*") && wildcard(part, name) && !hidden {
				return true
			}
		}
		return false
	}
	all := map[string]bool{}
	for _, ix := range c.sorted {
		for name, a := range ix.aliases {
			if matches(name, a.hidden != nil && *a.hidden) {
				all[name] = true
			}
		}
		if !matches(ix.name, ix.hidden()) {
			continue
		}
		o := object{{"name", ix.name}}
		if len(ix.aliases) > 0 {
			o = append(o, member{"aliases", stringList(sortedKeys(ix.aliases))})
		}
		indices = append(indices, append(o, member{"attributes", list{"open"}}))
	}
	for _, name := range sortedKeys(all) {
		var on []string
		for _, ix := range c.holders(name) {
			on = append(on, ix.name)
		}
		aliases = append(aliases, object{{"name", name}, {"indices", stringList(on)}})
	}
	return answer{value: object{{"indices", indices}, {"aliases", aliases}, {"data_streams", list{}}}}
}
