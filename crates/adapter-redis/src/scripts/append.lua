-- Adds a turn at the end and lets the oldest messages fall out; nothing without the session.
-- The id of the turn makes a second run of the same call harmless.
-- KEYS: session, messages, sessions of the user, sessions of all
-- ARGV: session id, user id, id of the turn, time of update, idle in ms, most bytes,
--       then for each message the bytes of its content and its record
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if redis.call('HGET', KEYS[1], 'turn') ~= ARGV[3] then
  local bytes = tonumber(redis.call('HGET', KEYS[1], 'bytes') or '0')
  for i = 7, #ARGV, 2 do
    redis.call('RPUSH', KEYS[2], ARGV[i] .. ' ' .. ARGV[i + 1])
    bytes = bytes + ARGV[i]
  end
  while bytes > tonumber(ARGV[6]) do
    local oldest = redis.call('LPOP', KEYS[2])
    if not oldest then
      bytes = 0
      break
    end
    bytes = bytes - string.match(oldest, '^%d+')
  end
  redis.call('HSET', KEYS[1], 'turn', ARGV[3], 'bytes', bytes, 'updated_at', ARGV[4])
end
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
redis.call('ZADD', KEYS[3], now, ARGV[1])
redis.call('ZADD', KEYS[4], now, ARGV[2] .. ':' .. ARGV[1])
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[5])
end
return 1
