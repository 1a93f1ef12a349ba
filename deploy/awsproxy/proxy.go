// Package awsproxy is a thin reverse proxy between the SDK and an emulator of AWS, for
// tests: it delays calls, answers errors in their place, loses replies of calls that were
// carried out, and answers from a script what an emulator does at once (rollouts,
// commands, builds, instance refreshes).
//
// Which service is asked is read from the signature's scope, which action from
// X-Amz-Target, the form field Action, or else the method and path.
package awsproxy

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Rule says what happens to calls it matches. The first rule that matches and is not used
// up decides; without one a call is forwarded. Its fields are used in their order here.
type Rule struct {
	Service string // "cloudformation", as in the signature; empty: all
	Action  string // "CreateStack"; of S3, Route 53 and CloudFront "PUT /path…" by prefix; empty: all
	Match   string // part of the request's body; empty: any
	Skip    int    // calls let through first
	Every   int    // then each n-th one only; zero: each
	Times   int    // at most so often; zero: once; negative: for ever

	Before func()        // called before anything happens; nil: not
	Delay  time.Duration // before the call is forwarded or answered
	// Bodies are answered one after the other, the last one again and again; empty:
	// what follows.
	Bodies []string
	// Code and Message are an error to be answered, with Status, which is 400 if zero.
	// Empty Code: the call is forwarded.
	Code, Message string
	Status        int
	// Drop forwards the call and loses its reply; Lose loses the call itself.
	Drop, Lose bool
	// Edit changes a forwarded call's reply before it is answered; nil: not.
	Edit func(body string) string
}

type live struct {
	Rule
	seen, used int
}

// Call is one call that came.
type Call struct {
	Service, Action string
	Body            string
	Status          int // answered; 0: the reply was lost
}

// Proxy is an http.Handler. It is safe for concurrent use.
type Proxy struct {
	targets map[string]*url.URL // by service; "" for all others
	handler http.Handler        // in place of targets, in this process

	mu    sync.Mutex
	rules []*live
	calls []Call
}

// New returns a proxy to the emulators at urls, by service as in signatures ("ec2"); the
// one of "" gets all services that have none of their own.
func New(urls map[string]string) (*Proxy, error) {
	p := &Proxy{targets: make(map[string]*url.URL)}
	for service, u := range urls {
		parsed, err := url.Parse(u)
		if err != nil {
			return nil, err
		}
		p.targets[service] = parsed
	}
	return p, nil
}

// Over returns a proxy to a handler in the same process, so that fake time can pass.
func Over(h http.Handler) *Proxy { return &Proxy{handler: h} }

// Add adds a rule behind those there are.
func (p *Proxy) Add(r Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, &live{Rule: r})
}

// Reset drops all rules and forgets the calls.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.calls = nil, nil
}

// Calls returns the calls so far, of one action if that is not empty.
func (p *Proxy) Calls(action string) []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Call
	for _, c := range p.calls {
		if action == "" || c.Action == action {
			out = append(out, c)
		}
	}
	return out
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	service, action := named(r, body)
	rule, nth := p.rule(service, action, string(body))
	if rule.Before != nil {
		rule.Before()
	}
	if rule.Delay > 0 {
		select {
		case <-time.After(rule.Delay):
		case <-r.Context().Done():
		}
	}
	note := func(status int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.calls = append(p.calls, Call{service, action, string(body), status})
	}
	switch {
	case rule.Lose:
		note(0)
		panic(http.ErrAbortHandler)
	case len(rule.Bodies) > 0:
		note(http.StatusOK)
		w.Header().Set("Content-Type", contentType(r))
		_, _ = io.WriteString(w, rule.Bodies[min(nth, len(rule.Bodies)-1)]) // the client may be gone
		return
	case rule.Code != "":
		status := rule.Status
		if status == 0 {
			status = http.StatusBadRequest
		}
		note(status)
		Refuse(w, r, service, status, rule.Code, rule.Message)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	if p.handler != nil {
		answered := httptest.NewRecorder()
		p.handler.ServeHTTP(answered, r)
		if rule.Drop {
			note(0)
			panic(http.ErrAbortHandler)
		}
		note(answered.Code)
		text := answered.Body.String()
		if rule.Edit != nil {
			text = rule.Edit(text)
		}
		maps.Copy(w.Header(), answered.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answered.Code)
		_, _ = io.WriteString(w, text) // the client may be gone
		return
	}
	target := p.targets[service]
	if target == nil {
		target = p.targets[""]
	}
	if target == nil {
		note(http.StatusNotImplemented)
		Refuse(w, r, service, http.StatusNotImplemented, "NotImplemented", "no emulator serves "+service)
		return
	}
	forward := httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host = target.Scheme, target.Host
			pr.Out.Host = pr.In.Host // it is signed
		},
		ModifyResponse: func(resp *http.Response) error {
			if rule.Drop {
				_, _ = io.Copy(io.Discard, resp.Body) // carried out to its end
				return errDropped
			}
			if rule.Edit == nil {
				return nil
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			resp.Body.Close()
			b = []byte(rule.Edit(string(b)))
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
			resp.Header.Set("Content-Length", fmt.Sprint(len(b)))
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			note(0)
			panic(http.ErrAbortHandler) // the connection is cut, as by a network
		},
	}
	seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	forward.ServeHTTP(seen, r)
	note(seen.status)
}

var errDropped = fmt.Errorf("the reply is lost")

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// rule returns the rule for a call, and how often that one was used before.
func (p *Proxy) rule(service, action, body string) (Rule, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.rules {
		if l.Service != "" && l.Service != service || l.Match != "" && !strings.Contains(body, l.Match) {
			continue
		}
		if l.Action != "" && l.Action != action && !(strings.Contains(l.Action, " ") && strings.HasPrefix(action, l.Action)) {
			continue
		}
		if l.Times >= 0 && l.used >= max(1, l.Times) {
			continue
		}
		l.seen++
		if n := l.seen - l.Skip; n <= 0 || l.Every > 1 && n%l.Every != 0 {
			continue
		}
		l.used++
		return l.Rule, l.used - 1
	}
	return Rule{}, 0
}

// named says which service is asked for which action.
func named(r *http.Request, body []byte) (service, action string) {
	if _, scope, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		scope, _, _ = strings.Cut(scope, ",")
		if parts := strings.Split(scope, "/"); len(parts) >= 5 {
			service = parts[len(parts)-2]
		}
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return service, target[strings.LastIndex(target, ".")+1:]
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if form, err := url.ParseQuery(string(body)); err == nil && form.Get("Action") != "" {
			return service, form.Get("Action")
		}
	}
	return service, r.Method + " " + r.URL.RequestURI()
}
