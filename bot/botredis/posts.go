package botredis

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"twokey/bot"
)

// Root returns the post of this key.
func (b *Outbox) Root(ctx context.Context, key string) (bot.Root, error) {
	got, err := b.rdb.HMGet(ctx, outboxMessage(key), "channel", "ts", "state").Result()
	if err != nil {
		return bot.Root{}, fmt.Errorf("post %s: %w", key, err)
	}
	channel, _ := got[0].(string)
	ts, _ := got[1].(string)
	return bot.Root{Place: bot.Place{Channel: channel, TS: ts}, Posted: ts != "", Dropped: got[2] == "dropped"}, nil
}

// Posted returns where the post of this key is, and false if it is not made.
func (b *Outbox) Posted(ctx context.Context, key string) (bot.Place, bool, error) {
	r, err := b.Root(ctx, key)
	return r.Place, r.Posted, err
}

// KeyAt returns the key of the post at a place. A post is known here a moment after
// Slack shows it, or longer if Slack's reply was lost: see Queue.Claim.
func (b *Outbox) KeyAt(ctx context.Context, p bot.Place) (string, bool, error) {
	key, err := b.rdb.Get(ctx, outboxAt(p.Channel, p.TS)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("post at %s %s: %w", p.Channel, p.TS, err)
	}
	return key, true, nil
}
