package dns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	cfdns "github.com/cloudflare/cloudflare-go/v6/dns"
	"github.com/cloudflare/cloudflare-go/v6/option"
	"github.com/cloudflare/cloudflare-go/v6/zones"

	"twokey/deploy"
	"twokey/ops"
)

// TTLs of Cloudflare's, in seconds.
const (
	automaticTTL = 1 // "automatic", and what proxied records have
	leastTTL     = 60
)

// zoneCF is a zone at Cloudflare.
type zoneCF struct {
	records *cfdns.RecordService
	id      string
	zone    string
	ns      []string
}

// cloudflareZone opens a zone at Cloudflare. The library's own repetitions are off: what
// may be repeated is the step's to know.
func (s Site) cloudflareZone(ctx context.Context, zone string) (provider, error) {
	options := []option.RequestOption{option.WithAPIToken(s.Token), option.WithHTTPClient(s.http()), option.WithMaxRetries(0), option.WithMiddleware(refusals)}
	if s.CloudflareURL != "" {
		options = append(options, option.WithBaseURL(s.CloudflareURL))
	}
	// The library's root package, which has the usual helper for such fields, would have all
	// of Cloudflare's services built; so they are filled in one by one.
	var named zones.ZoneListParams
	named.Name.Value, named.Name.Present = zone, true
	list, err := zones.NewZoneService(options...).List(ctx, named)
	if err != nil {
		return nil, explainCF(err)
	}
	if len(list.Result) != 1 {
		return nil, &ops.UserError{What: fmt.Sprintf("Cloudflare's token sees %d zones named %s", len(list.Result), zone), Next: "Check the zone and what the token may do (Zone: Read, DNS: Edit)."}
	}
	z := list.Result[0]
	out := &zoneCF{records: cfdns.NewRecordService(options...), id: z.ID, zone: zone}
	for _, n := range z.NameServers {
		out.ns = append(out.ns, bare(n))
	}
	return out, nil
}

// refusedCF is Cloudflare's answer to a call it did not carry out. (The library's own type
// for it is in its root package, which would have all its services built.)
type refusedCF struct {
	status int
	text   string
}

func (e *refusedCF) Error() string { return fmt.Sprintf("%d%s", e.status, e.text) }

// refusals makes errors of answers that say no.
func refusals(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	resp, err := next(r)
	if err != nil || resp.StatusCode < 400 {
		return resp, err
	}
	defer resp.Body.Close()
	var body struct {
		Errors []struct {
			Code    int
			Message string
		}
	}
	e := &refusedCF{status: resp.StatusCode}
	if b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16)); err == nil && json.Unmarshal(b, &body) == nil {
		for _, x := range body.Errors {
			e.text += fmt.Sprintf(" %d %s", x.Code, x.Message)
		}
	}
	return nil, e
}

// explainCF turns an error of Cloudflare's into one for people.
func explainCF(err error) error {
	var no *refusedCF
	if !errors.As(err, &no) {
		return &ops.UserError{What: "Cloudflare cannot be reached: " + deploy.Short(deploy.Mask(err.Error()), 200), Next: "Try again.", Err: err}
	}
	e := &ops.UserError{Err: err}
	switch no.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.What, e.Next = "Cloudflare does not accept the token, or it may not do this", "Check the token: it needs Zone: Read and DNS: Edit on the zone."
	case http.StatusTooManyRequests:
		e.What, e.Next = "Cloudflare is being asked too often", "Try again in a minute."
	default:
		e.What = "Cloudflare answered " + deploy.Short(deploy.Mask(no.Error()), 300)
	}
	return e
}

func (z *zoneCF) name() string      { return "Cloudflare, zone " + z.zone }
func (z *zoneCF) servers() []string { return z.ns }

