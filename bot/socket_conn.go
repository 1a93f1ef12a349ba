package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/slack-go/slack"
)

// maxAtOnce is how many envelopes of a connection are being stored at once.
const maxAtOnce = 32

// errRenew says that a connection works and is to be replaced.
var errRenew = errors.New("to be renewed")

// socket is one Socket Mode connection.
type socket struct {
	s  *Server
	ws *websocket.Conn

	frame    atomic.Int64 // when anything last came in, Unix ns
	ping     atomic.Int64 // when Slack last pinged, or the connection began
	envelope atomic.Int64 // when an envelope last came in

	room    chan struct{} // one token per envelope in work
	closing sync.Once
	closed  chan struct{} // closed when no more envelopes are dealt with
	renew   chan error    // Slack asks for a new connection, or refuses this one
	ended   chan struct{} // closed when reading has ended, with err
	err     error
}

// dialSocket opens a connection: apps.connections.open, then the WebSocket named by
// it. The connection is being read when this returns.
func (s *Server) dialSocket(ctx context.Context) (*socket, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	url, err := s.openSocket(ctx)
	if err != nil {
		return nil, fmt.Errorf("apps.connections.open: %w", err)
	}
	c := &socket{
		s:      s,
		room:   make(chan struct{}, maxAtOnce),
		closed: make(chan struct{}),
		renew:  make(chan error, 1),
		ended:  make(chan struct{}),
	}
	for _, at := range []*atomic.Int64{&c.frame, &c.ping, &c.envelope} {
		at.Store(time.Now().UnixNano())
	}
	c.ws, _, err = websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: s.o.HTTP,
		OnPingReceived: func(context.Context, []byte) bool {
			c.frame.Store(time.Now().UnixNano())
			c.ping.Store(time.Now().UnixNano())
			s.pinged.Store(true)
			return true
		},
		OnPongReceived: func(context.Context, []byte) { c.frame.Store(time.Now().UnixNano()) },
	})
	if err != nil {
		return nil, err
	}
	c.ws.SetReadLimit(maxBody)
	go c.read()
	return c, nil
}

// openSocket asks for the address of a new connection: one at a time, and not before
// Slack's last Retry-After is over.
func (s *Server) openSocket(ctx context.Context) (string, error) {
	select {
	case s.opening <- struct{}{}:
		defer func() { <-s.opening }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if wait := time.Until(s.openAfter); wait > 0 {
		return "", &slack.RateLimitedError{RetryAfter: wait}
	}
	_, url, err := s.o.Slack.StartSocketModeContext(ctx)
	var limited *slack.RateLimitedError
	if errors.As(err, &limited) {
		s.openAfter = time.Now().Add(limited.RetryAfter)
	}
	return url, err
}

// serve watches over the connection. It returns errRenew when the connection is to
// be replaced but still works, else the error that it ended with, closed. When ctx
// ends it closes in order.
func (c *socket) serve(ctx context.Context, o SocketOptions) error {
	tick := time.NewTicker(o.Silence / 6)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			c.close()
			return ctx.Err()
		case <-c.ended:
			return c.err
		case err := <-c.renew:
			if !errors.Is(err, errRenew) {
				c.close()
			}
			return err
		case <-tick.C:
			if why := c.dead(o.Silence); why != nil {
				_ = c.ws.CloseNow()
				<-c.ended
				return why
			}
			if quiet := time.Since(time.Unix(0, c.envelope.Load())); quiet > o.Quiet {
				return fmt.Errorf("%w: no envelope for %s", errRenew, quiet.Round(time.Second))
			}
			if time.Since(time.Unix(0, c.frame.Load())) > o.Silence/2 {
				go c.ask(o.Silence)
			}
		}
	}
}

// dead says that the connection is: nothing came in for so long, or no ping of
// Slack's, even if something answers ours. (A Slack that pings nobody is none: a
// stand-in, which then only has to answer.)
func (c *socket) dead(silence time.Duration) error {
	if quiet := time.Since(time.Unix(0, c.frame.Load())); quiet > silence {
		return fmt.Errorf("silent for %s", quiet.Round(time.Second))
	}
	if quiet := time.Since(time.Unix(0, c.ping.Load())); c.s.pinged.Load() && quiet > silence {
		return fmt.Errorf("not pinged for %s", quiet.Round(time.Second))
	}
	return nil
}

