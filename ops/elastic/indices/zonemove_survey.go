package indices

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"twokey/ops"
	"twokey/ops/elastic"
)

// zoneSurvey is what was read to plan a move between zones.
type zoneSurvey struct {
	zone
	from    []string
	top     elastic.Topology
	health  elastic.Health
	alloc   elastic.Allocation
	disks   map[string]elastic.Disk // by node name
	list    []listed                // to be moved
	copies  map[string][]placed
	bytes   map[string]int64    // of one copy of an index, by name
	skipped map[string][]string // by reason
}

func (w *zoneSurvey) read(ctx context.Context, pattern string) error {
	var err error
	if w.top, err = w.Topology(ctx); err != nil {
		return err
	}
	w.uuid = w.top.UUID
	if w.health, err = w.Health(ctx); err != nil {
		return err
	}
	if w.alloc, err = w.Allocation(ctx); err != nil {
		return err
	}
	if err := w.refuse(); err != nil {
		return err
	}
	if w.disks, err = w.Disks(ctx); err != nil {
		return err
	}
	if err := w.choose(ctx, pattern); err != nil {
		return err
	}
	if err := w.fit(); err != nil {
		return err
	}
	var names []string
	for _, x := range w.list {
		names = append(names, x.Name)
	}
	w.bytes, err = w.copySizes(ctx, names)
	return err
}

// refuse is what keeps all indices from moving.
func (w *zoneSurvey) refuse() error {
	zones := map[string]bool{}
	for _, n := range w.top.Nodes {
		if v := n.Attributes[w.attr]; n.Data() && v != "" {
			zones[v] = true
		}
	}
	for _, z := range slices.Concat(w.from, w.to) {
		if !zones[z] {
			e := &ops.UserError{What: fmt.Sprintf("No data node of %s has %s=%s.", w.Environment, w.attr, z)}
			if len(zones) > 0 {
				e.Next = fmt.Sprintf("There is %s.", w.label(slices.Sorted(maps.Keys(zones))))
			}
			return e
		}
	}
	if w.health.Status == "red" {
		return &ops.UserError{
			What: fmt.Sprintf("%s is red: a primary shard is missing.", w.Environment),
			Next: "Bring that back first; es health shows the state.",
		}
	}
	if v := w.alloc.Get("allocation.enable"); v == "none" || v == "new_primaries" {
		return &ops.UserError{
			What: fmt.Sprintf("No shard moves in %s: cluster.routing.allocation.enable is %s.", w.Environment, v),
			Next: "Set it back to all first, if nobody needs it so.",
		}
	}
	return nil
}

// choose finds the indices to move: those with a copy where they are to leave.
func (w *zoneSurvey) choose(ctx context.Context, pattern string) error {
	_, all, err := w.Site.list(ctx, pattern)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return &ops.UserError{What: fmt.Sprintf("%s has no index that matches %s.", w.Environment, pattern), Next: "Check the pattern."}
	}
	w.skipped = map[string][]string{}
	skip := func(x listed, why string) { w.skipped[why] = append(w.skipped[why], x.Name) }
	var plain []listed
	var names []string
	for _, x := range all {
		if why := x.special(); why != "" {
			if x.DataStream != "" {
				why = "part of a data stream"
			}
			skip(x, why)
			continue
		}
		plain, names = append(plain, x), append(names, x.Name)
	}
	if w.copies, err = w.routing(ctx, names); err != nil {
		return err
	}
	for _, x := range plain {
		at := w.zones(w.copies[x.Name])
		leaves := slices.ContainsFunc(w.from, func(z string) bool { return at[z] > 0 })
		switch other := w.otherIncludes(x); {
		case !leaves && w.count(at, w.to) == len(w.copies[x.Name]):
			skip(x, "in "+w.label(w.to)+" already")
		case !leaves:
			skip(x, "not in "+w.label(w.from))
		case other != "":
			skip(x, "with "+other+" set, beside which an include."+w.attr+" would only be one more choice")
		default:
			w.list = append(w.list, x)
		}
	}
	if len(w.list) == 0 {
		return &ops.UserError{What: fmt.Sprintf("Nothing to move: of the indices that match %s none can move from %s.", pattern, w.label(w.from)), Next: sentenceOf(w.skips(10))}
	}
	return nil
}

