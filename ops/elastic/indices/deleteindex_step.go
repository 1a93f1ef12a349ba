package indices

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// deleteTime is how long one start goes on to further indices.
const deleteTime = 3 * time.Second

// deleteStep deletes indices one by one. Elasticsearch deletes by name; so the uuid is
// read again just before each, and another one ends the run. (Between that read and the
// deletion a moment remains in which somebody else could delete the index and make
// another of its name; Elasticsearch has no way to name the uuid in the request.)
type deleteStep struct {
	Site
	uuid    string            // of the cluster
	indices map[string]string // name to uuid
	// entries of the register name indices as write targets: those are taken out first.
	entries map[string][]string
}

type deleteNotes struct {
	SentAt  time.Time `json:"sent_at,omitzero"`
	Refused string    `json:"refused,omitempty"` // why an index cannot be deleted
	Told    []string  `json:"told,omitempty"`    // of which others deleted or made again
}

// indexKey is the journal's key of an index.
func indexKey(name string) string { return "index " + name }

// standing is what one look found of an index.
type standing int

const (
	there  standing = iota // the index planned for
	gone                   // no index of that name
	remade                 // another one of that name
)

// look reads which of the indices are there.
func (s deleteStep) look(ctx context.Context) (map[string]standing, error) {
	uuid, found, err := s.listNames(ctx, slices.Sorted(maps.Keys(s.indices)))
	if err != nil {
		return nil, err
	}
	if uuid != s.uuid {
		return nil, errOtherCluster(uuid, s.uuid)
	}
	at := map[string]standing{}
	for name := range s.indices {
		at[name] = gone
	}
	for _, x := range found {
		at[x.Name] = remade
		if x.UUID == s.indices[x.Name] {
			at[x.Name] = there
		}
	}
	return at, nil
}

func (s deleteStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	var n deleteNotes
	if _, err := t.Load(&n); err != nil {
		return err
	}
	at, err := s.look(ctx)
	if err != nil {
		return err
	}
	n.Refused = ""
	until := t.Now().Add(deleteTime)
	for _, name := range slices.Sorted(maps.Keys(at)) {
		if at[name] != there {
			continue
		}
		if t.Now().After(until) {
			break
		}
		if stop, err := s.delete(ctx, t, &n, name, token); err != nil || stop {
			return err
		}
	}
	return nil
}

// delete deletes one index. It reports whether the others have to wait for a poll.
func (s deleteStep) delete(ctx context.Context, t *ops.Tick, n *deleteNotes, name, token string) (stop bool, err error) {
	for entry, list := range s.entries {
		if !slices.Contains(list, name) {
			continue
		}
		e, err := s.Register.Get(ctx, entry)
		if err != nil {
			return true, err
		}
		if e.Active == name || slices.Contains(e.Write, name) {
			n.Refused = fmt.Sprintf("Register entry %s names %s again: somebody put it back. Take it out there, wait %s, and resume to go on",
				entry, name, elastic.Span(s.registerCache()))
			return true, t.Save(n)
		}
	}
	now, err := s.sizesOf(ctx, []string{name})
	if elastic.IsStatus(err, http.StatusNotFound) {
		return true, nil
	} else if err != nil {
		return true, err
	}
	if now[name].UUID != s.indices[name] {
		return true, nil
	}
	before := fmt.Sprintf("%s, uuid %s", now[name].text(), now[name].UUID)
	n.SentAt = t.Now()
	if err := t.Save(n); err != nil {
		return true, err
	}
	err = t.Record(ctx, ops.Change{Key: indexKey(name), Resource: "cluster " + s.Environment, Setting: "index " + name, Before: &before})
	if err != nil {
		return true, err
	}
	err = s.Write(ctx, http.MethodDelete, "/"+url.PathEscape(name), elastic.Query("master_timeout", "5s", "timeout", "5s"), nil, token)
	var answer *elastic.APIError
	switch {
	case err == nil, elastic.IsStatus(err, http.StatusNotFound): // an earlier request did it
	case errors.As(err, &answer) && final(answer):
		n.Refused = fmt.Sprintf("Elasticsearch refused to delete an index: %s Resume to try again", err)
		return true, t.Save(n)
	default:
		return true, err
	}
	is, err := s.listOne(ctx, name)
	if err != nil || is == there {
		return true, err
	}
	return false, t.Settle(ctx, indexKey(name), ops.Kept, nil, deletedText(is))
}

