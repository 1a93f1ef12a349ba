package deploy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Near returns up to three of the names that typed was probably meant to be: those
// within a few typing mistakes, nearest first, or else those that contain it.
func Near(typed string, names []string) []string {
	const most = 3
	type candidate struct {
		name string
		far  int
	}
	low := strings.ToLower(typed)
	limit := min(3, 1+len(low)/4)
	var c []candidate
	for _, n := range names {
		d := levenshtein.Distance(low, strings.ToLower(n), nil)
		switch {
		case d <= limit:
		case len(low) >= 3 && strings.Contains(strings.ToLower(n), low):
			d = limit + 1
		default:
			continue
		}
		c = append(c, candidate{n, d})
	}
	slices.SortFunc(c, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(a.name, b.name))
	})
	var out []string
	for _, x := range c[:min(len(c), most)] {
		out = append(out, x.name)
	}
	return out
}