// zones counts copies by the value of the attribute; those on no node are under "".
func (w *zoneSurvey) zones(copies []placed) map[string]int {
	at := map[string]int{}
	for _, c := range copies {
		value := ""
		for _, n := range w.top.Nodes {
			if n.ID == c.Node {
				value = n.Attributes[w.attr]
			}
		}
		at[value]++
	}
	return at
}

func (w *zoneSurvey) count(at map[string]int, values []string) int {
	n := 0
	for _, v := range values {
		n += at[v]
	}
	return n
}

// otherIncludes names the include filters of an index by other attributes. Elasticsearch
// is content with any of the includes.
func (w *zoneSurvey) otherIncludes(x listed) string {
	var list []string
	for k, v := range x.Settings {
		if strings.HasPrefix(k, filterPrefix+"include.") && k != w.key("include") && !strings.HasPrefix(k, tierPrefix) && len(elastic.Tokens(v)) > 0 {
			list = append(list, strings.TrimPrefix(k, filterPrefix))
		}
	}
	slices.Sort(list)
	return elastic.And(list)
}

// skips says which indices are left out and why, naming some of each kind.
func (w *zoneSurvey) skips(most int) string {
	var list []string
	for _, why := range slices.Sorted(maps.Keys(w.skipped)) {
		list = append(list, fmt.Sprintf("%s: %s", why, brief(w.skipped[why], most)))
	}
	return strings.Join(list, "; ")
}

// sentenceOf makes a sentence of a clause.
func sentenceOf(s string) string { return sentenceCase(s) + "." }

// plan makes the frozen part of the plan, and what is shown.
func (w *zoneSurvey) plan(call ops.Call) ops.Plan {
	who, their := fmt.Sprintf("%d indices", len(w.list)), "their"
	if len(w.list) == 1 {
		who, their = w.list[0].Name, "its"
	}
	par := map[string]string{paramEnvironment: w.Environment, paramCluster: w.uuid, "attr": w.attr, "to": strings.Join(w.to, ",")}
	p := ops.Plan{
		Call: call, Class: ops.R2,
		Title:  fmt.Sprintf("Move %s from %s to %s in %s", who, w.label(w.from), w.label(w.to), w.Environment),
		Params: map[string]string{},
		Steps: []ops.StepRef{
			{Name: "filter", Version: stepsVersion, Title: fmt.Sprintf("set %s own allocation filters to %s", their, w.label(w.to)), Params: par},
			{Name: "wait", Version: stepsVersion, Title: fmt.Sprintf("wait until every copy is in %s", w.label(w.to)), Params: par},
		},
		Undo: []string{fmt.Sprintf("Each index gets its own filters by %s back as they were, where nobody else changed them since. What moved stays, unless those filters send it back.", w.attr)},
		Keeps: []string{fmt.Sprintf("%s pinned to %s by %s; the same command with --from and --to exchanged moves back.",
			who, w.label(w.to), strings.TrimPrefix(w.key("include"), "index."))},
		Facts: []ops.Fact{{Key: "health", Text: "health is " + w.health.Status, Level: elastic.Level(w.health.Status)}},
	}
	for _, n := range w.top.Nodes {
		p.Facts = append(p.Facts, ops.Fact{Key: elastic.FactNode + n.Name, Text: n.Name + " is in the cluster", Gone: n.Name + " left the cluster", Level: -1})
	}
	for _, x := range w.list {
		p.Targets = append(p.Targets, x.Name)
		p.Params[paramIndex+x.Name] = x.UUID
		p.Locks = append(p.Locks, indexLock(x.UUID))
		if f := w.filtersOf(x); f != "" {
			p.Facts = append(p.Facts, ops.Fact{Key: "filter:" + x.Name + ":" + f, Text: fmt.Sprintf("%s has %s", x.Name, f), Level: 1})
		}
	}
	slices.Sort(p.Locks)
	w.describe(&p, who)
	return p
}

// filtersOf are the index' own filters by the attribute, for people.
func (w *zoneSurvey) filtersOf(x listed) string {
	var list []string
	for _, family := range families {
		if v := x.own(w.key(family)); v != nil {
			list = append(list, fmt.Sprintf("%s.%s=%s", family, w.attr, *v))
		}
	}
	return strings.Join(list, ", ")
}

