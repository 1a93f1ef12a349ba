// Twokey is a Slack bot for operations that need two people: one asks, another
// agrees, the bot does the long work and shows it in a thread.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the build.
var version = "unknown"

// cli is the command line; each command's Run is in the file of its name.
type cli struct {
	LogLevel slog.Level `help:"Least level that is logged: debug, info, warn or error." default:"info" env:"TWOKEY_LOG_LEVEL"`

	Serve  serveCmd `cmd:"" help:"Run the bot."`
	Demo   demoCmd  `cmd:"" help:"Run the sandbox: a Slack-like page and a simulated cluster on this machine."`
	Config struct {
		Check configCheckCmd `cmd:"" help:"Check the configuration file and the variables it names."`
	} `cmd:"" help:"The configuration file."`
	Manifest manifestCmd `cmd:"" help:"Print the Slack app manifest for this configuration."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	var c cli
	k := kong.Parse(&c, kong.Name("twokey"),
		kong.Description("Twokey: Slack operations that need two people."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.UsageOnError())
	k.BindTo(ctx, (*context.Context)(nil))
	k.Bind(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel})))
	err := k.Run()
	if err == nil || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return
	}
	fmt.Fprintln(os.Stderr, "twokey:", err)
	if advice := new(interface{ Advice() string }); errors.As(err, advice) {
		fmt.Fprintln(os.Stderr, (*advice).Advice())
	}
	stop()
	os.Exit(1)
}

type versionCmd struct{}

func (versionCmd) Run() error {
	v := version
	if info, ok := debug.ReadBuildInfo(); ok {
		v += " " + info.GoVersion
	}
	fmt.Println("twokey", v)
	return nil
}
