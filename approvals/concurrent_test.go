package approvals_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"twokey/approvals"
)

// Replicas share a store: whoever withdraws or cancels at the moment of the launch
// either comes first, and nothing is launched, or is told ErrLaunched.
func TestLaunchOrCancelNeverBoth(t *testing.T) {
	for range 50 {
		a := newBench(t)
		b := approvals.New(approvals.Options{Store: a.store, Launcher: a.launcher, Directory: a.directory, Policy: policy()})
		r := a.ask(t, "R2")
		ballot := approvals.Ballot{Request: r.ID, Voter: "U0SRE1", Approve: true, Via: approvals.ViaReaction}
		var wg sync.WaitGroup
		var cancelled, withdrawn error
		wg.Go(func() {
			if _, err := a.Vote(t.Context(), ballot); err != nil && !errors.As(err, new(*approvals.RefusedError)) {
				t.Error(err)
			}
		})
		wg.Go(func() { _, cancelled = b.Cancel(t.Context(), r.ID, "U0ASKER", "") })
		wg.Go(func() { _, withdrawn = b.Withdraw(t.Context(), r.ID, "U0SRE1", true) })
		wg.Wait()
		launched := len(a.launcher.Launched()) > 0
		switch {
		case launched && cancelled != approvals.ErrLaunched:
			t.Errorf("launched, and Cancel answers %v", cancelled)
		case !launched && cancelled != nil:
			t.Errorf("not launched, and Cancel answers %v", cancelled)
		case !launched:
			a.wantState(t, r.ID, approvals.Cancelled)
		default:
			got := a.wantState(t, r.ID, approvals.Launched)
			if len(got.Approvals()) != 1 {
				t.Errorf("launched with %v; Withdraw answers %v", got.Approvals(), withdrawn)
			}
		}
	}
}

// Votes given at once, each by two replicas, all count, once.
func TestVotesAtOnce(t *testing.T) {
	a := newBench(t)
	b := approvals.New(approvals.Options{Store: a.store, Launcher: a.launcher, Directory: a.directory, Policy: policy()})
	ctx, stop := context.WithCancel(t.Context())
	var sweepers sync.WaitGroup
	for _, s := range []*approvals.Service{a.Service, b} {
		sweepers.Go(func() { s.Run(ctx) })
	}
	for range 20 {
		r := a.ask(t, "R3")
		var wg sync.WaitGroup
		for _, who := range []string{"U0SRE1", "U0LEAD"} {
			for _, s := range []*approvals.Service{a.Service, b} {
				wg.Go(func() {
					if _, err := s.Vote(t.Context(), approvals.Ballot{Request: r.ID, Voter: who, Approve: true, Via: approvals.ViaButton}); err != nil {
						t.Errorf("%s: %v", who, err)
					}
				})
			}
		}
		wg.Wait()
		if got := a.wantState(t, r.ID, approvals.Launched); len(got.Votes) != 2 {
			t.Errorf("votes %+v", got.Votes)
		}
	}
	stop()
	sweepers.Wait()
	ids := map[string]bool{}
	for _, r := range a.launcher.Launched() {
		ids[r.ID] = true
	}
	if len(ids) != 20 {
		t.Errorf("%d of 20 requests launched", len(ids))
	}
}
