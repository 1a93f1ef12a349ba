package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/slack-go/slack"

	"twokey/approvals"
	"twokey/approvals/approvalsredis"
	"twokey/bot"
	"twokey/bot/botredis"
	"twokey/commands"
	"twokey/deploy"
	"twokey/ops"
	"twokey/ops/elastic"
	"twokey/ops/elastic/indices"
	"twokey/ops/elastic/registerredis"
	"twokey/ops/opsredis"
)

// Parts are what an App is made of. The sandbox and the tests give their own servers
// in place of the real ones; the program is the same.
type Parts struct {
	Config   Config
	Log      *slog.Logger
	Redis    *redis.Options
	Slack    SlackAccess
	Clusters map[string]elastic.Cluster // by environment
	// Registers are those that are not in Redis, by environment.
	Registers map[string]indices.Register
	Accounts  map[string]*deploy.Account // by environment
	// Listener serves health, metrics and, without an app-level token, Slack's requests.
	Listener net.Listener

	// HTTP is for Slack's Web API, response URLs and WebSockets. Nil: a client with time-outs.
	HTTP *http.Client
	// RedisHook sees every command of every store: tests count and kill there.
	RedisHook redis.Hook
	// Lease is how long a claim on a run, and the sender's on the outbox, lasts. Zero: their
	// defaults, 15 s and 20 s. Tests with processes take 3 s.
	Lease time.Duration
}

// SlackAccess is how the bot reaches Slack and how Slack proves to be itself.
type SlackAccess struct {
	BotToken      string
	AppToken      string // Socket Mode if set
	SigningSecret string // else HTTP
	APIURL        string // ends in a slash; empty: Slack's own
}

// App is the whole bot of one process.
type App struct {
	parts []part
	close []func() error
	log   *slog.Logger
}

// NewApp builds the bot and asks Slack who it is. It starts nothing; Run does. What it
// opened is closed by Run's end, or at once when it returns an error.
func NewApp(ctx context.Context, p Parts) (_ *App, err error) {
	a := &App{log: p.Log}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.closeAll())
		}
	}()
	rdb := a.redis(p, *p.Redis)
	if p.HTTP == nil {
		p.HTTP = &http.Client{Timeout: 30 * time.Second}
	}
	m := newMetrics()
	client := slackClient(p, m)
	self, err := whoAmI(ctx, client, p.Log)
	if err != nil {
		return nil, err
	}
	if team := p.Config.Slack.Team; self.TeamID != team {
		return nil, fmt.Errorf("the Slack token belongs to workspace %s, the configuration says slack.team: %s", self.TeamID, team)
	}

	places, err := sites(p, rdb)
	if err != nil {
		return nil, err
	}
	all := systems{clusters: p.Clusters, indices: places, accounts: p.Accounts, config: p.Config}
	dispatcher := opsredis.NewDispatcher(rdb, p.Log, 0)
	engine := ops.New(ops.Options{
		Store:      opsredis.New(rdb),
		Dispatcher: dispatcher,
		Operations: all.operations(),
		Queries:    all.queries(),
		Log:        p.Log,
		Lease:      p.Lease,
	})
	directory := bot.NewDirectory(client)
	requests := approvals.New(approvals.Options{
		Store:     approvalsredis.New(rdb),
		Launcher:  bot.NewLauncher(engine),
		Directory: directory,
		Policy:    p.Config.Policy(),
		Log:       p.Log,
	})
	outbox, threads := botredis.NewOutbox(rdb), botredis.NewThreads(rdb)
	sender := bot.NewSender(bot.SenderOptions{
		Slack: client, HTTP: p.HTTP, Queue: outbox, Leases: outbox, Budget: botredis.NewBudget(rdb), Log: p.Log, Lease: p.Lease,
	})
	reporter := bot.NewReporter(bot.ReporterOptions{
		Engine: engine, Approvals: requests, Outbox: outbox, Posts: outbox, Threads: threads, Leases: outbox, Log: p.Log,
		Command: p.Config.Slack.Command, Workspace: self.URL,
	})
	server, err := bot.NewServer(bot.ServerOptions{
		Slack: client, Inbox: botredis.NewInbox(rdb), Outbox: outbox, Posts: outbox, Threads: threads,
		Engine: engine, Approvals: requests, Directory: directory,
		Words: commands.Vocabulary{
			Command: p.Config.Slack.Command, Environments: p.Config.EnvironmentNames(),
			DefaultEnvironment: p.Config.Defaults.Environment, BotUser: self.UserID,
		},
		HTTP: p.HTTP, Log: p.Log, Team: p.Config.Slack.Team, Announce: p.Config.Slack.Announce,
		SigningSecret: p.Slack.SigningSecret,
	})
	if err != nil {
		return nil, err
	}
	m.watch(engine, requests, server)

	routes := http.NewServeMux()
	a.health(routes, rdb, server, p.Slack.AppToken != "")
	routes.Handle("GET /metrics", m.handler())
	if p.Slack.AppToken == "" {
		routes.Handle("/slack/", server.Handler())
	}
	// The order is the one in which they stop: see runParts.
	if p.Listener != nil {
		a.parts = append(a.parts, part{"http", func(ctx context.Context) error { return serveHTTP(ctx, p.Listener, routes) }})
	}
	if p.Slack.AppToken != "" {
		a.parts = append(a.parts, part{"socket mode", func(ctx context.Context) error { return server.RunSocket(ctx, bot.SocketOptions{}) }})
	}
	a.parts = append(a.parts,
		part{"inbox", server.Run},
		part{"sweeper", engine.Run},
		part{"dispatcher", func(ctx context.Context) error { return dispatcher.Run(ctx, engine.Tick) }},
		part{"approvals", requests.Run},
		part{"reporter", reporter.Run},
		part{"sender", sender.Run},
	)
	return a, nil
}

