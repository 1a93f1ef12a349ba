package bot

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"twokey/approvals"
	"twokey/ops"
)

// ReporterOptions are a Reporter's parts and settings.
type ReporterOptions struct {
	Engine    *ops.Engine
	Approvals *approvals.Service
	Outbox    Outbox
	Posts     Posts
	Threads   Threads
	Leases    Leases
	Log       *slog.Logger // nil: slog.Default()

	Command string // what people type to talk to the bot; empty: "/ops"
	// Workspace is the workspace's address ("https://home.slack.com/"), for links
	// between cards; empty: cards name each other by id only.
	Workspace string
	// Poll is how often changes are looked for: default 500 ms.
	Poll time.Duration
}

// Reporter turns requests and runs into messages. It follows what changed in both
// stores, renders the present state and settles the change only once all of it is in
// the Outbox. It keeps nothing of its own but the cursor over a run's events, and every
// message has a fixed key, so it may be killed at any point and do the same again.
//
// The thread of a run: the card (a post in the channel, or in the thread of the mention
// that asked), then the status message, then a reply per event; the ending is the last.
type Reporter struct {
	o      ReporterOptions
	log    *slog.Logger
	holder string

	until, renew time.Time // of the lease
	// What this process need not ask or put again. Losing it costs only calls.
	origins map[string]Origin
	put     map[string]string // by key of a post or card, what it was made of
	notYet  map[string]wait
}

// wait is when a change that could not be dealt with is looked at again.
type wait struct {
	at    time.Time
	after time.Duration
}

const (
	reporterLease = 10 * time.Second
	changesAtOnce = 500
	manyIDs       = 20_000          // above it the memory of a Reporter starts anew
	linkTime      = 5 * time.Minute // how long an old card waits for its successor's to be posted
)

// NewReporter returns a reporter; Run starts it.
func NewReporter(o ReporterOptions) *Reporter {
	o.Command = cmp.Or(o.Command, "/ops")
	o.Poll = cmp.Or(o.Poll, 500*time.Millisecond)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	r := &Reporter{o: o, log: o.Log, holder: rand.Text()}
	r.forget()
	return r
}

func (r *Reporter) forget() {
	r.origins, r.put, r.notYet = map[string]Origin{}, map[string]string{}, map[string]wait{}
}

// Run reports until ctx ends, then returns nil. Of all reporters one works at a time.
func (r *Reporter) Run(ctx context.Context) error {
	tick := time.NewTicker(r.o.Poll)
	defer tick.Stop()
	for {
		if r.lead(ctx) {
			r.pass(ctx)
		}
		select {
		case <-ctx.Done():
			if time.Now().Before(r.until) {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				defer cancel()
				if err := r.o.Leases.Release(ctx, ReporterLease, r.holder); err != nil {
					r.log.Warn("the reporter's lease was not given up; it passes by itself", "err", err)
				}
			}
			return nil
		case <-tick.C:
		}
	}
}

// lead reports whether this is the reporter now. Two at once, after a process was
// stopped past its lease, do no harm: keys, Rev and cursor decide.
func (r *Reporter) lead(ctx context.Context) bool {
	now := time.Now()
	if now.Before(r.renew) {
		return now.Before(r.until)
	}
	r.renew = now.Add(reporterLease / 5)
	held, err := r.o.Leases.Hold(ctx, ReporterLease, r.holder, reporterLease)
	switch {
	case err != nil:
		if ctx.Err() == nil {
			r.log.Warn("the reporter's lease could not be taken", "err", err)
		}
	case held:
		r.until = now.Add(reporterLease)
	default:
		r.until = time.Time{}
		r.forget()
	}
	return now.Before(r.until)
}

// errNotYet says that a change cannot be reported fully yet.
var errNotYet = errors.New("not yet")

