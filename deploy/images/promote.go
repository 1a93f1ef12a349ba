package images

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"twokey/ops"
)

// promote is "image promote REPO --from TAG|DIGEST --tag TAG": it moves a tag to a digest
// without building anything.
type promote struct{ sites map[string]Site }

const (
	kindPromote = "image promote"
	paramTag    = "tag"
	paramDigest = "digest"
	paramBefore = "before" // the tag's digest when planned; empty: the tag was free
)

// tagName is what ECR takes as a tag.
var tagName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

func (o promote) Kind() string { return kindPromote }

func (o promote) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "tag" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	p := ref.Params
	return tagStep{site, p[paramRepository], p[paramTag], p[paramDigest], p[paramBefore]}, nil
}

// find is the image that a tag, a digest, or the beginning of one names.
func find(all []image, name string) (image, bool) {
	for _, i := range all {
		if slices.Contains(i.Tags, name) || i.Digest == name || len(name) >= 12 && strings.HasPrefix(strings.TrimPrefix(i.Digest, "sha256:"), strings.TrimPrefix(name, "sha256:")) {
			return i, true
		}
	}
	return image{}, false
}

// Plan resolves both ends to digests.
func (o promote) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	repo, from, tag := call.Args[0], call.Flags["from"], call.Flags["tag"]
	if err := checkName(repo); err != nil {
		return ops.Plan{}, err
	}
	if from == "" || !tagName.MatchString(tag) {
		return ops.Plan{}, &ops.UserError{What: "Which image gets which tag?", Next: "Give --from TAG or DIGEST, and --tag TAG."}
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	cfg := site.ForPlan(call.Kind)
	api := ecr.NewFromConfig(cfg)
	r, err := site.repository(ctx, api, repo)
	if err != nil {
		return ops.Plan{}, err
	}
	all, err := site.images(ctx, api, repo)
	if err != nil {
		return ops.Plan{}, err
	}
	wanted, ok := find(all, from)
	if !ok {
		var tags []string
		for _, i := range all {
			tags = append(tags, i.Tags...)
		}
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s has no image %s", repo, from), Next: "Its newest tags: " + brief(tags, 8) + "."}
	}
	present, tagged := find(all, tag)
	switch {
	case tagged && present.Digest == wanted.Digest:
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s:%s is %s already", repo, tag, short(wanted.Digest)), Next: "There is nothing to do."}
	case tagged && r.ImageTagMutability == types.ImageTagMutabilityImmutable:
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("the tags of %s cannot be moved (its tag mutability is IMMUTABLE)", repo), Next: "Use a new tag."}
	}
	u, err := site.wholeUsage(ctx, ecs.NewFromConfig(cfg), cloudformation.NewFromConfig(cfg))
	if err != nil {
		return ops.Plan{}, err
	}
	p := ops.Plan{
		Call: call, Class: ops.R2, Targets: []string{repo + ":" + tag},
		Title:  fmt.Sprintf("Tag %s of %s as %s in %s", short(wanted.Digest), repo, tag, site.Where()),
		Effect: fmt.Sprintf("whoever pulls %s:%s from now on gets %s", repo, tag, short(wanted.Digest)),
		Steps: []ops.StepRef{{Name: "tag", Version: 1, Title: fmt.Sprintf("point %s to %s", tag, wanted.Digest), Params: map[string]string{
			paramEnvironment: call.Environment, paramRepository: repo, paramTag: tag, paramDigest: wanted.Digest,
		}}},
		Undo:  []string{fmt.Sprintf("%s back to what it was, if it still is what this run made it.", tag)},
		Keeps: []string{fmt.Sprintf("%s:%s on the new digest.", repo, tag)},
		Locks: []string{site.Lock(number, "image repository", repo)},
		Shown: []ops.Line{{Label: "Account", Text: number + ", " + site.Region}, {Label: "New", Text: wanted.text()}},
	}
	if tagged {
		p.Steps[0].Params[paramBefore] = present.Digest
		p.Shown = append(p.Shown, ops.Line{Label: "Now", Text: present.text()})
		if who := u.by(repo, present); who != "" {
			p.Warnings = append(p.Warnings, fmt.Sprintf("The present image is used by %s; what starts anew by tag gets the new one.", who))
		}
	} else {
		p.Shown = append(p.Shown, ops.Line{Label: "Now", Text: "the tag is free"})
	}
	return p, nil
}

