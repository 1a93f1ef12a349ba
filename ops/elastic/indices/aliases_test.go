package indices

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAliasSwapActions(t *testing.T) {
	list := []alias{
		{Name: "plain"},
		{Name: "rich", Filter: json.RawMessage(`{"term":{"a":1}}`), IndexRouting: "1", SearchRouting: "1,2", IsWriteIndex: ptr(true), IsHidden: ptr(false)},
	}
	b, err := json.Marshal(swap("v1", "v2", list))
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"remove":{"alias":"plain","index":"v1","must_exist":true}},{"remove":{"alias":"rich","index":"v1","must_exist":true}},` +
		`{"add":{"alias":"plain","index":"v2"}},` +
		`{"add":{"alias":"rich","filter":{"term":{"a":1}},"index":"v2","index_routing":"1","is_hidden":false,"is_write_index":true,"search_routing":"1,2"}}]`
	if d := cmp.Diff(want, string(b)); d != "" {
		t.Error(d)
	}
}

func TestAliasWhere(t *testing.T) {
	a := alias{Name: "x", Filter: json.RawMessage(`{"a":{"b":1,"c":2}}`), IsWriteIndex: ptr(true)}
	spaced := a
	spaced.Filter = json.RawMessage(`{"a": {"c":2, "b":1}}`)
	changed := a
	changed.IsWriteIndex = nil
	other := alias{Name: "y"}
	for _, tt := range []struct {
		name     string
		from, to []alias
		want     place
	}{
		{"before", []alias{other, a}, []alias{other}, onFrom},
		{"after", []alias{other}, []alias{a}, onTo},
		{"after, filter spelled otherwise", nil, []alias{spaced}, onTo},
		{"on both", []alias{a}, []alias{a}, elsewhere},
		{"on neither", []alias{other}, nil, elsewhere},
		{"on to with other properties", nil, []alias{changed}, elsewhere},
		{"on from with other properties", []alias{changed}, nil, elsewhere},
	} {
		if got := a.where(map[string][]alias{"f": tt.from, "t": tt.to}, "f", "t"); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestAliasText(t *testing.T) {
	for want, a := range map[string]alias{
		"x":             {Name: "x"},
		"x (routing 3)": {Name: "x", IndexRouting: "3", SearchRouting: "3"},
		"x (routing none for writing, 3 for searching)":                                {Name: "x", SearchRouting: "3"},
		`x (filter {"a":{"b":1}}, write index, hidden)`:                                {Name: "x", Filter: json.RawMessage(`{"a": {"b": 1}}`), IsWriteIndex: ptr(true), IsHidden: ptr(true)},
		"x (not the write index)":                                                      {Name: "x", IsWriteIndex: ptr(false), IsHidden: ptr(false)},
		`x (filter {"a":9007199254740993}, routing 1 for writing, none for searching)`: {Name: "x", Filter: json.RawMessage(`{"a":9007199254740993}`), IndexRouting: "1"},
	} {
		if got := a.text(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		again, err := decodeAlias(a.encode())
		if err != nil || !again.equal(a) {
			t.Errorf("%s: written down and read again %+v, %v", want, again, err)
		}
	}
}
