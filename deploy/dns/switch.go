package dns

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"twokey/ops"
)

// switchStep switches one record.
type switchStep struct {
	site   Site
	name   string
	probes []string
	before *record
	after  record
}

// switchNotes is what the step remembers.
type switchNotes struct {
	Change string    `json:"change,omitempty"` // at the provider
	Back   string    `json:"back,omitempty"`   // the undo's
	Seen   bool      `json:"seen,omitempty"`   // the provider had the new value
	Mute   time.Time `json:"mute,omitzero"`    // since when requests through the name fail
}

func (s switchStep) key() string { return "dns " + s.name }

func (s switchStep) open(ctx context.Context, t *ops.Tick) (provider, error) {
	return s.site.open(ctx, s.site.ForRun(t), s.name)
}

// is reports which of the two values the provider has; other: neither.
func (s switchStep) is(ctx context.Context, z provider) (old, new bool, now string, err error) {
	list, _, err := z.look(ctx, s.name)
	if err != nil {
		return false, false, "", err
	}
	switch len(list) {
	case 0:
		return s.before == nil, false, "no record", nil
	case 1:
		r := list[0]
		return s.before != nil && r.same(*s.before), r.same(s.after), r.text(), nil
	}
	return false, false, kinds(list), nil
}

func (s switchStep) Start(ctx context.Context, t *ops.Tick, _ string) error {
	z, err := s.open(ctx, t)
	if err != nil {
		return err
	}
	c := ops.Change{Key: s.key(), Resource: "DNS " + s.name, Setting: "record", Intended: aws.String(s.after.text())}
	if s.before != nil {
		c.Before = aws.String(s.before.text())
	}
	if err := t.Record(ctx, c); err != nil {
		return err
	}
	if err := ops.Held(ctx); err != nil {
		return err
	}
	change, err := z.put(ctx, s.after, s.before)
	if err != nil {
		return err
	}
	return t.Save(switchNotes{Change: change, Seen: true})
}

// Poll is done when the provider has the new value everywhere, all authoritative servers
// answer it, and a request through the name is answered. A record that had the new value
// before this run wrote anything is somebody else's: it is verified, and not undone.
func (s switchStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	var n switchNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	z, err := s.open(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	old, now, text, err := s.is(ctx, z)
	e, recorded := t.Entry(s.key())
	switch {
	case err != nil:
		return ops.Progress{}, err
	case old && n.Seen:
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("%s had the new value and is %s again: somebody changed it", s.name, text)}, nil
	case old:
		return ops.Progress{Phase: ops.NotStarted}, nil
	case !now:
		return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("%s is %s, neither the old nor the new value: somebody changed it", s.name, text)}, nil
	}
	if !n.Seen {
		n.Seen = true
		if err := t.Save(n); err != nil {
			return ops.Progress{}, err
		}
	}
	waiting, err := s.spread(ctx, z, n.Change, &s.after)
	if err != nil {
		return ops.Progress{}, err
	}
	if waiting != "" {
		return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: waiting}}, nil
	}
	if len(s.probes) > 0 {
		if err := s.through(ctx, z); err != nil {
			if n.Mute.IsZero() {
				n.Mute = t.Now()
			}
			if t.Now().Sub(n.Mute) >= patience {
				return ops.Progress{Phase: ops.Failed, Reason: fmt.Sprintf("%s points to %s, but no request through the name was answered for %s: %v", s.name, s.after.Values[0], spoken(patience), err)}, nil
			}
			return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: fmt.Sprintf("%s points to %s; a request through the name is not answered yet: %v", s.name, s.after.Values[0], err)}}, t.Save(n)
		}
	}
	if recorded && e.State != ops.Kept {
		after := s.after.text()
		if err := t.Settle(ctx, s.key(), ops.Kept, &after, ""); err != nil {
			return ops.Progress{}, err
		}
	}
	head := fmt.Sprintf("%s is %s at all %d servers", s.name, strings.Join(s.after.Values, " "), len(z.servers()))
	if s.after.Proxied {
		head = fmt.Sprintf("%s is %s behind Cloudflare's proxy", s.name, strings.Join(s.after.Values, " "))
	}
	if len(s.probes) > 0 {
		head += ", and answers"
	}
	if d := held(z, s.before); d > 0 {
		head += fmt.Sprintf("; resolvers may keep the old value for up to %s", spoken(d))
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: head}}, nil
}

