package data

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"twokey/deploy"
	"twokey/ops"
)

// CloudFront is the methods used of *cloudfront.Client.
type CloudFront interface {
	GetDistribution(context.Context, *cloudfront.GetDistributionInput, ...func(*cloudfront.Options)) (*cloudfront.GetDistributionOutput, error)
	CreateInvalidation(context.Context, *cloudfront.CreateInvalidationInput, ...func(*cloudfront.Options)) (*cloudfront.CreateInvalidationOutput, error)
	GetInvalidation(context.Context, *cloudfront.GetInvalidationInput, ...func(*cloudfront.Options)) (*cloudfront.GetInvalidationOutput, error)
}

// served finds under which paths a distribution serves what is copied: an origin may have a
// path of its own, which addresses do not show. It refuses a distribution that has no
// origin in the bucket: to invalidate it would change nothing.
func (s Site) served(ctx context.Context, api CloudFront, id string, c copyOf) (paths string, line ops.Line, err error) {
	out, err := api.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: &id})
	if refusedAs(err, "NoSuchDistribution") {
		return "", line, &ops.UserError{What: fmt.Sprintf("there is no distribution %s in %s", id, s.Where()), Next: "Give its id, like E2EXAMPLE."}
	}
	if err != nil {
		return "", line, s.Explain(err)
	}
	if out.Distribution == nil || out.Distribution.DistributionConfig == nil || out.Distribution.DistributionConfig.Origins == nil {
		return "", line, fmt.Errorf("distribution %s is unreadable", id)
	}
	var origins []string
	for _, o := range out.Distribution.DistributionConfig.Origins.Items {
		domain, at := aws.ToString(o.DomainName), strings.Trim(aws.ToString(o.OriginPath), "/")
		origins = append(origins, domain)
		if !strings.HasPrefix(domain, c.bucket+".s3") {
			continue
		}
		below := c.prefix
		if at != "" {
			switch {
			case strings.HasPrefix(c.prefix, at+"/"):
				below = strings.TrimPrefix(c.prefix, at+"/")
			case strings.HasPrefix(at+"/", c.prefix):
				below = "" // all it serves may have changed
			default:
				continue
			}
		}
		text := deploy.Short(strings.TrimSpace(fmt.Sprintf("%s %s, origin %s", id, aws.ToString(out.Distribution.DomainName), domain)), 200)
		return "/" + below + "*", ops.Line{Label: "Distribution", Text: text}, nil
	}
	return "", line, &ops.UserError{
		What: fmt.Sprintf("distribution %s does not serve %s/%s: its origins are %s", id, c.bucket, c.prefix, brief(origins, 5)),
		Next: "Give the distribution that does, or leave --distribution out.",
	}
}

// invalidateStep makes CloudFront forget what it keeps.
type invalidateStep struct {
	site                Site
	distribution, paths string
}

func (s invalidateStep) api(t *ops.Tick) CloudFront {
	return cloudfront.NewFromConfig(s.site.ForRun(t))
}

type invalidation struct {
	ID string `json:"id"`
}

// Start asks for the invalidation. The same reference again is the same invalidation.
func (s invalidateStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	text := "invalidated"
	if err := t.Record(ctx, ops.Change{Key: "invalidation", Resource: "distribution " + s.distribution, Setting: "cache", Intended: &text}); err != nil {
		return err
	}
	out, err := s.api(t).CreateInvalidation(ctx, &cloudfront.CreateInvalidationInput{
		DistributionId: &s.distribution, InvalidationBatch: &types.InvalidationBatch{CallerReference: &token, Paths: &types.Paths{Quantity: aws.Int32(1), Items: []string{s.paths}}},
	})
	if err != nil {
		return s.site.Explain(err)
	}
	return t.Save(invalidation{aws.ToString(out.Invalidation.Id)})
}

func (s invalidateStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n invalidation
	known, err := t.Load(&n)
	if err != nil || !known {
		return ops.Progress{Phase: ops.NotStarted}, err
	}
	out, err := s.api(t).GetInvalidation(ctx, &cloudfront.GetInvalidationInput{DistributionId: &s.distribution, Id: &n.ID})
	if err != nil {
		return ops.Progress{}, s.site.Explain(err)
	}
	if aws.ToString(out.Invalidation.Status) != "Completed" {
		return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: fmt.Sprintf("invalidation %s: %s", n.ID, aws.ToString(out.Invalidation.Status))}}, nil
	}
	after := "invalidated by " + n.ID
	if err := t.Settle(ctx, "invalidation", ops.Kept, &after, ""); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("invalidation %s is completed", n.ID)}}, nil
}

// Undo has nothing to take back: a cache fills again.
func (s invalidateStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if e, recorded := t.Entry("invalidation"); recorded {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Left, e.Intended, "an invalidation cannot be taken back; the cache fills again")
	}
	return ops.Progress{Phase: ops.Done}, nil
}
