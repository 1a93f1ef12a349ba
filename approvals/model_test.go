package approvals_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"twokey/approvals"
)

var errCrash = errors.New("crash")

// faulty is a store whose writes may fail, before or after they were done.
type faulty struct {
	approvals.Store
	fail []string // what becomes of the next writes: "", "before" or "after"
}

func (f *faulty) next() string {
	if len(f.fail) == 0 {
		return ""
	}
	how := f.fail[0]
	f.fail = f.fail[1:]
	return how
}

func (f *faulty) Create(ctx context.Context, r approvals.Request) (approvals.Request, bool, error) {
	how := f.next()
	if how == "before" {
		return approvals.Request{}, false, errCrash
	}
	r, made, err := f.Store.Create(ctx, r)
	if how == "after" {
		return approvals.Request{}, false, errCrash
	}
	return r, made, err
}

func (f *faulty) Update(ctx context.Context, r approvals.Request) (approvals.Request, error) {
	how := f.next()
	switch how {
	case "before":
		return approvals.Request{}, errCrash
	case "conflict":
		return approvals.Request{}, approvals.ErrConflict
	}
	r, err := f.Store.Update(ctx, r)
	if how == "after" {
		return approvals.Request{}, errCrash
	}
	return r, err
}

// model is what the test knows of one request by what it did itself.
type model struct {
	id     string
	quorum int
	// yes and maybe are the allowed voters whose approval stands, or may stand because a
	// call failed midway.
	yes, maybe map[string]bool
	stopped    bool // declined, cancelled or withdrawn with success, before any launch
	launches   int
}

var (
	allowed = []string{"U0LEAD", "U0SRE1", "U0SRE2"}
	refused = []string{"U0ASKER", "U0OTHER", "U0AWAY", "U0GUEST", "U0GONE", "B0BOT"}
	outcome = []string{"", "", "", "", "before", "after", "conflict"}
)

// TestNothingIsLaunchedWithoutQuorum drives services over one store with random
// votes of allowed and refused people, withdrawals, cancels, time, and writes and
// launches that fail before or after their effect, as a crash makes them. In the end
// everything approved is launched, under one id.
func TestNothingIsLaunchedWithoutQuorum(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		// rapid ends a try by a panic, which has to leave the bubble.
		var ended any
		synctest.Test(t, func(t *testing.T) {
			defer func() { ended = recover() }()
			runModel(t, rt)
		})
		if ended != nil {
			panic(ended)
		}
	})
}

