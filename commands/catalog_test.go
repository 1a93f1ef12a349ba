package commands

import (
	"slices"
	"strings"
	"testing"
)

func TestCatalogIsWhole(t *testing.T) {
	want := []string{
		"es health", "es nodes", "es shards", "es drain", "es undrain",
		"es reindex", "es reindex throttle", "es campaign", "es swap-back", "es alias-swap", "es delete-index", "es zone-move",
		"cfn describe", "cfn events", "cfn outputs", "cfn drift", "cfn validate", "cfn watch", "cfn deploy", "cfn recover", "cfn delete",
		"image list", "image build", "image promote", "image cleanup", "ecs status", "ecs deploy", "scale ecs", "scale asg",
		"asg describe", "asg refresh", "ec2 terminate", "s3 create", "site sync", "sqs create", "sqs watch",
		"emr status", "emr create", "emr step", "emr terminate", "dns show", "dns switch",
		"list", "show", "approve", "decline", "cancel", "pause", "resume", "env", "help",
	}
	var got []string
	for _, s := range Catalog() {
		got = append(got, s.Kind())
	}
	if !slices.Equal(got, want) {
		t.Errorf("kinds = %q\nwant    %q", got, want)
	}
}

func TestCatalogEntries(t *testing.T) {
	for _, s := range Catalog() {
		t.Run(s.Kind(), func(t *testing.T) {
			if s.Summary == "" || strings.HasSuffix(s.Summary, ".") {
				t.Errorf("summary %q: want one line without a full stop", s.Summary)
			}
			if s.Own != (s.Class == "") || s.Own == s.Env {
				t.Errorf("own %v, class %q, env %v do not go together", s.Own, s.Class, s.Env)
			}
			if s.Class != "" && classes[s.Class] == "" {
				t.Errorf("class %q is unknown", s.Class)
			}
			for i, a := range s.Args {
				if last := i == len(s.Args)-1; (a.Repeat || a.Rest || a.Optional) && !last {
					t.Errorf("argument %s: only the last may repeat, be optional or be the rest", a.Name)
				}
			}
			for _, w := range s.Path {
				if w != strings.ToLower(w) {
					t.Errorf("path word %q is not in lower case", w)
				}
			}
			if len(s.Path) > 1 && nouns[s.Path[0]] == "" {
				t.Errorf("noun %q is not explained", s.Path[0])
			}
			if len(s.Examples) == 0 {
				t.Error("no example")
			}
			for _, e := range s.Examples {
				if inv, err := Parse(e, vocabulary); err != nil {
					t.Errorf("example %q: %v", e, err)
				} else if inv.Kind != s.Kind() {
					t.Errorf("example %q is a %q", e, inv.Kind)
				}
			}
		})
	}
}
