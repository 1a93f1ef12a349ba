package workload

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// callLimit bounds one request. It is longer than the server's own time-outs, so that
// the server says what became of a request before the client stops listening.
const callLimit = 2 * time.Minute

// Nodes is a cluster, reached through any of its nodes. It may be used by several
// goroutines.
type Nodes struct {
	urls   []string
	at     atomic.Uint64
	client *http.Client
}

// Dial returns the cluster at urls, of which there must be one at least. It sends
// nothing.
func Dial(urls []string) *Nodes {
	n := &Nodes{client: &http.Client{Timeout: callLimit, Transport: &http.Transport{
		Proxy: nil, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
	}}}
	for _, u := range urls {
		n.urls = append(n.urls, strings.TrimSuffix(u, "/"))
	}
	return n
}

// StatusError is an answer other than 2xx.
type StatusError struct {
	Status int
	Body   string // the first 2,000 bytes
}

func (e *StatusError) Error() string { return fmt.Sprintf("answered %d: %.300s", e.Status, e.Body) }

// Status returns the status of an answer that is an error, and 0 if there was no answer.
func Status(err error) int {
	var s *StatusError
	if errors.As(err, &s) {
		return s.Status
	}
	return 0
}

// Do sends one request, once, to one node, and decodes the answer into out unless it is
// nil. body may be nil, []byte (sent as it is, as newline-delimited JSON where the path
// says _bulk) or anything that encodes as JSON. Numbers in an any stay json.Number. An
// answer other than 2xx is a *StatusError. After an error that is none, the next call
// goes to the next node.
func (n *Nodes) Do(ctx context.Context, method, path string, body, out any) error {
	at := n.at.Load()
	err := n.do(ctx, n.urls[at%uint64(len(n.urls))], method, path, body, out)
	if err != nil && Status(err) == 0 {
		n.at.CompareAndSwap(at, at+1)
	}
	return err
}

// Read is Do for requests that may be repeated: it tries for a minute while nodes do not
// answer, or answer 429 or 5xx.
func (n *Nodes) Read(ctx context.Context, method, path string, body, out any) error {
	for end := time.Now().Add(time.Minute); ; {
		err := n.Do(ctx, method, path, body, out)
		if err == nil || ctx.Err() != nil || !mayPass(err) || time.Now().After(end) {
			return err
		}
		if pause(ctx, 200*time.Millisecond) != nil {
			return err
		}
	}
}

// mayPass reports whether err may be over soon.
func mayPass(err error) bool {
	s := Status(err)
	return s == 0 || s == http.StatusTooManyRequests || s >= 500
}

func (n *Nodes) do(ctx context.Context, url, method, path string, body, out any) error {
	raw, isRaw := body.([]byte)
	if body != nil && !isRaw {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		if strings.Contains(path, "_bulk") {
			req.Header.Set("Content-Type", "application/x-ndjson")
		}
	}
	res, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: %w", method, path, err)
	case res.StatusCode < 200 || res.StatusCode > 299:
		return fmt.Errorf("%s %s: %w", method, path, &StatusError{res.StatusCode, string(b[:min(len(b), 2000)])})
	case out == nil:
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// pause waits d, or until ctx ends: then it returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
