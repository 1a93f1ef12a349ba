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

type sized struct{ docs, bytes int64 }

// read resolves the indices and reads what the plan shows.
func (w *campaignSurvey) read(ctx context.Context) error {
	var err error
	if w.top, err = w.Topology(ctx); err != nil {
		return err
	}
	if w.health, err = w.Health(ctx); err != nil {
		return err
	}
	w.skipped = map[string][]string{}
	if err := w.resolve(ctx); err != nil {
		return err
	}
	if w.alloc, err = w.Allocation(ctx); err != nil {
		return err
	}
	if w.disks, err = w.Disks(ctx); err != nil {
		return err
	}
	if w.auto, err = w.autoCreate(ctx); err != nil {
		return err
	}
	if err := w.templated(ctx); err != nil {
		return err
	}
	if w.pipe, err = w.enriches(ctx, &w.rules.spec); err != nil {
		return err
	}
	return w.pins(ctx)
}

// resolve pairs old and new indices.
func (w *campaignSurvey) resolve(ctx context.Context) error {
	var sources []listed
	dests := map[string]string{}
	var err error
	if w.file.From != "" {
		if _, sources, err = w.list(ctx, w.file.From); err != nil {
			return err
		}
		for _, x := range sources {
			if part, ok := starOf(w.file.From, x.Name); ok {
				dests[x.Name] = strings.Replace(w.file.To, "*", part, 1)
			}
		}
	} else {
		var names []string
		for _, p := range w.file.Pairs {
			dests[p.From], names = p.To, append(names, p.From)
		}
		if _, sources, err = w.listNames(ctx, names); err != nil {
			return err
		}
		for _, n := range names {
			if !slices.ContainsFunc(sources, func(x listed) bool { return x.Name == n }) {
				return &ops.UserError{What: fmt.Sprintf("%s has no index %s, which the campaign names.", w.Environment, n), Next: "Correct the campaign file."}
			}
		}
	}
	if w.sizes, err = w.volumes(ctx, w.file.From, sources); err != nil {
		return err
	}
	var targets []string
	for _, d := range dests {
		targets = append(targets, d)
	}
	slices.Sort(targets)
	_, there, err := w.listNames(ctx, targets)
	if err != nil {
		return err
	}
	have := map[string]listed{}
	for _, x := range there {
		have[x.Name] = x
	}
	marks, err := w.marksOf(ctx, slices.Sorted(maps.Keys(have)))
	if err != nil {
		return err
	}
	counts, err := w.volumes(ctx, "", there)
	if err != nil {
		return err
	}
	skip := func(why, name string) { w.skipped[why] = append(w.skipped[why], name) }
	for _, x := range sources {
		dest, ok := dests[x.Name]
		if !ok {
			continue // behind an alias that the pattern matches
		}
		why := x.special()
		p := pairing{Source: x.Name, UUID: x.UUID, Dest: dest, Entry: w.entryOf(x.Name), Aliases: slices.Sorted(slices.Values(x.Aliases))}
		switch is, exists := have[dest]; {
		case why != "":
		case slices.ContainsFunc(w.file.Skip, func(s string) bool { return elastic.Glob(s, x.Name) }):
			why = "on the skip list"
		case dest == x.Name:
			why = "the new name is the old one"
		case validName(dest) != nil:
			why = "the new name is not valid"
		case exists && marks[dest].SourceUUID == x.UUID && !marks[dest].SwappedAt.IsZero():
			why = "done already"
		case exists && counts[dest].docs > 0 && marks[dest].SourceUUID == x.UUID && len(x.Aliases) == 0 && w.rules.Writes != writesDual:
			why = "copied already" // it has no alias that would have moved
		case exists && counts[dest].docs > 0:
			why = "the new index exists and is not empty"
		case exists && w.rules.Indexing != "":
			why = "the new index exists, and would not be written in the indexing zone"
		case exists:
			p.Existing = is.UUID
		}
		if why != "" {
			skip(why, x.Name)
			continue
		}
		w.pairs = append(w.pairs, p)
		w.docs += w.sizes[x.Name].docs
		w.bytes += w.sizes[x.Name].bytes
	}
	slices.SortFunc(w.pairs, func(a, b pairing) int { return cmp.Compare(a.Source, b.Source) })
	if w.file.From == "" && w.rules.Order == orderGiven {
		at := map[string]int{}
		for i, p := range w.file.Pairs {
			at[p.From] = i
		}
		slices.SortStableFunc(w.pairs, func(a, b pairing) int { return cmp.Compare(at[a.Source], at[b.Source]) })
	}
	return nil
}

// starOf is what the * of a pattern stands for in a name.
func starOf(pattern, name string) (string, bool) {
	before, after, _ := strings.Cut(pattern, "*")
	if len(name) < len(before)+len(after) || !strings.HasPrefix(name, before) || !strings.HasSuffix(name, after) {
		return "", false
	}
	return name[len(before) : len(name)-len(after)], true
}

// entryOf is an index's entry in the register.
func (w *campaignSurvey) entryOf(source string) string {
	if w.rules.Writes != writesDual {
		return ""
	}
	part, ok := starOf(w.file.From, source)
	if !ok || w.file.Register == "" {
		return source
	}
	return strings.Replace(w.file.Register, "*", part, 1)
}

