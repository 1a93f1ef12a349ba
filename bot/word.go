package bot

import (
	"context"
	"time"

	"github.com/slack-go/slack"
)

// urlLife is how long a response_url is used. Slack keeps it 30 minutes.
const urlLife = 29 * time.Minute

// word is a deed being handled: what a person did, and the way to answer them.
// What it says has keys made of the item's, so that a repeated handling says it once.
type word struct {
	deed
	s    *Server
	item Item
}

// key is the Outbox key of an answer; what tells several answers apart.
func (w word) key(what string) string {
	k := "reply:" + w.item.Key
	if what != "" {
		k += ":" + what
	}
	return k
}

// root is the thread a mention or a direct message is answered in. A mention
// outside a thread starts one; a direct message does not.
func (w word) root() string {
	if w.Thread == "" && w.Via == viaMention {
		return w.TS
	}
	return w.Thread
}

// url is the response_url while it lasts, else empty.
func (w word) url() string {
	if time.Since(w.item.Received) > urlLife {
		return ""
	}
	return w.URL
}

// reply answers where the person spoke: a command to them alone, a mention in its
// thread, a direct message there.
func (w word) reply(ctx context.Context, what, text string, blocks ...slack.Block) error {
	m := Message{Key: w.key(what), Urgency: Urgent, User: w.User, Channel: w.Channel, Thread: w.root(), Text: text}
	typed := w.Via == viaCommand || w.Via == viaDM
	switch {
	case typed && w.url() != "":
		m.Act, m.URL, m.Expires = Respond, w.url(), w.item.Received.Add(urlLife)
	case w.Via == viaMention || w.Via == viaDM:
		m.Act = Post
	default:
		m.Act = Whisper
	}
	return w.put(ctx, m, blocks)
}

// whisper tells the person alone. In a direct message an ordinary reply does.
func (w word) whisper(ctx context.Context, what, text string) error {
	if w.Via == viaCommand || w.Via == viaDM {
		return w.reply(ctx, what, text)
	}
	m := Message{Key: w.key(what), Act: Whisper, Urgency: Urgent, User: w.User, Channel: w.Channel, Thread: w.root(), Text: text}
	if u := w.url(); u != "" {
		m.URL, m.Expires = u, w.item.Received.Add(urlLife)
	}
	return w.put(ctx, m, nil)
}

func (w word) put(ctx context.Context, m Message, blocks []slack.Block) error {
	if len(blocks) > 0 {
		m.Blocks = encodeBlocks(blocks)
	}
	return w.s.o.Outbox.Put(ctx, m)
}
