package elasticsim

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// cause is why a value does not fit its type: the server's exception and its words.
// inner is one more, below it.
type cause struct {
	kind, reason string
	inner        *cause
	preview      string // replaces the value in the outer text; empty: the value
}

func (c *cause) object() object {
	o := object{{"type", c.kind}, {"reason", c.reason}}
	if c.inner != nil {
		o = append(o, member{"caused_by", c.inner.object()})
	}
	return o
}

// tokenError is an error of the server's JSON reader, that tells the place; kinds are
// its exception and the one around it.
func tokenError(doc []byte, at int, inner, outer, text string) *cause {
	line, column := lineAndColumn(doc, at)
	shown := string(doc)
	if len(doc) > 500 {
		shown = string(doc[:500])
	}
	source := `"` + shown + `"`
	if len(doc) > 500 {
		source += fmt.Sprintf("[truncated %d bytes]", len(doc)-500)
	}
	full := fmt.Sprintf("%s\n at [Source: (byte[])%s; line: %d, column: %d]", text, source, line, column)
	return &cause{kind: outer, reason: fmt.Sprintf("[%d:%d] %s", line, column, full), inner: &cause{kind: inner, reason: full}}
}

const (
	jsonParse    = "json_parse_exception"
	contentParse = "x_content_parse_exception"
)

// fromAfar is an error as it reaches the client by way of another node: the
// exceptions of the JSON reader become plainer ones, and others' names a prefix.
func fromAfar(o object) object {
	out := make(object, len(o))
	for i, m := range o {
		if inner, ok := m.value.(object); ok && m.name == "caused_by" {
			m.value = fromAfar(inner)
		}
		out[i] = m
	}
	switch kind := scalarText(out.get("type")); kind {
	case contentParse, "x_content_e_o_f_exception":
		return out.with("type", "illegal_argument_exception")
	case jsonParse, "json_e_o_f_exception", "input_coercion_exception":
		return out.with("type", "i_o_exception")
	case "date_time_parse_exception":
		return out.with("reason", kind+": "+scalarText(out.get("reason")))
	}
	return out
}

func inputString(kind, s string) *cause {
	return &cause{kind: kind, reason: `For input string: "` + s + `"`}
}

func tokenName(c byte) string {
	switch {
	case c == 't':
		return "VALUE_TRUE"
	case c == 'f':
		return "VALUE_FALSE"
	case c == '"':
		return "VALUE_STRING"
	case c == '{':
		return "START_OBJECT"
	}
	return "VALUE_NUMBER_INT"
}

// whole numbers' types: the server's name of the type in its texts, and its limits.
var integers = map[string]struct {
	name        string
	least, most int64
	article     string
}{
	"long":    {"long", math.MinInt64, math.MaxInt64, "a long"},
	"integer": {"int", math.MinInt32, math.MaxInt32, "an integer"},
	"short":   {"int", math.MinInt16, math.MaxInt16, "a short"},
	"byte":    {"int", math.MinInt8, math.MaxInt8, "a byte"},
}

// checkLeaf says why the scalar doc[i:end] does not fit the field, or nil.
func (f *field) checkLeaf(doc []byte, i, end int) *cause {
	raw := doc[i:end]
	text := string(raw)
	if raw[0] == '"' {
		text = unquote(raw)
	}
	if isTrue(f.params.get("ignore_malformed")) {
		return nil
	}
	switch f.kind {
	case "long", "integer", "short", "byte":
		return checkInteger(f.kind, doc, i, end, text)
	case "float", "double", "half_float", "scaled_float":
		return checkFloat(f.kind, doc, i, end, text)
	case "boolean":
		switch {
		case raw[0] == 't' || raw[0] == 'f':
		case raw[0] != '"':
			return tokenError(doc, end, jsonParse, contentParse, "Current token ("+tokenName(raw[0])+") not of boolean type")
		case text != "" && text != "true" && text != "false":
			return &cause{kind: "illegal_argument_exception", reason: "Failed to parse value [" + text + "] as only [true] or [false] are allowed."}
		}
	case "date", "date_nanos":
		if _, err := f.date(text, false); err != nil {
			return badDate(text, f.dateFormat())
		}
	case "ip":
		if _, err := netip.ParseAddr(text); err != nil {
			return &cause{kind: "illegal_argument_exception", reason: "'" + text + "' is not an IP string literal."}
		}
	}
	return nil
}

func badDate(text, format string) *cause {
	return &cause{kind: "illegal_argument_exception", reason: "failed to parse date field [" + text + "] with format [" + format + "]",
		inner: &cause{kind: "date_time_parse_exception", reason: "Failed to parse with all enclosed parsers"}}
}

