package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"
)

func TestManifest(t *testing.T) {
	c := Config{Slack: SlackConfig{Command: "/twokey"}}
	for _, m := range []struct {
		file   string
		socket bool
		base   string
	}{
		{"manifest_socket.json", true, ""},
		{"manifest_http.json", false, "https://ops.example.com/bot/"},
	} {
		t.Run(m.file, func(t *testing.T) {
			got, err := Manifest(c, m.socket, m.base)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join("testdata", m.file))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("not as in testdata:\n%s", d)
			}
			// Slack's own names: slack-go knows every key that is there.
			var known slack.Manifest
			strict := json.NewDecoder(bytes.NewReader(got))
			strict.DisallowUnknownFields()
			if err := strict.Decode(&known); err != nil {
				t.Fatal(err)
			}
			if known.Settings.SocketModeEnabled != m.socket || !known.Features.SlashCommands[0].ShouldEscape ||
				known.Features.SlashCommands[0].Command != "/twokey" || !known.Settings.Interactivity.IsEnabled {
				t.Errorf("read back as %+v", known)
			}
		})
	}
	for _, base := range []string{"", "ops.example.com", "http://ops.example.com", "https://", "https://me:pw@ops.example.com", "https://ops.example.com?x=1"} {
		if _, err := Manifest(c, false, base); err == nil {
			t.Errorf("no error for the address %q", base)
		}
	}
}

// TestScopesAreDocumented compares the scopes of the manifest with the table of docs/slack.md.
func TestScopesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "slack.md"))
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, row := range regexp.MustCompile("(?m)^\\|( `[^|]*`) \\|").FindAllSubmatch(doc, -1) {
		for _, scope := range regexp.MustCompile("`([^`]+)`").FindAllSubmatch(row[1], -1) {
			named = append(named, string(scope[1]))
		}
	}
	slices.Sort(named)
	if d := cmp.Diff(slices.Sorted(slices.Values(botScopes)), named); d != "" {
		t.Errorf("docs/slack.md names other scopes than the manifest:\n%s", d)
	}
}
