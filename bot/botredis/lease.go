package botredis

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// leaseHold: KEYS lease. ARGV holder, ms. Repeating it prolongs the same lease.
var leaseHold = redis.NewScript(`
local who = redis.call('GET', KEYS[1])
if who and who ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`)

// leaseRelease: KEYS lease. ARGV holder.
var leaseRelease = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
`)

// Hold takes or prolongs a lease and reports whether holder has it now, for ttl.
func (b *Outbox) Hold(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	n, err := leaseHold.Run(ctx, b.rdb, []string{outboxLease(name)}, holder, ttl.Milliseconds()).Int()
	if err != nil {
		return false, fmt.Errorf("lease %s: %w", name, err)
	}
	return n == 1, nil
}

// Release gives a lease up. Not holding it is no error.
func (b *Outbox) Release(ctx context.Context, name, holder string) error {
	if err := leaseRelease.Run(ctx, b.rdb, []string{outboxLease(name)}, holder).Err(); err != nil {
		return fmt.Errorf("release lease %s: %w", name, err)
	}
	return nil
}
