package slacksim

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// method is one Web API method. Scopes, arguments and tiers: Slack's reference pages.
type method struct {
	scope    string // the bot scope needed; empty: none, or it depends on the channel
	tier     int    // calls a minute; 0: none; chat.postMessage has rules of its own
	app      bool   // wants the app-level token
	read     bool   // reads no JSON bodies
	required []string
	optional []string
	run      func(*Workspace, *request) (map[string]any, *apiError)
}

// The tiers, in calls a minute.
const (
	tier2 = 20
	tier3 = 50
	tier4 = 100
)

var (
	content = []string{
		"text", "blocks", "attachments", "metadata", "as_user", "link_names", "parse", "username", "icon_emoji", "icon_url",
	}
	page = []string{"cursor", "limit", "latest", "oldest", "inclusive", "include_all_metadata"}
)

// methods is every method the workspace knows. It is filled in init because its functions
// look into it.
var methods map[string]*method

func init() {
	methods = map[string]*method{
		"auth.test":             {run: authTest},
		"apps.connections.open": {app: true, tier: tier3, run: openConnection},
		"chat.postMessage": {
			scope: "chat:write", required: []string{"channel"}, run: postMessage,
			optional: slices.Concat(content, []string{"thread_ts", "reply_broadcast", "unfurl_links", "unfurl_media", "mrkdwn"}),
		},
		"chat.update": {
			scope: "chat:write", tier: tier3, required: []string{"channel", "ts"}, run: update,
			optional: slices.Concat(content, []string{"reply_broadcast", "file_ids"}),
		},
		"chat.delete": {scope: "chat:write", tier: tier3, required: []string{"channel", "ts"}, optional: []string{"as_user"}, run: deleteMessage},
		"chat.postEphemeral": {
			scope: "chat:write", tier: tier4, required: []string{"channel", "user"}, run: postEphemeral,
			optional: slices.Concat(content, []string{"thread_ts"}),
		},
		"reactions.add": {scope: "reactions:write", tier: tier3, required: []string{"channel", "name", "timestamp"}, run: addReaction},
		"reactions.get": {
			scope: "reactions:read", tier: tier3, read: true, required: []string{"channel", "timestamp"}, optional: []string{"full"}, run: getReactions,
		},
		"users.info": {scope: "users:read", tier: tier4, read: true, required: []string{"user"}, optional: []string{"include_locale"}, run: userInfo},
		"usergroups.list": {
			scope: "usergroups:read", tier: tier2, read: true, run: listGroups,
			optional: []string{"include_count", "include_disabled", "include_users", "team_id"},
		},
		"usergroups.users.list": {
			scope: "usergroups:read", tier: tier2, read: true, required: []string{"usergroup"}, run: listGroupUsers,
			optional: []string{"include_disabled", "team_id"},
		},
		"conversations.info": {
			tier: tier3, read: true, required: []string{"channel"}, run: channelInfo,
			optional: []string{"include_locale", "include_num_members"},
		},
		"conversations.open": {
			scope: "im:write", tier: tier3, run: openChannel,
			optional: []string{"channel", "users", "return_im", "prevent_creation"},
		},
		"files.getUploadURLExternal": {
			scope: "files:write", tier: tier4, required: []string{"filename", "length"}, run: getUploadURL,
			optional: []string{"snippet_type", "alt_txt"},
		},
		"files.completeUploadExternal": {
			scope: "files:write", tier: tier4, required: []string{"files"}, run: completeUpload,
			optional: []string{"channel_id", "thread_ts", "initial_comment", "blocks"},
		},
		"conversations.history": {tier: tier3, read: true, required: []string{"channel"}, optional: page, run: history},
		"conversations.replies": {tier: tier3, read: true, required: []string{"channel", "ts"}, optional: page, run: replies},
	}
}

func authTest(w *Workspace, _ *request) (map[string]any, *apiError) {
	return map[string]any{
		"url": "https://" + w.opts.Domain + ".slack.com/", "team": w.opts.TeamName, "team_id": w.opts.TeamID,
		"user": w.opts.BotName, "user_id": w.opts.BotUser, "bot_id": w.opts.BotID, "is_enterprise_install": false,
	}, nil
}

func openConnection(w *Workspace, q *request) (map[string]any, *apiError) {
	ticket := w.newID("ticket-")
	w.tickets[ticket] = time.Now()
	base := "ws" + strings.TrimPrefix(w.url, "http")
	return map[string]any{"url": base + "/link?ticket=" + ticket + "&app_id=" + w.opts.AppID}, nil
}

func userInfo(w *Workspace, q *request) (map[string]any, *apiError) {
	p := w.person(q.args["user"])
	if p == nil {
		return nil, refuse("user_not_found")
	}
	return map[string]any{"user": w.userObject(p)}, nil
}

