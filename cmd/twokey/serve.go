package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/redis/go-redis/v9"

	"twokey/deploy"
	"twokey/ops/elastic"
	"twokey/ops/elastic/indices"
)

// serveCmd runs the bot against the real Slack, Redis and systems.
type serveCmd struct {
	Config        string `help:"Path of the configuration." default:"twokey.yaml" env:"TWOKEY_CONFIG"`
	Redis         string `help:"redis:// or rediss:// URL. Required." env:"REDIS_URL"`
	BotToken      string `help:"Slack's bot token." env:"SLACK_BOT_TOKEN" hidden:""`
	AppToken      string `help:"Slack's app-level token: Socket Mode." env:"SLACK_APP_TOKEN" hidden:""`
	SigningSecret string `help:"Slack's signing secret: HTTP." env:"SLACK_SIGNING_SECRET" hidden:""`
	APIURL        string `help:"Slack's Web API." env:"SLACK_API_URL" default:"https://slack.com/api/" name:"slack-api-url"`
	Port          int    `help:"HTTP port." env:"PORT" default:"8080"`
}

func (c serveCmd) Run(ctx context.Context, log *slog.Logger) error {
	var missing []error
	if c.Redis == "" {
		missing = append(missing, errors.New("REDIS_URL is not set: Twokey keeps everything in Redis (only \"twokey demo\" embeds one)"))
	}
	if c.BotToken == "" {
		missing = append(missing, errors.New("SLACK_BOT_TOKEN is not set"))
	}
	if c.AppToken == "" && c.SigningSecret == "" {
		missing = append(missing, errors.New("neither SLACK_APP_TOKEN (Socket Mode) nor SLACK_SIGNING_SECRET (HTTP) is set"))
	}
	config, err := LoadConfig(c.Config)
	if err != nil {
		missing = append(missing, err)
	} else {
		missing = append(missing, config.CheckEnvironment(os.LookupEnv)...)
	}
	if err := errors.Join(missing...); err != nil {
		return err
	}
	options, err := redis.ParseURL(c.Redis)
	if err != nil {
		return errors.New("REDIS_URL: want redis://[user:password@]host:port/db") // the text may hold the password
	}
	for _, w := range config.Warnings() {
		log.Warn("configuration: " + w)
	}
	p := Parts{
		Config: config, Log: log, Redis: options,
		Slack: SlackAccess{BotToken: c.BotToken, AppToken: c.AppToken, SigningSecret: c.SigningSecret, APIURL: c.APIURL},
	}
	if err := p.connect(ctx); err != nil {
		return err
	}
	if p.Listener, err = net.Listen("tcp", fmt.Sprintf(":%d", c.Port)); err != nil {
		return err
	}
	app, err := NewApp(ctx, p)
	if err != nil {
		return errors.Join(err, p.Listener.Close())
	}
	log.Info("twokey serves", "version", version, "address", p.Listener.Addr(), "socket_mode", c.AppToken != "")
	return app.Run(ctx)
}

// connect makes the clients of all environments' systems. Nothing is asked of them yet: a
// system that is down now must not keep the bot from starting.
func (p *Parts) connect(ctx context.Context) error {
	p.Clusters = make(map[string]elastic.Cluster)
	p.Registers = make(map[string]indices.Register)
	p.Accounts = make(map[string]*deploy.Account)
	for _, name := range p.Config.EnvironmentNames() {
		e := p.Config.Environments[name]
		if es := e.Elasticsearch; es != nil {
			client, err := elastic.Connect(elastic.Settings{
				URLs: es.URLs, Username: es.Username, Password: secret(es.PasswordEnv), APIKey: secret(es.APIKeyEnv), CAFile: es.CAFile,
			})
			if err != nil {
				return fmt.Errorf("environment %s: %w", name, err)
			}
			p.Clusters[name] = elastic.Cluster{Environment: name, Client: client}
			if es.Register.URL != "" {
				p.Registers[name] = indices.NewRegisterHTTP(indices.RegisterSettings{
					Environment: name, URL: es.Register.URL, Token: secret(es.Register.TokenEnv),
				})
			}
		}
		if aws := e.AWS; aws != nil {
			account, err := deploy.Connect(ctx, deploy.Settings{Environment: name, Region: aws.Region, ID: aws.Account, RoleARN: aws.RoleARN})
			if err != nil {
				return fmt.Errorf("environment %s: %w", name, err)
			}
			p.Accounts[name] = account
		}
	}
	return nil
}

// secret reads the variable of this name; no name, no secret.
func secret(name string) string {
	if name == "" {
		return ""
	}
	return os.Getenv(name)
}
