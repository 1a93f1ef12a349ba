package slacksim

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// actor checks that the person can act in the channel; w.mu is held.
func (w *Workspace) actor(user, channel string) (*Person, *Channel, error) {
	p, c := w.person(user), w.channel(channel)
	switch {
	case p == nil:
		return nil, nil, fmt.Errorf("no person %q", user)
	case p.Deactivated:
		return nil, nil, fmt.Errorf("%s is deactivated", p.Name)
	case c == nil:
		return nil, nil, fmt.Errorf("no channel %q", channel)
	case !c.has(user):
		return nil, nil, fmt.Errorf("%s is not in %s", p.Name, channel)
	case c.Archived:
		return nil, nil, fmt.Errorf("%s is archived", channel)
	}
	return p, c, nil
}

// Command types a slash command: either all of it ("/ops help") or what follows the
// workspace's command ("help"). It returns once the command is on its way. A command is
// never delivered again; a failure is told to the person by Slackbot.
func (w *Workspace) Command(user, channel, text string) (*Delivery, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, c, err := w.actor(user, channel)
	if err != nil {
		return nil, err
	}
	if p.Team != w.opts.TeamID || p.Bot {
		return nil, fmt.Errorf("%s sees no slash commands of this workspace", p.Name)
	}
	word, rest := w.opts.Command, text
	if strings.HasPrefix(text, "/") {
		word, rest, _ = strings.Cut(text, " ")
	}
	if word != w.opts.Command {
		return nil, fmt.Errorf("%s is not a command of this workspace", word)
	}
	return w.deliver(&Delivery{
		Kind: command,
		Payload: rawJSON(map[string]string{
			"token": "slacksim", "team_id": w.opts.TeamID, "team_domain": w.opts.Domain,
			"channel_id": c.ID, "channel_name": c.payloadName(), "user_id": p.ID, "user_name": p.Name,
			"command": word, "text": w.typed(strings.TrimSpace(rest)), "api_app_id": w.opts.AppID,
			"is_enterprise_install": "false", "trigger_id": w.newTrigger(),
			"response_url": w.newResponse(responseURL{channel: c.ID, user: p.ID}),
		}),
		acked:  w.respondTo(c.ID, p.ID),
		failed: w.commandFailed(c.ID, p.ID, word),
	}), nil
}

// Say posts a message as a person, into a thread when thread is not empty, and returns
// its ts. The text is as Slack stores it: mentions as <@U…>, & < > escaped. Bots may speak too.
func (w *Workspace) Say(user, channel, text, thread string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, c, err := w.actor(user, channel)
	if err != nil {
		return "", err
	}
	root, fail := w.threadRoot(c.ID, thread)
	if fail != nil {
		return "", fmt.Errorf("%s: %s", fail.code, fail.bug)
	}
	text = w.typed(text)
	blocks := rawJSON([]any{object{
		"type": "rich_text", "block_id": w.newID("rt"),
		"elements": []any{object{"type": "rich_text_section", "elements": []any{object{"type": "text", "text": text}}}},
	}})
	if p.Bot {
		blocks = nil
	}
	return w.post(c, p, root, body{text: text, blocks: blocks}, "").TS, nil
}

// Edit changes a person's own message.
func (w *Workspace) Edit(user, channel, ts, text string) error {
	return w.own(user, channel, ts, func(c *Channel, m *Message) {
		w.edit(c, m, body{text: w.typed(text), hasText: true, hasBlocks: true})
	})
}

// Delete removes a person's own message.
func (w *Workspace) Delete(user, channel, ts string) error {
	return w.own(user, channel, ts, w.remove)
}

func (w *Workspace) own(user, channel, ts string, do func(*Channel, *Message)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, c, err := w.actor(user, channel)
	if err != nil {
		return err
	}
	m := w.message(channel, ts)
	if m == nil || m.User != p.ID {
		return fmt.Errorf("%s has no message %s in %s", p.Name, ts, channel)
	}
	do(c, m)
	return nil
}

// Unfurl adds a link preview to a message, which the app sees as message_changed.
func (w *Workspace) Unfurl(channel, ts string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.message(channel, ts)
	if m == nil {
		return fmt.Errorf("no message %s in %s", ts, channel)
	}
	before := w.object(m, false)
	m.Attachments = rawJSON([]any{object{"id": 1, "title": "Preview", "from_url": "https://example.com/"}})
	w.touch()
	w.sendChanged(w.channel(channel), m, before)
	return nil
}

