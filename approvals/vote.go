package approvals

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Ballot is a vote as it was given.
type Ballot struct {
	Request string // full id
	Voter   string
	Approve bool
	Via     Via
	Reason  string
}

// Vote counts a ballot on the digest its card shows. Errors for the voter alone are
// *RefusedError; also that of not being able to ask Slack about them, when nothing
// was counted. A repeated ballot changes nothing and is no error. A vote that makes
// the quorum launches the request before Vote returns; if that fails the vote
// stands, the request is returned as approved, and the sweeper launches it. With a
// *LapsedError the ballot counts, but others' approvals do not any more.
func (s *Service) Vote(ctx context.Context, b Ballot) (Request, error) {
	r, err := s.o.Store.Get(ctx, b.Request)
	if err != nil {
		return Request{}, err
	}
	e := Event{Kind: EventVote, By: b.Voter, Via: b.Via, Quorum: s.o.Policy.Quorum(r)}
	if !b.Approve {
		e.Kind, e.Reason = EventDecline, b.Reason
	}
	// Too late or a repetition: no need to ask Slack.
	if _, err := Apply(r, e, clock()); err != nil || r.State != Pending && r.voted(b) {
		return r, tooLate(err)
	}
	if b.Voter == r.Requester { // likewise
		return r, errOwnRequest
	}
	who, member, err := s.who(ctx, r, b.Voter)
	if err != nil {
		return r, uncounted(ctx, b.Via, err)
	}
	if refused := s.o.Policy.MayVote(r, who, member); refused != nil {
		return r, refused
	}
	r, err = s.change(ctx, b.Request, e)
	if err != nil {
		return r, tooLate(err)
	}
	if r.State != Approved {
		return r, nil
	}
	now, err := s.launch(ctx, r, b.Voter)
	var lapsed *LapsedError
	switch {
	case errors.As(err, &lapsed):
		return now, lapsed
	case err != nil:
		s.o.Log.WarnContext(ctx, "approved, not launched yet; trying again", "request", r.ID, "error", err)
	}
	if now.ID == "" {
		return r, nil
	}
	return now, nil
}

// Withdraw takes an approving vote back that was given via a reaction, before the
// launch. No such vote: no error. After it: a *RefusedError that is ErrLaunched. A
// declined request stays declined, which is a *RefusedError for its decliner.
func (s *Service) Withdraw(ctx context.Context, id, voter string, approve bool) (Request, error) {
	r, err := s.o.Store.Get(ctx, id)
	if err != nil {
		return Request{}, err
	}
	i := r.voteOf(voter)
	switch {
	case i < 0 || r.Votes[i].Via != ViaReaction || r.Votes[i].Approve != approve:
		return r, nil
	case !approve:
		return r, tooLate(&EndedError{State: r.State, By: r.By})
	}
	r, err = s.change(ctx, id, Event{Kind: EventWithdraw, By: voter, Via: ViaReaction, Quorum: s.o.Policy.Quorum(r)})
	if errors.Is(err, ErrLaunched) {
		return r, &RefusedError{
			Why:   "it is launched already; your vote cannot be taken back",
			Next:  "To stop it, cancel it.",
			Cause: ErrLaunched,
		}
	}
	return r, tooLate(err)
}

// voted reports whether the ballot is counted already.
func (r Request) voted(b Ballot) bool {
	i := r.voteOf(b.Voter)
	return i >= 0 && r.Votes[i].Approve == b.Approve && r.Votes[i].Digest == r.Digest
}

// who asks the Directory about the user and, for a full member of the home workspace,
// about every group that matters for the request.
func (s *Service) who(ctx context.Context, r Request, user string) (Person, map[string]bool, error) {
	p, err := s.person(ctx, user)
	if err != nil {
		return Person{}, nil, err
	}
	if s.o.Policy.MayAsk(p) != nil {
		return p, nil, nil // refused whatever groups say: Slack answers only few questions about them
	}
	groups := slices.Clone(r.Rule.Groups)
	if now, err := s.o.Policy.Rule(r.Environment, r.Class); err == nil {
		groups = append(groups, now.Groups...)
	}
	member := make(map[string]bool, len(groups))
	for _, g := range groups {
		if _, known := member[g]; known {
			continue
		}
		if member[g], err = s.o.Directory.Member(ctx, user, g); err != nil {
			return Person{}, nil, fmt.Errorf("could not ask Slack who is in the user group %s: %w", g, err)
		}
	}
	return p, member, nil
}

func (s *Service) person(ctx context.Context, user string) (Person, error) {
	p, err := s.o.Directory.Person(ctx, user)
	if err != nil {
		return Person{}, fmt.Errorf("could not ask Slack who %s is: %w", user, err)
	}
	if p.ID != user {
		return Person{}, fmt.Errorf("could not ask Slack who %s is: the answer is about %q", user, p.ID)
	}
	return p, nil
}

// uncounted is the error for a voter whom Slack could not be asked about. When ctx
// ended it was the bot that gave up, and the ballot may be tried again.
func uncounted(ctx context.Context, via Via, err error) error {
	if ctx.Err() != nil {
		return err
	}
	next := "Press again."
	switch via {
	case ViaReaction:
		next = "Remove your reaction and react again."
	case ViaTyped:
		next = "Type it again."
	}
	why := strings.NewReplacer("<", "", ">", "").Replace(err.Error()) // no mentions
	return &RefusedError{Why: "your vote is not counted: " + why, Next: next, Cause: err}
}

// tooLate makes an *EndedError, or ErrLaunched, an error for the person alone.
func tooLate(err error) error {
	var ended *EndedError
	switch {
	case errors.As(err, &ended):
		return &RefusedError{Why: "too late: " + ended.Error(), Next: "Type the command again for a new request.", Cause: err}
	case errors.Is(err, ErrLaunched):
		return &RefusedError{Why: "too late: it is launched already", Next: "To stop it, cancel it.", Cause: err}
	}
	return err
}