func (w *zoneSurvey) describe(p *ops.Plan, who string) {
	show := func(label, format string, args ...any) {
		p.Shown = append(p.Shown, ops.Line{Label: label, Text: fmt.Sprintf(format, args...)})
	}
	at, moving, bytes := map[string]int{}, 0, int64(0)
	own := map[string][]string{}
	for _, x := range w.list {
		here := w.zones(w.copies[x.Name])
		for z, n := range here {
			at[z] += n
		}
		away := len(w.copies[x.Name]) - w.count(here, w.to)
		moving += away
		bytes += int64(away) * w.bytes[x.Name]
		f := cmp.Or(w.filtersOf(x), "none")
		own[f] = append(own[f], x.Name)
	}
	p.Effect = fmt.Sprintf("moves %s (%s) of %s to %s", elastic.Plural(int64(moving), "shard"), elastic.Bytes(bytes), who, w.label(w.to))
	show("Cluster", "%s, %s, master %s", w.top.Name, w.health.Status, w.top.NameOf(w.top.Master))
	var places []string
	third := 0
	for _, z := range slices.Sorted(maps.Keys(at)) {
		places = append(places, fmt.Sprintf("%d %s", at[z], cmp.Or(z, "nowhere")))
		if z != "" && !slices.Contains(w.from, z) && !slices.Contains(w.to, z) {
			third += at[z]
		}
	}
	show("Copies by "+w.attr, "%s", strings.Join(places, ", "))
	var filters []string
	for _, f := range slices.Sorted(maps.Keys(own)) {
		filters = append(filters, fmt.Sprintf("%s (%s)", f, brief(own[f], 3)))
	}
	show("Own filters", "%s", brief(filters, 8))
	show("Room", "%s", w.room(p, bytes))
	if text := w.skips(5); text != "" {
		show("Left out", "%s", text)
	}
	if third > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s of them are in neither zone; they move to %s too.", elastic.Plural(int64(third), "copy"), w.label(w.to)))
	}
	if n := at[""]; n > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d copies are on no node with a value of %s, or unassigned.", n, w.attr))
	}
	if v := w.alloc.Get("allocation.enable"); v != "all" {
		p.Warnings = append(p.Warnings, fmt.Sprintf("cluster.routing.allocation.enable is %s: replicas do not move.", v))
	}
	if n := int64(len(w.ours(w.top))); n > 0 {
		p.Estimate = w.alloc.Estimate(bytes / n)
	}
}

// room shows the free space below the low watermark where the copies are to go, and
// warns if it is too little, or if the cluster's total_shards_per_node is.
func (w *zoneSurvey) room(p *ops.Plan, bytes int64) string {
	mark, err := elastic.LowWatermark(w.alloc)
	if err != nil {
		return "unknown: " + err.Error()
	}
	var list []string
	sum, unknown, slots := int64(0), false, 0
	limit, err := strconv.Atoi(w.alloc.Get("allocation.total_shards_per_node"))
	if err != nil {
		limit = -1
	}
	for _, n := range w.top.Nodes {
		if !n.Data() || !w.holds(n) || w.alloc.KeepsOff(n) != "" {
			continue
		}
		d, have := w.disks[n.Name]
		room, ok := mark.Room(d)
		if !have || !ok {
			unknown = true
			list = append(list, n.Name+" unknown")
			continue
		}
		slots += max(limit-d.Shards, 0)
		sum += room
		list = append(list, n.Name+" "+elastic.Bytes(room))
	}
	if !unknown && sum < bytes {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s has %s below the low watermark, less than the %s to move.", sentenceCase(w.label(w.to)), elastic.Bytes(sum), elastic.Bytes(bytes)))
	}
	if moving := w.moving(); !unknown && limit >= 0 && slots < moving {
		p.Warnings = append(p.Warnings, fmt.Sprintf("The cluster's total_shards_per_node is %d: %s takes %d more shards, and %d are to move.", limit, w.label(w.to), slots, moving))
	}
	kind := "to the low watermark"
	if mark.Off {
		kind = "free; watermarks are switched off"
	}
	return brief(list, 10) + " " + kind
}

// moving counts the copies that are not where they are to go.
func (w *zoneSurvey) moving() int {
	n := 0
	for _, x := range w.list {
		n += len(w.copies[x.Name]) - w.count(w.zones(w.copies[x.Name]), w.to)
	}
	return n
}

func sentenceCase(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
