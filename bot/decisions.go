package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"twokey/approvals"
)

// cardPrefix is the kind of post that can be voted on; the id follows.
const cardPrefix = "card:"

// errCardUnknown says that a post was not, or not yet, noted as a card.
var errCardUnknown = errors.New("the post is not noted as a card")

// young is how old a message may be for its place to be not noted yet, as after a
// lost reply of Slack's.
const young = 2 * time.Minute

// card returns the id of the request whose card the deed was done on. It returns
// errCardUnknown, to be tried again, while the post is young and may be one, and "" if it
// is not a card.
func (s *Server) card(ctx context.Context, w word) (string, error) {
	here := Place{Channel: w.Channel, TS: w.TS}
	key, ok, err := s.o.Posts.KeyAt(ctx, here)
	if err != nil {
		return "", err
	}
	if !ok && time.Since(tsTime(w.TS)) < young {
		named, _, _ := strings.Cut(w.Value, ":")
		switch at, _, err := s.o.Posts.Posted(ctx, cardPrefix+named); {
		case err != nil:
			return "", err
		case at.TS == "" || at == here: // noted meanwhile
			return "", errCardUnknown
		}
	}
	id, ok := strings.CutPrefix(key, cardPrefix)
	if !ok {
		return "", nil
	}
	return id, nil
}

// tsTime is the time in a message's ts; the zero time if it holds none.
func tsTime(ts string) time.Time {
	whole, _, _ := strings.Cut(ts, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(sec, 0)
}

// click counts the vote of a button. The card is known by its place; what the
// button's value says must agree with it, or it is not the card's button.
func (s *Server) click(ctx context.Context, w word) error {
	id, err := s.card(ctx, w)
	if err != nil {
		return err
	}
	foreign := "This button belongs to no request I know, so nothing was counted. " + s.typed("list") + " shows what is open."
	if id == "" {
		return w.whisper(ctx, "", foreign)
	}
	r, err := s.o.Approvals.Get(ctx, id)
	switch {
	case errors.Is(err, approvals.ErrNotFound):
		return w.whisper(ctx, "", foreign)
	case err != nil:
		return err
	case !buttonOf(r, w.Value):
		s.log.Warn("a click whose value is not its card's", "request", id, "user", w.User)
		return w.whisper(ctx, "", "This button does not match the request of its card, so nothing was counted.")
	}
	_, err = s.vote(ctx, w, approvals.Ballot{Request: id, Voter: w.User, Approve: w.Approve, Via: approvals.ViaButton})
	return err
}

// buttonOf reports whether a button's value, "<id>:<beginning of the digest>", names
// this request and the digest its card shows.
func buttonOf(r approvals.Request, value string) bool {
	id, digest, ok := strings.Cut(value, ":")
	return ok && id == r.ID && len(digest) >= 8 && strings.HasPrefix(r.Digest, digest)
}

// reaction counts the vote of a reaction on a card, if the reaction is still there:
// its removal may have been handled first, as events come in any order.
func (s *Server) reaction(ctx context.Context, w word) error {
	id, err := s.card(ctx, w)
	if err != nil || id == "" {
		return err // most reactions are on other messages: there is nothing to tell
	}
	there, err := s.reacted(ctx, w)
	if err != nil || !there {
		return err
	}
	_, err = s.vote(ctx, w, approvals.Ballot{Request: id, Voter: w.User, Approve: w.Approve, Via: approvals.ViaReaction})
	return err
}

// unreaction takes a reaction's vote back, unless the person put one there again.
func (s *Server) unreaction(ctx context.Context, w word) error {
	id, err := s.card(ctx, w)
	if err != nil || id == "" {
		return err
	}
	there, err := s.reacted(ctx, w)
	if err != nil || there {
		return err
	}
	_, err = s.o.Approvals.Withdraw(ctx, id, w.User, w.Approve)
	return s.toVoter(ctx, w, id, err)
}

// reacted asks Slack whether the person has a reaction on the message now that votes
// as this one does.
func (s *Server) reacted(ctx context.Context, w word) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	m, err := s.o.Slack.GetReactionsContext(ctx, slack.NewRefToMessage(w.Channel, w.TS), slack.GetReactionsParameters{Full: true})
	switch {
	case refused(err, "message_not_found", "no_item_specified", "channel_not_found"):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reactions.get: %w", err)
	}
	for _, r := range m.Reactions {
		name, _, _ := strings.Cut(r.Name, "::")
		word, vote := s.in.aliases[name]
		if vote && (word == actionApprove) == w.Approve && slices.Contains(r.Users, w.User) {
			return true, nil
		}
	}
	return false, nil
}

// vote hands a ballot in. Who may vote is checked by approvals, now. It reports
// whether the ballot counts; if not, the voter alone was told why.
func (s *Server) vote(ctx context.Context, w word, b approvals.Ballot) (bool, error) {
	_, err := s.o.Approvals.Vote(ctx, b)
	var lapsed *approvals.LapsedError
	if errors.As(err, &lapsed) {
		text := "Your vote is counted, but it is not enough: " + escapeExceptMentions(lapsed.Error()) + ". The card says how many are missing."
		return true, w.whisper(ctx, "lapsed", text)
	}
	return err == nil, s.toVoter(ctx, w, b.Request, err)
}

// toVoter tells the voter alone why a vote was refused; nil: nothing to tell. Other
// errors are returned, to be tried again.
func (s *Server) toVoter(ctx context.Context, w word, id string, err error) error {
	var no *approvals.RefusedError
	if err == nil || !errors.As(err, &no) && !errors.Is(err, approvals.ErrNotFound) {
		return err
	}
	if w.Thread == "" && (w.Via == viaClick || w.Via == viaReaction || w.Via == viaUnreaction) {
		// The card may be in a thread, which a reaction does not say.
		if o, ok, err := s.o.Threads.Origin(ctx, id); err == nil && ok && o.Channel == w.Channel {
			w.Thread = o.Thread
		}
	}
	return w.whisper(ctx, "", renderError(err))
}
