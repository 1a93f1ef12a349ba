package dns

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"twokey/ops"
)

// switchRecords is "dns switch NAME… --to TARGET".
type switchRecords struct{ sites map[string]Site }

const (
	kindSwitch       = "dns switch"
	paramEnvironment = "environment"
	paramName        = "name"
	paramBefore      = "before" // the record as text; empty: there is none
	paramAfter       = "after"
	paramProbe       = "probe" // URLs asked with the record's name, by blanks; {address}: where; empty: none
	defaultTTL       = 60

	// patience is how long a request through the name may fail before the switch has.
	patience = time.Minute
)

func (o switchRecords) Kind() string { return kindSwitch }

func (o switchRecords) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "switch" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	p := ref.Params
	s := switchStep{site: site, name: p[paramName], probes: strings.Fields(p[paramProbe])}
	if s.after, err = parse(s.name, p[paramAfter]); err != nil {
		return nil, err
	}
	if p[paramBefore] != "" {
		r, err := parse(s.name, p[paramBefore])
		if err != nil {
			return nil, err
		}
		s.before = &r
	}
	return s, nil
}

// open finds where the records of a name are kept.
func (s Site) open(ctx context.Context, cfg aws.Config, name string) (provider, error) {
	best := ""
	for _, z := range s.Cloudflare {
		if (name == z || strings.HasSuffix(name, "."+z)) && len(z) > len(best) {
			best = z
		}
	}
	if best != "" {
		return s.cloudflareZone(ctx, best)
	}
	return hostedZone(ctx, s.Account, cfg, name)
}

// Plan resolves each name's new target, and refuses what cannot or need not be switched.
func (o switchRecords) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	ttl := int64(0)
	if text := call.Flags["ttl"]; text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < time.Second || d > 24*time.Hour {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("--ttl %s is no time a record may be kept for", text), Next: "Write it like 60s or 5m, a day at most."}
		}
		ttl = int64(d.Seconds())
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	var names []string
	for _, n := range call.Args {
		if names = append(names, bare(n)); !hostName(bare(n)) {
			return ops.Plan{}, notName(n)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	p := ops.Plan{
		Call: call, Class: ops.R2, Targets: names,
		Title: fmt.Sprintf("Point %s to %s in %s", strings.Join(names, " and "), call.Flags["to"], call.Environment),
		Undo:  []string{"Each record back to its old value, while it still has the new one, verified in the same way."},
		Keeps: []string{"the records on their new values. What they pointed to before is not touched."},
		Shown: []ops.Line{{Label: "Account", Text: number + ", " + site.Region}},
	}
	var oldest time.Duration
	for _, name := range names {
		if err := o.planOne(ctx, site, call, name, ttl, &p, &oldest); err != nil {
			return ops.Plan{}, err
		}
		p.Locks = append(p.Locks, "DNS name:"+name)
	}
	p.Effect = "new lookups get the new address"
	if oldest > 0 {
		p.Effect += fmt.Sprintf("; whoever asked before keeps the old one for up to %s", spoken(oldest))
	}
	return p, nil
}

func notName(text string) error {
	return &ops.UserError{What: fmt.Sprintf("%q cannot be the name of a record", text), Next: "Give its whole name, like www.example.org."}
}

// spoken is a time without the zeros at its end: "5m".
func spoken(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

func (o switchRecords) planOne(ctx context.Context, site Site, call ops.Call, name string, ttl int64, p *ops.Plan, oldest *time.Duration) error {
	cfg := site.ForPlan(call.Kind)
	z, err := site.open(ctx, cfg, name)
	if err != nil {
		return err
	}
	to, err := site.target(ctx, cfg, name, call.Flags["to"])
	if err != nil {
		return err
	}
	now, others, err := z.look(ctx, name)
	if err != nil {
		return err
	}
	after := record{Name: name, Type: typeOf(to.address), Values: []string{to.address}, TTL: ttl}
	var before *record
	switch {
	case len(now) > 1:
		return &ops.UserError{What: fmt.Sprintf("%s has %d kinds of records (%s)", name, len(now), kinds(now)), Next: "Twokey switches names that have one. Change it by hand."}
	case len(now) == 1:
		before = &now[0]
		if before.Special != "" {
			return &ops.UserError{What: fmt.Sprintf("%s is %s", name, before.Special), Next: "Twokey switches plain records only. Change it by hand."}
		}
		after.Proxied = before.Proxied
		if ttl == 0 || before.Proxied { // what is proxied has Cloudflare's automatic TTL
			after.TTL = before.TTL
		}
		if before.same(after) {
			return &ops.UserError{What: fmt.Sprintf("%s points to %s already", name, to.address), Next: "There is nothing to do."}
		}
	case ttl == 0:
		after.TTL = defaultTTL
	}
	if after.Type == "CNAME" && strings.HasSuffix(z.name(), "zone "+name) {
		return &ops.UserError{What: fmt.Sprintf("%s is the top of its zone, where a CNAME is not allowed", name), Next: "Give an address: --to ip:ADDRESS."}
	}
	if after.Type == "CNAME" && len(others) > 0 {
		return &ops.UserError{What: fmt.Sprintf("%s has other records (%s), beside which a CNAME is not allowed", name, strings.Join(others, ", ")), Next: "Give an address: --to ip:ADDRESS."}
	}
	if _, ok := z.(*zoneCF); ok && after.TTL < leastTTL && after.TTL != automaticTTL {
		return &ops.UserError{What: fmt.Sprintf("Cloudflare takes no TTL of %ds", after.TTL), Next: "Give 60s or more, or leave --ttl out."}
	}
	var probes []string
	if call.Flags["no-probe"] != "true" {
		if probes = site.Probes; len(probes) == 0 {
			probes = []string{anyProbe}
		}
		if err := site.probes(ctx, probes, to.address, name); err != nil {
			return &ops.UserError{What: fmt.Sprintf("%s (%s) does not answer %v", to.address, to.how, err), Next: "Wait until it does, or leave the probe out: --no-probe.", Err: err}
		}
	} else {
		p.Warnings = append(p.Warnings, fmt.Sprintf("Nobody asked whether %s answers (--no-probe).", to.address))
	}
	step := ops.StepRef{Name: "switch", Version: 1, Title: fmt.Sprintf("point %s to %s", name, to.address), Params: map[string]string{
		paramEnvironment: call.Environment, paramName: name, paramAfter: after.text(), paramProbe: strings.Join(probes, " "),
	}}
	text := "no record"
	if before != nil {
		step.Params[paramBefore] = before.text()
		text = before.text()
		*oldest = max(*oldest, held(z, before))
		if before.Type != after.Type {
			p.Warnings = append(p.Warnings, fmt.Sprintf("%s changes from %s to %s.", name, before.Type, after.Type))
		}
		if before.Proxied {
			p.Warnings = append(p.Warnings, fmt.Sprintf("%s is proxied: its servers answer Cloudflare's own addresses, so Cloudflare's word and a request through the name are the proof.", name))
		}
	}
	p.Steps = append(p.Steps, step)
	p.Shown = append(p.Shown, ops.Line{Label: name, Text: fmt.Sprintf("%s → %s, by %s (%s; servers %s)", text, after.text(), to.how, z.name(), strings.Join(z.servers(), ", "))})
	return nil
}

func kinds(records []record) string {
	var out []string
	for _, r := range records {
		out = append(out, r.Type)
	}
	return strings.Join(out, ", ")
}
