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

// refuseSource refuses sources that are not plain indices of people.
func (w *copySurvey) refuseSource() error {
	x := w.listed
	if why := x.special(); why != "" {
		return &ops.UserError{What: fmt.Sprintf("%s is %s; it is not copied.", x.Name, why), Next: "Name an open index of your own."}
	}
	return nil
}

// refuse is the reason why the copy cannot work, if there is one.
func (w *copySurvey) refuse(ctx context.Context) error {
	x := w.src
	if w.health.Status == "red" {
		return &ops.UserError{What: fmt.Sprintf("%s is red: a primary shard is missing.", w.Environment), Next: "Bring that back first; es health shows the state."}
	}
	if err := unfitSource(x); err != nil {
		return err
	}
	if err := unsearchable(w.dst); err != nil {
		return err
	}
	if w.Writes != writesDual && x.Settings[blockKey] == "true" && w.Swap {
		return &ops.UserError{What: fmt.Sprintf("%s takes no writes already: somebody set index.blocks.write.", x.Name), Next: "Lift the block first, or copy with --no-swap."}
	}
	if w.Writes == writesDual {
		switch {
		case w.entry.Version == "":
			return &ops.UserError{
				What: fmt.Sprintf("The register has no entry %s, so no writer asks it where to write.", w.Entry),
				Next: fmt.Sprintf("Put the entry there (active and write: %s) and let the writers use it, or use --writes catchup.", x.Name),
			}
		case w.entry.Active != x.Name || !slices.Contains(w.entry.Write, x.Name):
			return &ops.UserError{
				What: fmt.Sprintf("The register's entry %s says: active %s, write %s.", w.Entry, w.entry.Active, elastic.And(w.entry.Write)),
				Next: "SRC must be the active index of the entry. Name another entry with --register.",
			}
		}
	}
	if err := w.refuseReadFrom(ctx); err != nil {
		return err
	}
	return w.refuseSpace()
}

// unfitSource is the reason why an index cannot be copied, whatever the cluster's state.
func unfitSource(x index) error {
	policy := x.Settings["index.lifecycle.name"]
	source, _ := x.Mappings["_source"].(map[string]any)
	switch {
	case policy != "":
		return &ops.UserError{
			What: fmt.Sprintf("%s is managed by lifecycle policy %s, which may roll it over, shrink or delete it while it is copied.", x.Name, policy),
			Next: fmt.Sprintf("Take it from the policy first (POST %s/_ilm/remove).", x.Name),
		}
	case x.Settings["index.xpack.ccr.following_index"] == "true":
		return &ops.UserError{What: fmt.Sprintf("%s follows an index of another cluster (CCR): what comes from there would not reach the copy.", x.Name), Next: "Stop following first, or copy the index it follows."}
	case x.Settings["index.store.type"] == "snapshot":
		return &ops.UserError{What: fmt.Sprintf("%s is mounted from a snapshot.", x.Name), Next: "Restore it as an index of its own first."}
	case x.Settings["index.mode"] == "time_series":
		return &ops.UserError{What: fmt.Sprintf("%s is a time series index, which is written to through its data stream.", x.Name), Next: "Reindex the data stream by its own means."}
	case source["enabled"] == false:
		return &ops.UserError{What: fmt.Sprintf("%s keeps no _source: there is nothing to copy its documents from.", x.Name), Next: "Index them again from where they came."}
	case source["includes"] != nil || source["excludes"] != nil:
		return &ops.UserError{What: fmt.Sprintf("%s keeps only a part of each _source (includes, excludes): the copy would lose the rest.", x.Name), Next: "Index the documents again from where they came."}
	}
	for _, k := range []string{"index.blocks.read", "index.blocks.read_only", "index.blocks.metadata", "index.blocks.read_only_allow_delete"} {
		if x.Settings[k] == "true" {
			return &ops.UserError{What: fmt.Sprintf("%s has %s.", x.Name, k), Next: "Lift that block first."}
		}
	}
	return unsearchable(x)
}