func checkInteger(kind string, doc []byte, i, end int, text string) *cause {
	spec := integers[kind]
	outside := &cause{kind: "illegal_argument_exception", reason: "Value [" + text + "] is out of range for " + spec.article}
	switch c := doc[i]; {
	case c == 't' || c == 'f':
		return tokenError(doc, end, jsonParse, contentParse, "Current token ("+tokenName(c)+") not numeric, can not use numeric value accessors")
	case c == '"' && text == "":
		return nil
	case c == '"':
		f, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil && !errors.Is(err, strconv.ErrRange) || strings.ContainsAny(text, "_xX"):
			if kind == "long" {
				return inputString("illegal_argument_exception", text)
			}
			return inputString("number_format_exception", text)
		case f < float64(spec.least) || f >= -float64(math.MinInt64) || kind != "long" && f > float64(spec.most):
			return outside
		}
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err == nil && n >= spec.least && n <= spec.most:
	case err == nil && spec.name == "int" && kind != "integer" && n >= math.MinInt32 && n <= math.MaxInt32:
		return outside
	case err == nil || !bytes.ContainsAny(doc[i:end], ".eE") || kind == "long" && !inside(text, spec.least, spec.most):
		least, most := spec.least, spec.most
		if spec.name == "int" {
			least, most = math.MinInt32, math.MaxInt32
		}
		return tokenError(doc, end, "input_coercion_exception", contentParse, fmt.Sprintf("Numeric value (%s) out of range of %s (%d - %d)", text, spec.name, least, most))
	default:
		if !inside(text, spec.least, spec.most) {
			return outside
		}
	}
	return nil
}

func inside(text string, least, most int64) bool {
	f, _ := strconv.ParseFloat(text, 64) // beyond all numbers: infinite
	return f >= float64(least) && f <= float64(most)
}

func checkFloat(kind string, doc []byte, i, end int, text string) *cause {
	if c := doc[i]; c == 't' || c == 'f' {
		return tokenError(doc, end, jsonParse, contentParse, "Current token ("+tokenName(c)+") not numeric, can not use numeric value accessors")
	}
	if text == "" {
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || strings.ContainsAny(text, "_xX") {
		return inputString("number_format_exception", text)
	}
	if kind == "float" {
		v = float64(float32(v))
	}
	if math.IsInf(v, 0) || math.IsNaN(v) {
		shown := strings.Replace(strings.TrimPrefix(fmt.Sprint(v), "+"), "Inf", "Infinity", 1)
		return &cause{kind: "illegal_argument_exception", reason: "[" + kind + "] supports only finite values, but got [" + shown + "]", preview: shown}
	}
	return nil
}

const defaultDateFormat = "strict_date_optional_time||epoch_millis"

func (f *field) dateFormat() string {
	if s, ok := f.params.get("format").(string); ok {
		return s
	}
	return defaultDateFormat
}

var javaDate = strings.NewReplacer("yyyy", "2006", "uuuu", "2006", "MM", "01", "dd", "02", "HH", "15", "mm", "04", "ss", "05", "SSS", "000", "XXX", "Z07:00", "'T'", "T", "'Z'", "Z")

var optionalTime = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02T15Z07:00", "2006-01-02T15", "2006-01-02", "2006-01", "2006",
	"2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05.999999999Z0700"}

// date reads a date by the field's format, as milliseconds. up rounds what the text
// leaves open up, as lte and gt of a range do.
func (f *field) date(text string, up bool) (int64, error) {
	for format := range strings.SplitSeq(f.dateFormat(), "||") {
		layouts := []string{javaDate.Replace(format)}
		switch {
		case format == "epoch_millis" || format == "epoch_second":
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				continue
			}
			if format == "epoch_second" {
				n *= 1000
			}
			return int64(n), nil
		case strings.Contains(format, "date") && strings.Contains(format, "time"):
			layouts = optionalTime
		case format == "strict_date" || format == "date":
			layouts = []string{"2006-01-02"}
		case strings.ContainsAny(format, "_") || !strings.ContainsAny(format, "yu"):
			return 0, nil // a format elasticsim does not know takes any text
		}
		for _, layout := range layouts {
			t, err := time.Parse(layout, text)
			if err != nil {
				continue
			}
			if up {
				switch {
				case layout == "2006":
					t = t.AddDate(1, 0, 0).Add(-time.Millisecond)
				case layout == "2006-01":
					t = t.AddDate(0, 1, 0).Add(-time.Millisecond)
				case layout == "2006-01-02":
					t = t.AddDate(0, 0, 1).Add(-time.Millisecond)
				}
			}
			return t.UnixMilli(), nil
		}
	}
	return 0, errors.New("no date")
}
