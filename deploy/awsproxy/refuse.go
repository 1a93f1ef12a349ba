package awsproxy

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
)

// contentType is that of an answer to r.
func contentType(r *http.Request) string {
	if r.Header.Get("X-Amz-Target") != "" {
		return r.Header.Get("Content-Type")
	}
	return "text/xml"
}

// Refuse answers an error as the service's protocol writes it: JSON where the request has
// a target, else XML in one of three shapes.
func Refuse(w http.ResponseWriter, r *http.Request, service string, status int, code, message string) {
	w.Header().Set("Content-Type", contentType(r))
	if r.Header.Get("X-Amz-Target") != "" {
		w.Header().Set("X-Amzn-ErrorType", code)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message}) // the client may be gone
		return
	}
	w.WriteHeader(status)
	inner := "<Code>" + escaped(code) + "</Code><Message>" + escaped(message) + "</Message>"
	switch service {
	case "ec2":
		fmt.Fprintf(w, "<Response><Errors><Error>%s</Error></Errors><RequestID>proxied</RequestID></Response>", inner)
	case "s3":
		fmt.Fprintf(w, "<Error>%s<RequestId>proxied</RequestId></Error>", inner)
	default:
		fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type>%s</Error><RequestId>proxied</RequestId></ErrorResponse>", inner)
	}
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}
