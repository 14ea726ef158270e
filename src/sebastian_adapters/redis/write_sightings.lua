-- Replaces the sightings, unless somebody else changed them since the caller read them.
--
-- KEYS[1]  the roster
-- ARGV[1]  the token of the sightings that were read
-- ARGV[2]  the new sightings' token
-- ARGV[3]  the new sightings
--
-- Answers 1 if they are there now (also when this very write was done before), 0 if not.

local seen = redis.call('hget', KEYS[1], 'seen')
if seen == ARGV[2] then
    return 1
end
if seen ~= ARGV[1] then
    return 0
end
redis.call('hset', KEYS[1], 'seen', ARGV[2], 'sightings', ARGV[3])
return 1
