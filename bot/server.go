package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slack-go/slack"

	"twokey/approvals"
	"twokey/commands"
	"twokey/ops"
)

// Engine is what the bot needs of *ops.Engine.
type Engine interface {
	Has(kind string) (known, query bool)
	Answer(ctx context.Context, call ops.Call) (ops.Answer, error)
	Plan(ctx context.Context, call ops.Call) (ops.Plan, error)
	Discard(ctx context.Context, plan ops.Plan) error
	Runs
}

// Runs is how the bot looks at runs and controls them.
type Runs interface {
	Get(ctx context.Context, id string) (ops.Run, error)
	Live(ctx context.Context) ([]ops.Run, error)
	Recent(ctx context.Context, n int) ([]ops.Run, error)
	Pause(ctx context.Context, id, by string) error
	Resume(ctx context.Context, id, by string) error
	Cancel(ctx context.Context, id, by string) error
	Turn(ctx context.Context, id, name, value, by string) error
}

// ServerOptions are a Server's parts and settings. All parts are required.
type ServerOptions struct {
	Slack     *slack.Client // bot token; for RunSocket also the app-level token
	Inbox     Inbox
	Outbox    Outbox
	Posts     Posts
	Threads   Threads
	Engine    Engine
	Approvals *approvals.Service
	Directory approvals.Directory
	Words     commands.Vocabulary // Words.BotUser is the bot's user id
	HTTP      *http.Client        // for response_url and WebSockets; nil: http.DefaultClient
	Log       *slog.Logger        // nil: slog.Default()

	Team     string // the home workspace; what other workspaces' people do is refused
	Announce string // channel for cards asked for in a direct message; empty: refused there
	App      string // the app's id; empty: payloads are not checked for it
	// SigningSecret is for Handler. Empty: every request is refused.
	SigningSecret string
	// Approve and Decline are the emoji names that vote, without colons. Empty:
	// white_check_mark and x.
	Approve, Decline []string

	// Workers is how many items this process handles at once: default 8.
	Workers int
	// ReadTime is how long an answer may take: default 15 s. PlanTime is how long a plan
	// may take: default 30 s; CloudFormation needs some to make a change set.
	ReadTime, PlanTime time.Duration
}

// Server takes in what people do in Slack and carries it out. Any number of
// servers share one Inbox.
type Server struct {
	o      ServerOptions
	log    *slog.Logger
	in     receiver
	wake   chan struct{}  // a local Accept: look at the inbox now
	asides sync.WaitGroup // short work that nobody waits for but Run

	sockets   atomic.Int32  // live Socket Mode connections
	pinged    atomic.Bool   // Slack pings its connections
	opening   chan struct{} // held while a connection is asked for
	openAfter time.Time     // not to be asked for one before; under opening
}

// NewServer returns a server. Run carries out what it takes in; Handler and
// RunSocket take it in.
func NewServer(o ServerOptions) (*Server, error) {
	var missing []error
	for _, part := range []struct {
		name   string
		absent bool
	}{
		{"Slack", o.Slack == nil}, {"Inbox", o.Inbox == nil}, {"Outbox", o.Outbox == nil}, {"Posts", o.Posts == nil},
		{"Threads", o.Threads == nil}, {"Engine", o.Engine == nil}, {"Approvals", o.Approvals == nil},
		{"Directory", o.Directory == nil}, {"Team", o.Team == ""}, {"Words.BotUser", o.Words.BotUser == ""},
	} {
		if part.absent {
			missing = append(missing, fmt.Errorf("bot server: %s is missing", part.name))
		}
	}
	if err := errors.Join(missing...); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.HTTP == nil {
		o.HTTP = http.DefaultClient
	}
	if len(o.Approve) == 0 {
		o.Approve = []string{"white_check_mark"}
	}
	if len(o.Decline) == 0 {
		o.Decline = []string{"x"}
	}
	if o.Workers == 0 {
		o.Workers = 8
	}
	if o.ReadTime == 0 {
		o.ReadTime = 15 * time.Second
	}
	if o.PlanTime == 0 {
		o.PlanTime = 30 * time.Second
	}
	s := &Server{
		o:    o,
		log:  o.Log,
		in:   receiver{team: o.Team, app: o.App, bot: o.Words.BotUser, aliases: map[string]string{}},
		wake: make(chan struct{}, 1),

		opening: make(chan struct{}, 1),
	}
	for _, name := range o.Approve {
		s.in.aliases[name] = actionApprove
	}
	for _, name := range o.Decline {
		if s.in.aliases[name] != "" {
			return nil, fmt.Errorf("bot server: the reaction %q cannot both approve and decline", name)
		}
		s.in.aliases[name] = actionDecline
	}
	return s, nil
}

