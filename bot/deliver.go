package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/slack-go/slack"
)

// deliver claims one message, known by what was put at mark, sends it and notes what
// became of it.
func (s *Sender) deliver(ctx context.Context, key string, mark int64) result {
	c, err := s.o.Queue.Claim(ctx, s.holder, key)
	switch {
	case errors.Is(err, ErrGone):
		return result{key: key, end: gone, version: mark}
	case errors.Is(err, ErrNotHolder):
		return result{key: key, end: lostLease}
	case err != nil:
		s.log.Warn("a message could not be claimed", "key", key, "err", err)
		return result{key: key, end: later, wait: 2 * time.Second}
	}
	if !c.Expires.IsZero() && time.Now().After(c.Expires) {
		return s.drop(ctx, c, "its time was over before Slack took it")
	}
	root := Root{Place: Place{Channel: c.Channel, TS: c.Thread}}
	if c.Under != "" {
		if root, err = s.o.Queue.Root(ctx, c.Under); err != nil {
			return s.later(ctx, c, 2*time.Second, c.Doubt)
		}
		switch {
		case root.Dropped:
			return s.otherWay(ctx, c, "the message it belongs to could not be posted")
		case !root.Posted:
			return s.later(ctx, c, 2*time.Second, c.Doubt)
		}
	}
	if c.uploads() {
		return s.deliverFile(ctx, c, root.Place)
	}
	if c.Doubt && c.Act == Post {
		ts, err := s.find(ctx, root.Place, c.Tried, hasKey(c.Key))
		switch {
		case errors.Is(err, errUnreadable): // the post itself will say why
		case err != nil:
			return s.failed(ctx, c, lookup(root.Place), err, true)
		case ts != "":
			s.log.Info("a post whose reply was lost was found", "key", key, "ts", ts)
			return s.sent(ctx, c, Place{Channel: root.Channel, TS: ts})
		}
	}
	if c.Act == Respond && c.Tries > 3 {
		return s.otherWay(ctx, c, "its response_url did not answer")
	}
	p, err := s.call(ctx, c, root.Place)
	if err != nil {
		return s.failed(ctx, c, c.method(), err, false)
	}
	return s.sent(ctx, c, p)
}

// call delivers the message. root is the thread's root for a Post or Whisper, and the
// message to change for an Edit.
func (s *Sender) call(ctx context.Context, c Claimed, root Place) (Place, error) {
	blocks, err := decodeBlocks(c.Blocks)
	if err != nil {
		return Place{}, slack.SlackErrorResponse{Err: "invalid_blocks"}
	}
	if err := ctx.Err(); err != nil {
		return Place{}, fmt.Errorf("%w: %w", errNoCall, err)
	}
	text := clip(c.Text, maxText)
	options := []slack.MsgOption{slack.MsgOptionText(text, false), slack.MsgOptionParse(false), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl()}
	if len(blocks) > 0 {
		options = append(options, slack.MsgOptionBlocks(blocks...))
	}
	switch c.Act {
	case Post:
		options = append(options, slack.MsgOptionMetadata(slack.SlackMetadata{EventType: metadataType, EventPayload: map[string]any{"key": c.Key}}))
		if root.TS != "" {
			options = append(options, slack.MsgOptionTS(root.TS))
		}
		channel, ts, err := s.o.Slack.PostMessageContext(ctx, root.Channel, options...)
		return Place{Channel: channel, TS: ts}, err
	case Edit:
		// Without blocks chat.update keeps the old ones, buttons and all.
		options = []slack.MsgOption{slack.MsgOptionText(text, false), slack.MsgOptionParse(false), slack.MsgOptionBlocks(blocks...)}
		_, _, _, err := s.o.Slack.UpdateMessageContext(ctx, root.Channel, root.TS, options...)
		return root, err
	case Whisper:
		options = options[:2]
		if len(blocks) > 0 {
			options = append(options, slack.MsgOptionBlocks(blocks...))
		}
		if root.TS != "" {
			options = append(options, slack.MsgOptionTS(root.TS))
		}
		_, err := s.o.Slack.PostEphemeralContext(ctx, root.Channel, c.User, options...)
		return Place{}, err
	case Respond:
		m := &slack.WebhookMessage{Text: text, ResponseType: "ephemeral"}
		if len(blocks) > 0 {
			m.Blocks = &slack.Blocks{BlockSet: blocks}
		}
		return Place{}, slack.PostWebhookCustomHTTPContext(ctx, c.URL, s.o.HTTP, m)
	}
	return Place{}, slack.SlackErrorResponse{Err: "unknown act " + string(c.Act)}
}

