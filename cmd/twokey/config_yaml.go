package main

import (
	"cmp"
	"errors"
	"fmt"
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

// reader reads YAML strictly and collects every mistake. Its methods return zero
// values for what is wrong, so that the rest is still read.
type reader struct{ mistakes []Mistake }

// place is where something stands in the file, and how messages call it:
// "environments.prod.quorum".
type place struct {
	line, column int
	path         string
}

// value is a YAML value at its place.
type value struct {
	place
	node ast.Node
}

// key is one key a mapping may have.
type key struct {
	read     func(value)
	required bool
}

// document parses src, which must be one mapping, and false if that fails.
func (r *reader) document(src []byte) (value, bool) {
	start := value{place: place{line: 1, column: 1}}
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
		r.wrong(start.place, "%s", what)
		return start, false
	}
	switch {
	case len(file.Docs) > 1:
		r.wrong(start.place, "this file must be one YAML document, and is %d", len(file.Docs))
		return start, false
	case len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.CommentType:
		r.wrong(start.place, "this file is empty")
		return start, false
	}
	start.node = file.Docs[0].Body
	return start, true
}

// wrong notes a mistake.
func (r *reader) wrong(at place, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if at.path != "" {
		what = at.path + ": " + what
	}
	r.mistakes = append(r.mistakes, Mistake{at.line, at.column, what})
}

// err returns the mistakes in the order of the file; nil if there are none.
func (r *reader) err(file string) error {
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
func (r *reader) entries(v value) ([]entry, bool) {
	var pairs []*ast.MappingValueNode
	switch n := v.node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		r.wrong(v.place, "must be a mapping of keys to values, not %s", kind(v.node))
		return nil, false
	}
	var out []entry
	for _, p := range pairs {
		t := p.Key.GetToken()
		at := place{t.Position.Line, t.Position.Column, v.path}
		name, ok := p.Key.(*ast.StringNode)
		if !ok {
			r.wrong(at, "keys must be plain words")
			continue
		}
		at.path = strings.TrimPrefix(v.path+"."+name.Value, ".")
		if slices.ContainsFunc(out, func(e entry) bool { return e.name == name.Value }) {
			r.wrong(at, "is here twice")
			continue
		}
		out = append(out, entry{name.Value, at, value{place{at.line, at.column, at.path}, p.Value}})
	}
	return out, true
}

type entry struct {
	name  string
	at    place
	value value
}

// mapping reads the keys of v and returns which are there. Keys that are not known,
// are in later, or are missing though required, are mistakes.
func (r *reader) mapping(v value, known map[string]key, later ...string) map[string]bool {
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
			r.wrong(e.at, "unknown key; known here: %s", strings.Join(sortedKeys(known), ", "))
		}
	}
	for _, name := range sortedKeys(known) {
		if known[name].required && !seen[name] {
			r.wrong(v.place, "the key %s is missing", name)
		}
	}
	return seen
}

// text reads a string. Values that YAML takes for something else need quotes.
func (r *reader) text(v value) string {
	switch n := v.node.(type) {
	case *ast.StringNode:
		if n.Value == "" {
			r.wrong(v.place, "is empty")
		}
		return n.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		r.wrong(v.place, `must be text; write it in quotes: "…"`)
	case *ast.MappingNode, *ast.MappingValueNode:
		// The parser sees one in [http://es-1:9200], too.
		r.wrong(v.place, `must be text, not a mapping; text with a colon needs quotes: "…"`)
	default:
		r.wrong(v.place, "must be text, not %s", kind(v.node))
	}
	return ""
}

// number reads a whole number from low to high.
func (r *reader) number(v value, low, high int) int {
	n, ok := v.node.(*ast.IntegerNode)
	if !ok {
		r.wrong(v.place, "must be a whole number, not %s", kind(v.node))
		return 0
	}
	u, ok := n.Value.(uint64) // int64 only if negative
	if !ok || u < uint64(low) || u > uint64(high) {
		r.wrong(v.place, "must be a number from %d to %d, not %s", low, high, n.Token.Value)
		return 0
	}
	return int(u)
}

// duration reads a duration as Go writes it.
func (r *reader) duration(v value, low, high time.Duration) time.Duration {
	d, err := time.ParseDuration(r.plain(v))
	switch {
	case err != nil:
		r.wrong(v.place, "must be a duration like 30m or 1h")
		return 0
	case d < low || d > high:
		r.wrong(v.place, "must be a duration from %s to %s", short(low), short(high))
		return 0
	}
	return d
}

// plain is the text of a scalar, whatever YAML takes it for.
func (r *reader) plain(v value) string {
	if s, ok := v.node.(ast.ScalarNode); ok {
		return s.GetToken().Value
	}
	return ""
}

// list reads a sequence with one, which gets each element. Repeated texts are
// mistakes.
func (r *reader) list(v value, one func(value) string) []string {
	n, ok := v.node.(*ast.SequenceNode)
	if !ok {
		r.wrong(v.place, "must be a list: [a, b]; it is %s", kind(v.node))
		return nil
	}
	var out []string
	for _, e := range n.Values {
		t := e.GetToken()
		at := place{t.Position.Line, t.Position.Column, v.path}
		before := len(r.mistakes)
		s := one(value{at, e})
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

// kind says what a node is, for people.
func kind(n ast.Node) string {
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

// short writes a duration without its zero parts: "1h", not "1h0m0s".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
