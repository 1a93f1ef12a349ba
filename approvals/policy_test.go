package approvals

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRule(t *testing.T) {
	p := Policy{Team: "T0HOME", Environments: map[string]Environment{
		"prod": {Groups: []string{"S0SRE"}, Users: []string{"U0LEAD"}, Quorum: map[string]int{"R1": 2, "R2": 0}, Expires: 10 * time.Minute},
		"bare": {},
	}}
	for _, c := range []struct {
		env, class string
		want       Rule
	}{
		{"prod", "R1", Rule{Quorum: 2, Groups: []string{"S0SRE"}, Users: []string{"U0LEAD"}, Expires: 10 * time.Minute}},
		{"prod", "R2", Rule{Quorum: 1, Groups: []string{"S0SRE"}, Users: []string{"U0LEAD"}, Expires: 10 * time.Minute}},
		{"prod", "R0", Rule{Groups: []string{"S0SRE"}, Users: []string{"U0LEAD"}, Expires: 10 * time.Minute}}, // nobody is asked
		{"bare", "R1", Rule{Quorum: 1, Expires: time.Hour}},
		{"bare", "R2", Rule{Quorum: 1, Expires: time.Hour}},
		{"bare", "R3", Rule{Quorum: 2, Expires: time.Hour}},
	} {
		got, err := p.Rule(c.env, c.class)
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s %s: %v\n%s", c.env, c.class, err, d)
		}
	}
	for _, c := range []struct{ env, class string }{{"nowhere", "R2"}, {"prod", "R4"}, {"prod", ""}} {
		if r, err := p.Rule(c.env, c.class); err == nil {
			t.Errorf("%s %q: %v, want an error", c.env, c.class, r)
		}
	}
}

func TestMayType(t *testing.T) {
	p := Policy{Environments: map[string]Environment{
		"prod":    {Channels: []string{"C0PROD", "C0OPS", "C0SRE"}},
		"one":     {Channels: []string{"C0ONE"}},
		"staging": {},
	}}
	for _, c := range []struct{ env, channel, next string }{
		{"prod", "C0PROD", ""},
		{"prod", "C0SRE", ""},
		{"staging", "D0ANY", ""},
		{"prod", "D0ANY", ""},
		{"prod", "C0ANY", "Type it in <#C0PROD>, <#C0OPS> or <#C0SRE>."},
		{"one", "C0PROD", "Type it in <#C0ONE>."},
		{"nowhere", "C0PROD", "Known: one, prod, staging."},
	} {
		refused := p.MayType(c.env, c.channel)
		if c.next == "" && refused != nil {
			t.Errorf("%s in %s: %v", c.env, c.channel, refused)
		}
		if c.next != "" && (refused == nil || refused.Next != c.next || refused.Why == "") {
			t.Errorf("%s in %s: %+v, want %q", c.env, c.channel, refused, c.next)
		}
	}
}

func TestMayVote(t *testing.T) {
	policy := func(groups, users []string) Policy {
		return Policy{Team: "T0HOME", Environments: map[string]Environment{"prod": {Groups: groups, Users: users}}}
	}
	sre, lead := []string{"S0SRE"}, []string{"U0LEAD"}
	home := func(id string) Person { return Person{ID: id, Team: "T0HOME"} }
	in := map[string]bool{"S0SRE": true}
	for _, c := range []struct {
		name   string
		policy Policy // in force now; the request was made under S0SRE and U0LEAD
		who    Person
		member map[string]bool
		why    string // empty: may
	}{
		{"of the group", policy(sre, lead), home("U0SRE"), in, ""},
		{"named", policy(sre, lead), home("U0LEAD"), nil, ""},
		{"named then, of the group now", policy(sre, nil), home("U0LEAD"), in, ""},
		{"of the group then, named now", policy(nil, []string{"U0SRE"}), home("U0SRE"), in, ""},
		{"the requester", policy(sre, lead), home("U0ASKER"), in, "you asked for this"},
		{"the requester who is no approver", policy(sre, lead), home("U0ASKER"), nil, "you asked for this"},
		{"a bot", policy(sre, lead), Person{ID: "U0LEAD", Team: "T0HOME", Bot: true}, in, "bots"},
		{"deactivated", policy(sre, lead), Person{ID: "U0LEAD", Team: "T0HOME", Deactivated: true}, in, "deactivated"},
		{"a guest", policy(sre, lead), Person{ID: "U0LEAD", Team: "T0HOME", Guest: true}, in, "guests"},
		{"of another workspace", policy(sre, lead), Person{ID: "U0LEAD", Team: "T0AWAY"}, in, "another one"},
		{"of no workspace", policy(sre, lead), Person{ID: "U0LEAD"}, in, "another one"},
		{"of no workspace, where none is home", Policy{Environments: policy(sre, lead).Environments}, Person{ID: "U0LEAD"}, in, "another one"},
		{"nobody", policy(sre, lead), home("U0OTHER"), nil, "not among those"},
		{"of another group", policy(sre, lead), home("U0OTHER"), map[string]bool{"S0DEV": true}, "not among those"},
		{"the group is not named any more", policy(nil, lead), home("U0SRE"), in, "not among those"},
		{"the user is not named any more", policy(sre, nil), home("U0LEAD"), nil, "not among those"},
		{"named since the request was made", policy([]string{"S0SRE", "S0DEV"}, lead), home("U0DEV"), map[string]bool{"S0DEV": true}, "when this was asked"},
		{"no approvers any more", policy(nil, nil), home("U0LEAD"), in, "nobody may approve"},
		{"no such environment any more", Policy{Team: "T0HOME"}, home("U0LEAD"), in, "not in the configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Request{Environment: "prod", Class: "R2", Requester: "U0ASKER", Rule: Rule{Quorum: 1, Groups: sre, Users: lead}}
			refused := c.policy.MayVote(r, c.who, c.member)
			switch {
			case c.why == "" && refused != nil:
				t.Errorf("refused: %v", refused)
			case c.why != "" && refused == nil:
				t.Error("may vote")
			case c.why != "" && !strings.Contains(refused.Why, c.why):
				t.Errorf("%q; want it to say %q", refused.Why, c.why)
			}
		})
	}
	t.Run("asked when there were no approvers", func(t *testing.T) {
		r := Request{Environment: "prod", Class: "R2", Requester: "U0ASKER", Rule: Rule{Quorum: 1}}
		if refused := policy(sre, lead).MayVote(r, home("U0LEAD"), in); refused == nil || !strings.Contains(refused.Why, "nobody may approve") {
			t.Errorf("%v", refused)
		}
	})
}

func TestQuorumIsTheLarger(t *testing.T) {
	now := func(n int) Policy {
		return Policy{Environments: map[string]Environment{"prod": {Quorum: map[string]int{"R2": n}}}}
	}
	for _, c := range []struct {
		policy Policy
		asked  int
		want   int
	}{{now(1), 1, 1}, {now(3), 1, 3}, {now(1), 2, 2}, {now(0), 0, 1}, {Policy{}, 2, 2}} {
		r := Request{Environment: "prod", Class: "R2", Rule: Rule{Quorum: c.asked}}
		if got := c.policy.Quorum(r); got != c.want {
			t.Errorf("quorum %d, want %d: asked under %d", got, c.want, c.asked)
		}
	}
}
