package stacks

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// phase is how far a stack's latest operation is.
type phase int

const (
	unknown phase = iota // a status this binary does not know
	waiting              // nothing runs: a change set waits to be executed
	running
	done
	failed // for good, or rolled back
)

func (p phase) String() string {
	return [...]string{"in a state Twokey does not know", "waiting", "running", "done", "failed"}[p]
}

// title names a stack, its place and how far it is: "web in staging (eu-west-1):
// failed (ROLLBACK_COMPLETE)". The word comes first, since statuses mislead.
func (p *reader) title(s types.Stack) string {
	return fmt.Sprintf("%s in %s: %s (%s)", aws.ToString(s.StackName), p.Where(), phaseOf(s.StackStatus), s.StackStatus)
}

// phaseOf says what a stack's status means. Rolled back counts as failed: the stack
// is not what was asked for.
func phaseOf(s types.StackStatus) phase {
	t := string(s)
	switch {
	case s == types.StackStatusReviewInProgress:
		return waiting
	case strings.HasSuffix(t, "_IN_PROGRESS"):
		return running
	case strings.HasSuffix(t, "_FAILED"), strings.HasSuffix(t, "ROLLBACK_COMPLETE"):
		return failed
	case strings.HasSuffix(t, "_COMPLETE"):
		return done
	}
	return unknown
}

// goingBack reports whether a status belongs to a rollback.
func goingBack(status string) bool { return strings.Contains(status, "ROLLBACK") }

// meanings puts the statuses that surprise into words.
var meanings = map[types.StackStatus]string{
	types.StackStatusReviewInProgress:                        "Nothing was created yet: a change set waits to be executed.",
	types.StackStatusRollbackInProgress:                      "Creating it failed; what was created is being removed.",
	types.StackStatusRollbackComplete:                        "Creating it failed and was rolled back. It holds nothing and can only be deleted.",
	types.StackStatusRollbackFailed:                          "Creating it failed, and so did the rollback: some resources are left.",
	types.StackStatusCreateFailed:                            "Creating it failed; what was created is kept.",
	types.StackStatusUpdateFailed:                            "The update failed and was not rolled back.",
	types.StackStatusUpdateCompleteCleanupInProgress:         "The update is in effect; replaced resources are being removed.",
	types.StackStatusUpdateRollbackInProgress:                "The update failed; the stack is going back to what it was.",
	types.StackStatusUpdateRollbackCompleteCleanupInProgress: "The update failed and was rolled back; new resources are being removed.",
	types.StackStatusUpdateRollbackComplete:                  "The update failed and was rolled back: the stack is as before it.",
	types.StackStatusUpdateRollbackFailed:                    "The update failed, and so did the rollback: the stack is neither old nor new.",
	types.StackStatusDeleteFailed:                            "Deleting it failed: some resources are left.",
	types.StackStatusDeleteComplete:                          "The stack is deleted.",
	types.StackStatusImportRollbackInProgress:                "The import failed and is being rolled back.",
	types.StackStatusImportRollbackComplete:                  "The import failed and was rolled back.",
	types.StackStatusImportRollbackFailed:                    "The import failed, and so did its rollback.",
}
