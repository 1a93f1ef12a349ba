package bot

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"twokey/approvals"
	"twokey/ops"
)

// card is all that a request's card shows. It is a function of the two records and of
// nothing else, so that rendering them again gives the same bytes.
type card struct {
	request approvals.Request
	plan    ops.Plan
	run     *ops.Run // nil: none yet
	// successor links to the card of the request that replaces this one; empty: its id
	// alone is shown.
	successor string
	command   string // what people type to talk to the bot: "/ops"
	quorum    int    // approvals needed now, if more than the request's rule says
	brief     bool   // something else follows in the same message: long lists are cut earlier
	whole     bool   // the whole plan, also once it ended
}

// need is how many approvals the request needs.
func (c card) need() int {
	if c.request.Class == ops.R0.String() {
		return 0
	}
	return max(1, c.request.Rule.Quorum, c.quorum)
}

// planOf reads the plan a request carries.
func planOf(r approvals.Request) (ops.Plan, error) {
	var p ops.Plan
	if err := json.Unmarshal(r.Sealed, &p); err != nil {
		return ops.Plan{}, fmt.Errorf("plan of request %s: %w", r.ID, err)
	}
	return p, nil
}

// render draws the card. While votes are wanted it has the two buttons.
//
// Where the request stands comes first, then what it is about. Once it ended, the plan
// is cut to what it was about and what stays; show tells the whole.
//
// Mentions: the open card names the groups and people who may approve, and is the only
// post that does, once. Slack notifies on the post, not on edits, and being asked is
// what approvers want to be told of. Nothing else the bot posts mentions a group.
func (c card) render() (text string, blocks []slack.Block) {
	r, p := c.request, c.plan
	var l layout
	head := fmt.Sprintf("%s · %s", bold(clip(escape(r.Title), 300)), escape(r.Class))
	if p.Effect != "" {
		head += "\n" + capital(clip(escape(p.Effect), 400))
	}
	head += fmt.Sprintf("\nAsked by %s", user(r.Requester))
	if call := c.call(); call != "" {
		head += ": " + clip(code(call), 500)
	}
	if r.Supersedes != "" {
		head += fmt.Sprintf("\nReplaces %s, which had to be asked again.", code(short(r.Supersedes)))
	}
	l.section(head)
	l.section(c.outcome().drawn())
	l.section(c.votes())
	// The shares below and the rest of the card sum to less than maxSummed, so what
	// people decide by is always there: their lists are cut, never dropped.
	share := 1
	if c.brief {
		share = 2
	}
	short := c.ended() && !c.whole
	if !short {
		l.section(bullets("Mind", p.Warnings, 1000/share))
	}
	l.section(row("Targets", p.Targets, 600/share))
	if !short {
		l.section(numbered("Steps", titles(p.Steps), 1600/share))
		l.section(bullets("If it is cancelled or fails", p.Undo, 700/share))
	}
	if c.succeeded() {
		l.section(bullets(keptHead, p.Keeps, 500/share))
	} else if !short {
		l.section(bullets("Success leaves changed, on purpose", p.Keeps, 500/share))
	}
	if !short {
		estimate := "*Estimate* " + spans(p.Estimate.Low, p.Estimate.High)
		if p.Estimate.Basis != "" {
			estimate += " (" + clip(escape(p.Estimate.Basis), 200) + ")"
		}
		l.section(estimate)
		// What the sections above left is for this one, the last and longest.
		room := 1200 / share
		if !c.brief {
			room = max(room, min(maxSection-100, maxSummed-reserve-l.used-size(c.ids(short))))
		}
		l.section(bullets("Read from the system", shown(p.Shown), room))
	}
	l.context(c.ids(short))
	if r.State == approvals.Pending {
		l.add(c.buttons())
	}
	return c.text(), l.done()
}

// ids is the small print: what tells this request from every other, and what the digest
// covers that no sentence above says; parameters that are not one word are counted.
func (c card) ids(short bool) string {
	r := c.request
	ids := fmt.Sprintf("request %s · digest %s", code(r.ID), code(r.Digest[:min(12, len(r.Digest))]))
	told := 0
	for _, k := range slices.Sorted(maps.Keys(c.plan.Params)) {
		if v := c.plan.Params[k]; !short && told < 5 && !strings.HasPrefix(v, "{") && !strings.HasPrefix(v, "[") {
			told++
			ids += " · " + clip(escape(k+" "+v), 80)
		}
	}
	if more := len(c.plan.Params) - told; !short && more > 0 {
		ids += fmt.Sprintf(" · … and %s more %s", thousands(fmt.Sprint(more)), plural(more, "parameter", "parameters"))
	}
	if short && c.command != "" {
		ids += fmt.Sprintf(" · %s tells the whole plan", c.typed("show"))
	}
	return ids
}

