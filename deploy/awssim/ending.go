package awssim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// resources are the latest statuses of a stack's resources, by logical id.
func (s Stack) resources(now time.Time) map[string]Event {
	m := map[string]Event{}
	for _, e := range s.past(now) {
		if e.Physical != s.ID {
			m[e.Logical] = e
		}
	}
	return m
}

func (s *Sim) listStackResources(w http.ResponseWriter, r *http.Request) *Fault {
	i := s.find(r.PostForm.Get("StackName"))
	if i < 0 {
		return failure("ValidationError", "Stack with id %s does not exist", r.PostForm.Get("StackName"))
	}
	type summary struct {
		LogicalResourceID    string `xml:"LogicalResourceId"`
		PhysicalResourceID   string `xml:"PhysicalResourceId,omitempty"`
		ResourceType         string
		ResourceStatus       string
		LastUpdatedTimestamp string
	}
	var all []summary
	found := s.stacks[i].resources(s.now())
	for _, name := range slices.Sorted(maps.Keys(found)) {
		e := found[name]
		all = append(all, summary{e.Logical, e.Physical, e.Type, e.Status, stamp(e.At)})
	}
	page, next, fault := cut(all, r.PostForm.Get("NextToken"), s.page)
	if fault == nil {
		answer(w, "ListStackResources", struct {
			Summaries []summary `xml:"StackResourceSummaries>member"`
			NextToken string    `xml:"NextToken,omitempty"`
		}{page, next})
	}
	return fault
}

func (s *Sim) listImports(w http.ResponseWriter, r *http.Request) *Fault {
	names := s.imports[r.PostForm.Get("ExportName")]
	if len(names) == 0 {
		return failure("ValidationError", "Export '%s' is not imported by any stack.", r.PostForm.Get("ExportName"))
	}
	answer(w, "ListImports", struct {
		Imports []string `xml:"Imports>member"`
	}{names})
	return nil
}

// SetImports says which stacks import an output by its export name.
func (s *Sim) SetImports(export string, stacks ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.imports[export] = stacks
}

// Protect turns a stack's termination protection on or off.
func (s *Sim) Protect(stack string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(stack); i >= 0 {
		s.stacks[i].Protected = on
	}
}

func (s *Sim) deleteStack(w http.ResponseWriter, r *http.Request) *Fault {
	i := s.find(r.PostForm.Get("StackName"))
	if i < 0 {
		answer(w, "DeleteStack", struct{}{})
		return nil
	}
	st := &s.stacks[i]
	now, token := s.now(), r.PostForm.Get("ClientRequestToken")
	status, _ := st.at(now)
	var retain []string
	for key, v := range r.PostForm {
		if strings.HasPrefix(key, "RetainResources.member.") {
			retain = append(retain, v[0])
		}
	}
	switch {
	case st.Protected:
		return failure("ValidationError", "Stack [%s] cannot be deleted while TerminationProtection is enabled", st.Name)
	case len(retain) > 0 && status != "DELETE_FAILED":
		return failure("ValidationError", "Invalid operation on stack [%s]. Specify the resources to retain only when you delete a stack that is in the DELETE_FAILED state.", st.ID)
	case status == "REVIEW_IN_PROGRESS":
		st.own(now, "DELETE_COMPLETE", "User Initiated", token)
		for _, c := range s.sets {
			c.gone = c.gone || c.stack == st.ID
		}
	case status != "DELETE_COMPLETE" && status != "DELETE_IN_PROGRESS":
		s.remove(st, now.Add(s.executeDelay), token, retain)
	}
	answer(w, "DeleteStack", struct{}{})
	return nil
}

// remove writes the events of a deletion.
func (s *Sim) remove(st *Stack, at time.Time, token string, retain []string) {
	t, err := parseTemplate(st.Template)
	if err != nil {
		t = template{} // a stack without a template has no resources that matter
	}
	found := st.resources(at)
	st.own(at, "DELETE_IN_PROGRESS", "User Initiated", token)
	var stuck []string
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(found))) {
		e := found[name]
		if e.Status == "DELETE_COMPLETE" || slices.Contains(retain, name) {
			continue
		}
		e.At, e.Status, e.Token, e.Reason = at.Add(time.Second), "DELETE_IN_PROGRESS", token, ""
		st.Events = append(st.Events, e)
		at = at.Add(3 * time.Second)
		e.At, e.Status = at, "DELETE_COMPLETE"
		if why := t.Resources[name].Metadata.Simulate.FailDelete; why != "" {
			e.Status, e.Reason = "DELETE_FAILED", why
			stuck = append(stuck, name)
		}
		st.Events = append(st.Events, e)
	}
	at = at.Add(time.Second)
	if len(stuck) > 0 {
		st.own(at, "DELETE_FAILED", fmt.Sprintf("The following resource(s) failed to delete: [%s]. ", strings.Join(stuck, ", ")), token)
		return
	}
	st.own(at, "DELETE_COMPLETE", "", token)
}