// volumes reads documents and bytes of primaries of many indices.
func (s Site) volumes(ctx context.Context, pattern string, of []listed) (map[string]sized, error) {
	found := map[string]sized{}
	var paths []string
	if pattern != "" {
		paths = []string{strings.ReplaceAll(pattern, " ", "")}
	} else {
		var names []string
		for _, x := range of {
			names = append(names, x.Name)
		}
		for part := range elastic.InURLs(names) {
			paths = append(paths, part)
		}
	}
	for _, path := range paths {
		var rows []struct {
			Index string  `json:"index"`
			Docs  *string `json:"docs.count"`
			Bytes *string `json:"pri.store.size"`
		}
		err := s.Get(ctx, "/_cat/indices/"+path, elastic.Query("h", "index,docs.count,pri.store.size", "bytes", "b", "format", "json", "expand_wildcards", "all", "master_timeout", "5s"), &rows)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			var z sized
			if r.Docs != nil {
				z.docs, _ = strconv.ParseInt(*r.Docs, 10, 64)
			}
			if r.Bytes != nil {
				z.bytes, _ = strconv.ParseInt(*r.Bytes, 10, 64)
			}
			found[r.Index] = z
		}
	}
	return found, nil
}

// refuse is the reason why the campaign cannot work, if there is one.
func (w *campaignSurvey) refuse() error {
	if len(w.pairs) == 0 {
		e := &ops.UserError{What: "The campaign has no index to copy.", Next: "Check the pattern or the file."}
		if len(w.skipped) > 0 {
			e.What = "The campaign has no index to copy: " + w.skips() + "."
		}
		return e
	}
	if w.health.Status == "red" {
		return &ops.UserError{What: fmt.Sprintf("%s is red: a primary shard is missing.", w.Environment), Next: "Bring that back first; es health shows the state."}
	}
	if w.rules.Writes == writesDual && w.Register == nil {
		return &ops.UserError{What: fmt.Sprintf("%s has no register.", w.Environment), Next: "Configure elasticsearch.register, or use --writes catchup."}
	}
	if !allowed(w.auto, w.pairs[0].Dest) && w.rules.Writes == writesDual {
		return &ops.UserError{
			What: fmt.Sprintf("action.auto_create_index (%s) does not allow %s.", w.auto, w.pairs[0].Dest),
			Next: "That is how a writer would notice a wrong name; add the new prefix to it first.",
		}
	}
	if w.rules.Indexing != "" {
		for _, zone := range append([]string{w.rules.Indexing}, w.rules.Production...) {
			if !slices.ContainsFunc(w.top.Nodes, func(n elastic.Node) bool { return n.Data() && n.Attributes[w.rules.Attr] == zone }) {
				return &ops.UserError{What: fmt.Sprintf("No data node has %s %s.", w.rules.Attr, zone), Next: "es nodes shows the nodes' zones."}
			}
		}
	}
	room, known := w.room(func(n elastic.Node) bool {
		return w.rules.Indexing == "" || n.Attributes[w.rules.Attr] == w.rules.Indexing
	})
	largest := int64(0)
	for _, p := range w.pairs {
		largest = max(largest, w.sizes[p.Source].bytes)
	}
	if known && room < 2*largest {
		return &ops.UserError{
			What: fmt.Sprintf("The largest index needs %s while it is copied; %s to the low watermark.", elastic.Bytes(2*largest), elastic.Bytes(room)),
			Next: "Make room first.",
		}
	}
	end, known := w.room(func(n elastic.Node) bool {
		return w.rules.Indexing == "" || slices.Contains(w.rules.Production, n.Attributes[w.rules.Attr])
	})
	if known && end < 2*w.bytes {
		return &ops.UserError{
			What: fmt.Sprintf("All copies with their replicas need about %s in the end; %s to the low watermark.", elastic.Bytes(2*w.bytes), elastic.Bytes(end)),
			Next: "Make room, or split the campaign and delete what was replaced in between.",
		}
	}
	return nil
}

// allowed reports whether action.auto_create_index lets an index of this name be made: a
// list of patterns, each with + or - in front, the first that matches counts.
func allowed(auto, name string) bool {
	switch auto {
	case "true", "":
		return true
	case "false":
		return false
	}
	for p := range strings.SplitSeq(strings.Trim(auto, `[]"`), ",") {
		p = strings.Trim(strings.TrimSpace(p), `"`)
		if pattern, no := strings.CutPrefix(p, "-"); no && elastic.Glob(pattern, name) {
			return false
		} else if elastic.Glob(strings.TrimPrefix(p, "+"), name) && !no {
			return true
		}
	}
	return false
}

// room sums the free space below the low watermark on data nodes.
func (w *campaignSurvey) room(of func(elastic.Node) bool) (int64, bool) {
	c := copySurvey{Site: w.Site, top: w.top, alloc: w.alloc, disks: w.disks}
	return c.room(of)
}

// pins finds the indices that have to be kept out of the indexing zone.
func (w *campaignSurvey) pins(ctx context.Context) error {
	if w.rules.Indexing == "" {
		return nil
	}
	_, all, err := w.list(ctx, "*")
	if err != nil {
		return err
	}
	w.pinned = pin{attr: w.rules.Attr, zone: w.rules.Indexing}.kept(all, w.pairs)
	return nil
}

// skips says for people what is left out, and why.
func (w *campaignSurvey) skips() string {
	var list []string
	for _, why := range slices.Sorted(maps.Keys(w.skipped)) {
		list = append(list, fmt.Sprintf("%s (%s)", brief(w.skipped[why], 5), why))
	}
	return strings.Join(list, "; ")
}
