package images

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"twokey/ops"
)

// listImages is "image list REPO".
type listImages struct{ sites map[string]Site }

func (listImages) Kind() string { return "image list" }

// maxRows is how many images an answer lists.
const maxRows = 40

// Answer lists a repository's images, newest first, and who uses each.
func (q listImages) Answer(ctx context.Context, call ops.Call) (ops.Answer, error) {
	site, err := pick(q.sites, call.Environment)
	if err != nil {
		return ops.Answer{}, err
	}
	repo := call.Args[0]
	if err := checkName(repo); err != nil {
		return ops.Answer{}, err
	}
	if _, err := site.Verify(ctx); err != nil {
		return ops.Answer{}, err
	}
	cfg := site.ForPlan(call.Kind)
	api := ecr.NewFromConfig(cfg)
	if _, err := site.repository(ctx, api, repo); err != nil {
		return ops.Answer{}, err
	}
	all, err := site.images(ctx, api, repo)
	if err != nil {
		return ops.Answer{}, err
	}
	a := ops.Answer{Title: fmt.Sprintf("%s in %s: %d images", repo, site.Where(), len(all))}
	u, err := site.wholeUsage(ctx, ecs.NewFromConfig(cfg), cloudformation.NewFromConfig(cfg))
	if err != nil {
		a.Lines = append(a.Lines, "Who uses them is not known: "+err.Error()+".")
	}
	a.Table = &ops.Table{Columns: []string{"Digest", "Tags", "Pushed (UTC)", "Size", "Used by"}}
	for n, i := range all {
		if n == maxRows {
			a.Lines = append(a.Lines, fmt.Sprintf("The newest %d are shown.", maxRows))
			break
		}
		who := "unknown"
		if err == nil {
			who = u.by(repo, i)
		}
		a.Table.Rows = append(a.Table.Rows, []string{short(i.Digest), strings.Join(i.Tags, ", "), i.Pushed.UTC().Format("2006-01-02 15:04"), size(i.Size), who})
	}
	return a, nil
}
