package elastic

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"twokey/ops"
)

// votingStep takes master-eligible targets that leave for good out of the voting
// configuration.
type votingStep struct{ exclusion }

// coordination is who may vote for a master, by node id.
type coordination struct {
	Committed []string `json:"last_committed_config"`
	Accepted  []string `json:"last_accepted_config"`
	Excluded  []struct {
		ID   string `json:"node_id"`
		Name string `json:"node_name"`
	} `json:"voting_config_exclusions"`
}

func (v coordination) excluded(id string) bool {
	for _, e := range v.Excluded {
		if e.ID == id {
			return true
		}
	}
	return false
}

// out reports whether the node is excluded and has no vote any more.
func (v coordination) out(id string) bool {
	return v.excluded(id) && !slices.Contains(v.Committed, id) && !slices.Contains(v.Accepted, id)
}

func (c Cluster) coordination(ctx context.Context) (coordination, string, error) {
	var answer struct {
		UUID     string `json:"cluster_uuid"`
		Metadata struct {
			Coordination *coordination `json:"cluster_coordination"`
		} `json:"metadata"`
	}
	err := c.Get(ctx, "/_cluster/state/metadata", Query("master_timeout", "5s",
		"filter_path", "cluster_uuid,metadata.cluster_coordination"), &answer)
	if err == nil && (answer.Metadata.Coordination == nil || len(answer.Metadata.Coordination.Committed) == 0) {
		err = c.Translate(&APIError{Status: http.StatusServiceUnavailable, Type: "master_not_discovered_exception"})
	}
	if err != nil {
		return coordination{}, "", err
	}
	return *answer.Metadata.Coordination, answer.UUID, nil
}

// votingKey is the journal key of a node's voting exclusion.
func votingKey(t target) string { return "voting " + t.ID }

func (s votingStep) Start(ctx context.Context, t *ops.Tick, token string) error {
	now, _, err := s.coordination(ctx)
	if err != nil {
		return err
	}
	var ids []string
	for _, tg := range s.targets {
		if now.excluded(tg.ID) {
			continue
		}
		name := tg.Name
		err := t.Record(ctx, ops.Change{Key: votingKey(tg), Resource: "cluster " + s.Environment,
			Setting: "voting_config_exclusions", Intended: &name})
		if err != nil {
			return err
		}
		ids = append(ids, tg.ID)
	}
	if len(ids) == 0 {
		return nil
	}
	return s.Write(ctx, http.MethodPost, "/_cluster/voting_config_exclusions",
		Query("node_ids", strings.Join(ids, ","), "timeout", "5s", "master_timeout", "5s"), nil, token)
}

func (s votingStep) Poll(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	now, uuid, err := s.coordination(ctx)
	if err != nil {
		return ops.Progress{}, err
	}
	if uuid != s.uuid {
		return ops.Progress{Phase: ops.Blocked, Reason: sentence((&OtherClusterError{uuid, s.uuid}).Error())}, nil
	}
	for _, tg := range s.targets {
		if !now.excluded(tg.ID) {
			return ops.Progress{Phase: ops.NotStarted}, nil
		}
	}
	for _, tg := range s.targets {
		if !now.out(tg.ID) {
			return ops.Progress{Phase: ops.Waiting, Status: ops.Status{
				Headline: fmt.Sprintf("Waiting for the vote of %s to be taken away", tg.Name)}}, nil
		}
	}
	for _, tg := range s.targets {
		if _, ours := t.Entry(votingKey(tg)); !ours {
			continue
		}
		if err := t.Settle(ctx, votingKey(tg), ops.Kept, &tg.Name, ""); err != nil {
			return ops.Progress{}, err
		}
	}
	t.Say("%s without a vote in master elections: %s left.", areOrIs(s.targets), Plural(int64(len(now.Committed)), "voting node"))
	return ops.Progress{Phase: ops.Done}, nil
}

