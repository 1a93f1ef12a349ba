package indices

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// campaignStep carries out the copies of a campaign, several at a time. Each has a part of
// the run of its own, which says how far it is; a call of the step takes up those that are
// in work, in the order of the campaign, and begins others as far as the pace allows.
type campaignStep struct {
	site    Site
	cluster string // uuid
}

// campaignNotes are what the step remembers beside its items.
type campaignNotes struct {
	Pace    impact        `json:"pace"`
	Guard   elastic.Pause `json:"guard,omitzero"`
	GuardAt time.Time     `json:"guard_at,omitzero"`
	Order   []int         `json:"order"` // items, first first
	Docs    []int64       `json:"docs"`  // of each source when the step began
	Bytes   []int64       `json:"bytes"`
	Since   time.Time     `json:"since"`           // the time --until counts from
	Asked   string        `json:"asked,omitempty"` // why a person was asked
	Full    string        `json:"full,omitempty"`  // the disks take no more at the moment
}

const campaignPart = "campaign"

// campaignRun is the campaign in one call of the step.
type campaignRun struct {
	campaignStep
	t     *ops.Tick
	rules rules
	pairs []pairing
	items []*item
	notes campaignNotes
	until time.Time // of the call
	hold  bool
	cap   int64 // documents per second of all

	mu    sync.Mutex
	next  int    // place in notes.Order
	taken []bool // in this call: another goroutine is or was at it
	open  int    // items in work
}

func (s campaignStep) Start(context.Context, *ops.Tick, string) error { return nil }

// load reads the campaign as it stands.
func (s campaignStep) load(ctx context.Context, t *ops.Tick) (*campaignRun, error) {
	r := &campaignRun{campaignStep: s, t: t}
	var err error
	if r.rules, r.pairs, err = pairingsOf(t.Run().Plan); err != nil {
		return nil, err
	}
	parts, err := t.Parts(ctx)
	if err != nil {
		return nil, err
	}
	r.items = make([]*item, len(r.pairs))
	for i := range r.items {
		r.items[i] = &item{N: i}
		if raw, ok := parts[r.items[i].key()]; ok {
			if err := json.Unmarshal(raw, r.items[i]); err != nil {
				return nil, fmt.Errorf("index %s of the campaign: %w", r.pairs[i].Source, err)
			}
		}
	}
	if raw, ok := parts[campaignPart]; ok {
		if err := json.Unmarshal(raw, &r.notes); err != nil {
			return nil, fmt.Errorf("state of the campaign: %w", err)
		}
	}
	r.until = time.Now().Add(work)
	return r, nil
}

func (r *campaignRun) save(ctx context.Context) error {
	return r.t.PutPart(ctx, campaignPart, r.notes)
}

// moves reports whether readers and writers of an index move: they do by its aliases, or by
// the register.
func (r *campaignRun) moves(p pairing) bool {
	return len(p.Aliases) > 0 || r.rules.Writes == writesDual
}

// job is the copy of one item in a call of the step, whose context ctx is.
func (r *campaignRun) job(ctx context.Context, i *item) *job {
	p := r.pairs[i.N]
	c := r.rules.spec
	c.Source, c.SourceUUID, c.Dest, c.Existing, c.Entry = p.Source, p.UUID, p.Dest, p.Existing, p.Entry
	c.Template, c.Aliases, c.Swap = p.Template, p.Aliases, r.moves(p)
	if i.State == nil {
		i.State = &state{}
	}
	id := r.t.Run().ID
	j := &job{Site: r.site, spec: c, state: i.State, runID: id, token: fmt.Sprintf("%s.%d", id, i.N), still: r.hold, shared: true}
	j.ledger = &itemLedger{ctx: ctx, t: r.t, i: i, name: p.Source}
	return j
}

