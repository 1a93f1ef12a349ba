-- KEYS run; ARGV fence. Reads only.
if not holds(KEYS[1], ARGV[1]) then
  return {'FENCED'}
end
local f = redis.call('HMGET', KEYS[1], 'flag', 'flag_by')
return {'OK', f[1], f[2]}
