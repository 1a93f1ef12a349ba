package botredis

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/bot"
)

// keepDone is how long the key of an item is kept after it was done: Slack
// delivers an event again up to 5 minutes, and was seen to do so hours later.
const keepDone = 24 * time.Hour

// ErrLate says that Redis got the item after the caller's deadline, and stored
// nothing.
var ErrLate = errors.New("redis got the item too late and did not store it")

// Inbox is the bot.Inbox in Redis. All replicas share it.
type Inbox struct{ rdb redis.UniversalClient }

// NewInbox returns an inbox on rdb, which the caller closes. The client should
// have ContextTimeoutEnabled, or its own read timeout outlasts a caller's deadline.
func NewInbox(rdb redis.UniversalClient) *Inbox { return &Inbox{rdb: rdb} }

// inboxNow is Lua for the server's time in milliseconds.
const inboxNow = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
`

// inboxAccept: KEYS due, item. ARGV key, item JSON, nonce, latest ms (0: any time).
var inboxAccept = redis.NewScript(inboxNow + `
local nonce = redis.call('HGET', KEYS[2], 'nonce')
if nonce then
  if nonce == ARGV[3] then return 1 end
  return 0
end
if tonumber(ARGV[4]) > 0 and now >= tonumber(ARGV[4]) then return -1 end
redis.call('HSET', KEYS[2], 'item', ARGV[2], 'nonce', ARGV[3], 'tries', 0)
redis.call('ZADD', KEYS[1], now, ARGV[1])
return 1
`)

// Accept stores the item unless its key is known, and reports whether it is new.
//
// If ctx has a deadline, Redis itself refuses what reaches it later (ErrLate), by
// its own clock. So a command that sat in a socket buffer while Redis hung is not
// carried out after the person was told that it was not taken.
func (b *Inbox) Accept(ctx context.Context, i bot.Item) (bool, error) {
	var latest int64
	if deadline, ok := ctx.Deadline(); ok {
		t, err := b.rdb.Time(ctx).Result()
		if err != nil {
			return false, fmt.Errorf("accept %s: %w", i.Key, err)
		}
		// Redis' clock is at or past t by now, so latest comes before the deadline.
		// The tenth is for the reply: what was stored should be known to be.
		latest = max(1, t.Add(time.Until(deadline)*9/10).UnixMilli())
	}
	i.Tries = 0 // counted by Take
	body, err := json.Marshal(i)
	if err != nil {
		return false, fmt.Errorf("accept %s: %w", i.Key, err)
	}
	n, err := inboxAccept.Run(ctx, b.rdb, []string{inboxDue, inboxItem(i.Key)}, i.Key, body, rand.Text(), latest).Int()
	switch {
	case err != nil:
		return false, fmt.Errorf("accept %s: %w", i.Key, err)
	case n < 0:
		return false, fmt.Errorf("accept %s: %w", i.Key, ErrLate)
	}
	return n == 1, nil
}

// inboxTakeNext: KEYS due, what this nonce took. ARGV lease ms, item key prefix. A member
// of due without an item is dropped.
var inboxTakeNext = redis.NewScript(inboxNow + `
local key = redis.call('GET', KEYS[2])
if not key then
  while true do
    local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)
    key = found[1]
    if not key then return false end
    if redis.call('HEXISTS', ARGV[2] .. key, 'item') == 1 then break end
    redis.call('ZREM', KEYS[1], key)
  end
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), key)
  redis.call('HINCRBY', ARGV[2] .. key, 'tries', 1)
  redis.call('SET', KEYS[2], key, 'PX', 60000)
end
local item = redis.call('HMGET', ARGV[2] .. key, 'item', 'tries')
if not item[1] then return false end
return item
`)

// Take leases the item that may be taken for the longest time. Its Tries counts
// this take. A lease that passes without Done or Retry makes it free again, for any
// replica.
func (b *Inbox) Take(ctx context.Context, lease time.Duration) (bot.Item, bool, error) {
	got, err := inboxTakeNext.Run(ctx, b.rdb, []string{inboxDue, inboxTake(rand.Text())}, lease.Milliseconds(), inboxItemPrefix).StringSlice()
	switch {
	case errors.Is(err, redis.Nil):
		return bot.Item{}, false, nil
	case err != nil:
		return bot.Item{}, false, fmt.Errorf("take from the inbox: %w", err)
	}
	var i bot.Item
	if err := json.Unmarshal([]byte(got[0]), &i); err != nil {
		return bot.Item{}, false, fmt.Errorf("take from the inbox: %w", err)
	}
	if i.Tries, err = strconv.Atoi(got[1]); err != nil {
		return bot.Item{}, false, fmt.Errorf("take from the inbox: %w", err)
	}
	return i, true, nil
}

// inboxDone: KEYS due, item. ARGV key, ms to keep the key. Repeating it changes
// nothing, so it needs no nonce.
var inboxDone = redis.NewScript(`
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('HDEL', KEYS[2], 'item') == 1 then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return 1
`)

// Done forgets the item; its key is refused for another day.
func (b *Inbox) Done(ctx context.Context, key string) error {
	err := inboxDone.Run(ctx, b.rdb, []string{inboxDue, inboxItem(key)}, key, keepDone.Milliseconds()).Err()
	if err != nil {
		return fmt.Errorf("done with %s: %w", key, err)
	}
	return nil
}

// inboxRetry: KEYS due, item. ARGV key, wait ms, nonce. Without an item (done
// meanwhile) nothing happens.
var inboxRetry = redis.NewScript(inboxNow + `
if redis.call('HEXISTS', KEYS[2], 'item') == 0 then return 0 end
if redis.call('HGET', KEYS[2], 'retry') == ARGV[3] then return 1 end
redis.call('HSET', KEYS[2], 'retry', ARGV[3])
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
return 1
`)

// Retry gives the item back, to be taken again after wait. An item done
// meanwhile stays done.
func (b *Inbox) Retry(ctx context.Context, key string, wait time.Duration) error {
	err := inboxRetry.Run(ctx, b.rdb, []string{inboxDue, inboxItem(key)}, key, wait.Milliseconds(), rand.Text()).Err()
	if err != nil {
		return fmt.Errorf("give %s back: %w", key, err)
	}
	return nil
}
