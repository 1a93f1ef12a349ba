package indices

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// plan makes the frozen part of the plan and what is shown.
func (w *campaignSurvey) plan(call ops.Call) ops.Plan {
	r := w.rules
	encode := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // strings and numbers always encode
		}
		return string(b)
	}
	params := map[string]string{paramEnvironment: w.Environment, paramCluster: w.top.UUID}
	what := countOf(len(w.pairs))
	p := ops.Plan{
		Call: call, Class: ops.R2,
		Title:  fmt.Sprintf("Campaign %s: %s in %s", call.Args[0], what, w.Environment),
		Effect: fmt.Sprintf("copies %s with %s (%s) into new ones, and moves their readers and writers", what, documents(w.docs), elastic.Bytes(w.bytes)),
		Params: map[string]string{paramCluster: w.top.UUID, paramRules: encode(r)},
	}
	for _, pair := range w.pairs {
		p.Targets = append(p.Targets, pair.target())
		p.Params[paramCopy+pair.Source] = encode(pair)
		dest := w.top.UUID + "/" + pair.Dest // as in es reindex
		if pair.Existing != "" {
			dest = pair.Existing
		}
		p.Locks = append(p.Locks, indexLock(pair.UUID), indexLock(dest))
	}
	if r.Indexing != "" {
		p.Steps = append(p.Steps, ops.StepRef{Name: "pin", Version: stepsVersion, Params: params,
			Title: fmt.Sprintf("keep all other indices out of %s %s, and empty it", r.Attr, r.Indexing)})
		p.Locks = append(p.Locks, "Elasticsearch zone:"+w.top.UUID+"/"+r.Attr+"/"+r.Indexing)
	}
	p.Steps = append(p.Steps, ops.StepRef{Name: "copy", Version: stepsVersion, Params: params, Title: "copy " + what})
	if r.Indexing != "" {
		p.Steps = append(p.Steps, ops.StepRef{Name: "unpin", Version: stepsVersion, Params: params,
			Title: fmt.Sprintf("give %s %s back", r.Attr, r.Indexing)})
	}
	p.Undo = []string{"Indices in work: own tasks are cancelled, the new index is deleted, the old one takes writes again.",
		"Indices that have moved stay so; es swap-back brings single ones back."}
	if r.Indexing != "" {
		p.Undo = append(p.Undo, fmt.Sprintf("Other indices may use %s %s again, as before.", r.Attr, r.Indexing))
	}
	hold := elastic.Span((&job{Site: w.Site}).hold())
	if r.Writes == writesDual {
		p.Keeps = []string{"The old indices stay and get every write too, until they are deleted."}
	} else {
		p.Keeps = []string{fmt.Sprintf("The old indices stay and take no writes; held for %s, then es delete-index --campaign may delete them.", hold)}
	}
	if r.Quarantine {
		p.Keeps = append(p.Keeps, "Documents that do not fit a new mapping are put aside in <new index>-refused.")
	}
	p.Facts = append(p.Facts, ops.Fact{Key: "health", Text: "health is " + w.health.Status, Level: elastic.Level(w.health.Status)})
	for _, n := range w.top.Nodes {
		if r.Indexing != "" && n.Attributes[r.Attr] == r.Indexing {
			continue // one that is lost is done without
		}
		p.Facts = append(p.Facts, ops.Fact{Key: elastic.FactNode + n.Name, Text: n.Name + " is in the cluster", Gone: n.Name + " left the cluster", Level: -1})
	}
	w.describe(&p)
	return p
}