// pass deals with all that changed.
func (r *Reporter) pass(ctx context.Context) {
	if len(r.origins)+len(r.put)+len(r.notYet) > manyIDs {
		r.forget()
	}
	requests, err := r.o.Approvals.Changed(ctx, changesAtOnce)
	r.failed(ctx, "the changes of requests", err)
	for _, c := range requests {
		r.deal(ctx, "request "+c.ID, func() error {
			if err := r.request(ctx, c.ID); err != nil {
				return err
			}
			return r.o.Approvals.Settle(ctx, c)
		})
	}
	runs, err := r.o.Engine.Changed(ctx, changesAtOnce)
	r.failed(ctx, "the changes of runs", err)
	for _, c := range runs {
		r.deal(ctx, "run "+c.ID, func() error {
			if err := r.run(ctx, c.ID); err != nil {
				return err
			}
			return r.o.Engine.Settle(ctx, c)
		})
	}
}

// deal does f, unless what failed it last is too fresh. What fails stays unsettled.
func (r *Reporter) deal(ctx context.Context, what string, f func() error) {
	w := r.notYet[what]
	if now := time.Now(); ctx.Err() != nil || now.Before(w.at) || now.After(r.until) {
		return
	}
	err := f()
	if err == nil {
		delete(r.notYet, what)
		return
	}
	limit := 30 * time.Second
	if errors.Is(err, errNotYet) {
		limit = 2 * time.Second // somebody waits for a card
	}
	w.after = min(max(2*w.after, r.o.Poll), limit)
	w.at = time.Now().Add(w.after)
	r.notYet[what] = w
	if !errors.Is(err, errNotYet) {
		r.failed(ctx, what, err)
	}
}

func (r *Reporter) failed(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		r.log.Warn("not reported; trying again", "what", what, "err", err)
	}
}

// origin is where a request was asked; errNotYet until that is stored.
func (r *Reporter) origin(ctx context.Context, id string) (Origin, error) {
	if o, ok := r.origins[id]; ok {
		return o, nil
	}
	o, ok, err := r.o.Threads.Origin(ctx, id)
	switch {
	case err != nil:
		return o, err
	case !ok:
		return o, errNotYet
	}
	r.origins[id] = o
	return o, nil
}

