package approvals

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	asked   = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	voted   = asked.Add(time.Minute)
	expires = asked.Add(time.Hour)
)

// requests has one request of each state: R3, two must agree, U0A did.
func requests() map[string]Request {
	base := Request{
		ID: "R", Digest: "d", Requester: "U0ASKER", Rule: Rule{Quorum: 2}, State: Pending,
		CreatedAt: asked, ExpiresAt: expires,
		Votes: []Vote{{Voter: "U0A", Approve: true, Via: ViaButton, At: voted, Digest: "d"}},
	}
	states := map[string]Request{"pending": base}
	approved := base
	approved.State, approved.DecidedAt = Approved, voted
	approved.Votes = append(approved.Votes[:1:1], Vote{Voter: "U0B", Approve: true, Via: ViaButton, At: voted, Digest: "d"})
	states["approved"] = approved
	approved.Launching = true
	states["launching"] = approved
	approved.State = Launched
	states["launched"] = approved
	for _, s := range []State{Declined, Expired, Cancelled, Superseded} {
		r := base
		r.State, r.DecidedAt = s, voted
		states[string(s)] = r
	}
	return states
}

// Every state against every event: the state after it, and the error. "=" says that
// nothing at all changed.
func TestApplyTable(t *testing.T) {
	const (
		launched = "the request is launched, or is about to be"
		notDue   = "the request is not due to expire"
		notYet   = "the request is not approved"
	)
	events := []Event{
		{Kind: EventVote, By: "U0B", Via: ViaButton},
		{Kind: EventVote, By: "U0C", Via: ViaTyped},
		{Kind: EventWithdraw, By: "U0A"},
		{Kind: EventWithdraw, By: "U0C"},
		{Kind: EventDecline, By: "U0C", Via: ViaButton, Reason: "no"},
		{Kind: EventCancel, By: "U0ASKER"},
		{Kind: EventExpire},
		{Kind: EventLaunching},
		{Kind: EventLaunch},
		{Kind: EventSupersede, Other: "R2"},
	}
	want := map[string][]string{
		// state:      vote B, vote C, withdraw A, withdraw C, decline, cancel, expire, launching, launch, supersede
		"pending":    {"approved", "approved", "pending", "=", "declined", "cancelled", notDue, notYet, notYet, "superseded"},
		"approved":   {"=", "approved", "pending", "=", "declined", "cancelled", notDue, "launching", notYet, "superseded"},
		"launching":  {"=", launched, launched, "=", launched, launched, notDue, "=", "launched", "launching"},
		"launched":   {"=", launched, launched, "=", launched, launched, notDue, "=", "=", "launched"},
		"declined":   {"declined", "declined", "declined", "=", "declined", "declined", notDue, notYet, notYet, "declined"},
		"expired":    {"expired", "expired", "expired", "=", "expired", "expired", "=", notYet, notYet, "expired"},
		"cancelled":  {"cancelled", "cancelled", "cancelled", "=", "cancelled", "cancelled", notDue, notYet, notYet, "cancelled"},
		"superseded": {"superseded", "superseded", "superseded", "=", "superseded", "superseded", notDue, notYet, notYet, "superseded"},
	}
	for state, before := range requests() {
		for i, e := range events {
			t.Run(fmt.Sprintf("%s/%s_by_%s", state, e.Kind, e.By), func(t *testing.T) {
				after, err := Apply(before, e, voted)
				got := name(after)
				var ended *EndedError
				switch {
				case errors.Is(err, ErrLaunched):
					got = launched
				case errors.As(err, &ended):
					got = string(ended.State)
				case err != nil:
					got = err.Error()
				case cmp.Equal(before, after):
					got = "="
				}
				if got != want[state][i] {
					t.Errorf("%s, error %v; want %s", got, err, want[state][i])
				}
				if wantErr := before.Ended() && want[state][i] != "="; wantErr && err == nil {
					t.Errorf("an ended request became %s without an error", name(after))
				}
				if err != nil && !cmp.Equal(before, after) {
					t.Errorf("an error, and yet changed:\n%s", cmp.Diff(before, after))
				}
				if d := cmp.Diff(requests()[state], before); d != "" {
					t.Fatalf("Apply changed what it was given:\n%s", d)
				}
			})
		}
	}
}

func name(r Request) string {
	if r.State == Approved && r.Launching {
		return "launching"
	}
	return string(r.State)
}

