package awssim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// own adds an event of the stack itself.
func (s *Stack) own(at time.Time, status, reason, token string) {
	s.Events = append(s.Events, Event{At: at, Logical: s.Name, Physical: s.ID, Type: stackType, Status: status, Reason: reason, Token: token})
}

func (s *Sim) executeChangeSet(w http.ResponseWriter, r *http.Request) *Fault {
	c := s.set(r)
	if c == nil {
		return absentSet(r)
	}
	if x := s.setXML(c); x.ExecutionStatus != "AVAILABLE" {
		return failure("InvalidChangeSetStatus", "ChangeSet [%s] cannot be executed in its current status of [%s]", c.id, x.ExecutionStatus)
	}
	i := s.find(c.stack)
	if i < 0 {
		return absentSet(r)
	}
	if status, _ := s.stacks[i].at(s.now()); strings.HasSuffix(status, "_IN_PROGRESS") && status != "REVIEW_IN_PROGRESS" {
		return failure("ValidationError", "Stack:%s is in %s state and can not be updated.", c.stack, status)
	}
	c.execution = "EXECUTE_IN_PROGRESS"
	for _, other := range s.sets {
		if other != c && other.stack == c.stack && !other.gone && other.root != c.id && other.execution != "EXECUTE_IN_PROGRESS" {
			s.drop(other)
		}
	}
	s.play(i, c, s.now().Add(s.executeDelay), r.PostForm.Get("ClientRequestToken"), r.PostForm.Get("DisableRollback") == "true")
	answer(w, "ExecuteChangeSet", struct{}{})
	return nil
}