// Undo gives the votes back. Elasticsearch can only clear all voting exclusions at once,
// so if somebody else has some, ours are left and the ending says so.
func (s votingStep) Undo(ctx context.Context, t *ops.Tick) (ops.Progress, error) {
	ours := map[string]bool{}
	for _, tg := range s.targets {
		if _, ok := t.Entry(votingKey(tg)); ok {
			ours[tg.ID] = true
		}
	}
	if len(ours) == 0 {
		return ops.Progress{Phase: ops.NotStarted}, nil
	}
	now, uuid, err := s.coordination(ctx)
	if err != nil {
		return ops.Progress{}, err
	}
	if uuid != s.uuid {
		return ops.Progress{Phase: ops.Blocked, Reason: sentence((&OtherClusterError{uuid, s.uuid}).Error())}, nil
	}
	mine, others := 0, []string(nil)
	for _, e := range now.Excluded {
		if ours[e.ID] {
			mine++
		} else {
			others = append(others, e.Name)
		}
	}
	state, reason := ops.Restored, ""
	switch {
	case mine > 0 && len(others) > 0:
		slices.Sort(others)
		state = ops.Left
		reason = fmt.Sprintf("Elasticsearch clears voting exclusions only all at once, and somebody else excluded %s", And(others))
	case mine > 0:
		if err := t.Fence(ctx); err != nil {
			return ops.Progress{}, err
		}
		err := s.Write(ctx, http.MethodDelete, "/_cluster/voting_config_exclusions",
			Query("wait_for_removal", "false", "master_timeout", "5s"), nil, t.Run().ID)
		return ops.Progress{Phase: ops.Waiting, Wait: time.Second}, err
	}
	for _, tg := range s.targets {
		if !ours[tg.ID] {
			continue
		}
		var after *string
		if now.excluded(tg.ID) {
			after = &tg.Name
		}
		if err := t.Settle(ctx, votingKey(tg), state, after, reason); err != nil {
			return ops.Progress{}, err
		}
	}
	return ops.Progress{Phase: ops.Done}, nil
}

// addVoting adds the voting step for nodes that leave for good, or refuses.
func (s *survey) addVoting(ctx context.Context, p *ops.Plan) error {
	var eligible []target
	voters := 0
	for _, n := range s.top.Nodes {
		if n.masterEligible() && !s.leaving[n.ID] {
			voters++
		}
	}
	for _, t := range s.targets {
		if n, _ := s.top.byID(t.ID); n.masterEligible() {
			eligible = append(eligible, t)
		}
	}
	if len(eligible) == 0 {
		return nil
	}
	now, _, err := s.coordination(ctx)
	if err != nil {
		return err
	}
	for _, n := range s.top.Nodes {
		if n.masterEligible() && !s.leaving[n.ID] && now.excluded(n.ID) {
			voters--
		}
	}
	if voters == 0 {
		return &ops.UserError{
			What: fmt.Sprintf("Without %s no node of %s could be master.", names(eligible), s.Environment),
			Next: "Add master-eligible nodes first.",
		}
	}
	text := fmt.Sprintf("%s can be master afterwards", Plural(int64(voters), "node"))
	p.Shown = append(p.Shown, ops.Line{Label: "Quorum", Text: text})
	if voters < 3 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("Only %s: losing one of them may stop the cluster.", text))
	}
	par := params(s.Environment, s.top.UUID, eligible)
	p.Steps = append(p.Steps, ops.StepRef{Name: "voting", Version: stepVersion,
		Title: fmt.Sprintf("take %s out of the voting configuration", names(eligible)), Params: par})
	p.Undo = append(p.Undo, fmt.Sprintf("The voting exclusion of %s removed, unless somebody else has one too.", names(eligible)))
	p.Keeps = append(p.Keeps, fmt.Sprintf("%s without a vote in master elections; clear that once the node is gone (DELETE _cluster/voting_config_exclusions).", areOrIs(eligible)))
	return nil
}
