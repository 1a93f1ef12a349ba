-- KEYS entry, nonce; ARGV expected version, nonce, active, write, ms to keep the nonce
-- It returns the new version's number; '' if the entry has another version.
local before = redis.call('GET', KEYS[2])
if before then
  return before
end
local h = redis.call('HMGET', KEYS[1], 'version', 'by')
local now = ''
if redis.call('EXISTS', KEYS[1]) == 1 then
  now = (h[1] or '') .. '-' .. (h[2] or '')
end
local number = ''
if now == ARGV[1] then
  number = string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'version', 1))
  redis.call('HSET', KEYS[1], 'active', ARGV[3], 'write', ARGV[4], 'by', ARGV[2])
end
redis.call('SET', KEYS[2], number, 'PX', ARGV[5])
return number