// refuseReadFrom refuses a zone that has no copy of some shard.
func (w *copySurvey) refuseReadFrom(ctx context.Context) error {
	if w.ReadFrom == "" {
		return nil
	}
	attr, value, _ := strings.Cut(w.ReadFrom, ":")
	copies, err := w.routing(ctx, []string{w.Source})
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, c := range copies[w.Source] {
		for _, n := range w.top.Nodes {
			if n.ID == c.Node && n.Attributes[attr] == value && c.State == "STARTED" {
				has[c.shard] = true
			}
		}
	}
	if len(has) < w.src.Shards {
		return &ops.UserError{
			What: fmt.Sprintf("%s %s has copies of %d of the %d shards of %s.", attr, value, len(has), w.src.Shards, w.Source),
			Next: "Name a zone that has them all, or leave --read-from out.",
		}
	}
	return nil
}

// need is the space the copy takes: twice the primaries while they are written and merged,
// and its replicas in the end.
func (w *copySurvey) need() (while, after int64) {
	replicas := int64(w.dst.number("index.number_of_replicas", 1))
	return 2 * w.now.Bytes, w.now.Bytes * (1 + replicas)
}

// refuseSpace refuses what would fill the disks.
func (w *copySurvey) refuseSpace() error {
	room, known := w.room(func(n elastic.Node) bool { return true })
	while, after := w.need()
	if known && room < max(while, after) {
		return &ops.UserError{
			What: fmt.Sprintf("The copy needs %s free, and the data nodes have %s below the low watermark.", elastic.Bytes(max(while, after)), elastic.Bytes(room)),
			Next: "Make room first.",
		}
	}
	return nil
}

// room sums the free space below the low watermark on data nodes that may take the copy.
func (w *copySurvey) room(of func(elastic.Node) bool) (int64, bool) {
	mark, err := elastic.LowWatermark(w.alloc)
	if err != nil {
		return 0, false
	}
	sum := int64(0)
	for _, n := range w.top.Nodes {
		if !n.Data() || !of(n) || w.alloc.KeepsOff(n) != "" {
			continue
		}
		d, have := w.disks[n.Name]
		room, ok := mark.Room(d)
		if !have || !ok {
			return 0, false
		}
		sum += room
	}
	return sum, true
}

// plan makes the frozen part of the plan, and the rest by describe.
func (w *copySurvey) plan(call ops.Call) ops.Plan {
	p := ops.Plan{
		Call: call, Class: ops.R2,
		Title:   fmt.Sprintf("Reindex %s to %s in %s", w.Source, w.spec.Dest, w.Environment),
		Effect:  fmt.Sprintf("copies %s (%s) from %s to %s", documents(w.docs), elastic.Bytes(w.now.Bytes), w.Source, w.spec.Dest),
		Targets: []string{w.Source, w.spec.Dest},
		Params:  map[string]string{"cluster": w.top.UUID, "source": w.SourceUUID, "writes": w.Writes},
		Locks:   []string{indexLock(w.SourceUUID), indexLock(w.top.UUID + "/" + w.spec.Dest)},
	}
	if w.Existing != "" {
		p.Locks[1] = indexLock(w.Existing)
	}
	params := copyParams(w.Environment, w.top.UUID, w.spec)
	for _, ph := range w.phases() {
		if ph == phaseSwap && !w.Swap {
			continue
		}
		p.Steps = append(p.Steps, ops.StepRef{Name: string(ph), Version: stepsVersion, Title: w.title(ph), Params: params})
	}
	p.Undo, p.Keeps = w.undo(), w.keeps()
	p.Facts = append(p.Facts, ops.Fact{Key: "health", Text: "health is " + w.health.Status, Level: elastic.Level(w.health.Status)})
	for _, n := range w.top.Nodes {
		p.Facts = append(p.Facts, ops.Fact{Key: elastic.FactNode + n.Name, Text: n.Name + " is in the cluster", Gone: n.Name + " left the cluster", Level: -1})
	}
	w.describe(&p)
	return p
}