func runModel(t *testing.T, rt *rapid.T) {
	store := &faulty{}
	b := newBench(t, func(o *approvals.Options) {
		store.Store = o.Store
		o.Store = store
		prod := o.Policy.Environments["prod"]
		prod.Expires = 2 * time.Minute
		o.Policy.Environments["prod"] = prod
	})
	requests := map[string]*model{}
	var launchFails, wrong []string
	nothingWrong := func(rt *rapid.T) {
		if len(wrong) > 0 {
			rt.Fatal(wrong)
		}
	}
	b.launcher.Fail(func(r approvals.Request) error {
		m := requests[r.ID]
		how := ""
		if len(launchFails) > 0 {
			how, launchFails = launchFails[0], launchFails[1:]
		}
		if how == "before" {
			return errCrash
		}
		m.launches++
		if why := m.check(r); why != "" { // not rt.Fatal: the sweeper calls this, too
			wrong = append(wrong, fmt.Sprintf("launched %s, but %s", r.ID, why))
		}
		if how == "after" {
			return errCrash
		}
		return nil
	})
	pick := func() *model {
		if len(requests) == 0 {
			rt.Skip("no request")
		}
		var ids []string
		for id := range requests {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		return requests[rapid.SampledFrom(ids).Draw(rt, "request")]
	}
	crash := func() {
		store.fail = rapid.SliceOfN(rapid.SampledFrom(outcome), 0, 4).Draw(rt, "writes")
		launchFails = rapid.SliceOfN(rapid.SampledFrom([]string{"", "before", "after"}), 0, 2).Draw(rt, "launches")
	}
	rt.Repeat(map[string]func(*rapid.T){
		"": nothingWrong,
		"submit": func(rt *rapid.T) {
			store.fail, launchFails = nil, nil
			if len(requests) < 3 {
				r := b.ask(t, rapid.SampledFrom([]string{"R1", "R3"}).Draw(rt, "class"))
				requests[r.ID] = &model{id: r.ID, quorum: r.Rule.Quorum, yes: map[string]bool{}, maybe: map[string]bool{}}
			}
		},
		"vote": func(rt *rapid.T) {
			m := pick()
			crash()
			who := rapid.SampledFrom(append(slices.Clone(allowed), refused...)).Draw(rt, "voter")
			approve := rapid.IntRange(0, 4).Draw(rt, "approve") > 0
			m.vote(rt, b, who, approve)
		},
		"withdraw": func(rt *rapid.T) {
			m := pick()
			crash()
			who := rapid.SampledFrom(allowed).Draw(rt, "voter")
			_, err := b.Withdraw(t.Context(), m.id, who, true)
			if err == nil {
				delete(m.yes, who)
				delete(m.maybe, who)
			} else if m.yes[who] && !errors.Is(err, approvals.ErrLaunched) {
				m.maybe[who] = true
			}
		},
		"cancel": func(rt *rapid.T) {
			m := pick()
			crash()
			who := rapid.SampledFrom([]string{"U0ASKER", "U0SRE1", "U0OTHER"}).Draw(rt, "who")
			if _, err := b.Cancel(t.Context(), m.id, who, ""); err == nil {
				if who == "U0OTHER" {
					rt.Fatal("U0OTHER cancelled")
				}
				m.stop(rt)
			}
		},
		"wait": func(rt *rapid.T) {
			crash()
			d := time.Duration(rapid.IntRange(0, 60).Draw(rt, "seconds")) * time.Second
			stop := b.run(t)
			time.Sleep(d)
			stop()
		},
	})
	// Nothing fails any more: all is decided within the expiry.
	store.fail, launchFails = nil, nil
	stop := b.run(t)
	time.Sleep(3 * time.Minute)
	stop()
	nothingWrong(rt)
	for id, m := range requests {
		r, err := b.Get(t.Context(), id)
		if err != nil {
			rt.Fatal(err)
		}
		if (r.State == approvals.Launched) != (m.launches > 0) {
			rt.Fatalf("%s %s was launched %d times", r.State, id, m.launches)
		}
		if r.State == approvals.Pending || r.State == approvals.Approved {
			rt.Fatalf("%s is %s for ever", id, r.State)
		}
	}
}

func (m *model) vote(rt *rapid.T, b *bench, who string, approve bool) {
	may := slices.Contains(allowed, who)
	fresh := may && approve && !m.yes[who] && !m.maybe[who]
	if fresh {
		m.maybe[who] = true // from now on, and before Vote returns
	}
	_, err := b.Vote(context.Background(), approvals.Ballot{Request: m.id, Voter: who, Approve: approve, Via: approvals.ViaReaction})
	switch {
	case err == nil && !may:
		rt.Fatalf("the ballot of %s is counted", who)
	case err == nil && approve:
		m.yes[who] = true
	case err == nil:
		m.stop(rt)
	case errors.As(err, new(*approvals.RefusedError)) && fresh:
		delete(m.maybe, who) // an earlier ballot that may be stored stays so
	}
}

// stop notes that the request ended before a launch, as somebody was told.
func (m *model) stop(rt *rapid.T) {
	if m.launches > 0 {
		rt.Fatalf("%s was stopped after it was launched", m.id)
	}
	m.stopped = true
}

// check says what is wrong with a launch; "" if nothing is.
func (m *model) check(r approvals.Request) string {
	if m.stopped {
		return "somebody was told that it ended"
	}
	var agreed []string
	for _, v := range r.Votes {
		if !v.Approve || v.Digest != r.Digest || slices.Contains(agreed, v.Voter) {
			continue
		}
		if !m.yes[v.Voter] && !m.maybe[v.Voter] {
			return "it counts " + v.Voter + ", whose vote does not stand"
		}
		agreed = append(agreed, v.Voter)
	}
	if len(agreed) < m.quorum {
		return fmt.Sprintf("it has %d of %d approvals", len(agreed), m.quorum)
	}
	if r.State != approvals.Approved || !r.Launching {
		return fmt.Sprintf("it is %s, launching %v", r.State, r.Launching)
	}
	return ""
}
