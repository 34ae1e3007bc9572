-- One call out of a bucket, by the generic cell rate algorithm, in microseconds of Redis' own clock.
-- Granted (1 or 0), calls left, and microseconds until the bucket is full, or until the next call.
-- KEYS: bucket. It holds the moment at which it is full again.
-- ARGV: calls per minute
local minute = 60000000
local quota = tonumber(ARGV[1])
local each = minute / quota
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- A moment further away than a minute was written before the clock jumped back.
local full = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or now), now), now + minute)
local after = full + each
if after - now > minute + 1 then
  return {0, 0, math.ceil(after - now - minute)}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.floor((minute - (after - now) + 1) / each), math.ceil(after - now)}