// title is a phase for people.
func (c spec) title(p phase) string {
	switch p {
	case phaseCreate:
		if c.Existing != "" {
			return "prepare " + c.Dest
		}
		return "make " + c.Dest
	case phaseRegister:
		return fmt.Sprintf("register %s as second write target of %s", c.Dest, c.Entry)
	case phaseBlock:
		return "block writes to " + c.Source
	case phaseCopy:
		return fmt.Sprintf("copy %s", c.Source)
	case phaseCatchUp:
		return "copy what was written meanwhile"
	case phaseReplicate:
		return "replicas and refresh of " + c.Dest
	case phaseCompare:
		return fmt.Sprintf("above %s compare them before the block", documents(compareAfter))
	case phaseVerify:
		if c.Writes == writesDual {
			return "compare all documents"
		}
		return "last pass, deletes, compare all documents"
	case phaseSwap:
		var what []string
		if c.Writes == writesDual {
			what = append(what, "make "+c.Dest+" active in the register")
		}
		if len(c.Aliases) > 0 {
			what = append(what, "move "+elastic.And(c.Aliases)+" to "+c.Dest)
		}
		return elastic.And(what)
	}
	if c.Swap {
		return "note how long " + c.Source + " is held"
	}
	if c.Writes == writesDual {
		return "keep " + c.Dest + " as a second write target"
	}
	return "take writes to " + c.Source + " again"
}

// undo says what cancelling puts back.
func (w *copySurvey) undo() []string {
	list := []string{"own copy tasks are cancelled"}
	switch w.Writes {
	case writesDual:
		list = append(list, fmt.Sprintf("%s is taken out of register entry %s", w.spec.Dest, w.Entry))
	default:
		list = append(list, fmt.Sprintf("%s takes writes again", w.Source))
	}
	if w.Existing == "" {
		list = append(list, fmt.Sprintf("%s is deleted", w.spec.Dest))
	} else {
		list = append(list, fmt.Sprintf("%s gets its settings back and keeps what was copied", w.spec.Dest))
	}
	text := []string{"Before the aliases move: " + elastic.And(list) + "."}
	if !w.Swap {
		text[0] = strings.TrimPrefix(text[0], "Before the aliases move: ")
		text[0] = strings.ToUpper(text[0][:1]) + text[0][1:]
	} else {
		text = append(text, fmt.Sprintf("After that: nothing by itself; es swap-back %s brings them back, with what was written since.", w.spec.Dest))
	}
	return text
}

// keeps says what success leaves changed.
func (w *copySurvey) keeps() []string {
	var list []string
	switch {
	case !w.Swap && w.Writes == writesDual:
		list = append(list, fmt.Sprintf("%s stays in register entry %s as a second write target, and gets every write; %s stays active.", w.spec.Dest, w.Entry, w.Source))
	case !w.Swap:
		list = append(list, fmt.Sprintf("%s stays beside %s; writes to %s after the end do not reach it.", w.spec.Dest, w.Source, w.Source))
	case w.Writes == writesDual:
		list = append(list, fmt.Sprintf("Writers go on writing to %s too, so that it can be gone back to without loss, until es delete-index %s.", w.Source, w.Source))
	default:
		list = append(list, fmt.Sprintf("%s stays, and takes no writes, so that none goes unnoticed; held for %s, then es delete-index %s may delete it.", w.Source, elastic.Span((&job{Site: w.Site}).hold()), w.Source))
	}
	if w.Quarantine {
		list = append(list, fmt.Sprintf("Documents that do not fit the mapping are put aside in %s-refused, and missing in %s.", w.spec.Dest, w.spec.Dest))
	}
	return list
}

