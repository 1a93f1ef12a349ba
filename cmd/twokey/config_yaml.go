package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// ConfigError is all that is wrong with a configuration file, in its order.
type ConfigError struct {
	File     string
	Mistakes []Mistake // at least one
}

// Mistake is one thing wrong, where it begins. Lines and columns count from 1. What
// never repeats a value that may be a secret.
type Mistake struct {
	Line, Column int
	What         string
}

// Error has a line for each mistake: "twokey.yaml:3:5: …".
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", e.File, m.Line, m.Column, m.What)
	}
	return strings.Join(lines, "\n")
}

// yamlReader reads YAML strictly and collects every mistake. Its methods return zero
// values for what is wrong, so that the rest is still read.
type yamlReader struct{ mistakes []Mistake }

// yamlPlace is where something stands in the file, and how messages call it:
// "environments.prod.quorum".
type yamlPlace struct {
	line, column int
	path         string
}

// yamlValue is a YAML value at its place.
type yamlValue struct {
	yamlPlace
	node ast.Node
}

// yamlKey is one key a mapping may have.
type yamlKey struct {
	read     func(yamlValue)
	required bool
}

// document parses src, which must be one mapping, and false if that fails.
func (r *yamlReader) document(src []byte) (yamlValue, bool) {
	start := yamlValue{yamlPlace: yamlPlace{line: 1, column: 1}}
	file, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey()) // mapping reports them
	if err != nil {
		what := "not YAML"
		var broken yaml.Error
		if errors.As(err, &broken) {
			what += ": " + broken.GetMessage()
			if t := broken.GetToken(); t != nil && t.Position != nil {
				start.line, start.column = t.Position.Line, t.Position.Column
			}
		}
		r.wrong(start.yamlPlace, "%s", what)
		return start, false
	}
	switch {
	case len(file.Docs) > 1:
		r.wrong(start.yamlPlace, "this file must be one YAML document, and is %d", len(file.Docs))
		return start, false
	case len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.CommentType:
		r.wrong(start.yamlPlace, "this file is empty")
		return start, false
	}
	start.node = file.Docs[0].Body
	return start, true
}

// wrong notes a mistake.
func (r *yamlReader) wrong(at yamlPlace, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if at.path != "" {
		what = at.path + ": " + what
	}
	r.mistakes = append(r.mistakes, Mistake{at.line, at.column, what})
}

// err returns the mistakes in the order of the file; nil if there are none.
func (r *yamlReader) err(file string) error {
	if len(r.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &ConfigError{File: file, Mistakes: r.mistakes}
}

// entries returns the key and value pairs of a mapping in the order of the file, without
// repeated keys, which are mistakes. It reports false if v is no mapping.
func (r *yamlReader) entries(v yamlValue) ([]yamlEntry, bool) {
	var pairs []*ast.MappingValueNode
	switch n := v.node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		r.wrong(v.yamlPlace, "must be a mapping of keys to values, not %s", kindOf(v.node))
		return nil, false
	}
	var out []yamlEntry
	for _, p := range pairs {
		t := p.Key.GetToken()
		at := yamlPlace{t.Position.Line, t.Position.Column, v.path}
		name, ok := p.Key.(*ast.StringNode)
		if !ok {
			r.wrong(at, "keys must be plain words")
			continue
		}
		at.path = strings.TrimPrefix(v.path+"."+name.Value, ".")
		if slices.ContainsFunc(out, func(e yamlEntry) bool { return e.name == name.Value }) {
			r.wrong(at, "is here twice")
			continue
		}
		out = append(out, yamlEntry{name.Value, at, yamlValue{yamlPlace{at.line, at.column, at.path}, p.Value}})
	}
	return out, true
}

// yamlEntry is a key of a mapping, where the key stands, and its value.
type yamlEntry struct {
	name  string
	at    yamlPlace
	value yamlValue
}

