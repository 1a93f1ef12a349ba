-- KEYS run, parts; ARGV fence. Reads only. Answers key, value, key, value...
if not holds(KEYS[1], ARGV[1]) then
  return {'FENCED'}
end
local parts = redis.call('HGETALL', KEYS[2])
table.insert(parts, 1, 'OK')
return parts
