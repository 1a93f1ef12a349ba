package bot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/sync/errgroup"
)

// SocketOptions are the settings of RunSocket. Zero values mean the defaults.
type SocketOptions struct {
	// Connections is how many to hold: default 2, so that one is there while the
	// other is renewed. Slack allows an app 10 over all replicas.
	Connections int
	// Silence is how long nothing at all may come in, neither a ping of Slack's nor
	// the answer to one of ours, before a connection counts as dead: default 30 s.
	Silence time.Duration
	// Quiet is how long no envelope may come in before a connection that still
	// answers pings is renewed all the same: default 15 min. Slack was seen to ping
	// for hours without delivering anything.
	Quiet time.Duration
}

func (o SocketOptions) withDefaults() SocketOptions {
	if o.Connections == 0 {
		o.Connections = 2
	}
	if o.Silence == 0 {
		o.Silence = 30 * time.Second
	}
	if o.Quiet == 0 {
		o.Quiet = 15 * time.Minute
	}
	return o
}

// steady is how long a connection must have lasted for the next failure to start
// with a short wait again.
const steady = 10 * time.Second

// grace is how long a replaced connection is still read.
const grace = 5 * time.Second

// RunSocket receives by Socket Mode until ctx ends, then returns nil, having
// acknowledged what it had stored. It returns an error only if Slack does not take
// the app-level token.
//
// The loop is our own and not slack-go's socketmode: that one leaves a gap at each
// refresh, decodes payloads strictly before they can be acknowledged, and holds
// acknowledgements in a queue that outlives the connection they belong to.
func (s *Server) RunSocket(ctx context.Context, o SocketOptions) error {
	o = o.withDefaults()
	g, ctx := errgroup.WithContext(ctx)
	for range o.Connections {
		g.Go(func() error { return s.keepSocket(ctx, o) })
	}
	return g.Wait()
}

// Sockets is how many Socket Mode connections are up, for the readiness check.
func (s *Server) Sockets() int { return int(s.sockets.Load()) }

// keepSocket holds one connection, renewing it whenever that is due. The old one is
// read until the new one is up.
func (s *Server) keepSocket(ctx context.Context, o SocketOptions) error {
	var old *socket
	defer func() {
		if old != nil {
			old.close()
		}
	}()
	for failed := 0; ctx.Err() == nil; {
		start := time.Now()
		c, err := s.dialSocket(ctx)
		if err == nil {
			if old != nil {
				old.retire(grace)
				old = nil
			}
			err = c.serve(ctx, o)
		}
		lasted := time.Since(start) > steady
		if lasted {
			failed = 0
		}
		var limited *slack.RateLimitedError
		failed++
		pause := resendWait(failed)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errRenew):
			old = c
			if lasted {
				s.log.Info("socket mode: renewing a connection", "why", err)
				continue
			}
		case fatal(err):
			return fmt.Errorf("socket mode: %w", err)
		case errors.As(err, &limited):
			pause = max(pause, limited.RetryAfter)
		}
		s.log.Warn("socket mode: connection lost", "err", redact(err.Error()), "again_in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return nil
}

// fatal reports whether Slack says that the token is no good.
func fatal(err error) bool {
	var refused slack.SlackErrorResponse
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Err {
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "not_allowed_token_type", "missing_scope":
		return true
	}
	return false
}
