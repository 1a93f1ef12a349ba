package bot

import (
	"context"
	"errors"
	"fmt"

	"twokey/approvals"
	"twokey/ops"
)

// run reports a run that changed: card, status message, events, and what replaces it.
func (r *Reporter) run(ctx context.Context, id string) error {
	o, err := r.origin(ctx, id)
	if err != nil {
		return err
	}
	cursor, err := r.o.Threads.Cursor(ctx, id)
	if err != nil {
		return err
	}
	// Events first: the record read after them is at least as new.
	events, err := r.o.Engine.Events(ctx, id, cursor)
	if err != nil {
		return err
	}
	run, err := r.o.Engine.Get(ctx, id)
	switch {
	case errors.Is(err, ops.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	text, blocks := renderStatus(run, r.o.Command, 1)
	status := Message{Key: "status:" + id, Urgency: Normal, Text: text, Blocks: encodeBlocks(blocks)}
	if _, ok := r.put["post:"+status.Key]; !ok {
		if err := r.first(ctx, o, id, status); err != nil {
			return err
		}
	}
	for _, e := range events {
		for _, m := range r.event(run, e, o) {
			if err := r.reply(ctx, o, id, m); err != nil {
				return err
			}
		}
	}
	if n := len(events); n > 0 {
		if err := r.o.Threads.SetCursor(ctx, id, events[n-1].Seq); err != nil {
			return err
		}
	}
	urgency := Live
	if run.State.Ended() {
		urgency = Normal // the last edit does not queue behind other runs' progress
	}
	if err := r.edit(ctx, status.Key, urgency, run.Rev, status.Text, status.Blocks); err != nil {
		return err
	}
	if run.State == ops.Superseded {
		if err := r.askAgain(ctx, o, run); err != nil {
			return err
		}
	}
	if r.put[cardPrefix+id] != drawnFrom(run) {
		// A run without a request has no card.
		if _, err = r.card(ctx, id, o); err != nil && !errors.Is(err, approvals.ErrNotFound) {
			return err
		}
	}
	return r.discard(ctx, run)
}

// discard removes what the plan of an ended run prepared. A plan that was superseded only
// because facts got worse lives on in the request that replaces it.
func (r *Reporter) discard(ctx context.Context, run ops.Run) error {
	if !run.State.Ended() || run.Fresh != nil && run.Fresh.Digest() == run.Digest {
		return nil
	}
	return r.o.Engine.Discard(ctx, run.Plan)
}

// first puts the status message, below the card: the card is put before it.
func (r *Reporter) first(ctx context.Context, o Origin, id string, status Message) error {
	if _, err := r.card(ctx, id, o); err != nil && !errors.Is(err, errNotYet) && !errors.Is(err, approvals.ErrNotFound) {
		return err
	}
	if err := r.reply(ctx, o, id, status); err != nil {
		return err
	}
	r.put["post:"+status.Key] = ""
	return nil
}

// event is the replies for one event of a run: one, and before an ending its file. They are
// not one message, as an ending has more to show than a file's comment can, and must not
// wait for the file.
func (r *Reporter) event(run ops.Run, e ops.Event, o Origin) []Message {
	m := Message{Key: fmt.Sprintf("event:%s:%d", run.ID, e.Seq), Urgency: Normal}
	var file *File
	if e.File != nil && e.File.Content != "" {
		file = &File{Name: e.File.Name, Content: e.File.Content}
	}
	if e.Kind == ops.Ending {
		text, blocks := renderEnding(run, e)
		m.Urgency, m.User, m.Text, m.Blocks = Urgent, o.User, text, encodeBlocks(blocks)
		if file == nil {
			return []Message{m}
		}
		return []Message{{Key: m.Key + ":file", Urgency: Normal, Text: "For the ending: " + code(file.Name), File: file}, m}
	}
	text, blocks := renderEvent(e, r.o.Command, run.ID)
	m.Text, m.Blocks, m.File = text, encodeBlocks(blocks), file
	return []Message{m}
}

// askAgain makes the request that replaces a run which found the world changed, with a
// card where the old one is and no votes. Every part of it may be repeated.
func (r *Reporter) askAgain(ctx context.Context, o Origin, run ops.Run) error {
	if run.Fresh == nil {
		return nil // it found the world changed but has no plan to offer
	}
	fresh := *run.Fresh
	sealed, err := seal(fresh)
	if err != nil {
		return err
	}
	next, _, err := r.o.Approvals.Submit(ctx, approvals.Ask{
		Trigger:     "superseded:" + run.ID,
		Environment: fresh.Call.Environment,
		Class:       fresh.Class.String(),
		Title:       fresh.Title,
		Digest:      fresh.Digest(),
		Sealed:      sealed,
		Requester:   run.Requester,
		Supersedes:  run.ID,
	})
	var refused *approvals.RefusedError
	switch {
	case errors.As(err, &refused):
		if err := r.o.Engine.Discard(ctx, fresh); err != nil {
			return err
		}
		return r.reply(ctx, o, run.ID, Message{Key: "again:" + run.ID, Urgency: Urgent, User: o.User, Text: fmt.Sprintf(
			"%s: I could not ask again for you: %s. %s", user(run.Requester), escapeExceptMentions(refused.Why), escapeExceptMentions(refused.Next))})
	case err != nil:
		return fmt.Errorf("ask again for %s: %w", run.ID, err)
	}
	again := Origin{Via: "superseded", Channel: o.Channel, Thread: o.Thread, User: o.User, Team: o.Team, Text: o.Text}
	if err := r.o.Threads.SetOrigin(ctx, next.ID, again); err != nil {
		return err
	}
	var over *approvals.EndedError
	if err := r.o.Approvals.MarkSuperseded(ctx, run.ID, next.ID); err != nil && !errors.As(err, &over) {
		return fmt.Errorf("note that %s replaces %s: %w", next.ID, run.ID, err)
	}
	return nil
}