// text says the card in one line, for notifications and where blocks cannot be shown.
func (c card) text() string {
	r := c.request
	what := fmt.Sprintf("%s (%s)", clip(escape(r.Title), 300), escape(r.Class))
	if r.State == approvals.Pending {
		return fmt.Sprintf("%s asks: %s. To vote, react to it, or type %s or %s.", user(r.Requester), what,
			c.typed("approve"), c.typed("decline"))
	}
	o := c.outcome()
	return what + ": " + strings.ToLower(o.word) + o.rest
}

// call is the command as it was understood, for people to type again; "" if the plan
// does not say it. The digest covers all of it.
func (c card) call() string {
	call := c.plan.Call
	if call.Kind == "" {
		return ""
	}
	words := append([]string{strings.TrimSpace(c.command + " " + call.Kind)}, call.Args...)
	if call.Environment != "" {
		words = append(words, "--env", call.Environment)
	}
	for _, k := range slices.Sorted(maps.Keys(call.Flags)) {
		word := "--" + k
		if v := call.Flags[k]; v != "true" {
			word += " " + v
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// ended reports whether nothing more will happen to the request or its run.
func (c card) ended() bool {
	if c.run != nil {
		return c.run.State.Ended()
	}
	return c.request.Ended()
}

func (c card) succeeded() bool { return c.run != nil && c.run.State == ops.Succeeded }

func shown(facts []ops.Line) []string {
	out := make([]string, len(facts))
	for i, f := range facts {
		out[i] = f.Label + ": " + f.Text
	}
	return out
}

func titles(steps []ops.StepRef) []string {
	out := make([]string, len(steps))
	for i, s := range steps {
		out[i] = s.Title
	}
	return out
}

// votes says who may approve, how many must, who did, and until when.
func (c card) votes() string {
	r := c.request
	quorum := c.need()
	var out []string
	if r.State == approvals.Pending {
		need := fmt.Sprintf("*Needs %d %s* by %s, but not by %s.", quorum, plural(quorum, "approval", "approvals"), approvers(r.Rule), user(r.Requester))
		out = append(out, need+" Expires "+date(r.ExpiresAt)+".")
	}
	for i, v := range r.Votes {
		if i == 8 {
			out = append(out, fmt.Sprintf("… and %d more votes", len(r.Votes)-i))
			break
		}
		did := ":white_check_mark: approved by "
		if !v.Approve {
			did = ":x: declined by "
		}
		line := did + user(v.Voter) + " " + date(v.At)
		if said := r.State == approvals.Declined && v.Voter == r.By; v.Reason != "" && !said {
			line += ": " + clip(escape(v.Reason), 60)
		}
		out = append(out, line)
	}
	if r.State == approvals.Pending && quorum > 1 {
		out = append(out, fmt.Sprintf("%d of %d", len(r.Approvals()), quorum))
	}
	return strings.Join(out, "\n")
}

// approvers lists who may approve, at most 20 of them.
func approvers(rule approvals.Rule) string {
	var names []string
	for _, g := range rule.Groups {
		names = append(names, group(g))
	}
	for _, u := range rule.Users {
		names = append(names, user(u))
	}
	if len(names) == 0 {
		return "nobody: the configuration names no approvers"
	}
	if n := len(names) - 20; n > 0 {
		names = append(names[:20], fmt.Sprintf("%d more", n))
	}
	return join(names, "or")
}

// resumeOrCancel says what to type about a paused run.
func (c card) resumeOrCancel() string {
	return fmt.Sprintf("To go on type %s, to stop and undo it %s.", c.typed("resume"), c.typed("cancel"))
}

// typed is a command about this request, as people type it.
func (c card) typed(verb string) string {
	return typed(c.command, verb, c.request.ID)
}

func typed(command, verb, id string) string {
	return code(strings.TrimSpace(command + " " + verb + " " + short(id)))
}

func by(id string) string {
	if id == "" {
		return ""
	}
	return " by " + user(id)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// buttons are the two a card has. Their value names the digest, so a click counts
// for what its card showed.
func (c card) buttons() slack.Block {
	value := c.request.ID + ":" + c.request.Digest
	button := func(action, label string, style slack.Style) *slack.ButtonBlockElement {
		b := slack.NewButtonBlockElement(action, value, slack.NewTextBlockObject(slack.PlainTextType, label, false, false))
		b.Style = style
		return b
	}
	return slack.NewActionBlock("votes", button(actionApprove, "Approve", slack.StylePrimary), button(actionDecline, "Decline", slack.StyleDanger))
}
