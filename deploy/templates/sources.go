package templates

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"twokey/deploy"
	"twokey/ops"
)

// Sources are where files come from, for one environment.
type Sources struct {
	Folder       string                // directory of files; empty: none
	Repositories map[string]Repository // by name
	// Environment are the variables of this process that env: references may name.
	Environment []string
}

// File is one file as it was found.
type File struct {
	Body   []byte
	Origin string // for people: "waffle@3f2c1ab9d0e4:deployment/stack.json"
	// Commit is the full hash of the commit, or the version of the object; empty where
	// there are no versions.
	Commit string
}

// SHA256 is the hex digest of the body.
func (f File) SHA256() string {
	sum := sha256.Sum256(f.Body)
	return hex.EncodeToString(sum[:])
}

// maxFile is the longest file that is read, in bytes: CloudFormation takes templates of up
// to 1 MB, from S3
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html).
const maxFile = 1 << 20

// inRepository is NAME:PATH.
var inRepository = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*):(.+)$`)

// Read reads one file. at is the commit, tag or branch of a repository; empty for files
// that are in none. cfg is for S3.
func (s Sources) Read(ctx context.Context, cfg aws.Config, name, at string) (File, error) {
	if strings.HasPrefix(name, "s3://") {
		return fromS3(ctx, cfg, name)
	}
	if strings.Contains(name, "://") {
		return File{}, &ops.UserError{
			What: fmt.Sprintf("%s is not read: templates come from the folder, a repository or S3", deploy.Mask(name)),
			Next: "Give FILE, REPOSITORY:PATH or s3://BUCKET/KEY.",
		}
	}
	if m := inRepository.FindStringSubmatch(name); m != nil {
		tree, err := s.tree(ctx, m[1], at)
		if err != nil {
			return File{}, err
		}
		return tree.file(m[2])
	}
	if at != "" {
		return File{}, &ops.UserError{What: fmt.Sprintf("%s is in no repository, so --ref %s says nothing of it", name, at), Next: "Give REPOSITORY:PATH, or leave --ref out."}
	}
	return s.inFolder(name)
}

// inFolder reads a file of the folder, and nothing outside of it, whatever the name or
// symbolic links say.
func (s Sources) inFolder(name string) (File, error) {
	if s.Folder == "" {
		return File{}, &ops.UserError{What: "this environment has no folder of templates", Next: "Give REPOSITORY:PATH or s3://BUCKET/KEY, or name a folder in the configuration (aws: templates)."}
	}
	root, err := os.OpenRoot(s.Folder)
	if err != nil {
		return File{}, fmt.Errorf("the folder of templates: %w", err)
	}
	defer root.Close()
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, missing(name, "the folder of templates", list(root.FS()))
	}
	if err != nil {
		return File{}, &ops.UserError{What: fmt.Sprintf("%s cannot be read from the folder of templates", name), Next: "Give the name of a file in it.", Err: err}
	}
	defer f.Close()
	body, err := limited(f, name)
	return File{Body: body, Origin: name}, err
}

func limited(r io.Reader, name string) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(body) > maxFile {
		return nil, &ops.UserError{What: fmt.Sprintf("%s is longer than 1 MB", name), Next: "Split it."}
	}
	return body, nil
}

// list is the names of the files in a folder, some hundreds at most.
func list(f fs.FS) []string {
	var names []string
	_ = fs.WalkDir(f, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || len(names) >= 500 {
			return fs.SkipAll // there is merely less to suggest
		}
		if !d.IsDir() {
			names = append(names, p)
		}
		return nil
	})
	return names
}

// missing is the error for a file that is not there.
func missing(name, where string, there []string) error {
	e := &ops.UserError{What: fmt.Sprintf("there is no %s in %s", name, where)}
	base := map[string]string{}
	for _, n := range there {
		base[path.Base(n)] = n
	}
	like := deploy.Near(name, there)
	if n, ok := base[path.Base(name)]; ok && len(like) == 0 {
		like = []string{n}
	}
	if len(like) > 0 {
		e.Next = "Did you mean " + strings.Join(like, " or ") + "?"
	} else {
		e.Next = "Check the name."
	}
	return e
}

// fromS3 reads an object of S3: s3://bucket/key, or one version of it.
func fromS3(ctx context.Context, cfg aws.Config, name string) (File, error) {
	u, err := url.Parse(name)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return File{}, &ops.UserError{What: fmt.Sprintf("%s is no object of S3", name), Next: "Give s3://BUCKET/KEY."}
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle, o.DisableLogOutputChecksumValidationSkipped = cfg.BaseEndpoint != nil, true
	})
	in := &s3.GetObjectInput{Bucket: &u.Host, Key: aws.String(strings.TrimPrefix(u.Path, "/"))}
	if v := u.Query().Get("versionId"); v != "" {
		in.VersionId = &v
	}
	out, err := client.GetObject(ctx, in)
	var api smithy.APIError
	if errors.As(err, &api) && (api.ErrorCode() == "NoSuchKey" || api.ErrorCode() == "NoSuchBucket" || api.ErrorCode() == "NoSuchVersion") {
		return File{}, &ops.UserError{What: fmt.Sprintf("there is no object %s (%s)", name, api.ErrorCode()), Next: "Check bucket, key and version.", Err: err}
	}
	if err != nil {
		return File{}, err
	}
	defer out.Body.Close()
	body, err := limited(out.Body, name)
	f := File{Body: body, Origin: name, Commit: aws.ToString(out.VersionId)}
	if f.Commit == "null" {
		f.Commit = ""
	}
	if f.Commit != "" && in.VersionId == nil {
		f.Origin += "?versionId=" + f.Commit
	}
	return f, err
}

// repositories names those there are.
func (s Sources) repositories() string {
	if len(s.Repositories) == 0 {
		return "No repository is configured."
	}
	return "There are " + strings.Join(slices.Sorted(maps.Keys(s.Repositories)), ", ") + "."
}
