package commands

import (
	"fmt"
	"slices"
	"strings"
)

// parser reads the words after a command's path.
type parser struct {
	spec  Spec
	v     Vocabulary
	args  []string
	flags map[string]string
	env   string
	help  bool
}

// read takes in the words: flags anywhere before the prose of a Rest argument,
// arguments in order.
func (p *parser) read(words []word) error {
	flags := true
	for len(words) > 0 {
		w := words[0]
		switch {
		case flags && w.text == "--" && !w.quoted:
			flags, words = false, words[1:]
		case flags && p.isFlag(w):
			if p.help = isHelpFlag(w); p.help {
				return nil
			}
			rest, err := p.flag(w, words[1:])
			if err != nil {
				return err
			}
			words = rest
		case p.atRest():
			if text := prose(words); text != "" {
				p.args = append(p.args, text)
			}
			return nil
		case w.open != 0:
			return p.wrong(fmt.Sprintf("the quote in %s is never closed", shown(w.text)))
		case w.text == "":
			return p.wrong("an argument is empty")
		default:
			p.args = append(p.args, w.text)
			words = words[1:]
		}
	}
	return nil
}

// atRest reports whether the next argument is prose.
func (p *parser) atRest() bool {
	n := len(p.args)
	return n < len(p.spec.Args) && p.spec.Args[n].Rest
}

// isFlag reports whether a word is meant as a flag. Where prose may begin, a dash
// belongs to it unless it is a plain -- or names a flag of the command.
func (p *parser) isFlag(w word) bool {
	if !w.dashed() || w.text == "-" {
		return false
	}
	if !p.atRest() || strings.HasPrefix(strings.TrimLeft(w.raw, "`"), "--") {
		return true
	}
	name, _, _ := strings.Cut(w.text, "=")
	return slices.ContainsFunc(p.known(), func(f Flag) bool { return strings.EqualFold("--"+f.Name, name) })
}

// known is the command's flags, --env among them, in the order of its usage.
func (p *parser) known() []Flag { return allFlags(p.spec) }

func allFlags(s Spec) []Flag {
	if !s.Env {
		return s.Flags
	}
	return append([]Flag{{Name: "env", Value: "NAME", Summary: "the environment"}}, s.Flags...)
}

// flag reads one flag and, where it takes one, its value from rest.
func (p *parser) flag(w word, rest []word) ([]word, error) {
	name, value, joined := strings.Cut(strings.TrimPrefix(w.text, "--"), "=")
	f, err := p.lookup(name, w)
	if err != nil {
		return nil, err
	}
	dashed := "--" + f.Name
	if _, twice := p.flags[f.Name]; twice || (f.Name == "env" && p.env != "") {
		return nil, p.wrong(dashed + " is given twice")
	}
	switch {
	case f.Value == "" && joined:
		return nil, p.wrong(dashed + " takes no value")
	case f.Value == "":
		value = "true"
	case !joined && len(rest) > 0 && !rest[0].dashed():
		if rest[0].open != 0 {
			return nil, p.wrong(fmt.Sprintf("the quote in %s is never closed", shown(rest[0].text)))
		}
		value, rest = rest[0].text, rest[1:]
	}
	if value == "" {
		return nil, p.wrong(fmt.Sprintf("%s needs a value: %s %s", dashed, dashed, f.Value))
	}
	if f.Name == "env" {
		p.env = value
		return rest, nil
	}
	if p.flags == nil {
		p.flags = make(map[string]string)
	}
	p.flags[f.Name] = value
	return rest, nil
}

// lookup finds the flag of this name among the command's.
func (p *parser) lookup(name string, w word) (Flag, error) {
	known := p.known()
	if strings.HasPrefix(w.text, "--") {
		if i := slices.IndexFunc(known, func(f Flag) bool { return strings.EqualFold(f.Name, name) }); i >= 0 {
			return known[i], nil
		}
	}
	kind := p.spec.Kind()
	if strings.EqualFold(name, "env") && !p.spec.Env && strings.HasPrefix(w.text, "--") {
		return Flag{}, p.wrong(kind + " takes no --env: it is not about one environment")
	}
	name = strings.TrimLeft(name, "-")
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.Name
	}
	e := p.wrong(fmt.Sprintf("%s has no flag %s", kind, shown(w.text)))
	if meant, ok := Nearest(name, names); ok {
		e.Next = "Did you mean --" + meant + "? " + e.Next
	}
	return Flag{}, e
}