// play writes a stack's events to come for the execution of a change set, and returns
// when it ends and why it failed; empty: it does not.
func (s *Sim) play(i int, c *changeSet, at time.Time, token string, keep bool) (time.Time, string) {
	st := &s.stacks[i]
	t, err := parseTemplate(c.template)
	if err != nil {
		return at, err.Error()
	}
	status, _ := st.at(s.now())
	word := "UPDATE"
	if status == "REVIEW_IN_PROGRESS" || status == "" {
		word = "CREATE"
	}
	st.own(at, word+"_IN_PROGRESS", "User Initiated", token)
	p := player{sim: s, stack: i, set: c, template: t, token: token, ends: map[string]time.Time{}}
	end, why := p.forward(at, word)
	st = &s.stacks[i] // nested stacks may have moved it
	old := version{template: st.Template, parameters: st.Parameters, outputs: st.Outputs, children: st.children}
	switch {
	case why == "":
		if word == "UPDATE" {
			st.own(end.Add(time.Second), "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "", token)
			end = end.Add(2 * time.Second)
			for _, ch := range c.changes {
				if ch.Action == "Remove" {
					st.Events = append(st.Events, p.event(end, ch, "DELETE_COMPLETE", ""))
				}
			}
		}
		end = end.Add(time.Second)
		st.own(end, word+"_COMPLETE", "", token)
	case keep:
		end = end.Add(time.Second)
		st.own(end, word+"_FAILED", why, token)
	default:
		end = s.rollback(i, &p, end.Add(time.Second), word, why)
	}
	st = &s.stacks[i]
	st.rollback = &undoing{player: p, before: old, word: word, keep: keep}
	if why == "" || keep {
		s.apply(st, t, c)
	}
	slices.SortStableFunc(st.Events, func(a, b Event) int { return a.At.Compare(b.At) })
	return end, why
}

// version is what a stack goes back to.
type version struct {
	template   string
	parameters []Parameter
	outputs    []Output
	children   map[string]string
}

// undoing is what is needed to roll back the latest operation.
type undoing struct {
	player player
	before version
	word   string
	keep   bool
}

// apply gives a stack the template and values of a change set.
func (s *Sim) apply(st *Stack, t template, c *changeSet) {
	st.Template, st.Description = c.template, t.Description
	st.Parameters = nil
	for _, name := range slices.Sorted(maps.Keys(c.values)) {
		st.Parameters = append(st.Parameters, Parameter{Key: name, Value: c.values[name], NoEcho: t.Parameters[name].secret()})
	}
	st.Outputs = t.outputs(c.values)
	if len(c.tags) > 0 {
		st.Tags = c.tags
	}
}

// player writes the events of one operation on one stack.
type player struct {
	sim      *Sim
	stack    int
	set      *changeSet
	template template
	token    string
	ends     map[string]time.Time // of the resources worked on
	touched  []change
}

func (p *player) event(at time.Time, ch change, status, reason string) Event {
	physical := strings.ToLower(ch.Logical) + "-id"
	if id := p.sim.stacks[p.stack].children[ch.Logical]; id != "" {
		physical = id
	}
	return Event{At: at, Logical: ch.Logical, Physical: physical, Type: ch.Type, Status: status, Reason: reason, Token: p.token}
}

func (p *player) add(at time.Time, ch change, status, reason string) {
	st := &p.sim.stacks[p.stack]
	st.Events = append(st.Events, p.event(at, ch, status, reason))
}

// forward carries out the changes, each when those it waits for are done, and returns the
// end, and the first failure if there is one.
func (p *player) forward(at time.Time, stackWord string) (time.Time, string) {
	type planned struct {
		change
		begin, end time.Time
		fail, word string
	}
	var list []planned
	last, failAt, why := at, time.Time{}, ""
	for _, ch := range p.set.changes {
		if ch.Action == "Remove" {
			continue
		}
		r := p.template.Resources[ch.Logical]
		begin := at.Add(time.Second)
		for _, before := range p.template.after(ch.Logical) {
			if e := p.ends[before]; e.After(begin) {
				begin = e
			}
		}
		word := "UPDATE"
		if ch.Action == "Add" {
			word = "CREATE"
		}
		end, fail := begin.Add(r.seconds()), r.Metadata.Simulate.Fail
		if ch.Type == stackType && ch.Child != "" {
			end, fail = p.nested(ch, begin)
		}
		p.ends[ch.Logical] = end
		list = append(list, planned{ch, begin, end, fail, word})
		if fail != "" && (why == "" || end.Before(failAt)) {
			failAt, why = end, fail
		}
		if end.After(last) {
			last = end
		}
	}
	failed := []string{}
	for _, x := range list {
		if why != "" && x.begin.After(failAt) {
			continue // never begun
		}
		p.touched = append(p.touched, x.change)
		p.add(x.begin, x.change, x.word+"_IN_PROGRESS", "")
		switch {
		case why != "" && x.end.Equal(failAt) && x.fail != "":
			p.add(x.end, x.change, x.word+"_FAILED", x.fail)
			failed = append(failed, x.Logical)
		case why != "" && !x.end.Before(failAt):
			p.add(failAt, x.change, x.word+"_FAILED", "Resource "+map[string]string{"CREATE": "creation", "UPDATE": "update"}[x.word]+" cancelled")
			failed = append(failed, x.Logical)
		default:
			p.add(x.end, x.change, x.word+"_COMPLETE", "")
		}
	}
	if why != "" {
		word := map[string]string{"CREATE": "create", "UPDATE": "update"}[stackWord]
		return failAt, fmt.Sprintf("The following resource(s) failed to %s: [%s]. ", word, strings.Join(failed, ", "))
	}
	return last, ""
}

// nested carries out the change set of a nested stack.
func (p *player) nested(ch change, begin time.Time) (time.Time, string) {
	var child *changeSet
	for _, c := range p.sim.sets {
		if c.id == ch.Child {
			child = c
		}
	}
	child.execution = "EXECUTE_IN_PROGRESS"
	parent := p.sim.stacks[p.stack]
	j := p.sim.find(parent.children[ch.Logical])
	if j < 0 {
		name := parent.Name + "-" + ch.Logical + "-1ABC"
		p.sim.stacks = append(p.sim.stacks, Stack{Name: name, ID: p.sim.stackARN(name), Parent: parent.ID})
		j = len(p.sim.stacks) - 1
		child.stack = p.sim.stacks[j].ID
		st := &p.sim.stacks[p.stack]
		if st.children == nil {
			st.children = map[string]string{}
		}
		st.children[ch.Logical] = child.stack
	}
	end, why := p.sim.play(j, child, begin, "", false)
	if why != "" {
		why = "Embedded stack " + p.sim.stacks[j].ID + " was not successfully " +
			map[bool]string{true: "created", false: "updated"}[ch.Action == "Add"] + ": " + why
	}
	return end, why
}

// rollback goes back from what was touched, and returns when that ends.
func (s *Sim) rollback(i int, p *player, at time.Time, word, why string) time.Time {
	st := &s.stacks[i]
	if word == "CREATE" {
		st.own(at, "ROLLBACK_IN_PROGRESS", why+"Rollback requested by user.", p.token)
		for _, ch := range slices.Backward(p.touched) {
			p.add(at.Add(time.Second), ch, "DELETE_IN_PROGRESS", "")
			at = at.Add(2 * time.Second)
			p.add(at, ch, "DELETE_COMPLETE", "")
		}
		at = at.Add(time.Second)
		s.stacks[i].own(at, "ROLLBACK_COMPLETE", "", p.token)
		return at
	}
	st.own(at, "UPDATE_ROLLBACK_IN_PROGRESS", why, p.token)
	stuck := []string{}
	for _, ch := range slices.Backward(p.touched) {
		if ch.Action == "Add" {
			continue
		}
		p.add(at.Add(time.Second), ch, "UPDATE_IN_PROGRESS", "")
		at = at.Add(2 * time.Second)
		if reason := p.template.Resources[ch.Logical].Metadata.Simulate.FailRollback; reason != "" {
			p.add(at, ch, "UPDATE_FAILED", reason)
			stuck = append(stuck, ch.Logical)
			continue
		}
		p.add(at, ch, "UPDATE_COMPLETE", "")
	}
	at = at.Add(time.Second)
	if len(stuck) > 0 {
		s.stacks[i].own(at, "UPDATE_ROLLBACK_FAILED", fmt.Sprintf("The following resource(s) failed to update: [%s]. ", strings.Join(stuck, ", ")), p.token)
		return at
	}
	s.stacks[i].own(at, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "", p.token)
	for _, ch := range p.touched {
		if ch.Action == "Add" {
			at = at.Add(time.Second)
			p.add(at, ch, "DELETE_COMPLETE", "")
		}
	}
	at = at.Add(time.Second)
	s.stacks[i].own(at, "UPDATE_ROLLBACK_COMPLETE", "", p.token)
	return at
}

func (s *Sim) cancelUpdateStack(w http.ResponseWriter, r *http.Request) *Fault {
	i := s.find(r.PostForm.Get("StackName"))
	if i < 0 {
		return failure("ValidationError", "Stack [%s] does not exist", r.PostForm.Get("StackName"))
	}
	st := &s.stacks[i]
	now := s.now()
	if status, _ := st.at(now); status != "UPDATE_IN_PROGRESS" || st.rollback == nil {
		return failure("ValidationError", "CancelUpdateStack cannot be called from current stack status")
	}
	st.Events = slices.Clone(st.past(now))
	p := &st.rollback.player
	begun := map[string]change{}
	for _, e := range st.Events {
		switch {
		case e.Physical == st.ID && e.Status == "UPDATE_IN_PROGRESS":
			clear(begun)
		case e.Physical == st.ID:
		case strings.HasSuffix(e.Status, "_IN_PROGRESS"):
			begun[e.Logical] = change{Logical: e.Logical, Type: e.Type, Action: map[bool]string{true: "Add", false: "Modify"}[strings.HasPrefix(e.Status, "CREATE")]}
		}
	}
	p.touched = nil
	for _, name := range slices.Sorted(maps.Keys(begun)) {
		p.touched = append(p.touched, begun[name])
	}
	s.rollback(i, p, now.Add(s.executeDelay), "UPDATE", "User Initiated")
	st = &s.stacks[i]
	b := st.rollback.before
	st.Template, st.Parameters, st.Outputs, st.children = b.template, b.parameters, b.outputs, b.children
	answer(w, "CancelUpdateStack", struct{}{})
	return nil
}

// getTemplate answers what a stack is made of.
func (s *Sim) getTemplate(w http.ResponseWriter, r *http.Request) *Fault {
	i := s.find(r.PostForm.Get("StackName"))
	if i < 0 {
		return failure("ValidationError", "Stack with id %s does not exist", r.PostForm.Get("StackName"))
	}
	answer(w, "GetTemplate", struct{ TemplateBody string }{s.stacks[i].Template})
	return nil
}

// templateSummary answers GetTemplateSummary and ValidateTemplate.
func (s *Sim) templateSummary(w http.ResponseWriter, r *http.Request, action string) *Fault {
	body, fault := s.body(r)
	if fault != nil {
		return fault
	}
	t, err := parseTemplate(body)
	if err != nil {
		return failure("ValidationError", "Template format error: %v", err)
	}
	type declared struct {
		ParameterKey  string
		ParameterType string
		DefaultValue  *string `xml:",omitempty"`
		NoEcho        bool
		Description   string `xml:",omitempty"`
	}
	var out struct {
		Description        string     `xml:",omitempty"`
		Parameters         []declared `xml:"Parameters>member"`
		Capabilities       []string   `xml:"Capabilities>member"`
		CapabilitiesReason string     `xml:",omitempty"`
		ResourceTypes      []string   `xml:"ResourceTypes>member"`
	}
	out.Description = t.Description
	for _, name := range slices.Sorted(maps.Keys(t.Parameters)) {
		p := t.Parameters[name]
		d := declared{ParameterKey: name, ParameterType: p.Type, NoEcho: p.secret(), Description: p.Description}
		if p.Default != nil {
			v := fmt.Sprint(p.Default)
			d.DefaultValue = &v
		}
		out.Parameters = append(out.Parameters, d)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Resources)) {
		resource := t.Resources[name]
		out.ResourceTypes = append(out.ResourceTypes, resource.Type)
		if strings.HasPrefix(resource.Type, "AWS::IAM::") && len(out.Capabilities) == 0 {
			out.Capabilities = []string{"CAPABILITY_IAM"}
			if resource.Properties["RoleName"] != nil {
				out.Capabilities = []string{"CAPABILITY_NAMED_IAM"}
			}
			out.CapabilitiesReason = "The following resource(s) require capabilities: [" + resource.Type + "]"
		}
	}
	answer(w, action, out)
	return nil
}
