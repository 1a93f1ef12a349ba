package approvalsredis

import "github.com/redis/go-redis/v9"

// The scripts. A client repeats one whose answer was lost, so each answers a
// repetition as it answered first: create knows its caller by the new id, update by
// a nonce; settling again what is settled changes nothing.
//
// Requests are opaque strings here: cjson differs between miniredis and Redis.

// scriptCreate stores a request, and forgets index entries of some that expired.
//
//	KEYS request, trigger, open, changed, suffixes, ended
//	ARGV id, body, id backwards, keepTrigger ms, keepEnded ms, prefix of request keys
//
// It returns the id that the trigger has now: the caller's if it was made by this call.
var scriptCreate = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local known = redis.call('GET', KEYS[2])
if known and redis.call('EXISTS', ARGV[6] .. known) == 1 then
  return known
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[4])
redis.call('HSET', KEYS[1], 'rev', 1, 'body', ARGV[2])
redis.call('ZADD', KEYS[3], now, ARGV[1])
redis.call('ZADD', KEYS[4], now, ARGV[1])
redis.call('ZADD', KEYS[5], 0, ARGV[3])
local gone = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', now - ARGV[5], 'LIMIT', 0, 100)
for _, id in ipairs(gone) do
  redis.call('ZREM', KEYS[6], id)
  redis.call('ZREM', KEYS[4], id)
  redis.call('ZREM', KEYS[5], string.reverse(id))
end
return ARGV[1]
`)

// scriptUpdate writes a request if its rev is the expected one.
//
//	KEYS request, nonce, open, changed, ended
//	ARGV id, expected rev, body, "1" if it is open, keepEnded ms, keepNonce ms
//
// It returns the new rev, 0 for a conflict, -1 for no such request.
var scriptUpdate = redis.NewScript(`
local before = redis.call('GET', KEYS[2])
if before then
  return tonumber(before)
end
local rev = redis.call('HGET', KEYS[1], 'rev')
if not rev then
  return -1
end
if rev ~= ARGV[2] then
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local next = redis.call('HINCRBY', KEYS[1], 'rev', 1)
redis.call('HSET', KEYS[1], 'body', ARGV[3])
redis.call('ZADD', KEYS[4], 'NX', now, ARGV[1])
if ARGV[4] == '1' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZADD', KEYS[5], now, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
redis.call('SET', KEYS[2], next, 'PX', ARGV[6])
return next
`)

// scriptSettle takes a request out of the changed ones if it was not written since.
// Else it goes behind those that wait already.
//
//	KEYS request, changed
//	ARGV id, rev
var scriptSettle = redis.NewScript(`
local rev = redis.call('HGET', KEYS[1], 'rev')
if not rev or tonumber(rev) <= tonumber(ARGV[2]) then
  return redis.call('ZREM', KEYS[2], ARGV[1])
end
local t = redis.call('TIME')
return redis.call('ZADD', KEYS[2], 'XX', t[1] * 1000 + math.floor(t[2] / 1000), ARGV[1])
`)
