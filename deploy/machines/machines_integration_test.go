//go:build integration

package machines

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"twokey/deploy/deploytest"
	"twokey/ops"
)

func TestMain(m *testing.M) {
	deploytest.Main(m, "asg describe", "scale asg", "asg refresh", "ec2 terminate")
}

// TestEmulatedMachines scales a group whose members exist in the emulator, takes it back,
// and ends a machine by name.
func TestEmulatedMachines(t *testing.T) {
	const region = "eu-central-1"
	account, _ := deploytest.Emulated(t, region, nil)
	cfg := deploytest.Direct(t, region, deploytest.Moto())
	machines, groups := ec2.NewFromConfig(cfg), autoscaling.NewFromConfig(cfg)
	images, err := machines.DescribeImages(t.Context(), &ec2.DescribeImagesInput{})
	if err != nil || len(images.Images) == 0 {
		t.Fatal(err)
	}
	_, err = groups.CreateLaunchConfiguration(t.Context(), &autoscaling.CreateLaunchConfigurationInput{LaunchConfigurationName: aws.String("web"), ImageId: images.Images[0].ImageId, InstanceType: aws.String("t3.micro")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = groups.CreateAutoScalingGroup(t.Context(), &autoscaling.CreateAutoScalingGroupInput{AutoScalingGroupName: aws.String("web"), LaunchConfigurationName: aws.String("web"),
		MinSize: aws.Int32(1), MaxSize: aws.Int32(4), DesiredCapacity: aws.Int32(2), AvailabilityZones: []string{region + "a"}})
	if err != nil {
		t.Fatal(err)
	}
	sites := map[string]Site{"staging": {account}}
	op := scaleGroup{sites}
	b := bench(t, op, "web 4", "max=6")
	if p := run(t, op, b, nil); p.Phase != ops.Done || p.Status.Headline != "web: 4 instances in service" {
		t.Errorf("%+v", p)
	}
	if e := back(t, op, b)[groupKey]; e.State != ops.Restored {
		t.Errorf("%+v", e)
	}
	_, err = machines.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: images.Images[0].ImageId, MinCount: aws.Int32(2), MaxCount: aws.Int32(2), TagSpecifications: []ec2types.TagSpecification{{
		ResourceType: "instance", Tags: []ec2types.Tag{{Key: aws.String("Name"), Value: aws.String("old")}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	end := terminate{sites}
	b = bench(t, end, "old", "")
	p := run(t, end, b, nil)
	t.Log(p.Status.Headline)
	if p.Phase != ops.Done || p.Status.Headline != "2 instances are terminated" {
		t.Errorf("%+v", p)
	}
	a, err := describeGroup{sites}.Answer(t.Context(), ops.Call{Kind: "asg describe", Environment: "staging", Args: []string{"web"}})
	if err != nil || !strings.HasPrefix(a.Title, "web in staging (eu-central-1): 2 of 2 in service") {
		t.Errorf("%+v, %v", a, err)
	}
}
