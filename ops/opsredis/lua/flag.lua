-- KEYS run, wake, nonce; ARGV id, flag, by. Answers the run's current task.
local before = redis.call('GET', KEYS[3])
if before then
  return {'OK', before}
end
local h = redis.call('HMGET', KEYS[1], 'born', 'ended', 'flag', 'task')
if not h[1] then
  return {'NOTFOUND'}
elseif h[2] then
  return {'ENDED'}
end
if h[3] ~= 'cancel' then
  redis.call('HSET', KEYS[1], 'flag', ARGV[2], 'flag_by', ARGV[3])
end
redis.call('ZADD', KEYS[2], int(now()), ARGV[1])
redis.call('SET', KEYS[3], h[4], 'PX', 60000)
return {'OK', h[4]}
