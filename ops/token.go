package ops

import "fmt"

// Token is the client token of the current attempt of a step: unique to run, step
// and attempt, the same however often the start is repeated. Letters, digits and
// hyphens only, because CloudFormation's ClientRequestToken takes no others.
func (r *Run) Token(step int) string {
	return fmt.Sprintf("%s-%d-%d", r.ID, step, r.Attempt)
}
