package awssim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// template is as much of a CloudFormation template as is simulated. What a resource's
// Metadata says under "Simulate" is how it behaves: {"Seconds": 30}, {"Fail": "reason"},
// {"FailRollback": "reason"},
// {"FailDelete": "reason"}.
type template struct {
	Description string                       `json:"Description"`
	Parameters  map[string]templateParameter `json:"Parameters"`
	Resources   map[string]templateResource  `json:"Resources"`
	Outputs     map[string]templateOutput    `json:"Outputs"`
}

type templateParameter struct {
	Type        string
	Default     any
	NoEcho      any
	Description string
}

type templateOutput struct {
	Value  any
	Export struct{ Name any }
}

type templateResource struct {
	Type           string
	Properties     map[string]any
	DependsOn      any
	DeletionPolicy string
	Metadata       struct {
		Simulate struct {
			Seconds                        int
			Fail, FailRollback, FailDelete string
		}
	}
}

// parseTemplate reads a template in YAML or JSON. Short tags (!Ref) are dropped, so a
// reference looks like the name of what it refers to.
func parseTemplate(body string) (template, error) {
	var raw any
	if err := yaml.Unmarshal([]byte(body), &raw); err != nil {
		return template{}, err
	}
	b, err := json.Marshal(raw)
	if err != nil {
		return template{}, err
	}
	var t template
	if err := json.Unmarshal(b, &t); err != nil {
		return template{}, err
	}
	if len(t.Resources) == 0 {
		return template{}, errors.New("at least one Resources member must be defined")
	}
	for name, r := range t.Resources {
		if r.Type == "" {
			return template{}, fmt.Errorf("[/Resources/%s] resource has no Type", name)
		}
	}
	return t, nil
}

func (p templateParameter) secret() bool { return fmt.Sprint(p.NoEcho) == "true" }

func (r templateResource) seconds() time.Duration {
	if n := r.Metadata.Simulate.Seconds; n > 0 {
		return time.Duration(n) * time.Second
	}
	return 5 * time.Second
}

// text is a resource's properties with parameters filled in: two equal texts are no
// change.
func (r templateResource) text(values map[string]string) string {
	b, _ := json.Marshal(r.Properties) // it came from JSON
	return fill(string(b), values)
}

// fill puts parameters' values in place of references to them.
func fill(s string, values map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		quoted, _ := json.Marshal(values[name]) // a string always encodes
		s = strings.ReplaceAll(s, `{"Ref":"`+name+`"}`, string(quoted))
		s = regexp.MustCompile(`"`+regexp.QuoteMeta(name)+`"([,}\]])`).ReplaceAllString(s, strings.ReplaceAll(string(quoted), "$", "$$")+"$1")
		s = strings.ReplaceAll(s, "${"+name+"}", strings.Trim(string(quoted), `"`))
	}
	return s
}

// after lists the resources that a resource waits for.
func (t template) after(name string) []string {
	r := t.Resources[name]
	b, _ := json.Marshal([]any{r.Properties, r.DependsOn}) // they came from JSON
	var names []string
	for other := range t.Resources {
		if other != name && regexp.MustCompile(`"`+regexp.QuoteMeta(other)+`[".]`).Match(b) {
			names = append(names, other)
		}
	}
	slices.Sort(names)
	return names
}

// order is the resources so that each comes after those it waits for.
func (t template) order() []string {
	var out []string
	seen := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, a := range t.after(name) {
			visit(a)
		}
		out = append(out, name)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Resources)) {
		visit(name)
	}
	return out
}

// outputs are the template's outputs with references filled in.
func (t template) outputs(values map[string]string) []Output {
	var out []Output
	for _, name := range slices.Sorted(maps.Keys(t.Outputs)) {
		o := t.Outputs[name]
		b, _ := json.Marshal(o.Value) // it came from JSON
		output := Output{Key: name, Value: strings.Trim(fill(string(b), values), `"`)}
		if o.Export.Name != nil {
			output.Export = fmt.Sprint(o.Export.Name)
		}
		out = append(out, output)
	}
	return out
}

// change is what a change set would do to one resource.
type change struct {
	Logical, Type       string
	Action, Replacement string // Add, Modify, Remove; True, False, Conditional
	Policy              string // Delete, Retain …: of what is removed
	Property            string // the first that differs
	Child               string // ARN of the nested change set
}

// changes compares two templates. A changed property whose name ends in Name, or is
// AvailabilityZone, replaces its resource.
func changes(old, now template, was, is map[string]string) []change {
	var out []change
	for _, name := range now.order() {
		r := now.Resources[name]
		before, ok := old.Resources[name]
		switch {
		case !ok:
			out = append(out, change{Logical: name, Type: r.Type, Action: "Add"})
		case before.Type != r.Type:
			out = append(out, change{Logical: name, Type: r.Type, Action: "Modify", Replacement: "True", Property: "Type"})
		case before.text(was) != r.text(is) || r.Type == stackType:
			c := change{Logical: name, Type: r.Type, Action: "Modify", Replacement: "False"}
			for _, property := range slices.Sorted(maps.Keys(r.Properties)) {
				a, _ := json.Marshal(before.Properties[property])
				b, _ := json.Marshal(r.Properties[property])
				if fill(string(a)+",", was) == fill(string(b)+",", is) {
					continue
				}
				if c.Property == "" {
					c.Property = property
				}
				if strings.HasSuffix(property, "Name") || property == "AvailabilityZone" {
					c.Property, c.Replacement = property, "True"
				}
			}
			out = append(out, c)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old.Resources)) {
		if _, ok := now.Resources[name]; !ok {
			policy := old.Resources[name].DeletionPolicy
			if policy == "" {
				policy = "Delete"
			}
			out = append(out, change{Logical: name, Type: old.Resources[name].Type, Action: "Remove", Policy: policy})
		}
	}
	return out
}
