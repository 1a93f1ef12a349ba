-- KEYS run, parts; ARGV fence, nonce of the claim, number of the write, key, value, key, value...
-- Each value is stored behind the claim and the number it is from. A write that comes
-- again changes nothing, not even where a later one of the same claim came in between.
if not holds(KEYS[1], ARGV[1]) then
  return {'FENCED'}
end
local stamp = ARGV[2] .. '.' .. ARGV[3] .. ' '
for i = 4, #ARGV, 2 do
  local stored = redis.call('HGET', KEYS[2], ARGV[i])
  local n = stored and string.match(stored, '^' .. ARGV[2] .. '%.(%d+) ')
  if not (n and tonumber(n) > tonumber(ARGV[3])) then
    redis.call('HSET', KEYS[2], ARGV[i], stamp .. ARGV[i + 1])
  end
end
return {'OK'}
