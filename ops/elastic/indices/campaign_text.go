package indices

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// shownItems is how many indices in work the status lists.
const shownItems = 8

// status is the campaign's one table.
func (r *campaignRun) status() ops.Status {
	done, failed, working, _ := r.counts()
	var docs, all, bytes int64
	for n, i := range r.items {
		all += r.notes.Docs[n]
		if i.done() {
			docs += i.Docs
			bytes += r.notes.Bytes[n]
		} else if i.begun() {
			docs += min(i.State.Moved+seenOf(i.State), r.notes.Docs[n])
		}
	}
	s := ops.Status{Done: int64(done), Total: int64(len(r.items)), Unit: "indices"}
	s.Headline = r.reachedText()
	if failed > 0 {
		s.Headline += fmt.Sprintf(", %d failed", failed)
	}
	line := fmt.Sprintf("%s of %s documents", grouped(docs), grouped(all))
	if speed := r.notes.Pace.Speed; speed >= 1 && docs < all {
		line += fmt.Sprintf(", %s/s", grouped(int64(speed)))
		left := float64(all-docs) / speed
		s.ETALow, s.ETAHigh = seconds(left), seconds(left*1.5)
	}
	if bytes > 0 {
		line += fmt.Sprintf("; %s done", elastic.Bytes(bytes))
	}
	s.Lines = append(s.Lines, line)
	if working > 0 {
		s.Lines = append(s.Lines, fmt.Sprintf("%d in work, at most %d", working, r.notes.Pace.width()))
	}
	shown := 0
	for _, at := range r.notes.Order {
		i := r.items[at]
		if i.done() || !i.begun() || i.Failed && i.Undone {
			continue
		}
		if shown++; shown > shownItems {
			s.Lines = append(s.Lines, fmt.Sprintf("and %d more", working-shownItems))
			break
		}
		s.Lines = append(s.Lines, r.line(at, i))
	}
	if r.notes.Full != "" {
		s.Lines = append(s.Lines, r.notes.Full)
	}
	if rate := r.notes.Pace.Rate; rate > 0 {
		s.Lines = append(s.Lines, fmt.Sprintf("throttled to %s documents a second", grouped(int64(rate))))
	}
	if r.notes.Guard.Reason != "" {
		s.Lines = append(s.Lines, "Holding still: "+r.notes.Guard.Reason)
	}
	return s
}

// reachedText is how many are through: "3 of 5 indices copied, 2 of them moved".
func (r *campaignRun) reachedText() string {
	done, bare := 0, 0
	for n, i := range r.items {
		if i.done() {
			if done++; !r.moves(r.pairs[n]) {
				bare++
			}
		}
	}
	switch text := fmt.Sprintf("%d of %s ", done, countOf(len(r.items))); {
	case bare == 0:
		return text + "moved"
	case bare == done:
		return text + "copied"
	default:
		return text + fmt.Sprintf("copied, %d of them moved", done-bare)
	}
}

func seenOf(s *state) int64 {
	if s.Sweep == nil {
		return 0
	}
	return s.Sweep.seen()
}

// line is one index in work: "v1_17: copy, 12,000 of 40,000 documents".
func (r *campaignRun) line(n int, i *item) string {
	phases := r.rules.phases()
	what := string(phases[min(max(i.Phase, 0), len(phases)-1)])
	if i.Failed {
		what = "undo"
	}
	text := fmt.Sprintf("%s: %s", r.pairs[n].Source, what)
	if w := i.State.Sweep; w != nil && !i.Failed {
		text += fmt.Sprintf(", %s of %s documents", grouped(w.seen()), grouped(i.State.Docs))
	}
	switch {
	case i.Fault != "" && i.Tries == 0:
		text += fmt.Sprintf(" (%s)", i.Fault)
	case i.Fault != "":
		text += fmt.Sprintf(" (%s, the last: %s)", elastic.Plural(int64(i.Tries), "failure"), i.Fault)
	}
	return text
}

// table lists every index with what became of it.
func (r *campaignRun) table() string {
	var b strings.Builder
	b.WriteString("source\tdestination\tstate\tdocuments\tput aside\tseconds\tverified by or failed because\n")
	clean := strings.NewReplacer("\t", " ", "\n", " ")
	for _, n := range r.notes.Order {
		i, p := r.items[n], r.pairs[n]
		state, seconds := "not begun", ""
		switch {
		case i.done():
			state, seconds = "moved", fmt.Sprintf("%.1f", i.Ended.Sub(i.Began).Seconds())
			if !r.moves(p) {
				state = "copied"
			}
		case i.swapped():
			state = "moved, not finished"
		case i.Failed:
			state = "failed, undone"
		case i.begun():
			state = "in work"
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", p.Source, p.Dest, state, i.Docs, i.Refused, seconds, clean.Replace(cmp.Or(i.How, i.Fault)))
	}
	return b.String()
}

// failures lists those that failed.
func (r *campaignRun) failures() string {
	var b strings.Builder
	b.WriteString("source\tdestination\treason\n")
	for _, n := range r.notes.Order {
		if i := r.items[n]; i.Failed {
			fmt.Fprintf(&b, "%s\t%s\t%s\n", r.pairs[n].Source, r.pairs[n].Dest, strings.NewReplacer("\t", " ", "\n", " ").Replace(i.Fault))
		}
	}
	return b.String()
}

// firstFailure is of an item that cannot go on, and if there is none, of one that failed.
func (r *campaignRun) firstFailure() string {
	first := ""
	for _, n := range r.notes.Order {
		switch i := r.items[n]; {
		case i.stuck():
			return r.pairs[n].Source + ": " + strings.TrimSuffix(i.Fault, ".")
		case i.Failed && first == "":
			first = r.pairs[n].Source + ": " + strings.TrimSuffix(i.Fault, ".")
		}
	}
	return first
}

// beginMany sets the pace for several indices at a time, written by so many nodes. Width
// is indices, not parts.
func (i *impact) beginMany(level string, nodes, atOnce int) {
	*i = impact{Level: level}
	switch level {
	case impactLow:
		i.Most = 1
	case impactFull:
		i.Most = max(8*nodes, 16)
	default:
		i.Most = max(2*nodes, 4)
	}
	if atOnce > 0 {
		i.Most = min(i.Most, atOnce)
		if level == impactFull {
			i.Most = atOnce
		}
	}
	i.Width = i.Most
	i.Looked = time.Time{}
}
