package ops

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of the engine and its store.
var (
	ErrNotFound    = errors.New("no such run")
	ErrEnded       = errors.New("the run has ended")
	ErrFenced      = errors.New("another worker has taken the run over")
	ErrBusy        = errors.New("another worker holds the run")
	ErrUnknownStep = errors.New("this binary does not know the step")
	ErrUnknownKind = errors.New("no such operation")
)

// HeldError says that a resource is locked by another run.
type HeldError struct {
	Resource string // as in Plan.Locks
	Run      string // id of the holder
	Title    string // its plan's title
	By       string // its requester, a user id
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("run %s (%s) is working on the same %s", e.Run, e.Title, e.Kind())
}

// Kind is what the resource is, for people: "Elasticsearch cluster".
func (e *HeldError) Kind() string {
	kind, _, _ := strings.Cut(e.Resource, ":")
	return kind
}

// UserError is an error whose text is meant for the person in chat: what
// happened and why, and in Next what to type or do. Err is for the log only.
type UserError struct {
	What string
	Next string
	Err  error
}

func (e *UserError) Error() string  { return e.What }
func (e *UserError) Advice() string { return e.Next }
func (e *UserError) Unwrap() error  { return e.Err }

// ErrStale says a dispatcher's task is not the run's current one.
var ErrStale = errors.New("the task is not the run's current one")
