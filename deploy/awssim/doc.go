// Package awssim is a simulated CloudFormation, and as much STS as role assumption
// needs, on AWS's query protocol. Unit tests and the sandbox talk to it with the
// real SDK.
//
// It behaves as the real service where it hurts: stacks that roll back with the cause
// buried under cancelled resources or in a nested stack, deleted stacks found by ARN
// only, events in pages newest first, NoEcho values as ****, throttling and refusals
// when told to (Fail). It does not check signatures, only that there is one.
//
// A stack's status and events are those whose time has come: events dated in the
// future appear as the clock gets there, so a stack "in progress" progresses.
package awssim
