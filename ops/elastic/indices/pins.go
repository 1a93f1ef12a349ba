package indices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// pin keeps an index out of a zone by its own allocation filter.
type pin struct{ attr, zone string }

func (p pin) key() string { return filterPrefix + "exclude." + p.attr }

// goal is the update that keeps the index out; empty: it is out already, by this filter.
func (p pin) goal(x listed) settings {
	has := elastic.Tokens(x.Settings[p.key()])
	if slices.Contains(has, p.zone) {
		return nil
	}
	return settings{p.key(): text(strings.Join(append(has, p.zone), ","))}
}

// pinStep keeps all indices but the new ones out of the indexing zone, and empties it; or,
// with back, gives the indices their filters back.
type pinStep struct {
	campaignStep
	back bool
}

type pinNotes struct {
	Pause elastic.Pause `json:"pause,omitzero"`
	Since time.Time     `json:"since,omitzero"`
	Left  int           `json:"left,omitempty"`
	Bytes int64         `json:"bytes,omitempty"` // moved so far, of the shards on their way
	Empty int           `json:"empty,omitempty"` // looks in a row that found nothing
	Found bool          `json:"found,omitempty"` // the indices to be kept out are written down
	Told  []string      `json:"told,omitempty"`
	Asked bool          `json:"asked,omitempty"`
}

func (s pinStep) Start(context.Context, *ops.Tick, string) error { return nil }

// pinnedPart is the part of the run that has the indices to be kept out: name to uuid. People
// agree to the rule, and not to the list: any index may be made before the campaign begins,
// or while it empties the zone, and it has to stay out too.
const pinnedPart = "pinned"

// kept are the indices that a campaign keeps out of its indexing zone: all that are not out
// already by this filter, without those it makes and those of the system.
func (p pin) kept(all []listed, pairs []pairing) []listed {
	made := map[string]bool{}
	for _, c := range pairs {
		made[c.Dest] = true
	}
	var list []listed
	for _, x := range all {
		if !x.System && !made[x.Name] && len(p.goal(x)) > 0 {
			list = append(list, x)
		}
	}
	return list
}

// of is the pin and the indices it is for, as far as they are still there.
func (s pinStep) of(ctx context.Context, t *ops.Tick) (pin, zone, []listed, map[string]string, error) {
	rules, _, err := pairingsOf(t.Run().Plan)
	if err != nil {
		return pin{}, zone{}, nil, nil, err
	}
	z := zone{Site: s.site, uuid: s.cluster, attr: rules.Attr, to: []string{rules.Indexing}}
	names, err := s.pinned(ctx, t)
	if err != nil {
		return pin{}, zone{}, nil, nil, err
	}
	there, missing, err := z.present(ctx, names)
	return pin{rules.Attr, rules.Indexing}, z, there, missing, err
}

// pinned are the indices written down so far; nil: not looked yet.
func (s pinStep) pinned(ctx context.Context, t *ops.Tick) (map[string]string, error) {
	parts, err := t.Parts(ctx)
	if err != nil {
		return nil, err
	}
	var names map[string]string
	if raw, ok := parts[pinnedPart]; ok {
		if err := json.Unmarshal(raw, &names); err != nil {
			return nil, fmt.Errorf("indices kept out: %w", err)
		}
	}
	return names, nil
}

// find looks for indices to be kept out that are not written down, and writes them down. It
// reports whether there were any.
func (s pinStep) find(ctx context.Context, t *ops.Tick) (bool, error) {
	rules, pairs, err := pairingsOf(t.Run().Plan)
	if err != nil {
		return false, err
	}
	names, err := s.pinned(ctx, t)
	if err != nil {
		return false, err
	}
	uuid, all, err := s.site.list(ctx, "*")
	if err != nil {
		return false, err
	}
	if uuid != s.cluster {
		return false, errOtherCluster(uuid, s.cluster)
	}
	p := pin{rules.Attr, rules.Indexing}
	more := uuids(p.kept(all, pairs))
	maps.DeleteFunc(more, func(name, uuid string) bool { return names[name] == uuid })
	if len(more) == 0 {
		return false, nil
	}
	maps.Copy(more, names) // an index made again under its name is another one: it is left alone
	return !maps.Equal(more, names), t.PutPart(ctx, pinnedPart, more)
}

