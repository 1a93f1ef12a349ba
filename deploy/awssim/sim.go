package awssim

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options say what is simulated. Zero values mean the defaults.
type Options struct {
	Region  string           // default eu-west-1
	Account string           // default 123456789012
	Now     func() time.Time // default time.Now
	// PageSize is the number of events or stacks in a page: default 100, as AWS.
	PageSize int
	// Stacks are those there are; nil: Presets.
	Stacks []Stack
}

// Sim is one account in one region. It is an http.Handler, safe for concurrent use.
type Sim struct {
	region, account string
	now             func() time.Time
	page            int

	mu     sync.Mutex
	stacks []Stack
	faults map[string]planned
	calls  map[string]int
}

// Fault is an error answered in the place of a result.
type Fault struct {
	Status  int // HTTP; zero: 400
	Code    string
	Message string
}

// planned is a fault for the next left calls; negative: for all.
type planned struct {
	Fault
	left int
}

// Throttled is what AWS says when asked too often.
var Throttled = Fault{Code: "Throttling", Message: "Rate exceeded"}

// New returns a simulation.
func New(o Options) *Sim {
	s := &Sim{
		region: o.Region, account: o.Account, now: o.Now, page: o.PageSize,
		stacks: slices.Clone(o.Stacks),
		faults: make(map[string]planned),
		calls:  make(map[string]int),
	}
	if s.region == "" {
		s.region = "eu-west-1"
	}
	if s.account == "" {
		s.account = "123456789012"
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.page <= 0 {
		s.page = 100
	}
	if o.Stacks == nil {
		s.stacks = Presets(s.region, s.account, s.now())
	}
	return s
}

// Fail answers the next times calls of an action ("DescribeStacks") with f; a
// negative number means all from now on. It replaces what was planned for the action
// before.
func (s *Sim) Fail(action string, times int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[action] = planned{f, times}
}

// Calls returns how often an action was asked for, refused calls included.
func (s *Sim) Calls(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[action]
}

// ServeHTTP answers one request of the query protocol.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		refuse(w, Fault{Code: "MalformedQueryString", Message: "The query string is malformed"})
		return
	}
	action := r.PostForm.Get("Action")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[action]++
	if r.Header.Get("Authorization") == "" {
		refuse(w, Fault{Status: http.StatusForbidden, Code: "MissingAuthenticationToken", Message: "Request is missing Authentication Token"})
		return
	}
	if f := s.faults[action]; f.left != 0 {
		if f.left > 0 {
			f.left--
			s.faults[action] = f
		}
		refuse(w, f.Fault)
		return
	}
	var fault *Fault
	switch action {
	case "DescribeStacks":
		fault = s.describeStacks(w, r)
	case "DescribeStackEvents":
		fault = s.describeStackEvents(w, r)
	case "ListStacks":
		fault = s.listStacks(w, r)
	case "GetCallerIdentity":
		s.callerIdentity(w, r)
	case "AssumeRole":
		fault = s.assumeRole(w, r)
	default:
		fault = &Fault{Code: "InvalidAction", Message: "Could not find operation " + action}
	}
	if fault != nil {
		refuse(w, *fault)
	}
}

func (s *Sim) describeStacks(w http.ResponseWriter, r *http.Request) *Fault {
	name := r.PostForm.Get("StackName")
	if name != "" {
		i := s.find(name)
		if i < 0 {
			return &Fault{Code: "ValidationError", Message: "Stack with id " + name + " does not exist"}
		}
		answer(w, "DescribeStacks", describeResult{Stacks: []stackXML{s.stackXML(s.stacks[i])}})
		return nil
	}
	var live []stackXML
	for _, st := range s.stacks {
		if status, _ := st.at(s.now()); status != "DELETE_COMPLETE" {
			live = append(live, s.stackXML(st))
		}
	}
	page, next, fault := cut(live, r.PostForm.Get("NextToken"), s.page)
	if fault == nil {
		answer(w, "DescribeStacks", describeResult{Stacks: page, NextToken: next})
	}
	return fault
}

// describeStackEvents pages from the newest event on. Its tokens count from the
// oldest, so that events that happen meanwhile shift nothing.
func (s *Sim) describeStackEvents(w http.ResponseWriter, r *http.Request) *Fault {
	name := r.PostForm.Get("StackName")
	i := s.find(name)
	if i < 0 {
		return &Fault{Code: "ValidationError", Message: "Stack [" + name + "] does not exist"}
	}
	past := s.stacks[i].past(s.now())
	end := len(past)
	if token := r.PostForm.Get("NextToken"); token != "" {
		n, ok := offset(token)
		if !ok || n > end {
			return &badToken
		}
		end = n
	}
	start := max(0, end-s.page)
	result := eventsResult{}
	for j := end - 1; j >= start; j-- {
		result.Events = append(result.Events, eventXMLOf(s.stacks[i], j))
	}
	if start > 0 {
		result.NextToken = token(start)
	}
	answer(w, "DescribeStackEvents", result)
	return nil
}

func (s *Sim) listStacks(w http.ResponseWriter, r *http.Request) *Fault {
	var wanted []string
	for key, values := range r.PostForm {
		if strings.HasPrefix(key, "StackStatusFilter.member.") {
			wanted = append(wanted, values...)
		}
	}
	var all []summaryXML
	for _, st := range s.stacks {
		x := s.stackXML(st)
		if len(wanted) == 0 || slices.Contains(wanted, x.StackStatus) {
			all = append(all, summaryXML{
				StackID: x.StackID, StackName: x.StackName, CreationTime: x.CreationTime,
				DeletionTime: x.DeletionTime, StackStatus: x.StackStatus,
			})
		}
	}
	page, next, fault := cut(all, r.PostForm.Get("NextToken"), s.page)
	if fault == nil {
		answer(w, "ListStacks", listResult{Summaries: page, NextToken: next})
	}
	return fault
}

// find returns the index of the stack with this ARN, or of the one of this name
// that is not deleted; -1: none.
func (s *Sim) find(name string) int {
	return slices.IndexFunc(s.stacks, func(st Stack) bool {
		if st.ID == name {
			return true
		}
		status, _ := st.at(s.now())
		return st.Name == name && status != "DELETE_COMPLETE" && status != ""
	})
}

var badToken = Fault{Code: "ValidationError", Message: "The specified NextToken is invalid"}

// cut returns one page of all and the token of the next.
func cut[T any](all []T, from string, size int) ([]T, string, *Fault) {
	start := 0
	if from != "" {
		n, ok := offset(from)
		if !ok || n > len(all) {
			return nil, "", &badToken
		}
		start = n
	}
	end := min(start+size, len(all))
	if end == len(all) {
		return all[start:], "", nil
	}
	return all[start:end], token(end), nil
}

func token(n int) string {
	return base64.RawURLEncoding.EncodeToString([]byte("at " + strconv.Itoa(n)))
}

func offset(token string) (int, bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || !strings.HasPrefix(string(b), "at ") {
		return 0, false
	}
	n, err := strconv.Atoi(string(b[len("at "):]))
	return n, err == nil && n >= 0
}
