package ops

import (
	"context"
	"time"
)

// Store keeps runs. Its one implementation is ops/opsredis; ops/opstest holds the
// suite it passes. Every write is one atomic script; a write repeated after a lost
// reply has the effect and the answer of the first. Time is the store's own clock.
type Store interface {
	// Create stores a new run in state Starting with a wake due at once, by a task
	// that has the run's id. It reports false, and changes nothing, if the id exists.
	Create(ctx context.Context, r Run) (bool, error)
	// Get returns a run, or ErrNotFound.
	Get(ctx context.Context, id string) (Run, error)
	// Live returns the runs that have not ended, oldest first.
	Live(ctx context.Context) ([]Run, error)
	// Recent returns up to n ended runs, newest ending first.
	Recent(ctx context.Context, n int) ([]Run, error)
	// Events returns the events of a run with Seq > after, in order.
	Events(ctx context.Context, id string, after int64) ([]Event, error)
	// Parts returns the parts of a run by their keys; see Claim.PutParts. No such run
	// has none.
	Parts(ctx context.Context, id string) (map[string][]byte, error)

	// Claim takes the run for one tick if no claim on it is live, raising its epoch.
	// Errors: ErrNotFound, ErrEnded, ErrBusy, ErrStale when task is not the run's
	// current one.
	Claim(ctx context.Context, id, task string, ttl time.Duration) (Claim, Run, error)
	// Flag asks the next tick to pause, resume or cancel, and makes the run due at
	// once, by the task returned. ErrNotFound, ErrEnded. by is a user id. It holds
	// across crashes.
	Flag(ctx context.Context, id string, f Flag, by string) (Wake, error)
	// Turn sets a dial of the run, and makes the run due at once, by the task returned.
	// ErrNotFound, ErrEnded. by is a user id.
	Turn(ctx context.Context, id, name, value, by string) (Wake, error)

	// Overdue renews the task id of every run whose wake is older than grace and
	// which nobody holds, and returns them, to be dispatched again.
	Overdue(ctx context.Context, grace time.Duration) ([]Wake, error)
	// Holder returns who holds a lock: nil if nobody does.
	Holder(ctx context.Context, resource string) (*HeldError, error)

	// Changed returns up to n runs written since they were last settled, those
	// waiting longest first.
	Changed(ctx context.Context, n int) ([]Changed, error)
	// Settle says the reader has dealt with everything up to c.Rev.
	Settle(ctx context.Context, c Changed) error
}

// Claim is the right to write one run, until its ttl passes without Renew or
// somebody else claims. All its methods return ErrFenced once it is lost.
type Claim interface {
	// Renew prolongs the claim by its ttl.
	Renew(ctx context.Context) error
	// Fence checks that the claim holds, and returns the flag waiting, if any. Call
	// it before every change to the outside.
	Fence(ctx context.Context) (Flag, string, error)
	// Put writes the record and appends events (their Seq and At are set by the
	// store), atomically, and raises r.Rev. An ended run loses its wake, its locks and
	// the claim.
	Put(ctx context.Context, r *Run, events []Event) error
	// PutAndClear is a Put that also forgets the flag that was obeyed, unless another
	// has replaced it meanwhile.
	PutAndClear(ctx context.Context, r *Run, events []Event, f Flag) error
	// PutParts writes parts of the run, apart from its record: all or none. Parts not
	// named stay. They are kept as long as the run. Several goroutines may write at once;
	// of two writes of one key the one called later stays.
	PutParts(ctx context.Context, parts map[string][]byte) error
	// Parts returns all parts of the run by their keys.
	Parts(ctx context.Context) (map[string][]byte, error)
	// Dials returns the run's dials by name.
	Dials(ctx context.Context) (map[string]Dial, error)
	// Lock takes all resources for the run or none; a *HeldError names the holder.
	Lock(ctx context.Context, resources []string, title, by string) error
	// Release gives the claim back and sets the next wake. It returns the wait until
	// then: zero instead of wake if a flag came in meanwhile, or if a dial was turned
	// since the dials were last read under this or another claim.
	Release(ctx context.Context, wake time.Duration) (time.Duration, error)
}

// Flag is a person's wish, kept in the record until a tick obeys it. Cancel
// overrules the others.
type Flag string

// The flags.
const (
	NoFlag     Flag = ""
	FlagPause  Flag = "pause"
	FlagResume Flag = "resume"
	FlagCancel Flag = "cancel"
)

// Wake is a run due for a tick under a dispatcher's task id.
type Wake struct{ ID, Task string }

// Dispatcher brings wakes to a worker at their time; it may lose, double or
// delay them: the record decides. Its one implementation is opsredis.Dispatcher.
type Dispatcher interface {
	// Wake enqueues a tick for now. The same task id twice is one task.
	Wake(ctx context.Context, w Wake) error
	// Now brings a waiting task forward; no such task is no error.
	Now(ctx context.Context, w Wake) error
}
