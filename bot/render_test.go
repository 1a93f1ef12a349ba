package bot

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"twokey/approvals"
	"twokey/commands"
	"twokey/ops"
)

var update = flag.Bool("update", false, "write the golden files of the renderer")

func at(min int) time.Time { return time.Date(2026, 11, 21, 10, min, 0, 0, time.UTC) }

func ptr(s string) *string { return &s }

func drainPlan() ops.Plan {
	return ops.Plan{
		Call:    ops.Call{Kind: "es drain", Environment: "staging", Args: []string{"n3"}},
		Class:   ops.R2,
		Title:   "Drain n3 in staging",
		Effect:  "moves 24 shards (1.2 TB) off n3",
		Targets: []string{"n3"},
		Steps: []ops.StepRef{
			{Name: "exclude", Title: "exclude n3 from allocation"},
			{Name: "empty", Title: "wait until n3 holds no shard"},
		},
		Undo:     []string{"n3 is taken out of the exclusion again"},
		Keeps:    []string{"n3 stays excluded from allocation"},
		Shown:    []ops.Line{{Label: "Health", Text: "green"}, {Label: "Filters", Text: `exclude.zone = "spot" <by hand>`}},
		Warnings: []string{"logs-1 has a single copy on n3"},
		Estimate: ops.Estimate{Low: 20 * time.Minute, High: 80 * time.Minute, Basis: "at 40 MB/s"},
	}
}

func pending() approvals.Request {
	p := drainPlan()
	sealed, err := seal(p)
	if err != nil {
		panic(err)
	}
	return approvals.Request{
		ID: "01J9ZZZZZZZZZZZZZZZZABCDEF", Environment: "staging", Class: "R2", Title: p.Title, Digest: strings.Repeat("0123456789abcdef", 4), Sealed: sealed,
		Requester: "U0ANN", Rule: approvals.Rule{Quorum: 2, Groups: []string{"S0SRE"}, Users: []string{"U0LEAD"}},
		State: approvals.Pending, CreatedAt: at(0), ExpiresAt: at(59),
		Votes: []approvals.Vote{{Voter: "U0BOB", Approve: true, Via: approvals.ViaButton, At: at(1), Digest: strings.Repeat("0123456789abcdef", 4)}},
	}
}

func running() *ops.Run {
	return &ops.Run{
		ID: pending().ID, Plan: drainPlan(), Requester: "U0ANN", State: ops.Running, Step: 1, CreatedAt: at(2), StartedAt: at(2), StepAt: at(3),
		Status: ops.Status{Headline: "7 of 24 shards left on n3", Done: 17, Total: 24, Unit: "shards", Lines: []string{"312 MB/s", "400 GB left"}, ETALow: 20 * time.Minute, ETAHigh: 25 * time.Minute},
	}
}

func with[T any](v T, f func(*T)) T { f(&v); return v }

