package approvals

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Policy says who must agree to what, by environment.
type Policy struct {
	Team         string // the home workspace; only its people may ask or vote
	Environments map[string]Environment
}

// Environment is the policy of one environment. Zero values: quorum R1 1, R2 1,
// R3 2; expiry one hour; no approvers means nobody may approve; no channels means
// commands may be typed anywhere.
type Environment struct {
	Channels []string
	Groups   []string       // user group ids whose members may approve
	Users    []string       // user ids who may approve
	Quorum   map[string]int // "R1": 1
	Expires  time.Duration
}

// Rule is the policy for one request, resolved.
type Rule struct {
	Quorum  int           `json:"quorum"`
	Groups  []string      `json:"groups,omitempty"`
	Users   []string      `json:"users,omitempty"`
	Expires time.Duration `json:"expires"`
}

// Person is what Slack says about somebody now.
type Person struct {
	ID          string
	Team        string
	Name        string // for people; never an identity
	Bot         bool
	Deactivated bool
	Guest       bool // restricted or ultra-restricted
}

// DefaultExpires is how long a request waits where the policy does not say.
const DefaultExpires = time.Hour

// defaultQuorum is the approvals each class needs where the policy does not say.
// Classes that are not here cannot be requested.
var defaultQuorum = map[string]int{readsOnly: 0, "R1": 1, "R2": 1, "R3": 2}

// readsOnly is the class that nobody is asked about: what is requested of it is approved
// from the beginning. Its runs can write nothing (see ops.Tick.Record).
const readsOnly = "R0"

// Rule resolves the policy for a request of this class ("R0" to "R3"). A quorum of
// zero or less, and an expiry of zero or less, mean the default. The error is a
// *RefusedError for an unknown environment.
func (p Policy) Rule(env, class string) (Rule, error) {
	least, ok := defaultQuorum[class]
	if !ok {
		return Rule{}, fmt.Errorf("nothing can be asked of risk class %q: want R0 to R3", class)
	}
	e, ok := p.Environments[env]
	if !ok {
		return Rule{}, p.unknown()
	}
	if class == readsOnly {
		e.Quorum = nil
	}
	r := Rule{Quorum: e.Quorum[class], Groups: e.Groups, Users: e.Users, Expires: e.Expires}
	if r.Quorum <= 0 {
		r.Quorum = least
	}
	if r.Expires <= 0 {
		r.Expires = DefaultExpires
	}
	return r, nil
}

// MayType returns nil if commands for the environment may be typed in the channel,
// else a refusal that names the right channels. In a direct message (D…) they may be:
// nobody else sees it, and the card of what is asked there goes to the announce channel.
func (p Policy) MayType(env, channel string) *RefusedError {
	e, ok := p.Environments[env]
	if !ok {
		return p.unknown()
	}
	if len(e.Channels) == 0 || slices.Contains(e.Channels, channel) || strings.HasPrefix(channel, "D") {
		return nil
	}
	there := list(mentions("<#", e.Channels), "or")
	return &RefusedError{
		Why:  fmt.Sprintf("commands for %s may not be typed here", env),
		Next: fmt.Sprintf("Type it in %s.", there),
	}
}

// unknown does not repeat the name: it may be what a person typed.
func (p Policy) unknown() *RefusedError {
	names := slices.Sorted(maps.Keys(p.Environments))
	e := &RefusedError{Why: "that environment is not in the configuration"}
	if len(names) > 0 {
		e.Next = fmt.Sprintf("Known: %s.", strings.Join(names, ", "))
	}
	return e
}

// mentions makes Slack's tokens of ids: "<@", "<#" or "<!subteam^" before each.
func mentions(open string, ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = open + id + ">"
	}
	return out
}

// list joins words as people write them: "a, b or c".
func list(words []string, last string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " " + last + " " + words[n-1]
	}
	return strings.Join(words, "")
}
