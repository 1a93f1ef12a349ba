package data

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"twokey/deploy/templates"
	"twokey/ops"
)

// syncSite is "site sync REPO:DIR BUCKET[/PREFIX] --ref COMMIT": the files of a commit
// become the objects of a bucket.
type syncSite struct{ sites map[string]Site }

const kindSync = "site sync"

func (o syncSite) Kind() string { return kindSync }

func (o syncSite) Step(ref ops.StepRef) (ops.Step, error) {
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	p := ref.Params
	switch {
	case ref.Name == "objects" && ref.Version == 1:
		return objectsStep{site, copyOf{p["repository"], p["dir"], p["commit"], p[paramBucket], p["prefix"]}, approvedRemovals(p)}, nil
	case ref.Name == "invalidate" && ref.Version == 1:
		return invalidateStep{site, p["distribution"], p["paths"]}, nil
	}
	return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
}

// maxRemoved is how many objects one run deletes: each is in its plan. It is what
// DeleteObjects takes, too.
const maxRemoved = 1000

// removalParam is before the key of an object in a step's parameters; the value is its ETag.
// So the approval is of these objects with this content, and of no others.
const removalParam = "delete "

func approvedRemovals(params map[string]string) map[string]string {
	approved := map[string]string{}
	for name, etag := range params {
		if key, ok := strings.CutPrefix(name, removalParam); ok {
			approved[key] = etag
		}
	}
	return approved
}

// Plan says how many files differ, and seals which objects are replaced and deleted.
func (o syncSite) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	c, err := copyAsked(call)
	if err != nil {
		return ops.Plan{}, err
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	tree, err := site.Sources.Tree(ctx, c.repository, call.Flags["ref"])
	if err != nil {
		return ops.Plan{}, err
	}
	c.commit = tree.Commit
	cfg := site.ForPlan(call.Kind)
	d, err := site.difference(ctx, storage(cfg), c, nil)
	if err != nil {
		return ops.Plan{}, err
	}
	if len(d.upload)+d.same == 0 {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s has no files in %s", tree, call.Args[0]), Next: "Check the directory."}
	}
	if call.Flags["delete"] != "true" {
		clear(d.others)
	}
	if len(d.upload)+len(d.others) == 0 {
		return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s is as %s already: %d files", call.Args[1], tree, d.same), Next: "There is nothing to do."}
	}
	kept, err := site.versioned(ctx, storage(cfg), c.bucket)
	if err != nil {
		return ops.Plan{}, err
	}

	p := ops.Plan{
		Call: call, Class: ops.R2, Targets: []string{call.Args[1]},
		Title: fmt.Sprintf("Sync %s:%s to %s in %s", tree, c.dir, call.Args[1], site.Where()),
		Keeps: []string{"the files of the commit."},
		Locks: []string{"bucket:" + c.bucket},
		Shown: []ops.Line{{Label: "Account", Text: number + ", " + site.Region}, {Label: "Upload", Text: names(d.upload)}},
	}
	params := map[string]string{
		paramEnvironment: call.Environment, "repository": c.repository, "dir": c.dir, "commit": c.commit,
		paramBucket: c.bucket, "prefix": c.prefix, "replaces": d.replaced.digest(),
	}
	removed := site.seal(&p, params, d, kept)
	p.Effect = fmt.Sprintf("uploads %s (%.1f MB, %d of them in place of other objects), deletes %d, leaves %d as they are",
		plural(len(d.upload), "file", "files"), float64(d.bytes)/1e6, len(d.replaced), removed, d.same)
	p.Steps = []ops.StepRef{{Name: "objects", Version: 1, Title: "upload what differs, pages last", Params: params}}
	if id := call.Flags["distribution"]; id != "" {
		paths, line, err := site.served(ctx, cloudfront.NewFromConfig(cfg), id, c)
		if err != nil {
			return ops.Plan{}, err
		}
		p.Shown = append(p.Shown, line)
		p.Steps = append(p.Steps, ops.StepRef{Name: "invalidate", Version: 1, Title: "invalidate " + paths + " of distribution " + id, Params: map[string]string{
			paramEnvironment: call.Environment, "distribution": id, "paths": paths,
		}})
	}
	return p, nil
}

// copyAsked reads which files are to go where; the commit is not resolved yet.
func copyAsked(call ops.Call) (copyOf, error) {
	repository, dir, ok := strings.Cut(call.Args[0], ":")
	bucket, prefix, _ := strings.Cut(call.Args[1], "/")
	if !ok || !bucketName.MatchString(bucket) {
		return copyOf{}, &ops.UserError{What: fmt.Sprintf("from %s to %s is not clear", call.Args[0], call.Args[1]), Next: "Give REPOSITORY:DIRECTORY and BUCKET or BUCKET/PREFIX."}
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return copyOf{repository: repository, dir: dir, bucket: bucket, prefix: prefix}, nil
}

// seal writes into plan and parameters what is deleted, and how final that is: in a bucket
// that keeps no versions it is for ever. It returns how many objects are deleted.
func (s Site) seal(p *ops.Plan, params map[string]string, d difference, kept bool) int {
	removed := d.others.keys()
	if more := len(removed) - maxRemoved; more > 0 {
		removed = removed[:maxRemoved]
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d more objects could go; one run deletes at most %d. Ask again afterwards.", more, maxRemoved))
	}
	for _, key := range removed {
		params[removalParam+key] = d.others[key]
	}
	if len(removed) > 0 {
		p.Shown = append(p.Shown, ops.Line{Label: "Delete", Text: brief(removed, 20)})
		p.Keeps = append(p.Keeps, "the objects gone that the commit does not have.")
	}
	switch {
	case kept:
		p.Undo = []string{"None. The bucket keeps versions: what is replaced or deleted can be brought back by hand, or by a sync of the earlier commit."}
	case len(removed) > 0:
		p.Class, p.Confirm = ops.R3, params[paramBucket]
		p.Undo = []string{"None: the bucket keeps no versions, so what is deleted or replaced is gone."}
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s deleted that the commit does not have, for ever.", plural(len(removed), "object is", "objects are")))
	default:
		p.Undo = []string{"None: what was uploaded stays. To go back, sync the earlier commit."}
	}
	if n := len(d.replaced); n > 0 && !kept {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s replaced, and the bucket keeps no versions.", plural(n, "object is", "objects are")))
	}
	return len(removed)
}

// versioned reports whether a bucket keeps what is replaced and deleted.
func (s Site) versioned(ctx context.Context, api *s3.Client, bucket string) (bool, error) {
	v, err := api.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &bucket})
	if err != nil {
		return false, s.Explain(err)
	}
	return v.Status == types.BucketVersioningStatusEnabled, nil
}

// listing is objects: their ETags by key.
type listing map[string]string

// digest is one value for all keys and ETags.
func (l listing) digest() string {
	h := sha256.New()
	for _, key := range l.keys() {
		fmt.Fprintf(h, "%q %q\n", key, l[key])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (l listing) keys() []string { return slices.Sorted(maps.Keys(l)) }

func names(files []templates.TreeFile) string {
	var out []string
	for _, f := range files {
		out = append(out, f.Name)
	}
	return brief(out, 20)
}

// brief joins at most n names and says how many more there are.
func brief(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
