package bot

import (
	"context"
	"fmt"
	"time"

	"github.com/slack-go/slack"
)

// metadataType is the event_type of every post's metadata; its payload is {"key": …}.
const metadataType = "twokey"

// searchPages bounds a search: pages of 200 messages.
const searchPages = 25

// lookup is the method that finds replies under root, or posts in its channel.
func lookup(root Place) string {
	if root.TS != "" {
		return "conversations.replies"
	}
	return "conversations.history"
}

// find looks for a post of this key made since the first attempt; "" if there is
// none. A search that reaches its bound finds nothing: 5,000 messages came since.
func (s *Sender) find(ctx context.Context, c Claimed, root Place) (string, error) {
	// Redis and Slack do not share a clock.
	oldest := fmt.Sprintf("%d.000000", c.Tried.Add(-2*time.Minute).Unix())
	cursor := ""
	for range searchPages {
		if err := s.allow(ctx, lookup(root)); err != nil {
			return "", err
		}
		messages, next, err := s.messages(ctx, root, oldest, cursor)
		switch {
		case err != nil && judge(err).kind == unfit:
			return "", nil // not readable: the post itself will say why
		case err != nil:
			return "", err
		}
		for _, m := range messages {
			if m.Metadata.EventType == metadataType && m.Metadata.EventPayload["key"] == c.Key {
				return m.Timestamp, nil
			}
		}
		if cursor = next; cursor == "" {
			return "", nil
		}
	}
	s.log.Error("a post whose reply was lost was not found among the newest messages; posting it again", "key", c.Key, "messages", searchPages*200)
	return "", nil
}

// messages reads a page of a channel's posts or of a thread.
func (s *Sender) messages(ctx context.Context, root Place, oldest, cursor string) ([]slack.Message, string, error) {
	if root.TS != "" {
		found, _, next, err := s.o.Slack.GetConversationRepliesContext(ctx, &slack.GetConversationRepliesParameters{
			ChannelID: root.Channel, Timestamp: root.TS, Oldest: oldest, Cursor: cursor, Limit: 200, IncludeAllMetadata: true,
		})
		return found, next, err
	}
	found, err := s.o.Slack.GetConversationHistoryContext(ctx, &slack.GetConversationHistoryParameters{
		ChannelID: root.Channel, Oldest: oldest, Cursor: cursor, Limit: 200, IncludeAllMetadata: true,
	})
	if err != nil {
		return nil, "", err
	}
	return found.Messages, found.ResponseMetaData.NextCursor, nil
}

// allow waits until the budget allows a call of a method that has no channel.
func (s *Sender) allow(ctx context.Context, method string) error {
	for {
		wait, _, err := s.o.Budget.Take(ctx, rates(method, "", false))
		if err != nil {
			return err
		}
		if wait <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errNoCall, ctx.Err())
		case <-time.After(wait):
		}
	}
}
