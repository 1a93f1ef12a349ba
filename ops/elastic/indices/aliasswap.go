package indices

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"twokey/ops"
	"twokey/ops/elastic"
)

// aliasSwap is es alias-swap ALIAS… --from INDEX --to INDEX.
type aliasSwap struct{ sites map[string]Site }

func (o aliasSwap) Kind() string { return "es alias-swap" }

// Names of parameters of steps.
const (
	paramEnvironment = "environment"
	paramCluster     = "cluster" // uuid
	paramAlias       = "alias:"  // and its name: its properties
	paramIndex       = "index:"  // and its name: its uuid
)

// stepsVersion is the version of all steps of alias-swap, delete-index and zone-move.
const stepsVersion = 1

// siteOf is the site of a step, whose version it checks.
func siteOf(sites map[string]Site, ref ops.StepRef) (Site, error) {
	if ref.Version != stepsVersion {
		return Site{}, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	return pick(sites, ref.Params[paramEnvironment])
}

// pick is the site of an environment, or an error that names those there are.
func pick(sites map[string]Site, environment string) (Site, error) {
	if s, ok := sites[environment]; ok {
		return s, nil
	}
	clusters := map[string]elastic.Cluster{}
	for name, s := range sites {
		clusters[name] = s.Cluster
	}
	_, err := elastic.Pick(clusters, environment)
	return Site{}, err
}

// named returns the parameters that begin with a prefix, without it.
func named(params map[string]string, prefix string) map[string]string {
	found := map[string]string{}
	for k, v := range params {
		if name, ok := strings.CutPrefix(k, prefix); ok {
			found[name] = v
		}
	}
	return found
}

func (o aliasSwap) Step(ref ops.StepRef) (ops.Step, error) {
	s, err := siteOf(o.sites, ref)
	if err != nil {
		return nil, err
	}
	if ref.Name != "swap" {
		return nil, fmt.Errorf("%w: %s", ops.ErrUnknownStep, ref.Name)
	}
	step := swapStep{Site: s, uuid: ref.Params[paramCluster], from: ref.Params["from"], to: ref.Params["to"],
		uuids: named(ref.Params, paramIndex)}
	aliases := named(ref.Params, paramAlias)
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		a, err := decodeAlias(aliases[name])
		if err != nil {
			return nil, fmt.Errorf("step %s: alias %s: %w", ref.Name, name, err)
		}
		step.list = append(step.list, a)
	}
	return step, nil
}

// Plan reads both indices and refuses what cannot work.
func (o aliasSwap) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	s, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	from, to := call.Flags["from"], call.Flags["to"]
	switch {
	case from == "" || to == "":
		return ops.Plan{}, &ops.UserError{What: "From which index to which?", Next: "Give --from INDEX and --to INDEX."}
	case from == to:
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("--from and --to are both %s.", from), Next: "Name two indices."}
	case len(call.Args) == 0:
		return ops.Plan{}, &ops.UserError{What: "No alias was named.", Next: "Name at least one."}
	}
	w := swapSurvey{Site: s}
	if err := w.read(ctx, from, to, call.Args); err != nil {
		return ops.Plan{}, err
	}
	return w.plan(call), nil
}

// swapSurvey is what was read to plan a swap.
type swapSurvey struct {
	Site
	uuid     string
	from, to listed
	list     []alias             // as they are on from, by name
	others   map[string][]string // further indices that have the alias
	docs     [2]int64
	health   [2]string
	fields   [2]map[string]string
}

func (w *swapSurvey) read(ctx context.Context, from, to string, typed []string) error {
	var err error
	for _, side := range []struct {
		name string
		x    *listed
	}{{from, &w.from}, {to, &w.to}} {
		if w.uuid, *side.x, err = w.exact(ctx, side.name); err != nil {
			return err
		}
		if why := side.x.special(); why != "" {
			return &ops.UserError{
				What: fmt.Sprintf("%s is %s; its aliases are not moved.", side.name, why),
				Next: "Name an open index of your own.",
			}
		}
		for _, block := range []string{"metadata", "read_only", "read_only_allow_delete"} {
			if side.x.Settings["index.blocks."+block] == "true" {
				return &ops.UserError{
					What: fmt.Sprintf("%s has index.blocks.%s: Elasticsearch would refuse to change its aliases.", side.name, block),
					Next: "Lift the block first.",
				}
			}
		}
	}
	if err := w.readAliases(ctx, typed); err != nil {
		return err
	}
	for i, name := range []string{from, to} {
		if w.docs[i], err = w.count(ctx, name); err != nil {
			return err
		}
		if w.fields[i], err = w.fieldsOf(ctx, name); err != nil {
			return err
		}
	}
	health, err := w.healthOf(ctx, []string{from, to})
	w.health = [2]string{health[from], health[to]}
	return err
}

