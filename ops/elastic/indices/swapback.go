package indices

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// swapBack is es swap-back DST: readers and writers go back to the index that DST is a copy
// of, and what was written to DST since they moved goes with them.
type swapBack struct{ sites map[string]Site }

func (o swapBack) Kind() string { return "es swap-back" }

func (o swapBack) Step(ref ops.StepRef) (ops.Step, error) { return newCopyStep(o.sites, ref) }

// Plan reads what DST says of itself and what there is to bring back.
func (o swapBack) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	s, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	if len(call.Args) != 1 {
		return ops.Plan{}, &ops.UserError{What: "Back from which index?", Next: "Name the index that readers and writers moved to."}
	}
	w := backSurvey{Site: s, name: call.Args[0]}
	if err := w.read(ctx); err != nil {
		return ops.Plan{}, err
	}
	return w.plan(call), nil
}

// backSurvey is what was read to plan the way back.
type backSurvey struct {
	Site
	name     string
	top      elastic.Topology
	health   elastic.Health
	from, to index
	mark     mark
	aliases  []alias
	now      positions
	docs     [2]int64
	aside    int64 // documents put aside
	entry    Entry
}

func (w *backSurvey) read(ctx context.Context) error {
	var err error
	if _, _, err = w.exact(ctx, w.name); err != nil {
		return err
	}
	if w.top, err = w.Topology(ctx); err != nil {
		return err
	}
	if w.health, err = w.Health(ctx); err != nil {
		return err
	}
	if w.health.Status == "red" {
		return &ops.UserError{What: fmt.Sprintf("%s is red: a primary shard is missing.", w.Environment), Next: "Bring that back first; es health shows the state."}
	}
	marks, err := w.marksOf(ctx, []string{w.name})
	if err != nil {
		return err
	}
	w.mark = marks[w.name]
	if w.mark.SwappedAt.IsZero() {
		return &ops.UserError{What: fmt.Sprintf("%s is not an index that es reindex or es campaign moved readers and writers to.", w.name), Next: "es alias-swap moves aliases between any two indices."}
	}
	if w.from, err = w.metadata(ctx, w.name); err != nil {
		return err
	}
	to, there, err := w.find(ctx, w.mark.Source)
	if err != nil {
		return err
	}
	if !there || to.UUID != w.mark.SourceUUID {
		return &ops.UserError{What: fmt.Sprintf("%s is gone: there is nothing to go back to.", w.mark.Source), Next: fmt.Sprintf("es reindex %s and another name makes a copy of what there is.", w.name)}
	}
	w.to = to
	all, err := w.Site.aliases(ctx, w.name)
	if err != nil {
		return err
	}
	w.aliases = all[w.name]
	if w.now, err = w.positions(ctx, w.from); err != nil {
		return err
	}
	for i, name := range []string{w.name, w.to.Name} {
		if w.docs[i], err = w.count(ctx, name); err != nil {
			return err
		}
	}
	if _, aside, err := w.find(ctx, w.name+"-refused"); err != nil {
		return err
	} else if aside {
		if w.aside, err = w.count(ctx, w.name+"-refused"); err != nil {
			return err
		}
	}
	if w.mark.Register != "" {
		if w.Register == nil {
			return &ops.UserError{What: fmt.Sprintf("%s has no register, and %s was switched in one.", w.Environment, w.name), Next: "Configure elasticsearch.register."}
		}
		if w.entry, err = w.Register.Get(ctx, w.mark.Register); err != nil {
			return err
		}
		if w.entry.Active != w.name || !slices.Contains(w.entry.Write, w.to.Name) {
			return &ops.UserError{
				What: fmt.Sprintf("The register's entry %s says: active %s, write %s.", w.mark.Register, w.entry.Active, elastic.And(w.entry.Write)),
				Next: fmt.Sprintf("%s must be active, and %s written to, for a way back without loss.", w.name, w.to.Name),
			}
		}
		return nil
	}
	if len(w.aliases) == 0 {
		return &ops.UserError{What: fmt.Sprintf("%s has no alias that could go back.", w.name), Next: "Nothing needs to be done."}
	}
	if w.to.Settings[blockKey] != "true" {
		return &ops.UserError{
			What: fmt.Sprintf("%s takes writes: what was written to it since may be other than what %s has.", w.to.Name, w.name),
			Next: fmt.Sprintf("Set index.blocks.write of %s if that is meant, or copy %s to a new index with es reindex.", w.to.Name, w.name),
		}
	}
	return nil
}

