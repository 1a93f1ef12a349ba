package main

import (
	"context"
	"fmt"
	"log"
	"regexp"
	"time"
)

// contender is one way to copy.
type contender struct {
	name   string
	how    string // one line for the report
	twokey bool
	copy   func(ctx context.Context) figures
}

// rounds lets all contenders of a table work, in each round in another order. sources and
// targets are how the names of the indices begin; count says what the targets hold.
func (c *cluster) rounds(ctx context.Context, t *table, o order, sources, targets string, count func(context.Context) (int, error), all []contender) error {
	for _, x := range chosen(all, o.only) {
		t.rows = append(t.rows, &row{contender: x})
	}
	for round := range o.rounds {
		for i := range t.rows {
			r := t.rows[(i+round)%len(t.rows)]
			if err := c.settle(ctx, sources, targets); err != nil {
				return err
			}
			f := r.copy(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if f.err == nil {
				f.copied, f.err = count(ctx)
			}
			r.runs = append(r.runs, f)
			log.Printf("%s, round %d of %d, %s: %s", t.name, round+1, o.rounds, r.name, outcome(t, f))
		}
	}
	return c.settle(ctx, sources, targets)
}

func outcome(t *table, f figures) string {
	text := fmt.Sprintf("%.1f s, %.0f documents/s", f.took.Seconds(), t.rate(f.took))
	switch {
	case f.err != nil:
		return fmt.Sprintf("FAILED after %.1f s: %v", f.took.Seconds(), f.err)
	case f.copied != t.docs:
		return fmt.Sprintf("LOST: %d documents of %d are there", f.copied, t.docs)
	case f.alone > 0:
		return fmt.Sprintf("%s; the copying alone %.1f s", text, f.alone.Seconds())
	case len(f.steps) > 0:
		return fmt.Sprintf("%s; verification %.1f s", text, f.verified().Seconds())
	}
	return text
}

func chosen(all []contender, only *regexp.Regexp) []contender {
	var some []contender
	for _, x := range all {
		if only.MatchString(x.name) {
			some = append(some, x)
		}
	}
	return some
}

// timed measures f.
func timed(f func() error) figures {
	begin := time.Now()
	err := f()
	return figures{took: time.Since(begin), err: err}
}
