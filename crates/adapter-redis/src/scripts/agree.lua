-- Leaves a mark for the others, unless there is one; 1 where it is the same.
-- KEYS: mark
-- ARGV: what this replica's mark is, how long it stays in ms
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX')
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