// request reports a request that changed: its card, and a word to who asked if it ended.
func (r *Reporter) request(ctx context.Context, id string) error {
	o, err := r.origin(ctx, id)
	if err != nil {
		return err
	}
	req, err := r.card(ctx, id, o)
	switch {
	case errors.Is(err, approvals.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	if text := ended(req); text != "" {
		if err := r.reply(ctx, o, id, Message{Key: "outcome:" + id, Urgency: Urgent, User: o.User, Text: text}); err != nil {
			return err
		}
		plan, err := unseal(req)
		if err != nil {
			return err
		}
		return r.o.Engine.Discard(ctx, plan)
	}
	return nil
}

// ended tells who asked that nothing will come of their request; "" if it goes on.
func ended(r approvals.Request) string {
	what := fmt.Sprintf("%s: *%s* was", user(r.Requester), clip(escape(r.Title), 300))
	why := ""
	if r.Reason != "" {
		why = ": " + clip(escape(strings.TrimSuffix(r.Reason, ".")), 1000)
	}
	switch r.State {
	case approvals.Declined:
		return fmt.Sprintf("%s declined by %s%s. Nothing was started.", what, user(r.By), why)
	case approvals.Cancelled:
		return fmt.Sprintf("%s cancelled by %s%s. Nothing was started.", what, user(r.By), why)
	case approvals.Expired:
		return fmt.Sprintf("%s not approved in time: %d of %d approvals. Nothing was started. If it is still wanted, ask again.",
			what, len(r.Approvals()), max(1, r.Rule.Quorum))
	}
	return ""
}

// reply puts a post into the thread of a request.
func (r *Reporter) reply(ctx context.Context, o Origin, id string, m Message) error {
	return r.o.Outbox.Put(ctx, inThread(o, id, m))
}

// inThread makes m a post in the thread of a request.
func inThread(o Origin, id string, m Message) Message {
	m.Act, m.Channel, m.Thread = Post, o.Channel, o.Thread
	if o.Thread == "" {
		m.Under = cardPrefix + id
	}
	return m
}

// card puts the card, and the edit that brings it up to date, and returns the request
// it showed.
func (r *Reporter) card(ctx context.Context, id string, o Origin) (approvals.Request, error) {
	req, run, err := r.both(ctx, id)
	if err != nil {
		return req, err
	}
	plan, err := planOf(req)
	if err != nil {
		r.log.Error("a card shows no plan", "request", id, "err", err)
		plan = ops.Plan{Title: req.Title, Warnings: []string{"The plan of this request cannot be read."}}
	}
	link, linked, err := r.link(ctx, req.SupersededBy)
	if err != nil {
		return req, err
	}
	rev := req.Rev
	if run != nil {
		rev += run.Rev
	}
	text, blocks := card{request: req, plan: plan, run: run, successor: link, command: r.o.Command, quorum: r.o.Approvals.Policy().Quorum(req)}.render()
	key := cardPrefix + id
	post := Message{Key: key, Act: Post, Urgency: Urgent, Channel: o.Channel, Thread: o.Thread, User: o.User, Text: text, Blocks: encodeBlocks(blocks)}
	if err := r.once(ctx, post); err != nil {
		return req, err
	}
	if err := r.edit(ctx, key, Urgent, rev, post.Text, post.Blocks); err != nil {
		return req, err
	}
	if !linked && run != nil && time.Since(run.EndedAt) < linkTime {
		return req, errNotYet // the successor's card is on its way
	}
	if run != nil {
		r.put[key] = drawnFrom(*run)
	}
	return req, nil
}

// both reads the request and its run (nil: none) as they stood at one moment: the sum
// of their Revs orders any two such readings.
func (r *Reporter) both(ctx context.Context, id string) (approvals.Request, *ops.Run, error) {
	for {
		before, err := r.get(ctx, id)
		if err != nil {
			return approvals.Request{}, nil, err
		}
		req, err := r.o.Approvals.Get(ctx, id)
		if err != nil {
			return req, nil, err
		}
		after, err := r.get(ctx, id)
		if err != nil {
			return req, nil, err
		}
		if rev(before) == rev(after) {
			return req, after, nil
		}
	}
}

func (r *Reporter) get(ctx context.Context, id string) (*ops.Run, error) {
	run, err := r.o.Engine.Get(ctx, id)
	if errors.Is(err, ops.ErrNotFound) {
		return nil, nil
	}
	return &run, err
}

func rev(run *ops.Run) int64 {
	if run == nil {
		return 0
	}
	return run.Rev
}

// link is the address of a request's card, "" where there is none to give. linked is
// false while the card is not posted.
func (r *Reporter) link(ctx context.Context, id string) (url string, linked bool, err error) {
	if id == "" || r.o.Workspace == "" {
		return "", true, nil
	}
	p, ok, err := r.o.Posts.Posted(ctx, cardPrefix+id)
	if err != nil || !ok {
		return "", false, err
	}
	return fmt.Sprintf("%s/archives/%s/p%s", strings.TrimSuffix(r.o.Workspace, "/"), p.Channel, strings.ReplaceAll(p.TS, ".", "")), true, nil
}

// once puts a post unless this process already did.
func (r *Reporter) once(ctx context.Context, m Message) error {
	if _, ok := r.put["post:"+m.Key]; ok {
		return nil
	}
	if err := r.o.Outbox.Put(ctx, m); err != nil {
		return err
	}
	r.put["post:"+m.Key] = ""
	return nil
}

// edit puts an edit of a post.
func (r *Reporter) edit(ctx context.Context, key string, u Urgency, rev int64, text string, blocks []byte) error {
	return r.o.Outbox.Put(ctx, Message{Key: "edit:" + key, Act: Edit, Urgency: u, Under: key, Rev: rev, Text: text, Blocks: blocks})
}

// drawnFrom is what a card shows of a run; equal strings draw the same card.
func drawnFrom(run ops.Run) string {
	return fmt.Sprint(run.State, run.By, run.Reason, run.StartedAt, run.EndedAt)
}
