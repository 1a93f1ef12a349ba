package elastic

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"twokey/ops"
)

// drain is es drain NODE… [--release] [--decommission].
type drain struct {
	clusters map[string]Cluster
	stall    time.Duration // see waitStep
}

func (d drain) Kind() string { return "es drain" }

func (d drain) Step(ref ops.StepRef) (ops.Step, error) {
	x, err := exclusionOf(d.clusters, ref)
	if err != nil {
		return nil, err
	}
	switch ref.Name {
	case "exclude":
		return excludeStep{x}, nil
	case "wait":
		return waitStep{x, ref.Params["release"] == "true", d.stall}, nil
	case "voting":
		return votingStep{x}, nil
	case "readmit":
		return readmitStep{x, false}, nil
	}
	return nil, fmt.Errorf("%w: %s", ops.ErrUnknownStep, ref.Name)
}

// Plan reads the cluster and says what the drain would do. What cannot work is refused
// here: see refuse.
func (d drain) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	c, err := Pick(d.clusters, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	release, leave := call.Flags["release"] == "true", call.Flags["decommission"] == "true"
	if release && leave {
		return ops.Plan{}, &ops.UserError{
			What: "--release admits the nodes again, --decommission is for nodes that leave for good.",
			Next: "Give one of them, or none.",
		}
	}
	s, err := c.newSurvey(ctx, call.Args)
	if err != nil {
		return ops.Plan{}, err
	}
	if err := s.refuse(); err != nil {
		return ops.Plan{}, err
	}
	if err := s.addShards(ctx); err != nil {
		return ops.Plan{}, err
	}
	p := s.plan(call, release)
	if leave {
		if err := s.addVoting(ctx, &p); err != nil {
			return ops.Plan{}, err
		}
	}
	return p, nil
}

// plan makes the frozen part: targets, steps, undo, keeps; and the rest by describe.
func (s *survey) plan(call ops.Call, release bool) ops.Plan {
	who := names(s.targets)
	par := params(s.Environment, s.top.UUID, s.targets)
	wait := params(s.Environment, s.top.UUID, s.targets)
	wait["release"] = fmt.Sprint(release)
	p := ops.Plan{
		Call: call, Class: ops.R2,
		Title:  fmt.Sprintf("Drain %s in %s", who, s.Environment),
		Params: map[string]string{"cluster": s.top.UUID},
		Steps: []ops.StepRef{
			{Name: "exclude", Version: stepVersion, Title: fmt.Sprintf("exclude %s from allocation", who), Params: par},
			{Name: "wait", Version: stepVersion, Title: fmt.Sprintf("wait until %s without shards", areOrIs(s.targets)), Params: wait},
		},
		Undo:  []string{fmt.Sprintf("%s taken out of the exclusion; everybody else's filters stay as they are.", who)},
		Locks: []string{lockName(s.top.UUID)},
	}
	for _, t := range s.targets {
		p.Targets = append(p.Targets, t.Name)
	}
	if release {
		p.Steps = append(p.Steps, ops.StepRef{Name: "readmit", Version: stepVersion, Title: fmt.Sprintf("admit %s again", who), Params: par})
	} else {
		p.Keeps = []string{fmt.Sprintf("%s in %s, so that no shard comes back; es undrain lifts it.", stays(s.targets), keysOf(s.targets))}
	}
	s.describe(&p)
	return p
}

// areOrIs is "n3 is" or "n2 and n3 are".
func areOrIs(targets []target) string {
	if len(targets) == 1 {
		return names(targets) + " is"
	}
	return names(targets) + " are"
}

// stays is "n3 stays excluded" or "n2 and n3 stay excluded".
func stays(targets []target) string {
	if len(targets) == 1 {
		return names(targets) + " stays excluded"
	}
	return names(targets) + " stay excluded"
}

// keysOf names the settings the targets' tokens stand in.
func keysOf(targets []target) string {
	var keys []string
	for _, s := range sortedSlots(own(targets)) {
		keys = append(keys, exclude+"."+s.Key)
	}
	return And(keys)
}

// resolve finds the nodes typed, by name or id, each once and sorted.
func resolve(c Cluster, top Topology, typed []string) ([]target, error) {
	var found []target
	for _, arg := range typed {
		like := top.named(arg)
		if len(like) == 0 {
			return nil, unknownNode(c, arg, top)
		}
		if len(like) > 1 {
			return nil, &ops.UserError{
				What: fmt.Sprintf("%s has %d nodes named %s.", c.Environment, len(like), arg),
				Next: fmt.Sprintf("Type the id of one: %s or %s.", like[0].ID, like[1].ID),
			}
		}
		t := target{Name: like[0].Name, ID: like[0].ID, Scope: persistent, Key: filterKey(like[0].Name)}
		if len(top.named(t.Name)) > 1 {
			t.Key = "_id" // the name would take its namesake too
		}
		if !slices.Contains(found, t) {
			found = append(found, t)
		}
	}
	if len(found) == 0 {
		return nil, &ops.UserError{What: "No node was named.", Next: "Name at least one; es nodes lists them."}
	}
	slices.SortFunc(found, func(a, b target) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return found, nil
}

// lockName is the resource a run on a cluster holds.
func lockName(uuid string) string { return "Elasticsearch cluster:" + uuid }
