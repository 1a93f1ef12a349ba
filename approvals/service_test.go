package approvals_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/approvals"
	"twokey/approvals/approvalstest"
)

func TestSubmit(t *testing.T) {
	b := newBench(t)
	a := approvals.Ask{Trigger: "one", Environment: "prod", Class: "R3", Title: "Delete", Digest: "d1", Sealed: []byte(`{"a":1}`), Requester: "U0ASKER", Supersedes: "old"}
	r, made, err := b.Submit(t.Context(), a)
	if err != nil || !made {
		t.Fatalf("%v, made %v", err, made)
	}
	want := approvals.Request{
		ID: r.ID, Trigger: "one", Environment: "prod", Class: "R3", Title: "Delete", Digest: "d1", Sealed: []byte(`{"a":1}`),
		Requester: "U0ASKER", State: approvals.Pending, CreatedAt: r.CreatedAt, ExpiresAt: r.CreatedAt.Add(time.Hour), Supersedes: "old", Rev: 1,
		Rule: approvals.Rule{Quorum: 2, Groups: []string{"S0SRE"}, Users: []string{"U0LEAD"}, Expires: time.Hour},
	}
	if d := cmp.Diff(want, r); d != "" {
		t.Error(d)
	}
	again, made, err := b.Submit(t.Context(), a)
	if err != nil || made || again.ID != r.ID {
		t.Errorf("again: %s, made %v, %v; want %s", again.ID, made, err, r.ID)
	}
	open, err := b.Open(t.Context())
	if d := cmp.Diff([]approvals.Request{want}, open); err != nil || d != "" {
		t.Errorf("Open: %v\n%s", err, d)
	}
	for who, why := range map[string]string{"U0AWAY": "another one", "U0GUEST": "guests", "B0BOT": "bots", "U0GONE": "deactivated"} {
		a.Trigger, a.Requester = who, who
		_, _, err := b.Submit(t.Context(), a)
		wantRefused(t, err, why)
	}
	a.Requester, a.Environment = "U0ASKER", "nowhere"
	_, _, err = b.Submit(t.Context(), a)
	wantRefused(t, err, "not in the configuration")
}

func TestVoteLaunches(t *testing.T) {
	b := newBench(t)
	r := b.ask(t, "R3")
	for _, via := range []approvals.Via{approvals.ViaReaction, approvals.ViaButton, approvals.ViaTyped, approvals.ViaTyped} {
		got, err := b.Vote(t.Context(), approvals.Ballot{Request: r.ID, Voter: "U0SRE1", Approve: true, Via: via})
		if err != nil || got.State != approvals.Pending {
			t.Fatalf("U0SRE1 by %s: %s, %v", via, got.State, err)
		}
	}
	b.wantLaunches(t)
	got, err := b.vote(t, r, "U0LEAD")
	if err != nil || got.State != approvals.Launched {
		t.Fatalf("U0LEAD: %s, %v", got.State, err)
	}
	b.wantLaunches(t, r.ID)
	if d := cmp.Diff([]string{"U0SRE1", "U0LEAD"}, got.Approvals()); d != "" {
		t.Error(d)
	}
	// Late: the same vote again is no error, another's is.
	if _, err := b.vote(t, r, "U0LEAD"); err != nil {
		t.Errorf("U0LEAD again: %v", err)
	}
	_, err = b.vote(t, r, "U0SRE2")
	if wantRefused(t, err, "too late"); !errors.Is(err, approvals.ErrLaunched) {
		t.Errorf("%v is not ErrLaunched", err)
	}
	_, err = b.Withdraw(t.Context(), r.ID, "U0LEAD", true)
	if wantRefused(t, err, "cannot be taken back"); !errors.Is(err, approvals.ErrLaunched) {
		t.Errorf("%v is not ErrLaunched", err)
	}
	if _, err := b.Cancel(t.Context(), r.ID, "U0ASKER", ""); err != approvals.ErrLaunched {
		t.Errorf("Cancel: %v, want ErrLaunched", err)
	}
	b.wantLaunches(t, r.ID)
}

func TestRefusedVotesDoNotCount(t *testing.T) {
	b := newBench(t)
	r := b.ask(t, "R2")
	for who, why := range map[string]string{
		"U0ASKER": "you asked for this", "U0OTHER": "not among those", "U0AWAY": "another one",
		"U0GUEST": "guests", "U0GONE": "deactivated", "B0BOT": "bots",
	} {
		for _, via := range []approvals.Via{approvals.ViaButton, approvals.ViaReaction, approvals.ViaTyped} {
			for _, approve := range []bool{true, false} {
				_, err := b.Vote(t.Context(), approvals.Ballot{Request: r.ID, Voter: who, Approve: approve, Via: via})
				wantRefused(t, err, why)
			}
		}
	}
	// Six ballots each: nobody is asked about the requester, and of the groups only
	// whether U0OTHER is in one.
	if asked := 1 + 6*5 + 6; b.directory.Asked != asked {
		t.Errorf("Slack was asked %d times, want %d", b.directory.Asked, asked)
	}
	if got := b.wantState(t, r.ID, approvals.Pending); got.Rev != r.Rev {
		t.Errorf("written: %+v", got)
	}
	b.wantLaunches(t)
}

