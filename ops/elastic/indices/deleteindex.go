package indices

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// deleteIndex is es delete-index INDEX… --confirm NAME, and es delete-index --campaign ID
// --confirm ID. What has to be typed after --confirm is the index's name; for several
// "3-indices", with their number; for a campaign its id as it was typed.
type deleteIndex struct{ sites map[string]Site }

func (o deleteIndex) Kind() string { return "es delete-index" }

func (o deleteIndex) Step(ref ops.StepRef) (ops.Step, error) {
	s, err := siteOf(o.sites, ref)
	if err != nil {
		return nil, err
	}
	entries := map[string][]string{}
	for name, list := range named(ref.Params, paramEntry) {
		if s.Register == nil {
			return nil, errNoRegister(s, name, list)
		}
		entries[name] = strings.Split(list, ",")
	}
	d := deleteStep{s, ref.Params[paramCluster], named(ref.Params, paramIndex), entries}
	switch ref.Name {
	case "register":
		return unregisterStep{d}, nil
	case "delete":
		return d, nil
	}
	return nil, fmt.Errorf("%w: %s", ops.ErrUnknownStep, ref.Name)
}

// Plan freezes the list of indices, by name and uuid.
func (o deleteIndex) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	s, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	w := deleteSurvey{Site: s, now: time.Now(), campaign: call.Flags["campaign"], entries: map[string]Entry{}, about: map[string][]string{}}
	switch {
	case w.campaign != "" && len(call.Args) > 0:
		return ops.Plan{}, &ops.UserError{What: "Indices and --campaign were given.", Next: "Give one of them: names, or the campaign whose old indices are to go."}
	case w.campaign == "" && len(call.Args) == 0:
		return ops.Plan{}, &ops.UserError{What: "No index was named.", Next: "Name at least one, or give --campaign ID."}
	}
	if err := w.read(ctx, call.Args); err != nil {
		return ops.Plan{}, err
	}
	return w.plan(call), nil
}

// copyOf is an index whose mark says that it is the copy of another.
type copyOf struct {
	Name string
	mark
}

// deleteSurvey is what was read to plan a deletion.
type deleteSurvey struct {
	Site
	now      time.Time
	campaign string
	uuid     string
	list     []listed
	copies   map[string][]copyOf // by the uuid of their source
	tasks    []reindexTask
	sizes    map[string]sizes
	leftOut  []string // of a campaign, and why
	marks    map[string]mark
	entries  map[string]Entry    // of the register
	about    map[string][]string // the entries that may name an index
}

