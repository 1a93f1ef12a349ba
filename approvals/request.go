package approvals

import (
	"encoding/json"
	"time"
)

// State is where a request stands; see the picture in the package comment.
type State string

// The states of a request. All but Pending and Approved are final.
const (
	Pending    State = "pending"
	Approved   State = "approved" // to be launched
	Launched   State = "launched"
	Declined   State = "declined"
	Expired    State = "expired"
	Cancelled  State = "cancelled"
	Superseded State = "superseded"
)

// Request is a plan waiting for votes. Its plan, digest and rule never change.
type Request struct {
	ID          string `json:"id"` // a ULID; the run made of it has the same
	Trigger     string `json:"trigger"`
	Environment string `json:"environment"`
	Class       string `json:"class"` // "R2"
	Title       string `json:"title"`
	Digest      string `json:"digest"`
	// Sealed is the plan, opaque here: what the Launcher launches and the card shows.
	// It comes back from the store as the same JSON value, perhaps spelled otherwise.
	Sealed    json.RawMessage `json:"sealed"`
	Requester string          `json:"requester"` // user id
	Rule      Rule            `json:"rule"`      // the policy when it was asked

	State     State     `json:"state"`
	Votes     []Vote    `json:"votes,omitempty"` // standing votes, in order; one per voter
	Reason    string    `json:"reason,omitempty"`
	By        string    `json:"by,omitempty"` // who declined or cancelled
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	DecidedAt time.Time `json:"decided_at,omitzero"`
	// Launching, on an approved request: Launch may have been called. It stays set.
	Launching bool `json:"launching,omitempty"`

	Supersedes   string `json:"supersedes,omitempty"` // the run this one replaces
	SupersededBy string `json:"superseded_by,omitempty"`
	Rev          int64  `json:"rev"`
}

// Vote is one person's standing word on a request.
type Vote struct {
	Voter   string    `json:"voter"`
	Approve bool      `json:"approve"`
	Via     Via       `json:"via"`
	At      time.Time `json:"at"`
	Digest  string    `json:"digest"`
	Reason  string    `json:"reason,omitempty"`
}

// Via is how a vote was given.
type Via string

// The three ways.
const (
	ViaButton   Via = "button"
	ViaReaction Via = "reaction"
	ViaTyped    Via = "typed"
)
