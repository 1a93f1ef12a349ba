package bot

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/slack-go/slack"
)

// SenderOptions are a Sender's parts and settings. Zero durations mean the defaults.
type SenderOptions struct {
	Slack  *slack.Client // bot token; its own retries must be off
	HTTP   *http.Client  // for response_url; nil: http.DefaultClient
	Queue  Queue
	Leases Leases
	Budget Budget
	Log    *slog.Logger // nil: slog.Default()

	// Lease is how long a sender that died is waited for: default 20 s.
	Lease time.Duration
	// CallTime is how long one call of Slack may take: default 8 s, at most half the lease.
	CallTime time.Duration
	// Poll is how often the queue is looked at: default 200 ms.
	Poll time.Duration
	// Parallel is how many calls may be under way: default 4.
	Parallel int
}

// Sender delivers what is in the Outbox. Of all senders of one Outbox one works at a
// time, under a lease; another takes over when it dies.
//
// A Post is made once: its outcome is noted before the next try, and where it is not
// known (a lost reply, a sender that died in the call) the post is looked for in Slack by
// its key in the metadata. A sender that was stopped past its lease finds the time of
// its call over. Whispers, Edits and DMs opened are harmless when repeated and simply
// are. A file is uploaded as often as needed and shared once: see deliverFile. A response_url cannot be looked into: it is used at least once, and at most three
// times.
type Sender struct {
	o      SenderOptions
	log    *slog.Logger
	holder string

	until   time.Time // of the lease, by this process's clock
	renew   time.Time // when to prolong it
	sched   *schedule // nil: another process is the sender
	flying  int
	results chan result
}

// NewSender returns a sender; Run starts it.
func NewSender(o SenderOptions) *Sender {
	o.Lease = cmp.Or(o.Lease, 20*time.Second)
	o.CallTime = min(cmp.Or(o.CallTime, 8*time.Second), o.Lease/2)
	o.Poll = cmp.Or(o.Poll, 200*time.Millisecond)
	o.Parallel = cmp.Or(o.Parallel, 4)
	if o.HTTP == nil {
		o.HTTP = http.DefaultClient
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Sender{o: o, log: o.Log, holder: crand.Text(), results: make(chan result, o.Parallel)}
}

// Run sends until ctx ends. Then it lets the calls under way finish, notes what became
// of them, gives the lease up and returns nil.
func (s *Sender) Run(ctx context.Context) error {
	tick := time.NewTicker(s.o.Poll)
	defer tick.Stop()
	for ctx.Err() == nil {
		if s.lead(ctx) {
			s.refresh(ctx)
			s.dispatch(ctx)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case r := <-s.results:
			s.settle(r)
		}
	}
	for s.flying > 0 {
		s.settle(<-s.results)
	}
	if s.sched != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := s.o.Leases.Release(ctx, SenderLease, s.holder); err != nil {
			s.log.Warn("the sender's lease was not given up; it passes by itself", "err", err)
		}
	}
	return nil
}

// lead reports whether this is the sender now, taking or prolonging the lease when
// it is time to.
func (s *Sender) lead(ctx context.Context) bool {
	now := time.Now()
	if now.Before(s.renew) {
		return s.sched != nil && now.Before(s.until)
	}
	s.renew = now.Add(min(time.Second, s.o.Lease/6))
	held, err := s.o.Leases.Hold(ctx, SenderLease, s.holder, s.o.Lease)
	switch {
	case err != nil:
		if ctx.Err() == nil {
			s.log.Warn("the sender's lease could not be taken", "err", err)
		}
		if !now.Before(s.until) {
			s.sched = nil
		}
	case !held:
		s.sched = nil
	default:
		if !now.Before(s.until) {
			s.sched = nil // the lease had passed: another may have sent meanwhile
		}
		s.until = now.Add(s.o.Lease)
		if s.sched == nil {
			if s.flying > 0 {
				return false // calls of an earlier term are still under way
			}
			s.log.Info("this process sends to Slack now")
			s.sched = newSchedule()
		}
	}
	return s.sched != nil
}

