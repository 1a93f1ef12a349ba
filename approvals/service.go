package approvals

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/oklog/ulid/v2"
)

// Options are a Service's parts. All are needed but Log, whose default is
// slog.Default().
type Options struct {
	Store     Store
	Launcher  Launcher
	Directory Directory
	Policy    Policy
	Log       *slog.Logger
}

// Service takes requests and votes, and launches what was agreed. Any number of
// services share one store.
type Service struct{ o Options }

// New returns a service; Run starts its sweeper.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Service{o: o}
}

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

// Submit checks that the requester may ask, and stores the request. A repeated
// trigger returns the request made first, and false. The error is a *RefusedError
// for somebody who is no full member of the home workspace.
func (s *Service) Submit(ctx context.Context, a Ask) (Request, bool, error) {
	if a.Trigger == "" || a.Digest == "" || a.Requester == "" {
		return Request{}, false, errors.New("a request needs a trigger, a digest and a requester")
	}
	rule, err := s.o.Policy.Rule(a.Environment, a.Class)
	if err != nil {
		return Request{}, false, err
	}
	who, err := s.person(ctx, a.Requester)
	if err != nil {
		return Request{}, false, err
	}
	if refused := s.o.Policy.MayAsk(who); refused != nil {
		return Request{}, false, refused
	}
	now := clock()
	id, err := ulid.New(ulid.Timestamp(now), rand.Reader)
	if err != nil {
		return Request{}, false, fmt.Errorf("make an id: %w", err)
	}
	state := Pending
	var decided time.Time
	if a.Class == readsOnly {
		state, decided = Approved, now
	}
	return s.o.Store.Create(ctx, Request{
		ID:          id.String(),
		Trigger:     a.Trigger,
		Environment: a.Environment,
		Class:       a.Class,
		Title:       a.Title,
		Digest:      a.Digest,
		Sealed:      a.Sealed,
		Requester:   a.Requester,
		Rule:        rule,
		State:       state,
		DecidedAt:   decided,
		CreatedAt:   now,
		ExpiresAt:   now.Add(rule.Expires),
		Supersedes:  a.Supersedes,
	})
}

// Cancel ends a request that is not launched yet. The requester or an approver may.
// ErrLaunched says it is the run that must be cancelled. Cancelling again is no
// error; a request that ended otherwise is a *RefusedError.
func (s *Service) Cancel(ctx context.Context, id, by, reason string) (Request, error) {
	r, err := s.o.Store.Get(ctx, id)
	if err != nil {
		return Request{}, err
	}
	if err := s.mayControl(ctx, r, by); err != nil {
		return Request{}, err
	}
	r, err = s.change(ctx, id, Event{Kind: EventCancel, By: by, Reason: reason})
	if errors.Is(err, ErrLaunched) {
		return r, ErrLaunched
	}
	return r, tooLate(err)
}

// MayControl returns nil if the user may cancel, pause or resume the request's run:
// its requester, or somebody who may approve. Else *RefusedError, or the error of
// asking Slack. The requester is let through without asking Slack, so that stopping
// one's own work does not depend on it.
func (s *Service) MayControl(ctx context.Context, id, user string) error {
	r, err := s.o.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	return s.mayControl(ctx, r, user)
}

func (s *Service) mayControl(ctx context.Context, r Request, user string) error {
	if user == r.Requester {
		return nil
	}
	who, member, err := s.who(ctx, r, user)
	if err != nil {
		return err
	}
	if refused := s.o.Policy.mayApprove(r, who, member); refused != nil {
		return &RefusedError{
			Why:   fmt.Sprintf("only <@%s>, who asked for it, and its approvers may do this: %s", r.Requester, refused.Why),
			Next:  refused.Next,
			Cause: refused.Cause,
		}
	}
	return nil
}

// MarkSuperseded notes on a launched request which one replaces it. A request that
// still waits ends; one that ended otherwise is an *EndedError.
func (s *Service) MarkSuperseded(ctx context.Context, id, by string) error {
	_, err := s.change(ctx, id, Event{Kind: EventSupersede, Other: by})
	return err
}

// Get returns a request, or ErrNotFound.
func (s *Service) Get(ctx context.Context, id string) (Request, error) { return s.o.Store.Get(ctx, id) }

// Find resolves a short id.
func (s *Service) Find(ctx context.Context, suffix string) (string, error) {
	return s.o.Store.Find(ctx, suffix)
}

// Open returns the requests pending or approved, oldest first.
func (s *Service) Open(ctx context.Context) ([]Request, error) {
	ids, err := s.o.Store.Open(ctx)
	if err != nil {
		return nil, err
	}
	rs := make([]Request, 0, len(ids))
	for _, id := range ids {
		r, err := s.o.Store.Get(ctx, id)
		switch {
		case errors.Is(err, ErrNotFound):
			continue
		case err != nil:
			return nil, err
		case r.State == Pending || r.State == Approved:
			rs = append(rs, r)
		}
	}
	return rs, nil
}

// Changed and Settle let a reader follow all requests; see Store.
func (s *Service) Changed(ctx context.Context, n int) ([]Changed, error) {
	return s.o.Store.Changed(ctx, n)
}

// Settle says the reader has dealt with everything up to c.Rev.
func (s *Service) Settle(ctx context.Context, c Changed) error { return s.o.Store.Settle(ctx, c) }

// Policy returns the policy in force.
func (s *Service) Policy() Policy { return s.o.Policy }

// changeTries is how often a change is tried when others write the same request
// meanwhile. Each conflict means that somebody else's change went through.
const changeTries = 10

// change applies e to the stored request. Where e changes nothing, nothing is
// written.
func (s *Service) change(ctx context.Context, id string, e Event) (Request, error) {
	for try := 1; ; try++ {
		r, err := s.o.Store.Get(ctx, id)
		if err != nil {
			return Request{}, err
		}
		next, err := Apply(r, e, clock())
		if err != nil || reflect.DeepEqual(r, next) {
			return r, err
		}
		next, err = s.o.Store.Update(ctx, next)
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, ErrConflict) || try == changeTries {
			return r, fmt.Errorf("%s request %s: %w", e.Kind, id, err)
		}
	}
}

// clock is the time as requests keep it.
func clock() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