func (w *deleteSurvey) read(ctx context.Context, typed []string) error {
	var err error
	if w.marks, err = w.Site.marks(ctx); err != nil {
		return err
	}
	w.copies = map[string][]copyOf{}
	for _, name := range slices.Sorted(maps.Keys(w.marks)) {
		m := w.marks[name]
		if w.aside(name) {
			continue
		}
		w.copies[m.SourceUUID] = append(w.copies[m.SourceUUID], copyOf{name, m})
	}
	if w.tasks, err = w.reindexTasks(ctx); err != nil {
		return err
	}
	if w.campaign != "" {
		err = w.readCampaign(ctx)
	} else {
		err = w.readNamed(ctx, typed)
	}
	if err != nil {
		return err
	}
	names := w.names()
	for _, x := range w.list {
		for _, c := range w.copies[x.UUID] {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	w.sizes, err = w.sizesOf(ctx, slices.Compact(names))
	return err
}

// aside reports whether an index holds the documents that the copy of its source refused: it
// replaces nothing.
func (w *deleteSurvey) aside(name string) bool {
	base, ok := strings.CutSuffix(name, "-refused")
	is, made := w.marks[base]
	return ok && made && is.Run == w.marks[name].Run && is.SourceUUID == w.marks[name].SourceUUID
}

func (w *deleteSurvey) names() []string {
	var names []string
	for _, x := range w.list {
		names = append(names, x.Name)
	}
	return names
}

// readNamed resolves exact names; the first that must stay refuses all.
func (w *deleteSurvey) readNamed(ctx context.Context, typed []string) error {
	names := slices.Sorted(slices.Values(typed))
	for _, name := range slices.Compact(names) {
		uuid, x, err := w.exact(ctx, name)
		if err != nil {
			return err
		}
		if err := w.readEntries(ctx, x); err != nil {
			return err
		}
		if why, next := w.keeps(x); why != "" {
			return &ops.UserError{What: why, Next: next}
		}
		w.uuid, w.list = uuid, append(w.list, x)
	}
	return nil
}

// keeps says why an index must not be deleted, and what to do about it; empty: it may.
func (w *deleteSurvey) keeps(x listed) (why, next string) {
	switch {
	case x.Writes:
		return fmt.Sprintf("%s is the index that data stream %s writes to.", x.Name, x.DataStream), "Roll the data stream over, or delete the data stream by hand."
	case x.System, x.DataStream != "", x.Hidden:
		return fmt.Sprintf("%s is %s; such indices are not deleted from here.", x.Name, x.special()), "They belong to Elasticsearch or to a data stream."
	case len(x.Aliases) > 0:
		slices.Sort(x.Aliases)
		return fmt.Sprintf("%s is still reached through an alias: %s.", x.Name, brief(x.Aliases, maxNamed)),
			"Move it first: es alias-swap."
	}
	for _, block := range []string{"metadata", "read_only"} {
		if x.Settings["index.blocks."+block] == "true" {
			return fmt.Sprintf("%s has index.blocks.%s: Elasticsearch would refuse to delete it.", x.Name, block), "Lift the block first, if nobody needs it."
		}
	}
	for _, t := range w.tasks {
		switch {
		case t.uses(t.From, x):
			return fmt.Sprintf("A running reindex reads %s: %s.", x.Name, t.text), "Wait for its end."
		case t.uses(t.To, x):
			return fmt.Sprintf("A running reindex writes to %s: %s.", x.Name, t.text), "Wait for its end."
		}
	}
	for _, name := range w.about[x.Name] {
		if why := stays(name, w.entries[name], []string{x.Name}); why != "" {
			return sentenceCase(why) + ".", "Let readers and writers of the entry use another index first."
		}
	}
	for _, c := range w.copies[x.UUID] {
		if c.held(w.now) {
			return fmt.Sprintf("%s is held until %s: run %s replaced it by %s, and until then it can be swapped back.",
				x.Name, c.HoldUntil.UTC().Format("2006-01-02 15:04 MST"), c.Run, c.Name), "Ask again after that."
		}
	}
	return "", ""
}

// minRun is how many characters of a run's id have to be typed.
const minRun = 5

// readCampaign finds the old indices of a campaign. Those that must stay are left out,
// with the reason.
func (w *deleteSurvey) readCampaign(ctx context.Context) error {
	ending := strings.ToUpper(w.campaign)
	if len(ending) < minRun {
		return &ops.UserError{What: fmt.Sprintf("%s is too short for a run's id.", w.campaign), Next: fmt.Sprintf("Type its last %d characters or more.", minRun)}
	}
	runs := map[string]bool{}
	of := map[string]mark{} // by source
	for _, name := range slices.Sorted(maps.Keys(w.marks)) {
		if m := w.marks[name]; strings.HasSuffix(strings.ToUpper(m.Run), ending) && !w.aside(name) {
			runs[m.Run] = true
			of[m.Source] = m
			switch {
			case m.SwappedAt.IsZero():
				w.leave(m.Source, "%s has not replaced it", name)
			case m.HoldUntil.IsZero():
				w.leave(m.Source, "nobody wrote down until when it is held")
			case m.held(w.now):
				w.leave(m.Source, "held until %s", m.HoldUntil.UTC().Format("2006-01-02 15:04 MST"))
			default:
				continue
			}
			delete(of, m.Source)
		}
	}
	switch len(runs) {
	case 0:
		return &ops.UserError{What: fmt.Sprintf("No index of %s was made by a run whose id ends in %s.", w.Environment, w.campaign), Next: "The campaign's card shows its id."}
	case 1:
	default:
		return &ops.UserError{What: fmt.Sprintf("The ids of %d runs end in %s.", len(runs), w.campaign), Next: fmt.Sprintf("Type more of one: %s.", brief(slices.Sorted(maps.Keys(runs)), 5))}
	}
	uuid, found, err := w.listNames(ctx, slices.Sorted(maps.Keys(of)))
	if err != nil {
		return err
	}
	w.uuid = uuid
	if err := w.readEntries(ctx, found...); err != nil {
		return err
	}
	for _, x := range found {
		switch why, _ := w.keeps(x); {
		case x.UUID != of[x.Name].SourceUUID:
			w.leave(x.Name, "deleted and made again since the campaign")
		case why != "":
			w.leave(x.Name, "%s", strings.TrimSuffix(why, "."))
		default:
			w.list = append(w.list, x)
		}
	}
	if len(w.list) == 0 {
		e := &ops.UserError{What: fmt.Sprintf("No old index of campaign %s can be deleted now.", w.campaign), Next: "Those there were are gone already."}
		if len(w.leftOut) > 0 {
			e.Next = brief(w.leftOut, maxNamed) + "."
		}
		return e
	}
	return nil
}

func (w *deleteSurvey) leave(name, format string, args ...any) {
	w.leftOut = append(w.leftOut, name+" ("+fmt.Sprintf(format, args...)+")")
}

// confirm is what the requester has to type.
func (w *deleteSurvey) confirm() string {
	switch {
	case w.campaign != "":
		return w.campaign
	case len(w.list) == 1:
		return w.list[0].Name
	}
	return fmt.Sprintf("%d-indices", len(w.list))
}

// maxShown is how many indices a card describes one by one.
const maxShown = 12

func (w *deleteSurvey) plan(call ops.Call) ops.Plan {
	who := fmt.Sprintf("%d indices", len(w.list))
	if len(w.list) == 1 {
		who = w.list[0].Name
	}
	params := map[string]string{paramEnvironment: w.Environment, paramCluster: w.uuid}
	p := ops.Plan{
		Call: call, Class: ops.R3,
		Title:   fmt.Sprintf("Delete %s in %s", who, w.Environment),
		Targets: w.names(),
		Undo:    []string{"None: what is deleted cannot be brought back. A cancel keeps what is not deleted yet."},
		Keeps:   []string{who + " deleted, with all documents."},
		Confirm: w.confirm(),
	}
	if w.campaign != "" {
		p.Title = fmt.Sprintf("Delete %s that campaign %s replaced in %s", who, w.campaign, w.Environment)
	}
	w.unregister(&p, params)
	p.Steps = append(p.Steps, ops.StepRef{Name: "delete", Version: stepsVersion, Title: "delete " + who + " for good", Params: params})
	docs, bytes := int64(0), int64(0)
	for i, x := range w.list {
		z := w.sizes[x.Name]
		docs, bytes = docs+max(z.Docs, 0), bytes+max(z.Bytes, 0)
		params[paramIndex+x.Name] = x.UUID
		p.Locks = append(p.Locks, indexLock(x.UUID))
		// Somebody who still writes to it does not know that it is to go.
		if z.Docs >= 0 {
			p.Facts = append(p.Facts, ops.Fact{Key: "docs:" + x.Name, Level: z.Docs, Text: fmt.Sprintf("%s has %s now", x.Name, documents(z.Docs))})
		}
		if i < maxShown {
			p.Shown = append(p.Shown, ops.Line{Label: x.Name, Text: z.text() + w.replaced(x)})
		}
		for _, c := range w.copies[x.UUID] {
			p.Warnings = append(p.Warnings, w.doubts(x, c)...)
		}
	}
	slices.Sort(p.Locks)
	p.Effect = fmt.Sprintf("destroys %s with %s (%s)", who, documents(docs), elastic.Bytes(bytes))
	if more := len(w.list) - maxShown; more > 0 {
		p.Shown = append(p.Shown, ops.Line{Label: "More", Text: fmt.Sprintf("%d indices, all of them among the targets", more)})
	}
	if len(w.leftOut) > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d of the campaign stay: %s.", len(w.leftOut), brief(w.leftOut, maxNamed)))
	}
	return p
}

// replaced says which copies an index has.
func (w *deleteSurvey) replaced(x listed) string {
	var list []string
	for _, c := range w.copies[x.UUID] {
		if z, ok := w.sizes[c.Name]; ok && !c.SwappedAt.IsZero() {
			list = append(list, fmt.Sprintf("%s (%s, %s)", c.Name, z.Health, z.text()))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "; replaced by " + elastic.And(list)
}

// doubts are warnings about a copy that is to stand for the index.
func (w *deleteSurvey) doubts(x listed, c copyOf) []string {
	var list []string
	was, is := w.sizes[x.Name], w.sizes[c.Name]
	if c.SwappedAt.IsZero() {
		list = append(list, fmt.Sprintf("%s is marked as a copy of %s that has not replaced it.", c.Name, x.Name))
	}
	if is.Health == "red" {
		list = append(list, fmt.Sprintf("%s, the copy of %s, is red.", c.Name, x.Name))
	}
	if is.Docs >= 0 && is.Docs < was.Docs {
		list = append(list, fmt.Sprintf("%s has %s fewer than %s.", c.Name, documents(was.Docs-is.Docs), x.Name))
	}
	return list
}
