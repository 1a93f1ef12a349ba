package approvals

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// EventKind is what happens to a request.
type EventKind string

// The events. Vote, Decline, Withdraw and Cancel come of people; Expire, Launching and
// Launch of the Service; Supersede of a run that found the world changed.
const (
	EventVote      EventKind = "vote"      // By approves
	EventDecline   EventKind = "decline"   // By votes against: the request ends
	EventWithdraw  EventKind = "withdraw"  // By's approving vote is taken back
	EventCancel    EventKind = "cancel"    // By ends it
	EventExpire    EventKind = "expire"    // nobody decided in time
	EventLaunching EventKind = "launching" // Launch is about to be called; without a quorum: pending again
	EventLaunch    EventKind = "launch"    // Launch was called and returned no error
	EventSupersede EventKind = "supersede" // Other replaces it
)

// Event is something that happens to a request. Who may cause it is not checked
// here: see Policy.MayVote.
type Event struct {
	Kind   EventKind
	By     string // user id; vote, decline, withdraw, cancel
	Via    Via    // vote, decline
	Reason string // decline, cancel
	Other  string // supersede: the id of the request that replaces this one
	// Quorum is how many approvals are needed if more than the request's own rule
	// says: the policy may have been tightened since.
	Quorum int
}

// Errors of Apply, beside ErrLaunched and *EndedError.
var (
	errNotDue      = errors.New("the request is not due to expire")
	errNotApproved = errors.New("the request is not approved")
)

// Apply returns the request after e, and r itself where e changes nothing (the same
// event again, a withdrawal of no vote). It never changes r. A pending request that
// is past ExpiresAt has expired for all events, before the sweeper says so.
//
// Errors: ErrLaunched, *EndedError, and for the Service's own events plain ones.
func Apply(r Request, e Event, now time.Time) (Request, error) {
	r.Votes = slices.Clone(r.Votes)
	switch e.Kind {
	case EventVote:
		return vote(r, e, now)
	case EventDecline:
		if r.State == Declined && r.By == e.By {
			return r, nil
		}
		if err := open(r, now); err != nil {
			return r, err
		}
		r.setVote(Vote{Voter: e.By, Via: e.Via, At: now, Digest: r.Digest, Reason: e.Reason})
		return r.end(Declined, e, now), nil
	case EventWithdraw:
		return withdraw(r, e, now)
	case EventCancel:
		if r.State == Cancelled && r.By == e.By {
			return r, nil
		}
		if err := open(r, now); err != nil {
			return r, err
		}
		return r.end(Cancelled, e, now), nil
	case EventExpire:
		return expire(r, e, now)
	case EventLaunching, EventLaunch:
		return launch(r, e)
	case EventSupersede:
		return supersede(r, e, now)
	}
	return r, fmt.Errorf("unknown event %q", e.Kind)
}

// Approvals returns the ids of those whose vote counts: they approve the digest of
// this request, and did not ask for it.
func (r Request) Approvals() []string {
	var who []string
	for _, v := range r.Votes {
		if v.Approve && v.Digest == r.Digest && v.Voter != r.Requester && !slices.Contains(who, v.Voter) {
			who = append(who, v.Voter)
		}
	}
	return who
}

// Ended reports whether nothing can happen to the request any more: it ended
// without a launch.
func (r Request) Ended() bool {
	switch r.State {
	case Pending, Approved, Launched:
		return false
	}
	return true
}

func vote(r Request, e Event, now time.Time) (Request, error) {
	i := r.voteOf(e.By)
	same := i >= 0 && r.Votes[i].Approve && r.Votes[i].Via == e.Via && r.Votes[i].Digest == r.Digest
	if err := open(r, now); err != nil {
		if errors.Is(err, ErrLaunched) && i >= 0 && r.Votes[i].Approve {
			return r, nil // the vote that is counted already, come again
		}
		return r, err
	}
	if !same {
		r.setVote(Vote{Voter: e.By, Approve: true, Via: e.Via, At: now, Digest: r.Digest})
	}
	if r.State == Pending && r.quorate(e.Quorum) {
		r.State, r.DecidedAt = Approved, now
	}
	return r, nil
}

func withdraw(r Request, e Event, now time.Time) (Request, error) {
	i := r.voteOf(e.By)
	if i < 0 || !r.Votes[i].Approve {
		return r, nil
	}
	if err := open(r, now); err != nil {
		return r, err
	}
	r.Votes = slices.Delete(r.Votes, i, i+1)
	if r.State == Approved && !r.quorate(e.Quorum) {
		r.State, r.DecidedAt = Pending, time.Time{}
	}
	return r, nil
}

func expire(r Request, e Event, now time.Time) (Request, error) {
	switch {
	case r.State == Expired:
		return r, nil
	case r.State != Pending || now.Before(r.ExpiresAt):
		return r, errNotDue
	}
	return r.end(Expired, e, now), nil
}

func launch(r Request, e Event) (Request, error) {
	switch {
	case r.State == Launched:
		return r, nil
	case r.State != Approved || e.Kind == EventLaunch && !r.Launching:
		return r, errNotApproved
	case !r.Launching && !r.quorate(e.Quorum): // the policy was tightened since
		r.State, r.DecidedAt = Pending, time.Time{}
		return r, nil
	}
	r.Launching = true
	if e.Kind == EventLaunch {
		r.State = Launched
	}
	return r, nil
}

// supersede ends a request that waits; one that is launched keeps its state and
// only learns what replaces it.
func supersede(r Request, e Event, now time.Time) (Request, error) {
	switch {
	case r.SupersededBy == e.Other:
		return r, nil
	case r.SupersededBy != "":
		return r, &EndedError{State: Superseded}
	case r.State == Launched || r.Launching:
		r.SupersededBy = e.Other
		return r, nil
	}
	if r.Ended() {
		return r, &EndedError{State: r.State, By: r.By}
	}
	r = r.end(Superseded, Event{}, now)
	r.SupersededBy = e.Other
	return r, nil
}

// open returns nil while people may still change what becomes of the request.
func open(r Request, now time.Time) error {
	switch {
	case r.State == Launched || r.Launching:
		return ErrLaunched
	case r.State == Pending && !now.Before(r.ExpiresAt):
		return &EndedError{State: Expired}
	case r.State == Pending || r.State == Approved:
		return nil
	}
	return &EndedError{State: r.State, By: r.By}
}

// quorate reports whether enough approve: as many as the request's rule says, or
// least if that is more, and never fewer than one; nobody is asked about what only reads.
func (r Request) quorate(least int) bool {
	if r.Class == readsOnly {
		return true
	}
	return len(r.Approvals()) >= max(1, r.Rule.Quorum, least)
}

func (r Request) end(s State, e Event, now time.Time) Request {
	r.State, r.By, r.Reason, r.DecidedAt = s, e.By, e.Reason, now
	return r
}

func (r Request) voteOf(voter string) int {
	return slices.IndexFunc(r.Votes, func(v Vote) bool { return v.Voter == voter })
}

// setVote puts v in the place of an earlier vote of its voter, or at the end.
func (r *Request) setVote(v Vote) {
	if i := r.voteOf(v.Voter); i >= 0 {
		r.Votes = slices.Delete(r.Votes, i, i+1)
	}
	r.Votes = append(r.Votes, v)
}
