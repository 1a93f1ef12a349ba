//go:build integration

package images

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"twokey/deploy/awsproxy"
	"twokey/deploy/deploytest"
	"twokey/deploy/templates"
	"twokey/deploy/templates/templatestest"
	"twokey/ops"
	"twokey/ops/opstest"
)

func TestMain(m *testing.M) {
	deploytest.Main(m, "image list", "image build", "image promote", "image cleanup")
}

// TestEmulatedImages builds (CodeBuild's answers are scripted), promotes, lists and cleans
// up in the emulator.
func TestEmulatedImages(t *testing.T) {
	t.Parallel()
	const region = "us-west-1"
	account, proxy := deploytest.Emulated(t, region, nil)
	admin := ecr.NewFromConfig(deploytest.Direct(t, region, deploytest.MiniStack()))
	repo := fmt.Sprintf("web-%d", time.Now().UnixNano()%1e9)
	dir := templatestest.Repository(t, map[string]string{"Dockerfile": "FROM node\n"})
	sites := map[string]Site{"staging": {Account: account, Builds: map[string]Build{repo: {Project: "node", Repository: "waffle", Dockerfile: "Dockerfile"}},
		Sources: templates.Sources{Repositories: map[string]templates.Repository{"waffle": {URL: dir}}}}}
	push := func(tag string) {
		t.Helper()
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"digest":"sha256:%064x"}}`, tag)
		if _, err := admin.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: &repo, ImageManifest: &manifest, ImageTag: &tag}); err != nil {
			t.Fatal(err)
		}
	}
	finish := func(op ops.Operation, id string, call ops.Call) ops.Run {
		t.Helper()
		rig := opstest.NewRig(t, ops.Options{}, op)
		rig.Most = 100 * time.Millisecond
		rig.Submit(id, call)
		run := rig.Finish(id)
		said := rig.Said(id)
		t.Log(said[len(said)-1].Text)
		return run
	}
	build := func(status string) string {
		return `{"builds":[{"id":"node:1","projectName":"node","buildStatus":"` + status + `","currentPhase":"BUILD","startTime":1.7e9,"logs":{"groupName":"/aws/codebuild/node","streamName":"1"}}],"build":{"id":"node:1"},"ids":[]}`
	}
	proxy.Add(awsproxy.Rule{Action: "StartBuild", Times: -1, Bodies: []string{build("IN_PROGRESS")}})
	proxy.Add(awsproxy.Rule{Action: "ListBuildsForProject", Times: -1, Bodies: []string{build("")}})
	proxy.Add(awsproxy.Rule{Action: "BatchGetBuilds", Times: -1, Skip: 0, Bodies: []string{build("IN_PROGRESS"), build("IN_PROGRESS"), build("SUCCEEDED")}})
	proxy.Add(awsproxy.Rule{Action: "GetLogEvents", Times: -1, Bodies: []string{`{"events":[{"message":"Step 1/3"}]}`}})
	proxy.Add(awsproxy.Rule{Action: "StopBuild", Times: -1, Bodies: []string{build("STOPPED")}})
	project := awsproxy.Rule{Action: "BatchGetProjects", Times: -1, Bodies: []string{`{"projects":[{"name":"node"}]}`}}
	proxy.Add(project)
	pushed := false
	proxy.Add(awsproxy.Rule{Action: "DescribeImages", Match: "imageTag", Times: 1})
	op := buildImages{sites}
	plan, err := op.Plan(t.Context(), call(op, repo, "ref=master"))
	if err != nil {
		t.Fatal(explained(err))
	}
	rig := opstest.NewRig(t, ops.Options{}, op)
	rig.Most = 50 * time.Millisecond
	rig.Submit("01BUILD", plan.Call)
	for range 200 {
		if !pushed {
			if _, err := admin.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: []string{repo}}); err == nil {
				push(strings.TrimPrefix(plan.Targets[0], repo+":"))
				pushed = true
			}
		}
		rig.Tick("01BUILD")
		if rig.Run("01BUILD").State.Ended() {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if run := rig.Run("01BUILD"); run.State != ops.Succeeded {
		t.Errorf("%s: %s", run.State, run.Reason)
	}
	// A second build is cancelled while it runs.
	proxy.Reset()
	proxy.Add(awsproxy.Rule{Action: "StartBuild", Times: -1, Bodies: []string{build("IN_PROGRESS")}})
	proxy.Add(awsproxy.Rule{Action: "ListBuildsForProject", Times: -1, Bodies: []string{build("")}})
	proxy.Add(awsproxy.Rule{Action: "BatchGetBuilds", Times: -1, Bodies: []string{build("IN_PROGRESS"), build("IN_PROGRESS"), build("IN_PROGRESS"), build("STOPPED")}})
	proxy.Add(awsproxy.Rule{Action: "StopBuild", Times: -1, Bodies: []string{build("IN_PROGRESS")}})
	proxy.Add(awsproxy.Rule{Action: "StartBuild", Times: -1, Lose: true})
	proxy.Add(project)
	templatestest.Commit(t, dir, map[string]string{"Dockerfile": "FROM node:20\n"})
	b := bench(t, op, repo, "ref=master")
	proxy.Reset()
	proxy.Add(awsproxy.Rule{Action: "StartBuild", Times: 1, Lose: true})
	proxy.Add(awsproxy.Rule{Action: "StartBuild", Times: -1, Bodies: []string{build("IN_PROGRESS")}})
	proxy.Add(awsproxy.Rule{Action: "ListBuildsForProject", Times: -1, Bodies: []string{build("")}})
	proxy.Add(awsproxy.Rule{Action: "BatchGetBuilds", Times: -1, Bodies: []string{build("IN_PROGRESS"), build("IN_PROGRESS"), build("STOPPED")}})
	proxy.Add(awsproxy.Rule{Action: "StopBuild", Times: -1, Bodies: []string{build("IN_PROGRESS")}})
	run(t, op, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "build, ") })
	if e := back(t, op, b)["image "+repo]; e.State != ops.Restored || len(proxy.Calls("StopBuild")) == 0 {
		t.Errorf("%+v, %d stops", e, len(proxy.Calls("StopBuild")))
	}
	proxy.Reset()

	for _, tag := range []string{"v1", "v2", "v3", "v4"} {
		push(tag)
		time.Sleep(1100 * time.Millisecond) // the emulator tells whole seconds
	}
	if r := finish(promote{sites}, "01PROMOTE", call(promote{}, repo, "from=v2 tag=live")); r.State != ops.Succeeded {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
	if a, err := (listImages{sites}).Answer(t.Context(), ops.Call{Kind: "image list", Environment: "staging", Args: []string{repo}}); err != nil || len(a.Table.Rows) < 4 {
		t.Errorf("%+v, %v", a, err)
	}
	useAll(t, region, repo)
	if r := finish(cleanup{sites}, "01CLEANUP", call(cleanup{}, repo, "keep=1")); r.State != ops.Succeeded {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
	out, err := admin.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: &repo})
	if err != nil {
		t.Fatal(err)
	}
	var tags []string
	for _, i := range out.ImageDetails {
		tags = append(tags, i.ImageTags...)
	}
	if got := strings.Join(tags, " "); !strings.Contains(got, "v1") || !strings.Contains(got, "v4") || strings.Contains(got, "v3") {
		t.Errorf("left: %s", got)
	}
	// The emulator deletes an image by one of its tags, so this comes last.
	b = bench(t, promote{sites}, repo, "from=v4 tag=fresh")
	run(t, promote{sites}, b, nil)
	if e := back(t, promote{sites}, b)[tagKey]; e.State != ops.Restored {
		t.Errorf("%+v", e)
	}
	// A missing permission is named.
	proxy.Add(awsproxy.Rule{Action: "PutImage", Times: -1, Code: "AccessDeniedException", Message: "User: arn:aws:iam::123456789012:user/u is not authorized to perform: ecr:PutImage on resource: " + repo})
	b = bench(t, promote{sites}, repo, "from=v1 tag=again")
	step, err := promote{sites}.Step(b.Run().Plan.Steps[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), 0, step); err == nil || !strings.Contains(err.Error(), "do ecr:PutImage in staging (us-west-1) on "+repo) {
		t.Error(err)
	}
}

// useAll makes a task definition, a service and a task use v1.
func useAll(t *testing.T, region, repo string) {
	t.Helper()
	c := ecs.NewFromConfig(deploytest.Direct(t, region, deploytest.MiniStack()))
	if _, err := c.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("main")}); err != nil {
		t.Fatal(err)
	}
	image := "123456789012.dkr.ecr." + region + ".amazonaws.com/" + repo + ":v1"
	d, err := c.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{Family: &repo, ContainerDefinitions: []ecstypes.ContainerDefinition{{Name: aws.String("app"), Image: &image, Memory: aws.Int32(64)}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateService(t.Context(), &ecs.CreateServiceInput{Cluster: aws.String("main"), ServiceName: &repo, TaskDefinition: d.TaskDefinition.TaskDefinitionArn, DesiredCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RunTask(t.Context(), &ecs.RunTaskInput{Cluster: aws.String("main"), TaskDefinition: d.TaskDefinition.TaskDefinitionArn}); err != nil {
		t.Fatal(err)
	}
}