func (s deleteStep) listOne(ctx context.Context, name string) (standing, error) {
	at, err := deleteStep{Site: s.Site, uuid: s.uuid, indices: map[string]string{name: s.indices[name]}}.look(ctx)
	return at[name], err
}

func deletedText(is standing) string {
	if is == remade {
		return "deleted; somebody made another index of that name since, which is not touched"
	}
	return "deleted"
}

func (s deleteStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n deleteNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	at, err := s.look(ctx)
	if gone := (goneError{}); errors.As(err, &gone) {
		return ops.Progress{Phase: ops.Failed, Reason: gone.why}, nil
	} else if err != nil {
		return ops.Progress{}, err
	}
	left, other := 0, ""
	var settled []ops.Settlement
	for _, name := range slices.Sorted(maps.Keys(at)) {
		e, ours := t.Entry(indexKey(name))
		switch {
		case at[name] == there:
			left++
		case ours:
			if e.State != ops.Kept {
				settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Kept, Reason: deletedText(at[name])})
			}
		case at[name] == gone:
			n.tell(t, name, "%s was deleted by somebody else before this run came to it.")
		default:
			other = name
		}
	}
	if len(settled) > 0 {
		if err := t.SettleAll(ctx, settled); err != nil {
			return ops.Progress{}, err
		}
	}
	total := len(s.indices)
	p := ops.Progress{Phase: ops.NotStarted, Wait: time.Millisecond, Status: ops.Status{
		Headline: fmt.Sprintf("%d of %d indices deleted", total-left, total), Done: int64(total - left), Total: int64(total), Unit: "indices"}}
	switch {
	case other != "":
		p.Phase = ops.Failed
		p.Reason = fmt.Sprintf("%s was deleted and made again by somebody else since the plan (its uuid is not %s); it is not touched, and nothing more is deleted", other, s.indices[other])
	case left == 0:
		p.Phase = ops.Done
		if total == 1 {
			p.Status.Headline = slices.Sorted(maps.Keys(at))[0] + " is gone, read back"
		} else {
			p.Status.Headline = fmt.Sprintf("%d indices are gone, read back", total)
		}
	case n.Refused != "":
		p.Phase = ops.Blocked
		p.Reason = fmt.Sprintf("%s, or cancel to keep the %d that are left.", n.Refused, left)
		n.Refused = ""
	}
	return p, t.Save(n)
}

// tell says something about an index once.
func (n *deleteNotes) tell(t *ops.Tick, name, format string) {
	if !slices.Contains(n.Told, name) {
		n.Told = append(n.Told, name)
		t.Say(format, name)
	}
}

// Undo brings nothing back: it settles what was deleted as left.
func (s deleteStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n deleteNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	at, err := s.look(ctx)
	if errors.As(err, &goneError{}) {
		at = nil
	} else if err != nil {
		return ops.Progress{}, err
	}
	var settled []ops.Settlement
	early := false
	for _, name := range slices.Sorted(maps.Keys(s.indices)) {
		e, ours := t.Entry(indexKey(name))
		if !ours {
			continue
		}
		is, known := at[name]
		switch {
		case !known:
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Left, After: e.After, Reason: err.Error()})
		case is == there:
			early = early || t.Now().Sub(n.SentAt) < lateness
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Restored, After: e.Before, Reason: "it was not deleted"})
		default:
			settled = append(settled, ops.Settlement{Key: e.Key, State: ops.Left, Reason: "deleted, cannot be brought back"})
		}
	}
	switch {
	case len(settled) == 0:
		return ops.Progress{Phase: ops.NotStarted}, nil
	case early:
		return ops.Progress{Phase: ops.Waiting, Wait: time.Second, Status: ops.Status{
			Headline: "Waiting until the request that was sent cannot arrive any more"}}, nil
	}
	return ops.Progress{Phase: ops.Done}, t.SettleAll(ctx, settled)
}
