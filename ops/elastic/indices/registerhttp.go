package indices

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"twokey/ops"
)

const (
	registerLimit = 5 * time.Second // one call
	registerBody  = 1 << 20         // bytes of one answer
)

// RegisterSettings say how to reach a register over HTTP; docs/register.md has what it
// answers.
type RegisterSettings struct {
	Environment string // for messages
	URL         string // absolute; entries are below it
	Token       string // bearer token; empty: none
	// Transport nil: HTTP/1.1 with time limits, the system's authorities.
	Transport http.RoundTripper
}

// RegisterHTTP is a Register over HTTP. Each call ends within 5 s. Redirects are not
// followed: the token goes to the configured host only. A Put is sent once, and not at all
// when the claim of its context is over. Errors are *ops.UserError, ErrRegisterChanged, or
// the context's.
type RegisterHTTP struct {
	s      RegisterSettings
	client http.Client
}

var _ Register = (*RegisterHTTP)(nil)

// NewRegisterHTTP makes the client of a register. It sends nothing.
func NewRegisterHTTP(s RegisterSettings) *RegisterHTTP {
	if s.Transport == nil {
		dialer := &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}
		s.Transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialer.DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 3 * time.Second,
			MaxIdleConnsPerHost: 8,
			IdleConnTimeout:     30 * time.Second,
			DisableCompression:  true, // proxies that compress make ETags weak
		}
	}
	return &RegisterHTTP{s: s, client: http.Client{
		Transport:     s.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Get implements Register.
func (r *RegisterHTTP) Get(ctx context.Context, name string) (Entry, error) {
	a, err := r.call(ctx, http.MethodGet, name, nil, nil)
	switch {
	case err != nil:
		return Entry{}, err
	case a.status == http.StatusNotFound:
		return Entry{}, nil
	case a.status != http.StatusOK:
		return Entry{}, r.refused(a, http.MethodGet, name)
	}
	var said struct {
		Active *string   `json:"active"`
		Write  *[]string `json:"write"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil {
		return Entry{}, r.unusable(name, "is not the JSON of an entry", err)
	}
	if said.Active == nil || said.Write == nil || slices.Contains(*said.Write, "") {
		return Entry{}, r.unusable(name, "lacks active or write, or has an empty name in write", nil)
	}
	version, err := r.version(a, name)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Active: *said.Active, Write: *said.Write, Version: version}, nil
}

// Put implements Register.
func (r *RegisterHTTP) Put(ctx context.Context, name string, e Entry) (Entry, error) {
	if e.Write == nil {
		e.Write = []string{} // null is no list
	}
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // texts always encode
	}
	condition := http.Header{"If-None-Match": {"*"}}
	if e.Version != "" {
		condition = http.Header{"If-Match": {e.Version}}
	}
	if err := ops.Held(ctx); err != nil {
		return Entry{}, err
	}
	a, err := r.call(ctx, http.MethodPut, name, condition, body)
	if lost := ops.Held(ctx); err != nil && lost != nil {
		return Entry{}, lost
	}
	switch {
	case err != nil:
		return Entry{}, err
	case a.status == http.StatusPreconditionFailed:
		return Entry{}, ErrRegisterChanged
	case a.status != http.StatusOK && a.status != http.StatusCreated && a.status != http.StatusNoContent:
		return Entry{}, r.refused(a, http.MethodPut, name)
	}
	e.Version, err = r.version(a, name)
	if err != nil {
		return Entry{}, err
	}
	return e, nil
}

// registerAnswer is what the register answered, whatever it is.
type registerAnswer struct {
	status int
	header http.Header
	body   []byte
}

// call sends one request. The transport repeats a change only if nothing of it was sent.
func (r *RegisterHTTP) call(ctx context.Context, method, name string, header http.Header, body []byte) (registerAnswer, error) {
	if err := CheckRegisterName(name); err != nil {
		return registerAnswer{}, err
	}
	limited, cancel := context.WithTimeout(ctx, registerLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, method, strings.TrimRight(r.s.URL, "/")+"/"+url.PathEscape(name), nil)
	if err != nil {
		return registerAnswer{}, fmt.Errorf("register: %w", err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Accept", "application/json")
	if r.s.Token != "" {
		req.Header.Set("Authorization", "Bearer "+r.s.Token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return &heldPut{ctx, bytes.NewReader(body)}, nil }
		req.Body, _ = req.GetBody()
	}
	res, err := r.client.Do(req)
	if err != nil {
		return registerAnswer{}, r.away(ctx, err, method, name)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, registerBody+1))
	switch {
	case err != nil:
		return registerAnswer{}, r.away(ctx, err, method, name)
	case len(b) > registerBody:
		return registerAnswer{}, r.unusable(name, fmt.Sprintf("is longer than %d MB", registerBody>>20), nil)
	}
	return registerAnswer{res.StatusCode, res.Header, b}, nil
}

// heldPut is the body of a change, which can be read only while the claim is good: the
// transport reads it when it has a connection, perhaps long after it was handed over.
type heldPut struct {
	ctx  context.Context
	rest *bytes.Reader
}

func (b *heldPut) Close() error { return nil }

func (b *heldPut) Read(p []byte) (int, error) {
	if err := ops.Held(b.ctx); err != nil {
		return 0, err
	}
	return b.rest.Read(p)
}

// version is the strong ETag of an answer, quotes and all.
func (r *RegisterHTTP) version(a registerAnswer, name string) (string, error) {
	etag := a.header.Get("ETag")
	if len(etag) < 3 || etag[0] != '"' || etag[len(etag)-1] != '"' {
		return "", r.unusable(name, "has no strong ETag", nil)
	}
	return etag, nil
}

// unusable is an answer that came and cannot be used.
func (r *RegisterHTTP) unusable(name, why string, err error) error {
	return &ops.UserError{
		What: fmt.Sprintf("The answer of the register of %s for %s %s.", r.s.Environment, name, why),
		Next: "What its entry is now is unknown. Check register.url in the configuration, and what answers there.", Err: err,
	}
}

// unknown is what people know of the entry after a call without a usable answer.
func unknown(method, name string) string {
	if method == http.MethodPut {
		return fmt.Sprintf("Whether the entry %s was changed is unknown.", name)
	}
	return fmt.Sprintf("What the entry %s is now is unknown.", name)
}

// away is a call without an answer. A cancelled context stays what it is.
func (r *RegisterHTTP) away(ctx context.Context, err error, method, name string) error {
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), context.Cause(ctx))
	}
	e := &ops.UserError{Err: err, Next: unknown(method, name)}
	var network net.Error
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		e.What = fmt.Sprintf("The register of %s did not answer within %v.", r.s.Environment, registerLimit)
	case errors.Is(err, syscall.ECONNREFUSED):
		e.What = fmt.Sprintf("The register of %s refused the connection.", r.s.Environment)
	case errors.As(err, &certificate):
		e.What = fmt.Sprintf("The certificate of the register of %s is not trusted by this system.", r.s.Environment)
	default:
		e.What = fmt.Sprintf("The register of %s cannot be reached, or broke off.", r.s.Environment)
	}
	return e
}

// refused is an answer that says no.
func (r *RegisterHTTP) refused(a registerAnswer, method, name string) error {
	e := &ops.UserError{Next: unknown(method, name), Err: fmt.Errorf("register: %s answered %d", method, a.status)}
	switch {
	case a.status == http.StatusUnauthorized && r.s.Token == "":
		e.What = fmt.Sprintf("The register of %s wants a token.", r.s.Environment)
		e.Next = "Put it into an environment variable, and name that as register.token_env in the configuration."
	case a.status == http.StatusUnauthorized:
		e.What = fmt.Sprintf("The register of %s refused Twokey's token.", r.s.Environment)
		e.Next = "Check the variable that register.token_env names."
	case a.status == http.StatusForbidden:
		e.What = fmt.Sprintf("The register of %s does not allow Twokey to %s the entry %s.", r.s.Environment, map[string]string{http.MethodGet: "read", http.MethodPut: "write"}[method], name)
		e.Next = "Give its token that right."
	case a.status >= 300 && a.status < 400:
		e.What = fmt.Sprintf("The register of %s answered %d, a redirect; redirects are not followed, because the token would go along.", r.s.Environment, a.status)
		e.Next = "Put the final address into register.url in the configuration."
	default:
		e.What = fmt.Sprintf("The register of %s answered %d to a %s of %s.", r.s.Environment, a.status, method, name)
	}
	return e
}
