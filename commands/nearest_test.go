package commands

import "testing"

func TestNearest(t *testing.T) {
	tests := []struct {
		word  string
		known []string
		want  string
	}{
		{"drian", []string{"health", "drain", "undrain"}, "drain"},
		{"PRDO", []string{"prod", "staging"}, "prod"},
		{"stag", []string{"prod", "staging"}, "staging"},
		{"st", []string{"staging", "stable"}, ""}, // the beginning of both
		{"s", []string{"staging"}, ""},            // too short to tell
		{"Prod", []string{"prod"}, "prod"},
		{"n4", []string{"n1", "n2", "n3"}, ""}, // another node, not a slip
		{"data-12", []string{"data-1", "data-2"}, ""},
		{"dta-1", []string{"data-1", "query-1"}, "data-1"},
		{"dta-1", []string{"data-1", "data-2"}, "data-1"},
		{"cat", []string{"bat", "hat"}, ""}, // as near to both
		{"xyzzy", []string{"prod", "staging"}, ""},
		{"", []string{"prod"}, ""},
		{"prod", nil, ""},
	}
	for _, tt := range tests {
		got, ok := Nearest(tt.word, tt.known)
		if ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("Nearest(%q, %q) = %q, %v; want %q", tt.word, tt.known, got, ok, tt.want)
		}
	}
}