// userObject is Slack's user object. Deactivated users lack most flags.
func (w *Workspace) userObject(p *Person) map[string]any {
	u := map[string]any{
		"id": p.ID, "team_id": p.Team, "name": p.Name, "deleted": p.Deactivated, "real_name": p.RealName,
		"is_bot": p.Bot, "is_app_user": false, "updated": 1700000000,
		"profile": map[string]any{"real_name": p.RealName, "display_name": p.Name, "team": p.Team},
	}
	if p.Workflow {
		u["is_workflow_bot"] = true
	}
	if p.Team != w.opts.TeamID {
		u["is_stranger"] = false
	}
	if !p.Deactivated {
		u["is_admin"], u["is_owner"], u["is_primary_owner"] = p.Admin, false, false
		u["is_restricted"], u["is_ultra_restricted"] = p.Guest || p.SingleGuest, p.SingleGuest
		u["tz"], u["tz_offset"], u["tz_label"] = "Europe/Paris", 3600, "Central European Time"
	}
	return u
}

func listGroups(w *Workspace, q *request) (map[string]any, *apiError) {
	list := []any{}
	for _, g := range w.groups {
		if g.Disabled && !q.flag("include_disabled") {
			continue
		}
		o := map[string]any{
			"id": g.ID, "team_id": w.opts.TeamID, "is_usergroup": true, "name": g.Name, "handle": g.Handle,
			"description": "", "is_external": false, "date_create": 1700000000, "date_update": 1700000000,
			"date_delete": 0, "created_by": "USLACKBOT", "updated_by": "USLACKBOT",
			"prefs": map[string]any{"channels": []any{}, "groups": []any{}},
		}
		if g.Disabled {
			o["date_delete"] = 1700000001
		}
		if q.flag("include_users") {
			o["users"] = g.Users
		}
		if q.flag("include_count") {
			o["user_count"] = len(g.Users)
		}
		list = append(list, o)
	}
	return map[string]any{"usergroups": list}, nil
}

func listGroupUsers(w *Workspace, q *request) (map[string]any, *apiError) {
	g := w.group(q.args["usergroup"])
	if g == nil || g.Disabled && !q.flag("include_disabled") {
		return nil, refuse("no_such_subteam")
	}
	return map[string]any{"users": slices.Concat([]string{}, g.Users)}, nil
}

// readable finds a channel the bot can see and checks the scope family (":history" or ":read")
// of its kind; w.mu is held.
func (w *Workspace) readable(id, family string) (*Channel, *apiError) {
	c := w.channel(id)
	if c == nil || !c.has(w.opts.BotUser) && (c.Private || c.DM != "") {
		return nil, refuse("channel_not_found")
	}
	scope := map[string]string{"channel": "channels", "group": "groups", "im": "im"}[c.kind()] + family
	if !slices.Contains(w.opts.Scopes, scope) {
		return nil, missingScope(scope)
	}
	return c, nil
}

func channelInfo(w *Workspace, q *request) (map[string]any, *apiError) {
	c, fail := w.readable(q.args["channel"], ":read")
	if fail != nil {
		return nil, fail
	}
	return map[string]any{"channel": w.channelObject(c)}, nil
}

func (w *Workspace) channelObject(c *Channel) map[string]any {
	o := map[string]any{
		"id": c.ID, "created": 1700000000, "is_archived": c.Archived, "is_im": c.DM != "",
		"is_org_shared": false, "is_ext_shared": c.Shared, "is_shared": c.Shared,
	}
	if c.DM != "" {
		o["user"] = c.DM
		return o
	}
	o["name"], o["is_channel"], o["is_private"], o["is_member"] = c.Name, !c.Private, c.Private, c.has(w.opts.BotUser)
	o["topic"] = map[string]any{"value": c.Topic, "creator": "", "last_set": 0}
	o["num_members"] = len(c.Members)
	return o
}

func openChannel(w *Workspace, q *request) (map[string]any, *apiError) {
	if id := q.args["channel"]; id != "" {
		c := w.channel(id)
		if c == nil || c.DM == "" {
			return nil, refuse("channel_not_found")
		}
		return map[string]any{"channel": map[string]any{"id": c.ID}, "no_op": true, "already_open": true}, nil
	}
	users := q.args["users"]
	if users == "" {
		return nil, refuse("users_list_not_supplied")
	}
	if strings.Contains(users, ",") {
		return nil, missingScope("mpim:write")
	}
	p := w.person(users)
	switch {
	case p == nil:
		return nil, refuse("user_not_found")
	case p.ID == w.opts.BotUser:
		return nil, refuse("cannot_dm_self")
	case p.Bot:
		return nil, refuse("cannot_dm_bot")
	case p.Deactivated:
		return nil, refuse("user_disabled")
	}
	known := find(w.channels, func(c *Channel) bool { return c.DM == p.ID }) != nil
	reply := map[string]any{"channel": map[string]any{"id": w.dm(p.ID).ID}}
	if known {
		reply["no_op"], reply["already_open"] = true, true
	}
	return reply, nil
}

// responseBase is where response URLs live; w.mu is held.
func (w *Workspace) responseBase() string {
	u, err := url.JoinPath(w.url, "response")
	if err != nil {
		return w.url + "/response"
	}
	return u
}