func (s pinStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if s.back {
		return s.giveBack(ctx, t)
	}
	var n pinNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	if !n.Found {
		if _, err := s.find(ctx, t); err != nil {
			return ops.Progress{}, err
		}
		n.Found = true
	}
	p, z, there, missing, err := s.of(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	tellMissing(t, &n.Told, missing)
	top, reason, err := z.guard(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	hold, ask := n.Pause.Check(t, reason)
	out := ops.Progress{Phase: ops.Waiting}
	switch {
	case ask:
		return ops.Progress{Phase: ops.Blocked, Reason: n.Pause.Asks()}, t.Save(n)
	case hold:
		out.Status.Headline = "Holding still: " + n.Pause.Reason
		return out, t.Save(n)
	}
	left, err := s.write(ctx, t, z, there, p.key(), p.goal)
	if err != nil {
		return ops.Progress{}, err
	}
	if left > 0 {
		out.Wait = soon
		out.Status = ops.Status{Headline: fmt.Sprintf("Keeping indices out of %s %s", p.attr, p.zone), Done: int64(len(there) - left), Total: int64(len(there)), Unit: "indices"}
		return out, t.Save(n)
	}
	// The zone is empty when the routing table says so, twice in a row.
	copies, away, err := s.inside(ctx, there, top, z.ours(top))
	if err != nil {
		return ops.Progress{}, err
	}
	moves, err := s.site.Moves(ctx, away)
	if err != nil {
		return ops.Progress{}, err
	}
	bytes := int64(0)
	for _, m := range moves {
		bytes += m.Done
	}
	out.Status.Headline = fmt.Sprintf("%s left in %s %s", elastic.Plural(int64(copies), "shard"), p.attr, p.zone)
	if n.Empty++; copies > 0 {
		n.Empty = 0
	}
	if copies == 0 && n.Empty < 2 {
		out.Wait = 2 * time.Second
		return out, t.Save(n)
	}
	if copies == 0 {
		// Indices that were made meanwhile have to go too.
		if more, err := s.find(ctx, t); err != nil || more {
			n.Empty, out.Wait = 0, soon
			return out, errors.Join(err, t.Save(n))
		}
		out.Phase = ops.Done
		out.Status.Headline = fmt.Sprintf("%s %s is empty", p.attr, p.zone)
		return out, t.Save(n)
	}
	if copies != n.Left || bytes != n.Bytes || n.Since.IsZero() || n.Since.After(t.Now()) { // the clock was set back
		n.Left, n.Bytes, n.Since = copies, bytes, t.Now()
	}
	if t.Now().Sub(n.Since) > stuckAfter {
		n.Since = t.Now()
		return ops.Progress{Phase: ops.Blocked, Reason: fmt.Sprintf("For %s nothing moved out of %s %s; %d shards are still there. es shards shows them. Resume to wait on, or cancel.",
			elastic.Span(stuckAfter), p.attr, p.zone, copies)}, t.Save(n)
	}
	return out, t.Save(n)
}

// inside counts the copies of indices on some nodes, those on their way there too, and
// tells those on their way off.
func (s pinStep) inside(ctx context.Context, of []listed, top elastic.Topology, nodes map[string]bool) (int, []elastic.Leaving, error) {
	routing, err := s.site.routing(ctx, slices.Sorted(maps.Keys(uuids(of))))
	if err != nil {
		return 0, nil, err
	}
	n := 0
	var on []elastic.CopyOn
	for name, copies := range routing {
		for _, c := range copies {
			if nodes[c.Node] || c.Other != nil && nodes[*c.Other] {
				n++
			}
			if nodes[c.Node] && c.Other != nil {
				shard, err := strconv.Atoi(c.shard)
				if err != nil {
					return 0, nil, s.site.Translate(fmt.Errorf("%w: shard %q", elastic.ErrAnswer, c.shard))
				}
				on = append(on, elastic.CopyOn{Index: name, Shard: shard, Primary: c.Primary, State: c.State, Other: c.Other})
			}
		}
	}
	return n, elastic.LeavingOf(on, top), nil
}

// pinKey is the journal's key of an index's pin.
func pinKey(index string) string { return "pin " + index }

// write brings the filters of indices to their goal, batch by batch, each journaled before.
// It returns how many are left.
func (s pinStep) write(ctx context.Context, t *ops.Tick, z zone, list []listed, key string, goal func(listed) settings) (int, error) {
	all := batches(list, goal)
	until := t.Now().Add(filterTime)
	left := 0
	for _, batch := range all {
		if t.Now().After(until) {
			left += len(batch)
			continue
		}
		change := goal(batch[0])
		now, _, err := z.present(ctx, uuids(batch))
		if err != nil {
			return 0, err
		}
		// Of those that somebody changed since the first read, the next call takes care.
		now = slices.DeleteFunc(now, func(x listed) bool { return goal(x).sign() != change.sign() })
		left += len(batch) // until they were read back, by the next call
		if len(now) == 0 {
			continue
		}
		var entries []ops.Change
		for _, x := range now {
			entries = append(entries, ops.Change{Key: pinKey(x.Name), Resource: "index " + x.Name, Setting: key, Before: x.own(key), Intended: change[key]})
		}
		if err := t.RecordAll(ctx, entries); err != nil {
			return 0, err
		}
		if err := z.putFilters(ctx, now, change, t.Run().ID); err != nil {
			return 0, err
		}
	}
	if len(all) > 0 {
		return left, nil
	}
	var settled []ops.Settlement
	for _, x := range list {
		if e, ok := t.Entry(pinKey(x.Name)); ok && e.State == ops.Intended {
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Written, After: x.own(key)})
		}
	}
	if len(settled) == 0 {
		return 0, nil
	}
	return 0, t.SettleAll(ctx, settled)
}

