package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// startTries is how often planning at the start may fail before the run does.
const startTries = 5

// start takes the run's locks and plans again. Nothing is written to the outside
// before both have gone well, so whatever fails here ends the run at once.
func (t *turn) start(ctx context.Context) (time.Duration, error) {
	r := t.run
	op, ok := t.e.operations[r.Plan.Call.Kind]
	if !ok {
		return 0, t.pause(ctx, fmt.Sprintf("this version of Twokey does not know %q; deploy one that does, then resume", r.Plan.Call.Kind), "", NoFlag)
	}
	var held *HeldError
	err := t.claim.Lock(ctx, r.Plan.Locks, r.Plan.Title, r.Requester)
	if errors.As(err, &held) {
		r.Reason = held.Error()
		return 0, t.end(ctx, FailedRun)
	}
	if err != nil {
		return 0, err
	}
	planning, cancel := context.WithTimeout(ctx, planLimit)
	fresh, err := replan(planning, op, r.Plan)
	cancel()
	if err != nil {
		if over(ctx, err) {
			return 0, errors.Join(err, context.Cause(ctx))
		}
		r.Errors++
		r.LastError = text(err)
		if r.Errors < startTries {
			return backoff(r.Errors), t.put(ctx)
		}
		r.Reason = "planning again failed: " + r.LastError
		return 0, t.end(ctx, FailedRun)
	}
	r.Errors, r.LastError = 0, ""
	if changed := differences(r.Plan, fresh); len(changed) > 0 {
		r.Fresh, r.Changed = &fresh, changed
		r.Reason = strings.Join(changed, "; ")
		return 0, t.end(ctx, Superseded)
	}
	r.State, r.StartedAt = Running, time.Now().UTC()
	t.say(Milestone, "Started: %s.", trim(r.Plan.Title))
	return 0, t.put(ctx)
}

// replan plans an approved plan's call again.
func replan(ctx context.Context, op Operation, approved Plan) (Plan, error) {
	if p, ok := op.(Preparer); ok {
		return p.Replan(ctx, approved)
	}
	return op.Plan(ctx, approved.Call)
}

// differences says, for people, what makes the plan of now another than the approved
// one, or worse. Empty: it may be carried out. Locks count too: those taken are the
// approved plan's, so the fresh one must need no others.
func differences(approved, fresh Plan) []string {
	var d []string
	lists := func(name string, was, is []string) {
		gone, added := missing(was, is), missing(is, was)
		switch {
		case slices.Equal(was, is):
		case len(gone) == 0 && len(added) == 0:
			d = append(d, name+": other order")
		default:
			var parts []string
			if len(added) > 0 {
				parts = append(parts, "new "+strings.Join(added, ", "))
			}
			if len(gone) > 0 {
				parts = append(parts, "gone "+strings.Join(gone, ", "))
			}
			d = append(d, name+": "+strings.Join(parts, "; "))
		}
	}
	if approved.Class != fresh.Class {
		d = append(d, fmt.Sprintf("class: was %s, is %s", approved.Class, fresh.Class))
	}
	lists("targets", approved.Targets, fresh.Targets)
	d = append(d, parameters("", approved.Params, fresh.Params)...)
	lists("steps", stepTitles(approved.Steps), stepTitles(fresh.Steps))
	if slices.Equal(stepTitles(approved.Steps), stepTitles(fresh.Steps)) {
		for i, s := range approved.Steps {
			d = append(d, parameters("step “"+stepTitles(approved.Steps[i : i+1])[0]+"”: ", s.Params, fresh.Steps[i].Params)...)
		}
	}
	lists("undo", approved.Undo, fresh.Undo)
	lists("kept", approved.Keeps, fresh.Keeps)
	lists("locks", approved.Locks, fresh.Locks)
	d = append(d, Worse(approved.Facts, fresh.Facts)...)
	if len(d) == 0 && approved.Digest() != fresh.Digest() {
		d = append(d, "details of the plan")
	}
	return d
}

// missing returns what a has and b has not.
func missing(a, b []string) []string {
	var m []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			m = append(m, s)
		}
	}
	return m
}

func stepTitles(steps []StepRef) []string {
	titles := make([]string, len(steps))
	for i, s := range steps {
		titles[i] = s.Title
		if s.Title == "" {
			titles[i] = s.Name
		}
	}
	return titles
}

// parameters says which values differ, sorted by name.
func parameters(of string, was, is map[string]string) []string {
	names := make(map[string]bool)
	for k := range was {
		names[k] = true
	}
	for k := range is {
		names[k] = true
	}
	var d []string
	for k := range names {
		a, had := was[k]
		b, has := is[k]
		switch {
		case !had:
			d = append(d, fmt.Sprintf("%s%s: was unset, is %q", of, k, b))
		case !has:
			d = append(d, fmt.Sprintf("%s%s: was %q, is unset", of, k, a))
		case a != b:
			d = append(d, fmt.Sprintf("%s%s: was %q, is %q", of, k, a, b))
		}
	}
	slices.Sort(d)
	return d
}
