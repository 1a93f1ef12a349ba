package slacksim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
	"time"
)

// The kinds of deliveries.
const (
	command     = "command"
	event       = "event"
	interaction = "interaction"
)

// Delivery is one thing on its way to the app: a command, an event, or a click.
type Delivery struct {
	Kind    string          // "command", "event", "interaction"
	EventID string          // events
	Payload json.RawMessage // of a command: its fields as an object

	w        *Workspace
	done     chan struct{}
	attempts []Attempt
	acked    func(response json.RawMessage, contentType string) // w.mu held
	failed   func(Attempt)                                      // w.mu held
}

// Attempt is one try to deliver.
type Attempt struct {
	Time     time.Time
	Envelope string // Socket Mode
	Retry    int
	Acked    bool
	Took     time.Duration
	Failure  string // as in retry_reason: "timeout", "http_error", …; empty when acknowledged
	Status   int    // HTTP
	LateAck  bool   // the acknowledgement came after the time was over
	final    bool   // X-Slack-No-Retry
	response json.RawMessage
	content  string // Content-Type of response
}

// Done is closed when the delivery was acknowledged or given up.
func (d *Delivery) Done() <-chan struct{} { return d.done }

// Attempts returns the tries so far.
func (d *Delivery) Attempts() []Attempt {
	d.w.mu.Lock()
	defer d.w.mu.Unlock()
	return slices.Clone(d.attempts)
}

// Wait waits until the delivery is over: nil when the app acknowledged it.
func (d *Delivery) Wait(ctx context.Context) error {
	select {
	case <-d.done:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the app's acknowledgement: %w", context.Cause(ctx))
	}
	as := d.Attempts()
	if len(as) == 0 {
		return errors.New("not delivered: workspace closed")
	}
	if last := as[len(as)-1]; !last.Acked {
		return fmt.Errorf("not acknowledged: %s", last.Failure)
	}
	return nil
}

// deliver sends d on its way; w.mu is held. Over Socket Mode the first attempt is queued
// before it returns, so deliveries keep their order.
func (w *Workspace) deliver(d *Delivery) *Delivery {
	d.w, d.done = w, make(chan struct{})
	if len(w.deliveries) >= logMost {
		w.deliveries = slices.Delete(w.deliveries, 0, logMost/2)
		clear(w.expired)
	}
	w.deliveries = append(w.deliveries, d)
	if w.closed {
		close(d.done)
		return d
	}
	fault := w.late
	var first *flight
	if fault.Late == 0 && w.http == nil {
		first = w.launch(d, 0, "", fault.Again)
	}
	w.wg.Go(func() { w.carry(d, first, fault) })
	return d
}

// carry makes the attempts until one is acknowledged or none is left.
func (w *Workspace) carry(d *Delivery, first *flight, fault DeliveryFault) {
	defer close(d.done)
	if !sleep(w.ctx, fault.Late) {
		return
	}
	reason := ""
	for n := 0; ; n++ {
		a := w.attempt(d, n, reason, first, fault.Again)
		first, reason = nil, a.Failure
		over := a.Acked || a.final || d.Kind != event || n >= len(w.opts.Retries) || w.ctx.Err() != nil
		w.mu.Lock()
		d.attempts = append(d.attempts, a)
		switch {
		case a.Acked && d.acked != nil:
			d.acked(a.response, a.content)
		case over && !a.Acked && d.failed != nil && w.ctx.Err() == nil:
			d.failed(a)
		}
		w.touch()
		w.mu.Unlock()
		if over || !sleep(w.ctx, w.opts.Retries[n]) {
			return
		}
	}
}

// attempt delivers once and waits for the acknowledgement.
func (w *Workspace) attempt(d *Delivery, n int, reason string, first *flight, again bool) Attempt {
	w.mu.Lock()
	urls := w.http
	if urls == nil && first == nil {
		first = w.launch(d, n, reason, again)
	}
	w.mu.Unlock()
	start := time.Now()
	var a Attempt
	if first != nil {
		a = w.awaitAck(first)
	} else {
		a = w.postSigned(urls, d, n, reason)
		if again {
			w.postSigned(urls, d, n, reason)
		}
	}
	a.Time, a.Retry, a.Took = start, n, time.Since(start)
	return a
}

// respondTo handles what an acknowledgement of a command carried; w.mu is held.
func (w *Workspace) respondTo(channel, user string) func(json.RawMessage, string) {
	return func(response json.RawMessage, content string) {
		raw := strings.TrimSpace(string(response))
		if raw == "" || raw == "null" {
			return
		}
		if kind, _, _ := mime.ParseMediaType(content); kind != "application/json" {
			w.whisper(channel, user, w.opts.BotUser, "", body{text: raw}, "ack")
			return
		}
		if fail := w.respond(&responseURL{channel: channel, user: user}, []byte(raw), "ack", nil); fail != nil {
			w.violate("ack", "the response of a command is wrong: %s %s", fail.code, fail.bug)
		}
	}
}

// commandFailed tells the person, as Slack does; w.mu is held.
func (w *Workspace) commandFailed(channel, user, word string) func(Attempt) {
	return func(a Attempt) {
		reason := "dispatch_failed"
		if a.Failure == "timeout" || a.Failure == "http_timeout" {
			reason = "operation_timeout"
		}
		w.whisper(channel, user, "USLACKBOT", "", body{text: word + ` failed with the error "` + reason + `"`}, "slack")
	}
}
