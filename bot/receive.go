package bot

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// receiver reads what Slack sends, by content alone: the same three kinds come over
// every HTTP route and in Socket Mode envelopes. It keeps what a person meant for
// the bot and drops the rest: own messages, other bots and workflows, edits,
// unfurls, joins, reactions that are no vote, buttons that are not the bot's.
type receiver struct {
	team    string            // the home workspace
	app     string            // the app's id; empty: not checked
	bot     string            // the bot's user id
	aliases map[string]string // emoji name to "approve" or "decline"
}

// receipt is what became of one payload. Without items it needs no more than an
// acknowledgement.
type receipt struct {
	kind      string // kindCommand, kindEvent or kindAction; empty: none of them
	items     []Item
	challenge string // url_verification: to be sent back
	respond   string // response_url of a command or click, for "Not taken"
	dropped   string // why there are no items, for the log
}

// readForm reads an urlencoded body: a command, or an interaction in its payload
// field.
func (r receiver) readForm(body []byte) (receipt, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return receipt{}, fmt.Errorf("form: %w", err)
	}
	if p := form.Get("payload"); p != "" {
		return r.readJSON([]byte(p))
	}
	if form.Get("ssl_check") == "1" && form.Get("command") == "" {
		return receipt{dropped: "handshake"}, nil
	}
	return r.command(slashPayload{
		Command: form.Get("command"), Text: form.Get("text"), App: form.Get("api_app_id"), Team: form.Get("team_id"),
		Channel: form.Get("channel_id"), ChannelName: form.Get("channel_name"), User: form.Get("user_id"),
		URL: form.Get("response_url"), Trigger: form.Get("trigger_id"),
	})
}

// readJSON reads a JSON payload of any of the three kinds.
func (r receiver) readJSON(body []byte) (receipt, error) {
	var kind struct {
		Type      string `json:"type"`
		Command   string `json:"command"`
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(body, &kind); err != nil {
		return receipt{}, fmt.Errorf("payload: %w", err)
	}
	switch {
	case kind.Command != "":
		var p slashPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return receipt{kind: kindCommand}, fmt.Errorf("command: %w", err)
		}
		return r.command(p)
	case kind.Type == "url_verification":
		return receipt{kind: kindEvent, challenge: kind.Challenge, dropped: "handshake"}, nil
	case kind.Type == "event_callback":
		return r.event(body)
	case kind.Type == "block_actions":
		return r.click(body)
	}
	return receipt{dropped: "type " + kind.Type}, nil
}

type slashPayload struct {
	Command     string `json:"command"`
	Text        string `json:"text"`
	App         string `json:"api_app_id"`
	Team        string `json:"team_id"`
	Channel     string `json:"channel_id"`
	ChannelName string `json:"channel_name"`
	User        string `json:"user_id"`
	URL         string `json:"response_url"`
	Trigger     string `json:"trigger_id"`
}

func (r receiver) command(p slashPayload) (receipt, error) {
	rc := receipt{kind: kindCommand, respond: p.URL}
	switch {
	case p.Command == "" || p.User == "" || p.Trigger == "":
		return rc, errors.New("command: no command, user or trigger")
	case r.foreign(p.App):
		rc.dropped = "app " + p.App
	case p.Team != r.team:
		rc.dropped = "team " + p.Team
	default:
		via := viaCommand
		if p.ChannelName == "directmessage" || strings.HasPrefix(p.Channel, "D") {
			via = viaDM
		}
		d := deed{Via: via, User: p.User, Team: p.Team, Channel: p.Channel, Text: p.Text, URL: p.URL}
		rc.items = []Item{d.item(kindCommand, "command:"+p.Trigger)}
	}
	return rc, nil
}

// foreign reports whether a payload names another app.
func (r receiver) foreign(app string) bool { return r.app != "" && app != "" && app != r.app }

type eventPayload struct {
	App            string `json:"api_app_id"`
	Team           string `json:"team_id"`
	ContextTeam    string `json:"context_team_id"`
	Authorizations []struct {
		Team string `json:"team_id"`
	} `json:"authorizations"`
	Event struct {
		Type        string          `json:"type"`
		Subtype     string          `json:"subtype"`
		User        string          `json:"user"`
		Team        string          `json:"team"`
		UserTeam    string          `json:"user_team"`
		Bot         string          `json:"bot_id"`
		Channel     string          `json:"channel"`
		ChannelType string          `json:"channel_type"`
		TS          string          `json:"ts"`
		Thread      string          `json:"thread_ts"`
		EventTS     string          `json:"event_ts"`
		Text        string          `json:"text"`
		Edited      json.RawMessage `json:"edited"`
		Reaction    string          `json:"reaction"`
		ItemUser    string          `json:"item_user"` // who wrote what was reacted to, if Slack says
		Item        struct {
			Type    string `json:"type"`
			Channel string `json:"channel"`
			TS      string `json:"ts"`
		} `json:"item"`
	} `json:"event"`
}

// home reports whether the event was delivered to the bot's own installation. In a
// channel shared by Slack Connect team_id may be the other workspace.
func (p eventPayload) home(team string) bool {
	if p.Team == team || p.ContextTeam == team {
		return true
	}
	for _, a := range p.Authorizations {
		if a.Team == team {
			return true
		}
	}
	return false
}

