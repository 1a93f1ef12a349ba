package bot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"twokey/approvals"
	"twokey/commands"
	"twokey/ops"
)

// slow is after how long of planning or reading a person is told to wait.
const slow = 3 * time.Second

// dispatch carries out what somebody typed: one of the bot's own commands, a query,
// or an operation, which becomes a request.
func (s *Server) dispatch(ctx context.Context, w word) error {
	if w.Via == viaMention && !leads(w.Text, s.o.Words.BotUser) {
		return w.whisper(ctx, "", "I act only on messages that begin with my name. Nothing was started.")
	}
	who, err := s.o.Directory.Person(ctx, w.User)
	if err != nil {
		return err
	}
	if no := s.o.Approvals.Policy().MayAsk(who); no != nil {
		// Answers from inside are for the same people as requests.
		return w.whisper(ctx, "", renderError(no))
	}
	inv, err := commands.Parse(w.Text, s.o.Words)
	if err != nil {
		return w.reply(ctx, "", renderError(err))
	}
	if inv.Own {
		return s.own(ctx, w, inv)
	}
	if no := s.mayType(w, inv.Environment); no != nil {
		no.Next += " Nothing was started."
		return w.whisper(ctx, "", renderError(no))
	}
	known, query := s.o.Engine.Has(inv.Kind)
	switch {
	case !known:
		return w.reply(ctx, "", renderError(ops.ErrUnknownKind))
	case query:
		return s.answer(ctx, w, inv)
	}
	return s.request(ctx, w, inv)
}

// leads reports whether a message begins with the bot's mention.
func leads(text, bot string) bool {
	after, ok := strings.CutPrefix(strings.TrimLeft(text, " \t\n\u00a0*_`"), "<@"+bot)
	return ok && (strings.HasPrefix(after, ">") || strings.HasPrefix(after, "|"))
}

// mayType returns nil if commands for the environment may be typed here; those of no
// environment may be typed anywhere.
func (s *Server) mayType(w word, environment string) *approvals.RefusedError {
	if environment == "" {
		return nil
	}
	return s.o.Approvals.Policy().MayType(environment, w.Channel)
}

func call(inv commands.Invocation) ops.Call {
	return ops.Call{Kind: inv.Kind, Environment: inv.Environment, Args: inv.Args, Flags: inv.Flags}
}

// answer carries out a query. A failed one is not repeated later: the person reads
// why, and asks again.
func (s *Server) answer(ctx context.Context, w word, inv commands.Invocation) error {
	defer s.tellSlow(ctx, w, "Reading: "+code(inv.Text)+" …")()
	reading, cancel := context.WithTimeout(ctx, s.o.ReadTime)
	defer cancel()
	a, err := s.o.Engine.Answer(reading, call(inv))
	if err != nil {
		return w.reply(ctx, "", s.failed(w, inv, s.o.ReadTime, err))
	}
	text, blocks := renderAnswer(a)
	return w.reply(ctx, "", text, blocks...)
}

// failed says why a plan or an answer could not be made.
func (s *Server) failed(w word, inv commands.Invocation, limit time.Duration, err error) string {
	if errors.Is(err, context.DeadlineExceeded) && !errors.As(err, new(*ops.UserError)) {
		where := "It"
		if inv.Environment != "" {
			where = escape(inv.Environment)
		}
		return fmt.Sprintf("%s gave no answer within %s. Nothing was started.", where, limit)
	}
	return s.explain(w, err)
}

// tellSlow tells the person to wait if stop is not called soon.
func (s *Server) tellSlow(ctx context.Context, w word, text string) (stop func()) {
	told := make(chan struct{})
	t := time.AfterFunc(slow, func() {
		defer close(told)
		if err := w.whisper(ctx, "slow", text); err != nil {
			s.log.Warn("not told to wait", "item", w.item.Key, "err", redact(err.Error()))
		}
	})
	return func() {
		if !t.Stop() {
			<-told
		}
	}
}

