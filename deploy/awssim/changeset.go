package awssim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// changeSet is one change set, of a stack by ARN.
type changeSet struct {
	id, name, stack, token string
	template               string
	values                 map[string]string
	tags                   []Tag
	status, reason         string
	execution              string
	changes                []change
	made                   time.Time
	ready                  time.Time // CREATE_IN_PROGRESS until then
	root                   string    // ARN of the change set it belongs to; empty: none
	gone                   bool
}

func failure(code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// members reads a list of structures of the query protocol: Parameters.member.1.ParameterKey.
func members(r *http.Request, list string) []map[string]string {
	var out []map[string]string
	for i := 1; ; i++ {
		prefix := list + ".member." + strconv.Itoa(i)
		m := map[string]string{}
		for key, v := range r.PostForm {
			if rest, ok := strings.CutPrefix(key, prefix); ok && (rest == "" || rest[0] == '.') {
				m[strings.TrimPrefix(rest, ".")] = v[0]
			}
		}
		if len(m) == 0 {
			return out
		}
		out = append(out, m)
	}
}

// body is the template of a request.
func (s *Sim) body(r *http.Request) (string, *Fault) {
	if b := r.PostForm.Get("TemplateBody"); b != "" {
		if len(b) > 51200 {
			return "", failure("ValidationError", "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to 51200")
		}
		return b, nil
	}
	url := r.PostForm.Get("TemplateURL")
	if b, ok := s.templates[url]; ok {
		return b, nil
	}
	if url != "" {
		_, rest, _ := strings.Cut(url, "://")
		_, object, _ := strings.Cut(rest, "/") // bucket/key, where an endpoint is configured
		if b, ok := s.objects[object]; ok {
			return string(b), nil
		}
		return "", failure("ValidationError", "S3 error: Access Denied")
	}
	return "", failure("ValidationError", "Either Template URL or Template Body must be specified.")
}

// given are the parameters of a request, with previous values and defaults filled in.
func given(r *http.Request, t template, old *Stack) (map[string]string, *Fault) {
	values := map[string]string{}
	for _, p := range members(r, "Parameters") {
		name := p["ParameterKey"]
		if _, ok := t.Parameters[name]; !ok {
			return nil, failure("ValidationError", "Parameters: [%s] do not exist in the template", name)
		}
		if p["UsePreviousValue"] != "true" {
			values[name] = p["ParameterValue"]
			continue
		}
		before, ok := old.value(name)
		if !ok {
			return nil, failure("ValidationError", "Invalid input for parameter key %s. Cannot specify usePreviousValue as true for a parameter key not in the previous template", name)
		}
		values[name] = before
	}
	var missing []string
	for name, p := range t.Parameters {
		if _, ok := values[name]; ok {
			continue
		}
		if p.Default == nil {
			missing = append(missing, name)
			continue
		}
		values[name] = fmt.Sprint(p.Default)
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, failure("ValidationError", "Parameters: [%s] must have values", strings.Join(missing, ", "))
	}
	return values, nil
}

func (s *Stack) value(name string) (string, bool) {
	if s == nil {
		return "", false
	}
	for _, p := range s.Parameters {
		if p.Key == name {
			return p.Value, true
		}
	}
	return "", false
}

func (s *Sim) createChangeSet(w http.ResponseWriter, r *http.Request) *Fault {
	f := r.PostForm
	body, fault := s.body(r)
	if fault != nil {
		return fault
	}
	t, err := parseTemplate(body)
	if err != nil {
		return failure("ValidationError", "Template format error: %v", err)
	}
	name := f.Get("StackName")
	i := s.find(name)
	var status string
	if i >= 0 {
		status, _ = s.stacks[i].at(s.now())
	}
	fresh := f.Get("ChangeSetType") == "CREATE"
	switch {
	case fresh && i >= 0 && status != "REVIEW_IN_PROGRESS":
		return failure("ValidationError", "Stack [%s] already exists and cannot be created again with the changeSet [%s].", name, f.Get("ChangeSetName"))
	case !fresh && i < 0:
		return failure("ValidationError", "Stack [%s] does not exist", name)
	case !fresh && status == "REVIEW_IN_PROGRESS":
		return failure("ValidationError", "Stack:%s is in REVIEW_IN_PROGRESS state and can not be updated.", s.stacks[i].ID)
	case !fresh && !updatable[status]:
		return failure("ValidationError", "Stack:%s is in %s state and can not be updated.", s.stacks[i].ID, status)
	}
	for _, c := range s.sets {
		if !c.gone && c.name == f.Get("ChangeSetName") && i >= 0 && c.stack == s.stacks[i].ID {
			return failure("AlreadyExistsException", "ChangeSet %s already exists", c.name)
		}
	}
	var old *Stack
	var was template
	if i >= 0 {
		old = &s.stacks[i]
		if old.Template != "" {
			if was, err = parseTemplate(old.Template); err != nil {
				return failure("ValidationError", "Template format error: %v", err)
			}
		}
	}
	values, fault := given(r, t, old)
	if fault != nil {
		return fault
	}
	if i < 0 {
		s.stacks = append(s.stacks, Stack{Name: name, ID: s.stackARN(name)})
		i = len(s.stacks) - 1
		s.stacks[i].own(s.now(), "REVIEW_IN_PROGRESS", "User Initiated", "")
	}
	st := &s.stacks[i]
	c := &changeSet{
		id: s.arn("changeSet/" + f.Get("ChangeSetName")), name: f.Get("ChangeSetName"), stack: st.ID, token: f.Get("ClientToken"),
		template: body, values: values, made: s.now(), ready: s.now().Add(s.changeSetTime), status: "CREATE_COMPLETE", execution: "AVAILABLE",
		changes: changes(was, t, st.values(), values),
	}
	for _, tag := range members(r, "Tags") {
		c.tags = append(c.tags, Tag{tag["Key"], tag["Value"]})
	}
	if f.Get("IncludeNestedStacks") == "true" {
		if fault := s.nestSets(c, t, *st); fault != nil {
			return fault
		}
	}
	if len(c.changes) == 0 {
		c.status, c.execution = "FAILED", "UNAVAILABLE"
		c.reason = "The submitted information didn't contain changes. Submit different information to create a change set."
	}
	s.sets = append(s.sets, c)
	answer(w, "CreateChangeSet", struct {
		ID      string `xml:"Id"`
		StackID string `xml:"StackId"`
	}{c.id, c.stack})
	return nil
}

// nestSets makes the change sets of nested stacks, and drops those that change nothing.
func (s *Sim) nestSets(c *changeSet, t template, st Stack) *Fault {
	kept := c.changes[:0]
	for _, ch := range c.changes {
		if ch.Type != stackType || ch.Action == "Remove" {
			kept = append(kept, ch)
			continue
		}
		r := t.Resources[ch.Logical]
		body, ok := s.templates[fmt.Sprint(r.Properties["TemplateURL"])]
		if !ok {
			return failure("ValidationError", "S3 error: Access Denied")
		}
		inner, err := parseTemplate(body)
		if err != nil {
			return failure("ValidationError", "Template format error: %v", err)
		}
		values := map[string]string{}
		for name, p := range inner.Parameters {
			if p.Default != nil {
				values[name] = fmt.Sprint(p.Default)
			}
		}
		if given, ok := r.Properties["Parameters"].(map[string]any); ok {
			for name, v := range given {
				values[name] = strings.Trim(fill(`"`+fmt.Sprint(v)+`",`, c.values), `",`)
			}
		}
		var was template
		var before map[string]string
		child := &changeSet{
			id: s.arn("changeSet/" + c.name + "-" + ch.Logical), name: c.name + "-" + ch.Logical, root: c.id,
			template: body, values: values, made: s.now(), status: "CREATE_COMPLETE", execution: "AVAILABLE",
		}
		var inside Stack
		if j := s.find(st.children[ch.Logical]); j >= 0 {
			inside = s.stacks[j]
			child.stack, before = inside.ID, inside.values()
			if was, err = parseTemplate(inside.Template); err != nil {
				return failure("ValidationError", "Template format error: %v", err)
			}
		}
		child.changes = changes(was, inner, before, values)
		if fault := s.nestSets(child, inner, inside); fault != nil {
			return fault
		}
		if len(child.changes) == 0 {
			continue
		}
		s.sets = append(s.sets, child)
		ch.Child = child.id
		kept = append(kept, ch)
	}
	c.changes = kept
	return nil
}

// values are the parameters as a map.
func (s Stack) values() map[string]string {
	m := map[string]string{}
	for _, p := range s.Parameters {
		m[p.Key] = p.Value
	}
	return m
}

// updatable is the statuses in which a stack takes an update.
var updatable = map[string]bool{
	"CREATE_COMPLETE": true, "UPDATE_COMPLETE": true, "UPDATE_ROLLBACK_COMPLETE": true, "ROLLBACK_COMPLETE": false,
	"IMPORT_COMPLETE": true, "IMPORT_ROLLBACK_COMPLETE": true, "UPDATE_FAILED": true, "CREATE_FAILED": true,
}

// set finds a change set by ARN, or by name of a stack.
func (s *Sim) set(r *http.Request) *changeSet {
	name, stack := r.PostForm.Get("ChangeSetName"), r.PostForm.Get("StackName")
	for _, c := range slices.Backward(s.sets) {
		if c.gone {
			continue
		}
		if c.id == name {
			return c
		}
		if i := s.find(stack); c.name == name && i >= 0 && s.stacks[i].ID == c.stack {
			return c
		}
	}
	return nil
}

func absentSet(r *http.Request) *Fault {
	return &Fault{Status: http.StatusNotFound, Code: "ChangeSetNotFound", Message: "ChangeSet [" + r.PostForm.Get("ChangeSetName") + "] does not exist"}
}

func (s *Sim) describeChangeSet(w http.ResponseWriter, r *http.Request) *Fault {
	c := s.set(r)
	if c == nil {
		return absentSet(r)
	}
	x := s.setXML(c)
	all := make([]changeXML, 0, len(c.changes))
	for _, ch := range c.changes {
		all = append(all, ch.xml())
	}
	page, next, fault := cut(all, r.PostForm.Get("NextToken"), s.page)
	if fault != nil {
		return fault
	}
	if x.Status == "CREATE_COMPLETE" {
		x.Changes, x.NextToken = page, next
	}
	t, err := parseTemplate(c.template)
	if err != nil {
		return failure("ValidationError", "Template format error: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.values)) {
		v := c.values[name]
		if t.Parameters[name].secret() {
			v = "****"
		}
		x.Parameters = append(x.Parameters, parameterXML{name, v, ""})
	}
	answer(w, "DescribeChangeSet", x)
	return nil
}

func (s *Sim) deleteChangeSet(w http.ResponseWriter, r *http.Request) *Fault {
	if c := s.set(r); c != nil {
		if c.execution == "EXECUTE_IN_PROGRESS" {
			return failure("InvalidChangeSetStatus", "ChangeSet [%s] cannot be deleted in its current status of EXECUTE_IN_PROGRESS", c.name)
		}
		s.drop(c)
	}
	answer(w, "DeleteChangeSet", struct{}{})
	return nil
}

// drop deletes a change set with those nested in it.
func (s *Sim) drop(c *changeSet) {
	c.gone = true
	for _, other := range s.sets {
		if other.root == c.id && !other.gone {
			s.drop(other)
		}
	}
}

func (s *Sim) listChangeSets(w http.ResponseWriter, r *http.Request) *Fault {
	i := s.find(r.PostForm.Get("StackName"))
	if i < 0 {
		return failure("ValidationError", "Stack [%s] does not exist", r.PostForm.Get("StackName"))
	}
	var all []setXML
	for _, c := range s.sets {
		if !c.gone && c.stack == s.stacks[i].ID {
			all = append(all, s.setXML(c))
		}
	}
	page, next, fault := cut(all, r.PostForm.Get("NextToken"), s.page)
	if fault == nil {
		answer(w, "ListChangeSets", struct {
			Summaries []setXML `xml:"Summaries>member"`
			NextToken string   `xml:"NextToken,omitempty"`
		}{page, next})
	}
	return fault
}

// ChangeSets returns the names of the change sets that exist and were not executed.
func (s *Sim) ChangeSets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, c := range s.sets {
		if !c.gone && c.execution != "EXECUTE_IN_PROGRESS" && c.root == "" {
			names = append(names, c.name)
		}
	}
	return names
}

type setXML struct {
	ChangeSetName   string
	ChangeSetID     string `xml:"ChangeSetId"`
	StackID         string `xml:"StackId"`
	StackName       string
	CreationTime    string
	ExecutionStatus string
	Status          string
	StatusReason    string         `xml:",omitempty"`
	RootChangeSetID string         `xml:"RootChangeSetId,omitempty"`
	Parameters      []parameterXML `xml:"Parameters>member"`
	Changes         []changeXML    `xml:"Changes>member"`
	NextToken       string         `xml:",omitempty"`
}

func (s *Sim) setXML(c *changeSet) setXML {
	x := setXML{
		ChangeSetName: c.name, ChangeSetID: c.id, StackID: c.stack, CreationTime: stamp(c.made),
		ExecutionStatus: c.execution, Status: c.status, StatusReason: c.reason, RootChangeSetID: c.root,
	}
	if s.now().Before(c.ready) {
		x.Status, x.ExecutionStatus, x.StatusReason = "CREATE_IN_PROGRESS", "UNAVAILABLE", ""
	}
	if i := s.find(c.stack); i >= 0 {
		x.StackName = s.stacks[i].Name
		status, _ := s.stacks[i].at(s.now())
		if c.execution == "EXECUTE_IN_PROGRESS" && !strings.HasSuffix(status, "_IN_PROGRESS") {
			x.ExecutionStatus = "EXECUTE_COMPLETE"
			if status != "CREATE_COMPLETE" && status != "UPDATE_COMPLETE" {
				x.ExecutionStatus = "EXECUTE_FAILED"
			}
		}
	}
	return x
}

type changeXML struct {
	Type     string
	Resource resourceChangeXML `xml:"ResourceChange"`
}

type resourceChangeXML struct {
	Action             string
	LogicalResourceID  string `xml:"LogicalResourceId"`
	PhysicalResourceID string `xml:"PhysicalResourceId,omitempty"`
	ResourceType       string
	Replacement        string      `xml:",omitempty"`
	PolicyAction       string      `xml:",omitempty"`
	ChangeSetID        string      `xml:"ChangeSetId,omitempty"`
	Scope              []string    `xml:"Scope>member,omitempty"`
	Details            []detailXML `xml:"Details>member,omitempty"`
}

type detailXML struct {
	Attribute          string `xml:"Target>Attribute"`
	Name               string `xml:"Target>Name,omitempty"`
	RequiresRecreation string `xml:"Target>RequiresRecreation"`
	ChangeSource       string
	Evaluation         string
}

func (c change) xml() changeXML {
	x := changeXML{Type: "Resource", Resource: resourceChangeXML{
		Action: c.Action, LogicalResourceID: c.Logical, ResourceType: c.Type, Replacement: c.Replacement, PolicyAction: c.Policy, ChangeSetID: c.Child,
	}}
	if c.Action == "Modify" && c.Property != "" {
		recreation := "Never"
		if c.Replacement == "True" {
			recreation = "Always"
		}
		x.Resource.Scope = []string{"Properties"}
		x.Resource.Details = []detailXML{{"Properties", c.Property, recreation, "DirectModification", "Static"}}
	}
	return x
}
