package indices

import (
	"context"
	"slices"
	"strings"

	"twokey/ops/elastic"
)

// templated finds for each pair whether templates say what its new index is like. Names
// that the same templates match are looked up once: a campaign may have thousands.
func (w *campaignSurvey) templated(ctx context.Context) error {
	var composable struct {
		Templates []struct {
			Name string `json:"name"`
			Is   struct {
				Patterns []string `json:"index_patterns"`
			} `json:"index_template"`
		} `json:"index_templates"`
	}
	err := w.Get(ctx, "/_index_template", elastic.Query("master_timeout", "5s", "filter_path", "index_templates.name,index_templates.index_template.index_patterns"), &composable)
	if err != nil {
		return err
	}
	var old map[string]struct {
		Patterns []string `json:"index_patterns"`
	}
	if err := w.Get(ctx, "/_template", elastic.Query("master_timeout", "5s", "filter_path", "*.index_patterns"), &old); err != nil {
		return err
	}
	patterns := map[string][]string{}
	for _, t := range composable.Templates {
		patterns["new "+t.Name] = t.Is.Patterns
	}
	for name, t := range old {
		patterns["old "+name] = t.Patterns
	}
	found := map[string]string{} // by the templates that match; empty: none says anything
	for i := range w.pairs {
		p := &w.pairs[i]
		if p.Existing != "" {
			continue
		}
		var fit []string
		for name, of := range patterns {
			if slices.ContainsFunc(of, func(s string) bool { return elastic.Glob(s, p.Dest) }) {
				fit = append(fit, name)
			}
		}
		slices.Sort(fit)
		key := strings.Join(fit, "\n")
		says, known := found[key]
		if !known {
			if len(fit) > 0 {
				if _, says, _, err = w.simulated(ctx, p.Dest); err != nil {
					return err
				}
			}
			found[key] = says
		}
		if p.Template = says != ""; p.Template && !slices.Contains(w.templates, says) {
			w.templates = append(w.templates, says)
		}
	}
	return nil
}

// byTemplate counts the new indices that are as templates say.
func (w *campaignSurvey) byTemplate() int {
	n := 0
	for _, p := range w.pairs {
		if p.Template {
			n++
		}
	}
	return n
}
