package bot

import (
	"fmt"
	"strings"

	"twokey/approvals"
	"twokey/ops"
)

// standing says where a request, and then its run, stands. Zero while votes are wanted.
type standing struct {
	icon string // an emoji's name
	word string // "Done"
	rest string // mrkdwn, with what parts it from the word
}

func (s standing) drawn() string {
	if s.word == "" {
		return ""
	}
	return ":" + s.icon + ": *" + s.word + "*" + s.rest
}

func (c card) outcome() standing {
	r := c.request
	because := reason(r.Reason)
	switch r.State {
	case approvals.Pending:
		return standing{}
	case approvals.Declined:
		return standing{"no_entry", "Declined", by(r.By) + because + ". Nothing was started."}
	case approvals.Expired:
		return standing{"hourglass", "Expired", fmt.Sprintf(" %s: it had %d of %d approvals. Nothing was started.", date(r.ExpiresAt), len(r.Approvals()), c.need())}
	case approvals.Cancelled:
		return standing{"no_entry", "Cancelled", by(r.By) + because + ". Nothing was started."}
	case approvals.Superseded:
		return c.superseded("Nothing was started.")
	}
	if c.run == nil {
		return standing{"white_check_mark", "Approved", ", starting."}
	}
	return c.ran(*c.run)
}

// ran says where the run stands.
func (c card) ran(run ops.Run) standing {
	because := reason(run.Reason)
	switch run.State {
	case ops.Starting:
		return standing{"white_check_mark", "Approved", ", starting."}
	case ops.Running:
		return standing{"arrow_forward", "Running", " since " + date(run.StartedAt) + ". Its thread tells how far it is."}
	case ops.Paused:
		return standing{"double_vertical_bar", "Paused", by(run.By) + because + ".\n" + c.resumeOrCancel()}
	case ops.Undoing:
		return standing{"leftwards_arrow_with_hook", "Undoing", because + "."}
	case ops.Succeeded:
		return standing{"white_check_mark", "Done", " " + date(run.EndedAt) + took(run) + reason(run.Status.Headline) + "." + leftChanged(run)}
	case ops.FailedRun:
		return standing{"x", "Failed", " " + date(run.EndedAt) + took(run) + because + "." + leftChanged(run)}
	case ops.Cancelled:
		return standing{"no_entry", "Cancelled", by(run.By) + " " + date(run.EndedAt) + took(run) + because + "." + leftChanged(run)}
	case ops.Superseded:
		return c.superseded(bullets("Changed since it was approved", run.Changed, 600))
	}
	return standing{"grey_question", escape(string(run.State)), because}
}

// reason is ": why" without the full stop, or "".
func reason(why string) string {
	if why = strings.TrimSuffix(strings.TrimSpace(why), "."); why == "" {
		return ""
	}
	return ": " + clip(escape(why), 400)
}

// leftChanged says whether an ended run left something that it neither took back nor
// meant to keep, and of one without success also that it left nothing.
func leftChanged(run ops.Run) string {
	n, kept := 0, run.State == ops.Succeeded
	for _, c := range run.Journal {
		switch c.State {
		case ops.Kept:
			kept = true
		case ops.Restored:
		default:
			n++
		}
	}
	switch {
	case n > 0:
		return fmt.Sprintf("\n:warning: *%d %s left changed*: the thread names %s.", n, plural(n, "setting was", "settings were"), plural(n, "it", "them"))
	case kept:
		return ""
	case len(run.Journal) == 0:
		return " Nothing was changed."
	}
	return " All it changed was put back."
}

func (c card) superseded(more string) standing {
	s := " before any change"
	if next := c.request.SupersededBy; next != "" {
		s += ": asked again as " + code(short(next))
	}
	if c.successor != "" {
		s += fmt.Sprintf(" (<%s|its card>)", c.successor)
	}
	s += "."
	if more != "" {
		s += "\n" + more
	}
	return standing{"arrows_counterclockwise", "Superseded", s}
}
