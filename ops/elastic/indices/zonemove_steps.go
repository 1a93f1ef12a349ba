package indices

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// Limits of writing filters.
const (
	filterTime  = 3 * time.Second // one start or undo goes on to further batches
	filterBatch = 100             // indices written by one request, at most
	maxTries    = 5               // starts in a row whose write was not there when read back
)

// filterStep writes the indices' filters, many by one request where the change is equal.
// Each index' state is in the cluster and in the journal: which are still to be written
// is worked out again from both whenever it is called.
type filterStep struct{ zone }

type filterNotes struct {
	SentAt  time.Time     `json:"sent_at,omitzero"`
	Tries   int           `json:"tries,omitempty"`
	Asked   bool          `json:"asked,omitempty"`
	Refused string        `json:"refused,omitempty"`
	Told    []string      `json:"told,omitempty"` // of which indices that are gone
	Pause   elastic.Pause `json:"pause,omitzero"`
}

// zoneKey is the journal's key of one filter of an index.
func zoneKey(index, family string) string { return index + " " + family }

// planned are the indices of the plan: name to uuid.
func planned(t *ops.Tick) map[string]string { return named(t.Run().Plan.Params, paramIndex) }

// present reads those of the indices that are still the ones planned for; missing says
// of the others what became of them.
func (z zone) present(ctx context.Context, indices map[string]string) (there []listed, missing map[string]string, err error) {
	uuid, found, err := z.listNames(ctx, slices.Sorted(maps.Keys(indices)))
	if err != nil {
		return nil, nil, err
	}
	if uuid != z.uuid && len(indices) > 0 {
		return nil, nil, errOtherCluster(uuid, z.uuid)
	}
	missing = map[string]string{}
	for name := range indices {
		missing[name] = "it was deleted meanwhile"
	}
	for _, x := range found {
		if x.UUID == indices[x.Name] {
			there = append(there, x)
			delete(missing, x.Name)
		} else {
			missing[x.Name] = "it was deleted and made again meanwhile"
		}
	}
	return there, missing, nil
}

// tellMissing says once of each index that it is gone.
func tellMissing(t *ops.Tick, told *[]string, missing map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		if !slices.Contains(*told, name) {
			*told = append(*told, name)
			t.Say("%s is left out: %s.", name, missing[name])
		}
	}
}

// guard says why nothing should be written now, or "".
func (z zone) guard(ctx context.Context, t *ops.Tick) (elastic.Topology, string, error) {
	top, err := z.Topology(ctx)
	if err != nil {
		return top, "", err
	}
	if top.UUID != z.uuid {
		return top, "", errOtherCluster(top.UUID, z.uuid)
	}
	h, err := z.Health(ctx)
	if err != nil {
		return top, "", err
	}
	flood, err := z.FloodBlocked(ctx)
	return top, elastic.Guard(t.Run().Plan.Facts, top, h, flood), err
}

func (s filterStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	var n filterNotes
	if _, err := t.Load(&n); err != nil {
		return err
	}
	there, _, err := s.present(ctx, planned(t))
	if err != nil {
		return err
	}
	n.Refused = ""
	wrong, err := s.writeAll(ctx, t, there, token, func() error { n.SentAt = t.Now(); return t.Save(n) })
	n.Tries++
	if wrong == "" && err == nil {
		n.Tries = 0
	}
	var answer *elastic.APIError
	if errors.As(err, &answer) && final(answer) {
		n.Refused, err = err.Error(), nil
	}
	if err != nil {
		return err
	}
	return t.Save(n)
}

// writeAll brings the indices to their goals, batch by batch, as far as time allows. It
// returns the name of one that was not there when it was read back: somebody else
// writes too. Call noted before each request.
func (z zone) writeAll(ctx context.Context, t *ops.Tick, list []listed, token string, noted func() error) (wrong string, err error) {
	until := t.Now().Add(filterTime)
	for _, batch := range batches(list, z.goal) {
		if t.Now().After(until) {
			break
		}
		now, _, err := z.present(ctx, uuids(batch))
		if err != nil {
			return "", err
		}
		// Of those whose settings changed since, a later round takes care.
		now = slices.DeleteFunc(now, func(x listed) bool { return z.goal(x).sign() != z.goal(batch[0]).sign() })
		if len(now) == 0 {
			continue
		}
		if err := noted(); err != nil {
			return "", err
		}
		change := z.goal(batch[0])
		if err := t.RecordAll(ctx, z.changes(now, change)); err != nil {
			return "", err
		}
		if err := z.putFilters(ctx, now, change, token); err != nil {
			return "", err
		}
		after, _, err := z.present(ctx, uuids(now))
		if err != nil {
			return "", err
		}
		var settled []ops.Settlement
		for _, x := range after {
			if len(z.goal(x)) > 0 {
				wrong = x.Name
				continue
			}
			settled = append(settled, z.settlements(t, x, ops.Written, "")...)
		}
		if err := t.SettleAll(ctx, settled); err != nil {
			return "", err
		}
	}
	return wrong, nil
}

// uuids are the indices by name.
func uuids(list []listed) map[string]string {
	m := map[string]string{}
	for _, x := range list {
		m[x.Name] = x.UUID
	}
	return m
}

