package indices

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// grouped writes a number for people: 1,234,567.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func are(n int64) string {
	if n == 1 {
		return "one is"
	}
	return grouped(n) + " are"
}

func documents(n int64) string {
	if n == 1 {
		return "1 document"
	}
	return grouped(n) + " documents"
}

// unfitting says how many documents do not fit: "7 documents of products do not fit".
func (j *job) unfitting() string {
	n := int64(len(j.Refused))
	verb := "do"
	if n == 1 {
		verb = "does"
	}
	return fmt.Sprintf("%s of %s %s not fit", documents(n), j.Source, verb)
}

// corrected says what a comparison changed.
func (j *job) corrected(fixed, deleted int64) string {
	var list []string
	if fixed > 0 {
		list = append(list, documents(fixed)+" copied again")
	}
	switch {
	case deleted > 0 && fixed > 0:
		list = append(list, grouped(deleted)+" deleted from "+j.Dest)
	case deleted > 0:
		list = append(list, documents(deleted)+" deleted from "+j.Dest)
	}
	return strings.Join(list, ", ")
}

// undoing is what the status says while phases are undone, and after that.
func (j *job) undoing(p phase, done bool) ops.Status {
	at := j.Source
	if !j.Swapped.IsZero() {
		at = j.Dest
	}
	verb := "Undoing"
	if done && p == j.phases()[0] {
		verb = "Undone"
	}
	return ops.Status{Headline: fmt.Sprintf("%s; readers and writers stay on %s", verb, at)}
}

// status is what the status message says of a phase.
func (j *job) status(p phase) ops.Status {
	var s ops.Status
	switch p {
	case phaseCreate:
		s.Headline = "Making " + j.Dest
	case phaseRegister:
		s.Headline = fmt.Sprintf("%s is registered as a second write target; waiting until every writer knows", j.Dest)
	case phaseBlock:
		s.Headline = "Blocking writes to " + j.Source
		if j.Asked && j.memo.blockedAt.IsZero() {
			s.Headline = fmt.Sprintf("Waiting before the block: %s takes writes", j.Source)
		}
	case phaseCopy:
		s = j.copying(fmt.Sprintf("to %s", j.Dest))
	case phaseCatchUp:
		s.Headline = fmt.Sprintf("Catching up: pass %d, %s behind", j.Passes, elastic.Plural(j.Behind, "operation"))
	case phaseReplicate:
		s.Headline = fmt.Sprintf("Giving %s its replicas", j.Dest)
		if j.Away > 0 {
			s.Headline += fmt.Sprintf(", copies of shards to come: %d", j.Away)
		}
	case phaseCompare:
		s.Headline = fmt.Sprintf("Comparing %s and %s before the block", j.Source, j.Dest)
	case phaseVerify:
		s.Headline = fmt.Sprintf("Comparing %s and %s", j.Source, j.Dest)
	case phaseSwap:
		s.Headline = "Moving to " + j.Dest
	case phaseOpen:
		s.Headline = "Letting " + j.Dest + " take writes again"
	case phaseFinish:
		s.Headline = j.result()
		return s
	}
	if j.Sweep != nil && p != phaseCopy {
		s.Lines = append(s.Lines, fmt.Sprintf("%s of this pass", documents(j.Sweep.seen())))
	}
	if c := j.Compare; c != nil && len(c.Sides[0].Shards) > 0 {
		read := c.Sides[0].Digest.docs() + c.Sides[1].Digest.docs()
		s.Done, s.Total, s.Unit = read, 2*j.Docs, "documents"
		s.Lines = append(s.Lines, fmt.Sprintf("round %d, %s copied again, %d deleted", c.Round, documents(c.Fixed), c.Deleted))
	}
	if !j.LostSince.IsZero() {
		s.Lines = append(s.Lines, fmt.Sprintf("a primary shard of %s has been away for %s", j.Dest, elastic.Span(time.Since(j.LostSince))))
	}
	if len(j.Refused) > 0 {
		s.Lines = append(s.Lines, fmt.Sprintf("%s the mapping of %s", j.unfitting(), j.Dest))
	}
	if j.Guard.Reason != "" {
		s.Lines = append(s.Lines, "Holding still: "+j.Guard.Reason)
	}
	return s
}