// describe fills in what the card shows and need not be the same at the start.
func (w *copySurvey) describe(p *ops.Plan) {
	show := func(label, format string, args ...any) {
		p.Shown = append(p.Shown, ops.Line{Label: label, Text: fmt.Sprintf(format, args...)})
	}
	warn := func(format string, args ...any) { p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...)) }
	show("Health", "%s, %s", w.health.Status, elastic.Plural(int64(w.health.Nodes), "node"))
	show("Source", "%s: %s, %s, %s", w.Source, documents(w.docs), elastic.Bytes(w.now.Bytes), elastic.Plural(int64(w.src.Shards), "shard"))
	from := "mappings and settings of " + w.Source
	switch {
	case w.Existing != "":
		from = "exists, empty"
	case w.Template:
		from = "made by " + w.template
	}
	show("Destination", "%s: %s, %s", w.spec.Dest, elastic.Plural(int64(w.dst.Shards), "shard"), from)
	show("Writes meanwhile", "%s", map[string]string{
		writesBlock:   "refused from the start to the end",
		writesCatchup: "accepted; refused during the last pass and the comparison only",
		writesDual:    "to both, by register entry " + w.Entry,
	}[w.Writes])
	show("Mapping", "%s", mappingDiff(w.src.Mappings, w.dst.Mappings))
	if len(w.dropped) > 0 {
		var list []string
		for _, k := range slices.Sorted(maps.Keys(w.dropped)) {
			list = append(list, fmt.Sprintf("%s=%s (%s)", strings.TrimPrefix(k, "index."), w.src.Settings[k], w.dropped[k]))
		}
		show("Settings not copied", "%s", strings.Join(list, "; "))
	}
	var pipes []string
	for _, k := range []string{"index.default_pipeline", "index.final_pipeline"} {
		if v, ok := w.dst.Settings[k]; ok {
			pipes = append(pipes, v)
		}
	}
	if len(pipes) > 0 {
		show("Pipelines", "%s: not while copying, documents went through once; set again at the end", elastic.And(pipes))
	}
	if w.Pipeline != "" {
		show("Enriched", "by pipeline %s on the way: %s", w.Pipeline, w.pipe.text())
		warn("%s", w.enrichment())
	}
	if len(w.aliases) > 0 {
		var list []string
		for _, a := range w.aliases {
			list = append(list, a.text())
		}
		show("Aliases", "%s%s", strings.Join(list, "; "), map[bool]string{true: "", false: " (stay where they are)"}[w.Swap])
	} else if w.Writes != writesDual {
		warn("%s has no alias, so nothing moves: whoever reads or writes %s by its name has to be told.", w.Source, w.Source)
	}
	if w.auto != "true" {
		show("Auto-create", "%s", w.auto)
	}
	while, after := w.need()
	if room, known := w.room(func(elastic.Node) bool { return true }); known {
		show("Space", "%s while copying, %s in the end; %s to the low watermark", elastic.Bytes(while), elastic.Bytes(after), elastic.Bytes(room))
	} else {
		warn("The free space of some data node is unknown; the copy needs %s.", elastic.Bytes(max(while, after)))
	}
	impact := w.MaxImpact
	if w.Throttle > 0 {
		impact += fmt.Sprintf(", at most %s documents a second", grouped(w.Throttle))
	}
	if w.ReadFrom != "" {
		impact += ", read from " + strings.Replace(w.ReadFrom, ":", " ", 1) + " only"
	}
	show("Impact", "%s", impact)
	for _, t := range w.tasks {
		warn("Already at work on %s: %s.", w.Source, strings.TrimSuffix(t, "."))
	}
	if w.docs > compareMost && w.Writes != writesDual {
		warn("More than %s: counts and a sample are compared, not every id.", documents(compareMost))
	}
	if source, _ := w.src.Mappings["_source"].(map[string]any); source["mode"] == "synthetic" {
		warn("%s has a synthetic _source: arrays may come out sorted, duplicates dropped.", w.Source)
	}
}

// mappingDiff says for people how the fields differ.
func mappingDiff(src, dst map[string]any) string {
	was, is := map[string]string{}, map[string]string{}
	flattenFields("", src, was)
	flattenFields("", dst, is)
	var changed, added, gone []string
	for _, f := range slices.Sorted(maps.Keys(was)) {
		switch now, ok := is[f]; {
		case !ok:
			gone = append(gone, f)
		case now != was[f]:
			changed = append(changed, fmt.Sprintf("%s %s → %s", f, was[f], now))
		}
	}
	for _, f := range slices.Sorted(maps.Keys(is)) {
		if _, ok := was[f]; !ok {
			added = append(added, f+" "+is[f])
		}
	}
	var list []string
	part := func(label string, names []string) {
		if len(names) > 0 {
			list = append(list, label+" "+brief(names, 12))
		}
	}
	part("changed:", changed)
	part("new:", added)
	dynamic := "true"
	if d, ok := dst["dynamic"]; ok {
		dynamic = fmt.Sprint(d)
	}
	part(map[string]string{"true": "mapped when first seen:", "false": "kept, not searchable:", "strict": "refused:", "runtime": "at run time:"}[dynamic], gone)
	if len(list) == 0 {
		return fmt.Sprintf("the same %s", elastic.Plural(int64(len(was)), "field"))
	}
	return strings.Join(list, "; ")
}