func (w *backSurvey) plan(call ops.Call) ops.Plan {
	c := spec{Source: w.name, SourceUUID: w.from.UUID, Dest: w.to.Name, Existing: w.to.UUID, Writes: writesBlock, Swap: true, Back: true,
		At: w.mark.At, MaxImpact: impactFull, Entry: w.mark.Register}
	if w.mark.Register != "" {
		c.Writes = writesDual
	}
	for _, a := range w.aliases {
		c.Aliases = append(c.Aliases, a.Name)
	}
	slices.Sort(c.Aliases)
	p := ops.Plan{
		Call: call, Class: ops.R2,
		Title:   fmt.Sprintf("Swap back from %s to %s in %s", w.name, w.to.Name, w.Environment),
		Effect:  fmt.Sprintf("moves readers and writers back to %s, with what was written to %s since %s", w.to.Name, w.name, w.mark.SwappedAt.UTC().Format("2006-01-02 15:04 MST")),
		Targets: []string{w.name, w.to.Name},
		Params:  map[string]string{paramCluster: w.top.UUID, "from": w.from.UUID, "to": w.to.UUID},
		Locks:   []string{indexLock(w.from.UUID), indexLock(w.to.UUID)},
	}
	params := copyParams(w.Environment, w.top.UUID, c)
	for _, ph := range c.phases() {
		title := c.title(ph)
		switch ph {
		case phaseOpen:
			title = "let " + w.to.Name + " take writes again"
		case phaseVerify:
			title = "copy what was written since, compare all documents"
		case phaseFinish:
			title = "note that " + w.name + " is not in use"
		}
		p.Steps = append(p.Steps, ops.StepRef{Name: string(ph), Version: stepsVersion, Title: title, Params: params})
	}
	if w.mark.Register == "" {
		p.Undo = []string{fmt.Sprintf("Before the aliases move: %s takes writes again, %s does not; what was copied to it stays there.", w.name, w.to.Name)}
		p.Keeps = []string{fmt.Sprintf("%s stays, and takes no writes.", w.name)}
	} else {
		p.Undo = []string{"Before the register is switched: nothing has changed. After that: es alias-swap, or the register itself."}
		p.Keeps = []string{fmt.Sprintf("Writers go on writing to %s too.", w.name)}
	}
	p.Facts = append(p.Facts, ops.Fact{Key: "health", Text: "health is " + w.health.Status, Level: elastic.Level(w.health.Status)})
	show := func(label, format string, args ...any) {
		p.Shown = append(p.Shown, ops.Line{Label: label, Text: fmt.Sprintf(format, args...)})
	}
	show("Health", "%s, %s", w.health.Status, elastic.Plural(int64(w.health.Nodes), "node"))
	show("From", "%s: %s", w.name, documents(w.docs[0]))
	show("Back to", "%s: %s", w.to.Name, documents(w.docs[1]))
	if w.mark.Register == "" {
		show("Written since", "%s", elastic.Plural(w.now.after(w.mark.At), "operation"))
	} else {
		show("Written since", "to both, by register entry %s", w.mark.Register)
	}
	if w.aside > 0 {
		show("Put aside", "%s in %s-refused: they are still in %s", documents(w.aside), w.name, w.to.Name)
	}
	var list []string
	for _, a := range w.aliases {
		list = append(list, a.text())
	}
	if len(list) > 0 {
		show("Aliases", "%s", strings.Join(list, "; "))
	}
	return p
}

// begunBack is what the state of a way back starts from: everything before the swap is
// there already.
func (j *job) begunBack(ctx context.Context) error {
	src, err := j.metadata(ctx, j.Source)
	if err != nil {
		return err
	}
	dst, err := j.metadata(ctx, j.Dest)
	if err != nil {
		return err
	}
	if src.UUID != j.SourceUUID || dst.UUID != j.Existing {
		return errRecreated
	}
	j.SourceShards, j.DestShards, j.DestUUID = src.Shards, dst.Shards, dst.UUID
	j.Copied, j.Since, j.Small, j.Window = true, j.At, true, searchable(src, dst)
	if j.Docs, err = j.count(ctx, j.Source); err != nil {
		return err
	}
	return j.setAside(ctx)
}

