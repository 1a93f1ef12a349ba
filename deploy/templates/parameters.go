package templates

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"twokey/ops"
	"twokey/strictyaml"
)

// Value is a parameter's value, or the reference to it. It prints as the reference, or as
// asterisks: a value is got by Text only.
type Value struct {
	text string
	ref  string // "ssm:/web/password"; empty: text is the value
}

// Plain is a value that was given itself.
func Plain(text string) Value { return Value{text: text} }

// Reference is a value that is kept elsewhere.
func Reference(ref string) Value { return Value{ref: ref} }

// Ref is the reference; empty where the value was given itself.
func (v Value) Ref() string { return v.ref }

// Text is the value. Of a reference it is empty until Resolve.
func (v Value) Text() string { return v.text }

// String never tells a value.
func (v Value) String() string {
	if v.ref != "" {
		return v.ref
	}
	return "****"
}

// GoString never tells a value.
func (v Value) GoString() string { return v.String() }

// LogValue never tells a value.
func (v Value) LogValue() slog.Value { return slog.StringValue(v.String()) }

// MarshalText never tells a value.
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// reference is what a value looks like that is kept elsewhere.
var reference = regexp.MustCompile(`^(ssm:/?[A-Za-z0-9_.-][A-Za-z0-9_./-]*|secret:[A-Za-z0-9/_+=.@:-]+(#[A-Za-z0-9_.-]+)?|env:[A-Za-z_][A-Za-z0-9_]*)$`)

// refPrefix begins a reference, well or badly written.
var refPrefix = regexp.MustCompile(`^(ssm|secret|env):`)

// valueOf reads a value as it is written. A text that begins like a reference must be one;
// plain: (as in plain:ssm:x) begins a value that only looks so.
func valueOf(text string) (Value, error) {
	if rest, ok := strings.CutPrefix(text, "plain:"); ok {
		return Plain(rest), nil
	}
	if !refPrefix.MatchString(text) {
		return Plain(text), nil
	}
	if !reference.MatchString(text) {
		return Value{}, errors.New("looks like a reference and is none: want ssm:/NAME, secret:NAME, secret:NAME#KEY or env:NAME (plain: before it makes it a value)")
	}
	return Reference(text), nil
}

// parameterName is what CloudFormation and shells allow.
var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ParseParameters reads a file of parameters: lines "export NAME=value" (or "NAME=value"),
// or else YAML, a mapping of names to values, where a list is joined by commas. Its
// mistakes are all told at once, with their lines, in a *ops.UserError.
func ParseParameters(name string, src []byte) (map[string]Value, error) {
	if isSettings(string(src)) {
		return parseSettings(name, string(src))
	}
	var r strictyaml.Reader
	values := map[string]Value{}
	root, ok := r.Document(src)
	if ok {
		entries, _ := r.Entries(root)
		for _, e := range entries {
			if !parameterName.MatchString(e.Name) {
				r.Wrong(e.At, "%q cannot be the name of a parameter", e.Name)
				continue
			}
			text := plain(&r, e.Value)
			v, err := valueOf(text)
			if err != nil {
				r.Wrong(e.Value.Place, "%v", err)
			}
			values[e.Name] = v
		}
	}
	if err := r.Err(name); err != nil {
		return nil, &ops.UserError{What: "the file of parameters has mistakes: " + err.Error(), Next: "Correct them.", Err: err}
	}
	return values, nil
}

// plain is a value as text: a list is joined by commas.
func plain(r *strictyaml.Reader, v strictyaml.Value) string {
	if v.IsList() {
		items, _ := r.Items(v)
		texts := make([]string, len(items))
		for i, item := range items {
			if item.IsList() {
				r.Wrong(item.Place, "must be one value")
				continue
			}
			texts[i] = plain(r, item)
		}
		return strings.Join(texts, ",")
	}
	if !v.IsScalar() {
		r.Wrong(v.Place, "must be a value or a list of values")
		return ""
	}
	return r.Plain(v)
}

