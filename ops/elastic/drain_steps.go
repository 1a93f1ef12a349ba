package elastic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"twokey/ops"
)

// maxWrites is how often in a row a step writes the filters before it asks a person.
const maxWrites = 5

// excludeStep puts the targets' tokens into their settings and makes sure that every
// filter of the family is in effect then.
type excludeStep struct{ exclusion }

// writeNotes are the notes of the steps that write filters.
type writeNotes struct {
	Probes []probe `json:"probes,omitempty"`
	Writes int     `json:"writes,omitempty"`
	Asked  bool    `json:"asked,omitempty"`
	Pause  Pause   `json:"pause,omitzero"`
}

func (s excludeStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	return s.startWrite(ctx, t, token, func(now texts) texts { return goalWith(now, s.targets, t.Journal()) })
}

func (s excludeStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	return s.pollWrite(ctx, t, func(seen sight) (bool, string) {
		tr := s.trouble(seen, t.Journal())
		if len(tr.hidden) > 0 {
			return false, hiddenText(seen.now, tr.hidden)
		}
		return tr.none(), ""
	}, ops.Written, fmt.Sprintf("%s kept out of allocation", names(s.targets)))
}

func (s excludeStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if !s.touched(t.Journal()) {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	return s.undoWrite(ctx, t, func(now texts) texts {
		return goalWithout(now, s.targets, t.Journal(), foundBefore(s.targets, t.Journal()))
	})
}

// readmitStep takes the targets' tokens out again.
type readmitStep struct {
	exclusion
	// keep: taking them out is what the run is for (undrain), so the change is kept and
	// undone by putting the tokens back. Else the step ends what an excludeStep began.
	keep bool
}

func (s readmitStep) goal(t *ops.Tick) func(texts) texts {
	return func(now texts) texts {
		if s.keep {
			return goalWithout(now, s.targets, t.Journal(), nil)
		}
		return goalWithout(now, s.targets, t.Journal(), foundBefore(s.targets, t.Journal()))
	}
}

func (s readmitStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	return s.startWrite(ctx, t, token, s.goal(t))
}

func (s readmitStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	state := ops.Restored
	if s.keep {
		state = ops.Kept
	}
	p, err := s.pollWrite(ctx, t, func(seen sight) (bool, string) {
		tr := s.trouble(seen, t.Journal())
		out := len(diff(seen.now, s.goal(t)(seen.now))) == 0
		return out && len(tr.broken) == 0 && !tr.altered, ""
	}, state, fmt.Sprintf("%s may hold shards again", names(s.targets)))
	if err == nil && p.Phase == ops.Done {
		t.Say("%s may hold shards again: taken out of the exclusion, read back, and all other filters are in effect.", names(s.targets))
	}
	return p, err
}

func (s readmitStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if !s.keep || !s.touched(t.Journal()) {
		return ops.Progress{Phase: ops.NotStarted}, nil // the excludeStep's undo sees to it
	}
	return s.undoWrite(ctx, t, func(now texts) texts { return goalWith(now, s.targets, t.Journal()) })
}

// touched reports whether this run wrote, or was about to write, to the family.
func (x exclusion) touched(journal []ops.Change) bool {
	for _, e := range journal {
		if _, ok := slotOf(e); ok {
			return true
		}
	}
	return false
}

// startWrite is the start of a step that writes filters.
func (x exclusion) startWrite(ctx context.Context, t *ops.Tick, token string, goal func(texts) texts) error {
	var n writeNotes
	if _, err := t.Load(&n); err != nil {
		return err
	}
	seen, err := x.look(ctx, n.Probes)
	if err != nil {
		return err
	}
	n.Probes = seen.probes
	n.Writes++
	if err := t.Save(n); err != nil {
		return err
	}
	_, err = x.apply(ctx, t, token, seen, goal)
	return err
}

// pollWrite is the poll of a step that writes filters. ok judges what is seen, or says
// why a person has to decide; state is what becomes of our journal entries then.
func (x exclusion) pollWrite(ctx context.Context, t *ops.Tick, ok func(sight) (bool, string), state ops.ChangeState, done string) (ops.Progress, error) {
	var n writeNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	seen, err := x.look(ctx, n.Probes)
	if other := (*OtherClusterError)(nil); errors.As(err, &other) {
		return ops.Progress{Phase: ops.Blocked, Reason: sentence(other.Error())}, nil
	} else if err != nil {
		return ops.Progress{}, err
	}
	h, err := x.Health(ctx)
	if err != nil {
		return ops.Progress{}, err
	}
	n.Probes = seen.probes
	p := ops.Progress{Phase: ops.Waiting}
	good, why := ok(seen)
	// What was begun is finished whatever the guards say: it keeps filters in effect.
	hold, ask := false, false
	if n.Writes == 0 {
		hold, ask = n.Pause.Check(t, Guard(t.Run().Plan.Facts, seen.top, h, nil))
	}
	if n.Asked {
		n.Asked, n.Writes = false, 0
	}
	switch {
	case why != "":
		p = ops.Progress{Phase: ops.Blocked, Reason: why}
	case good && !seen.known && h.Active > 0:
		p.Status.Headline = "Filters written; waiting for a shard that stands still, to see them in effect"
	case good:
		if err := x.settle(ctx, t, seen.now, state); err != nil {
			return p, err
		}
		p = ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: done}}
	case ask:
		p = ops.Progress{Phase: ops.Blocked, Reason: n.Pause.Asks()}
	case hold:
		p.Status.Headline = "Holding still: " + n.Pause.Reason
	case n.Writes >= maxWrites:
		n.Asked = true
		p = ops.Progress{Phase: ops.Blocked, Reason: fmt.Sprintf(
			"The allocation filters of %s were written %d times and still are not as they should be; somebody else may be writing them. Resume to try again, or cancel.",
			x.Environment, n.Writes)}
	default:
		p.Phase = ops.NotStarted
	}
	return p, t.Save(n)
}

// undoWrite brings the filters to goal and settles every entry. It is done when the
// texts are read back and all filters left are in effect.
func (x exclusion) undoWrite(ctx context.Context, t *ops.Tick, goal func(texts) texts) (ops.Progress, error) {
	var n writeNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	seen, err := x.look(ctx, n.Probes)
	if other := (*OtherClusterError)(nil); errors.As(err, &other) {
		return ops.Progress{Phase: ops.Blocked, Reason: sentence(other.Error())}, nil
	} else if err != nil {
		return ops.Progress{}, err
	}
	broken := seen.known && len(seen.effect.broken(exclude, seen.now, seen.top.Nodes)) > 0
	if len(diff(seen.now, goal(seen.now))) == 0 && (!broken || n.Writes >= 2*maxWrites) {
		if broken {
			t.Say("The filters' texts are back, but the master does not show them in effect: %v.", seen.effect.broken(exclude, seen.now, seen.top.Nodes))
		}
		return ops.Progress{Phase: ops.Done}, x.settle(ctx, t, seen.now, ops.Restored)
	}
	n.Probes = seen.probes
	n.Writes++
	if err := t.Save(n); err != nil {
		return ops.Progress{}, err
	}
	if _, err := x.apply(ctx, t, t.Run().ID, seen, goal); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Waiting, Wait: time.Second}, nil
}

func hiddenText(now texts, hidden []slot) string {
	return fmt.Sprintf("A transient setting hides ours: %s. Take it away and resume, or cancel.", hidden[0].show(now))
}
