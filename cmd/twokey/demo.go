package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/redis/go-redis/v9"

	"twokey/bot/slacksim"
	"twokey/deploy"
	"twokey/deploy/awssim"
	"twokey/ops/elastic"
	"twokey/ops/elastic/elasticsim"
)

// demoCmd is the sandbox: the same bot on this machine, against a Slack-like workspace with
// a page, an embedded Redis, and simulated systems on their real protocols.
type demoCmd struct {
	Port          int      `help:"Port of the page on 127.0.0.1; 0: any free one." default:"8080" env:"PORT"`
	Elasticsearch []string `help:"URLs of a real cluster, in place of the simulated one." env:"TWOKEY_DEMO_ELASTICSEARCH"`
	Redis         string   `help:"A real Redis, in place of the embedded one: then runs outlive the process." env:"REDIS_URL"`
	HTTP          bool     `help:"Let the bot receive signed HTTP requests in place of Socket Mode." name:"http"`
}

// The people of the sandbox. Anyone may ask; Bob and Carol may approve.
const (
	alice = "U0ALICE"
	bob   = "U0BOB"
	carol = "U0CAROL"
	gary  = "U0GARY"
)

const (
	sandboxTeam    = "T0HOME"
	sandboxChannel = "C0OPS"
	sandboxGroup   = "S0SRE"

	sandboxEnvironment = "staging"
	sandboxRegion      = "eu-west-1"
)

func (c demoCmd) Run(ctx context.Context, log *slog.Logger) error {
	s, err := newSandbox(ctx, c, log)
	if err != nil {
		return err
	}
	fmt.Printf("The sandbox: %s/\n", s.workspace.URL())
	if c.Redis == "" {
		fmt.Println("Its Redis is embedded: nothing outlives this process.")
	}
	fmt.Println("Type /ops es drain n3 as Alice, approve as Bob. Ctrl-C stops.")
	return s.run(ctx)
}

// sandbox is a whole world for one bot on loopback.
type sandbox struct {
	workspace *slacksim.Workspace
	cluster   *elasticsim.Cluster // nil: a real one
	app       *App
	log       *slog.Logger
	servers   []*http.Server
	listeners []net.Listener
	redis     *miniredis.Miniredis // nil: a real one
}

// newSandbox opens all listeners, serves, and builds the bot.
func newSandbox(ctx context.Context, c demoCmd, log *slog.Logger) (_ *sandbox, err error) {
	s := &sandbox{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	page, err := s.listen(c.Port)
	if err != nil {
		return nil, fmt.Errorf("the page: %w (another port: twokey demo --port 0)", err)
	}
	s.workspace = sandboxWorkspace("http://" + page.Addr().String())
	go func() {
		if err := s.workspace.Serve(page); err != nil && !errors.Is(err, http.ErrServerClosed) {
			log.Error("the page stopped", "error", err)
		}
	}()

	p := Parts{
		Config: sandboxConfig(), Log: log, Redis: &redis.Options{Addr: ""},
		Clusters: make(map[string]elastic.Cluster), Accounts: make(map[string]*deploy.Account),
		Slack: SlackAccess{BotToken: s.workspace.Options().BotToken, APIURL: s.workspace.URL() + "/api/"},
	}
	if p.Redis, err = s.openRedis(c.Redis); err != nil {
		return nil, err
	}
	urls := c.Elasticsearch
	if len(urls) == 0 {
		s.cluster = elasticsim.Sandbox()
		addr, err := s.serve(s.cluster)
		if err != nil {
			return nil, err
		}
		urls = []string{addr}
	}
	client, err := elastic.Connect(elastic.Settings{URLs: urls})
	if err != nil {
		return nil, err
	}
	p.Clusters[sandboxEnvironment] = elastic.Cluster{Environment: sandboxEnvironment, Client: client}
	if p.Accounts[sandboxEnvironment], err = s.openAWS(ctx); err != nil {
		return nil, err
	}

	if c.HTTP {
		if p.Listener, err = s.listen(0); err != nil {
			return nil, err
		}
		p.Slack.SigningSecret = s.workspace.Options().Secret
		s.workspace.UseHTTP("http://"+p.Listener.Addr().String(), &http.Client{})
	} else {
		p.Slack.AppToken = s.workspace.Options().AppToken
	}
	s.app, err = NewApp(ctx, p)
	return s, err
}

// run runs the bot until ctx ends, then closes the world.
func (s *sandbox) run(ctx context.Context) error {
	return errors.Join(s.app.Run(ctx), s.close())
}

func (s *sandbox) close() error {
	var errs []error
	if s.workspace != nil {
		errs = append(errs, s.workspace.Close())
	}
	for _, server := range s.servers {
		errs = append(errs, server.Close())
	}
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.redis != nil {
		s.redis.Close()
	}
	return errors.Join(errs...)
}

func (s *sandbox) listen(port int) (net.Listener, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		s.listeners = append(s.listeners, l)
	}
	return l, err
}

