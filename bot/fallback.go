package bot

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/slack-go/slack"
)

// otherWay finds another way for a message that cannot be delivered as it should: first a
// direct message to its User, then its URL, each once; a Whisper the other way round.
// An edit, or a message without another way, is dropped and logged.
func (s *Sender) otherWay(ctx context.Context, c Claimed, why string) result {
	m := c.Message
	mayRespond := m.URL != "" && m.Act != Respond && m.Act != Edit
	mayTell := m.User != "" && m.Act != Edit
	switch {
	case mayRespond && (m.Act == Whisper || !mayTell):
		m.Act, m.Thread, m.Under = Respond, "", ""
		m.Blocks = withoutActions(m.Blocks)
		s.log.Warn("a message goes to its response_url instead", "key", c.Key, "why", why)
		return s.rewrite(ctx, c, m)
	case mayTell:
		dm, err := s.openDM(ctx, m.User)
		if err != nil && judge(err).kind != unfit {
			return s.failed(ctx, c, "conversations.open", err, c.Doubt)
		}
		if err == nil {
			if c.Act == Post {
				m = withNote(m, why)
			}
			m.Act, m.Channel, m.Thread, m.Under, m.User = Post, dm, "", "", ""
			if c.Act == Respond {
				m.URL = ""
			}
			s.log.Warn("a message goes to its person directly instead", "key", c.Key, "why", why)
			return s.rewrite(ctx, c, m)
		}
		if mayRespond {
			m.Act, m.Thread, m.Under, m.User = Respond, "", "", ""
			return s.rewrite(ctx, c, m)
		}
	}
	s.log.Error("a message could not be delivered", "key", c.Key, "act", c.Act, "channel", c.Channel, "user", c.User, "why", why)
	return s.drop(ctx, c, why)
}

// withNote says at its head why a post is not where it should be.
func withNote(m Message, why string) Message {
	reason := map[string]string{
		"not_in_channel":    "I am not a member of it; invite me there",
		"channel_not_found": "I cannot see it; invite me there",
		"is_archived":       "it is archived",
	}[why]
	if reason == "" {
		reason = escape(why)
	}
	note := fmt.Sprintf("I could not say this in %s: %s.", channelRef(m.Channel), reason)
	m.Text = clip(note+"\n"+m.Text, maxText)
	if len(m.Blocks) > 0 {
		blocks, err := decodeBlocks(withoutActions(m.Blocks))
		if err != nil {
			m.Blocks = nil
			return m
		}
		m.Blocks = encodeBlocks(append([]slack.Block{slack.NewSectionBlock(mrkdwn(note), nil, nil)}, blocks[:min(len(blocks), maxBlocks-1)]...))
	}
	return m
}

// withoutActions takes the buttons away: whoever reads it alone may not vote on it.
func withoutActions(raw json.RawMessage) json.RawMessage {
	blocks, err := decodeBlocks(raw)
	if err != nil || len(blocks) == 0 {
		return nil
	}
	var left []slack.Block
	for _, b := range blocks {
		if b.BlockType() != slack.MBTAction {
			left = append(left, b)
		}
	}
	return encodeBlocks(left)
}

func (s *Sender) openDM(ctx context.Context, user string) (string, error) {
	if err := s.allow(ctx, rates("conversations.open", "", false)); err != nil {
		return "", err
	}
	c, _, _, err := s.o.Slack.OpenConversationContext(ctx, &slack.OpenConversationParameters{Users: []string{user}, ReturnIM: true})
	if err != nil {
		return "", err
	}
	return c.ID, nil
}
