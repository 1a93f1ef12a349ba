package commands

import (
	"strings"
	"unicode"

	"github.com/agext/levenshtein"
)

// Nearest returns the one of known that word was probably meant to be: the only one
// it is a beginning of, else the only closest one within a few typing mistakes. Case
// does not count. It reports false when none or several are as near, and never offers
// a name that differs in its digits alone: n4 is not a slip of n3.
func Nearest(word string, known []string) (string, bool) {
	word = strings.ToLower(word)
	var begins []string
	best, limit := "", slips(word)+1
	tie := false
	for _, k := range known {
		low := strings.ToLower(k)
		if low == word {
			return k, true
		}
		if digitless(low) == digitless(word) {
			continue
		}
		if len(word) >= 2 && strings.HasPrefix(low, word) {
			begins = append(begins, k)
		}
		switch d := levenshtein.Distance(word, low, nil); {
		case d < limit:
			best, limit, tie = k, d, false
		case d == limit && best != "" && best != k:
			tie = true
		}
	}
	if len(begins) == 1 {
		return begins[0], true
	}
	return best, best != "" && !tie
}

// slips is how many typing mistakes a word may hold: a swap of two letters counts
// two.
func slips(word string) int {
	switch n := len([]rune(word)); {
	case n < 2:
		return 0
	case n < 4:
		return 1
	case n < 8:
		return 2
	}
	return 3
}

// digitless is s with every run of digits replaced by one '#'.
func digitless(s string) string {
	var b strings.Builder
	last := false
	for _, r := range s {
		d := unicode.IsDigit(r)
		if d && !last {
			b.WriteByte('#')
		} else if !d {
			b.WriteRune(r)
		}
		last = d
	}
	return b.String()
}
