package awssim

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Client carries requests to a handler in the same process, without sockets, so that fake
// time can pass. The handler may end a request without a reply, as a network would lose
// it, by panicking with http.ErrAbortHandler.
type Client struct{ Handler http.Handler }

// Do carries one request.
func (c Client) Do(r *http.Request) (resp *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	defer func() {
		if e := recover(); e == http.ErrAbortHandler {
			resp, err = nil, io.ErrUnexpectedEOF
		} else if e != nil {
			panic(e)
		}
	}()
	w := httptest.NewRecorder()
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = io.NopCloser(strings.NewReader(""))
	}
	if in.URL.RawQuery == "" && in.RequestURI == "" {
		in.RequestURI = in.URL.RequestURI()
	}
	c.Handler.ServeHTTP(w, in)
	return w.Result(), nil
}