// ask pings the other side; OnPongReceived notes its answer. It ends with the
// connection at the latest.
func (c *socket) ask(limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	_ = c.ws.Ping(ctx)
}

// retire closes the connection after a while, in the background, so that what is
// on its way is still read and acknowledged.
func (c *socket) retire(after time.Duration) {
	c.s.asides.Go(func() {
		select {
		case <-time.After(after):
		case <-c.ended:
		}
		c.close()
	})
}

// close waits for the envelopes in work, which takes acceptTime at most, and closes.
// Slack delivers what comes meanwhile to another connection.
func (c *socket) close() {
	c.closing.Do(func() {
		close(c.closed)
		for range maxAtOnce {
			c.room <- struct{}{}
		}
		_ = c.ws.Close(websocket.StatusNormalClosure, "")
	})
	<-c.ended
}

// socketFrame is what Slack sends: an envelope, hello or disconnect.
type socketFrame struct {
	Type       string          `json:"type"`
	EnvelopeID string          `json:"envelope_id"`
	Payload    json.RawMessage `json:"payload"`
	Reason     string          `json:"reason"`
	Answerable bool            `json:"accepts_response_payload"`
	Retry      int             `json:"retry_attempt"`
	RetryWhy   string          `json:"retry_reason"`
	Count      int             `json:"num_connections"`
}

type socketAck struct {
	EnvelopeID string `json:"envelope_id"`
	Payload    any    `json:"payload,omitempty"`
}

// read reads until the connection ends.
func (c *socket) read() {
	defer close(c.ended)
	var up bool
	defer func() {
		if up {
			c.s.sockets.Add(-1)
		}
	}()
	for {
		_, b, err := c.ws.Read(context.Background()) // ended by closing
		if err != nil {
			_ = c.ws.CloseNow()
			c.err = err
			return
		}
		c.frame.Store(time.Now().UnixNano())
		var f socketFrame
		if err := json.Unmarshal(b, &f); err != nil {
			c.s.log.Error("socket mode: unreadable frame", "bytes", len(b), "err", err)
			continue
		}
		switch {
		case f.EnvelopeID != "":
			c.envelope.Store(time.Now().UnixNano())
			select {
			case c.room <- struct{}{}:
				go func() {
					c.deal(f)
					<-c.room
				}()
			case <-c.closed:
			}
		case f.Type == "hello":
			if !up {
				up = true
				c.s.sockets.Add(1)
			}
			c.s.log.Info("socket mode: connected", "connections", f.Count)
		case f.Type == "disconnect":
			c.disconnect(f.Reason)
		}
	}
}

// disconnect notes that Slack will close the connection. Refreshes are routine;
// link_disabled and too_many_websockets are waited out.
func (c *socket) disconnect(reason string) {
	err := fmt.Errorf("slack disconnects: %s", reason)
	if reason == "warning" || reason == "refresh_requested" {
		err = fmt.Errorf("%w: %s", errRenew, reason)
	}
	select {
	case c.renew <- err:
	default:
	}
}

// deal stores what an envelope holds and acknowledges it, on the connection it came
// by. An event that could not be stored is not acknowledged: Slack delivers it again.
func (c *socket) deal(f socketFrame) {
	ctx := context.Background()
	if f.Retry > 0 {
		c.s.log.Info("Slack delivers again", "try", f.Retry, "reason", f.RetryWhy)
	}
	rc, err := c.s.in.readJSON(f.Payload)
	if rc.kind == "" { // unreadable: the envelope still says what it is
		rc.kind = map[string]string{"slash_commands": kindCommand, "interactive": kindAction}[f.Type]
	}
	answer, ok := c.s.take(ctx, rc, err)
	if !ok {
		return
	}
	ack := socketAck{EnvelopeID: f.EnvelopeID}
	if f.Answerable {
		ack.Payload = answer
	}
	b, err := json.Marshal(ack)
	if err != nil {
		panic(err) // strings always encode
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, b); err != nil {
		c.s.log.Warn("socket mode: not acknowledged; Slack may deliver it again", "err", err)
	}
}
