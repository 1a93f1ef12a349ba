package data

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"twokey/ops"
)

// createBucket is "s3 create BUCKET": a bucket in the environment's region that nobody
// outside can read.
type createBucket struct{ sites map[string]Site }

const (
	kindBucket  = "s3 create"
	paramBucket = "bucket"
	bucketKey   = "bucket"
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// storage is S3 for a configuration. Where an endpoint is configured, buckets are in the
// path of the address, as emulators want it.
func storage(cfg aws.Config) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle, o.DisableLogOutputChecksumValidationSkipped = cfg.BaseEndpoint != nil, true
	})
}

func (o createBucket) Kind() string { return kindBucket }

func (o createBucket) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "create" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	return bucketStep{site, ref.Params[paramBucket], ref.Params["versioning"] == "true"}, nil
}

// there reports whether a bucket exists and is ours.
func (s Site) there(ctx context.Context, api *s3.Client, name string) (bool, error) {
	_, err := api.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name})
	var no smithy.APIError
	if errors.As(err, &no) {
		switch no.ErrorCode() {
		case "NotFound", "NoSuchBucket":
			return false, nil
		case "Forbidden", "AccessDenied", "403":
			return false, &ops.UserError{What: fmt.Sprintf("the bucket %s belongs to somebody else, or Twokey may not look at it", name), Next: "Choose another name, or allow s3:ListBucket on it.", Err: err}
		case "MovedPermanently", "301":
			return false, &ops.UserError{What: fmt.Sprintf("the bucket %s exists in another region", name), Next: "Choose another name.", Err: err}
		}
	}
	return err == nil, s.Explain(err)
}

// Plan refuses names that are taken.
func (o createBucket) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	name := call.Args[0]
	if !bucketName.MatchString(name) {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%q cannot be the name of a bucket", name), Next: "A name is 3 to 63 small letters, digits, dots and hyphens."}
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	exists, err := site.there(ctx, storage(site.ForPlan(call.Kind)), name)
	if err != nil {
		return ops.Plan{}, err
	}
	if exists {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("the bucket %s exists already", name), Next: "There is nothing to do."}
	}
	return ops.Plan{
		Call: call, Class: ops.R1, Targets: []string{name},
		Title:  fmt.Sprintf("Create bucket %s in %s", name, site.Where()),
		Effect: "makes an empty bucket that nobody outside the account can read",
		Steps: []ops.StepRef{{Name: "create", Version: 1, Title: "create " + name + ", block public access", Params: map[string]string{
			paramEnvironment: call.Environment, paramBucket: name, "versioning": call.Flags["versioning"],
		}}},
		Undo:  []string{"The bucket is deleted, if it is known that this run made it and it is empty."},
		Keeps: []string{"the bucket."},
		Locks: []string{"bucket:" + name},
		Shown: []ops.Line{{Label: "Account", Text: number + ", " + site.Region}},
	}, nil
}

// bucketStep makes a bucket.
type bucketStep struct {
	site      Site
	name      string
	versioned bool
}

// made is what is remembered of the bucket's creation.
type made struct {
	Sent bool `json:"sent"`
	// Ours: S3 answered that this run made it. Without that, its answer lost, the bucket may
	// be somebody else's who made it at that moment, and is not deleted.
	Ours bool `json:"ours,omitempty"`
	// Taken: somebody else made it before.
	Taken bool `json:"taken,omitempty"`
}

