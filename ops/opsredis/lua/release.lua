-- KEYS run, wake; ARGV id, fence, nonce, wait. Answers the wait that was set: none
-- if a flag came in since it was last looked for.
local before = answered(KEYS[1], ARGV[3])
if before then
  return {'OK', before}
elseif not holds(KEYS[1], ARGV[2]) then
  return {'FENCED'}
end
local wait = ARGV[4]
if redis.call('HGET', KEYS[1], 'flag') ~= '' then
  wait = '0'
end
redis.call('HSET', KEYS[1], 'holder', '', 'until', '0')
redis.call('ZADD', KEYS[2], int(now() + tonumber(wait)), ARGV[1])
return answer(KEYS[1], ARGV[3], wait)