// sites are the clusters with what the configuration says of their indices. A register is
// in Redis where the configuration gives no address of another.
func sites(p Parts, rdb *redis.Client) (map[string]indices.Site, error) {
	out := make(map[string]indices.Site, len(p.Clusters))
	for name, cluster := range p.Clusters {
		s := indices.Site{Cluster: cluster, Register: p.Registers[name]}
		es := p.Config.Environments[name].Elasticsearch
		if es != nil {
			s.RegisterCache, s.Campaigns, s.Hold = es.Register.Cache, es.Campaigns, es.Hold
		}
		switch {
		case s.Register != nil:
		case es != nil && es.Register.URL != "":
			return nil, fmt.Errorf("environment %s: its register is not connected", name)
		default:
			s.Register = registerredis.New(rdb, "twokey:register:"+name)
		}
		out[name] = s
	}
	return out, nil
}

// Run runs the bot until ctx ends or a part fails.
func (a *App) Run(ctx context.Context) error {
	return errors.Join(runParts(ctx, a.log, a.parts), a.closeAll())
}

func (a *App) closeAll() error {
	var errs []error
	for i := len(a.close) - 1; i >= 0; i-- {
		errs = append(errs, a.close[i]())
	}
	a.close = nil
	return errors.Join(errs...)
}

// redis opens the client all stores share.
func (a *App) redis(p Parts, o redis.Options) *redis.Client {
	o.ContextTimeoutEnabled = true // a caller's deadline holds for a Redis that hangs, too
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := redis.NewClient(&o)
	if p.RedisHook != nil {
		c.AddHook(p.RedisHook)
	}
	a.close = append(a.close, c.Close)
	return c
}

// slackClient is the one client of Slack's Web API. It repeats nothing by itself: what
// may be repeated, and when, is the sender's knowledge.
func slackClient(p Parts, m *metrics) *slack.Client {
	h := *p.HTTP
	h.Transport = m.slackCalls(h.Transport)
	options := []slack.Option{slack.OptionHTTPClient(&h)}
	if p.Slack.AppToken != "" {
		options = append(options, slack.OptionAppLevelToken(p.Slack.AppToken))
	}
	if p.Slack.APIURL != "" {
		options = append(options, slack.OptionAPIURL(p.Slack.APIURL))
	}
	return slack.New(p.Slack.BotToken, options...)
}

// whoAmI asks Slack whose token this is, until it answers. A token that Slack refuses is
// an error at once.
func whoAmI(ctx context.Context, client *slack.Client, log *slog.Logger) (*slack.AuthTestResponse, error) {
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		self, err := client.AuthTestContext(ctx)
		if err == nil {
			return self, nil
		}
		var refused slack.SlackErrorResponse
		if errors.As(err, &refused) {
			return nil, fmt.Errorf("refused by Slack: SLACK_BOT_TOKEN: %w", err)
		}
		log.Warn("Slack does not answer; trying again", "error", err, "wait", wait)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// health adds /healthz and /readyz.
func (a *App) health(routes *http.ServeMux, rdb *redis.Client, server *bot.Server, socketMode bool) {
	routes.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	routes.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		switch err := rdb.Ping(ctx).Err(); {
		case err != nil:
			http.Error(w, "Redis does not answer", http.StatusServiceUnavailable)
		case socketMode && server.Sockets() == 0:
			http.Error(w, "no connection to Slack", http.StatusServiceUnavailable)
		default:
			fmt.Fprintln(w, "ok")
		}
	})
}

// serveHTTP serves until ctx ends, then lets requests in hand finish.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return s.Shutdown(stop)
	}
}