// Poll takes the campaign further for some seconds.
func (s campaignStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	r, err := s.load(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	if err := r.prepare(ctx); err != nil {
		return ops.Progress{}, err
	}
	ask, err := r.look(ctx)
	if err != nil {
		return ops.Progress{}, err
	}
	if ask != "" {
		return ops.Progress{Phase: ops.Blocked, Reason: ask}, r.save(ctx)
	}
	if err := r.work(ctx); err != nil {
		return ops.Progress{}, err
	}
	if err := r.save(ctx); err != nil {
		return ops.Progress{}, err
	}
	return r.outcome(ctx)
}

// prepare is done once: the order is chosen by what the sources hold now.
func (r *campaignRun) prepare(ctx context.Context) error {
	if r.notes.Order != nil {
		return nil
	}
	n := len(r.pairs)
	r.notes = campaignNotes{Order: make([]int, n), Docs: make([]int64, n), Bytes: make([]int64, n), Since: time.Now()}
	var of []listed
	for _, p := range r.pairs {
		of = append(of, listed{Name: p.Source})
	}
	sizes, err := r.site.volumes(ctx, "", of)
	if err != nil {
		return err
	}
	rank := make([]int, n)
	for i, p := range r.pairs {
		r.notes.Order[i], r.notes.Docs[i], r.notes.Bytes[i] = i, sizes[p.Source].docs, sizes[p.Source].bytes
		if rank[i] = slices.IndexFunc(r.rules.Priority, func(s string) bool { return elastic.Glob(s, p.Source) }); rank[i] < 0 {
			rank[i] = len(r.rules.Priority)
		}
	}
	if r.rules.Order != orderGiven {
		slices.SortStableFunc(r.notes.Order, func(a, b int) int {
			if r.rules.Order == orderPriority && rank[a] != rank[b] {
				return cmp.Compare(rank[a], rank[b])
			}
			return cmp.Or(cmp.Compare(r.notes.Docs[a], r.notes.Docs[b]), cmp.Compare(a, b))
		})
	}
	top, err := r.site.Topology(ctx)
	if err != nil {
		return err
	}
	r.notes.Pace.beginMany(r.rules.MaxImpact, r.writers(top), r.rules.AtOnce)
	err = r.t.RecordAll(ctx, []ops.Change{
		{Key: keyMade, Resource: "campaign", Setting: "new indices", Intended: text(countOf(n))},
		{Key: keyMoved, Resource: "campaign", Setting: "readers and writers", Intended: text("moved, for " + countOf(n))},
	})
	if err != nil {
		return err
	}
	return r.save(ctx)
}

// Keys of the run's journal, which has the sum of what the items' journals have.
const (
	keyMade  = "campaign made"
	keyMoved = "campaign moved"
)

// outcome says how far the campaign is.
func (r *campaignRun) outcome(ctx context.Context) (ops.Progress, error) {
	done, failed, working, left := r.counts()
	p := ops.Progress{Phase: ops.Waiting, Wait: soon, Status: r.status()}
	switch {
	case done == len(r.items):
		p.Phase = ops.Done
		return p, r.settle(ctx, ops.Kept)
	case r.moving() > 0:
		p.Wait = r.idle()
		return p, nil
	case left > 0 && r.late():
		r.notes.Asked = "until"
		p.Phase, p.Reason = ops.Blocked, fmt.Sprintf("The time for beginning is over; %s of %d are left. Resume to go on for as long again, or cancel to end it here.", countOf(left+failed), len(r.items))
		return p, r.save(ctx)
	case left > 0:
		p.Wait = r.idle()
		return p, nil
	}
	r.notes.Asked = "failed"
	if failed > 0 {
		r.t.Attach("campaign-failed.tsv", r.failures(), "%s of %d failed and were undone.", countOf(failed), len(r.items))
	}
	what := fmt.Sprintf("%d failed", failed)
	if working > 0 {
		what = fmt.Sprintf("%d cannot go on", working)
		if failed > 0 {
			what += fmt.Sprintf(", %d failed", failed)
		}
	}
	p.Phase, p.Reason = ops.Blocked, fmt.Sprintf("%s; %s, the first: %s. Resume to try those again, or cancel to end it here; what moved stays moved.",
		r.reachedText(), what, r.firstFailure())
	return p, r.save(ctx)
}

// idle is the wait until some item in work wants to be looked at again, or another may
// begin. Holding still, or without space, that is some seconds.
func (r *campaignRun) idle() time.Duration {
	wait := 5 * time.Second
	for _, i := range r.items {
		if i.begun() && !i.done() && !(i.Failed && i.Undone) {
			wait = min(wait, max(time.Until(i.After), soon))
		}
	}
	if _, ok := r.upcoming(); ok && !r.hold && !r.late() && r.notes.Full == "" && r.moving() < r.notes.Pace.width() {
		return soon
	}
	return wait
}

// moving counts the items in work that do not wait for a person.
func (r *campaignRun) moving() int {
	_, _, n, _ := r.counts()
	for _, i := range r.items {
		if i.stuck() {
			n--
		}
	}
	return n
}

func (r *campaignRun) counts() (done, failed, working, left int) {
	for _, i := range r.items {
		switch {
		case i.done():
			done++
		case i.Failed && i.Undone:
			failed++
		case i.begun() || i.Failed:
			working++
		default:
			left++
		}
	}
	return done, failed, working, left
}

// settle writes the sum of the items' journals into the run's.
func (r *campaignRun) settle(ctx context.Context, good ops.ChangeState) error {
	var made, moved int
	var left []string
	for n, i := range r.items {
		if i.swapped() {
			made++
			if r.moves(r.pairs[n]) {
				moved++
			}
		}
		for _, c := range i.Changes {
			if c.State == ops.Left || c.State == ops.Written || c.State == ops.Intended {
				if !i.swapped() || c.State == ops.Left {
					left = append(left, fmt.Sprintf("%s: %s: %s", r.pairs[n].Source, c.Setting, cmp.Or(c.Reason, "still changed")))
				}
			}
		}
	}
	r.t.Attach("campaign.tsv", r.table(), "What became of each of the %s.", countOf(len(r.items)))
	state, reason := good, ""
	switch {
	case len(left) > 0:
		state, reason = ops.Left, brief(left, 5)
	case good == ops.Restored && moved > 0:
		state, reason = ops.Left, "readers and writers have moved; es swap-back brings single ones back"
	case good == ops.Restored && made > 0:
		state, reason = ops.Left, "what is copied in full stays"
	}
	after := func(n int, what string) *string {
		if n == 0 {
			return nil
		}
		return text(fmt.Sprintf("%s %s", countOf(n), what))
	}
	return r.t.SettleAll(ctx, []ops.Settlement{
		{Key: keyMade, State: state, After: after(made, "made"), Reason: reason},
		{Key: keyMoved, State: state, After: after(moved, "moved"), Reason: reason},
	})
}

// Undo gives up what is in work; what has moved stays.
func (s campaignStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	r, err := s.load(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	if r.notes.Order == nil {
		if _, ok := t.Entry(keyMade); ok { // written down, and no more
			return ops.Progress{Phase: ops.Done}, r.settle(ctx, ops.Restored)
		}
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	for _, i := range r.items {
		if i.begun() && !i.done() && !(i.Failed && i.Undone) {
			i.Failed, i.Waits, i.After = true, false, time.Time{}
		}
	}
	r.hold = true // nothing begins
	r.notes.Pace.Width = max(r.notes.Pace.Most, 1)
	if err := r.work(ctx); err != nil {
		return ops.Progress{}, err
	}
	_, _, working, _ := r.counts()
	if working > 0 {
		faults := slices.Collect(maps.Keys(r.faults()))
		slices.Sort(faults)
		return ops.Progress{Phase: ops.Waiting, Wait: time.Second, Status: ops.Status{
			Headline: fmt.Sprintf("Undoing %s", countOf(working)), Lines: faults[:min(len(faults), 5)]}}, nil
	}
	return ops.Progress{Phase: ops.Done, Status: ops.Status{Headline: r.reachedText() + " and stay so"}}, r.settle(ctx, ops.Restored)
}

// faults are the failures of items in work, each once.
func (r *campaignRun) faults() map[string]bool {
	all := map[string]bool{}
	for n, i := range r.items {
		if i.begun() && i.Fault != "" {
			all[r.pairs[n].Source+": "+i.Fault] = true
		}
	}
	return all
}
