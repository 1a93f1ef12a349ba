package elastic

import (
	"strings"

	"github.com/agext/levenshtein"
)

// nearest returns the name that was probably meant, or "" if none is near.
func Nearest(typed string, names []string) string {
	best, near := "", 0.6
	for _, name := range names {
		if s := levenshtein.Match(strings.ToLower(typed), strings.ToLower(name), nil); s >= near {
			if s > near || best == "" {
				best, near = name, s
			}
		}
	}
	return best
}
