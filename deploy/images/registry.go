package images

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"twokey/deploy"
	"twokey/ops"
)

// image is one image of a repository.
type image struct {
	Digest string   // "sha256:…"
	Tags   []string // sorted
	Pushed time.Time
	Pulled time.Time // last, as far as ECR knows; zero: never, or not known
	Size   int64     // bytes
	// Parts are the digests of the images that an image of several platforms is made of.
	Parts []string
}

// text is how people read an image: "2f6a1c0d9e8b (v1.4, latest), pushed 2026-11-20".
func (i image) text() string {
	s := short(i.Digest)
	if len(i.Tags) > 0 {
		s += " (" + brief(i.Tags, 4) + ")"
	}
	return s + ", pushed " + i.Pushed.UTC().Format("2006-01-02")
}

// short is the beginning of a digest.
func short(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(len(digest), 12)]
}

// brief joins at most n names and says how many more there are.
func brief(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}

// size is bytes for people.
func size(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.0f MB", float64(n)/1e6)
}

// repositoryName is what ECR takes as a repository's name.
var repositoryName = regexp.MustCompile(`^[a-z0-9]+([._/-][a-z0-9]+)*$`)

func checkName(name string) error {
	if repositoryName.MatchString(name) && len(name) <= 256 {
		return nil
	}
	return &ops.UserError{What: fmt.Sprintf("%q cannot be the name of an image's repository", name), Next: "Such a name is small letters and digits, with . _ - and / between."}
}

// repository reads a repository, or says that there is none; names suggests.
func (s Site) repository(ctx context.Context, api Registry, name string) (types.Repository, error) {
	out, err := api.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
	if absent := new(types.RepositoryNotFoundException); errors.As(err, &absent) {
		e := &ops.UserError{What: fmt.Sprintf("there is no image repository %s in %s", name, s.Where()), Next: "Check the name and the environment.", Err: err}
		var names []string
		if all, err := api.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{}); err == nil {
			for _, r := range all.Repositories {
				names = append(names, aws.ToString(r.RepositoryName))
			}
		}
		if like := deploy.Near(name, names); len(like) > 0 {
			e.Next = "Did you mean " + strings.Join(like, " or ") + "?"
		}
		return types.Repository{}, e
	}
	if err != nil {
		return types.Repository{}, s.Explain(err)
	}
	if len(out.Repositories) != 1 {
		return types.Repository{}, fmt.Errorf("%d repositories named %s", len(out.Repositories), name)
	}
	return out.Repositories[0], nil
}

// images reads all images of a repository, newest first, with the parts of those of
// several platforms.
func (s Site) images(ctx context.Context, api Registry, repo string) ([]image, error) {
	in := &ecr.DescribeImagesInput{RepositoryName: &repo}
	var all []image
	var lists []types.ImageIdentifier
	for {
		out, err := api.DescribeImages(ctx, in)
		if err != nil {
			return nil, s.Explain(err)
		}
		for _, d := range out.ImageDetails {
			i := image{Digest: aws.ToString(d.ImageDigest), Tags: slices.Sorted(slices.Values(d.ImageTags)), Pushed: aws.ToTime(d.ImagePushedAt),
				Pulled: aws.ToTime(d.LastRecordedPullTime), Size: aws.ToInt64(d.ImageSizeInBytes)}
			all = append(all, i)
			if media := aws.ToString(d.ImageManifestMediaType); strings.Contains(media, "manifest.list") || strings.Contains(media, "image.index") {
				lists = append(lists, types.ImageIdentifier{ImageDigest: d.ImageDigest})
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(out.NextToken) == "" {
			break
		}
	}
	for batch := range slices.Chunk(lists, 100) {
		out, err := api.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: &repo, ImageIds: batch})
		if err != nil {
			return nil, s.Explain(err)
		}
		if len(out.Images) < len(batch) {
			return nil, fmt.Errorf("%d of %d manifests of %s could be read", len(out.Images), len(batch), repo)
		}
		for _, m := range out.Images {
			parts, err := partsOf(aws.ToString(m.ImageManifest))
			if err != nil {
				return nil, fmt.Errorf("manifest of %s in %s: %w", aws.ToString(m.ImageId.ImageDigest), repo, err)
			}
			i := slices.IndexFunc(all, func(x image) bool { return x.Digest == aws.ToString(m.ImageId.ImageDigest) })
			if i >= 0 {
				all[i].Parts = parts
			}
		}
	}
	slices.SortStableFunc(all, func(a, b image) int { return cmp.Or(b.Pushed.Compare(a.Pushed), cmp.Compare(a.Digest, b.Digest)) })
	return all, nil
}

// partsOf are the digests that a manifest of several platforms names.
func partsOf(manifest string) ([]string, error) {
	var m struct {
		Manifests []struct{ Digest string }
	}
	if err := json.Unmarshal([]byte(manifest), &m); err != nil {
		return nil, err
	}
	var parts []string
	for _, x := range m.Manifests {
		parts = append(parts, x.Digest)
	}
	return parts, nil
}
