package ops

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// end ends the run with its one Ending, in the write that ends it.
func (t *turn) end(ctx context.Context, s State) error { return t.endClearing(ctx, s, NoFlag) }

func (t *turn) endClearing(ctx context.Context, s State, f Flag) error {
	r := t.run
	settled := settle(r.Journal)
	if s == Succeeded && !settled {
		s, r.Reason = FailedRun, "finished, but left changes behind"
	}
	r.State, r.EndedAt = s, time.Now().UTC()
	text, files := ending(r, t.lastWord()), listing(r.Journal)
	for i := range len(files) - 1 {
		t.events = append(t.events, Event{Kind: Milestone, Text: fmt.Sprintf("All changes, part %d of %d.", i+1, len(files)), File: files[i]})
	}
	last := Event{Kind: Ending, Text: text}
	if n := len(files); n > 0 {
		last.File = files[n-1]
	}
	t.events = append(t.events, last)
	return t.write(ctx, f)
}

// lastWord is what a success ends with: the headline, or, if a milestone of this turn
// begins with it and says more, that milestone, which is then not told by itself. Nobody
// wants to read the same twice in a row.
func (t *turn) lastWord() string {
	r, n := t.run, len(t.events)
	if r.State != Succeeded || r.Status.Headline == "" || n == 0 {
		return r.Status.Headline
	}
	last := t.events[n-1]
	if last.Kind != Milestone || !strings.HasPrefix(last.Text, trim(r.Status.Headline)) {
		return r.Status.Headline
	}
	t.events = t.events[:n-1]
	return last.Text
}

// unread is the reason of an entry of which nobody knows whether it was written.
const unread = "perhaps written, not read back"

// settle gives every entry one of its three ends and reports whether all are restored
// or kept, which is what a success needs. An entry that no step settled is left, and
// says so: it is never passed over.
func settle(journal []Change) bool {
	ok := true
	for i := range journal {
		c := &journal[i]
		switch c.State {
		case Restored, Kept:
			continue
		case Written:
			c.State, c.Reason = Left, "still written"
		case Intended:
			c.State, c.Reason = Left, unread
		}
		ok = false
	}
	return ok
}

// ending says how the run ended and what became of each change; see summary. word is what a success has to say.
func ending(r *Run, word string) string {
	var b strings.Builder
	title := trim(r.Plan.Title)
	started := !r.StartedAt.IsZero()
	switch r.State {
	case Succeeded:
		b.WriteString("Done: " + title)
		if word != "" {
			b.WriteString(": " + trim(word))
		}
		b.WriteString(".")
	case Superseded:
		fmt.Fprintf(&b, "Not started: %s. Since it was approved this has changed: %s.", title, trim(r.Reason))
	case Cancelled:
		fmt.Fprintf(&b, "Cancelled by <@%s>: %s.", r.By, title)
	case FailedRun:
		if started {
			fmt.Fprintf(&b, "Failed: %s: %s.", title, trim(r.Reason))
		} else {
			fmt.Fprintf(&b, "Not started: %s: %s.", title, trim(r.Reason))
		}
	}
	if len(r.Journal) == 0 && r.State != Succeeded {
		b.WriteString(" Nothing was changed.")
	}
	for _, l := range summary(r.Journal) {
		b.WriteString("\n• " + l)
	}
	return b.String()
}

// trim takes the full stop off a sentence that goes into another.
func trim(s string) string { return strings.TrimSuffix(strings.TrimSpace(s), ".") }
