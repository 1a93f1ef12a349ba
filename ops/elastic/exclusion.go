package elastic

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"twokey/ops"
)

// exclusion keeps targets in, or takes them out of, the exclude family of one cluster.
type exclusion struct {
	Cluster
	uuid    string // of the cluster the plan was made for
	targets []target
}

// sight is what one look at the cluster's filters showed.
type sight struct {
	top    Topology
	now    texts
	probes []probe
	effect effect
	// known: effect was read. No shard to ask about, or all of those are on their way:
	// it is false, and what is in effect is unknown.
	known bool
}

// OtherClusterError says that the addresses lead to another cluster than planned.
type OtherClusterError struct{ is, want string }

func (e *OtherClusterError) Error() string {
	return fmt.Sprintf("the addresses lead to another cluster now (%s, planned for %s)", e.is, e.want)
}

// look reads nodes, filters and their effect. probes may be empty; those used are in
// the sight, to be kept for the next look.
func (x exclusion) look(ctx context.Context, probes []probe) (sight, error) {
	s := sight{probes: probes}
	var err error
	if s.top, err = x.Topology(ctx); err != nil {
		return s, err
	}
	if s.top.UUID != x.uuid {
		return s, &OtherClusterError{s.top.UUID, x.uuid}
	}
	if s.now, err = x.filters(ctx); err != nil {
		return s, err
	}
	if s.effect, s.known, err = x.effect(ctx, s.probes); err != nil || s.known {
		return s, err
	}
	if s.probes, err = x.probes(ctx, x.ids(s.top), s.top); err != nil {
		return s, err
	}
	s.effect, s.known, err = x.effect(ctx, s.probes)
	return s, err
}

// ids are the present ids of the targets; a rebuilt node has a new one.
func (x exclusion) ids(top Topology) []string {
	var ids []string
	for _, t := range x.targets {
		for _, n := range t.present(top) {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// present are the nodes in the cluster that the target's token stands for.
func (t target) present(top Topology) []Node {
	if t.Key == "_id" {
		if n, ok := top.byID(t.ID); ok {
			return []Node{n}
		}
		return nil
	}
	var found []Node
	for _, n := range top.Nodes {
		if n.Name == t.Name {
			found = append(found, n)
		}
	}
	return found
}

// trouble is what keeps an exclusion from holding.
type trouble struct {
	missing []target // not in the settings
	hidden  []slot   // transient values over our persistent ones
	broken  []string // keys in the settings, not in effect
	altered bool     // another's text is still the one we wrote between two updates
	late    []slot   // those of them that had been put back: a write of ours came late
}

func (t trouble) none() bool {
	return len(t.missing) == 0 && len(t.hidden) == 0 && len(t.broken) == 0 && !t.altered
}

func (x exclusion) trouble(s sight, journal []ops.Change) trouble {
	t := trouble{missing: missing(s.now, x.targets), altered: len(diff(s.now, originals(s.now, journal))) > 0}
	for _, b := range alteredAgain(s.now, journal) {
		t.late = append(t.late, b.slot)
	}
	for _, own := range sortedSlots(own(x.targets)) {
		over := slot{transient, own.Key}
		if _, hides := s.now[over]; hides && own.Scope == persistent {
			t.hidden = append(t.hidden, over)
		}
	}
	if s.known {
		t.broken = s.effect.broken(exclude, s.now, s.top.Nodes)
	}
	return t
}

// apply brings the family to goal(now): each update is journaled, sent once, and read
// back. An error leaves the journal open; the next call goes on from what it reads.
func (x exclusion) apply(ctx context.Context, t *ops.Tick, token string, s sight, goal func(texts) texts) (texts, error) {
	now := s.now
	// What was seen is some calls old by now, and Elasticsearch cannot compare and set.
	if latest, err := x.filters(ctx); err != nil {
		return now, err
	} else if !maps.Equal(latest, now) {
		return latest, x.disturbed()
	}
	inEffect := !s.known || len(s.effect.broken(exclude, now, s.top.Nodes)) == 0
	for _, ch := range rewrite(now, goal(now), inEffect) {
		if err := x.record(ctx, t, now, ch); err != nil {
			return now, err
		}
		if err := x.putFilters(ctx, ch, token); err != nil {
			return now, err
		}
		after, err := x.filters(ctx)
		if err != nil {
			return now, err
		}
		if !maps.Equal(after, now.with(ch)) {
			return after, x.disturbed()
		}
		now = after
	}
	return now, nil
}

func (x exclusion) disturbed() error {
	return &ops.UserError{
		What: fmt.Sprintf("Somebody else changed the allocation filters of %s at the same moment.", x.Environment),
		Next: "They are read again and our part is written again.",
	}
}

// record journals what an update is about to change.
func (x exclusion) record(ctx context.Context, t *ops.Tick, now texts, ch change) error {
	mine := own(x.targets)
	for _, s := range sortedSlots(ch) {
		e := ops.Change{
			Key: ownKey(s), Resource: "cluster " + x.Environment, Scope: string(s.Scope),
			Setting: allocationPrefix + exclude + "." + s.Key, Intended: ch[s],
		}
		text, set := now[s]
		if set {
			e.Before = &text
		}
		if mine[s] == nil {
			e.Key = borrowedKey(s, x.original(now, s, t.Journal()))
		}
		if err := t.Record(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// original is another's text as it was before this run altered it.
func (x exclusion) original(now texts, s slot, journal []ops.Change) string {
	return originals(now, journal)[s]
}

// settle closes the journal entries of the family by the texts read back: ours with
// state, others' as restored, or as left when somebody else changed them meanwhile.
func (x exclusion) settle(ctx context.Context, t *ops.Tick, now texts, state ops.ChangeState) error {
	for _, b := range unsettled(t.Journal()) {
		text, set := now[b.slot]
		var err error
		switch {
		case set && text == b.text:
			err = t.Settle(ctx, b.key, ops.Restored, &text, "")
		case set && sameSet(Tokens(text), Tokens(b.text)):
			continue // still ours to put back
		default:
			err = t.Settle(ctx, b.key, ops.Left, textAt(now, b.slot), "somebody else changed it meanwhile")
		}
		if err != nil {
			return err
		}
	}
	for _, s := range sortedSlots(own(x.targets)) {
		e, ok := t.Entry(ownKey(s))
		after := textAt(now, s)
		if !ok || (e.State == state && equalText(e.After, after)) {
			continue
		}
		reason := ""
		if state == ops.Restored && !equalText(e.Before, after) {
			reason = "Twokey's part is as before; somebody else changed the rest"
		}
		if err := t.Settle(ctx, e.Key, state, after, reason); err != nil {
			return err
		}
	}
	return nil
}

func textAt(t texts, s slot) *string {
	if text, set := t[s]; set {
		return &text
	}
	return nil
}

func equalText(a, b *string) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

// show writes a filter setting for people: exclude.zone=spot (transient).
func (s slot) show(t texts) string {
	text := fmt.Sprintf("%s.%s=%s", exclude, s.Key, t[s])
	if s.Scope == transient {
		text += " (transient)"
	}
	return text
}

// names lists the targets for people: "n3", "n2 and n3".
func names(targets []target) string {
	var list []string
	for _, t := range targets {
		list = append(list, t.Name)
	}
	return And(list)
}

// and joins a list for a sentence.
func And(list []string) string {
	list = slices.Clone(list)
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " and " + list[n-1]
	}
	return strings.Join(list, "")
}

// showAll writes the family's settings for people.
func showAll(t texts) string {
	var list []string
	for _, s := range sortedSlots(t) {
		list = append(list, s.show(t))
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(s string) string {
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
