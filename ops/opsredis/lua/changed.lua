-- KEYS changed; ARGV prefix of run keys, most. Answers id, rev, id, rev...
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[2]) - 1)) do
  local rev = redis.call('HGET', ARGV[1] .. id, 'rev')
  if rev then
    found[#found + 1] = id
    found[#found + 1] = rev
  else -- its record has expired
    redis.call('ZREM', KEYS[1], id)
  end
end
return found
