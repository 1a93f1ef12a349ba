// Package awssim is a simulated AWS: CloudFormation with change sets, rollbacks and nested
// stacks, and of STS, ECR, ECS, CodeBuild, EC2, Auto Scaling, Route 53, S3, SQS, EMR,
// Parameter Store and Secrets Manager as much as Twokey asks of them, on their own
// protocols. Unit tests and the sandbox talk to it with the real SDK.
//
// It behaves as the real service where it hurts: stacks that roll back with the cause
// buried under cancelled resources or in a nested stack, deleted stacks found by ARN
// only, events in pages newest first, NoEcho values as ****, throttling and refusals
// when told to (Fail). It does not check signatures, only that there is one.
//
// A stack's status and events are those whose time has come: events dated in the
// future appear as the clock gets there, so a stack "in progress" progresses.
package awssim
