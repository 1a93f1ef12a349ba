package elastic

import (
	"fmt"
	"strings"
	"time"

	"twokey/ops"
)

// Limits of the pause guards.
const (
	maxPending    = 200              // pending cluster tasks; above, the master is behind
	goodPolls     = 3                // in a row until a paused step goes on
	guardPatience = 10 * time.Minute // then a person decides
)

// Guard says why nothing should be written now, or "". facts are the approved plan's:
// they name the nodes that were there. The text holds no numbers, so that it is the same
// as long as the reason is.
func Guard(facts []ops.Fact, top Topology, h Health, flood []string) string {
	var away []string
	for _, f := range facts {
		if name, ok := strings.CutPrefix(f.Key, FactNode); ok && len(top.named(name)) == 0 {
			away = append(away, name)
		}
	}
	switch {
	case h.Status == "red":
		return "the cluster is red: a primary shard is missing"
	case len(away) > 0:
		return fmt.Sprintf("%s left the cluster", And(away))
	case len(flood) > 0:
		return fmt.Sprintf("a disk is over the flood-stage watermark; Elasticsearch made indices read-only, among them %s", flood[0])
	case h.Pending > maxPending:
		return fmt.Sprintf("the master has more than %d pending tasks", maxPending)
	}
	return ""
}

// Pause is a step's memory of its guard.
type Pause struct {
	Reason   string    `json:"reason,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Good     int       `json:"good,omitempty"`
	Asked    bool      `json:"asked,omitempty"`    // a person was asked; the next poll is after the resume
	Accepted []string  `json:"accepted,omitempty"` // reasons a person resumed in spite of
}

// Check takes the guard's reason of this poll. It reports whether the step has to hold
// still, and whether a person has to be asked.
func (p *Pause) Check(t *ops.Tick, reason string) (hold, ask bool) {
	if p.Asked {
		p.Accepted, p.Asked = append(p.Accepted, p.Reason), false
	}
	for _, a := range p.Accepted {
		if a == reason {
			reason = ""
		}
	}
	switch {
	case reason != "" && reason != p.Reason:
		*p = Pause{Reason: reason, Since: t.Now(), Accepted: p.Accepted}
		t.Say("Holding still: %s. Nothing is written until that is over.", reason)
	case reason != "":
		p.Good = 0
		p.Asked = t.Now().Sub(p.Since) > guardPatience
	case p.Reason != "":
		if p.Good++; p.Good >= goodPolls {
			*p = Pause{Accepted: p.Accepted}
			t.Say("Going on.")
		}
	}
	return p.Reason != "", p.Asked
}

// Asks is the sentence for the person who decides.
func (p Pause) Asks() string {
	return fmt.Sprintf("For %s: %s. Resume to go on all the same, or cancel.", Span(guardPatience), p.Reason)
}
