package strictyaml

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Error is all that is wrong with a file, in its order.
type Error struct {
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
func (e *Error) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, m := range e.Mistakes {
		lines[i] = fmt.Sprintf("%s:%d:%d: %s", e.File, m.Line, m.Column, m.What)
	}
	return strings.Join(lines, "\n")
}

// Reader reads one file and collects every mistake. Its methods return zero values for
// what is wrong, so that the rest is still read. The zero Reader is ready.
type Reader struct{ mistakes []Mistake }

// Place is where something stands in the file, and how messages call it:
// "environments.prod.quorum".
type Place struct {
	line, column int
	path         string
}

// Value is a YAML value at its place.
type Value struct {
	Place
	node ast.Node
}

// Key is one key a mapping may have.
type Key struct {
	Read     func(Value)
	Required bool
}

// Document parses src, which must be one mapping, and false if that fails.
func (r *Reader) Document(src []byte) (Value, bool) {
	start := Value{Place: Place{line: 1, column: 1}}
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
		r.Wrong(start.Place, "%s", what)
		return start, false
	}
	switch {
	case len(file.Docs) > 1:
		r.Wrong(start.Place, "this file must be one YAML document, and is %d", len(file.Docs))
		return start, false
	case len(file.Docs) == 0 || file.Docs[0].Body == nil || file.Docs[0].Body.Type() == ast.CommentType:
		r.Wrong(start.Place, "this file is empty")
		return start, false
	}
	start.node = file.Docs[0].Body
	return start, true
}

// Wrong notes a mistake.
func (r *Reader) Wrong(at Place, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if at.path != "" {
		what = at.path + ": " + what
	}
	r.mistakes = append(r.mistakes, Mistake{at.line, at.column, what})
}

// Count is how many mistakes were noted so far: equal before and after a read means
// that what was read is right.
func (r *Reader) Count() int { return len(r.mistakes) }

// Err returns the mistakes in the order of the file as an *Error; nil if there are none.
func (r *Reader) Err(file string) error {
	if len(r.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{File: file, Mistakes: r.mistakes}
}

// Entries returns the key and value pairs of a mapping in the order of the file, without
// repeated keys, which are mistakes. It reports false if v is no mapping.
func (r *Reader) Entries(v Value) ([]Entry, bool) {
	var pairs []*ast.MappingValueNode
	switch n := v.node.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		r.Wrong(v.Place, "must be a mapping of keys to values, not %s", kindOf(v.node))
		return nil, false
	}
	var out []Entry
	for _, p := range pairs {
		t := p.Key.GetToken()
		at := Place{t.Position.Line, t.Position.Column, v.path}
		name, ok := p.Key.(*ast.StringNode)
		if !ok {
			r.Wrong(at, "keys must be plain words")
			continue
		}
		at.path = strings.TrimPrefix(v.path+"."+name.Value, ".")
		if slices.ContainsFunc(out, func(e Entry) bool { return e.Name == name.Value }) {
			r.Wrong(at, "is here twice")
			continue
		}
		out = append(out, Entry{name.Value, at, Value{Place{at.line, at.column, at.path}, p.Value}})
	}
	return out, true
}

// Entry is a key of a mapping, where the key stands, and its value.
type Entry struct {
	Name  string
	At    Place
	Value Value
}

// secretKey is a key under which people are tempted to write the secret itself.
var secretKey = regexp.MustCompile(`(?i)password|api_?key|token|secret`)

// Mapping reads the keys of v and returns which are there. Keys that are not known,
// are in later, or are missing though required, are mistakes.
func (r *Reader) Mapping(v Value, known map[string]Key, later ...string) map[string]bool {
	entries, ok := r.Entries(v)
	if !ok {
		return nil
	}
	var named []string // keys that name the variable of a secret
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if strings.HasSuffix(name, "_env") {
			named = append(named, name)
		}
	}
	seen := map[string]bool{}
	for _, e := range entries {
		seen[e.Name] = true
		k, ok := known[e.Name]
		switch {
		case ok && e.Value.node.Type() == ast.NullType:
			r.Wrong(e.At, "has no value; give one or leave the key out")
		case ok:
			k.Read(e.Value)
		case slices.Contains(later, e.Name):
			r.Wrong(e.At, "is not supported by this version")
		case secretKey.MatchString(e.Name) && len(named) > 0:
			r.Wrong(e.At, "unknown key; a secret does not belong here: put it in an environment variable and name that (%s)", strings.Join(named, ", "))
		default:
			r.Wrong(e.At, "unknown key; known here: %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if known[name].Required && !seen[name] {
			r.Wrong(v.Place, "the key %s is missing", name)
		}
	}
	return seen
}

