package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"twokey/ops"
)

// buildImages is "image build REPO… --ref COMMIT": it has images built from a commit and
// pushed, and checks the digest that arrived.
type buildImages struct{ sites map[string]Site }

const (
	kindBuild    = "image build"
	paramCommit  = "commit"
	paramProject = "project"
)

// Builder builds images. CodeBuild is the one there is; a build host of one's own is
// another.
type Builder interface {
	// Start begins a build, at most once per token.
	Start(ctx context.Context, b order, token string) (id string, err error)
	// Find is the build that Start began with this token; empty: none.
	Find(ctx context.Context, b order, token string) (id string, err error)
	// Look tells how far a build is.
	Look(ctx context.Context, id string) (progress, error)
	// Stop ends a build.
	Stop(ctx context.Context, id string) error
}

// order is what is to be built.
type order struct{ project, commit, repo, tag string }

// progress is how far a build is.
type progress struct {
	running bool
	good    bool
	phase   string   // "BUILD"
	why     string   // of a failure
	digest  string   // of what was pushed, where the build tells it
	log     []string // the last lines
	began   time.Time
}

func (o buildImages) Kind() string { return kindBuild }

func (o buildImages) Step(ref ops.StepRef) (ops.Step, error) {
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	p := ref.Params
	switch {
	case ref.Name == "repository" && ref.Version == 1:
		return repositoryStep{site, p[paramRepository]}, nil
	case ref.Name == "build" && ref.Version == 1:
		return buildStep{site, order{p[paramProject], p[paramCommit], p[paramRepository], p[paramTag]}}, nil
	}
	return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
}

// Plan resolves the commit, and refuses tags that are taken.
func (o buildImages) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	repos := slices.Compact(slices.Sorted(slices.Values(call.Args)))
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	cfg := site.ForPlan(call.Kind)
	api := ecr.NewFromConfig(cfg)
	p := ops.Plan{
		Call: call, Class: ops.R1,
		Keeps: []string{"the images in the registry."},
		Undo:  []string{"Running builds are stopped. What was pushed before stays; nothing uses it. A repository made for it stays."},
		Shown: []ops.Line{{Label: "Account", Text: number + ", " + site.Region}},
	}
	var built []string
	for _, repo := range repos {
		b, ok := site.Builds[repo]
		if !ok {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("the configuration does not say how to build %s", repo), Next: "It knows " + brief(slices.Sorted(maps.Keys(site.Builds)), 10) + " (aws: builds)."}
		}
		tree, err := site.Sources.Tree(ctx, b.Repository, call.Flags["ref"])
		if err != nil {
			return ops.Plan{}, err
		}
		if err := dockerfile(tree, b.Dockerfile); err != nil {
			return ops.Plan{}, err
		}
		project, err := site.project(ctx, cfg, b.Project)
		if err != nil {
			return ops.Plan{}, err
		}
		tag := call.Flags["tag"]
		if tag == "" {
			tag = tree.Commit[:12]
		}
		if !tagName.MatchString(tag) {
			return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%q cannot be a tag", tag), Next: "A tag is letters, digits and _.-, 128 at most."}
		}
		exists := true
		if _, err := site.repository(ctx, api, repo); err != nil {
			if absent := new(types.RepositoryNotFoundException); !errors.As(err, &absent) {
				return ops.Plan{}, err
			}
			exists = false
		}
		if exists {
			digest, err := tagStep{site: site, repo: repo, tag: tag}.tagged(ctx, api)
			if err != nil {
				return ops.Plan{}, err
			}
			if digest != "" && call.Flags["tag"] != "" {
				return ops.Plan{}, &ops.UserError{What: fmt.Sprintf("%s:%s exists: it is %s", repo, tag, short(digest)), Next: "Use another tag; image promote moves one."}
			}
			if digest != "" {
				built = append(built, fmt.Sprintf("%s:%s is %s", repo, tag, short(digest)))
				continue
			}
		} else {
			p.Steps = append(p.Steps, ops.StepRef{Name: "repository", Version: 1, Title: "make the repository " + repo, Params: map[string]string{
				paramEnvironment: call.Environment, paramRepository: repo,
			}})
		}
		p.Targets = append(p.Targets, repo+":"+tag)
		p.Locks = append(p.Locks, site.Lock(number, "image repository", repo))
		p.Shown = append(p.Shown, ops.Line{Label: repo, Text: fmt.Sprintf("tag %s from %s, by %s", tag, tree, project)})
		p.Steps = append(p.Steps, ops.StepRef{Name: "build", Version: 1, Title: fmt.Sprintf("build %s:%s from %s", repo, tag, tree), Params: map[string]string{
			paramEnvironment: call.Environment, paramRepository: repo, paramTag: tag, paramCommit: tree.Commit, paramProject: b.Project,
		}})
	}
	if len(p.Steps) == 0 {
		return ops.Plan{}, &ops.UserError{What: "built already: " + strings.Join(built, "; "), Next: "There is nothing to do."}
	}
	if len(built) > 0 {
		p.Shown = append(p.Shown, ops.Line{Label: "Built already", Text: strings.Join(built, "; ")})
	}
	p.Title = fmt.Sprintf("Build %s in %s", brief(p.Targets, 3), site.Where())
	p.Effect = fmt.Sprintf("pushes %d images; nothing uses them yet", len(p.Targets))
	return p, nil
}

// repositoryStep makes a repository in ECR.
type repositoryStep struct {
	site Site
	repo string
}

func (s repositoryStep) there(ctx context.Context, api Registry) (bool, error) {
	_, err := api.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{s.repo}})
	if absent := new(types.RepositoryNotFoundException); errors.As(err, &absent) {
		return false, nil
	}
	return err == nil, s.site.Explain(err)
}

