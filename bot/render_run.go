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
//
// share is the part of the room for the lines it may take: 1 for all, 3 for a third.
func renderStatus(run ops.Run, command string, share int) (text string, blocks []slack.Block) {
	var l layout
	s := run.Status
	at := status(run)
	head := at.drawn()
	if !run.StepAt.IsZero() && (run.State == ops.Running || run.State == ops.Undoing) {
		head += ", since " + date(run.StepAt)
	}
	text = clip(escape(run.Plan.Title), 300) + ": " + strings.ToLower(at.word) + at.rest
	if s.Headline != "" {
		head += "\n" + clip(escape(s.Headline), 500)
		text += ". " + clip(escape(s.Headline), 500)
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
		l.section(lines("", s.Lines, (maxSection-100)/share, func(int) string { return "" }))
		if run.State == ops.Running && s.Done < s.Total {
			l.section(timeLeft(run))
		}
		if run.Errors > 0 && run.LastError != "" {
			l.section(fmt.Sprintf(":warning: The last %d %s failed: %s", run.Errors, plural(run.Errors, "look", "looks"), clip(escape(run.LastError), 500)))
		}
	}
	l.context(fmt.Sprintf("%s · run %s", clip(escape(run.Plan.Title), 200), code(short(run.ID))))
	return clip(text, maxText), l.done()
}

// timeLeft is the range of time left, or, while nobody can tell, what was estimated.
func timeLeft(run ops.Run) string {
	s, e := run.Status, run.Plan.Estimate
	switch {
	case s.ETAHigh > 0:
		return "*Time left* " + spans(s.ETALow, s.ETAHigh)
	case e.High > 0:
		return "*Time left* cannot be told yet; for all of it the plan estimated " + spans(e.Low, e.High)
	}
	return "*Time left* cannot be told yet"
}

// status says the state and the step in one line.
func status(run ops.Run) standing {
	step, n := "", len(run.Plan.Steps)
	if run.Step >= 0 && run.Step < n {
		step = fmt.Sprintf(", step %d of %d: %s", run.Step+1, n, clip(escape(run.Plan.Steps[run.Step].Title), 300))
	}
	switch run.State {
	case ops.Starting:
		return standing{"hourglass_flowing_sand", "Starting", ": taking the locks and looking whether the plan still holds"}
	case ops.Running:
		return standing{"arrow_forward", "Running", step}
	case ops.Paused:
		return standing{"double_vertical_bar", "Paused", by(run.By) + step}
	case ops.Undoing:
		return standing{"leftwards_arrow_with_hook", "Undoing", step}
	}
	return ending(run)
}

// ending names an ended run's outcome and how long it took.
func ending(run ops.Run) standing {
	switch run.State {
	case ops.Succeeded:
		return standing{"white_check_mark", "Done", took(run)}
	case ops.FailedRun:
		return standing{"x", "Failed", took(run)}
	case ops.Cancelled:
		return standing{"no_entry", "Cancelled", by(run.By) + took(run)}
	case ops.Superseded:
		return standing{"arrows_counterclockwise", "Superseded", " before any change"}
	}
	return standing{"grey_question", escape(string(run.State)), ""}
}

// took is " after 35 s", or "" for a run that did not start.
func took(run ops.Run) string {
	if run.StartedAt.IsZero() || !run.EndedAt.After(run.StartedAt) {
		return ""
	}
	return " after " + span(run.EndedAt.Sub(run.StartedAt))
}

// bar is ten squares. It is full only when all is done.
func bar(done, total int64) string {
	full := int(min(max(done, 0)*10/max(total, 1), 10))
	return strings.Repeat("▰", full) + strings.Repeat("▱", 10-full)
}

// progress is how much is done: "4 of 10 shards done".
func progress(s ops.Status) string {
	if s.Unit == "bytes" {
		return count(s.Done, s.Unit) + " of " + count(s.Total, s.Unit) + " done"
	}
	done, total := thousands(fmt.Sprint(s.Done)), thousands(fmt.Sprint(s.Total))
	return escape(strings.TrimSpace(fmt.Sprintf("%s of %s %s", done, total, s.Unit))) + " done"
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
	said, _, _ := strings.Cut(e.Text, "\n• ")
	text = ":" + ending(run).icon + ": " + clip(escapeExceptMentions(said), 2500) + " " + user(run.Requester)
	drawn := text
	if head, rest, ok := strings.Cut(said, ":"); ok && size(head) < 60 {
		drawn = ":" + ending(run).icon + ": *" + escapeExceptMentions(head) + "*:" + clip(escapeExceptMentions(rest), 2500) + " " + user(run.Requester)
	}
	l.section(drawn)
	l.changes(run, 1)
	return text, l.done()
}

// changes lists what became of the changes of a run, or stands of one that has not ended.
// What was not put back is what people must read, so it comes first and is cut last.
// share is the part of the room of a message it may take: 1 for all, 3 for a third.
func (l *layout) changes(run ops.Run, share int) {
	unsettled := "Not known, please look"
	if !run.State.Ended() {
		unsettled = "Changed so far"
	}
	for _, part := range []struct {
		head string
		of   []ops.ChangeState
		room int
	}{
		{"Left changed", []ops.ChangeState{ops.Left}, 2600},
		{unsettled, []ops.ChangeState{ops.Intended, ops.Written}, 1500},
		{keptHead, []ops.ChangeState{ops.Kept}, 1500},
		{"Restored", []ops.ChangeState{ops.Restored}, 1500},
	} {
		var entries []string
		for _, c := range run.Journal {
			if slices.Contains(part.of, c.State) {
				entries = append(entries, change(c))
			}
		}
		if part.head == keptHead && run.State == ops.Succeeded {
			entries = append(entries, run.Plan.Keeps...) // what it means, and what lifts it
		}
		l.section(bullets(part.head, entries, part.room/share))
	}
}

const keptHead = "Kept as planned"

// change says a journal entry in one line of plain text.
func change(c ops.Change) string {
	s := c.Resource + ": " + c.Setting
	if c.Scope != "" {
		s += " (" + c.Scope + ")"
	}
	switch {
	case c.State == ops.Restored:
		s += ": "
		if now := value(c.After); value(c.Intended) != now { // the undo may have made it the intent
			s += value(c.Intended) + " → "
		}
		s += value(c.After) + ", as before"
	case c.State == ops.Kept, c.State == ops.Left, c.State == ops.Written && c.After != nil:
		s += ": " + value(c.Before) + " → " + value(c.After)
	default:
		s += ": was " + value(c.Before) + ", meant to become " + value(c.Intended)
	}
	if c.Reason != "" {
		s += ": " + c.Reason
	}
	return s
}

// value quotes a value; nil is one that is not set.
func value(v *string) string {
	if v == nil {
		return "unset"
	}
	return fmt.Sprintf("%q", *v)
}