// decodeBlocks keeps each block as it was encoded.
func decodeBlocks(raw json.RawMessage) ([]slack.Block, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var all []json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	blocks := make([]slack.Block, len(all))
	for i := range all {
		b, err := slack.BlockFromJSON(string(all[i]))
		if err != nil {
			return nil, err
		}
		blocks[i] = b
	}
	return blocks, nil
}

// settleTime is how long Slack may still be carrying out a call whose reply was lost.
const settleTime = 3 * time.Second

// failed notes what an error of a call means.
func (s *Sender) failed(ctx context.Context, c Claimed, method string, err error, looking bool) result {
	v := judge(err)
	if errors.Is(err, errNoCall) {
		v = verdict{kind: again}
	}
	// While looking for a post, what was in doubt still is.
	doubt := c.Act == Post && (v.doubt || looking)
	s.log.Warn("Slack did not take a message", "key", c.Key, "method", method, "try", c.Tries, "err", errorWord(err))
	switch v.kind {
	case limited:
		r := s.later(ctx, c, v.after, doubt)
		if key := s.rateKey(ctx, c, method); key != "" {
			r.block = key
			s.keep(ctx, func(ctx context.Context) error { return s.o.Budget.Block(ctx, key, v.after) })
		}
		return r
	case again:
		wait := resendWait(c.Tries)
		if doubt {
			wait = max(wait, settleTime) // before it is looked for
		}
		return s.later(ctx, c, wait, doubt)
	case away:
		s.log.Error("Slack refuses the app; what it has to say waits", "key", c.Key, "method", method, "err", errorWord(err))
		return s.later(ctx, c, max(resendWait(c.Tries), 30*time.Second), doubt)
	case malformed:
		if len(c.Blocks) > 0 {
			m := c.Message
			m.Blocks, m.Text = nil, clip(m.Text, maxText-100)
			s.log.Error("Slack cannot show a message; sending its text alone", "key", c.Key, "err", errorWord(err))
			return s.rewrite(ctx, c, m)
		}
	}
	return s.otherWay(ctx, c, errorWord(err))
}

// rateKey names the rate that a 429 blocks.
func (s *Sender) rateKey(ctx context.Context, c Claimed, method string) string {
	channel := c.Channel
	if c.Under != "" {
		if root, err := s.o.Queue.Root(ctx, c.Under); err == nil && root.Posted {
			channel = root.Channel
		}
	}
	if all := rates(method, channel, false); len(all) > 0 {
		return all[0].Key
	}
	return ""
}

func (s *Sender) sent(ctx context.Context, c Claimed, p Place) result {
	if !s.keep(ctx, func(ctx context.Context) error { return s.o.Queue.Sent(ctx, c, p) }) {
		return result{key: c.Key, end: later, wait: resendWait(c.Tries), version: c.Version}
	}
	return result{key: c.Key, end: sent, version: c.Version, root: Root{Place: p, Posted: p.TS != "" && c.Act == Post}}
}

func (s *Sender) later(ctx context.Context, c Claimed, wait time.Duration, doubt bool) result {
	s.keep(ctx, func(ctx context.Context) error { return s.o.Queue.Later(ctx, c, wait, doubt) })
	return result{key: c.Key, end: later, wait: wait, version: c.Version}
}

func (s *Sender) rewrite(ctx context.Context, c Claimed, m Message) result {
	s.keep(ctx, func(ctx context.Context) error { return s.o.Queue.Rewrite(ctx, c, m) })
	return result{key: c.Key, end: rewritten, version: c.Version}
}

func (s *Sender) drop(ctx context.Context, c Claimed, why string) result {
	s.log.Warn("a message is dropped", "key", c.Key, "why", why)
	s.keep(ctx, func(ctx context.Context) error { return s.o.Queue.Drop(ctx, c, why) })
	return result{key: c.Key, end: gone, version: c.Version, root: Root{Dropped: c.Act == Post}}
}
