package indices

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"twokey/ops"
	"twokey/ops/elastic"
)

// reindex is es reindex SRC DST.
type reindex struct{ sites map[string]Site }

func (o reindex) Kind() string { return "es reindex" }

func (o reindex) Step(ref ops.StepRef) (ops.Step, error) { return newCopyStep(o.sites, ref) }

// Plan reads both indices and says what the copy would do. What cannot work is refused.
func (o reindex) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	s, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	if len(call.Args) != 2 {
		return ops.Plan{}, &ops.UserError{What: "Which index, and to which?", Next: "es reindex SRC DST names two."}
	}
	w := copySurvey{Site: s, spec: spec{Source: call.Args[0], Dest: call.Args[1], Swap: call.Flags["no-swap"] != "true",
		Quarantine: call.Flags["quarantine"] == "true", Entry: call.Flags["register"]}}
	if err := w.choices(call.Flags); err != nil {
		return ops.Plan{}, err
	}
	if err := w.read(ctx); err != nil {
		return ops.Plan{}, err
	}
	if err := w.refuse(ctx); err != nil {
		return ops.Plan{}, err
	}
	return w.plan(call), nil
}

// choices reads the flags that reindex and campaign have in common.
func (c *spec) choices(flags map[string]string) error {
	var err error
	if c.Writes, err = oneOf("writes", flags["writes"], writesCatchup, writesBlock, writesCatchup, writesDual); err != nil {
		return err
	}
	if c.MaxImpact, err = oneOf("max-impact", flags["max-impact"], impactNormal, impactLow, impactNormal, impactFull); err != nil {
		return err
	}
	if c.Throttle, err = positive("throttle", flags["throttle"], "documents per second"); err != nil {
		return err
	}
	if text := flags["shards"]; text == "auto" {
		c.Shards = autoShards
	} else {
		n, err := positive("shards", text, "a number of primary shards, or auto")
		if err != nil {
			return err
		}
		if n > maxShards {
			return &ops.UserError{What: fmt.Sprintf("--shards %d is more than an index may have (%d).", n, maxShards), Next: "Give fewer."}
		}
		c.Shards = int(n)
	}
	if c.Pipeline = flags["pipeline"]; c.Pipeline != "" && !pipelineName.MatchString(c.Pipeline) {
		return &ops.UserError{What: fmt.Sprintf("--pipeline %q is not the name of a pipeline.", c.Pipeline), Next: "Name one ingest pipeline."}
	}
	if zone := flags["read-from"]; zone != "" {
		if strings.ContainsAny(zone, "|,*? ") {
			return &ops.UserError{What: fmt.Sprintf("--read-from %q is not the name of a zone.", zone), Next: "Name one zone; es nodes shows them."}
		}
		c.ReadFrom = "zone:" + zone
	}
	return nil
}

// oneOf reads a flag that takes one of some words.
func oneOf(name, text, otherwise string, words ...string) (string, error) {
	if text == "" {
		return otherwise, nil
	}
	if slices.Contains(words, text) {
		return text, nil
	}
	return "", &ops.UserError{What: fmt.Sprintf("--%s %s is not known.", name, text), Next: "It takes " + strings.Join(words, ", ") + "."}
}

// positive reads a flag that is a whole number above zero; empty is 0.
func positive(name, text, meaning string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(text, ",", ""), 10, 64)
	if err != nil || n < 1 {
		return 0, &ops.UserError{What: fmt.Sprintf("--%s %s is not a number above zero.", name, text), Next: "It means " + meaning + "."}
	}
	return n, nil
}

// copySurvey is what was read to plan one copy.
type copySurvey struct {
	Site
	spec
	top      elastic.Topology
	health   elastic.Health
	src      index
	listed   listed
	docs     int64
	now      positions
	aliases  []alias
	dst      index  // as it is, as templates make it, or as the source's
	template string // for people; empty: none
	entry    Entry
	dropped  map[string]string
	tasks    []string
	auto     string // action.auto_create_index
	pipe     pipeline
	disks    map[string]elastic.Disk
	alloc    elastic.Allocation
}

// read reads what the plan shows and is judged by.
func (w *copySurvey) read(ctx context.Context) error {
	var err error
	if w.Source == w.spec.Dest {
		return &ops.UserError{What: "SRC and DST are the same index.", Next: "Name another DST."}
	}
	if w.top, err = w.Topology(ctx); err != nil {
		return err
	}
	if w.health, err = w.Health(ctx); err != nil {
		return err
	}
	if _, w.listed, err = w.exact(ctx, w.Source); err != nil {
		return err
	}
	if err := w.refuseSource(); err != nil {
		return err
	}
	if w.src, err = w.metadata(ctx, w.Source); err != nil {
		return err
	}
	w.SourceUUID = w.src.UUID
	if w.docs, err = w.count(ctx, w.Source); err != nil {
		return err
	}
	if w.now, err = w.positions(ctx, w.src); err != nil {
		return err
	}
	all, err := w.Site.aliases(ctx, w.Source)
	if err != nil {
		return err
	}
	w.aliases = all[w.Source]
	if err := w.readDest(ctx); err != nil {
		return err
	}
	if err := w.refuseAside(ctx); err != nil {
		return err
	}
	if w.disks, err = w.Disks(ctx); err != nil {
		return err
	}
	if w.alloc, err = w.Allocation(ctx); err != nil {
		return err
	}
	if w.tasks, err = w.busy(ctx); err != nil {
		return err
	}
	if w.auto, err = w.autoCreate(ctx); err != nil {
		return err
	}
	if w.pipe, err = w.enriches(ctx, &w.spec); err != nil {
		return err
	}
	if w.Writes == writesDual {
		if w.Entry == "" {
			w.Entry = w.Source
		}
		if w.Register == nil {
			return &ops.UserError{What: fmt.Sprintf("%s has no register.", w.Environment), Next: "Configure elasticsearch.register, or use --writes catchup."}
		}
		if w.entry, err = w.Register.Get(ctx, w.Entry); err != nil {
			return err
		}
	}
	if w.Swap {
		for _, a := range w.aliases {
			w.Aliases = append(w.Aliases, a.Name)
		}
		slices.Sort(w.Aliases)
		if len(w.Aliases) == 0 && w.Writes != writesDual {
			w.Swap = false
		}
	}
	return nil
}

