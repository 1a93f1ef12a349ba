package slacksim

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// sendEvent sends an event to the app if it is subscribed; w.mu is held.
func (w *Workspace) sendEvent(subscription string, c *Channel, inner object) {
	if !slices.Contains(w.opts.Events, subscription) {
		return
	}
	copies := 1
	if w.late.NewEventID {
		copies = 2
	}
	for range copies {
		id := w.newID("Ev")
		w.deliver(&Delivery{Kind: event, EventID: id, Payload: rawJSON(object{
			"token": "slacksim", "team_id": w.opts.TeamID, "context_team_id": w.opts.TeamID, "api_app_id": w.opts.AppID,
			"event": inner, "type": "event_callback", "event_id": id, "event_time": time.Now().Unix(),
			"authorizations": []any{object{
				"enterprise_id": nil, "team_id": w.opts.TeamID, "user_id": w.opts.BotUser,
				"is_bot": true, "is_enterprise_install": false,
			}},
			"is_ext_shared_channel": c.Shared, "event_context": "4-" + id,
		})})
	}
}

// sendMessage tells the app of a new message: message.* and, when it is mentioned,
// app_mention as well; w.mu is held. Slack tells it only of channels it is in.
func (w *Workspace) sendMessage(c *Channel, from *Person, m *Message) {
	if !c.has(w.opts.BotUser) {
		return
	}
	e := w.object(m, false)
	delete(e, "reply_count")
	if len(m.Files) > 0 {
		e["subtype"] = "file_share"
	}
	e["channel"], e["channel_type"], e["event_ts"] = c.ID, c.kind(), m.TS
	if m.BotID == "" {
		e["client_msg_id"] = w.newID("cafe-")
	}
	if c.Shared {
		e["user_team"], e["source_team"] = from.Team, from.Team
		e["team"] = from.Team
	}
	w.sendEvent("message."+subscriptionOf[c.kind()], c, e)
	if c.DM == "" && from.ID != w.opts.BotUser && strings.Contains(m.Text, w.Mention()) {
		e = maps.Clone(e)
		e["type"] = "app_mention"
		delete(e, "channel_type")
		delete(e, "subtype")
		w.sendEvent("app_mention", c, e)
	}
}

var subscriptionOf = map[string]string{"channel": "channels", "group": "groups", "im": "im"}

// sendChanged tells the app of an edit or an unfurl; w.mu is held.
func (w *Workspace) sendChanged(c *Channel, m *Message, before object) {
	w.sendSubtype(c, object{
		"subtype": "message_changed", "hidden": true, "ts": w.newTS(),
		"message": w.object(m, false), "previous_message": before,
	})
}

// sendDeleted tells the app of a deletion; w.mu is held.
func (w *Workspace) sendDeleted(c *Channel, m *Message, before object) {
	w.sendSubtype(c, object{
		"subtype": "message_deleted", "hidden": true, "ts": w.newTS(), "deleted_ts": m.TS, "previous_message": before,
	})
}

func (w *Workspace) sendSubtype(c *Channel, e object) {
	if !c.has(w.opts.BotUser) {
		return
	}
	e["type"], e["channel"], e["channel_type"], e["event_ts"] = "message", c.ID, c.kind(), e["ts"]
	w.sendEvent("message."+subscriptionOf[c.kind()], c, e)
}

// sendReaction tells the app of a reaction. Messages posted through a response URL have
// no item_user; w.mu is held.
func (w *Workspace) sendReaction(kind, user string, m *Message, name string) {
	c := w.channel(m.Channel)
	if !c.has(w.opts.BotUser) {
		return
	}
	e := object{
		"type": kind, "user": user, "reaction": name, "event_ts": w.newTS(),
		"item": object{"type": "message", "channel": m.Channel, "ts": m.TS},
	}
	if m.Via != "response_url" && m.Via != "ack" {
		e["item_user"] = m.User
	}
	w.sendEvent(kind, c, e)
}
