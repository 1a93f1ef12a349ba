-- KEYS run; ARGV nonce, ttl, task
local h = redis.call('HMGET', KEYS[1], 'holder', 'until', 'ended', 'task', 'epoch', 'born', 'ttl')
if not h[6] then
  return {'NOTFOUND'}
end
local t = now()
-- A claim ends one ttl from now at most. One that ends later is from before Redis' clock
-- was set back: its holder renews it by the new clock, or it ends with this ttl.
if h[7] and h[1] ~= '' and tonumber(h[2]) > t + tonumber(h[7]) then
  redis.call('HSET', KEYS[1], 'until', int(t + tonumber(h[7])))
end
local live = h[1] ~= '' and tonumber(h[2]) > t
local epoch = h[5]
if not (live and h[1] == ARGV[1]) then
  if h[3] then
    return {'ENDED'}
  elseif h[4] ~= ARGV[3] then
    return {'STALE'}
  elseif live then
    return {'BUSY'}
  end
  epoch = int(redis.call('HINCRBY', KEYS[1], 'epoch', 1))
  redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', int(t + tonumber(ARGV[2])), 'ttl', ARGV[2])
end
local r = redis.call('HMGET', KEYS[1], 'run', 'rev', 'created')
return {'OK', epoch, r[1], r[2], r[3]}
