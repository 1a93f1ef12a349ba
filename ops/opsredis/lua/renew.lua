-- KEYS run; ARGV fence, ttl. Twice is as good as once: no nonce.
if not holds(KEYS[1], ARGV[1]) then
  return {'FENCED'}
end
redis.call('HSET', KEYS[1], 'until', int(now() + tonumber(ARGV[2])))
return {'OK'}
