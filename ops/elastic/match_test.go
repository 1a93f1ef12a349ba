package elastic

import "testing"

func TestGlob(t *testing.T) {
	tests := []struct {
		pattern, text string
		want          bool
	}{
		{"n2", "n2", true}, {"n2", "n22", false}, {"n*", "n2", true}, {"*", "", true}, {"*2", "n2", true},
		{"a*b*c", "a-b-c", true}, {"a*b*c", "abc", true}, {"a*b*c", "acb", false}, {"a*a", "a", false}, {"*ab*", "xaby", true},
	}
	for _, tt := range tests {
		if got := Glob(tt.pattern, tt.text); got != tt.want {
			t.Errorf("Glob(%q, %q) = %v", tt.pattern, tt.text, got)
		}
	}
}

func TestTurnsAway(t *testing.T) {
	n := Node{ID: "ID2", Name: "n2", IP: "10.0.0.2", Host: "es2", Attributes: map[string]string{"zone": "b", "rack": "r2"}}
	tests := []struct {
		family string
		t      texts
		want   bool
	}{
		{exclude, texts{}, false},
		{exclude, texts{pers("zone"): "spot"}, false},
		{exclude, texts{pers("zone"): "spot,b"}, true},
		{exclude, texts{pers("zone"): "b", trans("zone"): "spot"}, false}, // transient wins
		{exclude, texts{pers("_ip"): "10.0.0.*"}, true},
		{exclude, texts{pers("_host"): "es2"}, true},
		{exclude, texts{pers("_id"): "ID*"}, false}, // ids are taken to the letter
		{include, texts{pers("zone"): "a"}, true},
		{include, texts{pers("zone"): "a", pers("rack"): "r2"}, false}, // one is enough
		{require, texts{pers("zone"): "b", pers("rack"): "r2"}, false},
		{require, texts{pers("zone"): "b", pers("rack"): "r1"}, true}, // all are needed
		{require, texts{pers("zone"): "a,b"}, true},
	}
	for _, tt := range tests {
		if got := turnsAway(tt.family, tt.t, n); got != tt.want {
			t.Errorf("%s %v turns n2 away: %v", tt.family, tt.t, got)
		}
	}
}
