-- Reads what changed since the caller last looked, in one round trip and at one moment.
--
-- KEYS[1]  the roster
-- ARGV[1]  the token of the listing that the caller has, or ''
-- ARGV[2]  the token of the sightings that the caller has, or ''
--
-- Answers nil when there is no roster, else {listing token, sightings token, listing, sightings},
-- the last two nil where the caller's token is the current one.

local listed, seen = unpack(redis.call('hmget', KEYS[1], 'listed', 'seen'))
if not listed or not seen then
    return false
end
return {
    listed,
    seen,
    listed ~= ARGV[1] and redis.call('hget', KEYS[1], 'listing'),
    seen ~= ARGV[2] and redis.call('hget', KEYS[1], 'sightings'),
}