// mapping reads the keys of v and returns which are there. Keys that are not known,
// are in later, or are missing though required, are mistakes.
func (r *yamlReader) mapping(v yamlValue, known map[string]yamlKey, later ...string) map[string]bool {
	entries, ok := r.entries(v)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for _, e := range entries {
		seen[e.name] = true
		k, ok := known[e.name]
		switch {
		case ok && e.value.node.Type() == ast.NullType:
			r.wrong(e.at, "has no value; give one or leave the key out")
		case ok:
			k.read(e.value)
		case slices.Contains(later, e.name):
			r.wrong(e.at, "is not supported by this version")
		case strings.Contains(strings.ToLower(e.name), "password") || strings.Contains(strings.ToLower(e.name), "api_key"):
			r.wrong(e.at, "unknown key; a secret does not belong here: put it in an environment variable and name that (password_env, api_key_env)")
		default:
			r.wrong(e.at, "unknown key; known here: %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if known[name].required && !seen[name] {
			r.wrong(v.yamlPlace, "the key %s is missing", name)
		}
	}
	return seen
}

// text reads a string. Values that YAML takes for something else need quotes.
func (r *yamlReader) text(v yamlValue) string {
	switch n := v.node.(type) {
	case *ast.StringNode:
		if n.Value == "" {
			r.wrong(v.yamlPlace, "is empty")
		}
		return n.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		r.wrong(v.yamlPlace, `must be text; write it in quotes: "…"`)
	case *ast.MappingNode, *ast.MappingValueNode:
		// The parser sees one in [http://es-1:9200], too.
		r.wrong(v.yamlPlace, `must be text, not a mapping; text with a colon needs quotes: "…"`)
	default:
		r.wrong(v.yamlPlace, "must be text, not %s", kindOf(v.node))
	}
	return ""
}

// number reads a whole number from low to high.
func (r *yamlReader) number(v yamlValue, low, high int) int {
	n, ok := v.node.(*ast.IntegerNode)
	if !ok {
		r.wrong(v.yamlPlace, "must be a whole number, not %s", kindOf(v.node))
		return 0
	}
	u, ok := n.Value.(uint64) // int64 only if negative
	if !ok || u < uint64(low) || u > uint64(high) {
		r.wrong(v.yamlPlace, "must be a number from %d to %d, not %s", low, high, n.Token.Value)
		return 0
	}
	return int(u)
}

// duration reads a duration as Go writes it.
func (r *yamlReader) duration(v yamlValue, low, high time.Duration) time.Duration {
	d, err := time.ParseDuration(r.plain(v))
	switch {
	case err != nil:
		r.wrong(v.yamlPlace, "must be a duration like 30m or 1h")
		return 0
	case d < low || d > high:
		r.wrong(v.yamlPlace, "must be a duration from %s to %s", shortDuration(low), shortDuration(high))
		return 0
	}
	return d
}

// plain is the text of a scalar, whatever YAML takes it for.
func (r *yamlReader) plain(v yamlValue) string {
	if s, ok := v.node.(ast.ScalarNode); ok {
		return s.GetToken().Value
	}
	return ""
}

// list reads a sequence with one, which gets each element. Repeated texts are
// mistakes.
func (r *yamlReader) list(v yamlValue, one func(yamlValue) string) []string {
	n, ok := v.node.(*ast.SequenceNode)
	if !ok {
		r.wrong(v.yamlPlace, "must be a list: [a, b]; it is %s", kindOf(v.node))
		return nil
	}
	var out []string
	for _, e := range n.Values {
		t := e.GetToken()
		at := yamlPlace{t.Position.Line, t.Position.Column, v.path}
		before := len(r.mistakes)
		s := one(yamlValue{at, e})
		switch {
		case len(r.mistakes) > before: // said already
		case slices.Contains(out, s):
			r.wrong(at, "%s is here twice", s)
		default:
			out = append(out, s)
		}
	}
	return out
}

// kindOf says what a node is, for people.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		return "an anchor, alias or tag"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.LiteralNode:
		return "a text of several lines"
	}
	return "text"
}

// shortDuration writes a duration without its zero parts: "1h", not "1h0m0s".
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
