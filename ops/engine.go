package ops

import (
	"context"
	"log/slog"
	"time"
)

// Options are an Engine's parts and settings. Zero durations mean the defaults.
type Options struct {
	Store      Store
	Dispatcher Dispatcher
	Operations []Operation
	Queries    []Query
	Log        *slog.Logger

	// Lease is how long a claim lasts without renewal: default 15 s. A run whose
	// worker died is taken over after about this time.
	Lease time.Duration
	// Poll is the wait between polls where a step names none: default 5 s.
	Poll time.Duration
	// MaxErrors is how many polls in a row may fail before the run pauses: default 30.
	MaxErrors int
}

// Engine plans operations and carries runs through. Any number of engines share one
// store.
type Engine struct{ o Options }

// New returns an engine; Run starts it.
func New(o Options) *Engine { return &Engine{o: o} }

// NewRun is what Submit makes a run of.
type NewRun struct {
	ID        string // the request's
	Plan      Plan
	Digest    string // the one people approved; must be Plan's
	Requester string
	Approvers []string
}

// Has reports whether kind is known, and whether it is a query.
func (e *Engine) Has(kind string) (known, query bool) { panic("contract") }

// Answer carries out a query.
func (e *Engine) Answer(ctx context.Context, call Call) (Answer, error) { panic("contract") }

// Plan plans an operation. A *HeldError says that another run holds a resource.
func (e *Engine) Plan(ctx context.Context, call Call) (Plan, error) { panic("contract") }

// Submit makes the run, once per id, and dispatches it.
func (e *Engine) Submit(ctx context.Context, r NewRun) error { panic("contract") }

// Pause, Resume and Cancel ask for it; the record shows when it came about.
// Errors: ErrNotFound, ErrEnded.
func (e *Engine) Pause(ctx context.Context, id, by string) error { panic("contract") }

// Resume continues a paused run.
func (e *Engine) Resume(ctx context.Context, id, by string) error { panic("contract") }

// Cancel undoes the run's steps in reverse and ends it.
func (e *Engine) Cancel(ctx context.Context, id, by string) error { panic("contract") }

// Get returns a run, or ErrNotFound.
func (e *Engine) Get(ctx context.Context, id string) (Run, error) { return e.o.Store.Get(ctx, id) }

// Live returns the runs that have not ended, oldest first.
func (e *Engine) Live(ctx context.Context) ([]Run, error) { return e.o.Store.Live(ctx) }

// Recent returns up to n ended runs, newest ending first.
func (e *Engine) Recent(ctx context.Context, n int) ([]Run, error) { return e.o.Store.Recent(ctx, n) }

// Events returns the events of a run after seq.
func (e *Engine) Events(ctx context.Context, id string, after int64) ([]Event, error) {
	return e.o.Store.Events(ctx, id, after)
}

// Changed and Settle let a reader follow all runs; see Store.
func (e *Engine) Changed(ctx context.Context, n int) ([]Changed, error) {
	return e.o.Store.Changed(ctx, n)
}

// Settle says the reader has dealt with everything up to c.Rev.
func (e *Engine) Settle(ctx context.Context, c Changed) error { return e.o.Store.Settle(ctx, c) }

// Tick does one tick of a run and returns how long until the next; ended runs
// return zero and no error. The dispatcher's handler calls it.
func (e *Engine) Tick(ctx context.Context, w Wake) (time.Duration, error) { panic("contract") }

// Run sweeps for overdue runs until ctx ends.
func (e *Engine) Run(ctx context.Context) error { panic("contract") }