// batches groups indices with equal changes; those without one are left out.
func batches(list []listed, change func(listed) settings) [][]listed {
	groups := map[string][]listed{}
	for _, x := range list {
		if c := change(x); len(c) > 0 {
			groups[c.sign()] = append(groups[c.sign()], x)
		}
	}
	var all [][]listed
	for _, sign := range slices.Sorted(maps.Keys(groups)) {
		size := 0
		var batch []listed
		for _, x := range groups[sign] {
			long := len(url.PathEscape(x.Name)) + 3 // and a comma, escaped
			if len(batch) == filterBatch || size+long > 2500 && len(batch) > 0 {
				all, batch, size = append(all, batch), nil, 0
			}
			batch, size = append(batch, x), size+long
		}
		all = append(all, batch)
	}
	return all
}

// changes are the journal's entries of one update of several indices.
func (z zone) changes(list []listed, change settings) []ops.Change {
	var entries []ops.Change
	for _, x := range list {
		for _, family := range families {
			key := z.key(family)
			if text, ok := change[key]; ok {
				entries = append(entries, ops.Change{Key: zoneKey(x.Name, family), Resource: "index " + x.Name,
					Setting: key, Before: x.own(key), Intended: text})
			}
		}
	}
	return entries
}

// settlements settle what the journal has of an index, by the values read.
func (z zone) settlements(t *ops.Tick, x listed, state ops.ChangeState, reason string) []ops.Settlement {
	var list []ops.Settlement
	for _, family := range families {
		if e, ok := t.Entry(zoneKey(x.Name, family)); ok {
			list = append(list, ops.Settlement{Key: e.Key, State: state, After: x.own(z.key(family)), Reason: reason})
		}
	}
	return list
}

// putFilters sends one update to several indices. Those deleted meanwhile are passed over.
func (z zone) putFilters(ctx context.Context, list []listed, change settings, token string) error {
	var names []string
	for _, x := range list {
		names = append(names, x.Name)
	}
	return z.Write(ctx, http.MethodPut, "/"+url.PathEscape(strings.Join(names, ","))+"/_settings",
		elastic.Query("master_timeout", "5s", "timeout", "5s", "ignore_unavailable", "true"), change.body(), token)
}

func (s filterStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n filterNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	p, err := s.poll(ctx, t, &n)
	if other := (goneError{}); errors.As(err, &other) {
		return ops.Progress{Phase: ops.Blocked, Reason: sentenceOf(other.why)}, nil
	} else if err != nil {
		return ops.Progress{}, err
	}
	return p, t.Save(n)
}

func (s filterStep) poll(ctx context.Context, t *ops.Tick, n *filterNotes) (ops.Progress, error) {
	indices := planned(t)
	there, missing, err := s.present(ctx, indices)
	if err != nil {
		return ops.Progress{}, err
	}
	tellMissing(t, &n.Told, missing)
	left := 0
	var settled []ops.Settlement
	for _, x := range there {
		if len(s.goal(x)) > 0 {
			left++
			continue
		}
		for _, one := range s.settlements(t, x, ops.Written, "") {
			if e, _ := t.Entry(one.Key); e.State == ops.Intended {
				settled = append(settled, one)
			}
		}
	}
	if len(settled) > 0 {
		if err := t.SettleAll(ctx, settled); err != nil {
			return ops.Progress{}, err
		}
	}
	total := len(indices)
	p := ops.Progress{Phase: ops.NotStarted, Wait: time.Millisecond, Status: ops.Status{
		Headline: fmt.Sprintf("Filters of %d of %d indices written", total-left, total),
		Done:     int64(total - left), Total: int64(total), Unit: "indices"}}
	switch {
	case len(there) == 0:
		return ops.Progress{Phase: ops.Failed, Reason: "none of the indices is there any more"}, nil
	case left == 0:
		p.Phase, p.Wait = ops.Done, 0
		p.Status.Headline = fmt.Sprintf("All copies of %s are to be in %s", countOf(total), s.label(s.to))
		return p, nil
	}
	_, reason, err := s.guard(ctx, t)
	if err != nil {
		return p, err
	}
	if n.Asked {
		n.Asked, n.Tries = false, 0
	}
	hold, ask := n.Pause.Check(t, reason)
	switch {
	case ask:
		p.Phase, p.Reason = ops.Blocked, n.Pause.Asks()
	case hold:
		p.Phase, p.Wait = ops.Waiting, 0
		p.Status.Headline = "Holding still: " + n.Pause.Reason
	case n.Refused != "":
		p.Phase, p.Reason = ops.Blocked, fmt.Sprintf("Elasticsearch refused the filters: %s Resume to try again, or cancel.", n.Refused)
		n.Refused = ""
	case n.Tries >= maxTries:
		n.Asked = true
		p.Phase, p.Reason = ops.Blocked, fmt.Sprintf("Filters were written %d times in a row and were not there when read back; somebody else may be writing them. Resume to try again, or cancel.", n.Tries)
	}
	return p, nil
}

// countOf is "1 index" or "7 indices".
func countOf(n int) string {
	if n == 1 {
		return "1 index"
	}
	return fmt.Sprintf("%d indices", n)
}
