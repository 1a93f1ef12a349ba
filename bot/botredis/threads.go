package botredis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"twokey/bot"
)

// Threads is the bot.Threads in Redis.
type Threads struct{ rdb redis.UniversalClient }

// NewThreads returns the threads on rdb, which the caller closes.
func NewThreads(rdb redis.UniversalClient) *Threads { return &Threads{rdb: rdb} }

// threadPut: KEYS thread. ARGV field, value, ms to keep. An origin is set once, a
// cursor never goes back, so repeating it changes nothing and it needs no nonce.
var threadPut = redis.NewScript(`
local old = redis.call('HGET', KEYS[1], ARGV[1])
if not old or (ARGV[1] == 'cursor' and tonumber(old) < tonumber(ARGV[2])) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
`)

// SetOrigin keeps where a request was asked. What was set first stays.
func (t *Threads) SetOrigin(ctx context.Context, id string, o bot.Origin) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("origin of %s: %w", id, err)
	}
	if err := threadPut.Run(ctx, t.rdb, []string{threadOf(id)}, "origin", b, keepSaid.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("origin of %s: %w", id, err)
	}
	return nil
}

// Origin returns where a request was asked, and false if that is not known yet.
func (t *Threads) Origin(ctx context.Context, id string) (bot.Origin, bool, error) {
	b, err := t.rdb.HGet(ctx, threadOf(id), "origin").Bytes()
	if errors.Is(err, redis.Nil) {
		return bot.Origin{}, false, nil
	}
	var o bot.Origin
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		return bot.Origin{}, false, fmt.Errorf("origin of %s: %w", id, err)
	}
	return o, true, nil
}

// Cursor returns the highest number set, 0 at first.
func (t *Threads) Cursor(ctx context.Context, id string) (int64, error) {
	n, err := t.rdb.HGet(ctx, threadOf(id), "cursor").Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("cursor of %s: %w", id, err)
	}
	return n, nil
}

// SetCursor raises the cursor; a lower one changes nothing.
func (t *Threads) SetCursor(ctx context.Context, id string, seq int64) error {
	if err := threadPut.Run(ctx, t.rdb, []string{threadOf(id)}, "cursor", seq, keepSaid.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("cursor of %s: %w", id, err)
	}
	return nil
}
