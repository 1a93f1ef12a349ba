package bot

import (
	"fmt"
	"strings"
	"testing"

	"twokey/ops"
)

// campaignPlan has as much as a plan about thousands of indices has.
func campaignPlan() ops.Plan {
	p := ops.Plan{
		Call: ops.Call{Kind: "es campaign", Environment: "staging", Args: []string{"v1_*"}, Flags: map[string]string{"to": "v2_*"}}, Class: ops.R2,
		Title: "Campaign v1_*: 3,000 indices in staging", Effect: "copies 3,000 indices into new ones", Params: map[string]string{"cluster": "AjpbLoe-uuid"},
		Steps: []ops.StepRef{{Title: "copy 3,000 indices"}}, Undo: []string{"indices in work are given up"}, Keeps: []string{"the old indices stay"},
	}
	for i := range 3000 {
		p.Targets = append(p.Targets, fmt.Sprintf("v1_%04d → v2_%04d", i, i))
		p.Params[fmt.Sprintf("copy v1_%04d", i)] = `{"source":"v1"}`
	}
	for i := range 36 {
		p.Shown = append(p.Shown, ops.Line{Label: fmt.Sprintf("Fact %d", i), Text: "what was read from the system about it, in one line"})
	}
	return p
}

func campaignLines(n int) []string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("v1_%04d: copy, %d,000 of 400,000 documents, 3,200 a second, about 2 min left", i, i))
	}
	return lines
}

// Many targets are counted, facts have what room there is, and a table of indices in
// work is whole.
func TestRenderCampaign(t *testing.T) {
	_, blocks := card{request: pending(), plan: campaignPlan(), command: "/ops"}.render()
	all := drawn(t, blocks)
	for _, want := range []string{"*Targets* (3,000) v1_0000 → v2_0000, ", " … and 2,98", "Fact 0: ", "Fact 35: ", "cluster AjpbLoe-uuid · … and 3,000 more parameters"} {
		if !strings.Contains(all, want) {
			t.Errorf("the card lacks %q", want)
		}
	}
	run := running()
	run.Plan, run.Status = campaignPlan(), ops.Status{Headline: "h", Lines: campaignLines(30)}
	_, blocks = renderStatus(*run, "/ops", 1)
	for _, line := range run.Status.Lines {
		if !strings.Contains(drawn(t, blocks), line+"\n") {
			t.Errorf("the status lacks %q", line)
		}
	}
	run.Status.Lines = campaignLines(2000)
	_, blocks = renderStatus(*run, "/ops", 1)
	if all := drawn(t, blocks); !strings.Contains(all, "… and 1,96") {
		t.Errorf("the status does not count what it left out: %s", all)
	}
}