// copying is the status of the first pass.
func (j *job) copying(where string) ops.Status {
	w := j.Sweep
	if w == nil {
		return ops.Status{Headline: "Copying " + where}
	}
	s := ops.Status{Done: min(w.seen(), j.Docs), Total: j.Docs, Unit: "documents"}
	s.Headline = fmt.Sprintf("%s of %s documents copied %s", grouped(s.Done), grouped(s.Total), where)
	if speed := j.Pace.Speed; speed >= 1 {
		s.Headline += fmt.Sprintf(", %s/s", grouped(int64(speed)))
		left := float64(s.Total-s.Done) / speed
		s.ETALow, s.ETAHigh = seconds(left), seconds(left*1.5)
	}
	if w.Parts > 1 {
		s.Lines = append(s.Lines, fmt.Sprintf("%d of %d parts, %d at a time", w.Done, w.Parts, len(w.Running)))
	}
	if w.Conflict > 0 || w.Retries > 0 || w.Redone > 0 {
		s.Lines = append(s.Lines, fmt.Sprintf("%s newer in the destination, %d retries, %d parts again", grouped(w.Conflict), w.Retries, w.Redone))
	}
	if r := j.Pace.Rate; r > 0 {
		line := fmt.Sprintf("throttled to %s documents a second", grouped(int64(r)))
		if j.Pace.Squeeze > 0 && r == j.Pace.Squeeze {
			line += ": " + j.Pace.Why
		}
		s.Lines = append(s.Lines, line)
	}
	return s
}

func seconds(s float64) time.Duration { return time.Duration(s+1) * time.Second }

// milestone is what the thread is told when a phase is over; empty: nothing.
func (j *job) milestone(p phase) string {
	switch p {
	case phaseCreate:
		verb := "Made"
		if j.Existing != "" {
			verb = "Took"
		}
		return fmt.Sprintf("%s %s: %s, no replicas until the copy is complete.", verb, j.Dest, elastic.Plural(int64(j.DestShards), "shard"))
	case phaseRegister:
		return fmt.Sprintf("Writers write to %s and %s: register entry %s.", j.Source, j.Dest, j.Entry)
	case phaseBlock:
		return fmt.Sprintf("%s takes no writes.", j.Source)
	case phaseCopy:
		text := "Copied " + documents(j.Moved-int64(len(j.Refused)))
		if j.Parts > 1 {
			text += fmt.Sprintf(" in %d parts", j.Parts)
		}
		if took := j.Spent[phaseCopy]; took >= time.Second {
			return fmt.Sprintf("%s within %s.", text, elastic.Span(took))
		}
		return text + " within a second."
	case phaseVerify:
		return fmt.Sprintf("Verified: %s.", j.How)
	case phaseSwap:
		return j.moved()
	}
	return ""
}

// moved says what moved to the destination.
func (j *job) moved() string {
	if !j.Swap {
		return ""
	}
	text := ""
	if j.Writes == writesDual {
		text = fmt.Sprintf("Register entry %s: %s is active.", j.Entry, j.Dest)
	}
	if len(j.Aliases) > 0 {
		if text != "" {
			text += " "
		}
		text += fmt.Sprintf("Moved to %s: alias %s.", j.Dest, elastic.And(j.Aliases))
	}
	return text
}

// result is what a success ends with.
func (j *job) result() string {
	if j.Back {
		return fmt.Sprintf("readers and writers are back on %s, which has all that %s has: %s", j.Dest, j.Source, j.How)
	}
	text := fmt.Sprintf("%s holds the %s of %s, verified by %s", j.Dest, documents(j.Verified), j.Source, j.How)
	if n := int64(len(j.Refused)); n > 0 {
		text = fmt.Sprintf("%s holds %s of the %s of %s, verified by %s; the other %s in %s",
			j.Dest, grouped(j.Verified), documents(j.Verified+n), j.Source, j.How, are(n), j.refusedIndex())
	}
	switch {
	case j.Swap:
	case j.Writes == writesDual:
		text += fmt.Sprintf("; it goes on getting every write, by register entry %s, where %s stays active", j.Entry, j.Source)
	default:
		text += fmt.Sprintf("; %s takes writes again, which %s does not get", j.Source, j.Dest)
	}
	return text
}
