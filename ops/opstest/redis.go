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
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	})
	t.Cleanup(func() { c.Close() })
	return c, l
}

// errCut is what a cut line answers.
var errCut = errors.New("opstest: the line to Redis is cut")

// Line is the network between one client and Redis.
type Line struct {
	to    func() (net.Conn, error)
	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

// Cut breaks all connections and refuses new ones, slowly, until Mend.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for c := range l.conns {
		c.Close()
	}
	clear(l.conns)
}

// Mend lets connections through again.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

func (l *Line) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		l.mu.Unlock()
		defer l.mu.Lock()
		select { // not at once: in a bubble, time would stand still over an instant failure
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
		return nil, errCut
	}
	c, err := l.to()
	if err == nil {
		l.conns[c] = true
	}
	return c, err
}
