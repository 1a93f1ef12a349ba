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
	root   object // root_cause, when it is not the failure itself; empty: none
	// unknown is what elasticsim does not simulate, though the server may know it; it
	// is listed by Cluster.Unknown.
	unknown string
}

// object is the error as it stands in an item of a larger answer.
func (f *failure) object() object {
	return append(object{{"type", f.kind}, {"reason", f.reason}}, f.more...)
}

// answer is the error as a whole answer. The server leaves out its product header
// when a block refuses.
func (f *failure) answer() answer {
	inner := f.object()
	root := f.root
	if root == nil {
		for _, m := range inner {
			if m.name != "caused_by" {
				root = append(root, m)
			}
		}
	}
	roots := list{root}
	if f.root != nil && len(f.root) == 0 {
		roots = list{}
	}
	outer := append(object{{"root_cause", roots}}, inner...)
	return answer{status: f.status, bare: f.kind == "cluster_block_exception", value: object{{"error", outer}, {"status", f.status}}}
}

// refusal makes an error of the server's own words, capitals and all.
func refusal(format string, args ...any) error { return refused(fmt.Sprintf(format, args...)) }

type refused string

func (r refused) Error() string { return string(r) }

func illegal(format string, args ...any) answer {
	return (&failure{status: http.StatusBadRequest, kind: "illegal_argument_exception", reason: fmt.Sprintf(format, args...)}).answer()
}

func invalid(format string, args ...any) answer {
	return (&failure{status: http.StatusBadRequest, kind: "action_request_validation_exception", reason: "Validation Failed: " + fmt.Sprintf(format, args...)}).answer()
}

func noSuchIndex(name string) *failure {
	return &failure{status: http.StatusNotFound, kind: "index_not_found_exception", reason: "no such index [" + name + "]", more: object{
		{"resource.type", "index_or_alias"}, {"resource.id", name}, {"index_uuid", "_na_"}, {"index", name}}}
}

func masterNotDiscovered() answer {
	return (&failure{status: http.StatusServiceUnavailable, kind: "master_not_discovered_exception"}).answer()
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
	return string(encode((&failure{status: f.Status, kind: kind, reason: reason}).answer().value, false))
}
