package deploy

import (
	"regexp"
	"strings"
)

// Masked stands in the place of a secret; CloudFormation writes NoEcho values so.
const Masked = "****"

// secretName matches names of parameters, outputs and tags whose values are not shown,
// whatever separates their words.
var secretName = regexp.MustCompile(`(?i)passw(or)?d|passphrase|passcode|pwd|secret|token|credential|` +
	`(api|access|private|signing|encryption|license|auth|account|shared|master|service|webhook)[-_. /:]?key|dsn|connection[-_. /:]?string`)

// secretText finds secrets inside a text: the password of a URL, a named value in a
// query or message, private keys, and the shapes of well-known keys and tokens. What
// the two groups match is kept. Rather too much is masked than too little.
var secretText = []*regexp.Regexp{
	regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:)\S+(@)`), // up to the last @: passwords hold / and @
	regexp.MustCompile(`(?i)((?:passw(?:or)?d|passphrase|pwd|secret|token|api[-_]?key|access[-_]?key|signature|credential)["']?\s*[=:]\s*)(?:"[^"]*"|'[^']*'|[^\s"'&;,]+)()`),
	regexp.MustCompile(`(?s)()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)()`),
	regexp.MustCompile(`()\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b()`),
	regexp.MustCompile(`()\b(?:xox[a-z]|xapp)-[A-Za-z0-9-]{8,}()`),
	regexp.MustCompile(`()\b(?:gh[pousr]_|github_pat_|glpat-)[A-Za-z0-9_-]{16,}()`),
	regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*()`),
}

// MaskValue is the value of something named, fit to be shown: on one line, without
// secrets.
func MaskValue(name, value string) string {
	if value != "" && secretName.MatchString(name) {
		return Masked
	}
	return Mask(value)
}

// Mask is a text on one line, without the secrets that can be recognized in it.
func Mask(s string) string {
	for _, re := range secretText {
		s = re.ReplaceAllString(s, "${1}"+Masked+"${2}")
	}
	return strings.Join(strings.Fields(s), " ")
}

// Short cuts a text to at most n characters.
func Short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return strings.TrimRight(string(r[:n-1]), " ") + "…"
	}
	return s
}
