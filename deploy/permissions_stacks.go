package deploy

// anyStack is the stacks of the account: a policy for some of them has their names in
// place of the last star but one.
const anyStack = "arn:aws:cloudformation:REGION:ACCOUNT:stack/*/*"

// stackPermissions is what reading and changing stacks needs.
var stackPermissions = map[string][]Permission{
	"cfn describe": {
		{Action: "cloudformation:DescribeStacks", Resource: anyStack, Why: "status, parameters, outputs and tags"},
		{Action: "cloudformation:ListStacks", Resource: "*", Why: "suggestions for a mistyped name"},
	},
	"cfn deploy": {
		{Action: "cloudformation:DescribeStacks", Resource: anyStack, Why: "the stack as it is, before and after"},
		{Action: "cloudformation:DescribeStackEvents", Resource: anyStack, Why: "following the work, inside nested stacks too"},
		{Action: "cloudformation:GetStackPolicy", Resource: anyStack, Why: "a warning where the stack has a policy"},
		{Action: "cloudformation:GetTemplateSummary", Resource: "*", Why: "parameters and capabilities the template needs"},
		{Action: "cloudformation:CreateChangeSet", Resource: anyStack, Why: "the plan"},
		{Action: "cloudformation:DescribeChangeSet", Resource: anyStack, Why: "what is in it, in nested ones too"},
		{Action: "cloudformation:ListChangeSets", Resource: anyStack, Why: "other people's unfinished change sets, and leftovers"},
		{Action: "cloudformation:DeleteChangeSet", Resource: anyStack, Why: "change sets that were not approved"},
		{Action: "cloudformation:ExecuteChangeSet", Resource: anyStack, Why: "the deploy"},
		{Action: "cloudformation:CancelUpdateStack", Resource: anyStack, Why: "a cancel of a running update"},
		{Action: "cloudformation:DeleteStack", Resource: anyStack, Why: "a new stack that is only the empty shell of a change set that was not approved"},
		{Action: "s3:GetObject", Resource: "arn:aws:s3:::BUCKET/*", Why: "templates and parameters in S3"},
		{Action: "s3:PutObject", Resource: "arn:aws:s3:::TEMPLATE-BUCKET/twokey/*", Why: "templates longer than 51,200 bytes"},
		{Action: "ssm:GetParameter", Resource: "arn:aws:ssm:REGION:ACCOUNT:parameter/*", Why: "values given by reference"},
		{Action: "secretsmanager:GetSecretValue", Resource: "arn:aws:secretsmanager:REGION:ACCOUNT:secret:*", Why: "values given by reference"},
		{Action: "iam:PassRole", Resource: "arn:aws:iam::ACCOUNT:role/SERVICE-ROLE", Why: "the role CloudFormation works as, where one is configured", Indirect: true},
	},
	"cfn watch": {
		{Action: "cloudformation:DescribeStacks", Resource: anyStack, Why: "whether anything runs"},
		{Action: "cloudformation:DescribeStackEvents", Resource: anyStack, Why: "following it, inside nested stacks too"},
		{Action: "cloudformation:ListStacks", Resource: "*", Why: "suggestions for a mistyped name"},
	},
	"cfn validate": {
		{Action: "cloudformation:ValidateTemplate", Resource: "*", Why: "what CloudFormation says of a template"},
		{Action: "s3:GetObject", Resource: "arn:aws:s3:::BUCKET/*", Why: "templates in S3"},
	},
	"cfn outputs": {
		{Action: "cloudformation:DescribeStacks", Resource: anyStack, Why: "the outputs"},
		{Action: "cloudformation:ListStacks", Resource: "*", Why: "suggestions for a mistyped name"},
	},
	"cfn drift": {
		{Action: "cloudformation:DescribeStacks", Resource: anyStack, Why: "when drift was looked for last"},
		{Action: "cloudformation:ListStacks", Resource: "*", Why: "suggestions for a mistyped name"},
		{Action: "cloudformation:DetectStackDrift", Resource: anyStack, Why: "looking for drift; CloudFormation also reads each resource with the caller's permissions"},
		{Action: "cloudformation:DetectStackResourceDrift", Resource: anyStack, Why: "checked by CloudFormation as part of it", Indirect: true},
		{Action: "cloudformation:DescribeStackDriftDetectionStatus", Resource: "*", Why: "whether it is over"},
		{Action: "cloudformation:DescribeStackResourceDrifts", Resource: anyStack, Why: "what differs"},
	},
	"cfn recover": {
		{Action: "cloudformation:DescribeStacks", Resource: anyStack, Why: "the status"},
		{Action: "cloudformation:DescribeStackEvents", Resource: anyStack, Why: "what failed, and following it"},
		{Action: "cloudformation:ListStackResources", Resource: anyStack, Why: "which resources failed"},
		{Action: "cloudformation:ListStacks", Resource: "*", Why: "suggestions for a mistyped name"},
		{Action: "cloudformation:ContinueUpdateRollback", Resource: anyStack, Why: "from UPDATE_ROLLBACK_FAILED"},
		{Action: "cloudformation:RollbackStack", Resource: anyStack, Why: "from UPDATE_FAILED and CREATE_FAILED"},
	},
	"cfn delete": {
		{Action: "cloudformation:DescribeStacks", Resource: anyStack, Why: "status and protection"},
		{Action: "cloudformation:DescribeStackEvents", Resource: anyStack, Why: "following it"},
		{Action: "cloudformation:ListStackResources", Resource: anyStack, Why: "what ends with it, and what holds it"},
		{Action: "cloudformation:GetTemplate", Resource: anyStack, Why: "which resources stay"},
		{Action: "cloudformation:ListImports", Resource: "*", Why: "stacks that use its outputs"},
		{Action: "s3:GetObject", Resource: "arn:aws:s3:::TEMPLATE-BUCKET/twokey/*", Why: "whether its template is in the bucket"},
		{Action: "s3:DeleteObject", Resource: "arn:aws:s3:::TEMPLATE-BUCKET/twokey/*", Why: "its template"},
		{Action: "s3:ListBucketVersions", Resource: anyBucket, Why: "whether its buckets hold objects"},
		{Action: "route53:ListHostedZones", Resource: "*", Why: "DNS records that lead to it"},
		{Action: "route53:ListResourceRecordSets", Resource: "arn:aws:route53:::hostedzone/*", Why: "DNS records that lead to it"},
		{Action: "cloudformation:ListStacks", Resource: "*", Why: "suggestions for a mistyped name"},
		{Action: "cloudformation:DeleteStack", Resource: anyStack, Why: "the deletion"},
	},
	"cfn events": {
		{Action: "cloudformation:DescribeStacks", Resource: anyStack, Why: "which stack is meant, and its status"},
		{Action: "cloudformation:DescribeStackEvents", Resource: anyStack, Why: "what happened, inside nested stacks too"},
		{Action: "cloudformation:ListStacks", Resource: "*", Why: "suggestions for a mistyped name"},
	},
}
