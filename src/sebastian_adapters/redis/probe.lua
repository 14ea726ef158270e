-- Does to a key of its own what the roster's scripts do to theirs: to see whether it can be done.
-- KEYS[1]  that key
-- ARGV[1]  anything
-- Answers with what stands there now.
redis.call('hset', KEYS[1], 'seen', ARGV[1])
redis.call('hmget', KEYS[1], 'seen', 'listed')
return redis.call('hget', KEYS[1], 'seen')
