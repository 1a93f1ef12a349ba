package commands

import (
	"strings"
	"unicode"
)

// word is one word of a command.
type word struct {
	text   string // what it means: unquoted, dashes put right
	raw    string // as typed, spaces collapsed: for prose
	quoted bool   // wholly in quotes: never a flag
	open   rune   // a quote that begins the word and is never closed; 0: none
}

// lex splits a decoded command into words.
//
// Quotes, straight or curly, begin at the start of a word (or after a flag's =) and
// end before a space, so an apostrophe is an ordinary letter. In double quotes \" and
// \\ stand for " and \. Code backticks around a word or a command are dropped.
func lex(text string) []word {
	r := []rune(text)
	var words []word
	for i := 0; i < len(r); {
		if r[i] == ' ' {
			i++
			continue
		}
		w, end := lexWord(r, i)
		if w.quoted || w.text != "" {
			words = append(words, w)
		}
		i = end
	}
	return words
}

// lexWord reads the word that starts at r[start] and returns where it ends.
func lexWord(r []rune, start int) (word, int) {
	i := skipTicks(r, start)
	var w word
	if i < len(r) && isQuote(r[i]) {
		if text, end, ok := quotedAt(r, i); ok {
			return word{text: text, raw: collapse(r[start:end]), quoted: true}, end
		}
		w.open = r[i]
	}
	end := i
	for end < len(r) && r[end] != ' ' {
		if r[end] == '=' && end+1 < len(r) && isDash(r[i]) && isQuote(r[end+1]) {
			if text, after, ok := quotedAt(r, end+1); ok {
				w.text = dashes(string(r[i:end+1])) + text
				w.raw = collapse(r[start:after])
				return w, after
			}
		}
		end++
	}
	w.text = dashes(strings.TrimRight(string(r[i:end]), "`"))
	w.raw = string(r[start:end])
	return w, end
}

// quotedAt reads the quoted text that opens at r[i]; end is after the closing quote
// and backticks. It reports false if the quote is not closed before a space or the
// end of the text.
func quotedAt(r []rune, i int) (text string, end int, ok bool) {
	double := isDouble(r[i])
	var b strings.Builder
	for j := i + 1; j < len(r); j++ {
		if double && r[j] == '\\' && j+1 < len(r) && (r[j+1] == '\\' || isDouble(r[j+1])) {
			j++
			b.WriteRune(r[j])
			continue
		}
		if isQuote(r[j]) && isDouble(r[j]) == double {
			if end := skipTicks(r, j+1); end == len(r) || r[end] == ' ' {
				return b.String(), end, true
			}
		}
		b.WriteRune(r[j])
	}
	return "", 0, false
}

func skipTicks(r []rune, i int) int {
	for i < len(r) && r[i] == '`' {
		i++
	}
	return i
}

func collapse(r []rune) string { return strings.Join(strings.Fields(string(r)), " ") }

func isDouble(r rune) bool { return strings.ContainsRune("\"“”„‟", r) }
func isQuote(r rune) bool  { return isDouble(r) || strings.ContainsRune("'‘’‚‛", r) }

// isDash knows the dashes that composers put in the place of --: figure, en and em
// dash, bar, minus sign.
func isDash(r rune) bool { return r == '-' || strings.ContainsRune("‒–—―−", r) }

// dashes makes two hyphens of the dashes a word starts with, unless it is a single
// plain hyphen.
func dashes(s string) string {
	rest := strings.TrimLeftFunc(s, isDash)
	if lead := s[:len(s)-len(rest)]; lead != "" && lead != "-" {
		return "--" + rest
	}
	return s
}

// decode undoes what Slack and composers do to text on its way: entities, links,
// mentions, odd spaces and hyphens. The result holds no space but ' ', and no
// invisible characters.
//
// People, channels and groups become @U…, #C… and @S…, since a name is not an
// identity; a link becomes what was typed.
func decode(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	var b strings.Builder
	plain := func(s string) {
		for _, r := range s {
			switch {
			case unicode.IsSpace(r), unicode.IsControl(r), r == '\u2800', r == '\u3164':
				b.WriteByte(' ')
			case unicode.Is(unicode.Cf, r):
			case r == '\u2010', r == '\u2011':
				b.WriteByte('-')
			default:
				b.WriteRune(r)
			}
		}
	}
	for text != "" {
		i := strings.IndexByte(text, '<')
		if i < 0 {
			plain(unescape(text))
			break
		}
		plain(unescape(text[:i]))
		text = text[i:]
		if n := strings.IndexAny(text[1:], "<>\n"); n >= 0 && text[n+1] == '>' {
			if meant, ok := markup(text[1 : n+1]); ok {
				plain(unescape(meant))
				text = text[n+2:]
				continue
			}
		}
		b.WriteByte('<')
		text = text[1:]
	}
	return b.String()
}

var entities = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">")

// unescape undoes Slack's three entities, once.
func unescape(s string) string { return entities.Replace(s) }

// markup returns what the inside of <…> stands for, or false if it is none of
// Slack's forms.
func markup(s string) (string, bool) {
	head, label, _ := strings.Cut(s, "|")
	switch {
	case strings.HasPrefix(head, "@"), strings.HasPrefix(head, "#"):
		return head, isID(head[1:])
	case strings.HasPrefix(head, "!subteam^"):
		id := strings.TrimPrefix(head, "!subteam^")
		return "@" + id, isID(id)
	case head == "!here", head == "!channel", head == "!everyone":
		return "@" + head[1:], true
	case strings.HasPrefix(head, "!"):
		return label, label != ""
	}
	scheme, rest, ok := strings.Cut(head, ":")
	if !ok || rest == "" || !isScheme(scheme) {
		return "", false
	}
	switch {
	case label != "":
		return label, true
	case scheme == "mailto", scheme == "tel":
		return rest, true
	}
	return head, true
}

func isID(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

func isScheme(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789+.-") == ""
}

// quote writes a word so that lex gives it back as one word that is no flag.
func quote(s string) string {
	if plainWord(s) {
		return s
	}
	return inQuotes(s)
}

func inQuotes(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r == '\\' || isDouble(r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}

func plainWord(s string) bool {
	w := lex(s)
	return len(w) == 1 && w[0].text == s && w[0].raw == s && w[0].open == 0 && !w[0].dashed()
}

// quoteRest writes prose so that it is read back as it is.
func quoteRest(s string) string {
	w := lex(s)
	if len(w) > 0 && !w[0].quoted && !w[0].dashed() && prose(w) == s && !strings.HasPrefix(s, "`") {
		return s
	}
	return quote(s)
}

// prose is what words mean as one text: as typed, or one quoted text.
func prose(words []word) string {
	if len(words) == 1 && words[0].quoted {
		return words[0].text
	}
	raw := make([]string, len(words))
	for i, w := range words {
		raw[i] = w.raw
	}
	return strings.Join(raw, " ")
}

// dashed reports whether the word looks like a flag.
func (w word) dashed() bool { return !w.quoted && strings.HasPrefix(w.text, "-") }
