package commands

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHelpCommand(t *testing.T) {
	want := Page{
		Title: "es undrain: let nodes hold shards again (R1)",
		Usage: "/ops es undrain NODE… [--env NAME]",
		Text: []string{
			"Removes the nodes' names from the allocation exclusion; other exclusions stay as they are.",
			classes["R1"],
		},
		Rows: []Row{
			{"NODE…", "a node's exact name"},
			{"--env NAME", "the environment: prod, staging, india; without it staging"},
		},
		Examples: []string{"/ops es undrain n3 --env staging"},
	}
	for _, words := range [][]string{{"es", "undrain"}, {"ES", "Undrain"}, {"/ops", "es", "undrain"}, {"es", "undrain", "n3"}} {
		got, err := Help(words, vocabulary)
		if err != nil {
			t.Errorf("Help(%q): %v", words, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("Help(%q) (-want +got):\n%s", words, d)
		}
	}
}

func TestHelpGroup(t *testing.T) {
	want := Page{
		Title: "dns: DNS records",
		Usage: "/ops dns COMMAND",
		Text: []string{
			"Environments: prod, staging, india; without --env it is staging.",
			"/ops help dns show explains one of them.",
		},
		Rows: []Row{
			{"dns show NAME…", "a record as its provider and each authoritative server say (R0)"},
			{"dns switch NAME…", "point DNS records to a new stack or instance (R2)"},
		},
		Examples: []string{
			"/ops dns show www.example.org --env staging", "/ops dns switch www.example.org --to stack:web-2 --env staging",
		},
	}
	got, err := Help([]string{"dns"}, vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// Help of every level names every command and flag, and its examples can be typed.
func TestHelpIsComplete(t *testing.T) {
	all, err := Help(nil, vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	heads := map[string]bool{}
	for _, r := range all.Rows {
		if r.Term == "" && (r.Meaning == "" || heads[r.Meaning]) {
			t.Errorf("the heading %q is empty or there twice", r.Meaning)
		}
		heads[r.Meaning] = r.Term == ""
	}
	for _, s := range Catalog() {
		if !slices.ContainsFunc(all.Rows, func(r Row) bool { return r == rows([]Spec{s})[0] }) {
			t.Errorf("help does not list %s", s.Kind())
		}
	}
	pages := []Page{all}
	for _, s := range Catalog() {
		for n := 1; n <= len(s.Path); n++ {
			p, err := Help(s.Path[:n], vocabulary)
			if err != nil {
				t.Fatalf("Help(%q): %v", s.Path[:n], err)
			}
			pages = append(pages, p)
		}
		p := pages[len(pages)-1]
		for _, f := range s.Flags {
			shown := strings.Contains(p.Usage, "--"+f.Name) || strings.Contains(p.Usage, "[FLAG…]")
			if !shown || f.Required && strings.Contains(p.Usage, "[--"+f.Name) || !slices.Contains(p.Rows, Row{flagForm(f), f.Summary}) {
				t.Errorf("help of %s does not explain --%s: %+v", s.Kind(), f.Name, p)
			}
		}
	}
	for _, p := range pages {
		for _, e := range p.Examples {
			if _, err := Parse(e, vocabulary); err != nil {
				t.Errorf("%s: example %q: %v", p.Title, e, err)
			}
		}
	}
}

func TestHelpUnknown(t *testing.T) {
	tests := []struct{ words, what, next string }{
		{"drain", `there is no command "drain"`, "Did you mean /ops es drain? /ops help lists all commands."},
		{"es drian", `there is no command "es drian"`, "Did you mean /ops es drain? /ops help lists all commands."},
		{"zzz", `there is no command "zzz"`, "/ops help lists all commands."},
	}
	for _, tt := range tests {
		_, err := Help(strings.Fields(tt.words), vocabulary)
		var usage *UsageError
		if !errors.As(err, &usage) {
			t.Fatalf("Help(%q): %v, want a *UsageError", tt.words, err)
		}
		if want := (UsageError{tt.what, tt.next}); *usage != want {
			t.Errorf("Help(%q): %+v\nwant %+v", tt.words, *usage, want)
		}
	}
}
