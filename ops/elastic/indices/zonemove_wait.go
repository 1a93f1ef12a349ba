package indices

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// Rhythm of the wait.
const (
	zoneConfirm = 2 * time.Second // between the two looks that find everything in place
	zoneSlow    = 15 * time.Second
	zoneMany    = 500             // shards left, from which on polls are slow
	explainTime = 4 * time.Second // at most for one diagnosis
	explainOn   = 3               // nodes whose copies are explained
)

// zoneWaitStep waits until every copy of the indices is started where it is to go. Its
// polls ask for the indices that are not there yet, and at the end twice for all. Its
// start writes filters again that somebody else changed, after a person agreed.
type zoneWaitStep struct {
	zone
	stall time.Duration // see zoneMove
}

type zoneNotes struct {
	Sizes   map[string]int64 `json:"sizes,omitempty"` // bytes of one copy, by index
	Total   int              `json:"total,omitempty"` // copies to be moved at the first look
	Home    []string         `json:"home,omitempty"`  // indices seen in place, sorted
	Full    int              `json:"full,omitempty"`  // looks in a row that found all in place
	Track   elastic.Track    `json:"track,omitempty"`
	MovedAt time.Time        `json:"moved_at,omitzero"`
	LookAt  time.Time        `json:"look_at,omitzero"` // when to explain again
	Stuck   []string         `json:"stuck,omitempty"`
	Said    []string         `json:"said,omitempty"` // diagnoses
	Gone    []string         `json:"gone,omitempty"` // indices deleted, or made again
	SentAt  time.Time        `json:"sent_at,omitzero"`
	Pause   elastic.Pause    `json:"pause,omitzero"`
	Asked   bool             `json:"asked,omitempty"`   // a person was asked about filters
	Allowed bool             `json:"allowed,omitempty"` // and resumed: they are written again
}

// Start writes filters again.
func (s zoneWaitStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	var n zoneNotes
	if _, err := t.Load(&n); err != nil {
		return err
	}
	there, _, err := s.present(ctx, planned(t))
	if err != nil {
		return err
	}
	wrong, err := s.writeAll(ctx, t, there, token, func() error { n.SentAt = t.Now(); return t.Save(n) })
	if err != nil || wrong != "" {
		return err
	}
	n.Allowed = false
	return t.Save(n)
}

// Undo has nothing to do: the filter step puts back what the journal has.
func (s zoneWaitStep) Undo(context.Context, *ops.Tick) (ops.Progress, error) {
	return ops.Progress{Phase: ops.NotStarted}, nil
}

func (s zoneWaitStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n zoneNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	p, err := s.poll(ctx, t, &n)
	if other := (goneError{}); errors.As(err, &other) {
		return ops.Progress{Phase: ops.Blocked, Reason: sentenceOf(other.why)}, nil
	} else if err != nil {
		return ops.Progress{}, err
	}
	p.Status.Lines = append(p.Status.Lines, n.Stuck...)
	return p, t.Save(n)
}

// zoneSight is what one look at the routing showed.
type zoneSight struct {
	all        bool // every index of the plan was looked at
	left       int  // copies that are not started in place
	unassigned int
	bytes      int64
	on         map[string][]elastic.CopyOn // copies left, by the node they are on
}