// serve serves a simulated system and returns its address.
func (s *sandbox) serve(h http.Handler) (string, error) {
	l, err := s.listen(0)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	s.servers = append(s.servers, server)
	go func() {
		if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("a simulated system stopped", "error", err)
		}
	}()
	return "http://" + l.Addr().String(), nil
}

func (s *sandbox) openRedis(url string) (*redis.Options, error) {
	if url != "" {
		o, err := redis.ParseURL(url)
		if err != nil {
			return nil, errors.New("REDIS_URL: want redis://[user:password@]host:port/db")
		}
		return o, nil
	}
	s.redis = miniredis.NewMiniRedis()
	s.redis.ClockTTL(true) // keys expire by the clock, as in a real Redis
	if err := s.redis.Start(); err != nil {
		return nil, fmt.Errorf("embedded Redis: %w", err)
	}
	return &redis.Options{Addr: s.redis.Addr()}, nil
}

// openAWS serves the simulated AWS, with a template in a bucket: the sandbox needs no file
// system. Its credentials are as unreal as the stacks.
func (s *sandbox) openAWS(ctx context.Context) (*deploy.Account, error) {
	sim := awssim.New(awssim.Options{Region: sandboxRegion})
	sim.SetObject("templates/web.yaml", []byte(awssim.WebTemplate))
	addr, err := s.serve(sim)
	if err != nil {
		return nil, err
	}
	return deploy.Connect(ctx, deploy.Settings{
		Environment: sandboxEnvironment, Region: sandboxRegion, Endpoint: addr,
		Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", ""),
	})
}

// sandboxConfig is the configuration a small team would have.
func sandboxConfig() Config {
	return Config{
		Slack:    SlackConfig{Command: "/ops", Team: sandboxTeam, Announce: sandboxChannel},
		Defaults: DefaultsConfig{Environment: sandboxEnvironment, Expires: time.Hour},
		Environments: map[string]EnvironmentConfig{
			sandboxEnvironment: {
				Channels: []string{sandboxChannel}, Groups: []string{sandboxGroup},
				Quorum: map[string]int{"R1": 1, "R2": 1, "R3": 2},
				// Nobody but the bot reads the sandbox's register: no cache to wait for.
				Elasticsearch: &ElasticsearchConfig{Register: RegisterConfig{Cache: time.Second}, Hold: defaultHold}, AWS: &AWSConfig{Region: sandboxRegion},
			},
		},
	}
}

// sandboxWorkspace is a team of four with a channel, an approver group and a guest; more
// people are members of the channel too.
func sandboxWorkspace(url string, more ...slacksim.Person) *slacksim.Workspace {
	w := slacksim.New(slacksim.Options{
		URL: url, TeamID: sandboxTeam, TeamName: "Twokey sandbox",
		Welcome: "Alice asks, Bob or Carol agrees. Type a command as Alice, then switch to Bob and press *Approve* on the card.",
		Try: []string{
			"/ops es drain n3", "/ops es reindex products products-v2 --quarantine --throttle 200", "/ops es campaign 'v1_*' --to 'v2_*' --throttle 150",
			"/ops es health", "/ops help", "/ops cfn events web", "/ops cfn deploy web --template s3://templates/web.yaml --set ImageTag=2026-11-26",
		},
	})
	for _, p := range append([]slacksim.Person{
		{ID: alice, Name: "alice", RealName: "Alice"},
		{ID: bob, Name: "bob", RealName: "Bob"},
		{ID: carol, Name: "carol", RealName: "Carol"},
		{ID: gary, Name: "gary", RealName: "Gary (guest)", Guest: true},
	}, more...) {
		w.AddPerson(p)
	}
	w.AddGroup(slacksim.Group{ID: sandboxGroup, Handle: "sre", Name: "SRE", Users: []string{bob, carol}})
	w.AddChannel(slacksim.Channel{ID: sandboxChannel, Name: "ops", Topic: "Operations on staging"})
	w.AddChannel(slacksim.Channel{ID: "C0RANDOM", Name: "random", Topic: "No commands for staging here", WithoutBot: true})
	return w
}
