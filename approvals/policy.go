package approvals

import "time"

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
