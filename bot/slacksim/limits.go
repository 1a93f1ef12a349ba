package slacksim

import (
	"math"
	"slices"
	"time"
)

// chat.postMessage: one a second in a channel with short bursts, and a limit for the
// whole workspace. Slack names neither the burst nor the limit; these are tight guesses.
const (
	postBurst     = 5
	postWorkspace = 300 // a minute
)

// limiter counts calls: a sliding minute per method, and a bucket per channel for
// chat.postMessage.
type limiter struct {
	window  map[string][]time.Time // times of the last minute's calls
	buckets map[string]*bucket
	until   map[string]time.Time // end of the Retry-After given last
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newLimiter() *limiter {
	return &limiter{window: map[string][]time.Time{}, buckets: map[string]*bucket{}, until: map[string]time.Time{}}
}

// limit counts a call and returns the whole seconds to wait, 0 for "go on", and whether
// the call came before an earlier wait was over; w.mu is held.
func (w *Workspace) limit(q *request, now time.Time) (wait int, early bool) {
	l, key := w.limits, limitKey(q.method, q.args["channel"])
	early = now.Before(l.until[key])
	m := methods[q.method]
	if m == nil || w.opts.NoRateLimits {
		return 0, early
	}
	tier := m.tier
	if q.method == "chat.postMessage" {
		tier = postWorkspace
	}
	if tier == 0 {
		return 0, early
	}
	recent := slices.DeleteFunc(l.window[q.method], func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	l.window[q.method] = recent
	var left time.Duration
	if len(recent) >= tier {
		left = time.Minute - now.Sub(recent[len(recent)-tier])
	}
	if q.method == "chat.postMessage" {
		left = max(left, l.take(key, now))
	}
	if left > 0 {
		wait = int(math.Ceil(left.Seconds()))
		l.until[key] = now.Add(time.Duration(wait) * time.Second)
		return wait, early
	}
	l.window[q.method] = append(recent, now)
	return 0, early
}

// limitKey names what a 429 applies to.
func limitKey(method, channel string) string {
	if method == "chat.postMessage" {
		return method + " " + channel
	}
	return method
}

// take takes a token of the channel's bucket or returns how long one will need.
func (l *limiter) take(key string, now time.Time) time.Duration {
	b := l.buckets[key]
	if b == nil {
		b = &bucket{tokens: postBurst, at: now}
		l.buckets[key] = b
	}
	b.tokens = min(postBurst, b.tokens+now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) * float64(time.Second))
	}
	b.tokens--
	return 0
}

// told remembers the Retry-After of a fault and marks the call if it came too early.
func (w *Workspace) told(key string, wait time.Duration, call *Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	call.Early = now.Before(w.limits.until[key])
	w.limits.until[key] = now.Add(max(wait, time.Second))
}
