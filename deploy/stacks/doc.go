// Package stacks is the CloudFormation operations.
//
// A deploy's plan is a change set, which Plan makes and Discard deletes (ops.Preparer):
// what people agree to is that change set, by its ARN. deploy.go plans, card.go shows,
// changeset.go reads change sets, deploystep.go executes and takes back, follow.go reads
// what the events say of one operation, by its client token: statuses alone may be old
// ones. delete.go and recover.go end what a deploy cannot, watch.go follows others'.
//
// A failure's cause is the earliest one that is no mere cancellation, followed into nested
// stacks, deleted ones too (events.go).
package stacks
