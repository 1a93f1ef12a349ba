package awssim

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// serveS3 answers S3 with addresses by path: /bucket/key. Objects are read, written and listed with their versions, of which each has one.
func (s *Sim) serveS3(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/")
	action := map[string]string{http.MethodGet: "GetObject", http.MethodPut: "PutObject", http.MethodHead: "HeadObject", http.MethodDelete: "DeleteObject"}[r.Method]
	if r.URL.Query().Has("versions") {
		action = "ListObjectVersions"
	}
	s.calls[action]++
	if f, ok := s.planned(action); ok {
		refuseS3(w, f)
		return
	}
	switch action {
	case "PutObject":
		if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
			body = unchunked(body)
		}
		s.objects[name] = body
	case "DeleteObject":
		delete(s.objects, name)
		w.WriteHeader(http.StatusNoContent)
	case "ListObjectVersions":
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, "<ListVersionsResult>")
		for key := range s.objects {
			if inside, ok := strings.CutPrefix(key, strings.TrimSuffix(name, "/")+"/"); ok {
				fmt.Fprintf(w, "<Version><Key>%s</Key><VersionId>null</VersionId></Version>", inside)
			}
		}
		fmt.Fprint(w, "</ListVersionsResult>")
	case "GetObject", "HeadObject":
		object, ok := s.objects[name]
		if !ok {
			refuseS3(w, Fault{Status: http.StatusNotFound, Code: "NoSuchKey", Message: "The specified key does not exist."})
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(object)))
		if action == "GetObject" {
			_, _ = w.Write(object) // the client may be gone
		}
	default:
		refuseS3(w, Fault{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: r.Method + " is not simulated"})
	}
}

// unchunked is the content of a body sent in signed chunks.
func unchunked(body []byte) []byte {
	var out []byte
	rest := string(body)
	for {
		head, after, ok := strings.Cut(rest, "\r\n")
		if !ok {
			return out
		}
		size, _, _ := strings.Cut(head, ";")
		var n int
		if _, err := fmt.Sscanf(size, "%x", &n); err != nil || n == 0 || n > len(after) {
			return out
		}
		out = append(out, after[:n]...)
		rest = strings.TrimPrefix(after[n:], "\r\n")
	}
}

func refuseS3(w http.ResponseWriter, f Fault) {
	status := f.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	var message strings.Builder
	_ = xml.EscapeText(&message, []byte(f.Message)) // a strings.Builder does not fail
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message><RequestId>%s</RequestId></Error>", f.Code, message.String(), requestID)
}

// SetObject puts an object into S3: "bucket/key".
func (s *Sim) SetObject(name string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[name] = body
}

// HasObject reports whether an object is there.
func (s *Sim) HasObject(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.objects[name]
	return ok
}
