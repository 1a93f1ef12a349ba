package indices_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"twokey/ops"
	"twokey/ops/elastic/indices"
)

var campaigns = filepath.Join("testdata", "campaigns")

func TestLoadCampaign(t *testing.T) {
	for name, want := range map[string]indices.CampaignFile{
		"full": {
			From: "v1_*", To: "v2_*", Skip: []string{"v1_test", "v1_tmp-*"}, Priority: []string{"v1_7", "v1_big-*"}, Order: "priority",
			Writes: "dual", Register: "dashboard-*",
			Shards: "auto", AtOnce: 4, Until: 72 * time.Hour, MaxImpact: "low", Throttle: 5000, Quarantine: true,
			Attr: "zone", IndexingZone: "envrack", ProductionZones: []string{"barack", "chirack"},
		},
		"pairs": {
			Pairs: []indices.Pair{{From: "orders", To: "orders-2"}, {From: "customers", To: "customers-2"}},
			Order: "given", Writes: "catchup", Shards: "3",
		},
		"skipped": {From: "dashboard-*", To: "dashboard-*-v2", Skip: []string{"*-v2"}},
	} {
		got, err := indices.LoadCampaign(campaigns, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

// Each archive holds a file and the message about it.
func TestCampaignMistakes(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(campaigns, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d archives, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := indices.ParseCampaign(a.Files[0].Name, a.Files[0].Data)
			if err == nil {
				t.Fatal("no mistake found")
			}
			if d := cmp.Diff(string(a.Files[1].Data), err.Error()+"\n"); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(indices.CampaignFile{}, c); d != "" {
				t.Errorf("a campaign beside an error:\n%s", d)
			}
		})
	}
}

func TestCampaigns(t *testing.T) {
	got, err := indices.Campaigns(campaigns)
	if d := cmp.Diff([]string{"full", "pairs", "skipped"}, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	if _, err := indices.Campaigns("nowhere"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// TestCampaignErrors: what people are told when there is no campaign to read.
func TestCampaignErrors(t *testing.T) {
	empty, broken := t.TempDir(), t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(broken, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one.yaml", "from: v1_*\n")
	write("many.yaml", strings.Repeat("x: 1\n", 12))
	write(".hidden.yaml", "")
	write("other.txt", "")
	if err := os.Mkdir(filepath.Join(broken, "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, name, what, next string }{
		{"", "full", "no folder of campaign files", "campaigns under the environment's elasticsearch"},
		{campaigns, "fulll", `no campaign "fulll"`, "Did you mean full? These are there: full, pairs, skipped."},
		{campaigns, "../campaigns/full", `no campaign "../campaigns/full"`, "full, pairs, skipped"},
		{campaigns, "full.yaml", `no campaign "full.yaml"`, "full, pairs, skipped"},
		{campaigns, "", `no campaign ""`, "full, pairs, skipped"},
		{empty, "full", `no campaign "full"`, "holds none; their names end in .yaml"},
		{"nowhere", "full", "folder of campaign files cannot be read", "Check campaigns in the configuration"},
		{broken, "folder", "The campaign file folder.yaml cannot be read", "rights"},
		{broken, "none", `no campaign "none"`, "many, one"},
		{broken, "one", "The campaign file is wrong: one.yaml:1:1: from: needs to", "Correct the file"},
		{broken, "many", "The campaign file many.yaml has 13 mistakes:\nmany.yaml:1:1: ", "Correct the file"},
		{broken, "many", "\nand 3 more", "Correct the file"},
	} {
		_, err := indices.LoadCampaign(c.dir, c.name)
		var u *ops.UserError
		if !errors.As(err, &u) {
			t.Errorf("%q: %v", c.name, err)
			continue
		}
		if !strings.Contains(u.What, c.what) || !strings.Contains(u.Next, c.next) {
			t.Errorf("%q: %s | %s\nwant: %s | %s", c.name, u.What, u.Next, c.what, c.next)
		}
		if strings.Contains(u.What+u.Next, broken) {
			t.Errorf("%q: shows where the files lie: %s", c.name, u.What)
		}
	}
}

// FuzzParseCampaign: whatever is accepted says which indices.
func FuzzParseCampaign(f *testing.F) {
	for _, name := range []string{"full", "pairs"} {
		src, err := os.ReadFile(filepath.Join(campaigns, name+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	f.Fuzz(func(t *testing.T, src string) {
		c, err := indices.ParseCampaign("x.yaml", []byte(src))
		if err == nil && (c.From == "" || c.To == "") == (len(c.Pairs) == 0) {
			t.Errorf("accepted, without saying once what: %+v", c)
		}
	})
}

// The example in the documentation is a right one, and has every key but pairs.
func TestDocumentedCampaign(t *testing.T) {
	const doc = "../../../docs/campaigns.md"
	src, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(src), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatalf("%s has no yaml example", doc)
	}
	got, err := indices.ParseCampaign(doc, []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	want, err := indices.LoadCampaign(campaigns, "full")
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	_, rest, _ = strings.Cut(rest, "    ```yaml\n") // that of the dashboards
	example, _, found = strings.Cut(strings.ReplaceAll("\n"+rest, "\n    ", "\n"), "```")
	if _, err := indices.ParseCampaign(doc, []byte(example)); !found || err != nil {
		t.Errorf("the second example: %v", err)
	}
}
