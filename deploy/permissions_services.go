package deploy

const (
	anyService    = "arn:aws:ecs:REGION:ACCOUNT:service/*/*"
	anyDefinition = "arn:aws:ecs:REGION:ACCOUNT:task-definition/*:*"
)

// servicePermissions is what the operations in deploy/services need.
var servicePermissions = map[string][]Permission{
	"ecs status": {
		{Action: "ecs:DescribeServices", Resource: anyService, Why: "deployments, counts and events"},
		{Action: "ecs:DescribeTaskDefinition", Resource: "*", Why: "the images"},
		{Action: "ecs:ListTasks", Resource: "*", Why: "tasks that stopped"},
		{Action: "ecs:DescribeTasks", Resource: "arn:aws:ecs:REGION:ACCOUNT:task/*/*", Why: "why they stopped"},
	},
	"ecs deploy": {
		{Action: "ecs:DescribeServices", Resource: anyService, Why: "the service and its deployments"},
		{Action: "ecs:DescribeTaskDefinition", Resource: "*", Why: "the present definition"},
		{Action: "ecs:ListTaskDefinitions", Resource: "*", Why: "finding the new definition again after a crash"},
		{Action: "ecr:DescribeImages", Resource: anyRepository, Why: "the image's digest"},
		{Action: "iam:GetRole", Resource: "arn:aws:iam::ACCOUNT:role/TASK-ROLES", Why: "whether the definition's roles exist"},
		{Action: "secretsmanager:DescribeSecret", Resource: "arn:aws:secretsmanager:REGION:ACCOUNT:secret:*", Why: "whether what it reads exists; no value is read"},
		{Action: "ssm:DescribeParameters", Resource: "*", Why: "whether what it reads exists; no value is read"},
		{Action: "ecs:ListContainerInstances", Resource: "arn:aws:ecs:REGION:ACCOUNT:cluster/*", Why: "where there is room for tasks"},
		{Action: "ecs:DescribeContainerInstances", Resource: "arn:aws:ecs:REGION:ACCOUNT:container-instance/*/*", Why: "how much room there is"},
		{Action: "application-autoscaling:DescribeScalableTargets", Resource: "*", Why: "what scales the service meanwhile"},
		{Action: "application-autoscaling:DescribeScalingPolicies", Resource: "*", Why: "what scales the service meanwhile"},
		{Action: "ecs:RegisterTaskDefinition", Resource: "*", Why: "the new definition"},
		{Action: "ecs:TagResource", Resource: anyDefinition, Why: "the tag by which it is found again", Indirect: true},
		{Action: "ecs:UpdateService", Resource: anyService, Why: "the deploy, and its undo"},
		{Action: "ecs:ListTasks", Resource: "*", Why: "what the tasks run, and those that stopped"},
		{Action: "ecs:DescribeTasks", Resource: "arn:aws:ecs:REGION:ACCOUNT:task/*/*", Why: "their digests, and why they stopped"},
		{Action: "ecs:ListServiceDeployments", Resource: anyService, Why: "a cancel"},
		{Action: "ecs:StopServiceDeployment", Resource: "arn:aws:ecs:REGION:ACCOUNT:service-deployment/*/*/*", Why: "a cancel"},
		{Action: "iam:PassRole", Resource: "arn:aws:iam::ACCOUNT:role/TASK-ROLES", Why: "the roles that the definition names", Indirect: true},
	},
	"scale ecs": {
		{Action: "ecs:DescribeServices", Resource: anyService, Why: "how many tasks there are"},
		{Action: "application-autoscaling:DescribeScalableTargets", Resource: "*", Why: "the bounds"},
		{Action: "application-autoscaling:DescribeScalingPolicies", Resource: "*", Why: "what changes the number by itself"},
		{Action: "application-autoscaling:RegisterScalableTarget", Resource: "arn:aws:application-autoscaling:REGION:ACCOUNT:scalable-target/*", Why: "new bounds"},
		{Action: "ecs:UpdateService", Resource: anyService, Why: "how many tasks there are to be"},
	},
}
