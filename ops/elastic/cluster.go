package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/elastic/go-elasticsearch/v8"

	"twokey/ops"
)

// Limits of one call. A step's method has 10 s, so everything ends before.
const (
	readLimit  = 8 * time.Second // one read with its repetitions
	tryLimit   = 3 * time.Second // each of its tries but the last
	tries      = 3               // each on the next node of the client's, where it has several
	writeLimit = 6 * time.Second
	busyWait   = 200 * time.Millisecond
	maxBody    = 64 << 20 // bytes of one answer
)

// Cluster is the Elasticsearch cluster of one environment.
type Cluster struct {
	Environment string
	Client      *elasticsearch.Client
}

// APIError is an answer of Elasticsearch other than 2xx.
type APIError struct {
	Status int
	Type   string // "index_not_found_exception"
	Reason string
}

func (e *APIError) Error() string {
	if e.Type == "" {
		return fmt.Sprintf("answered %d", e.Status)
	}
	return fmt.Sprintf("answered %d: %s (%s)", e.Status, e.Reason, e.Type)
}

// isStatus reports whether err is an answer of Elasticsearch with this status.
func IsStatus(err error, status int) bool {
	var e *APIError
	return errors.As(err, &e) && e.Status == status
}

// get reads path into v. Errors are *ops.UserError, or ctx's.
func (c Cluster) Get(ctx context.Context, path string, query url.Values, v any) error {
	return c.Read(ctx, http.MethodGet, path, query, nil, v)
}

// read sends a request that changes nothing, on the next node again if one does not
// answer, and decodes the answer into v. An error means that the state is unknown.
func (c Cluster) Read(ctx context.Context, method, path string, query url.Values, body, v any) error {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	for try := 1; ; try++ {
		err := c.try(ctx, try < tries, method, path, query, body, v)
		if err == nil {
			return nil
		}
		if try == tries || ctx.Err() != nil || !WorthAnother(err) {
			return c.Translate(err)
		}
		if IsStatus(err, http.StatusTooManyRequests) {
			select { // a moment: the next node is as busy
			case <-ctx.Done():
			case <-time.After(time.Duration(try) * busyWait):
			}
		}
	}
}

func (c Cluster) try(ctx context.Context, more bool, method, path string, query url.Values, body, v any) error {
	if more {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, tryLimit)
		defer cancel()
	}
	return c.send(ctx, method, path, query, body, "", v)
}

// WorthAnother reports whether another node may answer what this one did not, or the same
// a moment later.
func WorthAnother(err error) bool {
	var e *APIError
	if errors.As(err, &e) {
		return e.Status == http.StatusBadGateway || e.Status == http.StatusServiceUnavailable ||
			e.Status == http.StatusGatewayTimeout || e.Status == http.StatusTooManyRequests
	}
	return !errors.Is(err, ErrAnswer)
}

// ErrAnswer marks answers that came but cannot be used.
var ErrAnswer = errors.New("unusable answer")

// errLonger is an answer that was not read to its end.
var errLonger = fmt.Errorf("%w: too long", ErrAnswer)

// IsLonger reports whether an answer was longer than is read: ask for less.
func IsLonger(err error) bool { return errors.Is(err, errLonger) }

// Write sends a change once. An error may mean that it was carried out all the same:
// the caller reads before it writes again. token goes into X-Opaque-Id. A change whose
// run may be another worker's by now is not sent: see ops.Held.
func (c Cluster) Write(ctx context.Context, method, path string, query url.Values, body any, token string) error {
	return c.Do(ctx, Request{Method: method, Path: path, Query: query, Body: body, Token: token, Limit: writeLimit})
}

// Request is one call that is sent once, to one node, and never repeated by itself.
type Request struct {
	Method, Path string
	Query        url.Values
	Body         any           // encoded as JSON; []byte: sent as it is
	Token        string        // X-Opaque-Id
	Limit        time.Duration // of the whole call
	Answer       any           // decoded into; *[]byte: as it came; nil: none
}

// Do sends a request under the claim of ctx. An error may mean that it was carried out
// all the same.
func (c Cluster) Do(ctx context.Context, r Request) error {
	if err := ops.Held(ctx); err != nil {
		return err
	}
	sending, cancel := context.WithTimeout(ctx, r.Limit)
	defer cancel()
	err := c.send(sending, r.Method, r.Path, r.Query, r.Body, r.Token, r.Answer)
	if lost := ops.Held(ctx); err != nil && lost != nil {
		return lost
	}
	return c.Translate(err)
}

// Held is the cluster's client for libraries that send changes by themselves: it sends
// nothing once the claim of ctx is over.
func (c Cluster) Held(ctx context.Context) Held { return Held{ctx, c.Client} }

// Held sends changes under a claim.
type Held struct {
	ctx    context.Context
	client *elasticsearch.Client
}

// Perform sends a request once.
func (h Held) Perform(r *http.Request) (*http.Response, error) {
	if err := ops.Held(h.ctx); err != nil {
		return nil, err
	}
	r = r.WithContext(h.ctx)
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		setBody(r, body)
	}
	return h.client.Perform(r)
}

// heldBody is the body of a change. The transport reads it when it has a connection and
// puts the request on the wire, which may be long after the change was handed over.
type heldBody struct {
	ctx  context.Context
	rest *bytes.Reader
}

func (b heldBody) Close() error { return nil }

func (b heldBody) Read(p []byte) (int, error) {
	if err := ops.Held(b.ctx); err != nil {
		return 0, err
	}
	return b.rest.Read(p)
}

// setBody gives the request a body that can be read only while the claim is good. With
// its headers alone Elasticsearch does nothing.
func setBody(req *http.Request, body []byte) {
	req.GetBody = func() (io.ReadCloser, error) {
		return heldBody{req.Context(), bytes.NewReader(body)}, nil
	}
	req.Body = heldBody{req.Context(), bytes.NewReader(body)}
	req.ContentLength = int64(len(body))
}

func (c Cluster) send(ctx context.Context, method, path string, query url.Values, body any, token string, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, path+"?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		b, raw := body.([]byte)
		if !raw {
			if b, err = json.Marshal(body); err != nil {
				return fmt.Errorf("request: %w", err)
			}
		}
		setBody(req, b)
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("X-Opaque-Id", token)
	}
	res, err := c.Client.Perform(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return fmt.Errorf("reading the answer: %w", err)
	case len(b) > maxBody:
		return fmt.Errorf("%w (over %d MB)", errLonger, maxBody>>20)
	case res.StatusCode < 200 || res.StatusCode > 299:
		return newAPIError(res.StatusCode, b)
	case v == nil:
		return nil
	}
	if raw, ok := v.(*[]byte); ok {
		*raw = b
		return nil
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return nil
}

func newAPIError(status int, body []byte) *APIError {
	e := &APIError{Status: status}
	var answer struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return e
	}
	var detail struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	}
	if json.Unmarshal(answer.Error, &detail) == nil {
		e.Type, e.Reason = detail.Type, detail.Reason
	}
	return e
}

// query is a short form of url.Values: name, value, name, value.
func Query(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// fields joins the paths of a filter_path.
func fields(paths ...string) string { return strings.Join(paths, ",") }
