package registertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Server is a register over HTTP, as docs/register.md asks for, in memory.
type Server struct {
	path, token string

	mu      sync.Mutex
	last    int // number of writes
	entries map[string]stored
}

type stored struct {
	etag string
	body []byte
}

// NewServer returns an empty register whose entries are below path ("/indexes") and which
// answers only to the bearer token.
func NewServer(path, token string) *Server {
	return &Server{path: path, token: token, entries: make(map[string]stored)}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+s.token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	escaped, ok := strings.CutPrefix(r.URL.EscapedPath(), s.path+"/")
	name, err := url.PathUnescape(escaped)
	if !ok || err != nil || name == "" || strings.Contains(escaped, "/") {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, known := s.entries[name]
	switch r.Method {
	case http.MethodGet:
		if !known {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", e.etag)
		w.Write(e.body)
	case http.MethodPut:
		s.put(w, r, name, e, known)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (s *Server) put(w http.ResponseWriter, r *http.Request, name string, e stored, known bool) {
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	switch {
	case (match == "") == (none == ""), none != "" && none != "*":
		w.WriteHeader(http.StatusPreconditionRequired)
		return
	case none == "*" && known, match != "" && match != e.etag:
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	var entry struct {
		Active *string  `json:"active"`
		Write  []string `json:"write"`
	}
	if err := json.NewDecoder(r.Body).Decode(&entry); err != nil || entry.Active == nil || entry.Write == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	body, err := json.Marshal(entry)
	if err != nil {
		panic(err) // texts always encode
	}
	s.last++
	e = stored{fmt.Sprintf(`"%d"`, s.last), body}
	s.entries[name] = e
	w.Header().Set("ETag", e.etag)
	if !known {
		w.WriteHeader(http.StatusCreated)
	}
}