// acceptTime is how long the Inbox may take. Slack waits 3 s in all; the rest is
// for the way of the answer.
const acceptTime = 2 * time.Second

// accept stores the items, within acceptTime whatever the Inbox does.
func (s *Server) accept(ctx context.Context, items []Item) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), acceptTime)
	defer cancel()
	stored := make(chan error, 1)
	go func() {
		for _, i := range items {
			fresh, err := s.o.Inbox.Accept(ctx, i)
			if err != nil {
				stored <- err
				return
			}
			s.log.Debug("accepted", "item", i.Key, "new", fresh)
		}
		stored <- nil
	}()
	select {
	case err := <-stored:
		if err == nil {
			s.poke()
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("inbox: %w", ctx.Err())
	}
}

// take deals with what was read, or failed to be, for both transports. The answer,
// if not nil, goes back in the acknowledgement; false means that it must not be
// acknowledged, so that Slack delivers it again.
func (s *Server) take(ctx context.Context, rc receipt, err error) (answer any, ok bool) {
	if err != nil {
		// Another delivery would be the same: acknowledge it.
		s.log.Error("unreadable payload from Slack", "kind", rc.kind, "err", err)
		return s.refused(ctx, rc, notRead), true
	}
	if len(rc.items) == 0 {
		s.log.Debug("dropped", "kind", rc.kind, "why", rc.dropped)
		if rc.kind == kindCommand {
			return refuse(notHome), true
		}
		return nil, true
	}
	if err := s.accept(ctx, rc.items); err != nil {
		s.log.Error("not stored", "item", rc.items[0].Key, "err", redact(err.Error()))
		return s.refused(ctx, rc, notTaken), rc.kind != kindEvent
	}
	return nil, true
}

// refused is the answer that tells a person. Slack does not show it for clicks,
// so they are told by response_url as well.
func (s *Server) refused(ctx context.Context, rc receipt, text string) any {
	if rc.kind == kindEvent || rc.kind == "" {
		return nil
	}
	if rc.kind == kindAction {
		s.asides.Go(func() { s.tellRefused(ctx, rc.respond, text) })
	}
	return refuse(text)
}

// poke makes Run look at the inbox at once.
func (s *Server) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// notTaken is what a person reads when their command or click could not be stored.
const notTaken = "Not taken, nothing was started: my memory (Redis) does not answer. Please try again in a minute."

// notHome is what a person reads whose command came from another workspace or app.
const notHome = "Not taken, nothing was started: this bot serves another workspace."

// notRead is what a person reads when their command or click made no sense.
const notRead = "Not taken, nothing was started: I could not read what Slack sent. Please try again."

// refusal is the body of an acknowledgement that only the person sees.
type refusal struct {
	ResponseType    string `json:"response_type"`
	Text            string `json:"text"`
	ReplaceOriginal bool   `json:"replace_original"`
}

func refuse(text string) refusal { return refusal{ResponseType: "ephemeral", Text: text} }

// tellRefused answers by response_url, without the Outbox: for clicks, whose
// acknowledgement Slack does not show, at a time when Redis is away. One try.
func (s *Server) tellRefused(ctx context.Context, url, text string) {
	if url == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := slack.PostWebhookCustomHTTPContext(ctx, url, s.o.HTTP, &slack.WebhookMessage{ResponseType: "ephemeral", Text: text})
	if err != nil {
		s.log.Warn("a refused click could not be answered", "err", redact(err.Error()))
	}
}
