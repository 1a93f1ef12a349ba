-- KEYS wake, nonce; ARGV prefix of run keys, grace, most. Answers id, task, id, task...
-- The run keys are made here; they carry the same hash tag, hence the same slot.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return redis.call('LRANGE', KEYS[2], 0, -1)
end
local t = now()
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(t - tonumber(ARGV[2])))) do
  local run = ARGV[1] .. id
  local h = redis.call('HMGET', run, 'born', 'holder', 'until')
  if not h[1] then
    redis.call('ZREM', KEYS[1], id)
  elseif h[2] == '' or tonumber(h[3]) <= t then
    local task = id .. '.' .. int(redis.call('HINCRBY', run, 'tasks', 1))
    redis.call('HSET', run, 'task', task)
    redis.call('ZADD', KEYS[1], int(t), id) -- so the next sweep leaves it alone for a grace
    redis.call('RPUSH', KEYS[2], id, task)
    found[#found + 1] = id
    found[#found + 1] = task
    if #found >= 2 * tonumber(ARGV[3]) then
      break
    end
  end
end
if #found > 0 then
  redis.call('PEXPIRE', KEYS[2], 60000)
end
return found
