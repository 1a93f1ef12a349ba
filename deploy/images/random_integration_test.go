//go:build integration

package images

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"twokey/deploy/deploytest"
	"twokey/ops"
	"twokey/ops/opstest"
)

// pushed is an image that a test put into a registry.
type pushed struct{ tag, digest string }

// users makes things use images in the emulator.
type users struct {
	t      *testing.T
	region string
	ecs    *ecs.Client
	cfn    *cloudformation.Client
	n      int
}

// must is the result of a call of the test's own, which must not fail.
func must[T any](out T, err error) T {
	if err != nil {
		panic(err)
	}
	return out
}

// use makes something use an image, by tag or by digest.
func (u *users) use(r *rand.Rand, repo string, p pushed) {
	u.t.Helper()
	u.n++
	name := fmt.Sprintf("%s-user%d", repo, u.n)
	value := []string{p.tag, p.digest}[r.IntN(2)]
	sep := ":"
	if value == p.digest {
		sep = "@"
	}
	ref := deploytest.Number + ".dkr.ecr." + u.region + ".amazonaws.com/" + repo + sep + value
	ctx, main := u.t.Context(), aws.String("main")
	definition := func() *string {
		d := must(u.ecs.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{Family: &name,
			ContainerDefinitions: []ecstypes.ContainerDefinition{{Name: aws.String("side"), Image: aws.String("redis:7"), Memory: aws.Int32(64)}, {Name: aws.String("app"), Image: &ref, Memory: aws.Int32(64)}}}))
		return d.TaskDefinition.TaskDefinitionArn
	}
	inactive := func(arn *string) {
		must(u.ecs.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: arn}))
	}
	stack := func(parameter, value string) {
		body := fmt.Sprintf(`{"Parameters":{%q:{"Type":"String"}},"Resources":{"Handle":{"Type":"AWS::CloudFormation::WaitConditionHandle"}}}`, parameter)
		must(u.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: &name, TemplateBody: &body,
			Parameters: []cfntypes.Parameter{{ParameterKey: &parameter, ParameterValue: &value}}}))
		u.later(func(ctx context.Context) error {
			_, err := u.cfn.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &name})
			return err
		})
	}
	switch r.IntN(5) {
	case 0:
		arn := definition()
		u.later(func(ctx context.Context) error {
			_, err := u.ecs.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: arn})
			return err
		})
	case 1: // not active any more, but a service still runs it
		arn := definition()
		must(u.ecs.CreateService(ctx, &ecs.CreateServiceInput{Cluster: main, ServiceName: &name, TaskDefinition: arn, DesiredCount: aws.Int32(1)}))
		inactive(arn)
		u.later(func(ctx context.Context) error {
			_, err := u.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: main, Service: &name, Force: aws.Bool(true)})
			return err
		})
	case 2: // nor is this, which a task runs
		arn := definition()
		out := must(u.ecs.RunTask(ctx, &ecs.RunTaskInput{Cluster: main, TaskDefinition: arn}))
		inactive(arn)
		u.later(func(ctx context.Context) error {
			_, err := u.ecs.StopTask(ctx, &ecs.StopTaskInput{Cluster: main, Task: out.Tasks[0].TaskArn})
			return err
		})
	case 3:
		stack("Image", ref)
	default:
		stack("ImageTag", value)
	}
}

// later takes a user away at the test's end: the next registry is another account.
func (u *users) later(take func(context.Context) error) {
	u.t.Cleanup(func() {
		if err := take(context.Background()); err != nil {
			u.t.Error(err)
		}
	})
}

// tally is what became of the images of several registries.
type tally struct{ deleted, kept, late, calls int }

