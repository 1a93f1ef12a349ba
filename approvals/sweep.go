package approvals

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Times of the sweeper. A launch that fails is tried again after a second, then
// after twice as long each time, up to maxRetry.
const (
	sweepEvery  = time.Second
	maxRetry    = 30 * time.Second
	launchLimit = 10 * time.Second
)

// Run launches what is approved and expires what is due, each second, until ctx
// ends; then it returns nil. Errors are logged and tried again. Any number of
// services may run over one store.
func (s *Service) Run(ctx context.Context) error {
	retries := make(map[string]retry)
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		if err := s.sweep(ctx, retries); err != nil && ctx.Err() == nil {
			s.o.Log.WarnContext(ctx, "requests not swept; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// retry is when a failed launch is tried again, and how long it waited last.
type retry struct {
	at   time.Time
	wait time.Duration
}

// sweep does what is due now: first all expiries, which are quick, then the
// launches one after the other.
func (s *Service) sweep(ctx context.Context, retries map[string]retry) error {
	open, err := s.Open(ctx)
	if err != nil {
		return err
	}
	approved := make(map[string]bool)
	for _, r := range open {
		switch {
		case r.State == Approved:
			approved[r.ID] = true
		case !clock().Before(r.ExpiresAt):
			if _, err := s.change(ctx, r.ID, Event{Kind: EventExpire}); err != nil && !errors.Is(err, errNotDue) {
				s.o.Log.WarnContext(ctx, "request not expired; trying again", "request", r.ID, "error", err)
			}
		}
	}
	for id := range retries {
		if !approved[id] {
			delete(retries, id)
		}
	}
	for _, r := range open {
		if !approved[r.ID] || time.Now().Before(retries[r.ID].at) {
			continue
		}
		if _, err := s.launch(ctx, r, ""); err != nil && !errors.Is(err, errNotApproved) && !errors.As(err, new(*LapsedError)) && ctx.Err() == nil {
			wait := min(max(2*retries[r.ID].wait, sweepEvery), maxRetry)
			retries[r.ID] = retry{at: time.Now().Add(wait), wait: wait}
			s.o.Log.ErrorContext(ctx, "approved request not launched; trying again", "request", r.ID, "wait", wait, "error", err)
		}
	}
	return nil
}

// launch makes a run of an approved request, if those who approved it are still allowed
// to and enough; else the request waits for votes again. asked is the one of them whom
// Slack was asked about just now; empty: none.
//
// Before Launch is called the stored request is marked: whoever withdraws or cancels
// either comes before the mark, and there is no launch, or is told ErrLaunched.
func (s *Service) launch(ctx context.Context, r Request, asked string) (Request, error) {
	lapsed, err := s.lapse(ctx, r, asked)
	if err != nil {
		return r, err
	}
	id := r.ID
	r, err = s.change(ctx, id, Event{Kind: EventLaunching, Quorum: s.o.Policy.Quorum(r)})
	switch {
	case errors.Is(err, errNotApproved) && len(lapsed) > 0, err == nil && r.State == Pending:
		s.o.Log.InfoContext(ctx, "approved by too few who may still approve; waiting for votes again", "request", id, "lapsed", lapsed)
		return r, &LapsedError{Voters: lapsed}
	case err != nil || r.State == Launched:
		return r, err
	}
	limited, cancel := context.WithTimeout(ctx, launchLimit)
	defer cancel()
	if err := s.o.Launcher.Launch(limited, r); err != nil {
		return r, fmt.Errorf("launch request %s: %w", id, err)
	}
	return s.change(ctx, id, Event{Kind: EventLaunch})
}

// lapse takes back the approvals of those who may not approve any more, and returns who
// they are. Once the request is marked as launching they stand.
func (s *Service) lapse(ctx context.Context, r Request, asked string) (lapsed []string, err error) {
	if r.State != Approved || r.Launching {
		return nil, nil
	}
	for _, voter := range r.Approvals() {
		if voter == asked {
			continue
		}
		who, member, err := s.who(ctx, r, voter)
		if err != nil {
			return lapsed, err
		}
		if s.o.Policy.MayVote(r, who, member) == nil {
			continue
		}
		switch _, err := s.change(ctx, r.ID, Event{Kind: EventWithdraw, By: voter, Quorum: s.o.Policy.Quorum(r)}); {
		case errors.Is(err, ErrLaunched):
			return lapsed, nil // another replica was faster
		case err != nil:
			return lapsed, err
		}
		lapsed = append(lapsed, voter)
	}
	return lapsed, nil
}