// The golden files are what a reviewer of a changed text should look at.
func TestRenderGolden(t *testing.T) {
	exclude := ops.Change{Resource: "cluster staging", Scope: "persistent", Setting: "cluster.routing.allocation.exclude._name", Intended: ptr("n3"), After: ptr("n3"), State: ops.Kept}
	ended := func(s ops.State) *ops.Run {
		return with(running(), func(r **ops.Run) {
			(*r).State, (*r).EndedAt = s, at(40)
			(*r).Journal = []ops.Change{exclude}
			if s == ops.Succeeded {
				(*r).Status = ops.Status{Headline: "n3 holds no shard", Done: 24, Total: 24, Unit: "shards"}
			}
		})
	}
	launched := with(pending(), func(r *approvals.Request) { r.State = approvals.Launched })
	draw := func(r approvals.Request, run *ops.Run, successor string) func() (string, []slack.Block) {
		return card{request: r, plan: drainPlan(), run: run, successor: successor, command: "/ops"}.render
	}
	for name, f := range map[string]func() (string, []slack.Block){
		"card_pending":  draw(pending(), nil, ""),
		"card_approved": draw(with(pending(), func(r *approvals.Request) { r.State = approvals.Approved }), nil, ""),
		"card_declined": draw(with(pending(), func(r *approvals.Request) {
			r.State, r.By, r.Reason = approvals.Declined, "U0LEAD", "not during <!channel> & the sale"
			r.Votes = append(r.Votes, approvals.Vote{Voter: "U0LEAD", At: at(4), Reason: r.Reason})
		}), nil, ""),
		"card_expired":   draw(with(pending(), func(r *approvals.Request) { r.State = approvals.Expired }), nil, ""),
		"card_cancelled": draw(with(pending(), func(r *approvals.Request) { r.State, r.By = approvals.Cancelled, "U0ANN" }), nil, ""),
		"card_running":   draw(launched, running(), ""),
		"card_paused":    draw(launched, with(running(), func(r **ops.Run) { (*r).State, (*r).Reason = ops.Paused, "health is red" }), ""),
		"card_done":      draw(launched, ended(ops.Succeeded), ""),
		"card_failed":    draw(launched, with(ended(ops.FailedRun), func(r **ops.Run) { (*r).Reason = "12 shards still on n3 after 6 h" }), ""),
		"card_left": draw(launched, with(ended(ops.Cancelled), func(r **ops.Run) {
			(*r).By, (*r).Journal = "U0BOB", []ops.Change{{Setting: "a", State: ops.Restored}, {Setting: "b", State: ops.Left}}
		}), ""),
		"card_flags": func() (string, []slack.Block) {
			p := drainPlan()
			p.Call.Flags, p.Params = map[string]string{"release": "true", "note": "a `b"}, map[string]string{"cluster": "AjpbLoe-uuid"}
			return card{request: pending(), plan: p, command: "/ops"}.render()
		},
		"show_running": func() (string, []slack.Block) {
			return renderShow(launched, with(running(), func(r **ops.Run) {
				c := exclude
				c.State, c.Intended = ops.Written, nil
				(*r).Journal = []ops.Change{c}
			}))
		},
		"show_done": func() (string, []slack.Block) { return renderShow(launched, ended(ops.Succeeded)) },
		"card_superseded": draw(with(launched, func(r *approvals.Request) { r.SupersededBy = "01J9ZZZZZZZZZZZZZZZZGHJKMN" }),
			with(ended(ops.Superseded), func(r **ops.Run) { (*r).Changed = []string{"health is yellow"} }), "https://home.slack.com/archives/C0OPS/p1790000000000100"),
		"status_running": func() (string, []slack.Block) { return renderStatus(*running(), "/ops", 1) },
		"status_paused": func() (string, []slack.Block) {
			return renderStatus(*with(running(), func(r **ops.Run) {
				(*r).State, (*r).Reason, (*r).Errors, (*r).LastError = ops.Paused, "health is red", 3, "no master"
			}), "/ops", 1)
		},
		"status_begun": func() (string, []slack.Block) {
			return renderStatus(*with(running(), func(r **ops.Run) {
				(*r).Status = ops.Status{Headline: "24 of 24 shards left on n3", Total: 24, Unit: "shards", Lines: []string{"1.2 TB left"}}
			}), "/ops", 1)
		},
		"card_campaign": func() (string, []slack.Block) {
			p, r := campaignPlan(), pending()
			r.Title = p.Title
			return card{request: r, plan: p, command: "/ops"}.render()
		},
		"status_campaign": func() (string, []slack.Block) {
			run := running()
			run.Plan, run.Step, run.Status = campaignPlan(), 0, ops.Status{Headline: "1,204 of 3,000 indices done", Done: 1204, Total: 3000, Unit: "indices", Lines: campaignLines(30)}
			return renderStatus(*run, "/ops", 1)
		},
		"status_done": func() (string, []slack.Block) { return renderStatus(*ended(ops.Succeeded), "/ops", 1) },
		"event_paused": func() (string, []slack.Block) {
			return renderEvent(ops.Event{Kind: ops.WasPaused, Text: "Paused by <@U0BOB>. <!here>"}, "/ops", pending().ID)
		},
		"ending": func() (string, []slack.Block) {
			r := *ended(ops.Succeeded)
			left := exclude
			left.Setting, left.State, left.Reason, left.Before = "cluster.routing.allocation.exclude.zone", ops.Left, "changed by somebody else meanwhile", ptr("spot")
			back, undone := exclude, exclude
			back.Setting, back.State, back.After = "a", ops.Restored, ptr("found")
			undone.Setting, undone.State, undone.Intended, undone.After = "b", ops.Restored, nil, nil
			r.Journal = append(r.Journal, left, back, undone)
			return renderEnding(r, ops.Event{Kind: ops.Ending, Text: "Done: Drain n3 in staging: n3 holds no shard.\n• cluster staging: …"})
		},
		"event_without_file": func() (string, []slack.Block) {
			text, blocks := renderEvent(ops.Event{Kind: ops.Milestone, Text: "40 documents were refused & are listed."}, "/ops", pending().ID)
			list := ""
			for i := range 40 {
				list += fmt.Sprintf("doc-%d\tfailed to parse field [amount] of type [long]: `<%d>`\n", i, i)
			}
			m := renderWithoutFile(Message{Text: text, Blocks: encodeBlocks(blocks), File: &File{Name: "refused.tsv", Content: list}}, "this workspace allows no uploads")
			var all slack.Blocks
			if err := json.Unmarshal(m.Blocks, &all); err != nil {
				panic(err)
			}
			return m.Text, all.BlockSet
		},
		"show": func() (string, []slack.Block) { return renderShow(pending(), nil) },
		"list": func() (string, []slack.Block) {
			return renderList([]approvals.Request{pending()}, []ops.Run{*running()}, []ops.Run{*ended(ops.Succeeded)})
		},
		"list_empty": func() (string, []slack.Block) { return renderList(nil, nil, nil) },
		"answer": func() (string, []slack.Block) {
			return renderAnswer(ops.Answer{Title: "staging: green, 3 nodes", Lines: []string{"No shard moves."},
				Table: &ops.Table{Columns: []string{"node", "zone", "shards"}, Rows: [][]string{{"n1", "a", "24"}, {"n2-long", "<b>", "7"}}}})
		},
		"page_many_flags": func() (string, []slack.Block) {
			p, err := commands.Help([]string{"es", "reindex"}, commands.Vocabulary{Command: "/ops", Environments: []string{"prod", "staging"}, DefaultEnvironment: "staging"})
			if err != nil {
				panic(err)
			}
			return renderPage(p)
		},
		"page": func() (string, []slack.Block) {
			return renderPage(commands.Page{Title: "es drain: move all shards off nodes (R2)", Usage: "/ops es drain NODE… [--env NAME]",
				Text: []string{"Waits until they are empty."}, Rows: []commands.Row{{Term: "--release", Meaning: "take them in again & end"}}, Examples: []string{"/ops es drain n3"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, blocks := f()
			checkLimits(t, text, blocks)
			got := "text: " + text + "\n\n" + drawn(t, blocks)
			file := filepath.Join("testdata", "render", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got; -update rewrites):\n%s", file, diff)
			}
		})
	}
}

// All of help fits into a message.
func TestHelpFits(t *testing.T) {
	v := commands.Vocabulary{Command: "/ops", Environments: []string{"prod", "staging", "india", "development"}}
	asked := [][]string{nil}
	for _, s := range commands.Catalog() {
		for n := range s.Path {
			asked = append(asked, s.Path[:n+1])
		}
	}
	for _, words := range asked {
		p, err := commands.Help(words, v)
		if err != nil {
			t.Fatal(err)
		}
		text, blocks := renderPage(p)
		checkLimits(t, text, blocks)
		if all := drawn(t, blocks); strings.Contains(all, "… there is more") {
			t.Errorf("help of %q is cut", words)
		}
	}
}

// drawn writes blocks down the way a person would read them.
func drawn(t *testing.T, blocks []slack.Block) string {
	t.Helper()
	var b strings.Builder
	for _, block := range blocks {
		switch v := block.(type) {
		case *slack.SectionBlock:
			fmt.Fprintf(&b, "[section]\n%s\n\n", v.Text.Text)
		case *slack.ContextBlock:
			fmt.Fprintf(&b, "[context]\n%s\n\n", v.ContextElements.Elements[0].(*slack.TextBlockObject).Text)
		case *slack.ActionBlock:
			for _, e := range v.Elements.ElementSet {
				button := e.(*slack.ButtonBlockElement)
				fmt.Fprintf(&b, "[button %s %s %s]\n", button.ActionID, button.Text.Text, button.Value)
			}
		default:
			t.Fatalf("block %T", block)
		}
	}
	return b.String()
}

// checkLimits fails if Slack would refuse the message.
func checkLimits(t *testing.T, text string, blocks []slack.Block) {
	t.Helper()
	if text == "" || size(text) > maxText {
		t.Errorf("text has %d characters", size(text))
	}
	if len(blocks) > 50 {
		t.Errorf("%d blocks", len(blocks))
	}
	var all []map[string]any
	if err := json.Unmarshal(encodeBlocks(blocks), &all); err != nil {
		t.Fatal(err)
	}
	sum := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if s, ok := v["text"].(string); ok {
				if size(s) > 3000 || s == "" {
					t.Errorf("a text of %d characters", size(s))
				}
				sum += size(s)
				if strings.Count(s, "<") != strings.Count(s, ">") {
					t.Errorf("a token is cut: %s", s)
				}
			}
			for _, e := range v {
				walk(e)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	for _, b := range all {
		walk(b)
	}
	if sum > maxSummed+100 {
		t.Errorf("%d characters in all", sum)
	}
}

// Whatever the plan holds, the message is one Slack takes, keeps what people decide by,
// and says what it left out.
func TestRenderHuge(t *testing.T) {
	many := func(s string) []string {
		out := make([]string, 1000)
		for i := range out {
			out[i] = fmt.Sprintf("%s %d <!channel> & %s", s, i, strings.Repeat("😀<", 400))
		}
		return out
	}
	p := drainPlan()
	p.Title, p.Effect = strings.Repeat("<&>", 3000), strings.Repeat("&", 5000)
	p.Targets, p.Undo, p.Keeps, p.Warnings = many("target"), many("undo"), many("keeps"), many("warning")
	p.Params, p.Call.Flags = map[string]string{}, map[string]string{}
	for _, s := range many("x") {
		p.Steps = append(p.Steps, ops.StepRef{Title: s})
		p.Shown = append(p.Shown, ops.Line{Label: s, Text: s})
		p.Params[s], p.Call.Flags[s] = s, s
	}
	r := pending()
	r.Title = p.Title
	for i := range 100 {
		r.Votes = append(r.Votes, approvals.Vote{Voter: fmt.Sprintf("U%d", i), Approve: true, At: at(1), Reason: p.Effect})
		r.Rule.Groups = append(r.Rule.Groups, fmt.Sprintf("S%d", i))
	}
	text, blocks := card{request: r, plan: p, command: "/ops"}.render()
	checkLimits(t, text, blocks)
	all := drawn(t, blocks)
	for _, want := range []string{"… and ", "*Needs 2 approvals*", "Expires <!date^", "[button approve", "digest `0123456789ab`", "*Steps*", "*Mind*"} {
		if !strings.Contains(all, want) {
			t.Errorf("the card lacks %q", want)
		}
	}
	if strings.Contains(text+all, "<!channel") {
		t.Error("a broadcast was echoed")
	}

	run := running()
	run.Plan, run.Reason, run.LastError, run.Errors, run.Changed = p, p.Effect, p.Effect, 3, p.Undo
	run.Status.Headline, run.Status.Lines, run.Status.Unit = p.Title, p.Undo, p.Title
	for i := range 1000 {
		run.Journal = append(run.Journal, ops.Change{Key: fmt.Sprint(i), Resource: p.Title, Setting: fmt.Sprint(i), State: []ops.ChangeState{ops.Left, ops.Kept, ops.Restored, ops.Intended}[i%4], Reason: p.Effect})
	}
	for _, s := range []ops.State{ops.Starting, ops.Running, ops.Paused, ops.Undoing, ops.Succeeded, ops.FailedRun, ops.Cancelled, ops.Superseded} {
		run.State = s
		text, blocks := renderStatus(*run, "/ops", 1)
		checkLimits(t, text, blocks)
		text, blocks = renderEnding(*run, ops.Event{Kind: ops.Ending, Text: strings.Join(many("text"), " ")})
		checkLimits(t, text, blocks)
		if !strings.Contains(drawn(t, blocks), "*Left changed*") {
			t.Error("an ending does not say what was left")
		}
		done := r
		done.State = approvals.Launched
		text, blocks = renderShow(done, run)
		checkLimits(t, text, blocks)
	}
	text, blocks = renderEvent(ops.Event{Kind: ops.WasPaused, Text: p.Title}, "/ops", run.ID)
	checkLimits(t, text, blocks)
	for _, content := range []string{strings.Repeat("😀<&", 100_000), strings.Join(many("line"), "\n"), "\n", "```"} {
		m := renderWithoutFile(Message{Text: clip(strings.Repeat("&<", 3000), 2800), File: &File{Name: p.Effect, Content: content}}, whyNoFile(errors.New(p.Effect)))
		blocks, err := decodeBlocks(m.Blocks)
		if err != nil {
			t.Fatal(err)
		}
		checkLimits(t, m.Text, blocks)
		if fences := strings.Count(m.Text, "```"); fences != 2 {
			t.Errorf("%d fences in %q", fences, m.Text)
		}
	}
	var open []approvals.Request
	var live []ops.Run
	for range 500 {
		open, live = append(open, r), append(live, *run)
	}
	text, blocks = renderList(open, live, live)
	checkLimits(t, text, blocks)
	table := ops.Table{Columns: []string{"a", "b"}}
	for _, s := range many("row") {
		table.Rows = append(table.Rows, []string{s, "```" + s})
	}
	text, blocks = renderAnswer(ops.Answer{Title: p.Title, Lines: many("line"), Table: &table})
	checkLimits(t, text, blocks)
	var rows []commands.Row
	for _, s := range many("row") {
		rows = append(rows, commands.Row{Term: s, Meaning: s})
	}
	text, blocks = renderPage(commands.Page{Title: p.Title, Usage: p.Effect, Text: many("text"), Rows: rows, Examples: many("example")})
	checkLimits(t, text, blocks)
}
