package bot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"twokey/approvals"
	"twokey/commands"
	"twokey/ops"
)

// leastID is how many last characters of an id must be typed.
const leastID = 5

// recentRuns is how many ended runs `list` shows.
const recentRuns = 5

// own carries out one of the bot's own commands.
func (s *Server) own(ctx context.Context, w word, inv commands.Invocation) error {
	switch inv.Kind {
	case "help":
		return s.help(ctx, w, inv)
	case "env":
		return w.reply(ctx, "", s.environments())
	case "list":
		return s.list(ctx, w)
	}
	id, why, err := s.find(ctx, inv)
	if err != nil {
		return err
	}
	if why != "" {
		return w.reply(ctx, "", why)
	}
	reason := strings.Join(inv.Args[1:], " ")
	switch inv.Kind {
	case "show":
		return s.show(ctx, w, id)
	case "approve", "decline":
		return s.typedVote(ctx, w, approvals.Ballot{
			Request: id, Voter: w.User, Approve: inv.Kind == "approve", Via: approvals.ViaTyped, Reason: reason,
		})
	case "cancel":
		return s.cancel(ctx, w, id, reason)
	case "pause":
		return s.control(ctx, w, id, "Pausing", s.o.Engine.Pause)
	case "resume":
		return s.control(ctx, w, id, "Resuming", s.o.Engine.Resume)
	case "es reindex throttle":
		return s.throttle(ctx, w, id, inv.Args[1])
	}
	return w.reply(ctx, "", renderError(ops.ErrUnknownKind))
}

// find resolves the id that was typed. why, if not empty, is what to tell instead.
func (s *Server) find(ctx context.Context, inv commands.Invocation) (id, why string, err error) {
	ending := ""
	if len(inv.Args) > 0 {
		ending = strings.ToUpper(inv.Args[0])
	}
	if len(ending) < leastID {
		return "", fmt.Sprintf("I need at least the last %d characters of the id. %s shows the ids.", leastID, s.typed("list")), nil
	}
	id, err = s.o.Approvals.Find(ctx, ending)
	var many *approvals.AmbiguousError
	switch {
	case errors.Is(err, approvals.ErrNotFound):
		return "", fmt.Sprintf("No request or run ends in %s. %s shows those there are.", code(ending), s.typed("list")), nil
	case errors.As(err, &many):
		return "", renderError(err), nil
	}
	return id, "", err
}

// typed is a command as people type it, set as code.
func (s *Server) typed(words string) string {
	return code(strings.TrimSpace(s.o.Words.Command + " " + words))
}

func (s *Server) help(ctx context.Context, w word, inv commands.Invocation) error {
	p, err := commands.Help(inv.Args, s.o.Words)
	if err != nil {
		return w.reply(ctx, "", renderError(err))
	}
	text, blocks := renderPage(p)
	return w.reply(ctx, "", text, blocks...)
}

// environments says what the policy is in each, as mrkdwn.
func (s *Server) environments() string {
	policy := s.o.Approvals.Policy()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(policy.Environments)) {
		e := policy.Environments[name]
		fmt.Fprintf(&b, "*%s*", escape(name))
		if name == s.o.Words.DefaultEnvironment {
			b.WriteString(" (the default)")
		}
		where := "anywhere"
		if len(e.Channels) > 0 {
			links := make([]string, len(e.Channels))
			for i, c := range e.Channels {
				links[i] = channelRef(c)
			}
			where = "in " + join(links, "or")
		}
		var who []string
		for _, g := range e.Groups {
			who = append(who, group(g))
		}
		for _, u := range e.Users {
			who = append(who, user(u))
		}
		if len(who) == 0 {
			who = []string{"nobody"}
		}
		fmt.Fprintf(&b, ": type %s; approved by %s; approvals needed:", where, join(who, "or"))
		for _, class := range []string{"R1", "R2", "R3"} {
			if rule, err := policy.Rule(name, class); err == nil {
				fmt.Fprintf(&b, " %s %d", class, rule.Quorum)
			}
		}
		if rule, err := policy.Rule(name, "R1"); err == nil {
			fmt.Fprintf(&b, "; requests wait %s", span(rule.Expires))
		}
		b.WriteString("\n")
	}
	if b.Len() == 0 {
		return "No environment is configured."
	}
	return clip(strings.TrimSpace(b.String()), maxText)
}

