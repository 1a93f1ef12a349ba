package elasticsim

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
)

// parseJSON reads one JSON value: objects keep the order of their members, numbers
// their text.
func parseJSON(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	v, err := readValue(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, refusal("unexpected text after the JSON value")
	}
	return v, nil
}

func readValue(dec *json.Decoder) (any, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		o := object{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := readValue(dec)
			if err != nil {
				return nil, err
			}
			o = o.with(name.(string), v)
		}
		_, err := dec.Token()
		return o, err
	case json.Delim('['):
		l := list{}
		for dec.More() {
			v, err := readValue(dec)
			if err != nil {
				return nil, err
			}
			l = append(l, v)
		}
		_, err := dec.Token()
		return l, err
	}
	return t, nil
}

// parseObject reads a JSON object; empty input is an empty object.
func parseObject(raw []byte) (object, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return object{}, nil
	}
	v, err := parseJSON(raw)
	if err != nil {
		return nil, err
	}
	o, ok := v.(object)
	if !ok {
		return nil, refusal("expected an object")
	}
	return o, nil
}

// get returns a member's value, or nil.
func (o object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// has reports whether there is such a member, null or not.
func (o object) has(name string) bool {
	for _, m := range o {
		if m.name == name {
			return true
		}
	}
	return false
}

// with returns the object with a member set, in its old place or at the end.
func (o object) with(name string, value any) object {
	for i := range o {
		if o[i].name == name {
			o[i].value = value
			return o
		}
	}
	return append(o, member{name, value})
}

// scalarText is a scalar as the server's settings and mappings write it.
func scalarText(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return v
	case json.Number:
		return v.String()
	case int:
		return strconv.Itoa(v)
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return string(encode(v, false))
}

// isTrue reads a boolean that may be written as a text.
func isTrue(v any) bool { return v == true || v == "true" }

// names reads a text or a list of texts.
func names(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case list:
		var out []string
		for _, e := range v {
			out = append(out, scalarText(e))
		}
		return out
	}
	return nil
}

// whole reads an integer, or returns the default.
func whole(v any, normally int) int {
	n, err := strconv.Atoi(scalarText(v))
	if err != nil {
		return normally
	}
	return n
}