// giveBack restores the filters that this run changed and nobody else did since.
func (s pinStep) giveBack(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	p, z, there, missing, err := s.of(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	key := p.key()
	back := func(x listed) settings {
		e, ok := t.Entry(pinKey(x.Name))
		if !ok || e.State == ops.Restored || e.State == ops.Left || same(x.own(key), e.Before) {
			return nil
		}
		has := elastic.Tokens(x.Settings[key])
		if !slices.Contains(has, p.zone) {
			return nil
		}
		rest := slices.DeleteFunc(has, func(v string) bool { return v == p.zone })
		if len(rest) == 0 {
			return settings{key: nil}
		}
		if e.Before != nil && slices.Equal(rest, elastic.Tokens(*e.Before)) {
			return settings{key: e.Before}
		}
		return settings{key: text(strings.Join(rest, ","))}
	}
	var settled []ops.Settlement
	for _, x := range there {
		e, ok := t.Entry(pinKey(x.Name))
		if !ok || e.State == ops.Restored || e.State == ops.Left || len(back(x)) > 0 {
			continue
		}
		one := ops.Settlement{Key: e.Key, State: ops.Restored, After: x.own(key)}
		if !same(one.After, e.Before) {
			one.Reason = "somebody else changed the rest"
		}
		settled = append(settled, one)
	}
	for name, why := range missing {
		if e, ok := t.Entry(pinKey(name)); ok && e.State != ops.Restored && e.State != ops.Left {
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Restored, Reason: why})
		}
	}
	if len(settled) > 0 {
		if err := t.SettleAll(ctx, settled); err != nil {
			return ops.Progress{}, err
		}
	}
	all := batches(there, back)
	if len(all) == 0 {
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("%s; %s %s is given back", moved(t), p.attr, p.zone)}}, nil
	}
	until := t.Now().Add(filterTime)
	for _, batch := range all {
		if t.Now().After(until) {
			break
		}
		change := back(batch[0])
		now, _, err := z.present(ctx, uuids(batch))
		if err != nil {
			return ops.Progress{}, err
		}
		now = slices.DeleteFunc(now, func(x listed) bool { return back(x).sign() != change.sign() })
		if len(now) == 0 {
			continue
		}
		if err := t.Fence(ctx); err != nil {
			return ops.Progress{}, err
		}
		if err := z.putFilters(ctx, now, change, t.Run().ID); err != nil {
			return ops.Progress{}, err
		}
	}
	return ops.Progress{Phase: ops.Waiting, Wait: soon}, nil
}

// moved is what the campaign reached, by its journal.
func moved(t *ops.Tick) string {
	if e, ok := t.Entry(keyMoved); ok && e.After != nil {
		return *e.After
	}
	return "nothing moved"
}

// Undo gives the filters back.
func (s pinStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if s.back {
		return ops.Progress{Phase: ops.NotStarted}, nil // the first step's undo does it
	}
	return s.giveBack(ctx, t)
}