func TestWhoMayVoteIsAskedEachTime(t *testing.T) {
	b := newBench(t)
	r := b.ask(t, "R2")
	b.directory.Groups["S0SRE"] = nil
	_, err := b.vote(t, r, "U0SRE1")
	wantRefused(t, err, "not among those")
	b.directory.Groups["S0SRE"] = []string{"U0SRE1"}
	if _, err := b.vote(t, r, "U0SRE1"); err != nil {
		t.Error(err)
	}
	b.wantLaunches(t, r.ID)
}

func TestTightenedPolicyHoldsForOldRequests(t *testing.T) {
	b := newBench(t)
	r := b.ask(t, "R2")
	tight := policy()
	tight.Environments["prod"] = approvals.Environment{Users: []string{"U0LEAD", "U0SRE1"}, Quorum: map[string]int{"R2": 2}}
	now := approvals.New(approvals.Options{Store: b.store, Launcher: b.launcher, Directory: b.directory, Policy: tight})
	_, err := now.Vote(t.Context(), approvals.Ballot{Request: r.ID, Voter: "U0SRE2", Approve: true})
	wantRefused(t, err, "not among those")
	for i, who := range []string{"U0LEAD", "U0SRE1"} {
		r, err := now.Vote(t.Context(), approvals.Ballot{Request: r.ID, Voter: who, Approve: true})
		if want := []approvals.State{approvals.Pending, approvals.Launched}[i]; err != nil || r.State != want {
			t.Errorf("%s: %s, %v; want %s", who, r.State, err, want)
		}
	}
}

func TestSlackCannotBeAsked(t *testing.T) {
	b := newBench(t)
	r := b.ask(t, "R2")
	b.directory.Err = errors.New("ratelimited <@U0LEAD>")
	for via, next := range map[approvals.Via]string{
		approvals.ViaButton: "Press again.", approvals.ViaTyped: "Type it again.", approvals.ViaReaction: "Remove your reaction and react again.",
	} {
		_, err := b.Vote(t.Context(), approvals.Ballot{Request: r.ID, Voter: "U0LEAD", Approve: true, Via: via})
		refused := wantRefused(t, err, "your vote is not counted: could not ask Slack who U0LEAD is: ratelimited")
		if refused.Next != next || strings.ContainsAny(refused.Why, "<>") {
			t.Errorf("%+v; want %q, and no mention", refused, next)
		}
	}
	if err := b.MayControl(t.Context(), r.ID, "U0LEAD"); !errors.Is(err, b.directory.Err) || errors.As(err, new(*approvals.RefusedError)) {
		t.Errorf("MayControl: %v", err)
	}
	if err := b.MayControl(t.Context(), r.ID, "U0ASKER"); err != nil {
		t.Errorf("MayControl by the requester: %v", err)
	}
	// The bot is stopping: that is nobody's refusal.
	ctx, cancel := context.WithCancelCause(t.Context())
	b.directory.Err = context.Canceled
	slow := approvals.New(approvals.Options{Store: b.store, Directory: giveUp{b.directory, cancel}, Policy: policy()})
	if _, err := slow.Vote(ctx, approvals.Ballot{Request: r.ID, Voter: "U0LEAD", Approve: true}); err == nil || errors.As(err, new(*approvals.RefusedError)) {
		t.Errorf("while stopping: %v", err)
	}
	b.wantState(t, r.ID, approvals.Pending)
}

// giveUp ends the caller's context when it is asked.
type giveUp struct {
	*approvalstest.Directory
	cancel context.CancelCauseFunc
}

func (g giveUp) Person(ctx context.Context, user string) (approvals.Person, error) {
	g.cancel(errors.New("stopping"))
	return g.Directory.Person(ctx, user)
}

func TestWithdraw(t *testing.T) {
	b := newBench(t)
	r := b.ask(t, "R3")
	if _, err := b.Withdraw(t.Context(), r.ID, "U0SRE1", true); err != nil {
		t.Errorf("no vote: %v", err)
	}
	if _, err := b.vote(t, r, "U0SRE1"); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Withdraw(t.Context(), r.ID, "U0SRE1", true); err != nil || len(got.Votes) != 0 {
		t.Errorf("%v, votes %v", err, got.Votes)
	}
	button := approvals.Ballot{Request: r.ID, Voter: "U0SRE2", Approve: true, Via: approvals.ViaButton}
	if _, err := b.Vote(t.Context(), button); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Withdraw(t.Context(), r.ID, "U0SRE2", true); err != nil || len(got.Votes) != 1 {
		t.Errorf("a vote by button, taken back by a reaction: %v, votes %v", err, got.Votes)
	}
}

