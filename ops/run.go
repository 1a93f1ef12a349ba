package ops

import (
	"encoding/json"
	"time"
)

// State is where a run stands; see the picture in the package comment.
type State string

// The states of a run. The last four are endings.
const (
	Starting   State = "starting"
	Running    State = "running"
	Paused     State = "paused"
	Undoing    State = "undoing"
	Succeeded  State = "done"
	FailedRun  State = "failed"
	Cancelled  State = "cancelled"
	Superseded State = "superseded"
)

// Ended reports whether nothing more will happen to the run.
func (s State) Ended() bool {
	return s == Succeeded || s == FailedRun || s == Cancelled || s == Superseded
}

// Run is an approved plan being carried out, or one that ended. It shares its
// request's id. Stored as JSON.
type Run struct {
	ID        string   `json:"id"`
	Plan      Plan     `json:"plan"`
	Digest    string   `json:"digest"` // the one approved
	Requester string   `json:"requester"`
	Approvers []string `json:"approvers"`

	State   State `json:"state"`
	Step    int   `json:"step"`    // index into Plan.Steps: current, or being undone
	Attempt int   `json:"attempt"` // of the current step, from 1; part of the token
	// Begun: the intent to start the current step is written.
	Begun bool `json:"begun"`
	// Notes are the steps' own, by step index.
	Notes   map[int]json.RawMessage `json:"notes,omitempty"`
	Journal []Change                `json:"journal,omitempty"`
	Status  Status                  `json:"status"`

	// Reason says why the run is paused, failed, cancelled or superseded.
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"` // who paused or cancelled; empty: Twokey itself
	// Was is the state to return to from Paused.
	Was State `json:"was,omitempty"`
	// Outcome is the ending being undone towards: FailedRun or Cancelled.
	// OutcomeReason and OutcomeBy are its Reason and By, kept over a pause of the undo.
	Outcome       State  `json:"outcome,omitempty"`
	OutcomeReason string `json:"outcome_reason,omitempty"`
	OutcomeBy     string `json:"outcome_by,omitempty"`
	// Fresh is the plan made at start when it superseded the approved one, and
	// Changed what was different, for people.
	Fresh   *Plan    `json:"fresh,omitempty"`
	Changed []string `json:"changed,omitempty"`
	// Errors counts calls in a row that failed: polls, starts, undos, and the planning
	// at the start. LastError is the latest, for people.
	Errors    int    `json:"errors,omitempty"`
	LastError string `json:"last_error,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	StartedAt time.Time `json:"started_at,omitzero"` // first tick passed its checks
	StepAt    time.Time `json:"step_at,omitzero"`    // current step began
	EndedAt   time.Time `json:"ended_at,omitzero"`

	// Rev counts the writes of the record. Epoch counts claims.
	Rev   int64 `json:"rev"`
	Epoch int64 `json:"epoch"`
}

// Event is something that happened in a run and that people are told, once, in
// order. Seq counts from 1 within the run.
type Event struct {
	Seq  int64     `json:"seq"`
	At   time.Time `json:"at"`
	Kind EventKind `json:"kind"`
	Text string    `json:"text"` // plain sentences or lines; people stand as <@ID>
	File *File     `json:"file,omitempty"`
}

// File is a text too long for a message, shown in the thread as a file with the event.
type File struct {
	Name    string `json:"name"`    // "refused.tsv"
	Content string `json:"content"` // UTF-8, at most MaxFile bytes
}

// MaxFile bounds a File's content; what is longer is cut by its maker, who says so in it.
const MaxFile = 256 << 10

// EventKind says how an event is shown.
type EventKind string

// Milestone is a reply in the thread; the others are too, and also change the
// status message and the card. There is exactly one Ending per run, its last event.
const (
	Milestone EventKind = "milestone"
	WasPaused EventKind = "paused"
	Continued EventKind = "resumed"
	Ending    EventKind = "ending"
)

// Changed names a run whose record was written since it was last settled.
type Changed struct {
	ID  string
	Rev int64
}
