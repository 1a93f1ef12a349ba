package approvalstest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"twokey/approvals"
)

// Directory is an approvals.Directory of people and user groups. Fields may be
// changed under Lock while it is in use.
type Directory struct {
	sync.Mutex
	People map[string]approvals.Person // by user id
	Groups map[string][]string         // user ids by group id
	Err    error                       // what every question is answered with, if set
	Asked  int                         // questions answered
}

// NewDirectory returns a directory of the workspace T0HOME: members U0ASKER, U0LEAD, U0SRE1,
// U0SRE2 and U0OTHER; U0SRE1 and U0SRE2 are in the group S0SRE. So are, wrongly,
// B0BOT, U0GONE (deactivated), U0GUEST and U0AWAY (of another workspace).
func NewDirectory() *Directory {
	d := &Directory{
		People: map[string]approvals.Person{},
		Groups: map[string][]string{"S0SRE": {"U0SRE1", "U0SRE2", "B0BOT", "U0GONE", "U0GUEST", "U0AWAY"}},
	}
	for _, id := range []string{"U0ASKER", "U0LEAD", "U0SRE1", "U0SRE2", "U0OTHER", "B0BOT", "U0GONE", "U0GUEST", "U0AWAY"} {
		p := approvals.Person{ID: id, Team: "T0HOME", Bot: id == "B0BOT", Deactivated: id == "U0GONE", Guest: id == "U0GUEST"}
		if id == "U0AWAY" {
			p.Team = "T0AWAY"
		}
		d.People[id] = p
	}
	return d
}

// Person implements approvals.Directory.
func (d *Directory) Person(ctx context.Context, user string) (approvals.Person, error) {
	d.Lock()
	defer d.Unlock()
	d.Asked++
	p, ok := d.People[user]
	switch {
	case ctx.Err() != nil:
		return approvals.Person{}, ctx.Err()
	case d.Err != nil:
		return approvals.Person{}, d.Err
	case !ok:
		return approvals.Person{}, fmt.Errorf("user_not_found: %s", user)
	}
	return p, nil
}

// Member implements approvals.Directory.
func (d *Directory) Member(ctx context.Context, user, group string) (bool, error) {
	d.Lock()
	defer d.Unlock()
	d.Asked++
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case d.Err != nil:
		return false, d.Err
	}
	return slices.Contains(d.Groups[group], user), nil
}

// Launcher is an approvals.Launcher that remembers what it launched.
type Launcher struct {
	mu sync.Mutex
	// before, if set, is called before a launch is remembered.
	before   func(approvals.Request) error
	launched []approvals.Request
}

// Fail makes later launches answer what f returns; where that is nil they go on.
// A nil f stops it.
func (l *Launcher) Fail(f func(approvals.Request) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = f
}

// Launch implements approvals.Launcher.
func (l *Launcher) Launch(ctx context.Context, r approvals.Request) error {
	l.mu.Lock()
	before := l.before
	l.mu.Unlock()
	if before != nil {
		if err := before(r); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.launched = append(l.launched, r)
	return nil
}

// Launched returns the requests Launch was called with, in order; repetitions too.
func (l *Launcher) Launched() []approvals.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.launched)
}
