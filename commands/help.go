package commands

import (
	"fmt"
	"slices"
	"strings"
)

// Help explains a command, a group of commands (its first word), or, without words,
// all of them. Words after a whole command are ignored. For words that begin no
// command it returns a *UsageError with what was probably meant.
func Help(words []string, v Vocabulary) (Page, error) {
	if len(words) > 0 && v.Command != "" && strings.EqualFold(words[0], v.Command) {
		words = words[1:]
	}
	known := Catalog()
	for depth, w := range words {
		next := slices.DeleteFunc(slices.Clone(known), func(s Spec) bool {
			return len(s.Path) <= depth || !strings.EqualFold(s.Path[depth], w)
		})
		if len(next) == 0 {
			if i := exact(known, depth); i >= 0 {
				return commandPage(known[i], v), nil
			}
			return Page{}, unknown(words[:depth+1], known, v)
		}
		known = next
	}
	if len(words) == 0 {
		return allPage(known, v), nil
	}
	if i := exact(known, len(words)); i >= 0 {
		return commandPage(known[i], v), nil
	}
	return groupPage(known, len(words), v), nil
}

func allPage(specs []Spec, v Vocabulary) Page {
	return Page{
		Title: "One asks, another agrees, the bot does the work and tells it in a thread",
		Usage: full(v, "COMMAND [--env NAME]"),
		Text: []string{
			"R0 only reads; nobody is asked. R1 can be reversed and does not touch service. R2 moves data or touches service. R3 destroys or cannot be undone.",
			"R1 to R3 wait for other people's approval; nobody approves their own request.",
			environments(v),
			full(v, "help COMMAND") + " explains one command.",
		},
		Rows:     grouped(specs),
		Examples: examples(v, "es health", "es drain n3 --env staging", "help es drain"),
	}
}

func groupPage(specs []Spec, depth int, v Vocabulary) Page {
	group := strings.Join(specs[0].Path[:depth], " ")
	p := Page{Title: group, Usage: full(v, group+" COMMAND"), Rows: rows(specs)}
	if about := nouns[group]; about != "" {
		p.Title += ": " + about
	}
	if slices.ContainsFunc(specs, func(s Spec) bool { return s.Env }) {
		p.Text = append(p.Text, environments(v))
	}
	p.Text = append(p.Text, full(v, "help "+group+" "+specs[0].Path[depth])+" explains one of them.")
	for _, s := range specs {
		p.Examples = append(p.Examples, examples(v, s.Examples[:min(1, len(s.Examples))]...)...)
	}
	return p
}

func commandPage(s Spec, v Vocabulary) Page {
	p := Page{
		Title:    s.Kind() + ": " + s.Summary,
		Usage:    usage(s, v),
		Text:     slices.Clone(s.Detail),
		Examples: examples(v, s.Examples...),
	}
	if s.Class != "" {
		p.Title += " (" + s.Class + ")"
		p.Text = append(p.Text, classes[s.Class])
	}
	for _, a := range s.Args {
		p.Rows = append(p.Rows, Row{Term: argForm(a), Meaning: a.Summary})
	}
	for _, f := range allFlags(s) {
		r := Row{Term: flagForm(f), Meaning: f.Summary}
		if s.Env && f.Name == "env" {
			r.Meaning += ": " + list(v.Environments)
			if v.DefaultEnvironment != "" {
				r.Meaning += "; without it " + v.DefaultEnvironment
			}
		}
		p.Rows = append(p.Rows, r)
	}
	return p
}

// classes says what a risk class means for the person who types the command. The
// quorum is the environment's; these are the ones where it sets none.
var classes = map[string]string{
	"R0": "R0: it only reads; nobody is asked.",
	"R1": "R1: it can be reversed and does not touch service. It waits for an approval, one unless the environment says otherwise.",
	"R2": "R2: it moves data or touches service. It waits for an approval, one unless the environment says otherwise.",
	"R3": "R3: it destroys, or cannot be undone. It waits for approvals, two unless the environment says otherwise.",
}

func environments(v Vocabulary) string {
	s := "Environments: " + list(v.Environments)
	if v.DefaultEnvironment != "" {
		return s + "; without --env it is " + v.DefaultEnvironment + "."
	}
	return s + "; --env must be typed."
}

func rows(specs []Spec) []Row {
	rows := make([]Row, len(specs))
	for i, s := range specs {
		rows[i] = Row{Term: s.Kind(), Meaning: s.Summary}
		for _, a := range s.Args {
			rows[i].Term += " " + argForm(a)
		}
		if s.Class != "" {
			rows[i].Meaning += " (" + s.Class + ")"
		}
	}
	return rows
}

// grouped is rows under headings.
func grouped(specs []Spec) []Row {
	var all []Row
	last := ""
	for _, s := range specs {
		if h := heading(s); h != last {
			all, last = append(all, Row{Meaning: h}), h
		}
		all = append(all, rows([]Spec{s})...)
	}
	return all
}

func examples(v Vocabulary, commands ...string) []string {
	typed := make([]string, len(commands))
	for i, c := range commands {
		typed[i] = full(v, c)
	}
	return typed
}

// usage is the right form of a command: "/ops es drain NODE… [--env NAME] [--release]".
func usage(s Spec, v Vocabulary) string {
	form := s.Kind()
	for _, a := range s.Args {
		form += " " + argForm(a)
	}
	many := manyFlags(s, v)
	for _, f := range allFlags(s) {
		switch {
		case required(s, f, v):
			form += " " + flagForm(f)
		case !many:
			form += fmt.Sprintf(" [%s]", flagForm(f))
		}
	}
	if many {
		form += " [FLAG…]"
	}
	return full(v, form)
}

// mostFlags is how many optional flags a usage line shows. More are shown in help alone.
const mostFlags = 4

func manyFlags(s Spec, v Vocabulary) bool {
	optional := 0
	for _, f := range allFlags(s) {
		if !required(s, f, v) {
			optional++
		}
	}
	return optional > mostFlags
}

func required(s Spec, f Flag, v Vocabulary) bool {
	return f.Required || s.Env && f.Name == "env" && v.DefaultEnvironment == ""
}

func argForm(a Arg) string {
	form := a.Name
	if a.Repeat || a.Rest {
		form += "…"
	}
	if a.Optional {
		return "[" + form + "]"
	}
	return form
}

func flagForm(f Flag) string {
	if f.Value == "" {
		return "--" + f.Name
	}
	return "--" + f.Name + " " + f.Value
}
