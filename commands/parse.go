package commands

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Parse turns a command, as Slack sends it, into an Invocation. A leading mention of
// the bot or repeat of the slash word is dropped; nothing at all means help, and so
// does --help. Words of the command and names of flags and environments are read in
// any case; arguments keep theirs. A lone -- ends the flags.
//
// The Text of the result, escaped as Slack does, parses to the same Invocation. Args
// and Flags are nil when there are none. Every error is a *UsageError.
func Parse(text string, v Vocabulary) (Invocation, error) {
	text = decode(text)
	if err := short(text, v); err != nil {
		return Invocation{}, err
	}
	words := unfence(dropLead(lex(text), v))
	if len(words) == 0 {
		return helpOn(nil), nil
	}
	spec, rest, err := match(words, v)
	if err != nil {
		return Invocation{}, err
	}
	if spec.Path == nil {
		return helpOn(rest), nil
	}
	p := parser{spec: spec, v: v}
	if err := p.read(rest); err != nil {
		return Invocation{}, err
	}
	if p.help {
		return helpOn(plainWords(spec.Path)), nil
	}
	inv, err := p.finish()
	if err == nil {
		err = short(inv.Text, v)
	}
	if err != nil {
		return Invocation{}, err
	}
	return inv, nil
}

// maxLength is how many characters a command may have: what Slack advises for the
// text of a message, and far more than any command needs.
const maxLength = 4000

// short refuses a command that is too long.
func short(text string, v Vocabulary) error {
	if n := utf8.RuneCountInString(text); n > maxLength {
		return &UsageError{
			What: fmt.Sprintf("the command has %d characters, more than %d", n, maxLength),
			Next: full(v, "help") + " lists all commands.",
		}
	}
	return nil
}

// dropLead drops the bot's mention and the slash word from the front.
func dropLead(words []word, v Vocabulary) []word {
	for len(words) > 0 {
		lead := strings.TrimRight(words[0].text, ":,")
		mention := v.BotUser != "" && lead == "@"+v.BotUser
		if !mention && (v.Command == "" || !strings.EqualFold(lead, v.Command)) {
			break
		}
		words = words[1:]
	}
	return words
}

// unfence drops the backtick that closes a code span around the whole command.
func unfence(words []word) []word {
	if len(words) < 2 || !strings.HasPrefix(words[0].raw, "`") || strings.HasSuffix(words[0].raw, "`") {
		return words
	}
	words = slices.Clone(words)
	last := &words[len(words)-1]
	last.raw = strings.TrimRight(last.raw, "`")
	return words
}

// helpOn is the invocation of help about these words.
func helpOn(about []word) Invocation {
	inv := Invocation{Kind: "help", Own: true, Text: "help"}
	for _, w := range about {
		inv.Args = append(inv.Args, w.text)
		inv.Text += " " + quote(w.text)
	}
	return inv
}

func plainWords(path []string) []word {
	words := make([]word, len(path))
	for i, p := range path {
		words[i] = word{text: p, raw: p}
	}
	return words
}

// match finds the longest command the words begin with, and returns the words after it. A
// word in quotes is no part of a command where it can be an argument. A spec without a
// path means: help about the words returned.
func match(words []word, v Vocabulary) (Spec, []word, error) {
	if words[0].dashed() {
		if isHelpFlag(words[0]) {
			return Spec{}, nil, nil
		}
		return Spec{}, nil, &UsageError{
			What: fmt.Sprintf("%s stands before the command", shown(words[0].text)),
			Next: "Flags come after it. " + full(v, "help") + " lists all commands.",
		}
	}
	known := Catalog()
	for depth, w := range words {
		next := slices.DeleteFunc(slices.Clone(known), func(s Spec) bool {
			return len(s.Path) <= depth || !strings.EqualFold(s.Path[depth], w.text)
		})
		i := exact(known, depth)
		if i >= 0 && (w.quoted || len(next) == 0) {
			return known[i], words[depth:], nil
		}
		if len(next) == 0 {
			if depth > 0 && (isHelpFlag(w) || strings.EqualFold(w.text, "help")) {
				return Spec{}, plainWords(known[0].Path[:depth]), nil
			}
			return Spec{}, nil, unknown(texts(words[:depth+1]), known, v)
		}
		known = next
	}
	if i := exact(known, len(words)); i >= 0 {
		return known[i], nil, nil
	}
	group := strings.Join(known[0].Path[:len(words)], " ")
	return Spec{}, nil, &UsageError{
		What: fmt.Sprintf("%s needs one more word: %s", group, strings.Join(nextWords(known, len(words)), ", ")),
		Next: full(v, "help "+group) + " explains them.",
	}
}

// exact is the index of the spec whose path is depth words long; -1: none.
func exact(specs []Spec, depth int) int {
	return slices.IndexFunc(specs, func(s Spec) bool { return len(s.Path) == depth })
}

func isHelpFlag(w word) bool {
	return !w.quoted && (strings.EqualFold(w.text, "--help") || w.text == "-h")
}

// nextWords is what may stand at this depth, in the catalogue's order.
func nextWords(specs []Spec, depth int) []string {
	var next []string
	for _, s := range specs {
		if len(s.Path) > depth && !slices.Contains(next, s.Path[depth]) {
			next = append(next, s.Path[depth])
		}
	}
	return next
}

// unknown is the error for words of which the last fits none of the specs that fit
// those before it.
func unknown(typed []string, known []Spec, v Vocabulary) error {
	depth := len(typed) - 1
	last := typed[depth]
	e := &UsageError{What: fmt.Sprintf("there is no command %s", shown(strings.Join(typed, " ")))}
	if meant := meant(last, known, depth); len(meant) > 0 {
		for i, m := range meant {
			meant[i] = full(v, m)
		}
		e.Next = "Did you mean " + strings.Join(meant, " or ") + "? "
	} else if depth > 0 {
		group := strings.Join(known[0].Path[:depth], " ")
		e.Next = "There are: " + group + " " + strings.Join(nextWords(known, depth), ", ") + ". "
	}
	e.Next += full(v, "help") + " lists all commands."
	return e
}

// meant guesses the commands that a wrong word at this depth was to begin: one that
// is near, or those whose last word it is.
func meant(typed string, known []Spec, depth int) []string {
	var kinds, last []string
	var lasts = map[string][]string{}
	for _, s := range known {
		kinds = append(kinds, s.Kind())
		l := s.Path[len(s.Path)-1]
		last = append(last, l)
		lasts[l] = append(lasts[l], s.Kind())
	}
	if kinds := lasts[strings.ToLower(typed)]; len(kinds) > 0 {
		return kinds
	}
	if w, ok := Nearest(typed, nextWords(known, depth)); ok {
		return []string{strings.Join(append(slices.Clone(known[0].Path[:depth]), w), " ")}
	}
	if k, ok := Nearest(typed, kinds); ok {
		return []string{k}
	}
	if l, ok := Nearest(typed, last); ok {
		return lasts[l]
	}
	return nil
}

func texts(words []word) []string {
	t := make([]string, len(words))
	for i, w := range words {
		t[i] = w.text
	}
	return t
}

// full is a command as it is typed, with the slash word.
func full(v Vocabulary, command string) string {
	return strings.TrimSpace(v.Command + " " + command)
}

// shown is something typed, in quotes, cut to a readable length.
func shown(typed string) string {
	const most = 60
	if r := []rune(typed); len(r) > most {
		typed = string(r[:most-1]) + "…"
	}
	return `"` + typed + `"`
}
