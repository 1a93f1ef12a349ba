-- Put before every script of this package. Times are milliseconds of Redis' own clock.

local function now()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- int writes a number without exponent or fraction.
local function int(n)
  return string.format('%.0f', n)
end

-- holds: is the claim "epoch:nonce" still the run's, and live? The nonce counts as
-- much as the epoch: after a loss of the newest writes (AOF, failover) Redis hands
-- out the same epoch again.
local function holds(run, fence)
  local h = redis.call('HMGET', run, 'epoch', 'holder', 'until')
  return h[2] and h[2] ~= '' and h[1] .. ':' .. h[2] == fence and tonumber(h[3]) > now()
end

-- answered returns the answer of the claim's last write if this is that write again.
local function answered(run, nonce)
  local l = redis.call('HMGET', run, 'last', 'answer')
  return l[1] == nonce and l[2]
end

local function answer(run, nonce, text)
  redis.call('HSET', run, 'last', nonce, 'answer', text)
  return {'OK', text}
end
