package indices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// lateness is how long after it was sent a write may still reach the cluster's state:
// its request gives up after 6 s, and the master drops what it has not got round to
// within master_timeout, 5 s. Undo does not believe before that an intended write was
// never made.
const lateness = 12 * time.Second

// swapStep moves aliases from one index to another by one request. There is nothing in
// between: Elasticsearch carries out all of it or nothing.
type swapStep struct {
	Site
	uuid     string // of the cluster
	from, to string
	uuids    map[string]string // of both indices, by name
	list     []alias           // as they are on from
}

type swapNotes struct {
	SentAt  time.Time `json:"sent_at,omitzero"`
	Refused string    `json:"refused,omitempty"` // by Elasticsearch, for good
}

// aliasKey is the journal's key of an alias.
func aliasKey(name string) string { return "alias " + name }

// look reads where each alias of the swap stands.
func (s swapStep) look(ctx context.Context) (map[string][]alias, map[string]place, error) {
	uuid, found, err := s.listNames(ctx, []string{s.from, s.to})
	if err != nil {
		return nil, nil, err
	}
	if uuid != s.uuid {
		return nil, nil, errOtherCluster(uuid, s.uuid)
	}
	if why := s.changed(found); why != nil {
		return nil, nil, why
	}
	now, err := s.aliases(ctx, s.from, s.to)
	if err != nil {
		return nil, nil, err
	}
	at := map[string]place{}
	for _, a := range s.list {
		at[a.Name] = a.where(now, s.from, s.to)
	}
	return now, at, nil
}

// changed says whether one of the indices is gone or another one by now.
func (s swapStep) changed(found []listed) error {
	is := map[string]string{}
	for _, x := range found {
		is[x.Name] = x.UUID
	}
	for _, name := range []string{s.from, s.to} {
		switch {
		case is[name] == "":
			return goneError{fmt.Sprintf("%s was deleted", name)}
		case is[name] != s.uuids[name]:
			return goneError{fmt.Sprintf("%s was deleted and made again", name)}
		}
	}
	return nil
}

// goneError says that what a step works on is not there any more.
type goneError struct{ why string }

func (e goneError) Error() string { return e.why }

// errOtherCluster says that the addresses lead to another cluster than planned.
func errOtherCluster(is, want string) error {
	return goneError{fmt.Sprintf("the addresses lead to another cluster now (%s, planned for %s)", is, want)}
}

func (s swapStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	now, at, err := s.look(ctx)
	if err != nil {
		return err
	}
	for _, a := range s.list {
		if at[a.Name] != onFrom {
			return fmt.Errorf("alias %s is %s", a.Name, stands(a.Name, now, s.from, s.to))
		}
	}
	var changes []ops.Change
	for _, a := range s.list {
		before, intended := on(s.from, a), on(s.to, a)
		changes = append(changes, ops.Change{Key: aliasKey(a.Name), Resource: "cluster " + s.Environment,
			Setting: "alias " + a.Name, Before: &before, Intended: &intended})
	}
	if err := t.Save(swapNotes{SentAt: t.Now()}); err != nil {
		return err
	}
	if err := t.RecordAll(ctx, changes); err != nil {
		return err
	}
	return s.send(ctx, t, swap(s.from, s.to, s.list), token)
}

// send sends the actions. That Elasticsearch refuses them for good is kept, not an error:
// the next poll reads what is.
func (s swapStep) send(ctx context.Context, t *ops.Tick, actions []map[string]any, token string) error {
	err := s.changeAliases(ctx, actions, token)
	var answer *elastic.APIError
	if errors.As(err, &answer) && final(answer) {
		return t.Save(swapNotes{SentAt: t.Now(), Refused: err.Error()})
	}
	return err
}

// final reports whether the same request would be refused again, unless what it is about
// changes.
func final(e *elastic.APIError) bool {
	return e.Status >= 400 && e.Status < 500 && e.Status != 401 && e.Status != 408 && e.Status != 429 ||
		e.Type == "illegal_state_exception" // "alias has more than one write index" is a 500
}

// on is an alias on an index, as the journal writes it.
func on(index string, a alias) string {
	if p := a.properties(); p != "" {
		return index + " (" + p + ")"
	}
	return index
}

