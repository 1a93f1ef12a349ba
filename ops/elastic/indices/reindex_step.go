package indices

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"twokey/ops"
	"twokey/ops/elastic"
)

// copyPart is the part of the run that holds the state of the copy.
const copyPart = "copy"

// copyStep is one phase of es reindex. A phase looks and acts in the same call, so Poll does
// both and never says NotStarted.
type copyStep struct {
	site    Site
	cluster string // uuid
	spec    spec
	phase   phase
}

// copyParams are the parameters of all steps of a copy.
func copyParams(environment, cluster string, c spec) map[string]string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return map[string]string{paramEnvironment: environment, paramCluster: cluster, "copy": string(b)}
}

func newCopyStep(sites map[string]Site, ref ops.StepRef) (ops.Step, error) {
	site, err := siteOf(sites, ref)
	if err != nil {
		return nil, err
	}
	s := copyStep{site: site, cluster: ref.Params[paramCluster], phase: phase(ref.Name)}
	if err := json.Unmarshal([]byte(ref.Params["copy"]), &s.spec); err != nil {
		return nil, fmt.Errorf("step %s: copy: %w", ref.Name, err)
	}
	return s, nil
}

func (s copyStep) Start(context.Context, *ops.Tick, string) error { return nil }

// job is the copy as the run remembers it.
func (s copyStep) job(ctx context.Context, t *ops.Tick) (*job, error) {
	parts, err := t.Parts(ctx)
	if err != nil {
		return nil, err
	}
	j := &job{Site: s.site, spec: s.spec, state: &state{}, runID: t.Run().ID, token: t.Run().ID + ".0", throttle: s.spec.Throttle}
	if raw, ok := parts[copyPart]; ok {
		if err := json.Unmarshal(raw, j.state); err != nil {
			return nil, fmt.Errorf("state of the copy: %w", err)
		}
	}
	j.ledger = &runLedger{t: t, s: j.state}
	if j.Back && j.DestUUID == "" {
		return j, j.begunBack(ctx)
	}
	return j, nil
}

// throttled takes over what people set since the plan.
func throttled(ctx context.Context, t *ops.Tick, planned int64) (int64, error) {
	dials, err := t.Dials(ctx)
	if err != nil {
		return 0, err
	}
	d, ok := dials["throttle"]
	if !ok {
		return planned, nil
	}
	if d.Value == "none" {
		return 0, nil
	}
	n, err := strconv.ParseInt(d.Value, 10, 64)
	if err != nil || n < 1 {
		return planned, nil
	}
	return n, nil
}

// guardEvery is the time between two looks at the cluster's health.
const guardEvery = 5 * time.Second

// guarded looks whether the cluster is well, now and then. ask says that a person has to
// decide, with the reason.
func (s copyStep) guarded(ctx context.Context, t *ops.Tick, j *job) (hold bool, ask string, err error) {
	if d := time.Since(j.GuardAt); d >= 0 && d < guardEvery { // a clock that was set back is no reason not to look
		return j.Guard.Reason != "", "", nil
	}
	top, err := s.site.Topology(ctx)
	if err != nil {
		return false, "", err
	}
	if top.UUID != s.cluster {
		return false, fmt.Sprintf("The addresses of %s lead to another cluster now. Correct them and resume, or cancel.", s.site.Environment), nil
	}
	h, err := s.site.Health(ctx)
	if err != nil {
		return false, "", err
	}
	if h.Status == "red" {
		if h.Status, err = s.site.redWithout(ctx, j.Dest); err != nil {
			return false, "", err
		}
	}
	flood, err := s.site.FloodBlocked(ctx)
	if err != nil {
		return false, "", err
	}
	hold, person := j.Guard.Check(t, elastic.Guard(t.Run().Plan.Facts, top, h, flood))
	j.GuardAt = time.Now()
	if person {
		ask = j.Guard.Asks()
	}
	return hold, ask, nil
}

