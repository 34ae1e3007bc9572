-- Opens a session, or changes it and keeps its messages. 0 when there is no room.
-- KEYS: session, messages, sessions of the user, sessions of all
-- ARGV: session id, user id, record, time of update, idle in ms, most of one user, most of all,
--       what keys of this user's sessions begin with
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local dead = string.format('%.0f', now - ARGV[5] * 1000)
now = string.format('%.0f', now)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', dead)
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', dead)
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZREM', KEYS[4], ARGV[2] .. ':' .. ARGV[1])
  if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[6]) then
    local idlest = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
    redis.call('DEL', ARGV[8] .. idlest, ARGV[8] .. idlest .. ':messages')
    redis.call('ZREM', KEYS[3], idlest)
    redis.call('ZREM', KEYS[4], ARGV[2] .. ':' .. idlest)
  end
  if redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[7]) then
    return 0
  end
end
redis.call('HSET', KEYS[1], 'record', ARGV[3], 'updated_at', ARGV[4])
redis.call('ZADD', KEYS[3], now, ARGV[1])
redis.call('ZADD', KEYS[4], now, ARGV[2] .. ':' .. ARGV[1])
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[5])
end
return 1
