package bot

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"twokey/ops"
)

// throttled are the kinds of runs that look at the dial throttleDial: "none", or a whole
// number of documents per second.
var throttled = []string{"es reindex", "es campaign"}

const (
	throttleDial = "throttle"
	noThrottle   = "none"
	mostThrottle = 1_000_000_000
)

// throttle changes how fast a run copies, and says so in its thread. Handled again it
// sets the same and says nothing new.
func (s *Server) throttle(ctx context.Context, w word, id, typed string) error {
	value, wrong := readThrottle(typed)
	if wrong != nil {
		return w.reply(ctx, "", renderError(wrong))
	}
	r, may, err := s.controls(ctx, w, id)
	if err != nil || !may {
		return err
	}
	plan, err := planOf(r)
	if err != nil {
		return err
	}
	title := fmt.Sprintf("%s (`%s`)", escape(r.Title), short(id))
	if !slices.Contains(throttled, plan.Call.Kind) {
		return w.reply(ctx, "", fmt.Sprintf("%s has no throttle: only runs of %s have. Nothing was changed.", title, join(throttled, "and")))
	}
	switch err := s.o.Engine.Turn(ctx, id, throttleDial, value, w.User); {
	case errors.Is(err, ops.ErrEnded):
		return w.reply(ctx, "", s.endedText(ctx, r))
	case err != nil:
		return err // ErrNotFound too: the launch is under way
	}
	did := "Throttle of " + title
	if value == noThrottle {
		did += " taken away"
	} else {
		did += fmt.Sprintf(" set to %s documents a second", thousands(value))
	}
	o, known, err := s.o.Threads.Origin(ctx, id)
	if err != nil {
		return err
	}
	if known {
		m := inThread(o, id, Message{Key: w.key(throttleDial), Urgency: Normal, Text: fmt.Sprintf("%s by %s.", did, user(w.User))})
		if err := s.o.Outbox.Put(ctx, m); err != nil {
			return err
		}
	}
	return w.reply(ctx, "", did+".")
}

// number is a whole number, perhaps with commas or underscores between its thousands.
var number = regexp.MustCompile(`^([0-9]+|[0-9]{1,3}([,_][0-9]{3})+)$`)

// readThrottle reads what was typed as a throttle: the dial's value, or what is wrong.
func readThrottle(typed string) (string, error) {
	if strings.EqualFold(typed, noThrottle) {
		return noThrottle, nil
	}
	const next = "Type a whole number of documents per second, like 5000, or none to take the throttle away. Nothing was changed."
	if !number.MatchString(typed) {
		return "", &ops.UserError{What: fmt.Sprintf("%q is not a throttle", clip(typed, 60)), Next: next}
	}
	n, err := strconv.ParseInt(strings.NewReplacer(",", "", "_", "").Replace(typed), 10, 64)
	switch {
	case err != nil || n > mostThrottle:
		return "", &ops.UserError{What: fmt.Sprintf("A throttle of %s is more than %s", clip(typed, 60), thousands(fmt.Sprint(mostThrottle))), Next: next}
	case n == 0:
		return "", &ops.UserError{What: "A throttle of 0 would stop the copy", Next: "To make it wait there is pause. " + next}
	}
	return strconv.FormatInt(n, 10), nil
}

// thousands puts commas into the digits of a number: "5,000".
func thousands(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
