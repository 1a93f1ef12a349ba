// Package botredis keeps in Redis what belongs to Slack: what people did (Inbox), what
// the bot says (Outbox, which also knows where posts are), the rates it may use
// (Budget) and the thread of each request and run (Threads). All replicas share it.
//
// Every write is one script and may be repeated after a lost reply. Times are those of
// Redis.
package botredis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/bot"
)

// keepSaid is how long keys and places of what was said are kept after the last
// change.
const keepSaid = 90 * 24 * time.Hour

// Outbox is the bot.Outbox in Redis, and the Queue, Posts and Leases of its sender.
type Outbox struct{ rdb redis.UniversalClient }

// NewOutbox returns an outbox on rdb, which the caller closes.
func NewOutbox(rdb redis.UniversalClient) *Outbox { return &Outbox{rdb: rdb} }

var (
	_ bot.Outbox = (*Outbox)(nil)
	_ bot.Queue  = (*Outbox)(nil)
	_ bot.Posts  = (*Outbox)(nil)
	_ bot.Leases = (*Outbox)(nil)
)

// outboxPut: KEYS seq, waiting, message, the post an edit changes. ARGV key, body, 1
// for an edit, urgency, rev, hash of what is shown, keep ms. A repetition finds the key, or
// the same hash, and changes nothing, so it needs no nonce.
var outboxPut = redis.NewScript(`
local key, body, urg, rev, hash = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local old = redis.call('HMGET', KEYS[3], 'ver', 'body', 'urg', 'rev', 'hash')
if ARGV[3] ~= '1' then
  if old[1] then return 0 end
  local n = redis.call('INCR', KEYS[1])
  redis.call('HSET', KEYS[3], 'body', body, 'ver', n, 'first', n, 'urg', urg, 'hash', hash)
  redis.call('ZADD', KEYS[2], n, key)
  return 1
end
if rev > 0 then
  if rev < tonumber(old[4] or '0') then return 0 end
  redis.call('HSET', KEYS[3], 'rev', rev)
end
if (old[5] or redis.call('HGET', KEYS[4], 'hash')) == hash then
  if not old[2] then redis.call('PEXPIRE', KEYS[3], ARGV[7]) end
  return 0
end
local n = redis.call('INCR', KEYS[1])
if old[2] then
  if tonumber(old[3]) < urg then urg = tonumber(old[3]) end
else
  redis.call('HSET', KEYS[3], 'first', n)
end
redis.call('HSET', KEYS[3], 'body', body, 'ver', n, 'urg', urg, 'hash', hash)
redis.call('PERSIST', KEYS[3])
redis.call('ZADD', KEYS[2], n, key)
return 1
`)

// Put stores a message to be sent; see bot.Outbox.
func (b *Outbox) Put(ctx context.Context, m bot.Message) error {
	if m.Key == "" {
		return errors.New("put into the outbox: a message without a key")
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("put %s: %w", m.Key, err)
	}
	edit, under := 0, m.Key
	if m.Act == bot.Edit {
		if m.Under == "" {
			return fmt.Errorf("put %s: an edit of no post", m.Key)
		}
		edit, under = 1, m.Under
	}
	keys := []string{outboxSeq, outboxWaiting, outboxMessage(m.Key), outboxMessage(under)}
	if err := outboxPut.Run(ctx, b.rdb, keys, m.Key, body, edit, int(m.Urgency), m.Rev, shows(m), keepSaid.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("put %s: %w", m.Key, err)
	}
	return nil
}

// shows is a hash of what people see of a message.
func shows(m bot.Message) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s", len(m.Text), m.Text)
	h.Write(m.Blocks)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// outboxLook: KEYS waiting. ARGV mark, n, prefix of messages. It only reads. One
// script instead of a pipeline of n reads: what it saw is one moment.
var outboxLook = redis.NewScript(inboxNow + `
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local out = {string.format('%.0f', now)}
for i = 1, #found, 2 do
  local m = redis.call('HMGET', ARGV[3] .. found[i], 'body', 'first', 'urg', 'nb', 'sent')
  out[#out+1] = {found[i+1], m[1], m[2], m[3], m[4], m[5]}
end
return out
`)

