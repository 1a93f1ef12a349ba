package bot

import (
	"context"
	"errors"
	"time"
)

// Queue is the sender's side of the Outbox.
type Queue interface {
	// Waiting returns up to n messages put after mark, in the order they were put. A
	// message put again comes again. Mark 0 is the beginning.
	Waiting(ctx context.Context, mark int64, n int) ([]Entry, error)
	// Claim marks a message as being sent, before the call that sends it, so that
	// whoever takes over knows that its outcome is unknown. ErrGone: there is nothing to
	// send any more. ErrNotHolder: another sender has taken over.
	Claim(ctx context.Context, holder, key string) (Claimed, error)
	// Sent notes that a message was delivered; a Post is at p from now on. An Edit put
	// again since the claim stays waiting. It holds whoever claimed meanwhile.
	Sent(ctx context.Context, c Claimed, p Place) error
	// Later gives a claimed message back, not to be sent before wait is over. doubt: it
	// may have been delivered.
	Later(ctx context.Context, c Claimed, wait time.Duration, doubt bool) error
	// Rewrite replaces a claimed message by another way to deliver it, under its key.
	Rewrite(ctx context.Context, c Claimed, m Message) error
	// Drop gives a claimed message up and keeps the reason.
	Drop(ctx context.Context, c Claimed, reason string) error
	// Root returns the post of this key.
	Root(ctx context.Context, key string) (Root, error)
}

// Leases let one process at a time do a work.
type Leases interface {
	// Hold takes or prolongs the lease and reports whether holder has it now.
	Hold(ctx context.Context, name, holder string, ttl time.Duration) (bool, error)
	// Release gives it up. Not holding it is no error.
	Release(ctx context.Context, name, holder string) error
}

// Entry is what the sender needs to know to choose a message.
type Entry struct {
	Message
	Mark  int64         // counter at its last put
	First int64         // at its first put since it was last sent: its age
	Wait  time.Duration // not to be sent before this is over
	Quiet time.Duration // since an Edit of this key was last sent; negative: never
}

// Claimed is a message being sent.
type Claimed struct {
	Message
	Nonce   string
	Version int64
	Doubt   bool      // an attempt before this one may have delivered it
	Tried   time.Time // the first attempt, by the clock of Redis
	Tries   int       // this attempt's number, from 1
}

// Root is what became of a post that others go under.
type Root struct {
	Place        // where it is, if it was made
	Posted  bool // it was made
	Dropped bool // it never will be
}

// Errors of a Queue.
var (
	ErrGone      = errors.New("the message was sent or dropped already")
	ErrNotHolder = errors.New("another sender has taken over")
)

// Names of the leases.
const (
	SenderLease   = "sender"
	ReporterLease = "reporter"
)