// through sends a request the way the name leads: to the new value, which all servers
// answer, or to the proxy's address, which one of them does.
func (s switchStep) through(ctx context.Context, z provider) error {
	address := s.after.Values[0]
	if s.after.Proxied {
		edge, err := s.edge(ctx, z)
		if err != nil {
			return err
		}
		address = edge
	}
	return s.site.probes(ctx, s.probes, address, s.name)
}

// edge is an address of Cloudflare's proxy for the name.
func (s switchStep) edge(ctx context.Context, z provider) (string, error) {
	err := fmt.Errorf("%s names no servers", z.name())
	for _, server := range z.servers() {
		var got []string
		if got, err = s.site.answers(ctx, server, s.name, "A"); err == nil && len(got) > 0 {
			return got[0], nil
		}
		if err == nil {
			err = fmt.Errorf("%s answers no address of Cloudflare's proxy", server)
		}
	}
	return "", err
}

// spread says what is waited for until a value is in effect everywhere; empty: nothing.
// want nil: the name is to have no record.
func (s switchStep) spread(ctx context.Context, z provider, change string, want *record) (string, error) {
	done, err := z.settled(ctx, change)
	if err != nil {
		return "", err
	}
	if !done {
		return fmt.Sprintf("%s: waiting until all servers of %s have it", s.name, z.name()), nil
	}
	if want != nil && want.Proxied {
		return "", nil
	}
	kind, values := s.after.Type, []string(nil)
	if want != nil {
		kind, values = want.Type, want.Values
	}
	var lag []string
	for _, server := range z.servers() {
		got, err := s.site.answers(ctx, server, s.name, kind)
		has := slices.Equal(got, values)
		if want == nil { // a wildcard of the zone may answer in the record's place
			has = !slices.Equal(got, s.after.Values)
		}
		switch {
		case err != nil:
			lag = append(lag, fmt.Sprintf("%s does not answer (%v)", server, err))
		case len(got) == 0 && !has:
			lag = append(lag, server+" has no such record")
		case !has:
			lag = append(lag, fmt.Sprintf("%s answers %s", server, strings.Join(got, " ")))
		}
	}
	if len(lag) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s: %d of %d servers have it; %s", s.name, len(z.servers())-len(lag), len(z.servers()), strings.Join(lag, "; ")), nil
}

// Undo puts the old value back while the record still has the new one.
func (s switchStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	e, recorded := t.Entry(s.key())
	if !recorded {
		return ops.Progress{Phase: ops.Done}, nil
	}
	var n switchNotes
	if _, err := t.Load(&n); err != nil {
		return ops.Progress{}, err
	}
	z, err := s.open(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	old, now, text, err := s.is(ctx, z)
	switch {
	case err != nil:
		return ops.Progress{}, err
	case old:
		waiting, err := s.spread(ctx, z, n.Back, s.before)
		if err != nil {
			return ops.Progress{}, err
		}
		if waiting != "" {
			return ops.Progress{Phase: ops.Waiting, Status: ops.Status{Headline: "Put back. " + waiting}}, nil
		}
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, s.key(), ops.Restored, e.Before, "")
	case !now:
		return ops.Progress{Phase: ops.Done}, t.Settle(ctx, s.key(), ops.Left, &text, "somebody changed it since")
	}
	if err := t.Fence(ctx); err != nil {
		return ops.Progress{}, err
	}
	if s.before == nil {
		n.Back, err = z.remove(ctx, s.after)
	} else {
		n.Back, err = z.put(ctx, *s.before, &s.after)
	}
	if err != nil {
		return ops.Progress{}, err
	}
	if err := t.Save(n); err != nil {
		return ops.Progress{}, err
	}
	return ops.Progress{Phase: ops.Waiting, Wait: time.Second, Status: ops.Status{Headline: fmt.Sprintf("%s: putting %s back", s.name, strconv.Quote(aws.ToString(e.Before)))}}, nil
}