// Waiting returns up to n messages put after mark, in the order they were put.
func (b *Outbox) Waiting(ctx context.Context, mark int64, n int) ([]bot.Entry, error) {
	rows, err := outboxLook.Run(ctx, b.rdb, []string{outboxWaiting}, mark, n, outboxMessage("")).Slice()
	if err != nil || len(rows) == 0 {
		return nil, wrap("look into the outbox", err)
	}
	now := number(rows[0])
	entries := make([]bot.Entry, 0, len(rows)-1)
	for _, r := range rows[1:] {
		row, _ := r.([]any)
		if len(row) != 6 {
			return nil, fmt.Errorf("look into the outbox: a row of %d fields", len(row))
		}
		body, ok := row[1].(string)
		if !ok {
			continue // sent since
		}
		e := bot.Entry{Mark: number(row[0]), First: number(row[2]), Quiet: -1}
		if err := json.Unmarshal([]byte(body), &e.Message); err != nil {
			return nil, fmt.Errorf("look into the outbox: %w", err)
		}
		e.Urgency = bot.Urgency(number(row[3]))
		e.Wait = max(0, time.Duration(number(row[4])-now)*time.Millisecond)
		if sent := number(row[5]); sent > 0 {
			e.Quiet = time.Duration(now-sent) * time.Millisecond
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// number reads a field; absent: 0.
func number(field any) int64 {
	s, _ := field.(string)
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// outboxClaim: KEYS lease, message. ARGV holder, nonce.
var outboxClaim = redis.NewScript(inboxNow + `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lost' end
local m = redis.call('HMGET', KEYS[2], 'body', 'ver', 'state', 'doubt', 'claim')
if not m[1] then return false end
if m[5] ~= ARGV[2] then
  local was = '0'
  if m[3] == 'sending' or m[4] == '1' then was = '1' end
  redis.call('HSETNX', KEYS[2], 'tried', now)
  redis.call('HINCRBY', KEYS[2], 'tries', 1)
  redis.call('HSET', KEYS[2], 'state', 'sending', 'claim', ARGV[2], 'was', was)
end
local r = redis.call('HMGET', KEYS[2], 'was', 'tried', 'tries')
return {m[1], m[2], r[1], r[2], r[3]}
`)

// Claim marks a message as being sent; see bot.Queue.
func (b *Outbox) Claim(ctx context.Context, holder, key string) (bot.Claimed, error) {
	c := bot.Claimed{Nonce: rand.Text()}
	got, err := outboxClaim.Run(ctx, b.rdb, []string{outboxLease(bot.SenderLease), outboxMessage(key)}, holder, c.Nonce).Result()
	row, ok := got.([]any)
	switch {
	case errors.Is(err, redis.Nil):
		return c, bot.ErrGone
	case err != nil:
		return c, fmt.Errorf("claim %s: %w", key, err)
	case !ok:
		return c, bot.ErrNotHolder
	}
	body, _ := row[0].(string)
	if err := json.Unmarshal([]byte(body), &c.Message); err != nil {
		return c, fmt.Errorf("claim %s: %w", key, err)
	}
	c.Version, c.Doubt, c.Tries = number(row[1]), number(row[2]) == 1, int(number(row[4]))
	c.Tried = time.UnixMilli(number(row[3]))
	return c, nil
}

// outboxSent: KEYS waiting, message, the post an edit changed (of others the same),
// where the post is. ARGV key, version, channel, ts (empty: no post), 1 for an edit,
// keep ms. Its repetition finds nothing more to do.
var outboxSent = redis.NewScript(inboxNow + `
local key, keep = ARGV[1], ARGV[6]
redis.call('HSET', KEYS[2], 'state', 'sent', 'sent', now)
redis.call('HDEL', KEYS[2], 'doubt', 'tried', 'tries', 'nb', 'was')
if ARGV[4] ~= '' and ARGV[5] ~= '1' then
  redis.call('HSET', KEYS[2], 'channel', ARGV[3], 'ts', ARGV[4])
  redis.call('SET', KEYS[4], key, 'PX', keep)
end
if ARGV[5] == '1' and redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('PEXPIRE', KEYS[3], keep)
  redis.call('PEXPIRE', KEYS[4], keep)
end
if redis.call('HGET', KEYS[2], 'ver') == ARGV[2] then
  redis.call('HDEL', KEYS[2], 'body')
  redis.call('ZREM', KEYS[1], key)
  redis.call('PEXPIRE', KEYS[2], keep)
end
return 1
`)

// Sent notes that a message was delivered; see bot.Queue.
func (b *Outbox) Sent(ctx context.Context, c bot.Claimed, p bot.Place) error {
	edit, under := 0, c.Key
	if c.Act == bot.Edit {
		edit, under = 1, c.Under
	}
	keys := []string{outboxWaiting, outboxMessage(c.Key), outboxMessage(under), outboxAt(p.Channel, p.TS)}
	err := outboxSent.Run(ctx, b.rdb, keys, c.Key, c.Version, p.Channel, p.TS, edit, keepSaid.Milliseconds()).Err()
	return wrap("note that "+c.Key+" was sent", err)
}

// outboxLater: KEYS message. ARGV claim, wait ms, doubt. Only the last claim counts.
var outboxLater = redis.NewScript(inboxNow + `
if redis.call('HGET', KEYS[1], 'claim') ~= ARGV[1] or redis.call('HGET', KEYS[1], 'state') ~= 'sending' then return 0 end
redis.call('HSET', KEYS[1], 'state', '', 'doubt', ARGV[3], 'nb', now + tonumber(ARGV[2]))
return 1
`)

// Later gives a claimed message back; see bot.Queue.
func (b *Outbox) Later(ctx context.Context, c bot.Claimed, wait time.Duration, doubt bool) error {
	flag := 0
	if doubt {
		flag = 1
	}
	err := outboxLater.Run(ctx, b.rdb, []string{outboxMessage(c.Key)}, c.Nonce, wait.Milliseconds(), flag).Err()
	return wrap("put "+c.Key+" off", err)
}

// outboxRewrite: KEYS seq, waiting, message. ARGV key, claim, body.
var outboxRewrite = redis.NewScript(`
if redis.call('HGET', KEYS[3], 'claim') ~= ARGV[2] or redis.call('HGET', KEYS[3], 'state') ~= 'sending' then return 0 end
local n = redis.call('INCR', KEYS[1])
redis.call('HSET', KEYS[3], 'body', ARGV[3], 'ver', n, 'state', '')
redis.call('HDEL', KEYS[3], 'doubt', 'tried', 'tries', 'nb', 'was')
redis.call('ZADD', KEYS[2], n, ARGV[1])
return 1
`)

// Rewrite replaces a claimed message by another way to deliver it; see bot.Queue.
func (b *Outbox) Rewrite(ctx context.Context, c bot.Claimed, m bot.Message) error {
	m.Key = c.Key
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("rewrite %s: %w", c.Key, err)
	}
	keys := []string{outboxSeq, outboxWaiting, outboxMessage(c.Key)}
	return wrap("rewrite "+c.Key, outboxRewrite.Run(ctx, b.rdb, keys, c.Key, c.Nonce, body).Err())
}

// outboxDrop: KEYS waiting, message. ARGV key, claim, reason, keep ms.
var outboxDrop = redis.NewScript(`
if redis.call('HGET', KEYS[2], 'claim') ~= ARGV[2] or redis.call('HGET', KEYS[2], 'state') ~= 'sending' then return 0 end
redis.call('HSET', KEYS[2], 'state', 'dropped', 'err', ARGV[3])
redis.call('HDEL', KEYS[2], 'body', 'doubt', 'tried', 'tries', 'nb', 'was')
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1
`)

// Drop gives a claimed message up and keeps the reason.
func (b *Outbox) Drop(ctx context.Context, c bot.Claimed, reason string) error {
	keys := []string{outboxWaiting, outboxMessage(c.Key)}
	return wrap("drop "+c.Key, outboxDrop.Run(ctx, b.rdb, keys, c.Key, c.Nonce, reason, keepSaid.Milliseconds()).Err())
}
