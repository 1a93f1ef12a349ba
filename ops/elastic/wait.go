package elastic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"twokey/ops"
)

// Rhythm of the wait.
const (
	stall        = time.Minute     // without movement, before shards are explained
	surveyLimit  = 20              // shards explained per diagnosis
	surveyTime   = 3 * time.Second // at most for one diagnosis
	confirmAfter = 2 * time.Second // between the two reads that find a node empty
	slowPoll     = 15 * time.Second
	manyShards   = 500 // from here on polls are slow
	maxRepairs   = 3   // of filters others broke, before a person is asked
)

// waitStep waits until the targets hold no shard, and keeps their exclusion in effect
// meanwhile. Its start is a repair: it is called only after a poll found the exclusion
// broken.
type waitStep struct {
	exclusion
	release bool          // the exclusion is not kept at the end
	stall   time.Duration // see the constant
}

type waitNotes struct {
	Probes  []probe           `json:"probes,omitempty"`
	Track   Track             `json:"track,omitempty"`
	Total   int               `json:"total,omitempty"`
	Empty   int               `json:"empty,omitempty"` // polls in a row that found all nodes empty
	MovedAt time.Time         `json:"moved_at,omitzero"`
	LookAt  time.Time         `json:"look_at,omitzero"` // when to explain again
	Stuck   []string          `json:"stuck,omitempty"`
	Told    []string          `json:"told,omitempty"`
	Seen    map[string]string `json:"seen,omitempty"` // ephemeral id of each drained node id
	Away    []string          `json:"away,omitempty"`
	Pause   Pause             `json:"pause,omitzero"`

	Repairs int  `json:"repairs,omitempty"` // filters broken by others and written again
	Merged  int  `json:"merged,omitempty"`  // our tokens lost and merged in again
	Asked   bool `json:"asked,omitempty"`   // a person was asked about the filters
	Allowed bool `json:"allowed,omitempty"` // and resumed: one more repair
}

func (s waitStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	var n waitNotes
	if _, err := t.Load(&n); err != nil {
		return err
	}
	seen, err := s.look(ctx, n.Probes)
	if err != nil {
		return err
	}
	tr := s.trouble(seen, t.Journal())
	after, err := s.apply(ctx, t, token, seen, func(now texts) texts { return goalWith(now, s.targets, t.Journal()) })
	if err != nil {
		return err
	}
	if err := s.settle(ctx, t, after, ops.Written); err != nil {
		return err
	}
	n.Allowed = false
	switch {
	case len(tr.missing) > 0:
		n.Merged++
		t.Say("Somebody else's write took %s out of the exclusion; %s is merged in again. Now: %s.",
			names(tr.missing), names(tr.missing), showAll(after))
	case len(tr.broken) > 0:
		n.Repairs++
		var off []string
		for _, k := range tr.broken {
			off = append(off, exclude+"."+k)
		}
		t.Say("Somebody else's write switched off %s, although the settings did not change there. All filters were written again: %s.",
			And(off), showAll(after))
	}
	for _, late := range tr.late {
		t.Say("A write of this run reached the cluster late and altered %s again; it has its owner's text again: %s.",
			late.show(seen.now), late.show(after))
	}
	return t.Save(n)
}

// Undo has nothing to do: what a repair wrote is in the journal of the exclude step.
func (s waitStep) Undo(context.Context, *ops.Tick) (ops.Progress, error) {
	return ops.Progress{Phase: ops.NotStarted}, nil
}

func (s waitStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n waitNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	p, err := s.poll(ctx, t, &n)
	if err != nil {
		return ops.Progress{}, err
	}
	return p, t.Save(n)
}