func (r receiver) event(body []byte) (receipt, error) {
	rc := receipt{kind: kindEvent}
	var inner struct {
		Event struct {
			Type string `json:"type"`
		} `json:"event"`
	}
	if err := json.Unmarshal(body, &inner); err != nil {
		return rc, fmt.Errorf("event: %w", err)
	}
	switch inner.Event.Type {
	case "message", "app_mention", "reaction_added", "reaction_removed":
	default: // fields of others may have other types
		rc.dropped = "event " + inner.Event.Type
		return rc, nil
	}
	var p eventPayload
	if err := json.Unmarshal(body, &p); err != nil {
		return rc, fmt.Errorf("event: %w", err)
	}
	e := p.Event
	switch {
	case r.foreign(p.App):
		rc.dropped = "app " + p.App
	case !p.home(r.team):
		rc.dropped = "team " + p.Team
	case e.Bot != "" || e.User == "" || e.User == r.bot || e.User == "USLACKBOT":
		rc.dropped = "not a person's"
	case e.Type == "message" || e.Type == "app_mention":
		return r.message(p), nil
	default:
		return r.reaction(p), nil
	}
	return rc, nil
}

// spoken are the subtypes of messages that a person wrote just now; all others
// (edits, deletions, joins, bots, unfurls) tell of something else.
var spoken = []string{"", "file_share", "thread_broadcast"}

func (r receiver) message(p eventPayload) receipt {
	e, rc := p.Event, receipt{kind: kindEvent}
	d := deed{Via: viaMention, User: e.User, Team: cmp.Or(e.UserTeam, e.Team), Channel: e.Channel, TS: e.TS, Thread: e.Thread, Text: e.Text}
	switch {
	case !slices.Contains(spoken, e.Subtype):
		rc.dropped = "message " + e.Subtype
	case len(e.Edited) > 0 && string(e.Edited) != "null":
		rc.dropped = "an edit" // adding a mention to an old message is an app_mention too
	case e.Channel == "" || e.TS == "":
		rc.dropped = "message without a place"
	case e.ChannelType == "im" || strings.HasPrefix(e.Channel, "D"):
		d.Via = viaDM
	case e.Type == "message" && (r.bot == "" || !strings.Contains(e.Text, "<@"+r.bot)):
		rc.dropped = "not addressed to the bot"
	}
	if rc.dropped == "" {
		rc.items = []Item{d.item(kindEvent, "message:"+e.Channel+":"+e.TS)}
	}
	return rc
}

func (r receiver) reaction(p eventPayload) receipt {
	e, rc := p.Event, receipt{kind: kindEvent}
	name, _, _ := strings.Cut(e.Reaction, "::") // "+1::skin-tone-3"
	word, vote := r.aliases[name]
	if !vote || e.Item.Type != "message" || e.Item.Channel == "" || e.Item.TS == "" {
		rc.dropped = "reaction " + e.Reaction
		return rc
	}
	if e.ItemUser != "" && e.ItemUser != r.bot {
		rc.dropped = "reaction to somebody else's message"
		return rc
	}
	d := deed{Via: viaReaction, User: e.User, Team: e.UserTeam, Channel: e.Item.Channel, TS: e.Item.TS, Emoji: e.Reaction, Approve: word == actionApprove}
	did := "added"
	if e.Type == "reaction_removed" {
		d.Via, did = viaUnreaction, "removed"
	}
	key := strings.Join([]string{"reaction", did, d.Channel, d.TS, d.User, e.Reaction, e.EventTS}, ":")
	rc.items = []Item{d.item(kindEvent, key)}
	return rc
}

type clickPayload struct {
	App  string `json:"api_app_id"`
	User struct {
		ID   string `json:"id"`
		Team string `json:"team_id"`
	} `json:"user"`
	Channel struct {
		ID string `json:"id"`
	} `json:"channel"`
	Container struct {
		Channel string `json:"channel_id"`
		TS      string `json:"message_ts"`
		Thread  string `json:"thread_ts"`
	} `json:"container"`
	URL     string `json:"response_url"`
	Actions []struct {
		ID    string `json:"action_id"`
		Value string `json:"value"`
		TS    string `json:"action_ts"`
	} `json:"actions"`
}

// The action_id of the two buttons of a card.
const (
	actionApprove = "approve"
	actionDecline = "decline"
)

func (r receiver) click(body []byte) (receipt, error) {
	rc := receipt{kind: kindAction}
	var p clickPayload
	if err := json.Unmarshal(body, &p); err != nil {
		return rc, fmt.Errorf("click: %w", err)
	}
	rc.respond = p.URL
	if r.foreign(p.App) {
		rc.dropped = "app " + p.App
		return rc, nil
	}
	if p.User.ID == "" {
		return rc, errors.New("click: no user")
	}
	d := deed{
		Via: viaClick, User: p.User.ID, Team: p.User.Team, URL: p.URL,
		Channel: cmp.Or(p.Container.Channel, p.Channel.ID), TS: p.Container.TS, Thread: p.Container.Thread,
	}
	if d.Channel == "" || d.TS == "" {
		rc.dropped = "click outside a message" // cards are messages
		return rc, nil
	}
	for _, a := range p.Actions {
		if a.ID != actionApprove && a.ID != actionDecline {
			rc.dropped = "button " + a.ID // a link, or an older binary's
			continue
		}
		d.Approve, d.Value = a.ID == actionApprove, a.Value
		rc.items = append(rc.items, d.item(kindAction, strings.Join([]string{"action", d.Channel, d.TS, a.TS, d.User}, ":")))
	}
	return rc, nil
}
