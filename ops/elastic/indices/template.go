package indices

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"twokey/ops"
	"twokey/ops/elastic"
)

// simulated are the settings and mappings that templates give a new index of this name;
// matched is false if none matches. Templates that give it an alias are a *ops.UserError:
// who reads by that alias would find half a copy, beside what is there.
func (s Site) simulated(ctx context.Context, name string) (x index, template string, matched bool, err error) {
	var answer struct {
		Template struct {
			Settings map[string]any `json:"settings"`
			Mappings map[string]any `json:"mappings"`
			Aliases  map[string]any `json:"aliases"`
		} `json:"template"`
	}
	err = s.Read(ctx, "POST", "/_index_template/_simulate_index/"+url.PathEscape(name), elastic.Query("master_timeout", "5s"), nil, &answer)
	if err != nil {
		return index{}, "", false, err
	}
	flat := map[string]string{}
	flattenInto(flat, "", answer.Template.Settings)
	delete(flat, "index.routing.allocation.include._tier_preference") // every index gets that
	x = index{Name: name, Settings: flat, Mappings: answer.Template.Mappings}
	if err := refuseGiven(name, "An index template", answer.Template.Aliases); err != nil {
		return index{}, "", false, err
	}
	if len(flat) > 0 || len(x.Mappings) > 0 {
		return x, "an index template", true, nil
	}
	return s.legacy(ctx, name)
}

func refuseGiven(name, template string, aliases map[string]any) error {
	if len(aliases) == 0 {
		return nil
	}
	return &ops.UserError{
		What: fmt.Sprintf("%s gives every new index like %s the alias %s: readers would find the copy there while it is made.",
			template, name, elastic.And(slices.Sorted(maps.Keys(aliases)))),
		Next: "Take the alias out of the template, or name a DST that it does not match.",
	}
}

// legacy is simulated by the old kind of templates.
func (s Site) legacy(ctx context.Context, name string) (index, string, bool, error) {
	var all map[string]struct {
		Order    int            `json:"order"`
		Patterns []string       `json:"index_patterns"`
		Settings map[string]any `json:"settings"`
		Mappings map[string]any `json:"mappings"`
		Aliases  map[string]any `json:"aliases"`
	}
	if err := s.Get(ctx, "/_template", elastic.Query("master_timeout", "5s", "flat_settings", "true"), &all); err != nil {
		return index{}, "", false, err
	}
	var fit []string
	for t, is := range all {
		if slices.ContainsFunc(is.Patterns, func(p string) bool { return elastic.Glob(p, name) }) {
			fit = append(fit, t)
		}
	}
	slices.SortFunc(fit, func(a, b string) int { return all[a].Order - all[b].Order })
	x := index{Name: name, Settings: map[string]string{}, Mappings: map[string]any{}}
	for _, t := range fit {
		if err := refuseGiven(name, "Template "+t, all[t].Aliases); err != nil {
			return index{}, "", false, err
		}
		flattenInto(x.Settings, "", all[t].Settings)
		mergeMappings(x.Mappings, all[t].Mappings)
	}
	if len(fit) == 0 {
		return x, "", false, nil
	}
	return x, "template " + elastic.And(fit), true, nil
}

func mergeMappings(into, from map[string]any) {
	for k, v := range from {
		if m, ok := v.(map[string]any); ok {
			if was, ok := into[k].(map[string]any); ok {
				mergeMappings(was, m)
				continue
			}
		}
		into[k] = v
	}
}

func flattenInto(into map[string]string, prefix string, from map[string]any) {
	for k, v := range from {
		if m, ok := v.(map[string]any); ok {
			flattenInto(into, prefix+k+".", m)
			continue
		}
		into[prefix+k] = settingText(v)
	}
}
