package approvals_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"twokey/approvals"
)

// Whoever left the group, was deactivated or became a guest between two votes does not
// help to make the quorum; coming back, they may vote again.
func TestApprovalLapses(t *testing.T) {
	for name, revoke := range map[string]func(b *bench){
		"left the group": func(b *bench) { b.directory.Groups["S0SRE"] = []string{"U0SRE2"} },
		"deactivated": func(b *bench) {
			b.directory.People["U0SRE1"] = approvals.Person{ID: "U0SRE1", Team: "T0HOME", Deactivated: true}
		},
		"guest": func(b *bench) {
			b.directory.People["U0SRE1"] = approvals.Person{ID: "U0SRE1", Team: "T0HOME", Guest: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			r := b.ask(t, "R3")
			if _, err := b.vote(t, r, "U0SRE1"); err != nil {
				t.Fatal(err)
			}
			person, group := b.directory.People["U0SRE1"], b.directory.Groups["S0SRE"]
			revoke(b)
			got, err := b.vote(t, r, "U0SRE2")
			var lapsed *approvals.LapsedError
			if !errors.As(err, &lapsed) || !cmp.Equal(lapsed.Voters, []string{"U0SRE1"}) {
				t.Fatalf("%v; want that U0SRE1's approval lapsed", err)
			}
			if d := cmp.Diff([]string{"U0SRE2"}, got.Approvals()); d != "" || got.State != approvals.Pending {
				t.Errorf("%s\n%s", got.State, d)
			}
			b.wantLaunches(t)
			b.directory.People["U0SRE1"], b.directory.Groups["S0SRE"] = person, group
			if _, err := b.vote(t, r, "U0SRE1"); err != nil {
				t.Error(err)
			}
			b.wantLaunches(t, r.ID)
		})
	}
}

// A bot that starts again with a tighter policy does not launch what was approved under
// the looser one and not launched yet.
func TestApprovedUnderALooserPolicy(t *testing.T) {
	loose := policy().Environments["prod"]
	more, fewer := loose, loose
	more.Quorum = map[string]int{"R2": 2}
	fewer.Users = nil
	for name, prod := range map[string]approvals.Environment{"more needed": more, "the voter is named no more": fewer} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &faulty{}
				b := newBench(t, func(o *approvals.Options) { store.Store, o.Store = o.Store, store })
				r := b.ask(t, "R2")
				store.fail = []string{"", "before"} // the vote is written, the mark of the launch is not
				if got, err := b.vote(t, r, "U0LEAD"); err != nil || got.State != approvals.Approved {
					t.Fatalf("%s, %v", got.State, err)
				}
				tight := policy()
				tight.Environments["prod"] = prod
				b.Service = approvals.New(approvals.Options{Store: store, Launcher: b.launcher, Directory: b.directory, Policy: tight})
				stop := b.run(t)
				time.Sleep(3500 * time.Millisecond)
				stop() // the sweeper might launch it too, which the contract allows
				b.wantLaunches(t)
				b.wantState(t, r.ID, approvals.Pending)
				if _, err := b.vote(t, r, "U0SRE1"); err != nil {
					t.Error(err)
				}
				b.wantLaunches(t, r.ID)
			})
		})
	}
}

// While Slack cannot be asked about an earlier voter, nothing is launched; afterwards it is.
func TestLaunchWaitsForSlack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{}
		b := newBench(t, func(o *approvals.Options) { store.Store, o.Store = o.Store, store })
		r := b.ask(t, "R2")
		store.fail = []string{"", "before"}
		if _, err := b.vote(t, r, "U0LEAD"); err != nil {
			t.Fatal(err)
		}
		b.directory.Err = errors.New("ratelimited")
		stop := b.run(t)
		time.Sleep(10 * time.Minute)
		b.wantLaunches(t)
		b.wantState(t, r.ID, approvals.Approved)
		b.directory.Lock()
		b.directory.Err = nil
		b.directory.Unlock()
		time.Sleep(time.Minute)
		stop()
		b.wantLaunches(t, r.ID)
	})
}