// Text reads a string. Values that YAML takes for something else need quotes.
func (r *Reader) Text(v Value) string {
	switch n := v.node.(type) {
	case *ast.StringNode:
		if n.Value == "" {
			r.Wrong(v.Place, "is empty")
		}
		return n.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		r.Wrong(v.Place, `must be text; write it in quotes: "…"`)
	case *ast.MappingNode, *ast.MappingValueNode:
		// The parser sees one in [http://es-1:9200], too.
		r.Wrong(v.Place, `must be text, not a mapping; text with a colon needs quotes: "…"`)
	default:
		r.Wrong(v.Place, "must be text, not %s", kindOf(v.node))
	}
	return ""
}

// Word reads a text that must look like want. The text is repeated in the mistake: a
// form that a secret may miss is not for Word.
func (r *Reader) Word(v Value, form *regexp.Regexp, want string) string {
	before := len(r.mistakes)
	s := r.Text(v)
	if len(r.mistakes) > before {
		return ""
	}
	if !form.MatchString(s) {
		r.Wrong(v.Place, "must be %s; it is %q", want, s)
		return ""
	}
	return s
}

// Words reads a list of texts that must look like want.
func (r *Reader) Words(v Value, form *regexp.Regexp, want string) []string {
	return r.List(v, func(v Value) string { return r.Word(v, form, want) })
}

// Number reads a whole number from low to high.
func (r *Reader) Number(v Value, low, high int) int {
	n, ok := v.node.(*ast.IntegerNode)
	if !ok {
		r.Wrong(v.Place, "must be a whole number, not %s", kindOf(v.node))
		return 0
	}
	u, ok := n.Value.(uint64) // int64 only if negative
	if !ok || u < uint64(low) || u > uint64(high) {
		r.Wrong(v.Place, "must be a number from %d to %d, not %s", low, high, n.Token.Value)
		return 0
	}
	return int(u)
}

// Duration reads a duration as Go writes it.
func (r *Reader) Duration(v Value, low, high time.Duration) time.Duration {
	d, err := time.ParseDuration(r.Plain(v))
	switch {
	case err != nil:
		r.Wrong(v.Place, "must be a duration like 30m or 1h")
		return 0
	case d < low || d > high:
		r.Wrong(v.Place, "must be a duration from %s to %s", shortDuration(low), shortDuration(high))
		return 0
	}
	return d
}

// Plain is the text of a scalar, whatever YAML takes it for.
func (r *Reader) Plain(v Value) string {
	if s, ok := v.node.(ast.ScalarNode); ok {
		return s.GetToken().Value
	}
	return ""
}

// IsList reports whether v is a sequence.
func (v Value) IsList() bool {
	_, ok := v.node.(*ast.SequenceNode)
	return ok
}

// IsScalar reports whether v is one value: a text, a number, true or false. A key without
// a value has none.
func (v Value) IsScalar() bool {
	if _, null := v.node.(*ast.NullNode); null {
		return false
	}
	_, ok := v.node.(ast.ScalarNode)
	return ok
}

// Bool reads true or false.
func (r *Reader) Bool(v Value) bool {
	n, ok := v.node.(*ast.BoolNode)
	if !ok {
		r.Wrong(v.Place, "must be true or false, not %s", kindOf(v.node))
		return false
	}
	return n.Value
}

// Items returns the elements of a sequence. It reports false if v is none.
func (r *Reader) Items(v Value) ([]Value, bool) {
	n, ok := v.node.(*ast.SequenceNode)
	if !ok {
		r.Wrong(v.Place, "must be a list: [a, b]; it is %s", kindOf(v.node))
		return nil, false
	}
	var out []Value
	for _, e := range n.Values {
		t := e.GetToken()
		out = append(out, Value{Place{t.Position.Line, t.Position.Column, v.path}, e})
	}
	return out, true
}

// List reads a sequence with one, which gets each element. Repeated texts are mistakes.
func (r *Reader) List(v Value, one func(Value) string) []string {
	items, _ := r.Items(v)
	var out []string
	for _, item := range items {
		before := len(r.mistakes)
		s := one(item)
		switch {
		case len(r.mistakes) > before: // said already
		case slices.Contains(out, s):
			r.Wrong(item.Place, "%s is here twice", s)
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