func (s zoneWaitStep) poll(ctx context.Context, t *ops.Tick, n *zoneNotes) (ops.Progress, error) {
	top, reason, err := s.guard(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	indices := planned(t)
	maps.DeleteFunc(indices, func(name, _ string) bool { return slices.Contains(n.Gone, name) })
	if n.Sizes == nil {
		if n.Sizes, err = s.copySizes(ctx, slices.Sorted(maps.Keys(indices))); err != nil {
			return ops.Progress{}, err
		}
	}
	seen, err := s.look(ctx, t, n, indices, top)
	if err != nil {
		return ops.Progress{}, err
	}
	p, err := s.measure(ctx, t, n, seen, top)
	if err != nil {
		return ops.Progress{}, err
	}
	hold, ask := n.Pause.Check(t, reason)
	switch {
	case ask:
		p.Phase, p.Reason = ops.Blocked, n.Pause.Asks()
		return p, nil
	case hold:
		p.Status.Lines = append([]string{"Holding still: " + n.Pause.Reason}, p.Status.Lines...)
		p.Wait, n.Full = 0, 0
		return p, nil
	}
	stuck := t.Now().Sub(n.MovedAt) >= s.stall && !t.Now().Before(n.LookAt)
	if !stuck && n.Full < 2 && !n.Asked && !n.Allowed {
		return p, nil
	}
	there, missing, err := s.present(ctx, indices)
	if err != nil {
		return ops.Progress{}, err
	}
	tellMissing(t, &n.Gone, missing)
	if changed := s.judge(n, there); changed != "" && n.Allowed {
		p.Phase = ops.NotStarted
		return p, nil
	} else if changed != "" {
		p.Phase, p.Reason = ops.Blocked, changed
		return p, nil
	}
	n.Allowed = false
	if n.Full >= 2 {
		return s.finish(ctx, t, there, p)
	}
	if stuck {
		err = s.diagnose(ctx, t, n, seen, top)
	}
	return p, err
}

// judge says which filters somebody else changed, for the person who decides; empty: none.
// Resuming allows to write them again.
func (s zoneWaitStep) judge(n *zoneNotes, there []listed) string {
	var changed []string
	example := ""
	for _, x := range there {
		if c := s.goal(x); len(c) > 0 {
			changed = append(changed, x.Name)
			key := slices.Sorted(maps.Keys(c))[0]
			is := "unset"
			if v := x.own(key); v != nil {
				is = fmt.Sprintf("%q", *v)
			}
			example = cmp.Or(example, fmt.Sprintf("%s of %s is %s", key, x.Name, is))
		}
	}
	if n.Asked {
		n.Asked, n.Allowed = false, true
	}
	if len(changed) == 0 {
		return ""
	}
	n.Asked = !n.Allowed
	return fmt.Sprintf("Somebody changed the filters of %s meanwhile: %s. Resume to write them again, or cancel.", brief(changed, maxNamed), example)
}

// look reads where the copies are: of the indices not seen in place yet, or of all.
func (s zoneWaitStep) look(ctx context.Context, t *ops.Tick, n *zoneNotes, indices map[string]string, top elastic.Topology) (zoneSight, error) {
	var ask []string
	for name := range indices {
		if _, home := slices.BinarySearch(n.Home, name); !home {
			ask = append(ask, name)
		}
	}
	seen := zoneSight{all: len(ask) == 0 || len(n.Home) == 0, on: map[string][]elastic.CopyOn{}}
	if seen.all {
		ask, n.Home = slices.Collect(maps.Keys(indices)), nil
	}
	slices.Sort(ask)
	routing, err := s.routing(ctx, ask)
	if err != nil {
		return seen, err
	}
	homes := s.ours(top)
	for _, name := range ask {
		copies, is := routing[name]
		if !is {
			tellMissing(t, &n.Gone, map[string]string{name: "it was deleted meanwhile"})
		}
		left := 0
		for _, c := range copies {
			if c.State == "STARTED" && homes[c.Node] {
				continue
			}
			left++
			seen.bytes += n.Sizes[name]
			if c.Node == "" {
				seen.unassigned++
				continue
			}
			shard, err := strconv.Atoi(c.shard)
			if err != nil {
				return seen, s.Translate(fmt.Errorf("%w: shard %q", elastic.ErrAnswer, c.shard))
			}
			seen.on[c.Node] = append(seen.on[c.Node], elastic.CopyOn{Index: name, Shard: shard, Primary: c.Primary, State: c.State, Other: c.Other})
		}
		seen.left += left
		if left == 0 {
			n.Home = append(n.Home, name)
		}
	}
	slices.Sort(n.Home)
	return seen, nil
}

// measure makes a status of what was seen. The phase is Waiting.
func (s zoneWaitStep) measure(ctx context.Context, t *ops.Tick, n *zoneNotes, seen zoneSight, top elastic.Topology) (ops.Progress, error) {
	var leaving []elastic.Leaving
	for _, node := range slices.Sorted(maps.Keys(seen.on)) {
		leaving = append(leaving, elastic.LeavingOf(seen.on[node], top)...)
	}
	moves, err := s.Moves(ctx, leaving)
	if err != nil {
		return ops.Progress{}, err
	}
	for _, m := range moves {
		seen.bytes -= min(m.Done, n.Sizes[m.Index])
	}
	now := t.Now()
	n.Total = max(n.Total, seen.left)
	n.Track = n.Track.Add(elastic.Sample{At: now, Shards: seen.left, Bytes: max(seen.bytes, 0)})
	n.Full++
	if seen.left > 0 || !seen.all {
		n.Full = 0
	}
	if n.MovedAt.IsZero() || n.Track.Moved() || seen.left == 0 {
		n.MovedAt, n.LookAt, n.Stuck = now, now.Add(s.stall), nil
	}
	total := len(planned(t))
	p := ops.Progress{Phase: ops.Waiting, Status: ops.Status{
		Headline: fmt.Sprintf("%d of %s in %s, %d shards left", len(n.Home), countOf(total), s.label(s.to), seen.left),
		Done:     int64(n.Total - seen.left), Total: int64(n.Total), Unit: "shards"}}
	if seen.left == 0 {
		p.Wait = zoneConfirm
		p.Status.Headline = fmt.Sprintf("Every copy seen in %s; reading all of them once more to be sure", s.label(s.to))
		return p, nil
	}
	if seen.left > zoneMany {
		p.Wait = zoneSlow
	}
	s.lines(n, seen, moves, now, &p.Status)
	return p, nil
}

func (s zoneWaitStep) lines(n *zoneNotes, seen zoneSight, moves []elastic.Moving, now time.Time, st *ops.Status) {
	rate, low, high := n.Track.ETA()
	line := elastic.Bytes(max(seen.bytes, 0)) + " left"
	if rate > 0 {
		line += ", " + elastic.Bytes(int64(rate)) + "/s"
	}
	st.Lines = append(st.Lines, line)
	st.ETALow, st.ETAHigh = low, high
	if len(moves) > 0 {
		var list []string
		for _, m := range moves[:min(len(moves), 4)] {
			list = append(list, m.Label())
		}
		st.Lines = append(st.Lines, "Moving: "+elastic.And(list))
	}
	if seen.unassigned > 0 {
		st.Lines = append(st.Lines, fmt.Sprintf("Unassigned: %d", seen.unassigned))
	}
	if quiet := now.Sub(n.MovedAt); quiet >= s.stall {
		line := fmt.Sprintf("No movement for %s", elastic.Span(quiet))
		if len(n.Stuck) == 0 {
			line += "; the shards looked at may move, Elasticsearch is holding them back or busy"
		}
		st.Lines = append(st.Lines, line)
	}
}

// diagnose explains why nothing moves, and says each reason once.
func (s zoneWaitStep) diagnose(ctx context.Context, t *ops.Tick, n *zoneNotes, seen zoneSight, top elastic.Topology) error {
	homes := s.ours(top)
	away := map[string]bool{}
	for _, node := range top.Nodes {
		away[node.ID] = !homes[node.ID]
	}
	brief, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	n.Stuck = nil
	looked := 0
	for _, node := range top.Nodes {
		if len(seen.on[node.ID]) == 0 || homes[node.ID] || looked == explainOn {
			continue
		}
		looked++
		texts, err := s.Diagnose(brief, t, &n.Said, node, seen.on[node.ID], away, len(homes))
		if err != nil && brief.Err() != nil && ctx.Err() == nil {
			break // out of time; what was found is shown
		} else if err != nil {
			return err
		}
		n.Stuck = append(n.Stuck, texts...)
	}
	n.LookAt = t.Now().Add(s.stall)
	return nil
}

// finish settles what the journal has, and says what was reached.
func (s zoneWaitStep) finish(ctx context.Context, t *ops.Tick, there []listed, p ops.Progress) (ops.Progress, error) {
	if len(there) == 0 {
		return ops.Progress{Phase: ops.Failed, Reason: "none of the indices is there any more"}, nil
	}
	left := planned(t)
	var settled []ops.Settlement
	for _, x := range there {
		settled = append(settled, s.settlements(t, x, ops.Kept, "")...)
		delete(left, x.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		settled = append(settled, s.settlements(t, listed{Name: name}, ops.Kept, "the index was deleted meanwhile, and its settings with it")...)
	}
	if err := t.SettleAll(ctx, settled); err != nil {
		return p, err
	}
	who := countOf(len(there))
	if len(there) == 1 {
		who = there[0].Name
	}
	headline := fmt.Sprintf("Every copy of %s is in %s", who, s.label(s.to))
	t.Say("%s. Seen twice in a row in the master's routing table, none unassigned; the filters were read back.", headline)
	return ops.Progress{Phase: ops.Done, Status: ops.Status{
		Headline: headline, Done: p.Status.Total, Total: p.Status.Total, Unit: p.Status.Unit}}, nil
}
