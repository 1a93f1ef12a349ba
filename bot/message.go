package bot

import (
	"context"
	"encoding/json"
	"time"
)

// Message is something to be said in Slack, once per Key.
//
// Keys: "card:<id>" the request card; "status:<id>" the status message; "event:<id>:<seq>"
// a reply for a run's event, and with ":file" the file of its ending; "reply:<inbox key>" an answer to what a person did. An Edit
// has a key of its own: "edit:" and the key of the post it edits.
type Message struct {
	Key     string  `json:"key"`
	Act     Act     `json:"act"`
	Urgency Urgency `json:"urgency"`

	Channel string `json:"channel,omitempty"`
	Thread  string `json:"thread,omitempty"` // ts of the root to reply under
	// Under is the key of the post in whose thread this goes, or, for an Edit, the
	// post to edit. The message waits until that post was made.
	Under string `json:"under,omitempty"`
	// User: of a Whisper, who alone sees it. Of a Post or Respond, who is told in a
	// direct message if it cannot be delivered where it should go; empty: nobody.
	User string `json:"user,omitempty"`
	// URL is a response_url. Respond uses it; Post and Whisper fall back to it
	// when the bot may not speak in the channel.
	URL string `json:"url,omitempty"`

	Text   string          `json:"text"` // mrkdwn, escaped; notification text when there are blocks
	Blocks json.RawMessage `json:"blocks,omitempty"`
	// File, of a Post, is shown with Text. Blocks are then only for the post that takes its
	// place where Slack refuses the file.
	File *File `json:"file,omitempty"`
	// Rev orders the Edits of one key: one with a lower Rev than an Edit put before is
	// dropped, so that a slow replica cannot bring back an older state. Zero: the Edit
	// put last wins.
	Rev int64 `json:"rev,omitempty"`
	// Expires: not sent after this. Zero: never dropped.
	Expires time.Time `json:"expires,omitzero"`
}

// File is a text shown as a file. What its sender has come to stands in it too.
type File struct {
	Name    string `json:"name"`
	Content string `json:"content"` // not empty

	ID      string    `json:"id,omitempty"`      // Slack's; its bytes are in Slack
	Begun   time.Time `json:"begun,omitzero"`    // its upload
	Uploads int       `json:"uploads,omitempty"` // begun so far
	Shared  bool      `json:"shared,omitempty"`  // Slack said that it will show it
}

// Act is how a message is delivered.
type Act string

// The acts.
const (
	Post    Act = "post"    // chat.postMessage, or with a File files.completeUploadExternal
	Edit    Act = "edit"    // chat.update
	Whisper Act = "whisper" // chat.postEphemeral
	Respond Act = "respond" // response_url, seen by the person alone
)

// Urgency orders the outbox. Lower first.
type Urgency int

// Urgent: answers to a person, cards, card edits, endings. Normal: milestones.
// Live: progress edits, merged and first to wait.
const (
	Urgent Urgency = iota
	Normal
	Live
)

// Outbox takes messages to be sent. Put is durable and idempotent: a Post, Whisper
// or Respond whose key was put in the last 90 days is dropped; an Edit replaces one of
// its key that was not sent yet, and is dropped if it shows what the post shows.
type Outbox interface {
	Put(ctx context.Context, m Message) error
}

// Place is where a post is.
type Place struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

// Posts remembers what was posted where, for as long as Redis keeps the run.
type Posts interface {
	// Posted returns where the post of this key is, and false if it is not made.
	Posted(ctx context.Context, key string) (Place, bool, error)
	// KeyAt returns the key of the post at a place.
	KeyAt(ctx context.Context, p Place) (string, bool, error)
}

// Origin is where and how a request was asked, kept under the request's id.
type Origin struct {
	Via     string `json:"via"`     // "command", "mention", "dm", "superseded"
	Channel string `json:"channel"` // where the card goes
	Thread  string `json:"thread,omitempty"`
	User    string `json:"user"`
	Team    string `json:"team"`
	URL     string `json:"url,omitempty"` // response_url, while it lasts
	Text    string `json:"text,omitempty"`
}

// Threads keeps what the bot knows about the thread of each request and run.
type Threads interface {
	SetOrigin(ctx context.Context, id string, o Origin) error
	Origin(ctx context.Context, id string) (Origin, bool, error)
	// Cursor is the Seq of the run's last event that was put into the outbox.
	Cursor(ctx context.Context, id string) (int64, error)
	SetCursor(ctx context.Context, id string, seq int64) error
}

// Item is one thing a person did in Slack, as received.
type Item struct {
	// Key is the effect's identity: "command:<trigger_id>", "message:<channel>:<ts>",
	// "action:<channel>:<message ts>:<action_ts>:<user>", "reaction:<added|removed>:<channel>:<ts>:<user>:<emoji>:<event_ts>".
	Key      string          `json:"key"`
	Kind     string          `json:"kind"` // "command", "event", "action"
	Payload  json.RawMessage `json:"payload"`
	Received time.Time       `json:"received"`
	Tries    int             `json:"tries"`
}

// Inbox keeps items from their acceptance until they are done.
type Inbox interface {
	// Accept stores the item unless its key was accepted within the last day, and
	// reports whether it is new. When it returns nil error the item will be dealt with.
	Accept(ctx context.Context, i Item) (bool, error)
	// Take leases the oldest item nobody works on; false: none.
	Take(ctx context.Context, lease time.Duration) (Item, bool, error)
	// Done forgets the item, keeping its key for a day.
	Done(ctx context.Context, key string) error
	// Retry gives the item back, to be taken again after wait.
	Retry(ctx context.Context, key string, wait time.Duration) error
}
