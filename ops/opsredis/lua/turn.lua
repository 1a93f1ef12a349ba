-- KEYS run, wake, dials, nonce; ARGV id, name, dial. Answers the run's current task.
local before = redis.call('GET', KEYS[4])
if before then
  return {'OK', before}
end
local h = redis.call('HMGET', KEYS[1], 'born', 'ended', 'task')
if not h[1] then
  return {'NOTFOUND'}
elseif h[2] then
  return {'ENDED'}
end
local t = int(now())
redis.call('HSET', KEYS[3], ARGV[2], t .. ' ' .. ARGV[3])
redis.call('HSET', KEYS[1], 'turned', '1')
redis.call('ZADD', KEYS[2], t, ARGV[1])
redis.call('SET', KEYS[4], h[3], 'PX', 60000)
return {'OK', h[3]}
