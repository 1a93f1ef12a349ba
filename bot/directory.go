package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slack-go/slack"

	"twokey/approvals"
)

// askTime is how long one question to Slack may take.
const askTime = 5 * time.Second

// Directory asks Slack about people, each time anew: a cache would outlive the
// moment somebody is deactivated or leaves a group.
type Directory struct{ client *slack.Client }

// NewDirectory returns a directory that asks by client, which needs the scopes
// users:read and usergroups:read.
func NewDirectory(client *slack.Client) *Directory { return &Directory{client: client} }

var _ approvals.Directory = (*Directory)(nil)

// Person says who a user is now. Somebody Slack does not know or show, as may be
// with other workspaces' people, has no team and so no rights. An error means
// that Slack could not be asked.
func (d *Directory) Person(ctx context.Context, user string) (approvals.Person, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	u, err := d.client.GetUserInfoContext(ctx, user)
	if refused(err, "user_not_found", "user_not_visible") {
		return approvals.Person{ID: user}, nil
	}
	if err != nil {
		return approvals.Person{}, fmt.Errorf("users.info %s: %w", user, err)
	}
	p := approvals.Person{
		ID:          u.ID,
		Team:        u.TeamID,
		Name:        u.Profile.DisplayName,
		Bot:         u.IsBot || u.IsWorkflowBot || u.IsConnectorBot || u.ID == "USLACKBOT",
		Deactivated: u.Deleted,
		Guest:       u.IsRestricted || u.IsUltraRestricted || u.IsStranger,
	}
	if p.Name == "" {
		p.Name = u.RealName
	}
	return p, nil
}

// Member reports whether the user is in the user group now. Nobody is in a group
// that does not exist or was disabled.
func (d *Directory) Member(ctx context.Context, user, group string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	members, err := d.client.GetUserGroupMembersContext(ctx, group)
	if refused(err, "no_such_subteam") {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("usergroups.users.list %s: %w", group, err)
	}
	return slices.Contains(members, user), nil
}

// refused reports whether err is Slack's own answer, one of these codes.
func refused(err error, codes ...string) bool {
	var answer slack.SlackErrorResponse
	return errors.As(err, &answer) && slices.Contains(codes, answer.Err)
}
