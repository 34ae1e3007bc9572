-- The record of a session and its time of update; two times nothing without it.
-- KEYS: session
return redis.call('HMGET', KEYS[1], 'record', 'updated_at')
