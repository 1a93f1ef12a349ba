package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// figures are what one run of one contender came to.
type figures struct {
	took   time.Duration // from a source and no target to a searchable target
	alone  time.Duration // the copying alone, by the server's own clock; 0: not known
	steps  []span        // of Twokey
	copied int           // documents in the target
	err    error
}

// span is how long a part took.
type span struct {
	name string
	took time.Duration
}

// verified is the time spent on comparing.
func (f figures) verified() time.Duration {
	var d time.Duration
	for _, s := range f.steps {
		if s.name == "verify" || s.name == "compare" {
			d += s.took
		}
	}
	return d
}

// row is a contender and its runs, in order of rounds.
type row struct {
	contender
	runs []figures
}

// table is one test with all its contenders.
type table struct {
	name  string
	title string
	docs  int // to copy
	rows  []*row
	notes []string
}

// rate is documents per second.
func (t *table) rate(d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(t.docs) / d.Seconds()
}

// good reports whether a run copied everything.
func (t *table) good(f figures) bool { return f.err == nil && f.copied == t.docs }

// rates are those of a contender's good runs; of picks what is measured.
func (t *table) rates(r *row, pick func(figures) time.Duration) []float64 {
	var rates []float64
	for _, f := range r.runs {
		if d := pick(f); t.good(f) && d > 0 {
			rates = append(rates, t.rate(d))
		}
	}
	return rates
}

func whole(f figures) time.Duration { return f.took }
func alone(f figures) time.Duration { return f.alone }

// spread is the least, the middle and the greatest of some values.
type spread struct{ min, median, max float64 }

func spreadOf(v []float64) (spread, bool) {
	if len(v) == 0 {
		return spread{}, false
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return spread{v[0], (v[(n-1)/2] + v[n/2]) / 2, v[n-1]}, true
}

// markdown is the table, and the ratios of Twokey's rows to the others by rounds.
func (t *table) markdown() string {
	var s strings.Builder
	fmt.Fprintf(&s, "## %s\n\n| | runs | documents/s: median | least | most | seconds | copy alone, documents/s |\n|---|--:|--:|--:|--:|--:|--:|\n", t.title)
	for _, r := range t.rows {
		rates := t.rates(r, whole)
		if m, ok := spreadOf(rates); ok {
			only := ""
			if a, ok := spreadOf(t.rates(r, alone)); ok {
				only = fmt.Sprintf("%.0f", a.median)
			}
			fmt.Fprintf(&s, "| %s | %d | %.0f | %.0f | %.0f | %.1f | %s |\n", r.name, len(rates), m.median, m.min, m.max, float64(t.docs)/m.median, only)
		} else {
			fmt.Fprintf(&s, "| %s | 0 | | | | | |\n", r.name)
		}
	}
	s.WriteString("\n")
	for _, r := range t.rows {
		fmt.Fprintf(&s, "- %s: %s\n", r.name, r.how)
	}
	for _, r := range t.rows {
		if r.twokey {
			t.compare(&s, r)
		}
	}
	for _, n := range t.notes {
		fmt.Fprintf(&s, "\n%s\n", n)
	}
	return s.String()
}

// compare writes the ratios of a row to the others, and where its time went.
func (t *table) compare(s *strings.Builder, own *row) {
	fmt.Fprintf(s, "\n### %s: times as fast, by rounds\n\n| than | median | least | most |\n|---|--:|--:|--:|\n", own.name)
	for _, r := range t.rows {
		if r.twokey {
			continue
		}
		t.ratio(s, own, r, r.name, whole)
		t.ratio(s, own, r, r.name+", its copying alone", alone)
	}
	var names []string
	parts := make(map[string][]float64)
	var share []float64
	for _, f := range own.runs {
		if !t.good(f) {
			continue
		}
		if f.verified() > 0 {
			share = append(share, 100*f.verified().Seconds()/f.took.Seconds())
		}
		for _, p := range f.steps {
			if parts[p.name] == nil {
				names = append(names, p.name)
			}
			parts[p.name] = append(parts[p.name], p.took.Seconds())
		}
	}
	if m, ok := spreadOf(share); ok {
		fmt.Fprintf(s, "\nVerification: %.0f %% of the time (%.0f to %.0f).", m.median, m.min, m.max)
	}
	if len(names) > 0 {
		s.WriteString("\nSteps:")
	}
	for _, n := range names {
		if m, ok := spreadOf(parts[n]); ok {
			fmt.Fprintf(s, " %s %.1f s;", n, m.median)
		}
	}
	s.WriteString("\n")
}

func (t *table) ratio(s *strings.Builder, own, other *row, name string, pick func(figures) time.Duration) {
	var ratios []float64
	for i := range min(len(own.runs), len(other.runs)) {
		a, b := own.runs[i], other.runs[i]
		if d := pick(b); t.good(a) && t.good(b) && d > 0 {
			ratios = append(ratios, d.Seconds()/a.took.Seconds())
		}
	}
	if m, ok := spreadOf(ratios); ok {
		fmt.Fprintf(s, "| %s | %.2f | %.2f | %.2f |\n", name, m.median, m.min, m.max)
	}
}

// head is the first line of the CSV.
const head = "test,contender,round,seconds,documents_per_second,copy_alone_seconds,verification_seconds,documents,expected"

// csv has a line for each run.
func (t *table) csv() string {
	var s strings.Builder
	for _, r := range t.rows {
		for i, f := range r.runs {
			fmt.Fprintf(&s, "%s,%q,%d,%.3f,%.0f,%.3f,%.3f,%d,%d\n", t.name, r.name, i+1, f.took.Seconds(), t.rate(f.took), f.alone.Seconds(), f.verified().Seconds(), f.copied, t.docs)
		}
	}
	return s.String()
}

// failed says which runs lost documents or did not work.
func (t *table) failed() error {
	var errs []error
	for _, r := range t.rows {
		for i, f := range r.runs {
			switch {
			case f.err != nil:
				errs = append(errs, fmt.Errorf("%s, %s, round %d: %w", t.name, r.name, i+1, f.err))
			case f.copied != t.docs:
				errs = append(errs, fmt.Errorf("%s, %s, round %d: %d documents of %d", t.name, r.name, i+1, f.copied, t.docs))
			}
		}
	}
	return errors.Join(errs...)
}
