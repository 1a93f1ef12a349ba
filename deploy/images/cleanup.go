package images

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"twokey/ops"
)

// cleanup is "image cleanup REPO… --keep N": class R3. It deletes the images that nothing
// uses, but for the newest N of each repository.
type cleanup struct{ sites map[string]Site }

const kindCleanup = "image cleanup"

const (
	paramEnvironment = "environment"
	paramRepository  = "repository"
	paramDigests     = "digests" // of the images to delete, by comma, in this order
	// maxDeleted is how many images one run deletes: they are all in its record.
	maxDeleted = 300
	// perBatch is how many BatchDeleteImage takes.
	perBatch = 100
)

func (o cleanup) Kind() string { return kindCleanup }

func (o cleanup) Step(ref ops.StepRef) (ops.Step, error) {
	if ref.Name != "delete" || ref.Version != 1 {
		return nil, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	site, err := pick(o.sites, ref.Params[paramEnvironment])
	if err != nil {
		return nil, err
	}
	return deleteStep{site, ref.Params[paramRepository], strings.Split(ref.Params[paramDigests], ",")}, nil
}

// verdict is what becomes of one image, and why.
type verdict struct {
	image
	Keep string // why it is kept; empty: it is deleted
}

// decide says which images of a repository are deleted: none of the newest keep, none
// younger than age or pulled within it, none that anything uses. An image of several
// platforms and its parts are kept or deleted together.
func decide(repo string, all []image, keep int, age time.Duration, now time.Time, u usage) []verdict {
	lists := map[string][]int{} // by digest of a part, the lists it is in
	for i, x := range all {
		for _, part := range x.Parts {
			lists[part] = append(lists[part], i)
		}
	}
	at := map[string]int{}
	for i, x := range all {
		at[x.Digest] = i
	}
	verdicts := make([]verdict, len(all))
	newest := 0
	for i, x := range all { // newest first
		verdicts[i] = verdict{image: x}
		v := &verdicts[i]
		if who := u.by(repo, x); who != "" {
			v.Keep = "used by " + who
		}
		if len(lists[x.Digest]) > 0 {
			continue // a part: its lists count
		}
		if newest++; v.Keep == "" && newest <= keep {
			v.Keep = fmt.Sprintf("among the newest %d", keep)
		}
		if last := later(x.Pushed, x.Pulled); v.Keep == "" && age > 0 && now.Sub(last) < age {
			v.Keep = "pushed or pulled lately"
		}
		for _, part := range x.Parts {
			if j, ok := at[part]; ok && v.Keep == "" {
				if who := u.by(repo, all[j]); who != "" {
					v.Keep = "a part is used by " + who
				}
			}
		}
	}
	// What is kept keeps its parts, and theirs.
	for again := true; again; {
		again = false
		for i := range verdicts {
			for _, part := range verdicts[i].Parts {
				if j, ok := at[part]; ok && verdicts[i].Keep != "" && verdicts[j].Keep == "" {
					verdicts[j].Keep, again = "a part of "+short(verdicts[i].Digest), true
				}
			}
		}
	}
	return verdicts
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// deletions are the images to delete, lists before their parts: ECR refuses a part that a
// list names.
func deletions(verdicts []verdict) []image {
	var lists, others []image
	for _, v := range verdicts {
		switch {
		case v.Keep != "":
		case len(v.Parts) > 0:
			lists = append(lists, v.image)
		default:
			others = append(others, v.image)
		}
	}
	return append(lists, others...)
}

// Plan lists the images to delete. The list is frozen: a run deletes none beside them.
func (o cleanup) Plan(ctx context.Context, call ops.Call) (ops.Plan, error) {
	site, err := pick(o.sites, call.Environment)
	if err != nil {
		return ops.Plan{}, err
	}
	keep, age, err := cleanupFlags(call)
	if err != nil {
		return ops.Plan{}, err
	}
	repos := slices.Compact(slices.Sorted(slices.Values(call.Args)))
	for _, repo := range repos {
		if err := checkName(repo); err != nil {
			return ops.Plan{}, err
		}
	}
	number, err := site.Verify(ctx)
	if err != nil {
		return ops.Plan{}, err
	}
	cfg := site.ForPlan(call.Kind)
	api := ecr.NewFromConfig(cfg)
	u, err := site.wholeUsage(ctx, ecs.NewFromConfig(cfg), cloudformation.NewFromConfig(cfg))
	if err != nil {
		return ops.Plan{}, err
	}
	p := ops.Plan{
		Call: call, Class: ops.R3, Confirm: repos[0], Targets: repos,
		Undo:  []string{"None: a deleted image is gone. Those not deleted yet stay."},
		Keeps: []string{"the images gone."},
		Shown: []ops.Line{{Label: "Account", Text: number + ", " + site.Region}},
	}
	total, bytes, more := 0, int64(0), 0
	for _, repo := range repos {
		if _, err := site.repository(ctx, api, repo); err != nil {
			return ops.Plan{}, err
		}
		all, err := site.images(ctx, api, repo)
		if err != nil {
			return ops.Plan{}, err
		}
		verdicts := decide(repo, all, keep, age, time.Now(), u)
		list := deletions(verdicts)
		if n := maxDeleted - total; len(list) > n {
			more += len(list) - n
			list = list[:n]
		}
		total += len(list)
		var digests, shown []string
		for _, i := range list {
			digests = append(digests, i.Digest)
			shown = append(shown, i.text())
			bytes += i.Size
		}
		p.Shown = append(p.Shown, ops.Line{Label: repo, Text: fmt.Sprintf("%d of %d images; kept: %s", len(list), len(all), reasons(verdicts))})
		if len(list) == 0 {
			continue
		}
		p.Shown = append(p.Shown, ops.Line{Label: "Deleted of " + repo, Text: brief(shown, 25)})
		p.Locks = append(p.Locks, site.Lock(number, "image repository", repo))
		p.Steps = append(p.Steps, ops.StepRef{Name: "delete", Version: 1, Title: fmt.Sprintf("delete %d images of %s", len(list), repo), Params: map[string]string{
			paramEnvironment: call.Environment, paramRepository: repo, paramDigests: strings.Join(digests, ","),
		}})
	}
	if total == 0 {
		return ops.Plan{}, &ops.UserError{What: "nothing to delete: every image is kept", Next: p.Shown[len(p.Shown)-1].Label + ": " + p.Shown[len(p.Shown)-1].Text + "."}
	}
	p.Title = fmt.Sprintf("Delete %d images of %s in %s", total, brief(repos, 3), site.Where())
	p.Effect = fmt.Sprintf("deletes %d images (%s) that nothing uses; those used when it comes to them stay", total, size(bytes))
	if more > 0 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%d more could go; one run deletes at most %d. Ask again afterwards.", more, maxDeleted))
	}
	p.Warnings = append(p.Warnings, fmt.Sprintf("Looked at: task definitions, services, tasks and stack parameters of %s. What other accounts, regions or programs use is not known.", site.Where()))
	return p, nil
}

func cleanupFlags(call ops.Call) (keep int, age time.Duration, err error) {
	keep, err = strconv.Atoi(call.Flags["keep"])
	if err != nil || keep < 1 {
		return 0, 0, &ops.UserError{What: fmt.Sprintf("--keep %s says not how many of the newest stay", call.Flags["keep"]), Next: "Give a number of at least 1."}
	}
	if text := call.Flags["older-than"]; text != "" {
		days, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
		if err != nil || days < 1 || !strings.HasSuffix(text, "d") {
			return 0, 0, &ops.UserError{What: fmt.Sprintf("--older-than %s is no number of days", text), Next: "Write it like 30d."}
		}
		age = time.Duration(days) * 24 * time.Hour
	}
	if len(call.Args) == 0 {
		return 0, 0, &ops.UserError{What: "Which repository?", Next: "Name at least one."}
	}
	return keep, age, nil
}

// wholeUsage reads all usage within one plan or answer.
func (s Site) wholeUsage(ctx context.Context, services Services, stacks Stacks) (usage, error) {
	known := definitions{}
	for {
		u, more, err := s.usage(ctx, services, stacks, known)
		if err != nil || !more {
			return u, err
		}
	}
}

// reasons counts why images are kept.
func reasons(verdicts []verdict) string {
	count := map[string]int{}
	var order []string
	for _, v := range verdicts {
		if v.Keep == "" {
			continue
		}
		why := v.Keep
		switch {
		case strings.HasPrefix(why, "used by"), strings.HasPrefix(why, "a part is used by"):
			why = "used"
		case strings.HasPrefix(why, "a part of"):
			why = "parts of kept ones"
		}
		if count[why]++; count[why] == 1 {
			order = append(order, why)
		}
	}
	var parts []string
	for _, why := range order {
		parts = append(parts, fmt.Sprintf("%d %s", count[why], why))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
