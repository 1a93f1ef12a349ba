package approvals

import (
	"fmt"
	"slices"
)

// MayAsk returns nil if the person may ask for work: a full member of the home
// workspace.
func (p Policy) MayAsk(who Person) *RefusedError {
	const next = "Ask a member of this workspace to type it."
	switch {
	case p.Team == "" || who.Team != p.Team:
		return &RefusedError{Why: "only people of this workspace may ask for this, and you are from another one", Next: next}
	case who.Bot:
		return &RefusedError{Why: "bots may not ask for this", Next: next}
	case who.Deactivated:
		return &RefusedError{Why: "your account is deactivated", Next: next}
	case who.Guest:
		return &RefusedError{Why: "guests may not ask for this", Next: next}
	}
	return nil
}

var errOwnRequest = &RefusedError{
	Why:  "you asked for this; somebody else must decide",
	Next: "To stop it, cancel it.",
}

// MayVote returns nil if the person may vote on the request now. member says of
// which of the groups in r.Rule and in the policy's rule the person is a member.
//
// The approvers must name them twice: in the rule the request was made under, and
// in the policy in force, so that neither an old card nor a changed file widens
// who may decide.
func (p Policy) MayVote(r Request, who Person, member map[string]bool) *RefusedError {
	if who.ID == r.Requester {
		return errOwnRequest
	}
	return p.mayApprove(r, who, member)
}

// mayApprove is MayVote without the rule about one's own request.
func (p Policy) mayApprove(r Request, who Person, member map[string]bool) *RefusedError {
	now, err := p.Rule(r.Environment, r.Class)
	if err != nil {
		return &RefusedError{Why: "its environment is not in the configuration any more, so nobody may approve it", Cause: err}
	}
	next := "Ask somebody who may approve: " + approvers(now) + "."
	switch {
	case p.Team == "" || who.Team != p.Team:
		return &RefusedError{Why: "only people of this workspace may approve or decline, and you are from another one", Next: next}
	case who.Bot:
		return &RefusedError{Why: "bots may not approve or decline", Next: next}
	case who.Deactivated:
		return &RefusedError{Why: "your account is deactivated", Next: next}
	case who.Guest:
		return &RefusedError{Why: "guests may not approve or decline", Next: next}
	case nobody(now) || nobody(r.Rule):
		return &RefusedError{
			Why:  fmt.Sprintf("nobody may approve for %s: its configuration named no approvers", r.Environment),
			Next: "Name approvers in the configuration, then ask again.",
		}
	case !names(now, who, member):
		return &RefusedError{Why: fmt.Sprintf("you are not among those who may approve for %s", r.Environment), Next: next}
	case !names(r.Rule, who, member):
		return &RefusedError{
			Why:  fmt.Sprintf("you were not among those who may approve for %s when this was asked", r.Environment),
			Next: "Ask one of " + approvers(r.Rule) + ".",
		}
	}
	return nil
}

// Quorum is how many must approve the request now: what its rule says, or the
// policy in force if that is more.
func (p Policy) Quorum(r Request) int {
	if r.Class == readsOnly {
		return 0
	}
	now, err := p.Rule(r.Environment, r.Class)
	if err != nil {
		return max(1, r.Rule.Quorum)
	}
	return max(1, r.Rule.Quorum, now.Quorum)
}

func nobody(rule Rule) bool { return len(rule.Groups) == 0 && len(rule.Users) == 0 }

func names(rule Rule, who Person, member map[string]bool) bool {
	return slices.Contains(rule.Users, who.ID) ||
		slices.ContainsFunc(rule.Groups, func(g string) bool { return member[g] })
}

// approvers lists who may approve, as mentions.
func approvers(rule Rule) string {
	if nobody(rule) {
		return "nobody is named"
	}
	return list(append(mentions("<!subteam^", rule.Groups), mentions("<@", rule.Users)...), "or")
}