// request plans an operation and submits it for votes.
func (s *Server) request(ctx context.Context, w word, inv commands.Invocation) error {
	o := Origin{Via: w.Via, Channel: w.Channel, Thread: w.root(), User: w.User, Team: w.Team, URL: w.URL, Text: inv.Text}
	if w.Via == viaDM {
		if o.Channel, o.Thread = s.o.Announce, ""; o.Channel == "" {
			return w.reply(ctx, "", "Please type this in a channel: the request needs others to see it. Nothing was started.")
		}
	}
	if why, err := s.absent(ctx, w, o.Channel); err != nil {
		return err
	} else if why != "" {
		return w.whisper(ctx, "", why)
	}
	p, err := s.plan(ctx, w, inv)
	if err != nil {
		return w.reply(ctx, "", s.failed(w, inv, s.o.PlanTime, err))
	}
	if p.Confirm != "" && inv.Flags["confirm"] != p.Confirm {
		s.discard(ctx, w, p)
		return w.reply(ctx, "", fmt.Sprintf("This is %s: it %s and cannot be undone. If you mean it, type it again with %s. Nothing was started.",
			p.Class, escape(p.Effect), code("--confirm "+p.Confirm)))
	}
	return s.submit(ctx, w, p, o)
}

// plan asks the engine for a plan, within PlanTime.
func (s *Server) plan(ctx context.Context, w word, inv commands.Invocation) (ops.Plan, error) {
	defer s.tellSlow(ctx, w, "Planning: "+code(inv.Text)+" …")()
	ctx, cancel := context.WithTimeout(ctx, s.o.PlanTime)
	defer cancel()
	return s.o.Engine.Plan(ctx, call(inv))
}

// submit makes the request. The item's key is its trigger: an item handled twice is
// one request, and the plan made first stands.
func (s *Server) submit(ctx context.Context, w word, p ops.Plan, o Origin) error {
	sealed, err := seal(p)
	if err != nil {
		return err
	}
	r, made, err := s.o.Approvals.Submit(ctx, approvals.Ask{
		Trigger:     w.item.Key,
		Environment: p.Call.Environment,
		Class:       p.Class.String(),
		Title:       p.Title,
		Digest:      p.Digest(),
		Sealed:      sealed,
		Requester:   w.User,
	})
	var no *approvals.RefusedError
	switch {
	case errors.As(err, &no):
		s.discard(ctx, w, p)
		return w.whisper(ctx, "", renderError(err))
	case err != nil:
		return err // perhaps it was stored: what the plan prepared is left alone
	case !made && r.Digest != p.Digest():
		s.discard(ctx, w, p)
	}
	// The Reporter posts the card once it knows where; see Threads.
	if err := s.o.Threads.SetOrigin(ctx, r.ID, o); err != nil {
		return err
	}
	if w.Via != viaDM {
		return nil // the card is the answer
	}
	return w.reply(ctx, "", fmt.Sprintf("Asked: %s. The request `%s` is in %s, where others can vote on it.", escape(r.Title), short(r.ID), channelRef(o.Channel)))
}

// discard removes what planning prepared for a request that is not made. Failing is no
// matter for the person; the operation removes leftovers when it plans again.
func (s *Server) discard(ctx context.Context, w word, p ops.Plan) {
	if err := s.o.Engine.Discard(ctx, p); err != nil {
		s.log.Warn("what a plan prepared was not removed", "item", w.item.Key, "kind", p.Call.Kind, "err", redact(err.Error()))
	}
}

// absent says that the bot cannot post in the channel; empty: it can. A mention
// reaches only channels the bot is in. It is asked by an empty stretch of the
// channel's history, which needs no scope that the bot has not anyway
// (conversations.info would need channels:read and groups:read).
func (s *Server) absent(ctx context.Context, w word, channel string) (string, error) {
	if w.Via == viaMention {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err := s.o.Slack.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{
		ChannelID: channel, Oldest: "9999999999.000000", Limit: 1,
	})
	switch {
	case err == nil:
		return "", nil
	case refused(err, "missing_scope"): // a kind of channel the app may not read; the Outbox says if posting fails
		s.log.Warn("cannot see whether the bot is in the channel: the app may not read it", "channel", channel)
		return "", nil
	case refused(err, "is_archived"):
		return fmt.Sprintf("%s is archived, so nobody would see the request. Nothing was started.", channelRef(channel)), nil
	case !refused(err, "not_in_channel", "channel_not_found"):
		return "", fmt.Errorf("conversations.history %s: %w", channel, err)
	}
	return fmt.Sprintf("I am not in %s, so nobody would see the request. Please invite %s there, then type your command again. Nothing was started.",
		channelRef(channel), user(s.o.Words.BotUser)), nil
}
