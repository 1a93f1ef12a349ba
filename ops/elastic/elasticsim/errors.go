package elasticsim

import (
	"fmt"
	"net/http"
)

// failure is an error in the server's shape; more are extra members.
type failure struct {
	status int
	kind   string
	reason any // a string, or nil
	more   object
}

func (f *failure) answer() answer {
	inner := append(object{{"type", f.kind}, {"reason", f.reason}}, f.more...)
	outer := append(object{{"root_cause", list{inner}}}, inner...)
	return answer{status: f.status, value: object{{"error", outer}, {"status", f.status}}}
}

// refusal makes an error of the server's own words, capitals and all.
func refusal(format string, args ...any) error { return refused(fmt.Sprintf(format, args...)) }

type refused string

func (r refused) Error() string { return string(r) }

func illegal(format string, args ...any) answer {
	return (&failure{http.StatusBadRequest, "illegal_argument_exception", fmt.Sprintf(format, args...), nil}).answer()
}

func invalid(format string, args ...any) answer {
	return (&failure{http.StatusBadRequest, "action_request_validation_exception", "Validation Failed: " + fmt.Sprintf(format, args...), nil}).answer()
}

func noSuchIndex(name string) *failure {
	return &failure{http.StatusNotFound, "index_not_found_exception", "no such index [" + name + "]", object{
		{"resource.type", "index_or_alias"}, {"resource.id", name}, {"index_uuid", "_na_"}, {"index", name}}}
}

func masterNotDiscovered() answer {
	return (&failure{http.StatusServiceUnavailable, "master_not_discovered_exception", nil, nil}).answer()
}

// text is the body of an injected status.
func (f Fault) text() string {
	if f.Body != "" {
		return f.Body
	}
	kind, reason := "exception", any(http.StatusText(f.Status))
	switch f.Status {
	case http.StatusTooManyRequests:
		kind, reason = "circuit_breaking_exception", "[parent] Data too large, data for [<http_request>] would be larger than the limit"
	case http.StatusServiceUnavailable:
		kind, reason = "master_not_discovered_exception", nil
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = "security_exception"
	}
	return string(encode((&failure{f.Status, kind, reason, nil}).answer().value, false))
}
