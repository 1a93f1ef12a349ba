package bot

import (
	"context"
	"encoding/json"
	"fmt"

	"twokey/approvals"
	"twokey/ops"
)

// Submitter makes runs; *ops.Engine is one.
type Submitter interface {
	Submit(ctx context.Context, r ops.NewRun) error
}

// Launcher makes the run of an approved request.
type Launcher struct{ runs Submitter }

// NewLauncher returns a launcher into runs.
func NewLauncher(runs Submitter) *Launcher { return &Launcher{runs: runs} }

var _ approvals.Launcher = (*Launcher)(nil)

// Launch submits the plan that people agreed to: the sealed one, if its digest is
// still the one on their card. Submitting is once per id, so it may be repeated.
func (l *Launcher) Launch(ctx context.Context, r approvals.Request) error {
	p, err := unseal(r)
	if err != nil {
		return err
	}
	run := ops.NewRun{ID: r.ID, Plan: p, Digest: r.Digest, Requester: r.Requester, Approvers: r.Approvals()}
	if err := l.runs.Submit(ctx, run); err != nil {
		return fmt.Errorf("launch %s: %w", r.ID, err)
	}
	return nil
}

// seal is the plan as a request keeps it.
func seal(p ops.Plan) (json.RawMessage, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("seal the plan: %w", err)
	}
	return b, nil
}

// unseal is the plan of a request, checked against the digest people saw.
func unseal(r approvals.Request) (ops.Plan, error) {
	var p ops.Plan
	if err := json.Unmarshal(r.Sealed, &p); err != nil {
		return ops.Plan{}, fmt.Errorf("unseal the plan of %s: %w", r.ID, err)
	}
	if d := p.Digest(); d != r.Digest {
		return ops.Plan{}, fmt.Errorf("the plan of %s has digest %s, not the %s that was shown", r.ID, d, r.Digest)
	}
	return p, nil
}
