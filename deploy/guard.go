package deploy

import (
	"context"
	"fmt"
	"slices"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
)

// guard refuses, before they are sent, the calls that Permissions does not list for a kind
// of work, so that the policies made of that list cannot be too narrow. Observe may be
// nil.
func guard(kind string, observe func(kind, action string)) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Serialize.Add(middleware.SerializeMiddlewareFunc("twokey: listed calls only",
			func(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (middleware.SerializeOutput, middleware.Metadata, error) {
				action := Action(awsmiddleware.GetServiceID(ctx), awsmiddleware.GetOperationName(ctx))
				if observe != nil {
					observe(kind, action)
				}
				if action != freeAction && !slices.ContainsFunc(permissions[kind], func(p Permission) bool { return p.Action == action }) {
					return middleware.SerializeOutput{}, middleware.Metadata{}, fmt.Errorf("%q is not listed as needing %s", kind, action)
				}
				return next.HandleSerialize(ctx, in)
			}), middleware.Before)
	}
}

// freeAction needs no permission.
const freeAction = "sts:GetCallerIdentity"

// iamNames are the services' names in IAM policies, by the SDK's names for them.
// Sources: the service authorization reference of AWS.
var iamNames = map[string]string{
	"Application Auto Scaling":  "application-autoscaling",
	"Auto Scaling":              "autoscaling",
	"CloudFormation":            "cloudformation",
	"CloudFront":                "cloudfront",
	"CloudWatch Logs":           "logs",
	"CodeBuild":                 "codebuild",
	"EC2":                       "ec2",
	"ECR":                       "ecr",
	"ECS":                       "ecs",
	"EMR":                       "elasticmapreduce",
	"IAM":                       "iam",
	"Elastic Load Balancing v2": "elasticloadbalancing",
	"Route 53":                  "route53",
	"S3":                        "s3",
	"SQS":                       "sqs",
	"SSM":                       "ssm",
	"STS":                       "sts",
	"Secrets Manager":           "secretsmanager",
}

// iamActions are the calls whose permission has another name.
var iamActions = map[string]string{
	"s3:CompleteMultipartUpload": "s3:PutObject",
	"s3:CopyObject":              "s3:PutObject",
	"s3:CreateMultipartUpload":   "s3:PutObject",
	"s3:DeleteObjects":           "s3:DeleteObject",
	"s3:HeadBucket":              "s3:ListBucket",
	"s3:HeadObject":              "s3:GetObject",
	"s3:ListObjectVersions":      "s3:ListBucketVersions",
	"s3:ListObjectsV2":           "s3:ListBucket",
	"s3:PutBucketEncryption":     "s3:PutEncryptionConfiguration",
	"s3:PutPublicAccessBlock":    "s3:PutBucketPublicAccessBlock",
	"s3:GetPublicAccessBlock":    "s3:GetBucketPublicAccessBlock",
	"s3:GetBucketEncryption":     "s3:GetEncryptionConfiguration",
	"s3:UploadPart":              "s3:PutObject",
}

// Action is the IAM action of a call: "cloudformation:CreateChangeSet".
func Action(serviceID, operation string) string {
	service := serviceID
	if name, ok := iamNames[serviceID]; ok {
		service = name
	}
	action := service + ":" + operation
	if other, ok := iamActions[action]; ok {
		return other
	}
	return action
}