func (w *swapSurvey) readAliases(ctx context.Context, typed []string) error {
	now, err := w.aliases(ctx, w.from.Name, w.to.Name)
	if err != nil {
		return err
	}
	names := slices.Sorted(slices.Values(typed))
	for _, name := range slices.Compact(names) {
		has := func(index string) int {
			return slices.IndexFunc(now[index], func(a alias) bool { return a.Name == name })
		}
		i := has(w.from.Name)
		switch {
		case i < 0:
			return w.notOnFrom(name, now[w.from.Name], has(w.to.Name) >= 0)
		case has(w.to.Name) >= 0:
			return &ops.UserError{
				What: fmt.Sprintf("Alias %s is on %s already, beside %s.", name, w.to.Name, w.from.Name),
				Next: fmt.Sprintf("Whoever put it there has to decide; to take it off %s is not this command's work.", w.from.Name),
			}
		}
		w.list = append(w.list, now[w.from.Name][i])
	}
	w.others = map[string][]string{}
	for part := range elastic.InURLs(names) {
		_, holders, err := w.listPath(ctx, part)
		if err != nil {
			return err
		}
		for _, x := range holders {
			for _, name := range x.Aliases {
				if x.Name != w.from.Name && slices.Contains(names, name) {
					w.others[name] = append(w.others[name], x.Name)
				}
			}
		}
	}
	return nil
}

func (w *swapSurvey) notOnFrom(name string, on []alias, onTo bool) error {
	e := &ops.UserError{What: fmt.Sprintf("%s has no alias %s.", w.from.Name, name)}
	var names []string
	for _, a := range on {
		names = append(names, a.Name)
	}
	switch like := elastic.Nearest(name, names); {
	case onTo:
		e.What = fmt.Sprintf("Alias %s is on %s already, and not on %s.", name, w.to.Name, w.from.Name)
		e.Next = "There is nothing to do."
	case like != "":
		e.Next = fmt.Sprintf("Did you mean %s?", like)
	case len(names) == 0:
		e.Next = "It has no alias at all."
	default:
		e.Next = fmt.Sprintf("It has %s.", brief(names, 20))
	}
	return e
}

// healthOf reads the health of indices, by name.
func (s Site) healthOf(ctx context.Context, names []string) (map[string]string, error) {
	found := map[string]string{}
	for part := range elastic.InURLs(names) {
		var rows []struct {
			Index  string `json:"index"`
			Health string `json:"health"`
		}
		err := s.Get(ctx, "/_cat/indices/"+part, elastic.Query("h", "index,health", "format", "json",
			"expand_wildcards", "all", "master_timeout", "5s"), &rows)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			found[r.Index] = r.Health
		}
	}
	return found, nil
}

// fieldsOf reads the type of each mapped field of an index, by its full name.
func (s Site) fieldsOf(ctx context.Context, name string) (map[string]string, error) {
	x, err := s.metadata(ctx, name)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	flattenFields("", x.Mappings, found)
	return found, nil
}

func flattenFields(prefix string, of map[string]any, into map[string]string) {
	for _, kind := range []string{"properties", "fields"} {
		list, _ := of[kind].(map[string]any)
		for name, v := range list {
			field, ok := v.(map[string]any)
			if !ok {
				continue
			}
			if t, ok := field["type"].(string); ok {
				into[prefix+name] = t
			} else if _, ok := field["properties"]; ok {
				into[prefix+name] = "object"
			}
			flattenFields(prefix+name+".", field, into)
		}
	}
}

