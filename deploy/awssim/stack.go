package awssim

import (
	"slices"
	"time"
)

// Stack is one simulated stack. Its status is that of its own latest event whose
// time has come; a stack without one does not exist yet.
type Stack struct {
	Name, ID    string // ID is the ARN
	Description string
	Parent      string // ARN of the stack it is nested in; empty: none
	Protected   bool
	Drift       string // IN_SYNC, DRIFTED …; empty: NOT_CHECKED
	Parameters  []Parameter
	Outputs     []Output
	Tags        []Tag
	Events      []Event // oldest first
	Template    string  // what change sets are compared with; empty: nothing is known

	children map[string]string // ARNs of nested stacks, by logical name
	rollback *undoing
}

// Parameter is a parameter's value; NoEcho ones are answered as ****.
type Parameter struct {
	Key, Value string
	Resolved   string // of a parameter that names an SSM parameter
	NoEcho     bool
}

// Output is an output; Export is the name under which others import it, or empty.
type Output struct{ Key, Value, Description, Export string }

// Tag is a tag.
type Tag struct{ Key, Value string }

// Event is something that happened to a resource, or, where Type is
// AWS::CloudFormation::Stack and Physical the stack's own ARN, to the stack.
type Event struct {
	At                time.Time
	Logical, Physical string
	Type              string
	Status, Reason    string
	Token             string // ClientRequestToken of the operation
}

// stackType is the type of stacks, nested ones included.
const stackType = "AWS::CloudFormation::Stack"

// past is the events whose time has come.
func (s Stack) past(now time.Time) []Event {
	n := slices.IndexFunc(s.Events, func(e Event) bool { return e.At.After(now) })
	if n < 0 {
		return s.Events
	}
	return s.Events[:n]
}

// at is the stack's status and its reason.
func (s Stack) at(now time.Time) (status, reason string) {
	for _, e := range slices.Backward(s.past(now)) {
		if e.Physical == s.ID {
			return e.Status, e.Reason
		}
	}
	return "", ""
}

// when is the time of the latest own event with this status; zero: none.
func (s Stack) when(status string, now time.Time) time.Time {
	for _, e := range slices.Backward(s.past(now)) {
		if e.Physical == s.ID && e.Status == status {
			return e.At
		}
	}
	return time.Time{}
}
