package dns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"twokey/deploy"
	"twokey/ops"
)

// Route53 is the methods used of *route53.Client.
type Route53 interface {
	ListHostedZones(context.Context, *route53.ListHostedZonesInput, ...func(*route53.Options)) (*route53.ListHostedZonesOutput, error)
	GetHostedZone(context.Context, *route53.GetHostedZoneInput, ...func(*route53.Options)) (*route53.GetHostedZoneOutput, error)
	ListResourceRecordSets(context.Context, *route53.ListResourceRecordSetsInput, ...func(*route53.Options)) (*route53.ListResourceRecordSetsOutput, error)
	ChangeResourceRecordSets(context.Context, *route53.ChangeResourceRecordSetsInput, ...func(*route53.Options)) (*route53.ChangeResourceRecordSetsOutput, error)
	GetChange(context.Context, *route53.GetChangeInput, ...func(*route53.Options)) (*route53.GetChangeOutput, error)
}

// zone53 is a public hosted zone of Route 53.
type zone53 struct {
	account *deploy.Account
	api     Route53
	id      string
	zone    string
	ns      []string
}

// hostedZone finds the public zone with the longest name that a record belongs to.
func hostedZone(ctx context.Context, a *deploy.Account, cfg aws.Config, name string) (provider, error) {
	api := route53.NewFromConfig(cfg)
	in := &route53.ListHostedZonesInput{}
	var found *types.HostedZone
	var names []string
	var twin string
	for {
		out, err := api.ListHostedZones(ctx, in)
		if err != nil {
			return nil, a.Explain(err)
		}
		for _, z := range out.HostedZones {
			zone := bare(aws.ToString(z.Name))
			names = append(names, zone)
			if z.Config != nil && z.Config.PrivateZone || name != zone && !strings.HasSuffix(name, "."+zone) {
				continue
			}
			switch {
			case found == nil || len(zone) > len(bare(*found.Name)):
				found, twin = &z, ""
			case zone == bare(*found.Name):
				twin = aws.ToString(z.Id)
			}
		}
		if in.Marker = out.NextMarker; !out.IsTruncated {
			break
		}
	}
	if found == nil {
		return nil, &ops.UserError{What: fmt.Sprintf("no public zone of Route 53 in %s holds %s", a.Where(), name), Next: "Zones there: " + strings.Join(names[:min(len(names), 10)], ", ") + "."}
	}
	if twin != "" {
		return nil, &ops.UserError{
			What: fmt.Sprintf("Route 53 in %s has two public zones %s: %s and %s", a.Where(), bare(*found.Name), short(aws.ToString(found.Id)), short(twin)),
			Next: "Only one of them can be the one that is asked; remove the other, or change the record by hand.",
		}
	}
	out, err := api.GetHostedZone(ctx, &route53.GetHostedZoneInput{Id: found.Id})
	if err != nil {
		return nil, a.Explain(err)
	}
	z := &zone53{account: a, api: api, id: short(aws.ToString(found.Id)), zone: bare(aws.ToString(found.Name))}
	if out.DelegationSet != nil {
		for _, s := range out.DelegationSet.NameServers {
			z.ns = append(z.ns, bare(s))
		}
	}
	return z, nil
}

func short(zoneID string) string { return strings.TrimPrefix(zoneID, "/hostedzone/") }

func (z *zone53) name() string      { return "Route 53, zone " + z.zone }
func (z *zone53) servers() []string { return z.ns }

func (z *zone53) look(ctx context.Context, name string) (found []record, others []string, err error) {
	out, err := z.api.ListResourceRecordSets(ctx, &route53.ListResourceRecordSetsInput{HostedZoneId: &z.id, StartRecordName: aws.String(name + ".")})
	if err != nil {
		return nil, nil, z.account.Explain(err)
	}
	for _, s := range out.ResourceRecordSets {
		if bare(aws.ToString(s.Name)) != name {
			continue
		}
		if s.Type != types.RRTypeA && s.Type != types.RRTypeAaaa && s.Type != types.RRTypeCname {
			others = append(others, string(s.Type))
			continue
		}
		r := record{Name: name, Type: string(s.Type), TTL: aws.ToInt64(s.TTL), set: &s}
		for _, v := range s.ResourceRecords {
			r.Values = append(r.Values, value(aws.ToString(v.Value)))
		}
		slices.Sort(r.Values)
		switch {
		case s.AliasTarget != nil:
			r.Special = "an alias of " + bare(aws.ToString(s.AliasTarget.DNSName))
		case s.SetIdentifier != nil:
			r.Special = "one of several with routing by weight, place or health"
		case s.HealthCheckId != nil:
			r.Special = "tied to a health check"
		case s.TrafficPolicyInstanceId != nil:
			r.Special = "made by a traffic policy"
		}
		found = append(found, r)
	}
	return found, others, nil
}

func (z *zone53) set(r record) *types.ResourceRecordSet {
	s := &types.ResourceRecordSet{Name: aws.String(r.Name + "."), Type: types.RRType(r.Type), TTL: aws.Int64(r.TTL)}
	for _, v := range r.Values {
		if r.Type == "CNAME" {
			v += "."
		}
		s.ResourceRecords = append(s.ResourceRecords, types.ResourceRecord{Value: &v})
	}
	return s
}

// put replaces the record in one batch, which Route 53 carries out whole or not at all: it
// deletes only what is exactly as it was read, and creates only what is not there. So what
// somebody changes at the same moment is never overwritten, as it would be by an upsert.
func (z *zone53) put(ctx context.Context, r record, was *record) (string, error) {
	gone, err := z.exactly(ctx, r.Name, was)
	if err != nil {
		return "", err
	}
	return z.change(ctx, append(gone, types.Change{Action: types.ChangeActionCreate, ResourceRecordSet: z.set(r)}))
}

func (z *zone53) remove(ctx context.Context, r record) (string, error) {
	gone, err := z.exactly(ctx, r.Name, &r)
	if err != nil {
		return "", err
	}
	return z.change(ctx, gone)
}

// exactly is the deletion of a record that is still what it was; of nil, where there is
// still none, it is nothing.
func (z *zone53) exactly(ctx context.Context, name string, was *record) ([]types.Change, error) {
	now, _, err := z.look(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case was == nil && len(now) == 0:
		return nil, nil
	case was == nil || len(now) != 1 || now[0].Special != "" || !now[0].same(*was):
		return nil, errMoved(name)
	}
	return []types.Change{{Action: types.ChangeActionDelete, ResourceRecordSet: now[0].set}}, nil
}

func (z *zone53) change(ctx context.Context, changes []types.Change) (string, error) {
	out, err := z.api.ChangeResourceRecordSets(ctx, &route53.ChangeResourceRecordSetsInput{
		HostedZoneId: &z.id, ChangeBatch: &types.ChangeBatch{Changes: changes, Comment: aws.String("by Twokey")},
	})
	if busy := new(types.PriorRequestNotComplete); errors.As(err, &busy) {
		return "", &ops.UserError{What: "Route 53 has not finished the change before this one", Next: "It is tried again.", Err: err}
	}
	if err != nil {
		return "", z.account.Explain(err)
	}
	return strings.TrimPrefix(aws.ToString(out.ChangeInfo.Id), "/change/"), nil
}

func (z *zone53) settled(ctx context.Context, change string) (bool, error) {
	if change == "" {
		return true, nil // its reply was lost; the servers are asked themselves
	}
	out, err := z.api.GetChange(ctx, &route53.GetChangeInput{Id: &change})
	if err != nil {
		return false, z.account.Explain(err)
	}
	return out.ChangeInfo.Status == types.ChangeStatusInsync, nil
}