// plan makes the frozen part of the plan and what is shown.
func (w *swapSurvey) plan(call ops.Call) ops.Plan {
	var names, shown []string
	params := map[string]string{paramEnvironment: w.Environment, paramCluster: w.uuid, "from": w.from.Name, "to": w.to.Name,
		paramIndex + w.from.Name: w.from.UUID, paramIndex + w.to.Name: w.to.UUID}
	for _, a := range w.list {
		names, shown = append(names, a.Name), append(shown, a.text())
		params[paramAlias+a.Name] = a.encode()
	}
	who := brief(names, 10)
	p := ops.Plan{
		Call: call, Class: ops.R2,
		Title:   fmt.Sprintf("Move %s from %s to %s in %s", who, w.from.Name, w.to.Name, w.Environment),
		Effect:  fmt.Sprintf("readers and writers of %s get %s (%s) in place of %s (%s)", who, w.to.Name, documents(w.docs[1]), w.from.Name, documents(w.docs[0])),
		Targets: append(slices.Clone(names), w.from.Name, w.to.Name),
		Steps: []ops.StepRef{{Name: "swap", Version: stepsVersion,
			Title: fmt.Sprintf("move %s to %s in one call", who, w.to.Name), Params: params}},
		Undo:  []string{fmt.Sprintf("%s moved back to %s in one call, each only while it stands as this run left it.", who, w.from.Name)},
		Keeps: []string{fmt.Sprintf("%s on %s; the same command with --from and --to exchanged moves back.", who, w.to.Name)},
		Facts: []ops.Fact{{Key: "health:" + w.to.Name, Text: fmt.Sprintf("%s is %s", w.to.Name, w.health[1]), Level: elastic.Level(w.health[1])}},
		Shown: []ops.Line{{Label: "Aliases", Text: brief(shown, 20)}},
		Locks: []string{indexLock(w.from.UUID), indexLock(w.to.UUID)},
	}
	slices.Sort(p.Targets)
	slices.Sort(p.Locks)
	for i, x := range []listed{w.from, w.to} {
		p.Shown = append(p.Shown, ops.Line{Label: []string{"From", "To"}[i], Text: fmt.Sprintf("%s: %s, %s, %s in the mapping",
			x.Name, w.health[i], documents(w.docs[i]), elastic.Plural(int64(len(w.fields[i])), "field"))})
	}
	w.warn(&p)
	return p
}

// maxNamed is how many fields a warning names.
const maxNamed = 5

// warn fills in warnings, and facts where it is worse if they come up after the approval.
func (w *swapSurvey) warn(p *ops.Plan) {
	warn := func(format string, args ...any) { p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...)) }
	worse := func(key, text string) { p.Facts = append(p.Facts, ops.Fact{Key: key, Text: text, Level: 1}) }
	if w.docs[1] < w.docs[0] {
		warn("%s has %s fewer than %s.", w.to.Name, documents(w.docs[0]-w.docs[1]), w.from.Name)
		worse("fewer", fmt.Sprintf("%s has fewer documents than %s", w.to.Name, w.from.Name))
	}
	if w.to.Settings["index.blocks.write"] == "true" {
		warn("%s has index.blocks.write: writers through the alias will be refused.", w.to.Name)
		worse("blocked", w.to.Name+" has index.blocks.write")
	}
	if w.health[1] != "green" {
		warn("%s is %s.", w.to.Name, w.health[1])
	}
	var gone, other []string
	for _, name := range slices.Sorted(maps.Keys(w.fields[0])) {
		is, there := w.fields[1][name]
		if !there {
			gone = append(gone, name)
		} else if was := w.fields[0][name]; was != is {
			other = append(other, fmt.Sprintf("%s (%s, was %s)", name, is, was))
		}
	}
	if len(gone) > 0 {
		warn("%s does not map %s that %s has: %s.", w.to.Name, elastic.Plural(int64(len(gone)), "field"), w.from.Name, brief(gone, maxNamed))
	}
	if len(other) > 0 {
		warn("%s has another type in %s: %s.", elastic.Plural(int64(len(other)), "field"), w.to.Name, brief(other, maxNamed))
	}
	for _, name := range slices.Sorted(maps.Keys(w.others)) {
		warn("Alias %s is on %s too and stays there.", name, brief(w.others[name], maxNamed))
	}
}
