-- KEYS run, events, wake, live, ended, changed, locks, held, parts, dials
-- ARGV id, fence, nonce, record, ended (1 or 0), flag to clear, ms to keep, event...
local run, id = KEYS[1], ARGV[1]
local before = answered(run, ARGV[3])
if before then
  return {'OK', before}
elseif not holds(run, ARGV[2]) then
  return {'FENCED'}
end
local ms = now()
local t = int(ms)
local rev = redis.call('HINCRBY', run, 'rev', 1)
redis.call('HSET', run, 'run', ARGV[4])
for i = 8, #ARGV do
  redis.call('RPUSH', KEYS[2], t .. ' ' .. ARGV[i])
end
if ARGV[6] ~= '' and redis.call('HGET', run, 'flag') == ARGV[6] then
  redis.call('HSET', run, 'flag', '', 'flag_by', '')
end
redis.call('ZADD', KEYS[6], 'NX', t, id)
if ARGV[5] == '1' then
  redis.call('HSET', run, 'ended', t, 'holder', '', 'until', '0', 'flag', '', 'flag_by', '')
  redis.call('ZREM', KEYS[3], id)
  redis.call('ZREM', KEYS[4], id)
  redis.call('ZADD', KEYS[5], t, id)
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', int(ms - tonumber(ARGV[7])))
  for _, resource in ipairs(redis.call('SMEMBERS', KEYS[8])) do
    if redis.call('HGET', KEYS[7], resource) == id then
      redis.call('HDEL', KEYS[7], resource)
    end
  end
  redis.call('DEL', KEYS[8])
  redis.call('PEXPIRE', run, ARGV[7])
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
  redis.call('PEXPIRE', KEYS[9], ARGV[7])
  redis.call('PEXPIRE', KEYS[10], ARGV[7])
end
return answer(run, ARGV[3], int(rev) .. ' ' .. t)
