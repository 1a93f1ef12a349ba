package indices

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// campaign is es campaign NAME and es campaign PATTERN --to PATTERN.
type campaign struct{ sites map[string]Site }

func (o campaign) Kind() string { return "es campaign" }

// Orders of a campaign.
const (
	orderSmallest = "smallest"
	orderGiven    = "given"
	orderPriority = "priority"
)

// rules are what all indices of a campaign have in common, frozen in the plan.
type rules struct {
	spec              // without names, and without what differs between the indices
	Order    string   `json:"order"`
	Priority []string `json:"priority,omitempty"` // patterns
	AtOnce   int      `json:"at_once,omitempty"`  // 0: as the impact allows
	Until    int64    `json:"until,omitempty"`    // seconds; 0: no end
}

func (o campaign) Step(ref ops.StepRef) (ops.Step, error) {
	s, err := siteOf(o.sites, ref)
	if err != nil {
		return nil, err
	}
	c := campaignStep{site: s, cluster: ref.Params[paramCluster]}
	switch ref.Name {
	case "copy":
		return c, nil
	case "pin":
		return pinStep{c, false}, nil
	case "unpin":
		return pinStep{c, true}, nil
	}
	return nil, fmt.Errorf("%w: %s", ops.ErrUnknownStep, ref.Name)
}

// Plan resolves the indices and says what the campaign would do.
func (o campaign) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	s, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	if len(call.Args) != 1 {
		return ops.Plan{}, &ops.UserError{What: "Which campaign?", Next: "Name a campaign file, or a pattern and --to."}
	}
	file, err := campaignOf(s, call)
	if err != nil {
		return ops.Plan{}, err
	}
	w := campaignSurvey{Site: s, file: file}
	if err := w.rulesOf(call.Flags); err != nil {
		return ops.Plan{}, err
	}
	if err := w.read(ctx); err != nil {
		return ops.Plan{}, err
	}
	if err := w.refuse(); err != nil {
		return ops.Plan{}, err
	}
	return w.plan(call), nil
}

// campaignOf is the campaign file, or what the flags say in its place.
func campaignOf(s Site, call ops.Call) (CampaignFile, error) {
	if !strings.Contains(call.Args[0], "*") {
		if call.Flags["to"] != "" {
			return CampaignFile{}, &ops.UserError{What: fmt.Sprintf("%s is not a pattern: it has no *.", call.Args[0]), Next: "Give a pattern with one *, or the name of a campaign file without --to."}
		}
		return LoadCampaign(s.Campaigns, call.Args[0])
	}
	from, to := call.Args[0], call.Flags["to"]
	if strings.Count(from, "*") != 1 || strings.Count(to, "*") != 1 {
		return CampaignFile{}, &ops.UserError{What: fmt.Sprintf("From %s to %q: each takes exactly one *.", from, to), Next: "For example: es campaign 'v1_*' --to 'v2_*'."}
	}
	return CampaignFile{From: from, To: to}, nil
}

// campaignSurvey is what was read to plan a campaign.
type campaignSurvey struct {
	Site
	file    CampaignFile
	rules   rules
	top     elastic.Topology
	health  elastic.Health
	pairs   []pairing
	sizes   map[string]sized    // by source
	skipped map[string][]string // reason to names
	pinned  []listed            // indices to be kept out of the indexing zone
	alloc   elastic.Allocation
	disks   map[string]elastic.Disk
	auto    string
	pipe    pipeline
	docs    int64
	bytes   int64
	// templates say what some of the new indices are like, for people.
	templates []string
}

// rulesOf joins the file and the flags; a flag wins.
func (w *campaignSurvey) rulesOf(flags map[string]string) error {
	f := w.file
	given := map[string]string{}
	maps.Copy(given, flags)
	def := func(name, value string) {
		if given[name] == "" && value != "" && value != "0" {
			given[name] = value
		}
	}
	def("writes", f.Writes)
	def("shards", f.Shards)
	def("max-impact", f.MaxImpact)
	def("pipeline", f.Pipeline)
	def("throttle", strconv.Itoa(f.Throttle))
	def("order", f.Order)
	def("at-once", strconv.Itoa(f.AtOnce))
	def("attr", cmp.Or(f.Attr, "zone"))
	def("indexing-zone", f.IndexingZone)
	def("production-zones", strings.Join(f.ProductionZones, ","))
	if f.Quarantine {
		def("quarantine", "true")
	}
	if given["until"] == "" && f.Until > 0 {
		given["until"] = f.Until.String()
	}
	r := &w.rules
	delete(given, "read-from")
	if err := r.choices(given); err != nil {
		return err
	}
	r.Swap, r.Quarantine, r.Attr, r.Indexing = true, given["quarantine"] == "true", given["attr"], given["indexing-zone"]
	for z := range strings.SplitSeq(given["production-zones"], ",") {
		if z = strings.TrimSpace(z); z != "" && !slices.Contains(r.Production, z) {
			r.Production = append(r.Production, z)
		}
	}
	slices.Sort(r.Production)
	if (r.Indexing == "") != (len(r.Production) == 0) {
		return &ops.UserError{What: "An indexing zone and production zones go together.", Next: "Give both, or neither."}
	}
	if slices.Contains(r.Production, r.Indexing) {
		return &ops.UserError{What: fmt.Sprintf("%s is both the indexing zone and a production zone.", r.Indexing), Next: "Name another zone."}
	}
	r.Priority = f.Priority
	var err error
	if r.Order, err = oneOf("order", given["order"], orderSmallest, orderSmallest, orderGiven, orderPriority); err != nil {
		return err
	}
	n, err := positive("at-once", given["at-once"], "the most indices at a time")
	if err != nil {
		return err
	}
	r.AtOnce = int(n)
	if text := given["until"]; text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < time.Minute {
			return &ops.UserError{What: fmt.Sprintf("--until %s is not a time of a minute or more.", text), Next: "For example 8h, or 90m."}
		}
		r.Until = int64(d.Seconds())
	}
	if skip := flags["skip"]; skip != "" {
		for p := range strings.SplitSeq(skip, ",") {
			if p = strings.TrimSpace(p); p != "" {
				w.file.Skip = append(w.file.Skip, p)
			}
		}
	}
	return nil
}