func (s *Server) list(ctx context.Context, w word) error {
	open, err := s.o.Approvals.Open(ctx)
	if err != nil {
		return err
	}
	live, err := s.o.Engine.Live(ctx)
	if err != nil {
		return err
	}
	recent, err := s.o.Engine.Recent(ctx, recentRuns)
	if err != nil {
		return err
	}
	text, blocks := renderList(open, live, recent)
	return w.reply(ctx, "", text, blocks...)
}

func (s *Server) show(ctx context.Context, w word, id string) error {
	r, err := s.o.Approvals.Get(ctx, id)
	if err != nil {
		return err
	}
	var run *ops.Run
	got, err := s.o.Engine.Get(ctx, id)
	switch {
	case err == nil:
		run = &got
	case !errors.Is(err, ops.ErrNotFound):
		return err
	}
	text, blocks := renderShow(r, run)
	return w.reply(ctx, "", text, blocks...)
}

// typedVote counts a vote that was typed, and says so.
func (s *Server) typedVote(ctx context.Context, w word, b approvals.Ballot) error {
	counted, err := s.vote(ctx, w, b)
	if err != nil || !counted {
		return err
	}
	r, err := s.o.Approvals.Get(ctx, b.Request)
	if err != nil {
		return err
	}
	said := "You declined"
	if b.Approve {
		said = "You approved"
	}
	text := fmt.Sprintf("%s: %s (`%s`).", said, escape(r.Title), short(r.ID))
	if missing := s.o.Approvals.Policy().Quorum(r) - len(r.Approvals()); r.State == approvals.Pending && missing > 0 {
		text += fmt.Sprintf(" It needs %d more.", missing)
	}
	return w.whisper(ctx, "", text)
}

// cancel ends a request that waits, or else asks the run to undo and end.
func (s *Server) cancel(ctx context.Context, w word, id, reason string) error {
	r, err := s.o.Approvals.Cancel(ctx, id, w.User, reason)
	var no *approvals.RefusedError
	switch {
	case errors.Is(err, approvals.ErrLaunched):
		return s.control(ctx, w, id, "Cancelling", s.o.Engine.Cancel)
	case errors.As(err, &no):
		return w.whisper(ctx, "", renderError(err))
	case err != nil:
		return err
	}
	return w.reply(ctx, "", fmt.Sprintf("Cancelled: %s (`%s`). Nothing had been started.", escape(r.Title), short(r.ID)))
}

// control asks the engine to cancel, pause or resume the run of a launched request.
// A run that is approved but not made yet is waited for.
func (s *Server) control(ctx context.Context, w word, id, doing string, ask func(ctx context.Context, id, by string) error) error {
	r, may, err := s.controls(ctx, w, id)
	if err != nil || !may {
		return err
	}
	switch err := ask(ctx, id, w.User); {
	case errors.Is(err, ops.ErrEnded):
		return w.reply(ctx, "", s.endedText(ctx, r))
	case err != nil:
		return err // ErrNotFound too: the launch is under way
	}
	return w.reply(ctx, "", fmt.Sprintf("%s: %s (`%s`). The thread shows when it has come about.", doing, escape(r.Title), short(id)))
}

// controls returns the request whose run the person may control. If not, or if there
// is no run, it has told them and may is false.
func (s *Server) controls(ctx context.Context, w word, id string) (r approvals.Request, may bool, err error) {
	var no *approvals.RefusedError
	switch err := s.o.Approvals.MayControl(ctx, id, w.User); {
	case errors.As(err, &no):
		return r, false, w.whisper(ctx, "", renderError(err))
	case err != nil:
		return r, false, err
	}
	if r, err = s.o.Approvals.Get(ctx, id); err != nil {
		return r, false, err
	}
	if r.State == approvals.Pending || r.Ended() {
		return r, false, w.reply(ctx, "", fmt.Sprintf("%s (`%s`) is %s; there is no run.", escape(r.Title), short(id), r.State))
	}
	return r, true, nil
}

// endedText says how a run ended that can no longer be controlled.
func (s *Server) endedText(ctx context.Context, r approvals.Request) string {
	how := "has ended"
	if run, err := s.o.Engine.Get(ctx, r.ID); err == nil {
		how = fmt.Sprintf("has ended (%s)", run.State)
	}
	return fmt.Sprintf("%s (`%s`) %s; nothing was changed.", escape(r.Title), short(r.ID), how)
}