func TestVotes(t *testing.T) {
	approve := func(who string, via Via) Event { return Event{Kind: EventVote, By: who, Via: via} }
	for _, c := range []struct {
		name   string
		quorum int
		events []Event
		want   State
		count  int
	}{
		{"one of one", 1, []Event{approve("U0A", ViaButton)}, Approved, 1},
		{"a quorum of zero is one", 0, nil, Pending, 0},
		{"the same voter twice", 2, []Event{approve("U0A", ViaButton), approve("U0A", ViaTyped)}, Pending, 1},
		{"two of two", 2, []Event{approve("U0A", ViaButton), approve("U0B", ViaReaction)}, Approved, 2},
		{"the requester's own never counts", 1, []Event{approve("U0ASKER", ViaButton)}, Pending, 0},
		{"withdrawn, back to pending", 1, []Event{approve("U0A", ViaReaction), {Kind: EventWithdraw, By: "U0A"}}, Pending, 0},
		{"withdrawn, one more than needed", 1, []Event{approve("U0A", ViaReaction), approve("U0B", ViaReaction), {Kind: EventWithdraw, By: "U0A"}}, Approved, 1},
		{"withdrawn and given again", 1, []Event{approve("U0A", ViaReaction), {Kind: EventWithdraw, By: "U0A"}, approve("U0A", ViaReaction)}, Approved, 1},
		{"a tightened policy needs more", 1, []Event{{Kind: EventVote, By: "U0A", Quorum: 2}}, Pending, 1},
		{"a loosened policy does not need less", 2, []Event{{Kind: EventVote, By: "U0A", Quorum: 1}}, Pending, 1},
		{"changed one's mind", 2, []Event{approve("U0A", ViaButton), {Kind: EventDecline, By: "U0A"}}, Declined, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Request{Digest: "d", Requester: "U0ASKER", Rule: Rule{Quorum: c.quorum}, State: Pending, ExpiresAt: expires}
			for _, e := range c.events {
				var err error
				if r, err = Apply(r, e, voted); err != nil {
					t.Fatal(err)
				}
			}
			if r.State != c.want || len(r.Approvals()) != c.count {
				t.Errorf("%s with %v; want %s with %d", r.State, r.Approvals(), c.want, c.count)
			}
		})
	}
}

func TestVoteOnAnotherDigestDoesNotCount(t *testing.T) {
	r := requests()["pending"]
	r.Votes[0].Digest = "older"
	r, err := Apply(r, Event{Kind: EventVote, By: "U0B"}, voted)
	if err != nil || r.State != Pending {
		t.Errorf("%s, %v; want pending: U0A agreed to something else", r.State, err)
	}
}

func TestLaunchingNeedsQuorum(t *testing.T) {
	r := requests()["approved"]
	for _, c := range []struct{ votes, quorum int }{{1, 0}, {2, 3}} {
		r := r
		r.Votes = r.Votes[:c.votes]
		r, err := Apply(r, Event{Kind: EventLaunching, Quorum: c.quorum}, voted)
		if err != nil || r.State != Pending || r.Launching || !r.DecidedAt.IsZero() || len(r.Votes) != c.votes {
			t.Errorf("%s, %v with %d approvals of %d; want pending", name(r), err, c.votes, max(2, c.quorum))
		}
	}
}

func TestLaterBallotReplacesEarlier(t *testing.T) {
	r := requests()["pending"]
	r, err := Apply(r, Event{Kind: EventVote, By: "U0A", Via: ViaReaction}, voted.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	want := []Vote{{Voter: "U0A", Approve: true, Via: ViaReaction, At: voted.Add(time.Second), Digest: "d"}}
	if d := cmp.Diff(want, r.Votes); d != "" {
		t.Error(d)
	}
}

func TestExpiry(t *testing.T) {
	for _, c := range []struct {
		event Event
		at    time.Time
		ended bool
	}{
		{Event{Kind: EventVote, By: "U0B"}, expires.Add(-1), false},
		{Event{Kind: EventVote, By: "U0B"}, expires, true},
		{Event{Kind: EventDecline, By: "U0B"}, expires, true},
		{Event{Kind: EventCancel, By: "U0B"}, expires, true},
	} {
		_, err := Apply(requests()["pending"], c.event, c.at)
		if ended := new(EndedError); errors.As(err, &ended) != c.ended || c.ended && ended.State != Expired {
			t.Errorf("%s at %s: %v; ended %v wanted", c.event.Kind, c.at, err, c.ended)
		}
	}
	r, err := Apply(requests()["pending"], Event{Kind: EventExpire}, expires)
	if err != nil || r.State != Expired {
		t.Errorf("%s, %v; want expired", r.State, err)
	}
	// What was approved in time is launched however long that takes.
	if r, err := Apply(requests()["approved"], Event{Kind: EventLaunching}, expires.Add(time.Hour)); err != nil || !r.Launching {
		t.Errorf("%s, %v; want launching", name(r), err)
	}
}

func TestSupersededLaunch(t *testing.T) {
	r, err := Apply(requests()["launching"], Event{Kind: EventSupersede, Other: "R2"}, voted)
	if err != nil || r.State != Approved || r.SupersededBy != "R2" {
		t.Fatalf("%s by %q, %v", r.State, r.SupersededBy, err)
	}
	if r, err = Apply(r, Event{Kind: EventLaunch}, voted); err != nil || r.State != Launched {
		t.Errorf("%s, %v; want launched", r.State, err)
	}
	if again, err := Apply(r, Event{Kind: EventSupersede, Other: "R2"}, voted); err != nil || !cmp.Equal(r, again) {
		t.Errorf("again: %v", err)
	}
	if _, err := Apply(r, Event{Kind: EventSupersede, Other: "R3"}, voted); err == nil {
		t.Error("superseded by two requests")
	}
}
