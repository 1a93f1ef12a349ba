package bot

import (
	"context"
	"errors"
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

// errUnreadable says that Slack does not let the app look where it wants to.
var errUnreadable = errors.New("the messages there cannot be read")

// hasKey tells the post of this key.
func hasKey(key string) func(slack.Message) bool {
	return func(m slack.Message) bool {
		return m.Metadata.EventType == metadataType && m.Metadata.EventPayload["key"] == key
	}
}

// find looks for a post made since; "" if there is none. more are rates its calls use
// beside their own. A search that reaches its bound finds nothing: 5,000 messages came since.
func (s *Sender) find(ctx context.Context, root Place, since time.Time, is func(slack.Message) bool, more ...Rate) (string, error) {
	// Neither Redis nor this machine shares a clock with Slack.
	oldest := fmt.Sprintf("%d.000000", since.Add(-2*time.Minute).Unix())
	cursor := ""
	for range searchPages {
		if err := s.allow(ctx, append(rates(lookup(root), "", false), more...)); err != nil {
			return "", err
		}
		messages, next, err := s.messages(ctx, root, oldest, cursor)
		switch {
		case err != nil && judge(err).kind == unfit:
			return "", fmt.Errorf("%w: %w", errUnreadable, err)
		case err != nil:
			return "", err
		}
		for _, m := range messages {
			if is(m) {
				return m.Timestamp, nil
			}
		}
		if cursor = next; cursor == "" {
			return "", nil
		}
	}
	s.log.Error("a post whose reply was lost was not found among the newest messages", "channel", root.Channel, "thread", root.TS, "messages", searchPages*200)
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

// allow waits until the budget allows a call that uses these rates.
func (s *Sender) allow(ctx context.Context, rates []Rate) error {
	for {
		wait, _, err := s.o.Budget.Take(ctx, rates)
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
