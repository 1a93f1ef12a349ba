// Package deploy is the AWS operations. Offered now, both of class R0:
//
//   - cfn describe STACK: status, reason, times, protection, drift, outputs,
//     parameters and tags of a stack;
//   - cfn events STACK: its newest events and, where it failed or was rolled back,
//     the failure that caused it, inside nested stacks too.
//
// IAM actions needed: cloudformation:DescribeStacks and
// cloudformation:DescribeStackEvents; cloudformation:ListStacks, so that a mistyped name
// gets a suggestion (without it there is none); sts:AssumeRole on the role, where
// one is configured. sts:GetCallerIdentity, which tells the account, needs no permission.
//
// Every answer names environment and region. Values of NoEcho parameters and
// of names that sound secret, passwords in URLs and whatever looks like a key are
// masked before they leave this package.
//
// The calls only read, so the SDK's own retries stay on; an answer takes at most
// patience in all.
package deploy
