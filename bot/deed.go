package bot

import (
	"encoding/json"
	"fmt"
	"time"
)

// deed is what Item.Payload holds: the few fields of Slack's payload that the bot
// uses, under its own names. Blocks, attachments and Slack's verification token
// are never decoded and never stored.
type deed struct {
	Via     string `json:"via"` // one of the constants below
	User    string `json:"user"`
	Team    string `json:"team,omitempty"` // as the payload says; never trusted for authority
	Channel string `json:"channel"`
	TS      string `json:"ts,omitempty"`     // of the message, or of the one reacted to or clicked on
	Thread  string `json:"thread,omitempty"` // root of the thread that message is in
	Text    string `json:"text,omitempty"`   // as typed
	URL     string `json:"url,omitempty"`    // response_url
	Approve bool   `json:"approve,omitempty"`
	Emoji   string `json:"emoji,omitempty"` // as Slack names it, with its skin tone
	Value   string `json:"value,omitempty"` // of the button
}

// How a person did it. The first three are also Origin.Via.
const (
	viaCommand    = "command"
	viaMention    = "mention"
	viaDM         = "dm"
	viaClick      = "click"
	viaReaction   = "reaction"
	viaUnreaction = "unreaction"
)

// Kinds of items.
const (
	kindCommand = "command"
	kindEvent   = "event"
	kindAction  = "action"
)

// item makes an item of a deed. Its Received is the present.
func (d deed) item(kind, key string) Item {
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings and booleans always encode
	}
	return Item{Key: key, Kind: kind, Payload: b, Received: time.Now().UTC()}
}

// deedOf reads back what item stored.
func deedOf(i Item) (deed, error) {
	var d deed
	if err := json.Unmarshal(i.Payload, &d); err != nil {
		return deed{}, fmt.Errorf("stored %s %s: %w", i.Kind, i.Key, err)
	}
	return d, nil
}
