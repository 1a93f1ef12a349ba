package data

import (
	"bytes"
	"context"
	"crypto/md5" // S3's ETag of an object sent in one piece
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"twokey/deploy/templates"
	"twokey/ops"
)

// copyOf is which files go where.
type copyOf struct{ repository, dir, commit, bucket, prefix string }

// difference is what a bucket and a commit do not have in common.
type difference struct {
	upload   []templates.TreeFile // pages last, so that they never name what is not there yet
	replaced listing              // objects in whose place files are uploaded
	others   listing              // objects that the commit has no file for
	bytes    int64                // of upload
	same     int
}

// difference compares the files with the objects, by MD5, which S3 tells as the ETag of
// objects sent in one piece. Where S3 encrypts with keys of KMS the ETag is something else:
// then an object is the same if its ETag is the one S3 answered to our own upload (ours).
func (s Site) difference(ctx context.Context, api *s3.Client, c copyOf, ours listing) (difference, error) {
	tree, err := s.Sources.Tree(ctx, c.repository, c.commit)
	if err != nil {
		return difference{}, err
	}
	files, err := tree.Files(c.dir)
	if err != nil {
		return difference{}, err
	}
	d := difference{replaced: listing{}}
	if d.others, err = s.objects(ctx, api, c.bucket, c.prefix); err != nil {
		return difference{}, err
	}
	for _, f := range files {
		key := c.prefix + f.Name
		body, err := read(f)
		if err != nil {
			return difference{}, err
		}
		sum := md5.Sum(body)
		etag, there := d.others[key]
		switch {
		case there && (etag == hex.EncodeToString(sum[:]) || etag == ours[key]):
			d.same++
		default:
			d.upload = append(d.upload, f)
			d.bytes += f.Size
			if there {
				d.replaced[key] = etag
			}
		}
		delete(d.others, key)
	}
	page := func(f templates.TreeFile) int {
		if path.Ext(f.Name) == ".html" {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(d.upload, func(a, b templates.TreeFile) int {
		if n := page(a) - page(b); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	return d, nil
}

// objects lists the objects of a bucket below a prefix.
func (s Site) objects(ctx context.Context, api *s3.Client, bucket, prefix string) (listing, error) {
	there := listing{}
	in := &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix}
	for {
		out, err := api.ListObjectsV2(ctx, in)
		if missing := new(types.NoSuchBucket); errors.As(err, &missing) {
			return nil, &ops.UserError{What: fmt.Sprintf("there is no bucket %s", bucket), Next: fmt.Sprintf("s3 create %s makes it.", bucket)}
		}
		if err != nil {
			return nil, s.Explain(err)
		}
		for _, o := range out.Contents {
			there[aws.ToString(o.Key)] = strings.Trim(aws.ToString(o.ETag), `"`)
		}
		if in.ContinuationToken = out.NextContinuationToken; !aws.ToBool(out.IsTruncated) {
			return there, nil
		}
	}
}

func read(f templates.TreeFile) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name, err)
	}
	defer r.Close()
	return io.ReadAll(r)
}

// objectsStep uploads the files that differ and deletes the approved objects that are still
// as they were. It compares anew each time, so it needs to remember nothing of thousands of
// files.
type objectsStep struct {
	site    Site
	copy    copyOf
	removed map[string]string // ETags of the objects to delete, by key
}

const (
	objectsKey = "objects"
	// oursPart is before the key of an object whose ETag is not its MD5.
	oursPart = "etag "
)

// workFor is how long one call of Start uploads: a step's method has 10 s.
const workFor = 6 * time.Second

// ahead is what is left to do.
func (s objectsStep) ahead(ctx context.Context, t *ops.Tick, api *s3.Client) (d difference, remove, changed []string, err error) {
	parts, err := t.Parts(ctx)
	if err != nil {
		return d, nil, nil, err
	}
	ours := listing{}
	for name, raw := range parts {
		if key, ok := strings.CutPrefix(name, oursPart); ok {
			var etag string
			if err := json.Unmarshal(raw, &etag); err != nil {
				return d, nil, nil, fmt.Errorf("part %s: %w", name, err)
			}
			ours[key] = etag
		}
	}
	if d, err = s.site.difference(ctx, api, s.copy, ours); err != nil {
		return d, nil, nil, err
	}
	for _, key := range d.others.keys() {
		switch etag, approved := s.removed[key]; {
		case approved && etag == d.others[key]:
			remove = append(remove, key)
		case approved:
			changed = append(changed, key) // somebody wrote it since: it is another object
		}
	}
	return d, remove, changed, nil
}

