package workload

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// Match says whether a request is meant. The path has no query.
type Match func(method, path string) bool

// Proxy stands in front of one node and passes everything on, until it is told to lose a
// reply.
type Proxy struct {
	URL    string
	server *http.Server

	mu     sync.Mutex
	counts map[[2]string]int // by method and path
	drops  []*drop
}

// drop is a reply to be lost.
type drop struct {
	match   Match
	dropped chan struct{}
}

// StartProxy starts one on a free loopback port in front of the node at target. Close
// ends it.
func StartProxy(target string) (*Proxy, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{URL: "http://" + l.Addr().String(), counts: make(map[[2]string]int)}
	back := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{Proxy: nil, DisableCompression: true, MaxIdleConnsPerHost: 64},
		// A node that is gone is gone for the client too: no answer, not a 502.
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ModifyResponse: func(r *http.Response) error { return p.reply(r) },
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	p.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, ErrorLog: back.ErrorLog,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			p.counts[[2]string{r.Method, r.URL.Path}]++
			p.mu.Unlock()
			back.ServeHTTP(w, r)
		})}
	go p.server.Serve(l) // ends with Close
	return p, nil
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() error { return p.server.Close() }

// Drop loses the reply of the next matching request that the node answers with 2xx: it is
// carried out, and the client's connection breaks before a byte of the reply. The channel
// is closed when that has happened. Each call of Drop loses one reply.
func (p *Proxy) Drop(m Match) <-chan struct{} {
	d := &drop{m, make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops = append(p.drops, d)
	return d.dropped
}

// Count is how many matching requests were sent to the node so far.
func (p *Proxy) Count(m Match) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for key, count := range p.counts {
		if m(key[0], key[1]) {
			n += count
		}
	}
	return n
}

// errDropped goes to the ErrorHandler, which breaks the connection.
var errDropped = errors.New("reply dropped")

// reply sees each answer of the node before the client does.
func (p *Proxy) reply(r *http.Response) error {
	if r.StatusCode < 200 || r.StatusCode > 299 {
		return nil
	}
	d := p.take(r.Request.Method, r.Request.URL.Path)
	if d == nil {
		return nil
	}
	_, err := io.Copy(io.Discard, r.Body) // all of it: the node is done
	close(d.dropped)
	return errors.Join(errDropped, err)
}

// take returns the first waiting drop that matches, once.
func (p *Proxy) take(method, path string) *drop {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, d := range p.drops {
		if d.match(method, path) {
			p.drops = append(p.drops[:i], p.drops[i+1:]...)
			return d
		}
	}
	return nil
}
