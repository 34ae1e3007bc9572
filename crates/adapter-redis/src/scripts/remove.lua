-- Forgets a session and its messages; how many sessions that were.
-- KEYS: session, messages, sessions of the user, sessions of all
-- ARGV: session id, user id
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[2] .. ':' .. ARGV[1])
return redis.call('DEL', KEYS[1])
