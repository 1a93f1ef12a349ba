package slacksim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// requestURLs are where signed requests go.
type requestURLs struct {
	commands, events, interactions string
	client                         *http.Client
}

// UseHTTP delivers by signed HTTP requests from now on instead of Socket Mode, to
// base + "/slack/commands", "/slack/events" and "/slack/interactions". A nil client means
// a plain one.
func (w *Workspace) UseHTTP(base string, client *http.Client) {
	base = strings.TrimSuffix(base, "/") + "/slack/"
	if client == nil {
		client = &http.Client{}
	}
	c := *client
	c.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		if len(via) > 2 {
			return errTooManyRedirects
		}
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.http = &requestURLs{commands: base + "commands", events: base + "events", interactions: base + "interactions", client: &c}
}

// UseSockets delivers by Socket Mode again.
func (w *Workspace) UseSockets() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.http = nil
}

var errTooManyRedirects = errors.New("too many redirects")

// Verify does Slack's handshake with the three URLs: the challenge of events and the
// ssl_check of commands and interactions.
func (w *Workspace) Verify(ctx context.Context) error {
	w.mu.Lock()
	urls := w.http
	w.mu.Unlock()
	if urls == nil {
		return errors.New("verify: no request URLs")
	}
	status, _, answer, err := w.signed(ctx, urls, urls.events, "application/json",
		rawJSON(object{"type": "url_verification", "token": "slacksim", "challenge": "c-3f9a"}), nil)
	if err != nil {
		return fmt.Errorf("verify events: %w", err)
	}
	var reply struct{ Challenge string }
	if _ = json.Unmarshal(answer, &reply); status != http.StatusOK || reply.Challenge != "c-3f9a" && strings.TrimSpace(string(answer)) != "c-3f9a" {
		return fmt.Errorf("verify events: status %d without the challenge", status)
	}
	for _, u := range []string{urls.commands, urls.interactions} {
		form := url.Values{"ssl_check": {"1"}, "token": {"slacksim"}}.Encode()
		status, _, _, err := w.signed(ctx, urls, u, "application/x-www-form-urlencoded", []byte(form), nil)
		if err != nil {
			return fmt.Errorf("verify %s: %w", u, err)
		}
		if status != http.StatusOK {
			return fmt.Errorf("verify %s: status %d", u, status)
		}
	}
	return nil
}

// signed posts a body with Slack's v0 signature.
func (w *Workspace) signed(ctx context.Context, urls *requestURLs, to, kind string, body []byte, extra http.Header) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(w.opts.Secret))
	fmt.Fprintf(mac, "v0:%s:%s", stamp, body)
	for k, v := range extra {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("User-Agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
	req.Header.Set("X-Slack-Request-Timestamp", stamp)
	req.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := urls.client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, resp.Header, answer, err
}

// postSigned makes one delivery over HTTP.
func (w *Workspace) postSigned(urls *requestURLs, d *Delivery, n int, reason string) Attempt {
	ctx, cancel := context.WithTimeout(w.ctx, w.opts.AckWithin)
	defer cancel()
	to, kind, body := urls.events, "application/json", []byte(d.Payload)
	switch d.Kind {
	case command:
		to, kind, body = urls.commands, "application/x-www-form-urlencoded", formOf(d.Payload)
	case interaction:
		to, kind = urls.interactions, "application/x-www-form-urlencoded"
		body = []byte(url.Values{"payload": {string(d.Payload)}}.Encode())
	}
	extra := http.Header{}
	if n > 0 {
		extra.Set("X-Slack-Retry-Num", strconv.Itoa(n))
		extra.Set("X-Slack-Retry-Reason", reason)
	}
	status, header, answer, err := w.signed(ctx, urls, to, kind, body, extra)
	a := Attempt{Status: status, response: answer, content: header.Get("Content-Type"), final: header.Get("X-Slack-No-Retry") == "1"}
	switch {
	case err == nil && status >= 200 && status < 300:
		a.Acked = true
	case errors.Is(err, context.DeadlineExceeded):
		a.Failure = "http_timeout"
	case errors.Is(err, errTooManyRedirects):
		a.Failure = "too_many_redirects"
	case err != nil:
		a.Failure = "connection_failed"
	default:
		a.Failure = "http_error"
	}
	return a
}

// formOf turns a command's fields into its form.
func formOf(payload json.RawMessage) []byte {
	var fields map[string]string
	if err := json.Unmarshal(payload, &fields); err != nil {
		panic("slacksim: " + err.Error()) // the payload is our own
	}
	form := url.Values{}
	for k, v := range fields {
		form.Set(k, v)
	}
	return []byte(form.Encode())
}
