package elasticsim

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// RoundTripper reaches the cluster without sockets, for tests in a
// testing/synctest bubble. A host that is a node's name or IP reaches that node;
// any other reaches the cluster. A dropped connection is an error.
func (c *Cluster) RoundTripper() http.RoundTripper { return roundTripper{c} }

type roundTripper struct{ c *Cluster }

func (t roundTripper) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	var h http.Handler = t.c
	for _, n := range t.c.nodes {
		if host := r.URL.Hostname(); host == n.Name || host == n.IP {
			h = t.c.Node(n.Name)
		}
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	defer func() {
		switch p := recover(); {
		case p == nil:
		case p == http.ErrAbortHandler:
			resp, err = nil, r.Context().Err()
			if err == nil {
				err = fmt.Errorf("%s %s: connection reset by peer", r.Method, r.URL)
			}
		default:
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header, Request: r,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()),
	}, nil
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }
