package bot

import (
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"twokey/approvals"
	"twokey/ops"
)

// renderShow draws a request and, if there is one, its run, for one person: the card
// with the whole plan but without its buttons, then how far it is and what it changed. An unreadable plan still shows the request.
func renderShow(r approvals.Request, run *ops.Run) (text string, blocks []slack.Block) {
	plan, err := planOf(r)
	if err != nil {
		plan = ops.Plan{Warnings: []string{"The plan of this request cannot be read."}}
	}
	c := card{request: r, plan: plan, run: run, brief: run != nil, whole: true}
	text, blocks = c.render()
	if r.State == approvals.Pending {
		blocks = blocks[:len(blocks)-1] // the buttons: votes belong on the card
	}
	if run != nil {
		var l layout
		l.changes(*run, 4)
		if !run.State.Ended() { // how it ended the card says
			_, now := renderStatus(*run, "", 3)
			blocks = append(blocks, now...)
		}
		blocks = append(blocks, l.done()...)
	}
	return text, blocks[:min(len(blocks), maxBlocks)]
}

// renderList draws what waits for votes, what is running, and what ended lately.
func renderList(open []approvals.Request, live, recent []ops.Run) (text string, blocks []slack.Block) {
	var l layout
	var wait, running, ended []string
	for _, r := range open {
		wait = append(wait, fmt.Sprintf("%s %s (%s), asked by %s, %d of %d approvals, until %s", code(short(r.ID)),
			clip(escape(r.Title), 200), escape(r.Class), user(r.Requester), len(r.Approvals()), max(1, r.Rule.Quorum), date(r.ExpiresAt)))
	}
	for _, r := range live {
		line := fmt.Sprintf("%s %s: %s", code(short(r.ID)), clip(escape(r.Plan.Title), 200), escape(string(r.State)))
		if r.Status.Headline != "" {
			line += ", " + clip(escape(r.Status.Headline), 200)
		}
		running = append(running, line)
	}
	for _, r := range recent {
		how := ending(r)
		ended = append(ended, fmt.Sprintf("%s %s: %s, %s", code(short(r.ID)), clip(escape(r.Plan.Title), 200), strings.ToLower(how.word)+how.rest, date(r.EndedAt)))
	}
	l.section(rendered("Waiting for approval", wait, 2900))
	l.section(rendered("Running", running, 2900))
	l.section(rendered("Ended lately", ended, 2900))
	text = fmt.Sprintf("%d waiting for approval, %d running", len(open), len(live))
	if len(l.blocks) == 0 {
		l.section("Nothing waits, nothing runs, and nothing ended lately.")
	}
	return text, l.done()
}

// rendered lists lines that are mrkdwn already, within limit units.
func rendered(head string, items []string, limit int) string {
	if len(items) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%s*", head)
	for i, item := range items {
		if size(b.String())+size(item)+30 > limit {
			fmt.Fprintf(&b, "\n… and %d more", len(items)-i)
			break
		}
		b.WriteString("\n" + item)
	}
	return b.String()
}