func (s bucketStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	var m made
	if _, err := t.Load(&m); err != nil {
		return err
	}
	api := storage(s.site.ForRun(t))
	if !m.Sent {
		exists, err := s.site.there(ctx, api, s.name)
		if err != nil {
			return err
		}
		if exists {
			m.Taken = true
			return t.Save(m)
		}
	}
	again := m.Sent
	m.Sent = true
	if err := t.Save(m); err != nil {
		return err
	}
	text := "exists, not public"
	if err := t.Record(ctx, ops.Change{Key: bucketKey, Resource: "account", Setting: "bucket " + s.name, Intended: &text}); err != nil {
		return err
	}
	const first = "us-east-1" // must not be named, and answers that a bucket was made which was there (API reference of CreateBucket)
	in := &s3.CreateBucketInput{Bucket: &s.name}
	if s.site.Region != first {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(s.site.Region)}
	}
	if !m.Ours {
		_, err := api.CreateBucket(ctx, in)
		there := refusedAs(err, "BucketAlreadyOwnedByYou")
		m.Ours = err == nil && (!again || s.site.Region != first)
		m.Sent = !refused(err) || there
		if saved := errors.Join(t.Save(m), t.Flush(ctx)); saved != nil || err != nil && !there {
			return errors.Join(s.site.Explain(err), saved)
		}
	}
	yes := aws.Bool(true)
	_, err := api.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: &s.name, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
		BlockPublicAcls: yes, BlockPublicPolicy: yes, IgnorePublicAcls: yes, RestrictPublicBuckets: yes,
	}})
	if err != nil {
		return s.site.Explain(err)
	}
	if s.versioned {
		_, err = api.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &s.name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	}
	return s.site.Explain(err)
}

// Poll is done when the bucket is there with what it is to have.
func (s bucketStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var m made
	if _, err := t.Load(&m); err != nil {
		return ops.Progress{}, err
	}
	if m.Taken {
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("somebody else made the bucket %s meanwhile; nothing of it was changed", s.name)}, nil
	}
	e, recorded := t.Entry(bucketKey)
	if !recorded {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	api := storage(s.site.ForRun(t))
	exists, err := s.site.there(ctx, api, s.name)
	if err != nil {
		return ops.Progress{}, err
	}
	if !exists {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	b, err := api.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &s.name})
	if refusedAs(err, "NoSuchPublicAccessBlockConfiguration") {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	if err != nil {
		return ops.Progress{}, s.site.Explain(err)
	}
	if c := b.PublicAccessBlockConfiguration; c == nil || !aws.ToBool(c.BlockPublicAcls) || !aws.ToBool(c.RestrictPublicBuckets) {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	if s.versioned {
		v, err := api.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.name})
		if err != nil {
			return ops.Progress{}, s.site.Explain(err)
		}
		if v.Status != types.BucketVersioningStatusEnabled {
			return ops.Progress{Phase: ops.NotStarted}, nil
		}
	}
	if e.State != ops.Kept {
		if err := t.Settle(ctx, bucketKey, ops.Kept, e.Intended, ""); err != nil {
			return ops.Progress{}, err
		}
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("bucket %s is there, not public", s.name)}}, nil
}

// Undo deletes the bucket, which S3 refuses if it is not empty.
func (s bucketStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(bucketKey)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	api := storage(s.site.ForRun(t))
	exists, err := s.site.there(ctx, api, s.name)
	if err != nil {
		return ops.Progress{}, err
	}
	if !exists {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, bucketKey, ops.Restored, nil, "")
	}
	var m made
	if _, err := t.Load(&m); err != nil {
		return ops.Progress{}, err
	}
	if !m.Ours {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, bucketKey, ops.Left, e.Intended, "whether this run made it is not known, since an answer of S3 was lost; if it did, delete it by hand")
	}
	list, err := api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.name, MaxKeys: aws.Int32(1)})
	if err != nil {
		return ops.Progress{}, s.site.Explain(err)
	}
	if len(list.Contents) > 0 {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, bucketKey, ops.Left, e.Intended, "somebody has put objects into it")
	}
	if err := t.Fence(ctx); err != nil {
		return ops.Progress{}, err
	}
	_, err = api.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &s.name})
	if refusedAs(err, "BucketNotEmpty") { // earlier versions of objects count
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, bucketKey, ops.Left, e.Intended, "somebody has put objects into it")
	}
	if err != nil {
		return ops.Progress{}, s.site.Explain(err)
	}
	return ops.Progress{Phase: ops.Waiting, Wait: 1, Status: ops.Status{Headline: "Deleted; looking"}}, nil
}
