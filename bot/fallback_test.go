package bot_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"twokey/bot"
	"twokey/bot/slacksim"
)

func votes(text string) json.RawMessage {
	button := slack.NewButtonBlockElement("approve", "1", slack.NewTextBlockObject(slack.PlainTextType, "Approve", false, false))
	b, _ := json.Marshal([]slack.Block{
		slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, text, false, false), nil, nil),
		slack.NewActionBlock("votes", button),
	})
	return b
}

// A card that cannot be posted goes to who asked, with its thread and without its
// buttons; what nobody can be told is dropped, and nothing waits for ever.
func TestSenderUndeliverable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		defer s.sender(s.http)()
		card := root("card:A")
		card.Channel, card.Blocks = "C0AWAY", votes("the card")
		status, nobody, below := reply("status:A", "card:A"), root("card:B"), reply("status:B", "card:B")
		status.Channel, nobody.Channel, nobody.User, below.Channel = "C0AWAY", "C0AWAY", "", "C0AWAY"
		s.put(card, status, editOf("card:A", "card:A declined", bot.Urgent, 2), nobody, below, editOf("card:B", "x", bot.Urgent, 2))
		s.idle(time.Minute)
		p, ok, err := s.outbox.Posted(t.Context(), "card:A")
		if err != nil || !ok || !strings.HasPrefix(p.Channel, "D") {
			t.Fatal("the card is at", p, ok, err)
		}
		thread := s.sim.Thread(p.Channel, p.TS)
		if len(thread) != 2 || thread[0].Text != "card:A declined" || thread[1].Text != "status:A" {
			t.Errorf("thread %q", texts(thread))
		}
		first := thread[0].Edits[0]
		if want := "I could not say this in <#C0AWAY>: I am not a member of it"; !strings.HasPrefix(first.Text, want) || !strings.Contains(string(first.Blocks), want[:20]) {
			t.Errorf("the direct message does not say why: %q", first.Text)
		}
		if strings.Contains(string(first.Blocks), "actions") {
			t.Error("the requester was given buttons")
		}
		if _, ok, _ := s.outbox.Posted(t.Context(), "card:B"); ok {
			t.Error("card:B has a place")
		}
		s.obeyed()
	})
}

func TestSenderWhispersAndResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		defer s.sender(s.http)()
		s.put(
			bot.Message{Key: "reply:1", Act: bot.Whisper, Channel: "C0OPS", User: "U0BOB", Text: "alone"},
			bot.Message{Key: "reply:2", Act: bot.Whisper, Channel: "C0AWAY", User: "U0BOB", Text: "directly"},
			bot.Message{Key: "reply:3", Act: bot.Respond, Channel: "C0OPS", User: "U0BOB", URL: s.sim.URL() + "/response/none", Text: "answer"},
			bot.Message{Key: "reply:4", Act: bot.Post, Channel: "C0OPS", Text: "too late", Expires: time.Now().Add(-time.Second)},
		)
		s.idle(time.Minute)
		if got := s.sim.Ephemerals("U0BOB"); len(got) != 1 || got[0].Text != "alone" {
			t.Errorf("whispered %v", got)
		}
		var said []string
		for _, m := range s.sim.Channel(s.sim.DM("U0BOB")) {
			said = append(said, m.Text)
		}
		if len(said) != 2 || !strings.Contains(strings.Join(said, "|"), "directly") || !strings.Contains(strings.Join(said, "|"), "answer") {
			t.Errorf("said directly: %q", said)
		}
		if got := texts(s.sim.Channel("C0OPS")); len(got) != 0 {
			t.Errorf("posted %q", got)
		}
	})
}

// What Slack cannot show is said without blocks.
func TestSenderMalformed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		defer s.sender(s.http)()
		s.sim.Fault(slacksim.Fault{Method: "chat.postMessage", Error: "invalid_blocks"})
		s.sim.Fault(slacksim.Fault{Method: "chat.update", Error: "msg_blocks_too_long"})
		card := root("card:A")
		card.Blocks = section("card")
		edit := editOf("card:A", "done", bot.Urgent, 2)
		edit.Blocks = section("done")
		s.put(card)
		s.idle(time.Minute)
		s.put(edit)
		s.idle(time.Minute)
		p, _, _ := s.outbox.Posted(t.Context(), "card:A")
		m := s.sim.Thread(p.Channel, p.TS)[0]
		if m.Text != "done" || m.Blocks != nil || m.Edits[0].Blocks != nil {
			t.Errorf("shown %q %s", m.Text, m.Blocks)
		}
		s.once("card:A")
	})
}
