package bot_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/bot/slacksim"
)

// process is a sender that can be killed: then neither Slack nor Redis hears of it any
// more, nor it of them.
type process struct {
	next http.RoundTripper
	dead chan struct{}
}

func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := p.next.RoundTrip(r)
	select {
	case <-p.dead:
		return nil, errors.New("killed")
	default:
	}
	return res, err
}

func (p *process) DialHook(next redis.DialHook) redis.DialHook { return next }
func (p *process) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		select {
		case <-p.dead:
			cmd.SetErr(errors.New("killed"))
			return cmd.Err()
		default:
			return next(ctx, cmd)
		}
	}
}
func (p *process) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// start starts a sender that can be killed.
func (s *stage) start() *process {
	p := &process{next: s.http.Transport, dead: make(chan struct{})}
	own := s.redis()
	own.AddHook(p)
	s.t.Cleanup(func() { own.Close() })
	s.t.Cleanup(s.run(&http.Client{Transport: p}, own))
	return p
}

// The sender that holds the lease dies after Slack took its post and before it knew.
// Another finds the post and goes on, once the lease has passed.
func TestSenderKilledInTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		first := s.start()
		time.Sleep(time.Second)
		s.start() // waits for the lease
		s.sim.Fault(slacksim.Fault{Method: "chat.postMessage", DelayReply: 2 * time.Second})
		s.put(root("card:A"), reply("status:A", "card:A"))
		time.Sleep(time.Second)
		close(first.dead)
		s.idle(40 * time.Second)
		p, _, _ := s.outbox.Posted(t.Context(), "card:A")
		if got, want := texts(s.sim.Thread(p.Channel, p.TS)), []string{"card:A", "status:A"}; !slices.Equal(got, want) {
			t.Errorf("thread %q, want %q", got, want)
		}
		s.once("card:A", "status:A")
		s.obeyed()
	})
}

// Redis is away for a while, in the middle of calls.
func TestSenderWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		var away atomic.Bool
		own := s.redis()
		defer own.Close()
		own.AddHook(outage{&away})
		defer s.run(s.http, own)()
		var keys []string
		for i := range 20 {
			key := fmt.Sprintf("card:%d", i)
			keys = append(keys, key)
			s.put(root(key))
		}
		time.Sleep(3100 * time.Millisecond)
		away.Store(true)
		time.Sleep(30 * time.Second)
		away.Store(false)
		s.idle(2 * time.Minute)
		s.once(keys...)
		s.obeyed()
	})
}

type outage struct{ away *atomic.Bool }

func (o outage) DialHook(next redis.DialHook) redis.DialHook { return next }
func (o outage) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if o.away.Load() {
			cmd.SetErr(errors.New("redis is away"))
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}
func (o outage) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if o.away.Load() {
			return errors.New("redis is away")
		}
		return next(ctx, cmds)
	}
}