func (s repositoryStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	text := "exists"
	if err := t.Record(ctx, ops.Change{Key: "repository " + s.repo, Resource: "account", Setting: "image repository " + s.repo, Intended: &text}); err != nil {
		return err
	}
	_, err := ecr.NewFromConfig(s.site.ForRun(t)).CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: &s.repo, Tags: []types.Tag{{Key: aws.String("made-by"), Value: aws.String("twokey")}},
	})
	if exists := new(types.RepositoryAlreadyExistsException); errors.As(err, &exists) {
		return nil
	}
	return s.site.Explain(err)
}

func (s repositoryStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	there, err := s.there(ctx, ecr.NewFromConfig(s.site.ForRun(t)))
	if err != nil {
		return ops.Progress{}, err
	}
	e, recorded := t.Entry("repository " + s.repo)
	switch {
	case !there:
		return ops.Progress{Phase: ops.NotStarted}, nil
	case recorded && e.State == ops.Intended:
		if err := t.Settle(ctx, e.Key, ops.Kept, e.Intended, ""); err != nil {
			return ops.Progress{}, err
		}
	}
	return ops.Progress{Phase: ops.Done}, nil
}

// Undo leaves the repository: ECR knows no condition "only if empty" that another's push
// could not come between.
func (s repositoryStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry("repository " + s.repo)
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	there, err := s.there(ctx, ecr.NewFromConfig(s.site.ForRun(t)))
	if err != nil {
		return ops.Progress{}, err
	}
	if !there {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Restored, nil, "")
	}
	return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Left, e.Intended, "the repository stays; it costs nothing while it is empty")
}

// buildStep has one image built.
type buildStep struct {
	site Site
	order
}

// buildNotes is what the step remembers.
type buildNotes struct {
	Token string `json:"token"`
	ID    string `json:"id,omitempty"` // the build's
}

func (s buildStep) key() string { return "image " + s.repo }

func (s buildStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	var n buildNotes
	if _, err := t.Load(&n); err != nil {
		return err
	}
	n.Token = token
	if err := t.Save(n); err != nil {
		return err
	}
	text := "built from " + s.commit
	if err := t.Record(ctx, ops.Change{Key: s.key(), Resource: "image " + s.repo, Setting: "tag " + s.tag, Intended: &text}); err != nil {
		return err
	}
	id, err := s.builder(t).Start(ctx, s.order, token)
	if err != nil {
		return s.site.Explain(err)
	}
	n.ID = id
	return t.Save(n)
}

// build finds the step's build; empty: there is none.
func (s buildStep) build(ctx context.Context, t *ops.Tick) (buildNotes, error) {
	var n buildNotes
	known, err := t.Load(&n)
	if err != nil || !known || n.ID != "" {
		return n, err
	}
	if n.ID, err = s.builder(t).Find(ctx, s.order, n.Token); err != nil {
		return n, s.site.Explain(err)
	}
	return n, t.Save(n)
}

// Poll is done when the build ended well and the registry has the digest it pushed.
func (s buildStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	n, err := s.build(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	if n.ID == "" {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	b, err := s.builder(t).Look(ctx, n.ID)
	if err != nil {
		return ops.Progress{}, s.site.Explain(err)
	}
	if b.running {
		head := fmt.Sprintf("%s:%s: %s, %s since the beginning", s.repo, s.tag, strings.ToLower(b.phase), t.Now().Sub(b.began).Round(time.Second))
		return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: head, Lines: b.log}}, nil
	}
	if !b.good {
		if len(b.log) > 0 {
			t.Attach("build-"+s.repo+".log", strings.Join(b.log, "\n")+"\n", "The end of the log of %s", n.ID)
		}
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("the build of %s failed in %s: %s", s.repo, strings.ToLower(b.phase), b.why)}, nil
	}
	digest, err := tagStep{site: s.site, repo: s.repo, tag: s.tag}.tagged(ctx, ecr.NewFromConfig(s.site.ForRun(t)))
	if err != nil {
		return ops.Progress{}, err
	}
	switch {
	case digest == "":
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("build %s ended well, but the registry has no %s:%s", n.ID, s.repo, s.tag)}, nil
	case b.digest != "" && b.digest != digest:
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("build %s pushed %s, but %s:%s is %s: somebody else pushed that tag", n.ID, short(b.digest), s.repo, s.tag, short(digest))}, nil
	}
	if err := t.Settle(ctx, s.key(), ops.Kept, &digest, ""); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: fmt.Sprintf("%s:%s is %s", s.repo, s.tag, digest)}}, nil
}

// Undo stops a running build.
func (s buildStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(s.key())
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	n, err := s.build(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	if n.ID != "" {
		b, err := s.builder(t).Look(ctx, n.ID)
		if err != nil {
			return ops.Progress{}, s.site.Explain(err)
		}
		if b.running {
			if err := t.Fence(ctx); err != nil {
				return ops.Progress{}, err
			}
			if err := s.builder(t).Stop(ctx, n.ID); err != nil {
				return ops.Progress{}, s.site.Explain(err)
			}
			return ops.Progress{Phase: ops.Waiting, Wait: 2 * time.Second, Status: ops.Status{Headline: "Stopping the build"}}, nil
		}
	}
	digest, err := tagStep{site: s.site, repo: s.repo, tag: s.tag}.tagged(ctx, ecr.NewFromConfig(s.site.ForRun(t)))
	if err != nil {
		return ops.Progress{}, err
	}
	if digest == "" {
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Restored, nil, "")
	}
	return ops.Progress{Phase: ops.Done}, t.Settle(ctx, e.Key, ops.Left, &digest, "it was pushed before the end; nothing uses it")
}
