package ops

import (
	"fmt"
	"slices"
	"strings"
)

// listMost is how many changes an ending tells one by one, and how many lines it has
// for more than these.
const listMost = 30

// summary says in lines what became of each change, in the order they were made: a
// line each, or, of more than listMost, one for all that are alike, in the order of their
// first. Where even these are too many, those left come first.
func summary(journal []Change) []string {
	var lines []string
	if len(journal) <= listMost {
		for _, c := range journal {
			lines = append(lines, line(c))
		}
		return lines
	}
	groups := alike(journal, true)
	if len(groups) > listMost {
		groups = alike(journal, false)
	}
	if len(groups) > listMost {
		rank := func(g []Change) int {
			if g[0].State == Left {
				return 0
			}
			return 1
		}
		slices.SortStableFunc(groups, func(a, b []Change) int { return rank(a) - rank(b) })
	}
	rest, left := 0, 0
	for i, g := range groups {
		if len(groups) <= listMost || i < listMost-1 {
			lines = append(lines, groupLine(g))
			continue
		}
		rest += len(g)
		if g[0].State == Left {
			left += len(g)
		}
	}
	if rest > 0 {
		lines = append(lines, fmt.Sprintf("%d more changes, %d of them left: see the file", rest, left))
	}
	return lines
}

// alike puts the changes of one setting, scope and state together, and, if asked, of one
// reason.
func alike(journal []Change, reasons bool) [][]Change {
	type kind struct {
		setting, scope, reason string
		state                  ChangeState
	}
	var groups [][]Change
	at := make(map[kind]int)
	for _, c := range journal {
		k := kind{setting: c.Setting, scope: c.Scope, state: c.State}
		if reasons {
			k.reason = c.Reason
		}
		i, ok := at[k]
		if !ok {
			i = len(groups)
			at[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

// groupLine says what became of changes that are alike.
func groupLine(g []Change) string {
	first := g[0]
	if len(g) == 1 {
		return line(first)
	}
	if _, same := common(g, func(c Change) string { return c.Resource }); !same {
		first.Resource = ""
	}
	what := func(f func(Change) string, other string) string {
		if s, same := common(g, f); same {
			return s
		}
		return other
	}
	return fmt.Sprintf("%d × ", len(g)) + outcome(name(first), first.State,
		what(func(c Change) string { return value(present(c)) }, "various values"),
		what(func(c Change) string { return value(c.Before) }, "various values"),
		what(func(c Change) string { return c.Reason }, "various reasons, see the file"))
}

// common returns what f says of the changes, and whether it says the same of all.
func common(g []Change, f func(Change) string) (string, bool) {
	s := f(g[0])
	for _, c := range g[1:] {
		if f(c) != s {
			return "", false
		}
	}
	return s, true
}

// listing is the files that list every change, a line each, where there are too many
// for the ending itself: one, or several if it would be longer than a file may be, since
// nothing that was left may go unnamed.
func listing(journal []Change) []*File {
	if len(journal) <= listMost {
		return nil
	}
	var texts []string
	var b strings.Builder
	for _, c := range journal {
		l := strings.ReplaceAll(line(c), "\n", " ") + "\n"
		if b.Len() > 0 && b.Len()+len(l) > MaxFile {
			texts = append(texts, b.String())
			b.Reset()
		}
		b.WriteString(l)
	}
	texts = append(texts, b.String())
	if len(texts) == 1 {
		return []*File{newFile("changes.txt", texts[0])}
	}
	files := make([]*File, len(texts))
	for i, text := range texts {
		files[i] = newFile(fmt.Sprintf("changes-%d-of-%d.txt", i+1, len(texts)), text)
	}
	return files
}

// line says what became of one change.
func line(c Change) string {
	return outcome(name(c), c.State, value(present(c)), value(c.Before), c.Reason)
}

// name is what was changed.
func name(c Change) string {
	s := c.Setting
	if c.Scope != "" {
		s += " (" + c.Scope + ")"
	}
	if c.Resource != "" {
		s = c.Resource + ": " + s
	}
	return s
}

// present is the value as it is now, as far as the run knows.
func present(c Change) *string {
	switch {
	case c.State == Restored && c.After == nil:
		return c.Before
	case c.State == Left && c.Reason == unread:
		return c.Intended
	}
	return c.After
}

// outcome is the line of a change, or of several, of its parts.
func outcome(name string, s ChangeState, now, was, reason string) string {
	switch s {
	case Restored:
		return fmt.Sprintf("%s restored: %s%s", name, now, because(reason))
	case Kept:
		return fmt.Sprintf("%s kept as planned: %s, was %s%s", name, now, was, because(reason))
	default:
		return fmt.Sprintf("%s left: %s, was %s%s", name, now, was, because(reason))
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + trim(reason) + ")"
}

func value(v *string) string {
	if v == nil {
		return "unset"
	}
	return fmt.Sprintf("%q", *v)
}
