package images

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"twokey/deploy"
	"twokey/ops"
)

// deleteStep deletes the approved images of one repository that nothing uses by then.
type deleteStep struct {
	site    Site
	repo    string
	digests []string
}

func (s deleteStep) key(digest string) string { return s.repo + "@" + digest }

// left is the approved images that are there and not decided about yet.
func (s deleteStep) left(ctx context.Context, t *ops.Tick, api Registry) ([]image, map[string]image, error) {
	all, err := s.site.images(ctx, api, s.repo)
	if err != nil {
		return nil, nil, err
	}
	there := map[string]image{}
	for _, i := range all {
		there[i.Digest] = i
	}
	var left []image
	for _, d := range s.digests {
		i, ok := there[d]
		if e, known := t.Entry(s.key(d)); ok && !(known && e.State == ops.Left) {
			left = append(left, i)
		}
	}
	return left, there, nil
}

// Poll is done when each approved image is gone or left with a reason.
func (s deleteStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	api := ecr.NewFromConfig(s.site.ForRun(t))
	left, there, err := s.left(ctx, t, api)
	if err != nil {
		return ops.Progress{}, err
	}
	var gone []ops.Settlement
	kept := 0
	for _, d := range s.digests {
		e, known := t.Entry(s.key(d))
		if _, ok := there[d]; known && !ok && e.State == ops.Intended {
			gone = append(gone, ops.Settlement{Key: s.key(d), State: ops.Kept})
		}
		if known && e.State == ops.Left {
			kept++
		}
	}
	if len(gone) > 0 {
		if err := t.SettleAll(ctx, gone); err != nil {
			return ops.Progress{}, err
		}
	}
	total := int64(len(s.digests))
	status := ops.Status{Done: total - int64(len(left)), Total: total, Unit: "images", Headline: fmt.Sprintf("%d of %d images of %s left to delete", len(left), total, s.repo)}
	if len(left) > 0 {
		return ops.Progress{Phase: ops.NotStarted, Status: status}, nil
	}
	status.Headline = fmt.Sprintf("%d images of %s deleted", len(s.digests)-kept, s.repo)
	if kept > 0 {
		status.Headline += fmt.Sprintf(", %d left", kept)
	}
	return ops.Progress{Phase: ops.Done, Status: status}, nil
}

// Start deletes the next images: what is used by now stays. Each call reads the usage anew,
// for a deployment may have begun since the last.
func (s deleteStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	cfg := s.site.ForRun(t)
	api := ecr.NewFromConfig(cfg)
	known := definitions{}
	var notes struct{ Definitions definitions }
	if _, err := t.Load(&notes); err != nil {
		return err
	}
	if notes.Definitions != nil {
		known = notes.Definitions
	}
	u, more, err := s.site.usage(ctx, ecs.NewFromConfig(cfg), cloudformation.NewFromConfig(cfg), known)
	if err != nil {
		return err
	}
	if more {
		notes.Definitions = known
		return t.Save(notes) // the next call goes on
	}
	left, there, err := s.left(ctx, t, api)
	if err != nil {
		return err
	}
	listed := map[string]string{} // a part, and a list that stays
	for _, i := range there {
		if !slices.ContainsFunc(left, func(x image) bool { return x.Digest == i.Digest }) || u.by(s.repo, i) != "" {
			for _, part := range i.Parts {
				listed[part] = short(i.Digest)
			}
		}
	}
	var batch []image
	var changes []ops.Change
	var kept []ops.Settlement
	for _, i := range left {
		if len(batch) == perBatch {
			break
		}
		why := ""
		if who := u.by(s.repo, i); who != "" {
			why = "used by " + who + " by now"
		} else if list, ok := listed[i.Digest]; ok {
			why = "a part of " + list + ", which stays"
		} else {
			for _, part := range i.Parts {
				if x, ok := there[part]; ok && u.by(s.repo, x) != "" {
					why = "a part of it is used by now"
				}
			}
		}
		text := i.text()
		changes = append(changes, ops.Change{Key: s.key(i.Digest), Resource: "image " + s.repo, Setting: short(i.Digest), Before: &text})
		if why != "" {
			kept = append(kept, ops.Settlement{Key: s.key(i.Digest), State: ops.Left, After: &text, Reason: why})
			continue
		}
		batch = append(batch, i)
	}
	if err := t.RecordAll(ctx, changes); err != nil {
		return err
	}
	if len(kept) > 0 {
		if err := t.SettleAll(ctx, kept); err != nil {
			return err
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return s.delete(ctx, t, api, batch)
}

// delete deletes a batch, and settles what ECR refused.
func (s deleteStep) delete(ctx context.Context, t *ops.Tick, api Registry, batch []image) error {
	ids := make([]types.ImageIdentifier, len(batch))
	for n, i := range batch {
		ids[n] = types.ImageIdentifier{ImageDigest: aws.String(i.Digest)}
	}
	out, err := api.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: &s.repo, ImageIds: ids})
	if err != nil {
		return s.site.Explain(err)
	}
	var refused []ops.Settlement
	for _, f := range out.Failures {
		if f.ImageId == nil || f.FailureCode == types.ImageFailureCodeImageNotFound {
			continue // gone: Poll sees it
		}
		if f.FailureCode == types.ImageFailureCodeImageReferencedByManifestList {
			continue // its list goes first; the next batch has it again
		}
		key := s.key(aws.ToString(f.ImageId.ImageDigest))
		e, ok := t.Entry(key)
		if !ok {
			return errors.New("ECR answered about an image that was not asked about")
		}
		refused = append(refused, ops.Settlement{Key: key, State: ops.Left, After: e.Before, Reason: fmt.Sprintf("ECR: %s: %s", f.FailureCode, deploy.Short(deploy.Mask(aws.ToString(f.FailureReason)), 200))})
	}
	if len(refused) == 0 {
		return nil
	}
	return t.SettleAll(ctx, refused)
}

// Undo only says what became of each image: what is deleted is gone.
func (s deleteStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	_, there, err := s.left(ctx, t, ecr.NewFromConfig(s.site.ForRun(t)))
	if err != nil {
		return ops.Progress{}, err
	}
	var settled []ops.Settlement
	for _, d := range s.digests {
		e, known := t.Entry(s.key(d))
		if !known || e.State != ops.Intended && e.State != ops.Kept {
			continue
		}
		if _, ok := there[d]; ok {
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Restored, After: e.Before})
		} else {
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Left, Reason: "deleted before the cancel"})
		}
	}
	if len(settled) > 0 {
		if err := t.SettleAll(ctx, settled); err != nil {
			return ops.Progress{}, err
		}
	}
	return ops.Progress{Phase: ops.Done}, nil
}
