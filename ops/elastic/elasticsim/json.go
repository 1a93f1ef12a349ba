package elasticsim

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// object is a JSON object that keeps the order of its members.
type object []member

type member struct {
	name  string
	value any
}

// list is a JSON array.
type list []any

// lazy is a value made only when a filter_path does not drop it, so that asking
// for one node costs no more than that node.
type lazy func() any

// verbatim is JSON text, written as it is unless a filter_path looks inside.
type verbatim []byte

// parsed is the value of the text.
func (v verbatim) parsed() any {
	p, err := parseJSON(v)
	if err != nil {
		return nil
	}
	return p
}

// decimal is a float written as the server writes percentages: 100.0.
type decimal float64

func encode(v any, pretty bool) []byte {
	var b bytes.Buffer
	appendJSON(&b, v)
	if !pretty {
		return b.Bytes()
	}
	// The server's printer puts a blank on both sides of a colon.
	var p bytes.Buffer
	appendPretty(&p, v, "")
	p.WriteByte('\n')
	return p.Bytes()
}

func appendJSON(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case lazy:
		appendJSON(b, v())
	case object:
		b.WriteByte('{')
		for i, m := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			appendString(b, m.name)
			b.WriteByte(':')
			appendJSON(b, m.value)
		}
		b.WriteByte('}')
	case list:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			appendJSON(b, e)
		}
		b.WriteByte(']')
	default:
		appendScalar(b, v)
	}
}

func appendPretty(b *bytes.Buffer, v any, indent string) {
	inner := indent + "  "
	switch v := v.(type) {
	case lazy:
		appendPretty(b, v(), indent)
	case object:
		if len(v) == 0 {
			b.WriteString("{ }")
			return
		}
		b.WriteByte('{')
		for i, m := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("\n" + inner)
			appendString(b, m.name)
			b.WriteString(" : ")
			appendPretty(b, m.value, inner)
		}
		b.WriteString("\n" + indent + "}")
	case list:
		if len(v) == 0 {
			b.WriteString("[ ]")
			return
		}
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("\n" + inner)
			appendPretty(b, e, inner)
		}
		b.WriteString("\n" + indent + "]")
	default:
		appendScalar(b, v)
	}
}

func appendScalar(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case string:
		appendString(b, v)
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int:
		b.WriteString(strconv.Itoa(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case json.Number:
		b.WriteString(v.String())
	case verbatim:
		b.Write(v)
	case decimal:
		s := strconv.FormatFloat(float64(v), 'f', -1, 64)
		if !bytes.ContainsRune([]byte(s), '.') {
			s += ".0"
		}
		b.WriteString(s)
	default:
		panic("elasticsim: no JSON for this type")
	}
}

func appendString(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // strings always encode
	}
	b.Truncate(b.Len() - 1) // the encoder's newline
}

// stringList makes a list of names.
func stringList(names []string) list {
	l := make(list, len(names))
	for i, n := range names {
		l[i] = n
	}
	return l
}

// stringObject makes an object of a map, sorted by key.
func stringObject(m map[string]string) object {
	o := make(object, 0, len(m))
	for _, k := range sortedKeys(m) {
		o = append(o, member{k, m[k]})
	}
	return o
}
