package elastic

import (
	"slices"
	"strings"

	"twokey/ops"
)

// target is a node that is drained or admitted again: its name, its id when planned,
// and where its exclusion is written.
type target struct {
	Name  string `json:"name"`
	ID    string `json:"id"`
	Scope scope  `json:"scope"`
	Key   string `json:"key"` // "_name" or "_id"
}

// token is what stands for the node in the exclusion's text.
func (t target) token() string {
	if t.Key == "_id" {
		return t.ID
	}
	return t.Name
}

func (t target) slot() slot { return slot{t.Scope, t.Key} }

// filterKey says under which key a node of this name is excluded: by its id when the
// name would be read as a pattern, a list, or with its blanks trimmed.
func filterKey(name string) string {
	if strings.ContainsAny(name, "*,\" \t\n[") {
		return "_id"
	}
	return "_name"
}

// own are the tokens of targets, by the setting they stand in.
func own(targets []target) map[slot][]string {
	m := map[slot][]string{}
	for _, t := range targets {
		m[t.slot()] = append(m[t.slot()], t.token())
	}
	return m
}

// missing are the targets whose token is not in its setting.
func missing(now texts, targets []target) []target {
	var gone []target
	for _, t := range targets {
		if !slices.Contains(Tokens(now[t.slot()]), t.token()) {
			gone = append(gone, t)
		}
	}
	return gone
}

// goalWith are the texts wanted while targets are excluded: their tokens merged into
// their settings, and everybody else's text as it was before this run. Beside other
// live filters our own text ends up with its last token doubled, because both updates
// must change it.
func goalWith(now texts, targets []target, journal []ops.Change) texts {
	goal := originals(now, journal)
	mine := own(targets)
	others := slices.ContainsFunc(goal.live(), func(s slot) bool { return mine[s] == nil })
	for _, s := range sortedSlots(mine) {
		have := Tokens(now[s])
		set := unique(append(slices.Clone(have), mine[s]...))
		before, ok := textBefore(journal, s)
		switch {
		case ok && sameSet(Tokens(before), set):
			goal[s] = before
		case sameSet(have, set) && len(diff(now, goal)) == 0:
			// All there already.
		case sameSet(have, set):
			goal[s] = respell(set, now[s]) // another's text changes, so ours must
		case others:
			goal[s] = respell(set, now[s], join(set))
		default:
			goal[s] = respell(set, now[s])
		}
	}
	return goal
}

// goalWithout are the texts wanted once targets are admitted again: their tokens taken
// out of their settings, except those in spare, and everybody else's text as it was.
// The text before this run comes back to the letter unless somebody changed the rest.
func goalWithout(now texts, targets []target, journal []ops.Change, spare map[slot][]string) texts {
	goal := originals(now, journal)
	for s, mine := range own(targets) {
		text, set := now[s]
		if !set {
			continue
		}
		rest := slices.DeleteFunc(Tokens(text), func(x string) bool {
			return slices.Contains(mine, x) && !slices.Contains(spare[s], x)
		})
		before, ok := textBefore(journal, s)
		switch {
		case ok && sameSet(rest, Tokens(before)):
			goal[s] = before
		case len(rest) == 0:
			delete(goal, s)
		case len(rest) < len(Tokens(text)):
			goal[s] = join(rest)
		}
	}
	return goal
}

// foundBefore are the tokens that stood in the settings of targets before this run
// wrote to them: they are not ours to take out.
func foundBefore(targets []target, journal []ops.Change) map[slot][]string {
	found := map[slot][]string{}
	for s := range own(targets) {
		text, _ := textBefore(journal, s)
		found[s] = Tokens(text)
	}
	return found
}

// textBefore is what a setting of ours was before this run, and false when it was
// absent or this run has not written to it.
func textBefore(journal []ops.Change, s slot) (string, bool) {
	for _, e := range journal {
		if e.Key == ownKey(s) && e.Before != nil {
			return *e.Before, true
		}
	}
	return "", false
}

// originals are the present texts with those of others put back that this run altered:
// those it has not yet settled, and those that a write of its own which arrived late
// altered again.
func originals(now texts, journal []ops.Change) texts {
	goal := now.with(nil)
	for _, o := range append(unsettled(journal), alteredAgain(now, journal)...) {
		if text, set := now[o.slot]; set && sameSet(Tokens(text), Tokens(o.text)) {
			goal[o.slot] = o.text
		}
	}
	return goal
}

// borrowed is another's text that this run altered for the length of two updates.
type borrowed struct {
	key  string // of the journal entry
	slot slot
	text string // as it was
}

// unsettled are the borrowed texts whose journal entry is still open.
func unsettled(journal []ops.Change) []borrowed {
	return borrowedBy(journal, ops.Intended, ops.Written)
}

// alteredAgain are the borrowed texts that were given back, and stand there once more as
// only this run writes them: a write of it arrived late.
func alteredAgain(now texts, journal []ops.Change) []borrowed {
	return slices.DeleteFunc(borrowedBy(journal, ops.Restored), func(b borrowed) bool {
		text, set := now[b.slot]
		return !set || text == b.text || !respelled(text, b.text)
	})
}

func borrowedBy(journal []ops.Change, states ...ops.ChangeState) []borrowed {
	var found []borrowed
	for _, e := range journal {
		s, ok := slotOf(e)
		if ok && e.Before != nil && e.Key != ownKey(s) && slices.Contains(states, e.State) {
			found = append(found, borrowed{e.Key, s, *e.Before})
		}
	}
	return found
}

// ownKey is the journal key of the texts that hold our tokens.
func ownKey(s slot) string { return string(s.Scope) + " " + allocationPrefix + exclude + "." + s.Key }

// borrowedKey is the journal key of another's text: one entry for each text found.
func borrowedKey(s slot, text string) string { return ownKey(s) + " = " + text }

// slotOf is the place a journal entry is about, and false if it is not about the
// exclude family.
func slotOf(e ops.Change) (slot, bool) {
	key, ok := strings.CutPrefix(e.Setting, allocationPrefix+exclude+".")
	return slot{scope(e.Scope), key}, ok
}
