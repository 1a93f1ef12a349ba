package awssim

import (
	"encoding/base64"
	"fmt"
	"maps"
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
	// Templates are the templates in buckets, by URL.
	Templates map[string]string
	// ChangeSetTime is how long a change set is being made. ExecuteDelay is how long after
	// a change set's execution, or a cancel, nothing shows of it: AWS tells old statuses for
	// a while.
	ChangeSetTime, ExecuteDelay time.Duration
}

// Sim is one account in one region. It is an http.Handler, safe for concurrent use.
type Sim struct {
	region, account string
	now             func() time.Time
	page            int

	mu                          sync.Mutex
	templates                   map[string]string
	changeSetTime, executeDelay time.Duration
	sets                        []*changeSet
	made                        int // stacks and change sets

	json   map[string]jsonAction // by service and action: "ecr.ListImages"
	values map[string]string     // of parameters and secrets, by reference
	roles  map[string]bool       // of IAM, by name
	// projects are those of CodeBuild, with their variables.
	projects map[string][]map[string]any
	objects  map[string][]byte   // of S3, by bucket/key
	imports  map[string][]string // stacks by export name

	registries  map[string]*Registry // by name
	clusters    map[string]Cluster
	definitions map[string]TaskDefinition // by ARN
	builds      []*build
	services    map[string]*Service // by cluster/name

	zones     []*Zone
	changes   map[string]time.Time // of Route 53, and when they are in sync
	instances map[string]*Instance
	groups    map[string]*Group
	queues    map[string]*Queue
	sparks    map[string]*sparkCluster

	stacks []Stack
	faults map[string]plan
	calls  map[string]int
}

// Fault is an error answered in the place of a result.
type Fault struct {
	Status  int // HTTP; zero: 400
	Code    string
	Message string
}

// plan is a fault for the next left calls; negative: for all.
type plan struct {
	Fault
	left int
}

// Throttled is what AWS says when asked too often.
var Throttled = Fault{Code: "Throttling", Message: "Rate exceeded"}

// New returns a simulation.
func New(o Options) *Sim {
	s := &Sim{
		region: o.Region, account: o.Account, now: o.Now, page: o.PageSize,
		stacks: slices.Clone(o.Stacks), templates: maps.Clone(o.Templates), changeSetTime: o.ChangeSetTime, executeDelay: o.ExecuteDelay,
		faults: make(map[string]plan),
		calls:  make(map[string]int),
		json:   make(map[string]jsonAction), values: make(map[string]string), roles: make(map[string]bool), projects: make(map[string][]map[string]any), objects: make(map[string][]byte), imports: make(map[string][]string),
	}
	s.registries, s.clusters, s.definitions = make(map[string]*Registry), make(map[string]Cluster), make(map[string]TaskDefinition)
	s.changes, s.instances = make(map[string]time.Time), make(map[string]*Instance)
	s.groups = make(map[string]*Group)
	s.queues, s.sparks = make(map[string]*Queue), make(map[string]*sparkCluster)
	s.sqs()
	s.emr()
	s.secrets()
	s.ecr()
	s.services = make(map[string]*Service)
	s.ecs()
	s.ecsServices()
	s.needs()
	s.codebuild()
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
	s.faults[action] = plan{f, times}
}

// Calls returns how often an action was asked for, refused calls included.
func (s *Sim) Calls(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[action]
}

// ServeHTTP answers one request: of a JSON protocol, of S3, or of the query protocol.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		s.serveJSON(w, r)
		return
	case service(r) == "s3":
		s.serveS3(w, r)
		return
	case service(r) == "route53":
		s.serveRoute53(w, r)
		return
	}
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
	if f, ok := s.planned(action); ok {
		refuse(w, f)
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
	case "CreateChangeSet":
		fault = s.createChangeSet(w, r)
	case "DescribeChangeSet":
		fault = s.describeChangeSet(w, r)
	case "DeleteChangeSet":
		fault = s.deleteChangeSet(w, r)
	case "ListChangeSets":
		fault = s.listChangeSets(w, r)
	case "ExecuteChangeSet":
		fault = s.executeChangeSet(w, r)
	case "CancelUpdateStack":
		fault = s.cancelUpdateStack(w, r)
	case "DeleteStack":
		fault = s.deleteStack(w, r)
	case "ListStackResources":
		fault = s.listStackResources(w, r)
	case "ListImports":
		fault = s.listImports(w, r)
	case "ContinueUpdateRollback":
		fault = s.continueUpdateRollback(w, r)
	case "RollbackStack":
		fault = s.rollbackStack(w, r)
	case "GetTemplate":
		fault = s.getTemplate(w, r)
	case "GetTemplateSummary", "ValidateTemplate":
		fault = s.templateSummary(w, r, action)
	case "GetStackPolicy":
		answer(w, action, struct{}{})
	case "DescribeInstances":
		fault = s.describeInstances(w, r)
	case "DescribeInstanceAttribute":
		fault = s.describeInstanceAttribute(w, r)
	case "TerminateInstances":
		fault = s.terminateInstances(w, r)
	case "GetCallerIdentity":
		s.callerIdentity(w, r)
	case "AssumeRole":
		fault = s.assumeRole(w, r)
	case "GetRole":
		fault = s.getRole(w, r)
	default:
		if service(r) == "autoscaling" {
			fault = s.autoscaling(w, r, action)
			break
		}
		fault = &Fault{Code: "InvalidAction", Message: "Could not find operation " + action}
	}
	if fault != nil {
		if service(r) == "ec2" {
			refuseEC2(w, *fault)
			return
		}
		refuse(w, *fault)
	}
}

// planned is the fault planned for this call of an action, if there is one.
func (s *Sim) planned(action string) (Fault, bool) {
	f := s.faults[action]
	if f.left == 0 {
		return Fault{}, false
	}
	if f.left > 0 {
		f.left--
		s.faults[action] = f
	}
	return f.Fault, true
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

// arn is a new ARN of CloudFormation.
func (s *Sim) arn(what string) string {
	s.made++
	return fmt.Sprintf("arn:aws:cloudformation:%s:%s:%s/%08d-1111-4222-8333-444455556666", s.region, s.account, what, s.made)
}

func (s *Sim) stackARN(name string) string { return s.arn("stack/" + name) }

// SetTemplate puts a template into a bucket, by its URL.
func (s *Sim) SetTemplate(url, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.templates == nil {
		s.templates = map[string]string{}
	}
	s.templates[url] = body
}

// Status is the status of a stack, by name or ARN; empty: there is none.
func (s *Sim) Status(stack string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(stack)
	if i < 0 {
		return ""
	}
	status, _ := s.stacks[i].at(s.now())
	return status
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