// TestEmulatedRandomRegistries cleans up random registries in both emulators, whose images
// are used by definitions, services, tasks and stacks of one of them. In some, something
// begins to use an image between the approval and the run. TWOKEY_TEST_REGISTRIES is how
// many there are in each.
func TestEmulatedRandomRegistries(t *testing.T) {
	t.Parallel()
	n := 50
	if text := os.Getenv("TWOKEY_TEST_REGISTRIES"); text != "" {
		n = must(strconv.Atoi(text))
	}
	for _, tt := range []struct{ name, region, registry string }{
		{"MiniStack", "eu-south-1", deploytest.MiniStack()},
		{"moto", "eu-south-2", deploytest.Moto()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var sum tally
			began := time.Now()
			for seed := range n {
				t.Run(strconv.Itoa(seed), func(t *testing.T) { randomRegistry(t, tt.region, tt.registry, seed, &sum) })
			}
			t.Logf("figure: %d random registries in %s: %d images deleted, %d kept, none of them used; in %d something began to use one after the approval; %.1f s, %d calls",
				n, tt.name, sum.deleted, sum.kept, sum.late, time.Since(began).Seconds(), sum.calls)
			if sum.deleted < n || sum.late < n/10 {
				t.Errorf("only %d deleted, %d late", sum.deleted, sum.late)
			}
		})
	}
}

func randomRegistry(t *testing.T, region, registry string, seed int, sum *tally) {
	account, proxy := deploytest.Emulated(t, region, map[string]string{"ecr": registry})
	admin := ecr.NewFromConfig(deploytest.Direct(t, region, registry))
	cfg := deploytest.Direct(t, region, deploytest.MiniStack())
	u := &users{t: t, region: region, ecs: ecs.NewFromConfig(cfg), cfn: cloudformation.NewFromConfig(cfg)}
	must(u.ecs.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("main")}))
	r := rand.New(rand.NewPCG(uint64(seed), 11))
	repo := fmt.Sprintf("r%d-%d", time.Now().UnixNano()%1e9, seed)
	must(admin.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &repo}))
	var images []pushed
	for i := range 2 + r.IntN(7) {
		tag := fmt.Sprintf("%s-v%d", repo, i)
		content := sha256.Sum256([]byte(tag))
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":1,"digest":"sha256:%x"},
			"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":1,"digest":"sha256:%x"}]}`, content, content)
		out := must(admin.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: &repo, ImageManifest: &manifest, ImageTag: &tag}))
		images = append(images, pushed{tag, *out.Image.ImageId.ImageDigest})
	}
	used := map[string]bool{}
	use := func() {
		p := images[r.IntN(len(images))]
		u.use(r, repo, p)
		used[p.digest] = true
	}
	for range r.IntN(4) {
		use()
	}
	defer func() { sum.calls += len(proxy.Calls("")) }()
	op, keep := cleanup{map[string]Site{"staging": {Account: account}}}, 1+r.IntN(2)
	plan, err := op.Plan(t.Context(), call(op, repo, fmt.Sprintf("keep=%d", keep)))
	if err != nil {
		if !strings.HasPrefix(err.Error(), "nothing to delete") {
			t.Fatal(explained(err))
		}
		sum.kept += len(images)
		return
	}
	if r.IntN(3) == 0 {
		use()
		sum.late++
	}
	b := opstest.NewBench(plan)
	if p := run(t, op, b, nil); p.Phase != ops.Done {
		t.Fatalf("%+v", p)
	}
	now := map[string]bool{}
	for _, i := range must(admin.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: &repo})).ImageDetails {
		now[*i.ImageDigest] = true
	}
	for _, p := range images {
		if used[p.digest] && !now[p.digest] {
			t.Errorf("%s is used and was deleted", p.tag)
		}
	}
	if len(now) < keep {
		t.Errorf("%d images left, want at least %d", len(now), keep)
	}
	sum.deleted, sum.kept = sum.deleted+len(images)-len(now), sum.kept+len(now)
	// What was listed and is still there is left with a reason.
	for _, c := range b.Journal() {
		_, d, _ := strings.Cut(c.Key, "@")
		if now[d] != (c.State == ops.Left && c.Reason != "") || !slices.ContainsFunc(images, func(p pushed) bool { return p.digest == d }) {
			t.Errorf("there %v: %+v", now[d], c)
		}
	}
}