// continueUpdateRollback goes on with a rollback that failed; what fails in it fails again,
// unless it is skipped.
func (s *Sim) continueUpdateRollback(w http.ResponseWriter, r *http.Request) *Fault {
	i := s.find(r.PostForm.Get("StackName"))
	if i < 0 {
		return failure("ValidationError", "Stack [%s] does not exist", r.PostForm.Get("StackName"))
	}
	st := &s.stacks[i]
	now, token := s.now().Add(s.executeDelay), r.PostForm.Get("ClientRequestToken")
	if status, _ := st.at(s.now()); status != "UPDATE_ROLLBACK_FAILED" || st.rollback == nil {
		return failure("ValidationError", "Stack:%s is in %s state and can not continue update rollback.", st.ID, status)
	}
	p := &st.rollback.player
	p.token = token
	var skip []string
	for key, v := range r.PostForm {
		if strings.HasPrefix(key, "ResourcesToSkip.member.") {
			skip = append(skip, v[0])
		}
	}
	touched := p.touched[:0:0]
	for _, ch := range p.touched {
		if slices.Contains(skip, ch.Logical) {
			p.add(now.Add(time.Second), ch, "UPDATE_COMPLETE", "Resource skipped")
			continue
		}
		touched = append(touched, ch)
	}
	p.touched = touched
	s.rollback(i, p, now, "UPDATE", "User Initiated")
	answer(w, "ContinueUpdateRollback", struct{}{})
	return nil
}

// rollbackStack rolls back what was kept as it failed.
func (s *Sim) rollbackStack(w http.ResponseWriter, r *http.Request) *Fault {
	i := s.find(r.PostForm.Get("StackName"))
	if i < 0 {
		return failure("ValidationError", "Stack [%s] does not exist", r.PostForm.Get("StackName"))
	}
	st := &s.stacks[i]
	if status, _ := st.at(s.now()); status != "UPDATE_FAILED" && status != "CREATE_FAILED" || st.rollback == nil {
		return failure("ValidationError", "Stack:%s is in %s state and can not be rolled back.", st.ID, status)
	}
	b := st.rollback
	b.player.token = r.PostForm.Get("ClientRequestToken")
	s.rollback(i, &b.player, s.now().Add(s.executeDelay), b.word, "User Initiated. ")
	st = &s.stacks[i]
	st.Template, st.Parameters, st.Outputs, st.children = b.before.template, b.before.parameters, b.before.outputs, b.before.children
	answer(w, "RollbackStack", struct {
		StackID string `xml:"StackId"`
	}{st.ID})
	return nil
}

// AddStack adds a stack in CREATE_COMPLETE with one parameter.
func (s *Sim) AddStack(name, parameter, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stack{Name: name, ID: s.stackARN(name), Parameters: []Parameter{{Key: parameter, Value: value}}}
	st.own(s.now(), "CREATE_IN_PROGRESS", "", "")
	st.own(s.now(), "CREATE_COMPLETE", "", "")
	s.stacks = append(s.stacks, st)
}

// Create makes a stack of a template, at once, as somebody else would.
func (s *Sim) Create(name, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := parseTemplate(body)
	if err != nil {
		panic(err) // a test's own template
	}
	st := Stack{Name: name, ID: s.stackARN(name), Template: body}
	for parameter, p := range t.Parameters {
		if p.Default != nil {
			st.Parameters = append(st.Parameters, Parameter{Key: parameter, Value: fmt.Sprint(p.Default), NoEcho: p.secret()})
		}
	}
	st.own(s.now(), "CREATE_IN_PROGRESS", "User Initiated", "")
	st.own(s.now(), "CREATE_COMPLETE", "", "")
	s.stacks = append(s.stacks, st)
}

// Executed is how many change sets of a stack were executed.
func (s *Sim) Executed(stack string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.sets {
		if i := s.find(stack); i >= 0 && c.stack == s.stacks[i].ID && c.execution == "EXECUTE_IN_PROGRESS" {
			n++
		}
	}
	return n
}
