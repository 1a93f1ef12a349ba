package deploy

const anyGroup = "arn:aws:autoscaling:REGION:ACCOUNT:autoScalingGroup:*:autoScalingGroupName/*"

// machinePermissions is what the operations in deploy/machines need.
var machinePermissions = map[string][]Permission{
	"asg describe": {
		{Action: "autoscaling:DescribeAutoScalingGroups", Resource: "*", Why: "the group and its instances"},
		{Action: "autoscaling:DescribeScalingActivities", Resource: "*", Why: "what it did lately"},
	},
	"scale asg": {
		{Action: "autoscaling:DescribeAutoScalingGroups", Resource: "*", Why: "the group, before and after"},
		{Action: "autoscaling:DescribePolicies", Resource: "*", Why: "what changes the number by itself"},
		{Action: "autoscaling:DescribeScalingActivities", Resource: "*", Why: "why it cannot follow"},
		{Action: "autoscaling:UpdateAutoScalingGroup", Resource: anyGroup, Why: "bounds and number, and their undo"},
	},
	"asg refresh": {
		{Action: "autoscaling:DescribeAutoScalingGroups", Resource: "*", Why: "the group and its instances"},
		{Action: "autoscaling:DescribeInstanceRefreshes", Resource: "*", Why: "refreshes of others, and following this one"},
		{Action: "autoscaling:StartInstanceRefresh", Resource: anyGroup, Why: "the refresh"},
		{Action: "autoscaling:CancelInstanceRefresh", Resource: anyGroup, Why: "a cancel"},
	},
	"ec2 terminate": {
		{Action: "ec2:DescribeInstances", Resource: "*", Why: "which instances are meant, and their state"},
		{Action: "ec2:DescribeInstanceAttribute", Resource: "*", Why: "termination protection"},
		{Action: "ec2:TerminateInstances", Resource: "arn:aws:ec2:REGION:ACCOUNT:instance/*", Why: "the end"},
	},
}
