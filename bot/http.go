package bot

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
)

// Handler serves Slack's requests. Each route takes commands, events and
// interactions, told apart by content, so one URL may serve all.
//
// What is not signed by Slack gets 401 and no word why. Events are answered with 200
// once stored, else with 503, so that Slack delivers them again; commands and clicks
// always with 200, and with "Not taken" for the person if they were not stored.
// X-Slack-No-Retry is never set: an event that another delivery would not help is
// acknowledged.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range []string{"/slack/commands", "/slack/events", "/slack/interactions"} {
		mux.HandleFunc("POST "+route, s.receive)
		mux.HandleFunc("GET "+route, s.sslCheck)
	}
	return mux
}

// sslCheck answers Slack's check of the certificate, which is not signed.
func (s *Server) sslCheck(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("ssl_check") != "1" {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (s *Server) receive(w http.ResponseWriter, r *http.Request) {
	body, err := signedBody(w, r, s.o.SigningSecret)
	if err != nil {
		if form, bad := url.ParseQuery(string(body)); bad == nil && form.Get("ssl_check") == "1" && form.Get("command") == "" {
			return // a certificate check, answered with 200: it asks for nothing
		}
		s.log.Warn("refused a request that Slack did not sign", "path", r.URL.Path, "from", r.RemoteAddr, "err", err)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	read := s.in.readForm
	if b := bytes.TrimSpace(body); len(b) > 0 && b[0] == '{' {
		read = s.in.readJSON
	}
	rc, err := read(body)
	if retry := r.Header.Get("X-Slack-Retry-Num"); retry != "" {
		s.log.Info("Slack delivers again", "try", retry, "reason", r.Header.Get("X-Slack-Retry-Reason"))
	}
	if rc.challenge != "" {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(rc.challenge))
		return
	}
	answer, ok := s.take(r.Context(), rc, err)
	switch {
	case !ok:
		w.WriteHeader(http.StatusServiceUnavailable)
	case answer != nil:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}
}
