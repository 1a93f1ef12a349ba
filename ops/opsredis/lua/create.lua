-- KEYS run, wake, live, changed; ARGV id, nonce, record, task
local born = redis.call('HGET', KEYS[1], 'born')
if born then
  return {born == ARGV[2] and 'OK' or 'EXISTS'}
end
local t = int(now())
redis.call('HSET', KEYS[1], 'run', ARGV[3], 'born', ARGV[2], 'task', ARGV[4],
  'created', t, 'rev', '1', 'epoch', '0', 'holder', '', 'until', '0',
  'flag', '', 'flag_by', '', 'tasks', '0', 'last', '', 'answer', '')
redis.call('ZADD', KEYS[2], t, ARGV[1])
redis.call('ZADD', KEYS[3], t, ARGV[1])
redis.call('ZADD', KEYS[4], 'NX', t, ARGV[1])
return {'OK'}
