-- Changes what a grant was charged, once: only where its record says what the caller expects.
-- KEYS: 2 the grant's record, 3.. a key for each change.
-- ARGV: 4 the milliseconds that the record lives; 5 the grant's id; 6 what the record must say, '' where there must
--       be none; 7 what it says from now on, '' for none; then the charges, with what is added to each: what is
--       held is taken where that is positive, else given back.
-- Returns 1; 0 where the record says something else; {'lost', epoch} where the epoch is another.
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[6] then return 0 end

-- The first that writes: where nothing may be written, nothing is changed.
if ARGV[7] == '' then
  redis.call('DEL', KEYS[2])
else
  redis.call('SET', KEYS[2], ARGV[7], 'PX', ARGV[4])
end
for i = 1, #KEYS - 2 do
  local at, key = 8 + 5 * (i - 1), KEYS[2 + i]
  local kind, limit, amount = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local ticks, tick = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  if kind == RATE then
    keep_bucket(key, limit, ticks, tick, bucket_level(key, limit, ticks, tick) + amount * ticks)
  elseif kind ~= HELD then
    local total = math.max(0, tonumber(redis.call('GET', key) or '0') + amount)
    redis.call('SET', key, string.format('%.0f', total), 'PX', ARGV[at + 3])
  elseif amount > 0 then
    take_lease(key, ARGV[5])
  else
    redis.call('ZREM', key, ARGV[5])
  end
end
return 1
