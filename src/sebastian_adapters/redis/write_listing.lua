-- Replaces the listing, unless somebody else replaced it since the caller read it.
--
-- The sightings that were merged into it are cleared. If more came meanwhile, all of them stay:
-- merging the old ones once more changes nothing, and none is lost. So sightings never make a
-- listing fail, however many there are.
--
-- KEYS[1]  the roster
-- ARGV[1]  the token of the listing that was read, or '' for none
-- ARGV[2]  the token of the sightings that were merged, or '' for none
-- ARGV[3]  the new listing's token, also for the cleared sightings
-- ARGV[4]  the new listing
-- ARGV[5]  no sightings, as they are encoded
--
-- Answers 1 if it is there now (also when this very write was done before), 0 if not.

local listed, seen = unpack(redis.call('hmget', KEYS[1], 'listed', 'seen'))
if listed == ARGV[3] then
    return 1
end
if (listed or '') ~= ARGV[1] then
    return 0
end
redis.call('hset', KEYS[1], 'listed', ARGV[3], 'listing', ARGV[4])
if (seen or '') == ARGV[2] then
    redis.call('hset', KEYS[1], 'seen', ARGV[3], 'sightings', ARGV[5])
end
return 1
