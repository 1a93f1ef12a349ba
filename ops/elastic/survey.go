package elastic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"twokey/ops"
)

// Limits of what a plan explains.
const (
	planExplains = 50
	planTime     = 5 * time.Second
)

// survey is what was read to plan a drain.
type survey struct {
	Cluster
	top     Topology
	health  Health
	alloc   Allocation
	targets []target
	leaving map[string]bool // ids of the targets
	disks   map[string]Disk // by node name
	effect  effect
	known   bool // effect was read

	held   map[string]holding // by target id
	copies int                // shards on all targets
	single []CopyOn           // without a started copy elsewhere
	looked int                // shards explained
	stuck  []blocked
}

// newSurvey reads everything but the shards. It fails on names that are not one node.
func (c Cluster) newSurvey(ctx context.Context, typed []string) (*survey, error) {
	s := &survey{Cluster: c, leaving: map[string]bool{}, held: map[string]holding{}}
	var err error
	if s.top, err = c.Topology(ctx); err != nil {
		return nil, err
	}
	if s.targets, err = resolve(c, s.top, typed); err != nil {
		return nil, err
	}
	if err := c.addHosts(ctx, s.top); err != nil {
		return nil, err
	}
	for _, t := range s.targets {
		s.leaving[t.ID] = true
	}
	if s.health, err = c.Health(ctx); err != nil {
		return nil, err
	}
	if s.alloc, err = c.Allocation(ctx); err != nil {
		return nil, err
	}
	if s.disks, err = c.Disks(ctx); err != nil {
		return nil, err
	}
	x := exclusion{Cluster: c, uuid: s.top.UUID, targets: s.targets}
	probes, err := c.probes(ctx, x.ids(s.top), s.top)
	if err != nil {
		return nil, err
	}
	s.effect, s.known, err = c.effect(ctx, probes)
	return s, err
}

// refuse is the reason why the drain cannot work, if there is one.
func (s *survey) refuse() error {
	for _, t := range s.targets {
		if n, _ := s.top.byID(t.ID); !n.Data() {
			return &ops.UserError{
				What: fmt.Sprintf("%s is not a data node, so it holds no shard.", t.Name),
				Next: "Name data nodes; es nodes lists the roles.",
			}
		}
	}
	if staying(s.top, s.leaving) == 0 {
		return &ops.UserError{
			What: fmt.Sprintf("These are all data nodes of %s: their shards would have nowhere to go.", s.Environment),
			Next: "Leave out at least one, or add data nodes first.",
		}
	}
	if s.health.Status == "red" {
		return &ops.UserError{
			What: fmt.Sprintf("%s is red: a primary shard is missing.", s.Environment),
			Next: "Bring that back first; es health shows the state.",
		}
	}
	if v := s.alloc.Get("allocation.enable"); v == "none" || v == "new_primaries" {
		return &ops.UserError{
			What: fmt.Sprintf("No shard moves in %s: cluster.routing.allocation.enable is %s.", s.Environment, v),
			Next: "Set it back to all first, if nobody needs it so.",
		}
	}
	now := s.alloc.family(exclude)
	for _, t := range s.targets {
		if over := (slot{transient, t.Key}); textAt(now, over) != nil {
			return &ops.UserError{
				What: fmt.Sprintf("A transient setting would hide the exclusion of %s: %s.", t.Name, over.show(now)),
				Next: "Transient wins over persistent. Have whoever set it take it away first.",
			}
		}
	}
	if file := s.alloc.inFile(exclude); len(file) > 0 {
		slices.Sort(file)
		return &ops.UserError{
			What: fmt.Sprintf("%s stands in elasticsearch.yml. Writing another exclude filter would switch it off.", And(file)),
			Next: "Move it to the persistent cluster settings first.",
		}
	}
	return s.refuseExcluded()
}

// refuseExcluded refuses nodes that a filter keeps empty already.
func (s *survey) refuseExcluded() error {
	now := s.alloc.family(exclude)
	for _, t := range s.targets {
		if slices.Contains(Tokens(now[t.slot()]), t.token()) {
			return &ops.UserError{
				What: fmt.Sprintf("%s is excluded already: %s.", t.Name, t.slot().show(now)),
				Next: fmt.Sprintf("es shards %s shows what is left on it; es undrain %s lifts it.", t.Name, t.Name),
			}
		}
		n, _ := s.top.byID(t.ID)
		for _, family := range []string{exclude, include, require} {
			set := s.alloc.family(family)
			if !turnsAway(family, set, n) || (s.known && len(s.effect.broken(family, set, s.top.Nodes)) > 0) {
				continue
			}
			return &ops.UserError{
				What: fmt.Sprintf("%s is kept out of allocation already, by somebody else's filter: %s.", t.Name, s.alloc.show(family)),
				Next: fmt.Sprintf("Its shards leave without a drain, if they can; es shards %s shows what is left.", t.Name),
			}
		}
	}
	return nil
}

// KeepsOff is which of the settings' filters, were all of them in effect, keep shards off
// the node, for people; empty: none.
func (a Allocation) KeepsOff(n Node) string {
	var list []string
	for _, family := range []string{exclude, include, require} {
		if turnsAway(family, a.family(family), n) {
			list = append(list, a.show(family))
		}
	}
	return And(list)
}

// show writes a family's settings for people.
func (a Allocation) show(family string) string {
	t := a.family(family)
	var list []string
	for _, s := range sortedSlots(t) {
		text := fmt.Sprintf("%s.%s=%s", family, s.Key, t[s])
		if s.Scope == transient {
			text += " (transient)"
		}
		list = append(list, text)
	}
	return And(list)
}

// addShards reads what the targets hold, and explains as many of the shards as time
// allows.
func (s *survey) addShards(ctx context.Context) error {
	brief, cancel := context.WithTimeout(ctx, planTime)
	defer cancel()
	for _, t := range s.targets {
		n, _ := s.top.byID(t.ID)
		h, err := s.holding(ctx, n)
		if errors.Is(err, errAway) {
			return &ops.UserError{
				What: fmt.Sprintf("%s does not answer: what it holds is unknown.", t.Name),
				Next: "Try again when it is back.",
			}
		} else if err != nil {
			return err
		}
		s.held[t.ID] = h
		copies, err := s.copiesOn(ctx, t.ID)
		if err != nil {
			return err
		}
		s.copies += len(copies)
		single, err := s.singleCopies(ctx, copies)
		if err != nil {
			return err
		}
		s.single = append(s.single, single...)
		found, looked, err := s.Cluster.survey(brief, t.ID, copies, s.leaving, planExplains)
		if err != nil && ctx.Err() == nil && brief.Err() != nil {
			continue // out of time before the first; the card says how many were looked at
		} else if err != nil {
			return err
		}
		s.looked += looked
		s.stuck = append(s.stuck, found...)
	}
	return nil
}
