package awssim

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// jsonAction answers one action of a service that speaks JSON.
type jsonAction func(body []byte) (any, *Fault)

// service is the service a request was signed for: "ecr".
func service(r *http.Request) string {
	if _, scope, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		scope, _, _ = strings.Cut(scope, ",")
		if parts := strings.Split(scope, "/"); len(parts) >= 5 {
			return parts[len(parts)-2]
		}
	}
	return ""
}

// serveJSON answers a request of a JSON protocol. Its action is the last word of
// X-Amz-Target.
func (s *Sim) serveJSON(w http.ResponseWriter, r *http.Request) {
	target := r.Header.Get("X-Amz-Target")
	action := target[strings.LastIndex(target, ".")+1:]
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[action]++
	if f, ok := s.planned(action); ok {
		refuseJSON(w, r, f)
		return
	}
	f, ok := s.json[service(r)+"."+action]
	if !ok {
		refuseJSON(w, r, Fault{Code: "UnknownOperationException", Message: "no action " + action + " of " + service(r) + " is simulated"})
		return
	}
	out, fault := f(body)
	if fault != nil {
		refuseJSON(w, r, *fault)
		return
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	_ = json.NewEncoder(w).Encode(out) // the client may be gone
}

func refuseJSON(w http.ResponseWriter, r *http.Request, f Fault) {
	status := f.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	w.Header().Set("X-Amzn-ErrorType", f.Code)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": f.Code, "message": f.Message}) // the client may be gone
}

// on makes a jsonAction of a function of the action's own input.
func on[In any](f func(In) (any, *Fault)) jsonAction {
	return func(body []byte) (any, *Fault) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, &Fault{Code: "SerializationException", Message: err.Error()}
		}
		return f(in)
	}
}