func (s objectsStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	text := "as of " + s.copy.repository + "@" + s.copy.commit[:12]
	if _, recorded := t.Entry(objectsKey); !recorded {
		if err := t.Record(ctx, ops.Change{Key: objectsKey, Resource: "bucket " + s.copy.bucket, Scope: s.copy.prefix, Setting: "objects", Intended: &text}); err != nil {
			return err
		}
	} else if err := t.Fence(ctx); err != nil {
		return err
	}
	api := storage(s.site.ForRun(t))
	d, remove, _, err := s.ahead(ctx, t, api)
	if err != nil {
		return err
	}
	if done, err := s.upload(ctx, t, api, d.upload); err != nil || !done {
		return err // the next call goes on
	}
	if len(remove) == 0 {
		return nil
	}
	ids := make([]types.ObjectIdentifier, len(remove))
	for i := range remove {
		ids[i] = types.ObjectIdentifier{Key: &remove[i]}
	}
	out, err := api.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &s.copy.bucket, Delete: &types.Delete{Objects: ids}})
	if err != nil {
		return s.site.Explain(err)
	}
	if len(out.Errors) > 0 {
		return fmt.Errorf("%s not deleted, the first: %s %s", plural(len(out.Errors), "object was", "objects were"), aws.ToString(out.Errors[0].Key), aws.ToString(out.Errors[0].Code))
	}
	return nil
}

// upload uploads files until all are there or the call's time is over.
func (s objectsStep) upload(ctx context.Context, t *ops.Tick, api *s3.Client, files []templates.TreeFile) (done bool, err error) {
	ours := map[string]any{}
	defer func() {
		err = errors.Join(err, t.PutParts(ctx, ours))
	}()
	until := time.Now().Add(workFor)
	for _, f := range files {
		if time.Now().After(until) {
			return false, nil
		}
		body, err := read(f)
		if err != nil {
			return false, err
		}
		key, sum := s.copy.prefix+f.Name, md5.Sum(body)
		out, err := api.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.copy.bucket, Key: &key, Body: bytes.NewReader(body), ContentType: aws.String(contentType(f.Name)), CacheControl: aws.String(cacheControl(f.Name))})
		if err != nil {
			return false, s.site.Explain(err)
		}
		if etag := strings.Trim(aws.ToString(out.ETag), `"`); etag != hex.EncodeToString(sum[:]) {
			ours[oursPart+key] = etag
		}
	}
	return true, nil
}

// contentType is what browsers are told a file is, by its ending.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".json", ".map":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	case ".woff2":
		return "font/woff2"
	case ".ico":
		return "image/x-icon"
	case ".txt", ".md":
		return "text/plain; charset=utf-8"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// cacheControl lets browsers keep files for a day, and ask about pages each time.
func cacheControl(name string) string {
	if path.Ext(name) == ".html" {
		return "no-cache"
	}
	return "public, max-age=86400"
}

// Poll is done when no file differs and nothing approved is left to delete.
func (s objectsStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(objectsKey)
	if !recorded {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	d, remove, changed, err := s.ahead(ctx, t, storage(s.site.ForRun(t)))
	if err != nil {
		return ops.Progress{}, err
	}
	total := len(d.upload) + d.same
	status := ops.Status{Done: int64(d.same), Total: int64(total), Unit: "files", Headline: fmt.Sprintf("%d of %d files are as the commit has them, %d to delete", d.same, total, len(remove))}
	if len(d.upload)+len(remove) > 0 {
		return ops.Progress{Phase: ops.NotStarted, Wait: 100 * time.Millisecond, Status: status}, nil
	}
	note := ""
	if len(changed) > 0 {
		note = fmt.Sprintf("not deleted, since somebody wrote to it after the approval: %s", brief(changed, 20))
	}
	if err := t.Settle(ctx, objectsKey, ops.Kept, e.Intended, note); err != nil {
		return ops.Progress{}, err
	}
	status.Headline = fmt.Sprintf("all %d files of %s are in %s, read back", total, s.copy.commit[:12], s.copy.bucket)
	if note != "" {
		status.Headline += "; " + note
	}
	return ops.Progress{Phase: ops.Done, Status: status}, nil
}

// Undo only says how far it came.
func (s objectsStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	if _, recorded := t.Entry(objectsKey); !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	d, remove, changed, err := s.ahead(ctx, t, storage(s.site.ForRun(t)))
	if err != nil {
		return ops.Progress{}, err
	}
	after := fmt.Sprintf("%d files of the commit are there, %d are not", d.same, len(d.upload))
	if n := len(s.removed); n > 0 {
		after += fmt.Sprintf("; %d of %d objects are deleted", n-len(remove)-len(changed), n)
	}
	return ops.Progress{Phase: ops.Done}, t.Settle(ctx, objectsKey, ops.Left, &after, "what was uploaded stays; to go back, sync the earlier commit")
}

// refusedAs reports whether AWS answered an error of one of these codes.
func refusedAs(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}