// page is how many messages are read from the queue at once.
const page = 200

// manyRoots is how many places of posts are kept in memory; then they are read again.
const manyRoots = 20_000

// refresh takes in what was put since the last time.
func (s *Sender) refresh(ctx context.Context) {
	for {
		entries, err := s.o.Queue.Waiting(ctx, s.sched.mark, page)
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("the outbox could not be read", "err", err)
			}
			return
		}
		now := time.Now()
		for _, e := range entries {
			s.sched.add(e, now)
		}
		if len(entries) < page {
			break
		}
	}
	if len(s.sched.roots) > manyRoots {
		clear(s.sched.roots)
	}
	for _, key := range s.sched.unknown() {
		r, err := s.o.Queue.Root(ctx, key)
		if err != nil {
			return
		}
		if r.Posted || r.Dropped {
			s.sched.roots[key] = r
		}
	}
}

// dispatch starts every call that may be made now.
func (s *Sender) dispatch(ctx context.Context) {
	for s.flying < s.o.Parallel {
		now := time.Now()
		if s.until.Sub(now) < s.o.CallTime {
			return // a call must end before the lease does
		}
		e := s.sched.next(now)
		if e == nil {
			return
		}
		wait, key, err := s.o.Budget.Take(ctx, s.sched.rates(e))
		if err != nil {
			s.log.Warn("the rate budget could not be read", "err", err)
			return
		}
		if wait > 0 {
			s.sched.blocked[key] = now.Add(wait)
			continue
		}
		e.sending = true
		s.flying++
		file := e.file
		s.sched.file = s.sched.file || file
		call, cancel := context.WithDeadline(context.WithoutCancel(ctx), now.Add(s.o.CallTime))
		go func(key string, mark int64) {
			defer cancel()
			r := s.deliver(call, key, mark)
			r.file = file
			s.results <- r
		}(e.key, e.mark)
	}
}

// result is what became of one delivery.
type result struct {
	key     string
	version int64 // of what was dealt with; a later put stays waiting
	end     end
	root    Root          // sent or dropped: what posts under it see
	wait    time.Duration // later
	block   string        // limited: the rate, blocked for wait
	file    bool          // it was one that carries a file
}

type end int

const (
	gone      end = iota // nothing to do any more
	sent                 // delivered
	later                // again after wait
	rewritten            // in another way
	lostLease
)

// settle takes the result into the schedule.
func (s *Sender) settle(r result) {
	s.flying--
	if r.end == lostLease {
		s.sched, s.renew = nil, time.Time{}
	}
	if s.sched == nil {
		return
	}
	if r.file {
		s.sched.file = false
	}
	if r.root.Posted || r.root.Dropped {
		s.sched.roots[r.key] = r.root
	}
	now := time.Now()
	if r.block != "" {
		s.sched.blocked[r.block] = now.Add(r.wait)
	}
	e := s.sched.entries[r.key]
	if e == nil {
		return
	}
	e.sending = false
	switch r.end {
	case sent, gone:
		if e.sent = now; e.mark <= r.version {
			s.sched.remove(r.key) // else it was put again meanwhile
		}
	case later:
		e.due = now.Add(r.wait)
	}
}

// keepTime is how long an outcome is tried to be noted. Longer would only hold up a
// shutdown: an outcome that is not noted is looked for.
const keepTime = 5 * time.Second

// keep repeats a write of an outcome until it is done or the time is over, which leaves
// the outcome unknown: the next try will look for it.
func (s *Sender) keep(ctx context.Context, write func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTime)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := write(ctx)
		if err == nil {
			return true
		}
		s.log.Warn("the outcome of a message could not be noted; trying again", "err", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// resendWait is the wait before try n+1: 1 s, doubling up to 30 s, a fifth of it random.
func resendWait(tries int) time.Duration {
	d := time.Second << min(max(tries-1, 0), 5)
	d = min(d, 30*time.Second)
	return d*9/10 + time.Duration(float64(d)/5*rand.Float64())
}

// errNoCall says that nothing was sent to Slack, because the time was over.
var errNoCall = errors.New("no time is left for the call")