func (w *campaignSurvey) describe(p *ops.Plan) {
	r := w.rules
	show := func(label, format string, args ...any) {
		p.Shown = append(p.Shown, ops.Line{Label: label, Text: fmt.Sprintf(format, args...)})
	}
	show("Health", "%s, %s", w.health.Status, elastic.Plural(int64(w.health.Nodes), "node"))
	show("Indices", "%s, %s, %s", countOf(len(w.pairs)), documents(w.docs), elastic.Bytes(w.bytes))
	by := slices.Clone(w.pairs)
	slices.SortStableFunc(by, func(a, b pairing) int { return cmp.Compare(w.sizes[b.Source].docs, w.sizes[a.Source].docs) })
	var large []string
	for _, pair := range by[:min(len(by), 3)] {
		z := w.sizes[pair.Source]
		text := fmt.Sprintf("%s %s", pair.Source, documents(z.docs))
		if r.Shards == autoShards {
			text += fmt.Sprintf(" (%s)", elastic.Plural(int64(shardsFor(z.docs)), "shard"))
		}
		large = append(large, text)
	}
	show("Largest", "%s", strings.Join(large, "; "))
	if r.Pipeline != "" {
		show("Enriched", "by pipeline %s on the way: %s", r.Pipeline, w.pipe.text())
		p.Warnings = append(p.Warnings, r.enrichment())
	}
	if len(w.skipped) > 0 {
		show("Left out", "%s", w.skips())
	}
	// How those are that no flag says anything of.
	is := "as the old index"
	switch n := w.byTemplate(); {
	case n == len(w.pairs):
		is = "as " + elastic.And(w.templates) + " says"
	case n > 0:
		is = fmt.Sprintf("of %s as %s says, else as the old index", countOf(n), elastic.And(w.templates))
	}
	shards := is
	switch {
	case r.Shards == autoShards:
		shards = "1 up to 5 million documents, above that documents / 5 million + 1"
	case r.Shards > 0:
		shards = strconv.Itoa(r.Shards)
	}
	show("Shards", "%s", shards)
	show("Mapping", "%s", is)
	show("Writes meanwhile", "%s", map[string]string{
		writesBlock:   "refused while their index is copied",
		writesCatchup: "accepted; refused during an index's last pass and comparison only",
		writesDual:    "to both, by the register",
	}[r.Writes])
	order := map[string]string{orderSmallest: "smallest first", orderGiven: "as given", orderPriority: "by priority: " + brief(r.Priority, 5)}[r.Order]
	if r.AtOnce > 0 {
		order += fmt.Sprintf(", at most %d at a time", r.AtOnce)
	}
	if r.Until > 0 {
		order += fmt.Sprintf("; none begun later than %s after the start", elastic.Span(time.Duration(r.Until)*time.Second))
	}
	show("Order", "%s", order)
	impact := r.MaxImpact
	if r.Throttle > 0 {
		impact += fmt.Sprintf(", at most %s documents a second in all", grouped(r.Throttle))
	}
	show("Impact", "%s", impact)
	if r.Indexing != "" {
		in, _ := w.room(func(n elastic.Node) bool { return n.Attributes[r.Attr] == r.Indexing })
		out, _ := w.room(func(n elastic.Node) bool { return slices.Contains(r.Production, n.Attributes[r.Attr]) })
		show("Zones", "written in %s %s (%s to the low watermark), then moved to %s (%s)", r.Attr, r.Indexing, elastic.Bytes(in), elastic.And(r.Production), elastic.Bytes(out))
		var names []string
		for _, x := range w.pinned {
			names = append(names, x.Name)
		}
		now := countOf(len(names))
		if len(names) > 0 {
			now += ": " + brief(names, maxNamed)
		}
		show("Kept out", "of %s %s, until the end: every index that the campaign does not make; now %s", r.Attr, r.Indexing, now)
	}
	if w.auto != "true" {
		show("Auto-create", "%s", w.auto)
	}
	var bare []string
	for _, pair := range w.pairs {
		if len(pair.Aliases) == 0 && r.Writes != writesDual {
			bare = append(bare, pair.Source)
		}
	}
	if len(bare) > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s without an alias, so nothing moves: whoever reads or writes them by name has to be told: %s.", countOf(len(bare)), brief(bare, 5)))
	}
}
