package slacksim

import (
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Lengths of message text, in characters. Sources: chat.postMessage, chat.update and
// chat.postEphemeral pages; the split is only reported (java-slack-sdk issue 704).
const (
	textSplit = 4046
	textShort = 4000
	textCut   = 40_000
)

// writable finds a channel the bot may post to; w.mu is held.
func (w *Workspace) writable(id string) (*Channel, *apiError) {
	c := w.channel(id)
	switch {
	case c == nil:
		return nil, refuse("channel_not_found")
	case !c.has(w.opts.BotUser) && c.kind() != "channel":
		return nil, refuse("channel_not_found")
	case c.Archived:
		return nil, refuse("is_archived")
	case !c.has(w.opts.BotUser):
		return nil, refuse("not_in_channel")
	}
	return c, nil
}

// body is what a message says.
type body struct {
	text                                     string
	blocks                                   json.RawMessage // nil: none, or emptied
	attachments                              json.RawMessage
	metadata                                 json.RawMessage
	files                                    []File
	hasText, hasBlocks, hasAttach, clearMeta bool
}

// bodyOf reads and checks the content arguments of a call.
func bodyOf(q *request) (body, *apiError) {
	b := body{text: q.args["text"], hasText: q.has("text")}
	if raw := q.args["blocks"]; raw != "" && raw != "null" {
		blocks, fail := checkBlocks(raw)
		if fail != nil {
			return b, fail
		}
		b.blocks, b.hasBlocks = blocks, true
	}
	if raw := q.args["attachments"]; raw != "" && raw != "null" {
		var list []json.RawMessage
		if json.Unmarshal([]byte(raw), &list) != nil {
			return b, blame("invalid_attachments", "attachments are not a JSON array")
		}
		if b.hasAttach = true; len(list) > 0 {
			b.attachments = json.RawMessage(raw)
		}
	}
	if raw := q.args["metadata"]; raw != "" && raw != "null" {
		meta, fail := checkMetadata(raw)
		if fail != nil {
			return b, fail
		}
		b.metadata, b.clearMeta = meta, meta == nil
	}
	if b.blocks != nil && b.text == "" && q.method != "response_url" {
		q.warnings = append(q.warnings, "missing_text_in_message")
	}
	return b, nil
}

func (b *body) empty() bool { return b.text == "" && b.blocks == nil && b.attachments == nil }

// checkMetadata returns nil for an empty object, which clears.
func checkMetadata(raw string) (json.RawMessage, *apiError) {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(raw), &fields) != nil {
		return nil, blame("invalid_metadata_format", "metadata is not a JSON object")
	}
	if len(fields) == 0 {
		return nil, nil
	}
	var m struct {
		Type    string         `json:"event_type"`
		Payload map[string]any `json:"event_payload"`
	}
	if json.Unmarshal([]byte(raw), &m) != nil || m.Type == "" || m.Payload == nil {
		return nil, blame("invalid_metadata_format", "metadata wants event_type and an object event_payload")
	}
	if len(raw) > 16<<10 {
		return nil, blame("metadata_too_large", "metadata of %d bytes", len(raw))
	}
	return json.RawMessage(raw), nil
}

// threadRoot checks thread_ts; it returns the thread to post into, empty when the root
// is gone: Slack then posts into the channel.
func (w *Workspace) threadRoot(channel, ts string) (string, *apiError) {
	if ts == "" {
		return "", nil
	}
	root := find(w.messages[channel], func(m *Message) bool { return m.TS == ts })
	switch {
	case root == nil:
		return "", blame("invalid_thread_ts", "thread_ts %s is no message of %s", ts, channel)
	case root.Thread != "":
		return "", blame("cannot_reply_to_message", "thread_ts %s is a reply, its root is %s", ts, root.Thread)
	case root.Deleted && root.Subtype != "tombstone":
		return "", nil
	}
	return ts, nil
}

func postMessage(w *Workspace, q *request) (map[string]any, *apiError) {
	id := q.args["channel"]
	if p := w.person(id); p != nil && !p.Bot { // a user id posts to the direct channel
		id = w.dm(p.ID).ID
	}
	c, fail := w.writable(id)
	if fail != nil {
		return nil, fail
	}
	b, fail := bodyOf(q)
	if fail != nil {
		return nil, fail
	}
	if b.empty() {
		return nil, blame("no_text", "neither text nor blocks")
	}
	if n := textIn(b.blocks); n > blocksTotal {
		return nil, blame("msg_blocks_too_long", "%d characters in blocks, more than %d", n, blocksTotal)
	}
	thread, fail := w.threadRoot(c.ID, q.args["thread_ts"])
	if fail != nil {
		return nil, fail
	}
	w.fitText(q.method, &b)
	m := w.post(c, w.person(w.opts.BotUser), thread, b, "chat.postMessage")
	q.call.TS = m.TS
	return map[string]any{"channel": c.ID, "ts": m.TS, "message": w.object(m, true)}, nil
}

// fitText does to a long text of a new message what Slack does; w.mu is held.
func (w *Workspace) fitText(method string, b *body) {
	switch n := utf8.RuneCountInString(b.text); {
	case n > textCut:
		w.violate(method, "text of %d characters was cut at %d", n, textCut)
		b.text = string([]rune(b.text)[:textCut])
	case n > textSplit:
		w.violate(method, "text of %d characters may be split by Slack", n)
	}
}