func TestDecline(t *testing.T) {
	b := newBench(t)
	r := b.ask(t, "R2")
	no := approvals.Ballot{Request: r.ID, Voter: "U0SRE1", Via: approvals.ViaReaction, Reason: "not today"}
	for range 2 {
		got, err := b.Vote(t.Context(), no)
		if err != nil || got.State != approvals.Declined || got.By != "U0SRE1" || got.Reason != "not today" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	_, err := b.Withdraw(t.Context(), r.ID, "U0SRE1", false)
	wantRefused(t, err, "declined by <@U0SRE1>")
	_, err = b.vote(t, r, "U0LEAD")
	wantRefused(t, err, "declined by <@U0SRE1>")
	_, err = b.Cancel(t.Context(), r.ID, "U0ASKER", "")
	wantRefused(t, err, "declined by <@U0SRE1>")
	b.wantLaunches(t)
}

func TestCancelAndControl(t *testing.T) {
	b := newBench(t)
	for who, why := range map[string]string{"U0ASKER": "", "U0LEAD": "", "U0SRE1": "", "U0OTHER": "not among those", "U0GUEST": "guests", "U0AWAY": "another one"} {
		r := b.ask(t, "R2")
		may := b.MayControl(t.Context(), r.ID, who)
		got, err := b.Cancel(t.Context(), r.ID, who, "wrong node")
		if why != "" {
			wantRefused(t, may, why)
			wantRefused(t, err, why)
			b.wantState(t, r.ID, approvals.Pending)
			continue
		}
		if may != nil || err != nil || got.State != approvals.Cancelled || got.By != who || got.Reason != "wrong node" {
			t.Errorf("%s: %v, %v, %+v", who, may, err, got)
		}
		if _, err := b.Cancel(t.Context(), r.ID, who, "wrong node"); err != nil {
			t.Errorf("%s again: %v", who, err)
		}
	}
	if err := b.MayControl(t.Context(), "nothing", "U0LEAD"); !errors.Is(err, approvals.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestMarkSuperseded(t *testing.T) {
	b := newBench(t)
	r := b.ask(t, "R2")
	if _, err := b.vote(t, r, "U0LEAD"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.MarkSuperseded(t.Context(), r.ID, "next"); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.wantState(t, r.ID, approvals.Launched); got.SupersededBy != "next" {
		t.Errorf("superseded by %q", got.SupersededBy)
	}
}

func TestRunExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		stop := b.run(t)
		defer stop()
		r := b.ask(t, "R2")
		time.Sleep(time.Hour - time.Second)
		b.wantState(t, r.ID, approvals.Pending)
		time.Sleep(2 * time.Second)
		b.wantState(t, r.ID, approvals.Expired)
		_, err := b.vote(t, r, "U0LEAD")
		wantRefused(t, err, "expired")
	})
}

func TestVoteIsNotLostWhenLaunchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		stop := b.run(t)
		defer stop()
		b.launcher.Fail(func(approvals.Request) error { return errors.New("redis is down") })
		r := b.ask(t, "R2")
		got, err := b.vote(t, r, "U0LEAD")
		if err != nil || got.State != approvals.Approved {
			t.Fatalf("%s, %v; want approved", got.State, err)
		}
		if _, err := b.Withdraw(t.Context(), r.ID, "U0LEAD", true); !errors.Is(err, approvals.ErrLaunched) {
			t.Errorf("Withdraw after Launch was called: %v", err)
		}
		if _, err := b.Cancel(t.Context(), r.ID, "U0ASKER", ""); err != approvals.ErrLaunched {
			t.Errorf("Cancel after Launch was called: %v", err)
		}
		time.Sleep(2 * time.Hour) // beyond its expiry, too
		b.wantState(t, r.ID, approvals.Approved)
		b.launcher.Fail(nil)
		time.Sleep(time.Minute)
		b.wantState(t, r.ID, approvals.Launched)
		b.wantLaunches(t, r.ID)
	})
}

// TestReadsOnly: what only reads is approved from the beginning, also where the policy
// asks for votes or names nobody; votes make no difference, and it is launched once.
func TestReadsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r := b.ask(t, "R0")
		if r.State != approvals.Approved || r.Rule.Quorum != 0 || r.DecidedAt.IsZero() {
			t.Fatalf("%s, quorum %d, decided %v", r.State, r.Rule.Quorum, r.DecidedAt)
		}
		stop := b.run(t)
		time.Sleep(5 * time.Second)
		stop()
		b.wantLaunches(t, r.ID)
		// Any other class still waits.
		for _, class := range []string{"R1", "R2", "R3"} {
			if r := b.ask(t, class); r.State != approvals.Pending || r.Rule.Quorum < 1 {
				t.Errorf("%s: %s, quorum %d", class, r.State, r.Rule.Quorum)
			}
		}
	})
}