// finish checks what was read and makes the Invocation of it.
func (p *parser) finish() (Invocation, error) {
	if err := p.count(); err != nil {
		return Invocation{}, err
	}
	for _, f := range p.spec.Flags {
		if _, typed := p.flags[f.Name]; f.Required && !typed {
			return Invocation{}, p.wrong(fmt.Sprintf("%s needs %s: %s", p.spec.Kind(), flagForm(f), f.Summary))
		}
	}
	inv := Invocation{
		Kind: p.spec.Kind(), Own: p.spec.Own, Class: p.spec.Class,
		Args: p.args, Flags: p.flags,
	}
	if p.spec.Env {
		env, err := p.environment()
		if err != nil {
			return Invocation{}, err
		}
		inv.Environment = env
	}
	inv.Text = canonical(p.spec, inv)
	return inv, nil
}

// count checks the number of arguments.
func (p *parser) count() error {
	need, most := 0, len(p.spec.Args)
	for _, a := range p.spec.Args {
		if !a.Optional {
			need++
		}
		if a.Repeat {
			most = len(p.args)
		}
	}
	kind := p.spec.Kind()
	switch {
	case len(p.args) < need:
		a := p.spec.Args[len(p.args)]
		return p.wrong(fmt.Sprintf("%s needs %s: %s", kind, a.Name, a.Summary))
	case len(p.args) > most && most == 0:
		return p.wrong(fmt.Sprintf("%s takes no arguments, but got %s", kind, shown(p.args[0])))
	case len(p.args) > most:
		return p.wrong(fmt.Sprintf("%s has one word too many: %s", kind, shown(p.args[most])))
	}
	return nil
}

// environment resolves --env, or its absence.
func (p *parser) environment() (string, error) {
	known := p.v.Environments
	if p.env == "" {
		if p.v.DefaultEnvironment != "" {
			return p.v.DefaultEnvironment, nil
		}
		e := p.wrong(p.spec.Kind() + " needs --env NAME")
		e.Next += " (known: " + list(known) + ")"
		return "", e
	}
	if slices.Contains(known, p.env) {
		return p.env, nil
	}
	var fold []string
	for _, k := range known {
		if strings.EqualFold(k, p.env) {
			fold = append(fold, k)
		}
	}
	if len(fold) == 1 {
		return fold[0], nil
	}
	e := &UsageError{What: "there is no environment " + shown(p.env)}
	if meant, ok := Nearest(p.env, known); ok {
		e.Next = "Did you mean --env " + quote(meant) + "? "
	}
	e.Next += "Known: " + list(known) + "."
	return "", e
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// wrong is a usage error that shows the command's right form.
func (p *parser) wrong(what string) *UsageError {
	e := &UsageError{What: what, Next: "Usage: " + usage(p.spec, p.v)}
	if manyFlags(p.spec, p.v) {
		e.Next += ". " + full(p.v, "help "+p.spec.Kind()) + " explains the flags."
	}
	// The last word of the path may have been meant as an argument.
	depth := len(p.spec.Path) - 1
	if i := slices.IndexFunc(Catalog(), func(s Spec) bool { return slices.Equal(s.Path, p.spec.Path[:depth]) }); i >= 0 {
		shorter := Catalog()[i]
		e.Next += fmt.Sprintf(". If %s is meant as %s of %s, type it in quotes.", shown(p.spec.Path[depth]), shorter.Args[0].Name, shorter.Kind())
	}
	return e
}

// continues reports whether a word after the command's own would be read as one more word
// of a longer command.
func continues(s Spec, word string) bool {
	n := len(s.Path)
	return slices.ContainsFunc(Catalog(), func(l Spec) bool {
		return len(l.Path) > n && slices.Equal(l.Path[:n], s.Path) && strings.EqualFold(l.Path[n], word)
	})
}

// canonical writes an invocation out in full: arguments, environment, flags in the
// order of the spec, prose last.
func canonical(s Spec, inv Invocation) string {
	out := []string{s.Kind()}
	args, rest := inv.Args, ""
	if n := len(s.Args); n > 0 && s.Args[n-1].Rest && len(args) == n {
		args, rest = args[:n-1], quoteRest(args[n-1])
	}
	for i, a := range args {
		if i == 0 && continues(s, a) {
			out = append(out, inQuotes(a))
			continue
		}
		out = append(out, quote(a))
	}
	if inv.Environment != "" {
		out = append(out, "--env", quote(inv.Environment))
	}
	for _, f := range s.Flags {
		value, ok := inv.Flags[f.Name]
		switch {
		case ok && f.Value == "":
			out = append(out, "--"+f.Name)
		case ok:
			out = append(out, "--"+f.Name, quote(value))
		}
	}
	if rest != "" {
		out = append(out, rest)
	}
	return strings.Join(out, " ")
}