// redWithout is the cluster's state without an index of ours that is red: yellow unless
// others are red too.
func (s Site) redWithout(ctx context.Context, own ...string) (string, error) {
	var rows []struct {
		Index string `json:"index"`
	}
	err := s.Get(ctx, "/_cat/indices", elastic.Query("health", "red", "h", "index", "format", "json", "expand_wildcards", "all", "master_timeout", "5s"), &rows)
	if err != nil {
		return "", err
	}
	mine := map[string]bool{}
	for _, n := range own {
		mine[n] = true
	}
	for _, r := range rows {
		if !mine[r.Index] {
			return "red", nil
		}
	}
	return "yellow", nil
}

// Poll does one call of the phase.
func (s copyStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	j, err := s.job(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	hold, ask, err := s.guarded(ctx, t, j)
	if err != nil {
		return ops.Progress{}, err
	}
	if ask != "" {
		return ops.Progress{Phase: ops.Blocked, Reason: ask}, j.save(ctx)
	}
	j.still = hold
	if j.throttle, err = throttled(ctx, t, s.spec.Throttle); err != nil {
		return ops.Progress{}, err
	}
	if hold && s.phase != phaseCopy && s.phase != phaseCatchUp && s.phase != phaseReplicate {
		return ops.Progress{Phase: ops.Waiting, Status: j.status(s.phase)}, j.save(ctx)
	}
	p, err := j.advance(ctx, s.phase)
	if errors.Is(err, errRecreated) {
		return ops.Progress{Phase: ops.Failed, Reason: err.Error()}, j.save(ctx)
	} else if err != nil {
		return ops.Progress{}, err
	}
	if p.done {
		if text := j.milestone(s.phase); text != "" {
			t.Say("%s", text)
		}
	}
	out := ops.Progress{Phase: ops.Waiting, Wait: p.wait, Status: j.status(s.phase)}
	switch {
	case p.done:
		out.Phase = ops.Done
	case p.failed != "":
		out.Phase, out.Reason = ops.Failed, p.failed
	case p.blocked != "":
		out.Phase, out.Reason = ops.Blocked, p.blocked
	}
	return out, j.save(ctx)
}

// Undo undoes the phase.
func (s copyStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	j, err := s.job(ctx, t)
	if err != nil {
		return ops.Progress{}, err
	}
	p, err := j.back(ctx, s.phase)
	if err != nil {
		return ops.Progress{}, err
	}
	if p.done {
		return ops.Progress{Phase: ops.Done, Status: j.undoing(s.phase, true)}, j.save(ctx)
	}
	if ask := cmp.Or(p.blocked, p.failed); ask != "" {
		return ops.Progress{Phase: ops.Blocked, Reason: ask, Status: j.undoing(s.phase, false)}, j.save(ctx)
	}
	return ops.Progress{Phase: ops.Waiting, Wait: p.wait, Status: j.undoing(s.phase, false)}, j.save(ctx)
}

// runLedger is the run's own record.
type runLedger struct {
	t    *ops.Tick
	s    *state
	told bool // something was said that is not written yet
}

func (l *runLedger) record(ctx context.Context, changes ...ops.Change) error {
	return l.t.RecordAll(ctx, changes)
}

func (l *runLedger) settle(ctx context.Context, settlements ...ops.Settlement) error {
	return l.t.SettleAll(ctx, settlements)
}

func (l *runLedger) entry(key string) (ops.Change, bool) { return l.t.Entry(key) }
func (l *runLedger) journal() []ops.Change               { return l.t.Journal() }

// save writes what was said first: once the state is beyond it, nobody says it again.
func (l *runLedger) save(ctx context.Context) error {
	if l.told {
		if err := l.t.Flush(ctx); err != nil {
			return err
		}
		l.told = false
	}
	return l.t.PutPart(ctx, copyPart, l.s)
}

func (l *runLedger) say(format string, args ...any) {
	l.t.Say(format, args...)
	l.told = true
}

func (l *runLedger) attach(name, content, format string, args ...any) {
	l.t.Attach(name, content, format, args...)
	l.told = true
}
