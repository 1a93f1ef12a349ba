package elastic

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"twokey/ops"
)

// undrain is es undrain NODE….
type undrain struct{ clusters map[string]Cluster }

func (u undrain) Kind() string { return "es undrain" }

func (u undrain) Step(ref ops.StepRef) (ops.Step, error) {
	x, err := exclusionOf(u.clusters, ref)
	if err != nil {
		return nil, err
	}
	if ref.Name != "admit" {
		return nil, fmt.Errorf("%w: %s", ops.ErrUnknownStep, ref.Name)
	}
	return readmitStep{x, true}, nil
}

// Plan finds where the nodes are excluded by name or id. It refuses nodes that are not.
func (u undrain) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	c, err := Pick(u.clusters, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	top, err := c.Topology(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	if err := c.addHosts(ctx, top); err != nil {
		return ops.Plan{}, err
	}
	alloc, err := c.Allocation(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	h, err := c.Health(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	targets, err := excludedNodes(c, top, alloc, call.Args)
	if err != nil {
		return ops.Plan{}, err
	}
	return planUndrain(c, call, top, alloc, h, targets), nil
}

// excludedNodes finds where the nodes typed are excluded by name or id. A name that no
// node has now is taken as it is: the node may be gone, its exclusion left over.
func excludedNodes(c Cluster, top Topology, alloc Allocation, typed []string) ([]target, error) {
	now := alloc.family(exclude)
	var found []target
	for _, arg := range typed {
		if left := excludedAs(now, target{Name: arg, ID: arg}); len(top.named(arg)) == 0 && len(left) > 0 {
			found = append(found, left...)
			continue
		}
		resolved, err := resolve(c, top, []string{arg})
		if err != nil {
			return nil, err
		}
		as := excludedAs(now, resolved[0])
		if len(as) == 0 {
			return nil, notExcluded(c, alloc, top, resolved[0])
		}
		found = append(found, as...)
	}
	slices.SortFunc(found, func(a, b target) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Scope, b.Scope))
	})
	return slices.Compact(found), nil
}

// excludedAs are the places where the node's name or id is a token of its own.
func excludedAs(now texts, t target) []target {
	var found []target
	for _, s := range sortedSlots(now) {
		as := target{t.Name, t.ID, s.Scope, s.Key}
		if (s.Key == "_name" || s.Key == "_id") && slices.Contains(Tokens(now[s]), as.token()) {
			found = append(found, as)
		}
	}
	return found
}

func notExcluded(c Cluster, alloc Allocation, top Topology, t target) error {
	n, _ := top.byID(t.ID)
	for _, family := range []string{exclude, include, require} {
		if turnsAway(family, alloc.family(family), n) {
			return &ops.UserError{
				What: fmt.Sprintf("%s is not excluded by its name or id. What keeps shards off it is %s.", t.Name, alloc.show(family)),
				Next: "That filter is not a node's exclusion; whoever set it has to change it.",
			}
		}
	}
	return &ops.UserError{What: fmt.Sprintf("%s is not excluded from allocation in %s.", t.Name, c.Environment)}
}

func planUndrain(c Cluster, call ops.Call, top Topology, alloc Allocation, h Health, targets []target) ops.Plan {
	var who []string
	for _, t := range targets {
		who = append(who, t.Name)
	}
	who = unique(who)
	p := ops.Plan{
		Call: call, Class: ops.R1,
		Title:   fmt.Sprintf("Undrain %s in %s", And(who), c.Environment),
		Effect:  fmt.Sprintf("lets shards move to %s again", And(who)),
		Targets: who,
		Params:  map[string]string{"cluster": top.UUID},
		Steps: []ops.StepRef{{Name: "admit", Version: stepVersion,
			Title: fmt.Sprintf("take %s out of the exclusion", And(who)), Params: params(c.Environment, top.UUID, targets)}},
		Undo:  []string{fmt.Sprintf("%s excluded again as before.", And(who))},
		Keeps: []string{fmt.Sprintf("%s taken out of %s; everybody else's filters stay.", And(who), keysOf(targets))},
		Facts: []ops.Fact{{Key: factHealth, Text: "health is " + h.Status, Level: Level(h.Status)}},
		Shown: []ops.Line{
			{Label: "Cluster", Text: fmt.Sprintf("%s, %s, master %s", top.Name, h.Status, top.NameOf(top.Master))},
			{Label: "Filters", Text: alloc.show(exclude)},
		},
		Locks: []string{lockName(top.UUID)},
	}
	p.Warnings = append(p.Warnings, repeats(alloc.family(exclude))...)
	// What else keeps shards off once the exclusion is gone.
	after := goalWithout(alloc.family(exclude), targets, nil, nil)
	for _, name := range who {
		present := top.named(name)
		if len(present) == 0 {
			p.Warnings = append(p.Warnings, fmt.Sprintf("%s is not in the cluster now.", name))
			continue
		}
		n := present[0]
		if keys := matching(exclude, after, n); len(keys) > 0 {
			p.Warnings = append(p.Warnings, fmt.Sprintf("%s stays kept out by exclude.%s.", name, strings.Join(keys, ", exclude.")))
		}
	}
	return p
}
