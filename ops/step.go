package ops

import (
	"context"
	"time"
)

// Step is one part of a run. Every method is short (at most 10 seconds; the
// context ends then), may be called again after a crash at any point, by another
// process, and must come to the same end.
//
// The engine writes down that it will start the step, then calls Poll; only if Poll
// says NotStarted does it call Start, with the same token each time within one
// attempt. Undo is called for steps that were started, last first, until it
// says Done.
type Step interface {
	// Start acts. Before each change to the outside it calls Tick.Record, which is
	// fenced, and asks Held as it sends; token is unique to run, step and attempt, for systems that take one.
	Start(ctx context.Context, t *Tick, token string) error
	// Poll looks at the world, never at the record alone.
	Poll(ctx context.Context, t *Tick) (Progress, error)
	// Undo puts back what this step changed, by compare and restore, and settles
	// each of its journal entries. Progress NotStarted means: nothing to undo.
	Undo(ctx context.Context, t *Tick) (Progress, error)
}

// Phase is how far a step is.
type Phase int

// The phases a step's Poll and Undo report.
const (
	NotStarted Phase = iota
	Waiting          // look again after Progress.Wait
	Done             // verified, not assumed
	Failed           // for good: the run is undone
	Blocked          // for a person: the run is paused with Progress.Reason
)

// Progress is what a poll saw.
type Progress struct {
	Phase Phase
	// Wait is until the next poll. Zero: the engine's default, 5 s. Below 1 s it is exact,
	// and takes a worker meanwhile; from there on it may be a second or two longer.
	Wait   time.Duration
	Reason string // why Failed or Blocked, one sentence
	Status Status
}

// Status is the live part of a run's status message. Zero values are left out.
type Status struct {
	Headline string   `json:"headline,omitempty"` // "7 of 24 shards left on n3"
	Done     int64    `json:"done,omitempty"`
	Total    int64    `json:"total,omitempty"`
	Unit     string   `json:"unit,omitempty"` // "shards"
	Lines    []string `json:"lines,omitempty"`
	// ETA is a range; both zero: unknown.
	ETALow  time.Duration `json:"eta_low,omitempty"`
	ETAHigh time.Duration `json:"eta_high,omitempty"`
}

// ChangeState says what became of a journal entry.
type ChangeState string

// A change is intended until it was read back; at the run's end every change is
// restored, kept or left.
const (
	Intended ChangeState = "intended" // written down; perhaps made
	Written  ChangeState = "written"  // made, read back
	Restored ChangeState = "restored" // the value before is back, read back
	Kept     ChangeState = "kept"     // stays changed, as the card said
	Left     ChangeState = "left"     // stays as it is, Reason says why
)

// Change is one journal entry: one value in the outside world that the run
// changes. Nil means the value is absent.
type Change struct {
	Key      string      `json:"key"`      // unique in the run, chosen by the step
	Step     int         `json:"step"`     // set by Tick.Record
	Resource string      `json:"resource"` // "cluster staging"
	Scope    string      `json:"scope,omitempty"`
	Setting  string      `json:"setting"` // "cluster.routing.allocation.exclude._name"
	Before   *string     `json:"before"`
	Intended *string     `json:"intended"`
	After    *string     `json:"after,omitempty"` // as read back last
	State    ChangeState `json:"state"`
	Reason   string      `json:"reason,omitempty"`
}
