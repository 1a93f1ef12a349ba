-- KEYS run, dials; ARGV fence. Answers name, value, name, value... and notes that they
-- were read: a repetition reads again, so no turn is missed.
if not holds(KEYS[1], ARGV[1]) then
  return {'FENCED'}
end
redis.call('HSET', KEYS[1], 'turned', '')
local dials = redis.call('HGETALL', KEYS[2])
table.insert(dials, 1, 'OK')
return dials