func (s waitStep) poll(ctx context.Context, t *ops.Tick, n *waitNotes) (ops.Progress, error) {
	seen, err := s.look(ctx, n.Probes)
	if other := (*OtherClusterError)(nil); errors.As(err, &other) {
		return ops.Progress{Phase: ops.Blocked, Reason: sentence(other.Error())}, nil
	} else if err != nil {
		return ops.Progress{}, err
	}
	n.Probes = seen.probes
	h, err := s.Health(ctx)
	if err != nil {
		return ops.Progress{}, err
	}
	flood, err := s.FloodBlocked(ctx)
	if err != nil {
		return ops.Progress{}, err
	}
	p, err := s.measure(ctx, t, n, seen.top)
	if err != nil {
		return ops.Progress{}, err
	}
	hold, ask := n.Pause.Check(t, Guard(t.Run().Plan.Facts, seen.top, h, flood))
	switch {
	case ask:
		return ops.Progress{Phase: ops.Blocked, Reason: n.Pause.Asks(), Status: p.Status}, nil
	case hold:
		p.Status.Lines = append([]string{"Holding still: " + n.Pause.Reason}, p.Status.Lines...)
		p.Wait, n.Empty = 0, 0
		return p, nil
	}
	if fix, why := s.judge(n, seen, t.Journal()); why != "" {
		return ops.Progress{Phase: ops.Blocked, Reason: why, Status: p.Status}, nil
	} else if fix {
		return ops.Progress{Phase: ops.NotStarted, Status: p.Status}, nil
	}
	if n.Empty < 2 {
		return p, nil
	}
	return s.finish(ctx, t, seen.now, p)
}

// judge decides what to do about filters that are not as we left them: write them again,
// or ask a person, for which it gives the reason. See the package comment for the rules.
func (s waitStep) judge(n *waitNotes, seen sight, journal []ops.Change) (fix bool, why string) {
	tr := s.trouble(seen, journal)
	if n.Asked {
		n.Asked, n.Allowed, n.Repairs = false, true, 0
	}
	switch {
	case len(tr.hidden) > 0:
		return false, hiddenText(seen.now, tr.hidden)
	case tr.none():
		return false, ""
	case n.Allowed:
		return true, ""
	case len(tr.missing) > 0:
		emptied := slices.ContainsFunc(tr.missing, func(t target) bool { return len(Tokens(seen.now[t.slot()])) == 0 })
		if !emptied && n.Merged == 0 {
			return true, ""
		}
		n.Asked = true
		return false, fmt.Sprintf("Somebody took %s out of the exclusion while it was drained. Filters now: %s. Resume to exclude it again, or cancel to end here.",
			names(tr.missing), showAll(seen.now))
	case len(tr.broken) > 0 && n.Repairs >= maxRepairs:
		n.Asked = true
		return false, fmt.Sprintf("Somebody keeps writing exclude filters of %s one key at a time, which switches the others off; they were written again %d times. Stop that, then resume, or cancel.",
			s.Environment, n.Repairs)
	}
	return true, ""
}

// measure reads what the targets hold and makes a status of it. The phase is Waiting.
func (s waitStep) measure(ctx context.Context, t *ops.Tick, n *waitNotes, top Topology) (ops.Progress, error) {
	now, left, bytes := t.Now(), Sample{At: t.Now()}, int64(0)
	var away, ids []string
	var going []Leaving
	empty := true
	for _, tg := range s.targets {
		present := tg.present(top)
		if len(present) == 0 {
			away = append(away, tg.Name)
		}
		for _, nd := range present {
			h, err := s.holding(ctx, nd)
			if errors.Is(err, errAway) {
				away = append(away, tg.Name)
				continue
			} else if err != nil {
				return ops.Progress{}, err
			}
			if n.restarted(nd) {
				n.Empty = 0
				t.Say("%s restarted while it is being drained.", nd.Name)
			}
			empty = empty && h.empty()
			left.Shards += h.shards()
			bytes += h.Bytes
			ids = append(ids, nd.ID)
			if h.Routed > 0 {
				copies, err := s.copiesOn(ctx, nd.ID)
				if err != nil {
					return ops.Progress{}, err
				}
				going = append(going, LeavingOf(copies, top)...)
			}
		}
	}
	if len(away) > 0 {
		n.Empty, n.MovedAt = 0, now
		if !slices.Equal(away, n.Away) {
			t.Say("%s does not answer or left the cluster: whether it holds shards is unknown, so the drain is not done.", And(unique(away)))
		}
		n.Away = away
		return ops.Progress{Phase: ops.Waiting, Status: ops.Status{
			Headline: fmt.Sprintf("Waiting for %s to come back: what it holds is unknown", And(unique(away)))}}, nil
	}
	n.Away = nil
	n.Empty++
	if !empty {
		n.Empty = 0
	}
	moves, err := s.Moves(ctx, going)
	if err != nil {
		return ops.Progress{}, err
	}
	left.Bytes = bytesLeft(bytes, moves)
	n.Track = n.Track.Add(left)
	n.Total = max(n.Total, left.Shards)
	if n.MovedAt.IsZero() || n.Track.Moved() || empty {
		n.MovedAt, n.LookAt, n.Stuck = now, now.Add(s.stall), nil
	}
	if now.Sub(n.MovedAt) >= s.stall && !now.Before(n.LookAt) {
		if err := s.diagnose(ctx, t, n, ids, top); err != nil {
			return ops.Progress{}, err
		}
	}
	p := ops.Progress{Phase: ops.Waiting, Status: s.status(n, left, moves, now)}
	switch {
	case empty:
		p.Wait = confirmAfter
	case left.Shards > manyShards:
		p.Wait = slowPoll
	}
	return p, nil
}

