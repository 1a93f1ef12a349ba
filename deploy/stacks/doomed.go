package stacks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/goccy/go-yaml"

	"twokey/deploy"
)

// doomed is what a deletion takes away, inside nested stacks too.
type doomed struct {
	resources []resource // that are there still
	retained  []string   // of them, those the templates keep
	full      []string   // buckets with objects: they hold the deletion up
	pointing  []string   // DNS records of the account that lead here
	unknown   []string   // what could not be looked at, and why
}

// digest is one value for all the resources and which of them stay: what people agree to.
func (d doomed) digest() string {
	h := sha256.New()
	for _, r := range d.resources {
		fmt.Fprintf(h, "%q %q %q\n", r.logical, r.physical, r.kind)
	}
	for _, name := range d.retained {
		fmt.Fprintf(h, "%q\n", name)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// nestedStack is the type of a stack inside another.
const nestedStack = "AWS::CloudFormation::Stack"

// doomed reads what ends with a stack.
func (o deleteStack) doomed(ctx context.Context, cfg aws.Config, r *reader, api Deleter, s types.Stack, list []resource) (doomed, error) {
	d := doomed{}
	if err := d.add(ctx, r, api, aws.ToString(s.StackId), "", list); err != nil {
		return d, err
	}
	for _, x := range d.resources {
		if x.kind != "AWS::S3::Bucket" || slices.Contains(d.retained, x.logical) {
			continue
		}
		some, err := holds(ctx, cfg, x.physical)
		switch {
		case err != nil:
			d.unknown = append(d.unknown, fmt.Sprintf("whether bucket %s holds objects (%s)", x.physical, short(r.Explain(err))))
		case some:
			d.full = append(d.full, x.logical+" "+x.physical)
		}
	}
	pointing, err := pointingAt(ctx, route53.NewFromConfig(cfg), addresses(s, d.resources))
	if err != nil {
		d.unknown = append(d.unknown, fmt.Sprintf("which DNS records lead here (%s)", short(r.Explain(err))))
	}
	d.pointing = pointing
	return d, nil
}

func short(err error) string { return deploy.Short(deploy.Mask(err.Error()), 200) }

// add adds the resources of one stack, and of those inside it.
func (d *doomed) add(ctx context.Context, r *reader, api Deleter, arn, in string, list []resource) error {
	keeps, err := keepers(ctx, api, arn)
	if err != nil {
		return r.Explain(err)
	}
	for _, x := range list {
		if x.status == "DELETE_COMPLETE" {
			continue
		}
		inner := x.physical
		keep := keeps[x.logical]
		x.logical = in + x.logical
		d.resources = append(d.resources, x)
		if keep {
			d.retained = append(d.retained, x.logical)
		}
		if x.kind != nestedStack || keep || inner == "" {
			continue
		}
		nested, err := listResources(ctx, r, api, inner)
		if err != nil {
			return err
		}
		if err := d.add(ctx, r, api, inner, x.logical+"/", nested); err != nil {
			return err
		}
	}
	return nil
}

// keepers are the resources whose DeletionPolicy in the stack's own template is Retain.
func keepers(ctx context.Context, api Deleter, arn string) (map[string]bool, error) {
	out, err := api.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: &arn, TemplateStage: types.TemplateStageProcessed})
	if err != nil {
		return nil, err
	}
	return retainedBy(aws.ToString(out.TemplateBody)), nil
}

// retainedBy reads a template in JSON or YAML. What cannot be read keeps nothing: the card
// then says of more resources that they end.
func retainedBy(body string) map[string]bool {
	var t struct {
		Resources map[string]struct {
			DeletionPolicy any `yaml:"DeletionPolicy"`
		} `yaml:"Resources"`
	}
	keep := map[string]bool{}
	if err := yaml.Unmarshal([]byte(body), &t); err != nil {
		return keep
	}
	for name, r := range t.Resources {
		if policy, ok := r.DeletionPolicy.(string); ok && (policy == "Retain" || policy == "RetainExceptOnCreate") {
			keep[name] = true
		}
	}
	return keep
}

// holds reports whether a bucket has an object, or an earlier version of one.
func holds(ctx context.Context, cfg aws.Config, bucket string) (bool, error) {
	out, err := storage(cfg).ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &bucket, MaxKeys: aws.Int32(1)})
	if no := smithy.APIError(nil); errors.As(err, &no) && no.ErrorCode() == "NoSuchBucket" {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return len(out.Versions)+len(out.DeleteMarkers) > 0, nil
}

// addresses are the names and numbers by which a stack is reached: what it puts out, and
// the addresses it has.
func addresses(s types.Stack, list []resource) map[string]bool {
	all := map[string]bool{}
	add := func(text string) {
		text = strings.ToLower(text)
		if _, rest, ok := strings.Cut(text, "://"); ok {
			text = rest
		}
		text, _, _ = strings.Cut(text, "/")
		text, _, _ = strings.Cut(text, ":")
		if text = strings.TrimSuffix(text, "."); strings.Contains(text, ".") {
			all[text] = true
		}
	}
	for _, o := range s.Outputs {
		add(aws.ToString(o.OutputValue))
	}
	for _, x := range list {
		if entrances[x.kind] {
			add(x.physical)
		}
	}
	return all
}

// Zones is the methods used of *route53.Client.
type Zones interface {
	ListHostedZones(context.Context, *route53.ListHostedZonesInput, ...func(*route53.Options)) (*route53.ListHostedZonesOutput, error)
	ListResourceRecordSets(context.Context, *route53.ListResourceRecordSetsInput, ...func(*route53.Options)) (*route53.ListResourceRecordSetsOutput, error)
}

// pointingAt lists the records of the account's zones whose value is one of the addresses.
func pointingAt(ctx context.Context, api Zones, addresses map[string]bool) ([]string, error) {
	if len(addresses) == 0 {
		return nil, nil
	}
	var found []string
	zones := &route53.ListHostedZonesInput{}
	for {
		out, err := api.ListHostedZones(ctx, zones)
		if err != nil {
			return nil, err
		}
		for _, zone := range out.HostedZones {
			records := &route53.ListResourceRecordSetsInput{HostedZoneId: zone.Id}
			for {
				out, err := api.ListResourceRecordSets(ctx, records)
				if err != nil {
					return nil, err
				}
				for _, set := range out.ResourceRecordSets {
					values := []string{}
					for _, v := range set.ResourceRecords {
						values = append(values, aws.ToString(v.Value))
					}
					if set.AliasTarget != nil {
						values = append(values, strings.TrimPrefix(aws.ToString(set.AliasTarget.DNSName), "dualstack."))
					}
					for _, v := range values {
						if addresses[strings.ToLower(strings.TrimSuffix(v, "."))] {
							found = append(found, fmt.Sprintf("%s (%s) %s", strings.TrimSuffix(aws.ToString(set.Name), "."), set.Type, strings.TrimSuffix(v, ".")))
						}
					}
				}
				if !out.IsTruncated {
					break
				}
				records.StartRecordName, records.StartRecordType, records.StartRecordIdentifier = out.NextRecordName, out.NextRecordType, out.NextRecordIdentifier
			}
		}
		if !out.IsTruncated {
			return found, nil
		}
		zones.Marker = out.NextMarker
	}
}