// readDest reads the destination, or what it would be made as.
func (w *copySurvey) readDest(ctx context.Context) error {
	_, found, err := w.list(ctx, w.spec.Dest)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(found, func(x listed) bool { return x.Name == w.spec.Dest }); i >= 0 {
		if why := found[i].special(); why != "" {
			return &ops.UserError{What: fmt.Sprintf("%s is %s.", w.spec.Dest, why), Next: "Name another DST."}
		}
		if w.dst, err = w.metadata(ctx, w.spec.Dest); err != nil {
			return err
		}
		n, err := w.count(ctx, w.spec.Dest)
		if err != nil {
			return err
		}
		if n > 0 {
			return &ops.UserError{
				What: fmt.Sprintf("%s exists and has %s.", w.spec.Dest, documents(n)),
				Next: "Name an index that does not exist, or an empty one.",
			}
		}
		has, err := w.Site.aliases(ctx, w.spec.Dest)
		if err != nil {
			return err
		}
		for _, a := range has[w.spec.Dest] {
			if slices.ContainsFunc(w.aliases, func(b alias) bool { return a.Name == b.Name }) {
				return &ops.UserError{
					What: fmt.Sprintf("Alias %s points to %s already, beside %s: readers would find half a copy there.", a.Name, w.spec.Dest, w.Source),
					Next: fmt.Sprintf("Take it off %s first.", w.spec.Dest),
				}
			}
		}
		w.Existing = w.dst.UUID
		if w.Shards != 0 {
			return &ops.UserError{What: fmt.Sprintf("%s exists, with %s.", w.spec.Dest, elastic.Plural(int64(w.dst.Shards), "shard")), Next: "Leave --shards out, or name an index that does not exist."}
		}
		return nil
	}
	if len(found) > 0 {
		return &ops.UserError{What: fmt.Sprintf("%s is an alias or a data stream.", w.spec.Dest), Next: "Name an index that does not exist, or an empty one."}
	}
	if err := validName(w.spec.Dest); err != nil {
		return err
	}
	x, template, matched, err := w.simulated(ctx, w.spec.Dest)
	if err != nil {
		return err
	}
	if matched {
		w.Template, w.template = true, template
		w.dst = x
		w.dst.Shards = x.number("index.number_of_shards", 1)
	} else {
		w.dst = w.src
		w.dst.Name, w.dst.UUID = w.spec.Dest, ""
		_, w.dropped = portable(w.src)
	}
	switch {
	case w.Shards == autoShards:
		w.dst.Shards = shardsFor(w.docs)
	case w.Shards > 0:
		w.dst.Shards = w.Shards
	}
	return nil
}

// refuseAside refuses a DST whose index for documents put aside is there already.
func (w *copySurvey) refuseAside(ctx context.Context) error {
	if !w.Quarantine {
		return nil
	}
	name := w.spec.Dest + "-refused"
	if err := validName(name); err != nil {
		return err
	}
	_, found, err := w.list(ctx, name)
	if err != nil || len(found) == 0 {
		return err
	}
	return &ops.UserError{
		What: fmt.Sprintf("%s is there already. Documents that do not fit would be put aside in an index of that name.", name),
		Next: "Delete that one if nobody needs it, name another DST, or leave --quarantine out.",
	}
}

// validName refuses names that no index may have.
func validName(name string) error {
	if name == "" || len(name) > 255 || name != strings.ToLower(name) || strings.ContainsAny(name, "\\/*?\"<>| ,#:") || strings.ContainsAny(name[:1], "-_+.") {
		return &ops.UserError{What: fmt.Sprintf("%q cannot be the name of an index.", name),
			Next: `Use lower case, no \ / * ? " < > | , # : or blank, and no - _ + . in front.`}
	}
	return nil
}

// busy lists, for people, tasks that already copy or change the source.
func (w *copySurvey) busy(ctx context.Context) ([]string, error) {
	var answer struct {
		Tasks []struct {
			Action      string `json:"action"`
			Description string `json:"description"`
			Parent      string `json:"parent_task_id"`
		} `json:"tasks"`
	}
	err := w.Get(ctx, "/_tasks", elastic.Query("actions", "*reindex,*byquery,*forcemerge", "detailed", "true", "group_by", "none", "timeout", "5s"), &answer)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, t := range answer.Tasks {
		if t.Parent == "" && strings.Contains(t.Description, "["+w.Source+"]") {
			list = append(list, t.Description)
		}
	}
	slices.Sort(list)
	return list, nil
}

// autoCreate reads action.auto_create_index.
func (s Site) autoCreate(ctx context.Context) (string, error) {
	var answer map[string]map[string]any
	err := s.Get(ctx, "/_cluster/settings", elastic.Query("include_defaults", "true", "flat_settings", "true", "master_timeout", "5s",
		"filter_path", "*.action.auto_create_index"), &answer)
	if err != nil {
		return "", err
	}
	for _, scope := range []string{"transient", "persistent", "defaults"} {
		if v, ok := answer[scope]["action.auto_create_index"]; ok {
			return settingText(v), nil
		}
	}
	return "true", nil
}
