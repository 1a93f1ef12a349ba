package approvals

import (
	"context"
	"errors"
	"fmt"
)

// Store keeps requests. Its one implementation is approvals/approvalsredis;
// approvals/approvalstest holds the suite it passes.
type Store interface {
	// Create stores a new request unless its trigger is known; it returns the one
	// stored, and whether it was made now.
	Create(ctx context.Context, r Request) (Request, bool, error)
	// Get returns a request, or ErrNotFound.
	Get(ctx context.Context, id string) (Request, error)
	// Find returns the id that ends in suffix (any case, 5 characters or more):
	// ErrNotFound, or *AmbiguousError.
	Find(ctx context.Context, suffix string) (string, error)
	// Update writes r if the stored Rev is still r.Rev, raising it; else ErrConflict.
	Update(ctx context.Context, r Request) (Request, error)
	// Open returns the ids of requests pending or approved, oldest first.
	Open(ctx context.Context) ([]string, error)
	// Changed returns up to n requests written since they were last settled.
	Changed(ctx context.Context, n int) ([]Changed, error)
	// Settle says the reader has dealt with everything up to c.Rev.
	Settle(ctx context.Context, c Changed) error
}

// Changed names a request written since it was last settled.
type Changed struct {
	ID  string
	Rev int64
}

// Launcher makes runs. Launch is called at least once for each approved request,
// and must be idempotent by id. InterruptLaunch is not possible: once Launch was
// called, cancelling is the run's matter.
type Launcher interface {
	Launch(ctx context.Context, r Request) error
}

// Directory tells who people are, asked of Slack at that moment.
type Directory interface {
	Person(ctx context.Context, user string) (Person, error)
	// Member reports whether the user is in the user group now.
	Member(ctx context.Context, user, group string) (bool, error)
}

// Errors of the store.
var (
	ErrNotFound = errors.New("no such request")
	ErrConflict = errors.New("the request was changed meanwhile")
)

// AmbiguousError lists the ids a short form may mean.
type AmbiguousError struct {
	Suffix string
	IDs    []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q may mean %d requests", e.Suffix, len(e.IDs))
}

// RefusedError says why a person may not do this, to be told to them alone.
//
// Why and Next are plain text in which only the tokens <@U…>, <#C…> and
// <!subteam^S…> are mentions, made here of ids from configuration and requests:
// who shows them escapes everything else. No text of a person is ever part of them.
type RefusedError struct {
	Why   string // "you asked for this run; somebody else must approve it"
	Next  string // what to do; may be empty
	Cause error  // what errors.Is and As see further; may be nil
}

func (e *RefusedError) Error() string  { return e.Why }
func (e *RefusedError) Advice() string { return e.Next }
func (e *RefusedError) Unwrap() error  { return e.Cause }

// LapsedError says that a request waits for votes again, because those who approved it
// before may not any more, or because the policy now asks for more. Voters are those whose
// approvals were taken back.
type LapsedError struct{ Voters []string }

func (e *LapsedError) Error() string {
	if len(e.Voters) == 0 {
		return "more approvals are needed now than when it was asked"
	}
	return "not allowed to approve this any more, so not counted: " + list(mentions("<@", e.Voters), "and")
}

// ErrLaunched says the request has become a run, or is about to.
var ErrLaunched = errors.New("the request is launched")

// EndedError says the request ended before it was launched.
type EndedError struct {
	State State
	By    string // user id of who declined or cancelled; else empty
}

func (e *EndedError) Error() string {
	if e.By == "" {
		return fmt.Sprintf("the request is %s", e.State)
	}
	return fmt.Sprintf("the request was %s by <@%s>", e.State, e.By)
}
