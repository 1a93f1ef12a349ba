package bot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"twokey/ops"
)

// renderStatus draws the status message: the first reply in a run's thread, edited
// as the run goes on. It mentions nobody but who paused or cancelled.
func renderStatus(run ops.Run, command string) (text string, blocks []slack.Block) {
	var l layout
	s := run.Status
	head := status(run)
	if s.Headline != "" {
		head += "\n" + clip(escape(s.Headline), 500)
	}
	if s.Total > 0 {
		head += "\n" + bar(s.Done, s.Total) + " " + progress(s)
	}
	l.section(head)
	if run.State == ops.Paused {
		hold := "Nothing new is written while it is paused."
		if run.Reason != "" {
			hold = "Why: " + clip(escape(run.Reason), 800) + "\n" + hold
		}
		l.section(hold + fmt.Sprintf("\nTo go on type %s, to stop and undo it %s.",
			typed(command, "resume", run.ID), typed(command, "cancel", run.ID)))
	}
	if !run.State.Ended() {
		l.section(lines("", s.Lines, 1500, func(int) string { return "" }))
		if run.State == ops.Running && s.Total > 0 {
			l.section("*Left* " + spans(s.ETALow, s.ETAHigh))
		}
		if run.Errors > 0 && run.LastError != "" {
			l.section(fmt.Sprintf(":warning: The last %d %s failed: %s", run.Errors, plural(run.Errors, "look", "looks"), clip(escape(run.LastError), 500)))
		}
	}
	l.context(fmt.Sprintf("%s · run %s", clip(escape(run.Plan.Title), 200), code(short(run.ID))))
	text = clip(escape(run.Plan.Title), 300) + ": " + strings.ReplaceAll(head, "\n", " · ")
	return clip(text, maxText), l.done()
}

// status says the state, the step and since when, in one line.
func status(run ops.Run) string {
	step, n := "", len(run.Plan.Steps)
	if run.Step >= 0 && run.Step < n {
		step = fmt.Sprintf(", step %d of %d: %s", run.Step+1, n, clip(escape(run.Plan.Steps[run.Step].Title), 300))
	}
	since := ""
	if !run.StepAt.IsZero() {
		since = ", since " + date(run.StepAt)
	}
	switch run.State {
	case ops.Starting:
		return "*Starting*: taking the locks and looking whether the plan still holds."
	case ops.Running:
		return "*Running*" + step + since
	case ops.Paused:
		return "*Paused*" + by(run.By) + step
	case ops.Undoing:
		return "*Undoing*" + step + since
	}
	return "*" + ending(run) + "*"
}

// ending names an ended run's outcome and how long it took.
func ending(run ops.Run) string {
	took := ""
	if !run.StartedAt.IsZero() && run.EndedAt.After(run.StartedAt) {
		took = " after " + span(run.EndedAt.Sub(run.StartedAt))
	}
	switch run.State {
	case ops.Succeeded:
		return "Done" + took
	case ops.FailedRun:
		return "Failed" + took
	case ops.Cancelled:
		return "Cancelled" + by(run.By) + took
	case ops.Superseded:
		return "Superseded before any change"
	}
	return escape(string(run.State))
}

// bar is ten squares. It is full only when all is done.
func bar(done, total int64) string {
	full := int(min(max(done, 0)*10/max(total, 1), 10))
	return strings.Repeat("▰", full) + strings.Repeat("▱", 10-full)
}

func progress(s ops.Status) string {
	if s.Unit == "bytes" {
		return count(s.Done, s.Unit) + " of " + count(s.Total, s.Unit)
	}
	return escape(strings.TrimSpace(fmt.Sprintf("%d of %d %s", s.Done, s.Total, s.Unit)))
}

// renderEvent draws the reply for an event that is not the ending.
func renderEvent(e ops.Event, command, id string) (text string, blocks []slack.Block) {
	text = clip(escapeExceptMentions(e.Text), maxSection-200)
	switch e.Kind {
	case ops.WasPaused:
		text = fmt.Sprintf(":double_vertical_bar: %s\nTo go on type %s, to stop and undo it %s.", text,
			typed(command, "resume", id), typed(command, "cancel", id))
	case ops.Continued:
		text = ":arrow_forward: " + text
	}
	var l layout
	l.section(text)
	return text, l.done()
}

// renderEnding draws the last reply: how it ended, said to who asked, and what
// became of every change in the run's journal. The event lists the changes too; here
// they are grouped, so that many of them cannot push out those that were left.
func renderEnding(run ops.Run, e ops.Event) (text string, blocks []slack.Block) {
	var l layout
	icon := map[ops.State]string{ops.Succeeded: ":white_check_mark: ", ops.FailedRun: ":x: ", ops.Cancelled: ":no_entry: ", ops.Superseded: ":arrows_counterclockwise: "}[run.State]
	said, _, _ := strings.Cut(e.Text, "\n• ")
	text = icon + clip(escapeExceptMentions(said), 2500) + " " + user(run.Requester)
	l.section(text)
	// What was not put back is what people must read, so it comes first and is cut last.
	for _, part := range []struct {
		head string
		of   []ops.ChangeState
		room int
	}{
		{"Left changed", []ops.ChangeState{ops.Left}, 2600},
		{"Not known, please look", []ops.ChangeState{ops.Intended, ops.Written}, 1500},
		{"Kept as planned", []ops.ChangeState{ops.Kept}, 1500},
		{"Restored", []ops.ChangeState{ops.Restored}, 1500},
	} {
		var entries []string
		for _, c := range run.Journal {
			if slices.Contains(part.of, c.State) {
				entries = append(entries, change(c))
			}
		}
		l.section(bullets(part.head, entries, part.room))
	}
	return text, l.done()
}

// change says a journal entry in one line of plain text.
func change(c ops.Change) string {
	s := c.Resource + ": " + c.Setting
	if c.Scope != "" {
		s += " (" + c.Scope + ")"
	}
	switch c.State {
	case ops.Restored:
		s += ": " + value(c.Intended) + " → " + value(c.After) + ", as before"
	case ops.Kept, ops.Left:
		s += ": " + value(c.Before) + " → " + value(c.After)
	default:
		s += ": was " + value(c.Before) + ", meant to become " + value(c.Intended)
	}
	if c.Reason != "" {
		s += ": " + c.Reason
	}
	return s
}

// value quotes a value; nil is one that is absent.
func value(v *string) string {
	if v == nil {
		return "absent"
	}
	return fmt.Sprintf("%q", *v)
}
