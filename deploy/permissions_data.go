package deploy

const (
	anyBucket  = "arn:aws:s3:::BUCKET"
	anyObject  = "arn:aws:s3:::BUCKET/*"
	anyQueue   = "arn:aws:sqs:REGION:ACCOUNT:*"
	anyCluster = "arn:aws:elasticmapreduce:REGION:ACCOUNT:cluster/*"
)

// dataPermissions is what the operations in deploy/data need.
var dataPermissions = map[string][]Permission{
	"s3 create": {
		{Action: "s3:ListBucket", Resource: anyBucket, Why: "whether the bucket exists, and is empty when it is taken back"},
		{Action: "s3:CreateBucket", Resource: anyBucket, Why: "the bucket"},
		{Action: "s3:PutBucketPublicAccessBlock", Resource: anyBucket, Why: "nobody outside can read it"},
		{Action: "s3:GetBucketPublicAccessBlock", Resource: anyBucket, Why: "seeing that"},
		{Action: "s3:PutBucketVersioning", Resource: anyBucket, Why: "--versioning"},
		{Action: "s3:GetBucketVersioning", Resource: anyBucket, Why: "--versioning"},
		{Action: "s3:DeleteBucket", Resource: anyBucket, Why: "an undo, while it is empty"},
	},
	"site sync": {
		{Action: "s3:ListBucket", Resource: anyBucket, Why: "what differs"},
		{Action: "s3:GetBucketVersioning", Resource: anyBucket, Why: "whether what is replaced or deleted is gone for ever"},
		{Action: "s3:PutObject", Resource: anyObject, Why: "the files"},
		{Action: "s3:DeleteObject", Resource: anyObject, Why: "--delete"},
		{Action: "cloudfront:GetDistribution", Resource: "arn:aws:cloudfront::ACCOUNT:distribution/*", Why: "whether it serves the bucket, and under which path"},
		{Action: "cloudfront:CreateInvalidation", Resource: "arn:aws:cloudfront::ACCOUNT:distribution/*", Why: "--distribution"},
		{Action: "cloudfront:GetInvalidation", Resource: "arn:aws:cloudfront::ACCOUNT:distribution/*", Why: "its end"},
	},
	"sqs create": {
		{Action: "sqs:GetQueueUrl", Resource: anyQueue, Why: "whether the queue exists"},
		{Action: "sqs:GetQueueAttributes", Resource: anyQueue, Why: "whether it is as asked for, and empty when it is taken back"},
		{Action: "sqs:CreateQueue", Resource: anyQueue, Why: "the queue"},
		{Action: "sqs:TagQueue", Resource: anyQueue, Why: "the tag that says which run made it", Indirect: true},
		{Action: "sqs:ListQueueTags", Resource: anyQueue, Why: "an undo takes back only what its run made"},
		{Action: "sqs:DeleteQueue", Resource: anyQueue, Why: "an undo, while it is empty"},
	},
	"sqs watch": {
		{Action: "sqs:GetQueueUrl", Resource: anyQueue, Why: "which queue is meant"},
		{Action: "sqs:GetQueueAttributes", Resource: anyQueue, Why: "how many messages it has"},
	},
	"emr create": {
		{Action: "elasticmapreduce:RunJobFlow", Resource: "*", Why: "the cluster"},
		{Action: "elasticmapreduce:AddTags", Resource: anyCluster, Why: "the tag by which it is found again", Indirect: true},
		{Action: "elasticmapreduce:ListClusters", Resource: "*", Why: "finding it again after a crash"},
		{Action: "elasticmapreduce:DescribeCluster", Resource: anyCluster, Why: "following it"},
		{Action: "elasticmapreduce:TerminateJobFlows", Resource: anyCluster, Why: "an undo"},
		{Action: "iam:PassRole", Resource: "arn:aws:iam::ACCOUNT:role/EMR-ROLES", Why: "the cluster's roles", Indirect: true},
	},
	"emr step": {
		{Action: "elasticmapreduce:DescribeCluster", Resource: anyCluster, Why: "whether it takes steps"},
		{Action: "elasticmapreduce:AddJobFlowSteps", Resource: anyCluster, Why: "the step"},
		{Action: "elasticmapreduce:ListSteps", Resource: anyCluster, Why: "finding it again after a crash"},
		{Action: "elasticmapreduce:DescribeStep", Resource: anyCluster, Why: "following it"},
		{Action: "elasticmapreduce:CancelSteps", Resource: anyCluster, Why: "a cancel"},
	},
	"emr status": {
		{Action: "elasticmapreduce:DescribeCluster", Resource: anyCluster, Why: "the state"},
		{Action: "elasticmapreduce:ListSteps", Resource: anyCluster, Why: "the steps"},
	},
	"emr terminate": {
		{Action: "elasticmapreduce:DescribeCluster", Resource: anyCluster, Why: "state and protection"},
		{Action: "elasticmapreduce:ListSteps", Resource: anyCluster, Why: "what runs on it"},
		{Action: "elasticmapreduce:TerminateJobFlows", Resource: anyCluster, Why: "the end"},
	},
}
