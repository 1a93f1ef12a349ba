package elasticsim

import (
	"bytes"
	"encoding/json"
	"strings"
)

// The functions below walk JSON text in place, without building values: documents
// are read far more often than they are changed. They return -1 where the text ends
// too early or is no JSON.

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index after the string that begins at i.
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch {
		case b[i] == '"':
			return i + 1
		case b[i] == '\\':
			i++
		case b[i] < ' ':
			return -1
		}
	}
	return -1
}

// skipValue returns the index after the value that begins at i.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{':
		return eachMember(b, i, func(string, int, int) bool { return true })
	case '[':
		return eachElement(b, i, func(int, int) bool { return true })
	}
	return skipScalar(b, i)
}

// skipScalar returns the index after a number, true, false or null.
func skipScalar(b []byte, i int) int {
	j := i
	for j < len(b) && strings.IndexByte(",]} \t\r\n", b[j]) < 0 {
		j++
	}
	switch word := b[i:j]; {
	case string(word) == "true" || string(word) == "false" || string(word) == "null":
	case len(word) == 0 || word[0] != '-' && (word[0] < '0' || word[0] > '9') || !json.Valid(word):
		return -1
	}
	return j
}

// eachMember calls f with every member of the object that begins at i: its name,
// where its value begins, and where its name does. f returns false to end early; the
// result is then -1. It returns the index after the object.
func eachMember(b []byte, i int, f func(name string, value, at int) bool) int {
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for i < len(b) && b[i] == '"' {
		at := i
		if i = skipString(b, i); i < 0 {
			return -1
		}
		name := unquote(b[at:i])
		if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
			return -1
		}
		i = skipSpace(b, i+1)
		if !f(name, i, at) {
			return -1
		}
		if i = skipValue(b, i); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i >= len(b) {
			return -1
		}
		if b[i] == '}' {
			return i + 1
		}
		if b[i] != ',' {
			return -1
		}
		i = skipSpace(b, i+1)
	}
	return -1
}

// eachElement is eachMember for an array.
func eachElement(b []byte, i int, f func(value, n int) bool) int {
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for n := 0; i < len(b); n++ {
		if !f(i, n) {
			return -1
		}
		if i = skipValue(b, i); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i >= len(b) {
			return -1
		}
		if b[i] == ']' {
			return i + 1
		}
		if b[i] != ',' {
			return -1
		}
		i = skipSpace(b, i+1)
	}
	return -1
}

// unquote decodes a JSON string.
func unquote(b []byte) string {
	if len(b) < 2 {
		return ""
	}
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b[1 : len(b)-1])
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return string(b[1 : len(b)-1])
	}
	return s
}

// valuesAt calls f with every scalar of a document at a dotted path, arrays
// flattened; null is none.
func valuesAt(doc []byte, path string, f func(raw []byte)) {
	var in func(i int, rest string)
	in = func(i int, rest string) {
		if i >= len(doc) {
			return
		}
		switch doc[i] {
		case '[':
			eachElement(doc, i, func(v, _ int) bool { in(v, rest); return true })
		case '{':
			if rest == "" {
				return
			}
			eachMember(doc, i, func(name string, v, _ int) bool {
				if name == rest {
					in(v, "")
				} else if len(rest) > len(name) && rest[len(name)] == '.' && strings.HasPrefix(rest, name) {
					in(v, rest[len(name)+1:])
				}
				return true
			})
		default:
			if rest == "" {
				if end := skipValue(doc, i); end > 0 && doc[i] != 'n' {
					f(doc[i:end])
				}
			}
		}
	}
	in(skipSpace(doc, 0), path)
}

// lineAndColumn is a place in a text, both from 1, as the server counts.
func lineAndColumn(b []byte, i int) (line, column int) {
	i = min(max(i, 0), len(b))
	return 1 + bytes.Count(b[:i], []byte{'\n'}), i - bytes.LastIndexByte(b[:i], '\n')
}
