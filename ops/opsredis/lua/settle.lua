-- KEYS run, changed; ARGV id, rev. Compares and removes; twice is as good as once.
local rev = redis.call('HGET', KEYS[1], 'rev')
if not rev or tonumber(rev) <= tonumber(ARGV[2]) then
  redis.call('ZREM', KEYS[2], ARGV[1])
else -- written again meanwhile: to the end of the line
  redis.call('ZADD', KEYS[2], 'XX', int(now()), ARGV[1])
end
return {'OK'}
