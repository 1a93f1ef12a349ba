-- KEYS run, locks, held; ARGV id, fence, title, by, resource...
-- A run's own locks are granted to it again, so twice is as good as once: no nonce.
if not holds(KEYS[1], ARGV[2]) then
  return {'FENCED'}
end
for i = 5, #ARGV do
  local holder = redis.call('HGET', KEYS[2], ARGV[i])
  if holder and holder ~= ARGV[1] then
    return {'HELD', ARGV[i], holder}
  end
end
redis.call('HSET', KEYS[1], 'title', ARGV[3], 'by', ARGV[4])
for i = 5, #ARGV do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[1])
  redis.call('SADD', KEYS[3], ARGV[i])
end
return {'OK'}
