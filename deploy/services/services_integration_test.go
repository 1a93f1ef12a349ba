//go:build integration

package services

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"twokey/deploy/awsproxy"
	"twokey/deploy/deploytest"
	"twokey/ops"
)

func TestMain(m *testing.M) { deploytest.Main(m, "ecs status", "ecs deploy", "scale ecs") }

// TestEmulatedService deploys and scales a service in the emulator, whose rollout the proxy
// makes slow, and takes another deploy back in the middle.
func TestEmulatedService(t *testing.T) {
	const region = "ca-central-1"
	account, proxy := deploytest.Emulated(t, region, nil)
	cfg := deploytest.Direct(t, region, deploytest.MiniStack())
	images, c := ecr.NewFromConfig(cfg), ecs.NewFromConfig(cfg)
	if _, err := images.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("web")}); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"v1", "v2", "v3"} {
		manifest := `{"schemaVersion":2,"tag":"` + tag + `"}`
		if _, err := images.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: aws.String("web"), ImageManifest: &manifest, ImageTag: &tag}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.CreateCluster(t.Context(), &ecs.CreateClusterInput{ClusterName: aws.String("main")}); err != nil {
		t.Fatal(err)
	}
	d, err := c.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{Family: aws.String("web"), ContainerDefinitions: []types.ContainerDefinition{{
		Name: aws.String("app"), Image: aws.String("123456789012.dkr.ecr." + region + ".amazonaws.com/web:v1"), Memory: aws.Int32(64),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateService(t.Context(), &ecs.CreateServiceInput{Cluster: aws.String("main"), ServiceName: aws.String("web"), TaskDefinition: d.TaskDefinition.TaskDefinitionArn, DesiredCount: aws.Int32(2)}); err != nil {
		t.Fatal(err)
	}
	sites := map[string]Site{"staging": {account}}
	proxy.Add(awsproxy.Rule{Service: "application-autoscaling", Action: "DescribeScalableTargets", Times: -1, Bodies: []string{`{"ScalableTargets":[]}`}})
	op := deployService{sites}
	b := bench(t, op, "main/web", "image=v2")
	slow := func(body string) string {
		return strings.ReplaceAll(strings.ReplaceAll(body, `"COMPLETED"`, `"IN_PROGRESS"`), `"runningCount":2`, `"runningCount":1`)
	}
	proxy.Add(awsproxy.Rule{Action: "RegisterTaskDefinition", Drop: true})
	proxy.Add(awsproxy.Rule{Action: "DescribeServices", Skip: 1, Times: 2, Edit: slow})
	p := run(t, op, b, nil)
	t.Log(p.Status.Headline)
	if p.Phase != ops.Done || !strings.HasPrefix(p.Status.Headline, "2 of 2 tasks of main/web run sha256:") {
		t.Errorf("%+v", p)
	}
	if n := len(proxy.Calls("RegisterTaskDefinition")); n != 1 {
		t.Errorf("registered %d times", n)
	}
	proxy.Reset()
	proxy.Add(awsproxy.Rule{Service: "application-autoscaling", Action: "DescribeScalableTargets", Times: -1, Bodies: []string{`{"ScalableTargets":[]}`}})
	b = bench(t, op, "main/web", "image=v3")
	proxy.Add(awsproxy.Rule{Action: "DescribeServices", Skip: 1, Times: 1, Edit: slow})
	run(t, op, b, func(p ops.Progress) bool { return strings.Contains(p.Status.Headline, "new tasks run") })
	b.Change(func(r *ops.Run) { r.Step = 1 })
	// The emulator's list of service deployments is scripted.
	proxy.Add(awsproxy.Rule{Action: "ListServiceDeployments", Times: -1, Bodies: []string{`{"serviceDeployments":[{"serviceDeploymentArn":"arn:aws:ecs:x:1:service-deployment/main/web/1","status":"IN_PROGRESS"}]}`, `{"serviceDeployments":[]}`}})
	proxy.Add(awsproxy.Rule{Action: "StopServiceDeployment", Times: -1, Code: "InvalidParameterException", Message: "it ended just now"})
	if e := back(t, op, b)[serviceKey]; e.State != ops.Restored || len(proxy.Calls("StopServiceDeployment")) != 1 {
		t.Errorf("%+v", e)
	}
	scale := scaleService{sites}
	b = bench(t, scale, "main/web 3", "")
	if p := run(t, scale, b, nil); p.Phase != ops.Done {
		t.Errorf("%+v", p)
	}
	if e := back(t, scale, b)[serviceKey]; e.State != ops.Restored {
		t.Errorf("%+v", e)
	}
	a, err := statusOf{sites}.Answer(t.Context(), ops.Call{Kind: "ecs status", Environment: "staging", Args: []string{"main/web"}})
	if err != nil || !strings.Contains(a.Title, "main/web in staging (ca-central-1): 2 of 2 tasks run") {
		t.Errorf("%+v, %v", a, err)
	}
}