func (s swapStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n swapNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	now, at, err := s.look(ctx)
	if gone := (goneError{}); errors.As(err, &gone) {
		return ops.Progress{Phase: ops.Failed, Reason: gone.why}, nil
	} else if err != nil {
		return ops.Progress{}, err
	}
	count := map[place]int{}
	other := ""
	for _, a := range s.list {
		count[at[a.Name]]++
		if at[a.Name] == elsewhere {
			other = fmt.Sprintf("alias %s is %s, neither as it was nor as it is to be; somebody else changed it", a.Name, stands(a.Name, now, s.from, s.to))
		}
	}
	_, ours := t.Entry(aliasKey(s.list[0].Name))
	switch {
	case other != "":
		return ops.Progress{Phase: ops.Failed, Reason: other}, nil
	case count[onTo] == len(s.list) && ours:
		return s.done(ctx, t)
	case count[onTo] > 0:
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("somebody else moved %d of the %d aliases to %s meanwhile", count[onTo], len(s.list), s.to)}, nil
	case n.Refused != "":
		return ops.Progress{Phase: ops.Failed, Reason: "the call was refused and nothing was moved: " + n.Refused}, nil
	}
	return ops.Progress{Phase: ops.NotStarted}, nil
}

func (s swapStep) done(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var settled []ops.Settlement
	for _, a := range s.list {
		after := on(s.to, a)
		settled = append(settled, ops.Settlement{Key: aliasKey(a.Name), State: ops.Kept, After: &after})
	}
	if err := t.SettleAll(ctx, settled); err != nil {
		return ops.Progress{}, err
	}
	verb := "is"
	if len(s.list) > 1 {
		verb = "are"
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{
		Headline: fmt.Sprintf("%s %s on %s and not on %s, read back", s.who(), verb, s.to, s.from)}}, nil
}

func (s swapStep) who() string {
	var names []string
	for _, a := range s.list {
		names = append(names, a.Name)
	}
	return brief(names, 20)
}

// Undo moves back, in one call, the aliases that stand as the run left them.
func (s swapStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if _, ours := t.Entry(aliasKey(s.list[0].Name)); !ours {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	var n swapNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	now, at, err := s.look(ctx)
	if gone := (goneError{}); errors.As(err, &gone) {
		return ops.Progress{Phase: ops.Done}, s.leave(ctx, t, gone.why)
	} else if err != nil {
		return ops.Progress{}, err
	}
	var back []alias
	var settled []ops.Settlement
	early := false
	for _, a := range s.list {
		e, _ := t.Entry(aliasKey(a.Name))
		before := on(s.from, a)
		switch at[a.Name] {
		case onTo:
			back = append(back, a)
		case onFrom:
			early = early || e.State == ops.Intended && t.Now().Sub(n.SentAt) < lateness
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Restored, After: &before})
		default:
			is := stands(a.Name, now, s.from, s.to)
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Left, After: &is, Reason: "somebody else changed it meanwhile"})
		}
	}
	switch {
	case len(back) > 0:
		if err := t.Save(swapNotes{SentAt: n.SentAt}); err != nil {
			return ops.Progress{}, err
		}
		if err := t.Fence(ctx); err != nil {
			return ops.Progress{}, err
		}
		err := s.changeAliases(ctx, swap(s.to, s.from, back), t.Run().ID)
		return ops.Progress{Phase: ops.Waiting, Wait: time.Second}, err
	case early:
		return ops.Progress{Phase: ops.Waiting, Wait: time.Second, Status: ops.Status{
			Headline: "Waiting until the call that was sent cannot arrive any more"}}, nil
	}
	return ops.Progress{Phase: ops.Done}, t.SettleAll(ctx, settled)
}

// leave settles every entry as left.
func (s swapStep) leave(ctx context.Context, t *ops.Tick, why string) error {
	var settled []ops.Settlement
	for _, a := range s.list {
		settled = append(settled, ops.Settlement{Key: aliasKey(a.Name), State: ops.Left, Reason: why})
	}
	return t.SettleAll(ctx, settled)
}
