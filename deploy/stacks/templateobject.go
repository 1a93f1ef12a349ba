package stacks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"twokey/ops"
)

const (
	paramBucket = "bucket"
	paramKey    = "key"
	objectKey   = "template object"
)

// templateKey is where a template is put that is too long to be sent. Stacks with the same
// template share the object; none of them needs it once its change set is made.
func templateKey(sum string) string { return "twokey/" + sum + ".template" }

// storage is S3 for a configuration. Where an endpoint is configured, buckets are in the
// path of the address, as emulators want it.
func storage(cfg aws.Config) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle, o.DisableLogOutputChecksumValidationSkipped = cfg.BaseEndpoint != nil, true
	})
}

// left finds the object that a stack's template was put into; empty: there is none.
func (s Site) left(ctx context.Context, cfg aws.Config, api Deleter, arn string) (string, error) {
	if s.Bucket == "" {
		return "", nil
	}
	out, err := api.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: &arn, TemplateStage: types.TemplateStageOriginal})
	if err != nil {
		return "", s.Explain(err)
	}
	body := aws.ToString(out.TemplateBody)
	if len(body) <= maxBody {
		return "", nil
	}
	sum := sha256.Sum256([]byte(body))
	key := templateKey(hex.EncodeToString(sum[:]))
	there, err := s.holdsObject(ctx, cfg, s.Bucket, key)
	if !there {
		key = ""
	}
	return key, err
}

func (s Site) holdsObject(ctx context.Context, cfg aws.Config, bucket, key string) (bool, error) {
	_, err := storage(cfg).HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if no := smithy.APIError(nil); errors.As(err, &no) && (no.ErrorCode() == "NotFound" || no.ErrorCode() == "NoSuchKey" || no.ErrorCode() == "NoSuchBucket") {
		return false, nil
	}
	return err == nil, s.Explain(err)
}

// templateStep removes the object that a deleted stack's template was put into.
type templateStep struct {
	site        Site
	bucket, key string
}

func (s templateStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	text := "the stack's template"
	if err := t.Record(ctx, ops.Change{Key: objectKey, Resource: "bucket " + s.bucket, Setting: s.key, Before: &text}); err != nil {
		return err
	}
	_, err := storage(s.site.ForRun(t)).DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &s.key})
	return s.site.Explain(err)
}

func (s templateStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	_, recorded := t.Entry(objectKey)
	there, err := s.site.holdsObject(ctx, s.site.ForRun(t), s.bucket, s.key)
	switch {
	case err != nil:
		return ops.Progress{}, err
	case there:
		return ops.Progress{Phase: ops.NotStarted}, nil
	case recorded:
		if err := t.Settle(ctx, objectKey, ops.Kept, nil, ""); err != nil {
			return ops.Progress{}, err
		}
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("The template is gone from %s", s.bucket)}}, nil
}

// Undo only says what became of it.
func (s templateStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(objectKey)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	there, err := s.site.holdsObject(ctx, s.site.ForRun(t), s.bucket, s.key)
	if err != nil {
		return ops.Progress{}, err
	}
	if there {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, objectKey, ops.Restored, e.Before, "")
	}
	return ops.Progress{Phase: ops.Done}, t.Settle(ctx, objectKey, ops.Left, nil, "it was deleted with the stack")
}