// React adds a person's reaction, its name without colons ("white_check_mark", "x::skin-tone-3").
func (w *Workspace) React(user, channel, ts, emoji string) error {
	return w.reaction(user, channel, ts, emoji, "reaction_added", (*Message).react)
}

// Unreact takes a person's reaction away.
func (w *Workspace) Unreact(user, channel, ts, emoji string) error {
	return w.reaction(user, channel, ts, emoji, "reaction_removed", (*Message).unreact)
}

func (w *Workspace) reaction(user, channel, ts, emoji, kind string, do func(*Message, string, string) bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, _, err := w.actor(user, channel); err != nil {
		return err
	}
	m := w.message(channel, ts)
	if m == nil {
		return fmt.Errorf("no message %s in %s", ts, channel)
	}
	if !do(m, user, emoji) {
		return fmt.Errorf("%s: nothing to do for %s", kind, emoji)
	}
	w.touch()
	w.sendReaction(kind, user, m, emoji)
	return nil
}

// Click presses a button of a message, or of an ephemeral message the person was shown.
// It returns once the click is on its way; clicks are not delivered again.
func (w *Workspace) Click(user, channel, ts, actionID string) (*Delivery, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, c, err := w.actor(user, channel)
	if err != nil {
		return nil, err
	}
	m := w.message(channel, ts)
	e := find(w.ephemerals, func(e *Ephemeral) bool { return e.TS == ts && e.Channel == channel && e.User == user })
	container := object{"type": "message", "message_ts": ts, "channel_id": c.ID, "is_ephemeral": e != nil, "is_app_unfurl": false}
	var blocks json.RawMessage
	switch {
	case m != nil && m.User == w.opts.BotUser:
		if blocks = m.Blocks; m.Thread != "" {
			container["thread_ts"] = m.Thread
		}
	case e != nil:
		blocks = e.Blocks
	default:
		return nil, fmt.Errorf("no message of the app at %s in %s", ts, channel)
	}
	button := findButton(blocks, actionID)
	if button == nil {
		return nil, fmt.Errorf("message %s has no button %q", ts, actionID)
	}
	button["action_ts"] = w.newTS()
	delete(button, "confirm")
	payload := object{
		"type": "block_actions", "token": "slacksim", "api_app_id": w.opts.AppID,
		"user":      object{"id": p.ID, "username": p.Name, "name": p.Name, "team_id": p.Team},
		"team":      object{"id": p.Team, "domain": w.opts.Domain},
		"container": container, "trigger_id": w.newTrigger(), "enterprise": nil, "is_enterprise_install": false,
		"channel": object{"id": c.ID, "name": c.payloadName()}, "state": object{"values": object{}},
		"response_url": w.newResponse(responseURL{channel: c.ID, user: p.ID, message: ts, ephemeral: e}),
		"actions":      []any{button},
	}
	if m != nil {
		payload["message"] = w.object(m, false)
	}
	return w.deliver(&Delivery{Kind: interaction, Payload: rawJSON(payload)}), nil
}

// findButton returns a copy of the button with its block_id, or nil.
func findButton(blocks json.RawMessage, actionID string) object {
	var list []object
	if blocks == nil || json.Unmarshal(blocks, &list) != nil {
		return nil
	}
	for _, b := range list {
		elements, _ := b["elements"].([]any)
		for _, e := range append(slices.Clip(elements), b["accessory"]) {
			if el, _ := e.(object); el["type"] == "button" && el["action_id"] == actionID {
				el["block_id"] = b["block_id"]
				return el
			}
		}
	}
	return nil
}

// typed is a text after the composer.
func (w *Workspace) typed(text string) string {
	if w.opts.Mangle {
		return Mangle(text)
	}
	return text
}

var bareURL = regexp.MustCompile(`(^|\s)(https?://[^\s<>]+)`)

// Mangle does to a text what Slack's composers are known to do: curly quotes, an em
// dash for two hyphens, a no-break space, links in angle brackets.
func Mangle(text string) string {
	text = bareURL.ReplaceAllString(text, "$1<$2>")
	text = strings.ReplaceAll(text, "--", "—")
	for _, q := range []struct{ straight, open, shut string }{{`"`, "“", "”"}, {`'`, "‘", "’"}} {
		for strings.Contains(text, q.straight) {
			text = strings.Replace(text, q.straight, q.open, 1)
			text = strings.Replace(text, q.straight, q.shut, 1)
		}
	}
	return strings.Replace(text, " ", "\u00a0", 1)
}
