package approvals

import (
	"context"
	"encoding/json"
	"log/slog"
)

// Options are a Service's parts.
type Options struct {
	Store     Store
	Launcher  Launcher
	Directory Directory
	Policy    Policy
	Log       *slog.Logger
}

// Service takes requests and votes, and launches what was agreed.
type Service struct{ o Options }

// New returns a service; Run starts its sweeper.
func New(o Options) *Service { return &Service{o: o} }

// Ask is what Submit makes a request of.
type Ask struct {
	// Trigger ties the request to what caused it (a Slack command, a superseded
	// run): the same trigger is the same request.
	Trigger     string
	Environment string
	Class       string
	Title       string
	Digest      string
	Sealed      json.RawMessage
	Requester   string
	Supersedes  string
}

// Ballot is a vote as it was given.
type Ballot struct {
	Request string // full id
	Voter   string
	Approve bool
	Via     Via
	Reason  string
}

// Submit checks that the requester may ask, and stores the request. A repeated
// trigger returns the request made first, and false.
func (s *Service) Submit(ctx context.Context, a Ask) (Request, bool, error) { panic("contract") }

// Vote counts a ballot on the digest its card shows. Errors for the voter alone are
// *RefusedError. A repeated ballot changes nothing and is no error.
func (s *Service) Vote(ctx context.Context, b Ballot) (Request, error) { panic("contract") }

// Withdraw takes a vote back that was given via a reaction, before the launch.
// No such vote: no error.
func (s *Service) Withdraw(ctx context.Context, id, voter string, approve bool) (Request, error) {
	panic("contract")
}

// Cancel ends a request that is not launched yet. The requester or an approver may.
// ErrLaunched says it is the run that must be cancelled.
func (s *Service) Cancel(ctx context.Context, id, by, reason string) (Request, error) {
	panic("contract")
}

// MayControl returns nil if the user may cancel, pause or resume the request's run:
// its requester, or somebody who may approve. Else *RefusedError, or the error of
// asking Slack.
func (s *Service) MayControl(ctx context.Context, id, user string) error { panic("contract") }

// MarkSuperseded notes on a launched request which one replaces it.
func (s *Service) MarkSuperseded(ctx context.Context, id, by string) error { panic("contract") }

// Get returns a request, or ErrNotFound.
func (s *Service) Get(ctx context.Context, id string) (Request, error) { return s.o.Store.Get(ctx, id) }

// Find resolves a short id.
func (s *Service) Find(ctx context.Context, suffix string) (string, error) {
	return s.o.Store.Find(ctx, suffix)
}

// Open returns the requests pending or approved, oldest first.
func (s *Service) Open(ctx context.Context) ([]Request, error) { panic("contract") }

// Changed and Settle let a reader follow all requests; see Store.
func (s *Service) Changed(ctx context.Context, n int) ([]Changed, error) {
	return s.o.Store.Changed(ctx, n)
}

// Settle says the reader has dealt with everything up to c.Rev.
func (s *Service) Settle(ctx context.Context, c Changed) error { return s.o.Store.Settle(ctx, c) }

// Policy returns the policy in force.
func (s *Service) Policy() Policy { return s.o.Policy }

// Run launches what is approved and expires what is due, each second, until ctx
// ends.
func (s *Service) Run(ctx context.Context) error { panic("contract") }
