package slacksim

import (
	"context"
	"fmt"
	"slices"
)

// Channel returns the messages of a channel outside threads, oldest first.
func (w *Workspace) Channel(channel string) []Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return (&Snapshot{w}).Channel(channel)
}

// Thread returns a thread's root and replies, oldest first. Message.Edits of each tell
// what somebody watching saw before.
func (w *Workspace) Thread(channel, ts string) []Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return (&Snapshot{w}).Thread(channel, ts)
}

// Ephemerals returns what the person alone was shown, oldest first.
func (w *Workspace) Ephemerals(user string) []Ephemeral {
	w.mu.Lock()
	defer w.mu.Unlock()
	return (&Snapshot{w}).Ephemerals(user)
}

// Calls returns the log of API calls, refused and limited ones too.
func (w *Workspace) Calls() []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}

// Violations returns what a correct bot would not have done.
func (w *Workspace) Violations() []Violation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.violations)
}

// Deliveries returns everything sent to the app, in order of its origin.
func (w *Workspace) Deliveries() []*Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.deliveries)
}

// WaitFor waits until ok is true of the workspace, asking at once and after every
// change. It returns the cause when ctx ends, or an error when the workspace closes.
func (w *Workspace) WaitFor(ctx context.Context, ok func(*Snapshot) bool) error {
	for {
		w.mu.Lock()
		done, changed := ok(&Snapshot{w}), w.changed
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the workspace: %w", context.Cause(ctx))
		case <-w.ctx.Done():
			return fmt.Errorf("waiting for the workspace: closed")
		}
	}
}