// setAside reads which documents were put aside when the copy was made: the index gone
// back to has them, and nobody deleted them.
func (j *job) setAside(ctx context.Context) error {
	name := j.Source + "-refused"
	x, there, err := j.find(ctx, name)
	if err != nil || !there {
		return err
	}
	marks, err := j.marksOf(ctx, []string{j.Source, name})
	if err != nil || marks[name].Run == "" || marks[name].Run != marks[j.Source].Run {
		return err // another index of that name
	}
	if err := j.refresh(ctx, name); err != nil {
		return err
	}
	now, err := j.positions(ctx, x)
	if err != nil {
		return err
	}
	docs, err := j.Site.page(ctx, name, window{-1, 0, now.highest()}, maxRefused, false, "")
	if err != nil {
		return err
	}
	j.Aside = make(map[string]string, len(docs))
	for _, d := range docs {
		j.Aside[d.ID] = d.Routing
	}
	return j.indexedSince(ctx)
}

// indexedSince forgets those documents put aside that the copy has by now: people corrected
// them and indexed them there, and they go back as any other.
func (j *job) indexedSince(ctx context.Context) error {
	if len(j.Aside) == 0 {
		return nil
	}
	docs := make([]document, 0, len(j.Aside))
	for id, routing := range j.Aside {
		docs = append(docs, document{ID: id, Routing: routing})
	}
	there, err := j.lookup(ctx, j.Source, docs, false)
	if err != nil {
		return err
	}
	for id := range there {
		delete(j.Aside, id)
	}
	return nil
}

// open lets the index gone back to take writes again.
func (j *job) open(ctx context.Context) (progress, error) {
	x, err := j.metadata(ctx, j.Dest)
	if err != nil {
		return progress{}, err
	}
	key := j.destKey() + " " + blockKey
	if x.Settings[blockKey] != "true" {
		if e, ok := j.entry(key); ok && e.State == ops.Intended {
			return finished, j.settle(ctx, ops.Settlement{Key: key, State: ops.Written, After: x.setting(blockKey)})
		}
		return finished, nil
	}
	if err := j.record(ctx, ops.Change{Key: key, Resource: "index " + j.Dest, Setting: blockKey, Before: text("true"), Intended: nil}); err != nil {
		return progress{}, err
	}
	return waiting(soon), j.putSettings(ctx, j.Dest, settings{blockKey: nil}, j.token)
}

// close undoes open.
func (j *job) close(ctx context.Context) (progress, error) {
	key := j.destKey() + " " + blockKey
	e, ok := j.entry(key)
	if !ok || e.State == ops.Restored {
		return finished, nil
	}
	x, err := j.metadata(ctx, j.Dest)
	if err != nil {
		return progress{}, err
	}
	if x.Settings[blockKey] == "true" {
		return finished, j.settle(ctx, ops.Settlement{Key: key, State: ops.Restored, After: text("true"), Reason: "what was copied to it stays there"})
	}
	return waiting(100 * time.Millisecond), j.Write(ctx, "PUT", "/"+url.PathEscape(j.Dest)+"/_block/write", elastic.Query("master_timeout", "5s", "timeout", "5s"), nil, j.token)
}

// finishBack takes the note of the swap off the index that was left, so that nobody
// deletes the other one as replaced.
func (j *job) finishBack(ctx context.Context) (progress, error) {
	marks, err := j.marksOf(ctx, []string{j.Source})
	if err != nil {
		return progress{}, err
	}
	m := marks[j.Source]
	m.SwappedAt, m.HoldUntil, m.At = time.Time{}, time.Time{}, nil
	if err := j.writeMark(ctx, j.Source, m, j.token); err != nil {
		return progress{}, err
	}
	var all []ops.Settlement
	for _, e := range j.journal() {
		if e.State == ops.Written {
			all = append(all, ops.Settlement{Key: e.Key, State: ops.Kept, After: e.After})
		}
	}
	if len(all) == 0 {
		return finished, nil
	}
	return finished, j.settle(ctx, all...)
}
