// Package cloudflaresim is as much of Cloudflare's API, version 4, as switching DNS records
// needs, for tests: zones by name, and records listed, made, changed and deleted.
package cloudflaresim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// Record is one record.
type Record struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Content string `json:"content"`
	TTL     int64  `json:"ttl"`
	Proxied bool   `json:"proxied"`
	Comment string `json:"comment,omitempty"`
}

// Sim is one zone. It is an http.Handler, safe for concurrent use.
type Sim struct {
	Zone    string
	Token   string
	Servers []string
	// Before is called before each call that changes something, and may answer in its
	// place; nil: not.
	Before func(w http.ResponseWriter, r *http.Request) (answered bool)
	// After is called after it was carried out, and may lose the reply by a panic with
	// http.ErrAbortHandler; nil: not.
	After func(r *http.Request)

	mu      sync.Mutex
	records []Record
	made    int
	writes  int
}

// Put adds a record.
func (s *Sim) Put(r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	r.ID = fmt.Sprintf("r%d", s.made)
	s.records = append(s.records, r)
}

// Records are the records there are; Writes how many calls changed something.
func (s *Sim) Records() []Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Record(nil), s.records...)
}

// Writes is how many calls changed something.
func (s *Sim) Writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Refuse answers an error as Cloudflare does.
func Refuse(w http.ResponseWriter, status, code int, message string) {
	reply(w, status, nil, map[string]any{"code": code, "message": message})
}

func reply(w http.ResponseWriter, status int, result any, errs ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if errs == nil {
		errs = []any{}
	}
	n := 1
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client may be gone
		"success": len(errs) == 0, "errors": errs, "messages": []any{}, "result": result,
		"result_info": map[string]any{"page": 1, "per_page": 100, "count": n, "total_count": n, "total_pages": 1},
	})
}

func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+s.Token {
		Refuse(w, http.StatusForbidden, 9109, "Invalid access token")
		return
	}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	for len(path) > 0 && path[0] != "zones" {
		path = path[1:]
	}
	switch {
	case len(path) == 1 && r.Method == http.MethodGet:
		zones := []any{}
		if r.URL.Query().Get("name") == s.Zone {
			zones = append(zones, map[string]any{"id": "z1", "name": s.Zone, "name_servers": s.Servers, "status": "active"})
		}
		reply(w, http.StatusOK, zones)
		return
	case len(path) < 3 || path[1] != "z1" || path[2] != "dns_records":
		Refuse(w, http.StatusNotFound, 7003, "Could not route to "+r.URL.Path)
		return
	case r.Method == http.MethodGet:
		s.list(w, r.URL.Query().Get("name.exact"))
		return
	}
	if s.Before != nil && s.Before(w, r) {
		return
	}
	s.change(w, r, path[3:])
}

func (s *Sim) list(w http.ResponseWriter, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Record{}
	for _, x := range s.records {
		if name == "" || x.Name == name {
			found = append(found, x)
		}
	}
	reply(w, http.StatusOK, found)
}

func (s *Sim) change(w http.ResponseWriter, r *http.Request, id []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := -1
	for i, x := range s.records {
		if len(id) == 1 && x.ID == id[0] {
			at = i
		}
	}
	if r.Method != http.MethodPost && at < 0 {
		Refuse(w, http.StatusNotFound, 81044, "Record does not exist.")
		return
	}
	s.writes++
	var out Record
	switch r.Method {
	case http.MethodDelete:
		out = s.records[at]
		s.records = append(s.records[:at], s.records[at+1:]...)
	case http.MethodPost, http.MethodPatch:
		if at >= 0 {
			out = s.records[at] // what is not given stays
		}
		if err := json.NewDecoder(r.Body).Decode(&out); err != nil || out.Content == "" || out.Type == "" {
			Refuse(w, http.StatusBadRequest, 9005, "Content is invalid.")
			return
		}
		if at < 0 {
			s.made++
			out.ID = fmt.Sprintf("r%d", s.made)
			s.records = append(s.records, out)
		} else {
			s.records[at] = out
		}
	}
	if s.After != nil {
		s.After(r)
	}
	reply(w, http.StatusOK, out)
}