// restarted reports whether the node's process is another one than at the last poll.
func (n *waitNotes) restarted(nd Node) bool {
	was, known := n.Seen[nd.ID]
	if n.Seen == nil {
		n.Seen = map[string]string{}
	}
	n.Seen[nd.ID] = nd.Ephemeral
	return known && was != nd.Ephemeral
}

// diagnose explains why nothing moves, and says each reason once.
func (s waitStep) diagnose(ctx context.Context, t *ops.Tick, n *waitNotes, ids []string, top Topology) error {
	leaving := map[string]bool{}
	for _, id := range ids {
		leaving[id] = true
	}
	stay := staying(top, leaving)
	ctx, cancel := context.WithTimeout(ctx, surveyTime)
	defer cancel()
	n.Stuck = nil
	for _, id := range ids {
		copies, err := s.copiesOn(ctx, id)
		if err != nil {
			return err
		}
		on, _ := top.byID(id)
		texts, err := s.Diagnose(ctx, t, &n.Told, on, copies, leaving, stay)
		if err != nil {
			return err
		}
		n.Stuck = append(n.Stuck, texts...)
	}
	n.LookAt = t.Now().Add(s.stall)
	return nil
}

// staying counts the data nodes that are not being drained.
func staying(top Topology, leaving map[string]bool) int {
	count := 0
	for _, n := range top.Nodes {
		if n.Data() && !leaving[n.ID] {
			count++
		}
	}
	return count
}

func (s waitStep) status(n *waitNotes, left Sample, moves []Moving, now time.Time) ops.Status {
	st := ops.Status{
		Headline: fmt.Sprintf("%d of %d shards left on %s", left.Shards, n.Total, names(s.targets)),
		Done:     int64(n.Total - left.Shards), Total: int64(n.Total), Unit: "shards",
	}
	if left.Shards == 0 {
		st.Headline = fmt.Sprintf("No shard seen on %s; reading once more to be sure", names(s.targets))
		return st
	}
	rate, low, high := n.Track.ETA()
	line := Bytes(left.Bytes) + " left"
	if rate > 0 {
		line += ", " + Bytes(int64(rate)) + "/s"
	}
	st.Lines = append(st.Lines, line)
	if len(moves) > 0 {
		var list []string
		for _, m := range moves[:min(len(moves), 4)] {
			list = append(list, m.Label())
		}
		st.Lines = append(st.Lines, "Moving: "+And(list))
	}
	if quiet := now.Sub(n.MovedAt); quiet >= s.stall {
		line := fmt.Sprintf("No movement for %s", Span(quiet))
		if len(n.Stuck) == 0 {
			line += "; the shards looked at may move, Elasticsearch is holding them back or busy"
		}
		st.Lines = append(st.Lines, line)
	}
	st.Lines = append(st.Lines, n.Stuck...)
	st.ETALow, st.ETAHigh = low, high
	return st
}

// finish says that the nodes are empty, and what stays.
func (s waitStep) finish(ctx context.Context, t *ops.Tick, now texts, p ops.Progress) (ops.Progress, error) {
	hold := "holds"
	if len(s.targets) > 1 {
		hold = "hold"
	}
	headline := fmt.Sprintf("%s %s no shard", names(s.targets), hold)
	p = ops.Progress{Phase: ops.Done, Status: ops.Status{
		Headline: headline, Done: p.Status.Total, Total: p.Status.Total, Unit: p.Status.Unit}}
	if !s.release {
		if err := s.settle(ctx, t, now, ops.Kept); err != nil {
			return p, err
		}
	}
	// Said last, so that a run that ends here tells it in its ending.
	t.Say("%s. Seen twice in a row in two sources: the master's allocation table and the count of the node itself.", headline)
	return p, nil
}
