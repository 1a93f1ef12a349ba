package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options are an Engine's parts and settings. Zero durations mean the defaults.
type Options struct {
	Store      Store
	Dispatcher Dispatcher
	Operations []Operation
	Queries    []Query
	Log        *slog.Logger // nil: slog.Default

	// Lease is how long a claim lasts without renewal: default 15 s. A run whose
	// worker died is taken over after about this time.
	Lease time.Duration
	// Poll is the wait between polls where a step names none: default 5 s.
	Poll time.Duration
	// MaxErrors is how many polls in a row may fail before the run pauses: default 30.
	MaxErrors int
}

// Engine plans operations and carries runs through. Any number of engines share one
// store. All methods may be called from several goroutines.
type Engine struct {
	o          Options
	operations map[string]Operation
	queries    map[string]Query
}

// New returns an engine; Run starts it.
func New(o Options) *Engine {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Lease <= 0 {
		o.Lease = 15 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = 5 * time.Second
	}
	if o.MaxErrors <= 0 {
		o.MaxErrors = 30
	}
	e := &Engine{o: o, operations: make(map[string]Operation), queries: make(map[string]Query)}
	for _, op := range o.Operations {
		e.operations[op.Kind()] = op
	}
	for _, q := range o.Queries {
		e.queries[q.Kind()] = q
	}
	return e
}

// NewRun is what Submit makes a run of.
type NewRun struct {
	ID        string // the request's
	Plan      Plan
	Digest    string // the one people approved; must be Plan's
	Requester string
	Approvers []string
}

// Has reports whether kind is known, and whether it is a query.
func (e *Engine) Has(kind string) (known, query bool) {
	if _, ok := e.queries[kind]; ok {
		return true, true
	}
	_, ok := e.operations[kind]
	return ok, false
}

// Answer carries out a query. ErrUnknownKind if there is none of this kind.
func (e *Engine) Answer(ctx context.Context, call Call) (Answer, error) {
	q, ok := e.queries[call.Kind]
	if !ok {
		return Answer{}, fmt.Errorf("%q: %w", call.Kind, ErrUnknownKind)
	}
	return q.Answer(ctx, call)
}

// Plan plans an operation. A *HeldError says that another run holds a resource;
// ErrUnknownKind that there is no such operation. Nothing is reserved: the locks are
// taken when the run starts.
func (e *Engine) Plan(ctx context.Context, call Call) (Plan, error) {
	op, ok := e.operations[call.Kind]
	if !ok {
		return Plan{}, fmt.Errorf("%q: %w", call.Kind, ErrUnknownKind)
	}
	plan, err := op.Plan(ctx, call)
	if err != nil {
		return Plan{}, err
	}
	for _, resource := range plan.Locks {
		held, err := e.o.Store.Holder(ctx, resource)
		if err != nil {
			return Plan{}, err
		}
		if held != nil {
			return Plan{}, errors.Join(held, e.Discard(ctx, plan))
		}
	}
	return plan, nil
}

// Discard removes what planning prepared in the outside world (see Preparer), for a plan
// that is not carried out, or no longer. For other plans it does nothing. It may be
// repeated.
func (e *Engine) Discard(ctx context.Context, plan Plan) error {
	p, ok := e.operations[plan.Call.Kind].(Preparer)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return p.Discard(ctx, plan)
}

// Submit makes the run, once per id, and dispatches it. Submitting an id again
// changes nothing and is no error. Nil means that the run is stored and will start,
// even if the dispatcher cannot be reached now.
func (e *Engine) Submit(ctx context.Context, r NewRun) error {
	switch {
	case r.ID == "":
		return errors.New("submit: no id")
	case r.Digest != r.Plan.Digest():
		return fmt.Errorf("submit run %s: the plan is not the one approved", r.ID)
	case len(r.Plan.Steps) == 0:
		return fmt.Errorf("submit run %s: the plan has no steps", r.ID)
	}
	made, err := e.o.Store.Create(ctx, Run{
		ID: r.ID, Plan: r.Plan, Digest: r.Digest, Requester: r.Requester, Approvers: r.Approvers,
		State: Starting, CreatedAt: time.Now(),
	})
	if err != nil || !made {
		return err
	}
	if err := e.o.Dispatcher.Wake(ctx, Wake{ID: r.ID, Task: r.ID}); err != nil {
		e.o.Log.Warn("wake not sent, the sweeper will", "run", r.ID, "error", err)
	}
	return nil
}

// Pause, Resume and Cancel ask for it; the record shows when it came about.
// Errors: ErrNotFound, ErrEnded.
func (e *Engine) Pause(ctx context.Context, id, by string) error {
	return e.flag(ctx, id, FlagPause, by)
}

// Resume continues a paused run.
func (e *Engine) Resume(ctx context.Context, id, by string) error {
	return e.flag(ctx, id, FlagResume, by)
}

// Cancel undoes the run's steps in reverse and ends it.
func (e *Engine) Cancel(ctx context.Context, id, by string) error {
	return e.flag(ctx, id, FlagCancel, by)
}

func (e *Engine) flag(ctx context.Context, id string, f Flag, by string) error {
	w, err := e.o.Store.Flag(ctx, id, f, by)
	if err != nil {
		return err
	}
	e.hurry(ctx, id, w)
	return nil
}

// Turn sets a dial of a live run: a value its current step reads at its next poll, which
// comes at once. Errors: ErrNotFound, ErrEnded.
func (e *Engine) Turn(ctx context.Context, id, name, value, by string) error {
	w, err := e.o.Store.Turn(ctx, id, name, value, by)
	if err != nil {
		return err
	}
	e.hurry(ctx, id, w)
	return nil
}

// hurry brings a run's task forward.
func (e *Engine) hurry(ctx context.Context, id string, w Wake) {
	if err := e.o.Dispatcher.Now(ctx, w); err != nil {
		e.o.Log.Warn("run not hurried, the sweeper will", "run", id, "error", err)
	}
}

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

// Parts returns the parts of a run; see Tick.PutPart.
func (e *Engine) Parts(ctx context.Context, id string) (map[string][]byte, error) {
	return e.o.Store.Parts(ctx, id)
}

// Changed and Settle let a reader follow all runs; see Store.
func (e *Engine) Changed(ctx context.Context, n int) ([]Changed, error) {
	return e.o.Store.Changed(ctx, n)
}

// Settle says the reader has dealt with everything up to c.Rev.
func (e *Engine) Settle(ctx context.Context, c Changed) error { return e.o.Store.Settle(ctx, c) }
