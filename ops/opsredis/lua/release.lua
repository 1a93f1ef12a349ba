-- KEYS run, wake; ARGV id, fence, nonce, wait. Answers the wait that was set: none
-- if a flag came in since it was last looked for, or a dial was turned since the dials
-- were last read. A step that reads no dials is called once more for it, not for ever.
local before = answered(KEYS[1], ARGV[3])
if before then
  return {'OK', before}
elseif not holds(KEYS[1], ARGV[2]) then
  return {'FENCED'}
end
local wait = ARGV[4]
local h = redis.call('HMGET', KEYS[1], 'flag', 'turned')
if h[1] ~= '' or h[2] == '1' then
  wait = '0'
end
redis.call('HSET', KEYS[1], 'holder', '', 'until', '0', 'turned', '')
redis.call('ZADD', KEYS[2], int(now() + tonumber(wait)), ARGV[1])
return answer(KEYS[1], ARGV[3], wait)
