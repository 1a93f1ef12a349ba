package elastic

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestTokens(t *testing.T) {
	for text, want := range map[string][]string{
		"":               nil,
		"spot":           {"spot"},
		"spot,":          {"spot"},
		" a , b c,,d ":   {"a", "b c", "d"},
		"n2,n2":          {"n2", "n2"},
		`["spot","q r"]`: {"spot", "q r"},
		`["a,b"]`:        {"a,b"},
		"[x":             {"[x"},
	} {
		if got := Tokens(text); !slices.Equal(got, want) {
			t.Errorf("Tokens(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestRespell(t *testing.T) {
	tests := []struct {
		set  []string
		not  []string
		want string
	}{
		{[]string{"spot"}, nil, "spot"},
		{[]string{"spot"}, []string{"spot"}, "spot,spot"},
		{[]string{"spot"}, []string{"spot,"}, "spot,spot"}, // a trailing comma is no change
		{[]string{"spot"}, []string{`["spot"]`}, "spot,spot"},
		{[]string{"spot"}, []string{"spot,spot"}, "spot"},
		{[]string{"spot"}, []string{"spot,spot", "spot"}, "spot,spot,spot"},
		{[]string{"a", "b", "a"}, []string{"a,b"}, "a,b,b"},
		{[]string{"a,b", "c"}, nil, `["a,b","c"]`},
	}
	for _, tt := range tests {
		if got := respell(tt.set, tt.not...); got != tt.want {
			t.Errorf("respell(%q, %q) = %q, want %q", tt.set, tt.not, got, tt.want)
		}
	}
}

func pers(key string) slot { return slot{persistent, key} }
func trans(key string) slot {
	return slot{transient, key}
}

// shown makes changes comparable: nil is "null".
func shown(changes []change) []map[slot]string {
	var list []map[slot]string
	for _, c := range changes {
		m := map[slot]string{}
		for s, text := range c {
			m[s] = "null"
			if text != nil {
				m[s] = *text
			}
		}
		list = append(list, m)
	}
	return list
}

func TestRewrite(t *testing.T) {
	tests := []struct {
		name      string
		now, goal texts
		off       bool // not in effect now
		want      []map[slot]string
	}{
		{"nothing to do", texts{pers("zone"): "spot"}, texts{pers("zone"): "spot"}, false, nil},
		{"alone", texts{}, texts{pers("_name"): "n2"}, false, []map[slot]string{{pers("_name"): "n2"}}},
		{"beside a zone, as seen on 8.19", texts{pers("zone"): "spot"}, texts{pers("_name"): "n2,n2", pers("zone"): "spot"}, false,
			[]map[slot]string{{pers("_name"): "n2", pers("zone"): "spot,spot"}, {pers("_name"): "n2,n2", pers("zone"): "spot"}}},
		{"and out again", texts{pers("_name"): "n2,n2", pers("zone"): "spot"}, texts{pers("zone"): "spot"}, false,
			[]map[slot]string{{pers("_name"): "null", pers("zone"): "spot,spot"}, {pers("zone"): "spot"}}},
		{"each in its own scope", texts{trans("zone"): "spot"}, texts{pers("_name"): "n2,n2", trans("zone"): "spot"}, false,
			[]map[slot]string{{pers("_name"): "n2", trans("zone"): "spot,spot"}, {pers("_name"): "n2,n2", trans("zone"): "spot"}}},
		{"hidden and empty ones are left alone", texts{pers("zone"): "b", trans("zone"): "spot", pers("rack"): ""},
			texts{pers("zone"): "b", trans("zone"): "spot", pers("rack"): "", pers("_name"): "n2,n2"}, false,
			[]map[slot]string{{pers("_name"): "n2", trans("zone"): "spot,spot"}, {pers("_name"): "n2,n2", trans("zone"): "spot"}}},
		{"after a crash between the two", texts{pers("_name"): "n2", pers("zone"): "spot,spot"}, texts{pers("_name"): "n2,n2", pers("zone"): "spot"}, false,
			[]map[slot]string{{pers("_name"): "n2,n2", pers("zone"): "spot"}}},
		{"switched off by another's write", texts{pers("_name"): "n2", pers("zone"): "spot"}, texts{pers("_name"): "n2", pers("zone"): "spot"}, true,
			[]map[slot]string{{pers("_name"): "n2,n2", pers("zone"): "spot,spot"}, {pers("_name"): "n2", pers("zone"): "spot"}}},
		{"a list stays a list", texts{pers("zone"): `["spot"]`}, texts{pers("zone"): `["spot"]`, pers("_name"): "n2,n2"}, false,
			[]map[slot]string{{pers("_name"): "n2", pers("zone"): "spot,spot"}, {pers("_name"): "n2,n2", pers("zone"): `["spot"]`}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := shown(rewrite(tt.now, tt.goal, !tt.off))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// server is how Elasticsearch 8.19 treats one family: of an update it keeps only the keys
// whose values changed.
type server struct {
	set    texts
	effect map[string][]string
}

func (s *server) put(c change) {
	before := s.set.merged()
	s.set = s.set.with(c)
	s.effect = map[string][]string{}
	for key, text := range s.set.merged() {
		if list := Tokens(text); len(list) > 0 && !slices.Equal(list, Tokens(before[key])) {
			s.effect[key] = list
		}
	}
}

func drawTexts(rt *rapid.T, label string) texts {
	text := rapid.SampledFrom([]string{"a", "b", "a,b", "a,a", "b,a", " a", "a,", "", `["a"]`, `["b","a"]`})
	slots := rapid.SliceOfDistinct(rapid.Custom(func(rt *rapid.T) slot {
		return slot{rapid.SampledFrom([]scope{persistent, transient}).Draw(rt, "scope"),
			rapid.SampledFrom([]string{"_name", "zone", "rack"}).Draw(rt, "key")}
	}), func(s slot) slot { return s }).Draw(rt, label)
	t := texts{}
	for _, s := range slots {
		t[s] = text.Draw(rt, label+" text")
	}
	return t
}

// Whatever the texts before and after, every filter wanted is in effect after each update,
// and at the end the texts are those wanted.
func TestRewriteKeepsEveryFilterInEffect(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := server{set: drawTexts(rt, "now"), effect: map[string][]string{}}
		for key, text := range s.set.merged() {
			if rapid.Bool().Draw(rt, "in effect") && len(Tokens(text)) > 0 {
				s.effect[key] = Tokens(text)
			}
		}
		goal := drawTexts(rt, "goal")
		want := map[string][]string{}
		for _, l := range goal.live() {
			want[l.Key] = Tokens(goal[l])
		}
		inEffect := maps.EqualFunc(s.effect, want, slices.Equal)
		puts := rewrite(s.set, goal, inEffect)
		if len(puts) > 2 {
			rt.Fatalf("%d updates", len(puts))
		}
		for i, c := range puts {
			if len(c) == 0 {
				rt.Fatalf("update %d is empty: Elasticsearch rejects those", i)
			}
			s.put(c)
			if !maps.EqualFunc(s.effect, want, sameSet) {
				rt.Fatalf("after update %d of %v: in effect %v, want %v", i, shown(puts), s.effect, want)
			}
		}
		if !maps.Equal(s.set, goal) {
			rt.Fatalf("texts %v, want %v", s.set, goal)
		}
	})
}
