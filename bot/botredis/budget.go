package botredis

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"twokey/bot"
)

// Budget is the bot.Budget in Redis.
type Budget struct{ rdb redis.UniversalClient }

// NewBudget returns the budget on rdb, which the caller closes.
func NewBudget(rdb redis.UniversalClient) *Budget { return &Budget{rdb: rdb} }

// budgetTakeAll: KEYS take, then rate and block of each rate. ARGV then every (ms) and
// burst of each. Generic cell rate algorithm: the key holds when the calls so far are
// used up; a call may come while that is less than burst-1 calls ahead. Returns wait
// (ms) and the number of the rate, from 1.
var budgetTakeAll = redis.NewScript(inboxNow + `
if redis.call('EXISTS', KEYS[1]) == 1 then return {0, 0} end
local wait, which, upto = 0, 0, {}
for i = 1, #ARGV / 2 do
  local every, burst = tonumber(ARGV[2*i-1]), tonumber(ARGV[2*i])
  local at = tonumber(redis.call('GET', KEYS[2*i]) or now)
  if at < now then at = now end
  local need = at - (burst - 1) * every - now
  local blocked = redis.call('PTTL', KEYS[2*i+1])
  if blocked > need then need = blocked end
  if need > wait then wait, which = need, i end
  upto[i] = at + every
end
if wait > 0 then return {math.ceil(wait), which} end
for i = 1, #ARGV / 2 do
  redis.call('SET', KEYS[2*i], upto[i], 'PX', math.ceil(upto[i] - now) + 1000)
end
redis.call('SET', KEYS[1], 1, 'PX', 10000)
return {0, 0}
`)

// Take uses one call of each rate, or of none.
func (b *Budget) Take(ctx context.Context, rates []bot.Rate) (time.Duration, string, error) {
	if len(rates) == 0 {
		return 0, "", nil
	}
	keys := []string{budgetTake(rand.Text())}
	var args []any
	for _, r := range rates {
		keys = append(keys, budgetRate(r.Key), budgetBlock(r.Key))
		args = append(args, r.Every.Milliseconds(), r.Burst)
	}
	got, err := budgetTakeAll.Run(ctx, b.rdb, keys, args...).Int64Slice()
	if err != nil {
		return 0, "", fmt.Errorf("take from the budget of %s: %w", rates[0].Key, err)
	}
	if got[0] <= 0 {
		return 0, "", nil
	}
	return time.Duration(got[0]) * time.Millisecond, rates[got[1]-1].Key, nil
}

// budgetBlockUntil: KEYS block. ARGV ms. A shorter block does not end a longer one;
// repeating it changes nothing that matters.
var budgetBlockUntil = redis.NewScript(`
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], 1, 'PX', ARGV[1]) end
return 1
`)

// Block lets nobody take from the rate until d is over.
func (b *Budget) Block(ctx context.Context, key string, d time.Duration) error {
	if err := budgetBlockUntil.Run(ctx, b.rdb, []string{budgetBlock(key)}, max(1, d.Milliseconds())).Err(); err != nil {
		return fmt.Errorf("block the budget of %s: %w", key, err)
	}
	return nil
}
