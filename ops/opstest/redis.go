package opstest

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is a miniredis reached over memory: it works inside testing/synctest bubbles,
// where its clock is the bubble's.
type Redis struct{ *miniredis.Miniredis }

// NewRedis starts one; it stops with the test.
func NewRedis(t testing.TB) Redis {
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	t.Cleanup(m.Close)
	return Redis{m}
}

// Client returns a client with a line of its own. The client is closed with the test.
func (r Redis) Client(t testing.TB) (*redis.Client, *Line) {
	l := &Line{to: r.Dial, conns: make(map[net.Conn]bool)}
	c := redis.NewClient(&redis.Options{
		Addr:   "127.0.0.1:6379", // an address, never looked up: host names do not work in bubbles
		Dialer: l.dial,
		// Subscriptions dial under a mutex, and waiting for one stops a bubble's time: so
		// dialling must not wait in between.
		DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	})
	t.Cleanup(func() {
		c.Close()
		if l.wasCut() {
			// The pool of a cut client asks for a connection once a second, and sees only
			// then that it is closed. A bubble must outlast it; there, it takes no time.
			time.Sleep(2 * time.Second)
		}
	})
	return c, l
}

// errCut is what a cut line answers.
var errCut = errors.New("opstest: the line to Redis is cut")

// Line is the network between one client and Redis.
type Line struct {
	to    func() (net.Conn, error)
	mu    sync.Mutex
	cut   bool // now
	ever  bool // cut at any time
	dials int
	conns map[net.Conn]bool
}

// Dials counts the connections asked for so far.
func (l *Line) Dials() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dials
}

// Cut breaks all connections and refuses new ones until Mend.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut, l.ever = true, true
	for c := range l.conns {
		c.Close()
	}
	clear(l.conns)
}

// wasCut reports whether the line is or was cut.
func (l *Line) wasCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ever
}

// Mend lets connections through again.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

func (l *Line) dial(context.Context, string, string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dials++
	if l.cut {
		return nil, errCut
	}
	c, err := l.to()
	if err == nil {
		l.conns[c] = true
	}
	return c, err
}