// post stores a new message and tells the app; w.mu is held.
func (w *Workspace) post(c *Channel, from *Person, thread string, b body, via string) *Message {
	m := &Message{
		Channel: c.ID, TS: w.newTS(), Thread: thread, User: from.ID, BotID: from.botID, Text: b.text,
		Blocks: b.blocks, Attachments: b.attachments, Metadata: b.metadata, Files: b.files, Via: via, Posted: time.Now(),
	}
	if from.Bot && from.ID != w.opts.BotUser {
		m.Subtype = "bot_message"
	}
	w.messages[c.ID] = append(w.messages[c.ID], m)
	w.touch()
	w.sendMessage(c, from, m)
	return m
}

func update(w *Workspace, q *request) (map[string]any, *apiError) {
	c, fail := w.writable(q.args["channel"])
	if fail != nil {
		return nil, fail
	}
	b, fail := bodyOf(q)
	if fail != nil {
		return nil, fail
	}
	if n := utf8.RuneCountInString(b.text); n > textShort {
		return nil, blame("msg_too_long", "text of %d characters, at most %d", n, textShort)
	}
	m := w.message(c.ID, q.args["ts"])
	switch {
	case m == nil:
		return nil, refuse("message_not_found")
	case m.User != w.opts.BotUser:
		return nil, blame("cant_update_message", "message %s is by %s", m.TS, m.User)
	case !b.hasText && !b.hasBlocks && !b.hasAttach && b.metadata == nil && !b.clearMeta:
		return nil, blame("no_text", "nothing to change")
	case b.hasBlocks && b.blocks == nil && b.text == "" && !b.hasAttach:
		return nil, blame("no_text", "an edit that leaves an empty message")
	}
	w.edit(c, m, b)
	return map[string]any{"channel": c.ID, "ts": m.TS, "text": m.Text, "message": w.object(m, true)}, nil
}

// edit changes a message, keeping what the edit does not name: a text alone leaves
// the blocks; w.mu is held.
func (w *Workspace) edit(c *Channel, m *Message, b body) {
	before := w.object(m, false)
	m.Edits = append(m.Edits, Version{Until: time.Now(), Text: m.Text, Blocks: m.Blocks})
	if b.hasText || b.hasBlocks {
		m.Text = b.text
	}
	if b.hasBlocks {
		m.Blocks = b.blocks
	}
	if b.hasAttach {
		m.Attachments = b.attachments
	}
	if b.metadata != nil || b.clearMeta {
		m.Metadata = b.metadata
	}
	m.EditedAt, m.EditedTS = time.Now(), w.newTS()
	w.touch()
	w.sendChanged(c, m, before)
}

func deleteMessage(w *Workspace, q *request) (map[string]any, *apiError) {
	c, fail := w.writable(q.args["channel"])
	if fail != nil {
		return nil, fail
	}
	m := w.message(c.ID, q.args["ts"])
	switch {
	case m == nil:
		return nil, refuse("message_not_found")
	case m.User != w.opts.BotUser:
		return nil, blame("cant_delete_message", "message %s is by %s", m.TS, m.User)
	}
	w.remove(c, m)
	return map[string]any{"channel": c.ID, "ts": m.TS}, nil
}

// remove deletes a message; a root with replies leaves a tombstone; w.mu is held.
func (w *Workspace) remove(c *Channel, m *Message) {
	before := w.object(m, false)
	m.Edits = append(m.Edits, Version{Until: time.Now(), Text: m.Text, Blocks: m.Blocks})
	if m.Thread == "" && w.replyCount(m) > 0 {
		m.Subtype, m.Text = "tombstone", "This message was deleted."
		m.Blocks, m.Attachments, m.Metadata, m.Reactions, m.Files = nil, nil, nil, nil, nil
	}
	m.Deleted = true
	w.touch()
	w.sendDeleted(c, m, before)
}

func postEphemeral(w *Workspace, q *request) (map[string]any, *apiError) {
	c, fail := w.writable(q.args["channel"])
	if fail != nil {
		return nil, fail
	}
	b, fail := bodyOf(q)
	if fail != nil {
		return nil, fail
	}
	if n := utf8.RuneCountInString(b.text); n > textShort {
		return nil, blame("msg_too_long", "text of %d characters, at most %d", n, textShort)
	}
	if b.empty() {
		return nil, blame("no_text", "neither text nor blocks")
	}
	if !c.has(q.args["user"]) {
		return nil, refuse("user_not_in_channel")
	}
	thread, fail := w.threadRoot(c.ID, q.args["thread_ts"])
	if fail != nil {
		return nil, fail
	}
	e := w.whisper(c.ID, q.args["user"], w.opts.BotUser, thread, b, "chat.postEphemeral")
	q.call.TS = e.TS
	return map[string]any{"message_ts": e.TS}, nil
}

// whisper shows one person something; w.mu is held.
func (w *Workspace) whisper(channel, user, from, thread string, b body, via string) *Ephemeral {
	e := &Ephemeral{
		Channel: channel, TS: w.newTS(), Thread: thread, User: user, From: from,
		Text: b.text, Blocks: b.blocks, Via: via, Posted: time.Now(),
	}
	w.ephemerals = append(w.ephemerals, e)
	w.touch()
	return e
}