// settingsLine is a line of a settings file.
var settingsLine = regexp.MustCompile(`^\s*(export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)

// isSettings reports whether a text's first line that says something sets a variable.
func isSettings(src string) bool {
	for line := range strings.Lines(src) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return settingsLine.MatchString(line)
		}
	}
	return false
}

// parseSettings reads lines "export NAME=value" as a shell would, without ever running
// anything: what a shell would replace is refused.
func parseSettings(name, src string) (map[string]Value, error) {
	values := map[string]Value{}
	at := map[string]int{}
	var wrong []string
	n := 0
	for line := range strings.Lines(src) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if trimmed := strings.TrimSpace(line); trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		m := settingsLine.FindStringSubmatch(line)
		if m == nil {
			wrong = append(wrong, fmt.Sprintf("%s:%d: want export NAME=value", name, n))
			continue
		}
		text, err := word(m[3])
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s:%d: %s: %v", name, n, m[2], err))
			continue
		}
		if first, ok := at[m[2]]; ok {
			wrong = append(wrong, fmt.Sprintf("%s:%d: %s is set in line %d already", name, n, m[2], first))
			continue
		}
		v, err := valueOf(text)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s:%d: %s %v", name, n, m[2], err))
			continue
		}
		values[m[2]], at[m[2]] = v, n
	}
	if len(wrong) > 0 {
		return nil, &ops.UserError{What: "the file of parameters has mistakes: " + strings.Join(wrong, "; "), Next: "Correct them."}
	}
	return values, nil
}

// word reads one word of a shell: quoted or not, with nothing behind it but a comment.
func word(s string) (string, error) {
	const expands = "a shell would replace %q here, Twokey does not: write the value itself"
	var b strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return "", errors.New("the quote is not closed")
			}
			b.WriteString(s[i+1 : i+1+end])
			i += end + 2
		case '"':
			i++
			for {
				if i >= len(s) {
					return "", errors.New("the quote is not closed")
				}
				if s[i] == '"' {
					i++
					break
				}
				if s[i] == '$' || s[i] == '`' {
					return "", fmt.Errorf(expands, s[i:i+1])
				}
				if s[i] == '\\' && i+1 < len(s) && strings.IndexByte("\"\\$`", s[i+1]) >= 0 {
					i++
				}
				b.WriteByte(s[i])
				i++
			}
		case '\\':
			if i+1 >= len(s) {
				return "", errors.New("lines are not continued")
			}
			b.WriteByte(s[i+1])
			i += 2
		case ' ', '\t':
			if rest := strings.TrimSpace(s[i:]); rest != "" && !strings.HasPrefix(rest, "#") {
				return "", errors.New("there is more behind the value: quote it")
			}
			return b.String(), nil
		case '$', '`', ';', '&', '|', '<', '>', '(', ')', '*', '?', '~':
			if slices.Contains([]byte("*?~"), c) {
				b.WriteByte(c)
				i++
				continue
			}
			return "", fmt.Errorf(expands, s[i:i+1])
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), nil
}

// ParseAssignments reads "A=1,B=2": what people type. A comma within a value is written \,.
func ParseAssignments(text string) (map[string]Value, error) {
	values := map[string]Value{}
	for _, part := range splitCommas(text) {
		name, value, ok := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); !ok || !parameterName.MatchString(name) {
			return nil, &ops.UserError{What: fmt.Sprintf("%q sets nothing", part), Next: `Write NAME=VALUE, several by commas; a comma within a value as \,.`}
		}
		if _, twice := values[name]; twice {
			return nil, &ops.UserError{What: fmt.Sprintf("%s is set twice", name), Next: "Set it once."}
		}
		v, err := valueOf(value)
		if err != nil {
			return nil, &ops.UserError{What: fmt.Sprintf("%s %v", name, err), Next: "Correct it."}
		}
		values[name] = v
	}
	return values, nil
}

func splitCommas(s string) []string {
	var parts []string
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == ',':
			b.WriteByte(',')
			i++
		case s[i] == ',':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(s[i])
		}
	}
	return append(parts, b.String())
}
