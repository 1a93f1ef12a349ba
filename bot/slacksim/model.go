package slacksim

import (
	"encoding/json"
	"slices"
	"time"
)

// Person is a user. The zero flags mean a full member.
type Person struct {
	ID          string // U…
	Name        string // handle, without @
	RealName    string
	Team        string // the workspace the person belongs to
	Admin       bool
	Guest       bool // multi-channel guest (is_restricted)
	SingleGuest bool // single-channel guest (is_restricted and is_ultra_restricted)
	Deactivated bool
	Bot         bool
	Workflow    bool // a workflow's bot; with Bot

	botID string
}

// Group is a user group.
type Group struct {
	ID       string // S…
	Handle   string
	Name     string
	Users    []string
	Disabled bool
}

// Channel is a conversation.
type Channel struct {
	ID         string // C…, G… or D…
	Name       string // without #
	Topic      string
	Private    bool
	Archived   bool
	Shared     bool   // with another workspace (Slack Connect)
	DM         string // a direct channel: the person at the other end
	Members    []string
	WithoutBot bool // AddChannel without Members leaves the bot out
}

func (c *Channel) has(user string) bool { return slices.Contains(c.Members, user) }

// kind is Slack's channel_type.
func (c *Channel) kind() string {
	switch {
	case c.DM != "":
		return "im"
	case c.Private:
		return "group"
	}
	return "channel"
}

// payloadName is the channel_name of commands and clicks.
func (c *Channel) payloadName() string {
	switch {
	case c.DM != "":
		return "directmessage"
	case c.Private:
		return "privategroup"
	}
	return c.Name
}

// Message is a message everyone in the channel can see.
type Message struct {
	Channel     string
	TS          string
	Thread      string // ts of the root; empty for a message of the channel itself
	User        string
	BotID       string // set for messages of apps
	Subtype     string // "bot_message", "tombstone", or empty
	Text        string
	Blocks      json.RawMessage // nil: none
	Attachments json.RawMessage
	Metadata    json.RawMessage // nil: none
	Files       []File
	Via         string // "chat.postMessage", "files.completeUploadExternal", "response_url", "ack", or empty for a person's
	Posted      time.Time
	Reactions   []Reaction
	Edits       []Version // what it was before each edit, oldest first
	EditedAt    time.Time
	EditedTS    string
	Deleted     bool
}

// Reaction is an emoji under a message and who put it there, in order.
type Reaction struct {
	Name  string   `json:"name"`
	Users []string `json:"users"`
}

// Version is what a message showed until it was edited.
type Version struct {
	Until  time.Time
	Text   string
	Blocks json.RawMessage
}

// Ephemeral is a message one person alone can see.
type Ephemeral struct {
	Channel string
	TS      string
	Thread  string
	User    string // who sees it
	From    string // user id of the bot, or USLACKBOT for Slack's own words
	Text    string
	Blocks  json.RawMessage
	Via     string // "chat.postEphemeral", "response_url", "ack", "slack"
	Posted  time.Time
}

func (m *Message) clone() Message {
	c := *m
	c.Reactions = slices.Clone(m.Reactions)
	for i := range c.Reactions {
		c.Reactions[i].Users = slices.Clone(c.Reactions[i].Users)
	}
	c.Edits = slices.Clone(m.Edits)
	return c
}

// Snapshot is a look at the workspace at one instant, given to WaitFor's condition. It is valid
// only inside that call, and the condition must not call the Workspace itself.
type Snapshot struct{ w *Workspace }

// Channel returns the messages of a channel outside threads, oldest first, without deleted ones.
func (s *Snapshot) Channel(channel string) []Message {
	return s.w.visible(channel, func(m *Message) bool { return m.Thread == "" })
}

// Thread returns the root and its replies, oldest first, without deleted ones.
func (s *Snapshot) Thread(channel, ts string) []Message {
	return s.w.visible(channel, func(m *Message) bool { return m.TS == ts || m.Thread == ts })
}

// All returns every message of every channel, oldest first within a channel.
func (s *Snapshot) All() []Message {
	var all []Message
	for _, c := range s.w.channels {
		all = append(all, s.w.visible(c.ID, func(*Message) bool { return true })...)
	}
	return all
}

// Ephemerals returns what the person alone was shown, oldest first.
func (s *Snapshot) Ephemerals(user string) []Ephemeral {
	var es []Ephemeral
	for _, e := range s.w.ephemerals {
		if e.User == user {
			es = append(es, *e)
		}
	}
	return es
}

// Calls returns the log of API calls so far, the last 50,000 at least.
func (s *Snapshot) Calls() []Call { return slices.Clone(s.w.calls) }

// Sockets returns how many Socket Mode connections can carry an envelope: open, not
// frozen, not told to disconnect.
func (s *Snapshot) Sockets() int {
	n := 0
	for _, k := range s.w.sockets {
		if !k.leaving && !k.frozen {
			n++
		}
	}
	return n
}

func (w *Workspace) visible(channel string, keep func(*Message) bool) []Message {
	var ms []Message
	for _, m := range w.messages[channel] {
		if !m.Deleted && keep(m) {
			ms = append(ms, m.clone())
		}
	}
	return ms
}
