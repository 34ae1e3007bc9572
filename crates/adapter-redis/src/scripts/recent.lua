-- The newest messages, oldest first, each with the bytes of its content before it.
-- KEYS: session, messages
-- ARGV: how many
if redis.call('EXISTS', KEYS[1]) == 0 or ARGV[1] == '0' then
  return {}
end
return redis.call('LRANGE', KEYS[2], '-' .. ARGV[1], -1)
