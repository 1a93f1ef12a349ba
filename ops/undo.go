package ops

import (
	"context"
	"fmt"
	"time"
)

// turnBack lets the run be undone towards outcome, or ends it if no step has begun.
func (t *turn) turnBack(ctx context.Context, outcome State, reason, by string, f Flag) error {
	r := t.run
	r.Outcome, r.OutcomeReason, r.OutcomeBy = outcome, reason, by
	r.Reason, r.By, r.Was, r.Errors, r.LastError = reason, by, "", 0, ""
	if !r.Begun {
		r.Step-- // the steps before it were begun
	}
	if r.Step < 0 || r.StartedAt.IsZero() {
		r.Step = 0
		return t.endClearing(ctx, outcome, f)
	}
	r.State, r.Begun = Undoing, true
	if by != "" {
		t.say(Milestone, "Cancelled by <@%s>; undoing.", by)
	} else {
		t.say(Milestone, "Failed: %s. Undoing.", trim(reason))
	}
	return t.write(ctx, f)
}

// undo undoes the current step, and the one before it in the next turn of the loop.
func (t *turn) undo(ctx context.Context) (time.Duration, error) {
	r := t.run
	what := "undo of “" + t.title() + "” could not finish"
	step, err := t.step(r.Step)
	if err != nil {
		return 0, t.pause(ctx, what+": "+err.Error(), "", NoFlag)
	}
	p, err := t.call(ctx, step.Undo)
	if err != nil {
		return t.unknown(ctx, what, err)
	}
	r.Errors, r.LastError = 0, ""
	t.show(p.Status)
	switch p.Phase {
	case Done, NotStarted:
		if r.Step == 0 {
			r.Reason, r.By = r.OutcomeReason, r.OutcomeBy
			return 0, t.end(ctx, r.Outcome)
		}
		r.Step--
		return 0, t.put(ctx)
	case Failed, Blocked:
		return 0, t.pause(ctx, fmt.Sprintf("%s: %s", what, p.Reason), "", NoFlag)
	}
	return t.wait(p), t.put(ctx)
}