func (z *zoneCF) look(ctx context.Context, name string) (found []record, others []string, err error) {
	var q cfdns.RecordListParams
	q.ZoneID.Value, q.ZoneID.Present = z.id, true
	q.Name.Value.Exact.Value, q.Name.Value.Exact.Present, q.Name.Present = name, true, true
	q.PerPage.Value, q.PerPage.Present = 100, true
	page, err := z.records.List(ctx, q)
	if err != nil {
		return nil, nil, explainCF(err)
	}
	byType := map[string]*record{}
	for _, x := range page.Result {
		kind := string(x.Type)
		if bare(x.Name) != name {
			continue
		}
		if kind != "A" && kind != "AAAA" && kind != "CNAME" {
			others = append(others, kind)
			continue
		}
		r := byType[kind]
		if r == nil {
			r = &record{Name: name, Type: kind, TTL: int64(x.TTL), Proxied: x.Proxied}
			byType[kind] = r
		}
		r.Values, r.ids = append(r.Values, value(x.Content)), append(r.ids, x.ID)
	}
	for _, kind := range []string{"A", "AAAA", "CNAME"} {
		if r := byType[kind]; r != nil {
			slices.Sort(r.Values)
			if len(r.ids) > 1 {
				r.Special = fmt.Sprintf("%d records of one name", len(r.ids))
			}
			found = append(found, *r)
		}
	}
	return found, others, nil
}

// edit is the record as Cloudflare takes it. What it leaves out (comment, tags) stays.
func (z *zoneCF) edit(r record) cfdns.RecordEditParams {
	var b cfdns.RecordEditParamsBody
	b.Name.Value, b.Name.Present = r.Name, true
	b.Type.Value, b.Type.Present = cfdns.RecordEditParamsBodyType(r.Type), true
	b.Content.Value, b.Content.Present = r.Values[0], true
	b.TTL.Value, b.TTL.Present = cfdns.TTL(r.TTL), true
	b.Proxied.Value, b.Proxied.Present = r.Proxied, true
	var p cfdns.RecordEditParams
	p.ZoneID.Value, p.ZoneID.Present = z.id, true
	p.Body = b
	return p
}

// fresh is a new record as Cloudflare takes it.
func (z *zoneCF) fresh(r record) cfdns.RecordNewParams {
	var b cfdns.RecordNewParamsBody
	b.Name.Value, b.Name.Present = r.Name, true
	b.Type.Value, b.Type.Present = cfdns.RecordNewParamsBodyType(r.Type), true
	b.Content.Value, b.Content.Present = r.Values[0], true
	b.TTL.Value, b.TTL.Present = cfdns.TTL(r.TTL), true
	b.Proxied.Value, b.Proxied.Present = r.Proxied, true
	var p cfdns.RecordNewParams
	p.ZoneID.Value, p.ZoneID.Present = z.id, true
	p.Body = b
	return p
}

// put changes the one record of the name, or makes it. Cloudflare has it everywhere within
// seconds of its answer. It has no change that depends on the value before: that is read
// just before, and what somebody changes between the two is overwritten.
func (z *zoneCF) put(ctx context.Context, r record, was *record) (string, error) {
	now, _, err := z.look(ctx, r.Name)
	switch {
	case err != nil:
		return "", err
	case was == nil && len(now) > 0, was != nil && (len(now) != 1 || now[0].Special != "" || !now[0].same(*was)):
		return "", errMoved(r.Name)
	}
	if was == nil {
		if _, err := z.records.New(ctx, z.fresh(r)); err != nil {
			return "", explainCF(err)
		}
		return "", nil
	}
	if _, err := z.records.Edit(ctx, now[0].ids[0], z.edit(r)); err != nil {
		return "", explainCF(err)
	}
	return "", nil
}

func (z *zoneCF) remove(ctx context.Context, r record) (string, error) {
	now, _, err := z.look(ctx, r.Name)
	if err != nil {
		return "", err
	}
	for _, x := range now {
		if x.same(r) && len(x.ids) == 1 {
			var p cfdns.RecordDeleteParams
			p.ZoneID.Value, p.ZoneID.Present = z.id, true
			if _, err := z.records.Delete(ctx, x.ids[0], p); err != nil {
				return "", explainCF(err)
			}
		}
	}
	return "", nil
}

// settled is always so: there is nothing to ask Cloudflare about a change.
func (z *zoneCF) settled(context.Context, string) (bool, error) { return true, nil }