// tagStep points a tag to a digest.
type tagStep struct {
	site                      Site
	repo, tag, digest, before string
}

const tagKey = "tag"

// tagged is the digest that the tag has; empty: none.
func (s tagStep) tagged(ctx context.Context, api Registry) (string, error) {
	out, err := api.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: &s.repo, ImageIds: []types.ImageIdentifier{{ImageTag: &s.tag}}})
	if absent := new(types.ImageNotFoundException); errors.As(err, &absent) {
		return "", nil
	}
	if err != nil {
		return "", s.site.Explain(err)
	}
	if len(out.ImageDetails) == 0 {
		return "", nil
	}
	return aws.ToString(out.ImageDetails[0].ImageDigest), nil
}

// put points the tag to a digest, whose manifest stays as it is.
func (s tagStep) put(ctx context.Context, api Registry, digest string) error {
	out, err := api.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: &s.repo, ImageIds: []types.ImageIdentifier{{ImageDigest: &digest}}})
	if err != nil {
		return s.site.Explain(err)
	}
	if len(out.Images) == 0 {
		return &ops.UserError{What: fmt.Sprintf("%s has no image %s any more", s.repo, short(digest))}
	}
	i := out.Images[0]
	_, err = api.PutImage(ctx, &ecr.PutImageInput{RepositoryName: &s.repo, ImageManifest: i.ImageManifest, ImageManifestMediaType: i.ImageManifestMediaType, ImageTag: &s.tag})
	if exists := new(types.ImageAlreadyExistsException); errors.As(err, &exists) {
		return nil
	}
	return s.site.Explain(err)
}

func (s tagStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	c := ops.Change{Key: tagKey, Resource: "image " + s.repo, Setting: "tag " + s.tag, Intended: &s.digest}
	if s.before != "" {
		c.Before = &s.before
	}
	if err := t.Record(ctx, c); err != nil {
		return err
	}
	return s.put(ctx, ecr.NewFromConfig(s.site.ForRun(t)), s.digest)
}

func (s tagStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(tagKey)
	now, err := s.tagged(ctx, ecr.NewFromConfig(s.site.ForRun(t)))
	switch {
	case err != nil:
		return ops.Progress{}, err
	case now == s.digest && recorded:
		if e.State != ops.Kept {
			if err := t.Settle(ctx, tagKey, ops.Kept, &now, ""); err != nil {
				return ops.Progress{}, err
			}
		}
		return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("%s:%s is %s, read back", s.repo, s.tag, short(now))}}, nil
	case now == s.before:
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("%s:%s is %s, which is neither the old nor the new image: somebody moved it", s.repo, s.tag, short(now))}, nil
}

func (s tagStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(tagKey)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	api := ecr.NewFromConfig(s.site.ForRun(t))
	now, err := s.tagged(ctx, api)
	if err != nil {
		return ops.Progress{}, err
	}
	switch {
	case now == s.before:
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, tagKey, ops.Restored, e.Before, "")
	case now != s.digest:
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, tagKey, ops.Left, &now, "somebody moved the tag since")
	case s.before == "":
		return s.untag(ctx, t, api)
	}
	if err := t.Fence(ctx); err != nil {
		return ops.Progress{}, err
	}
	if err := s.put(ctx, api, s.before); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Waiting, Wait: 1, Status: ops.Status{Headline: "Tag put back; reading it"}}, nil
}

// untag takes a tag away that was free before. The last tag of an image takes the image
// with it, so that one stays.
func (s tagStep) untag(ctx context.Context, t *ops.Tick, api Registry) (ops.Progress, error) {
	out, err := api.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: &s.repo, ImageIds: []types.ImageIdentifier{{ImageDigest: &s.digest}}})
	if err != nil {
		return ops.Progress{}, s.site.Explain(err)
	}
	if len(out.ImageDetails) != 1 || len(out.ImageDetails[0].ImageTags) < 2 {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, tagKey, ops.Left, &s.digest, "it is the image's only tag: taking it away would delete the image")
	}
	if err := t.Fence(ctx); err != nil {
		return ops.Progress{}, err
	}
	if _, err := api.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: &s.repo, ImageIds: []types.ImageIdentifier{{ImageTag: &s.tag}}}); err != nil {
		return ops.Progress{}, s.site.Explain(err)
	}
	return ops.Progress{Phase: ops.Waiting, Wait: 1, Status: ops.Status{Headline: "Tag taken away; reading it"}}, nil
}
