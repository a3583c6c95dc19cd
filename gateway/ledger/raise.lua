-- Lets no count be lower than the caller knows it to be: after Redis has lost its own, or was away.
-- KEYS: 2.. a key for each count. ARGV: 4.. the charges, each with its level (of a rate: in ticks) as the amount.
-- Returns 1, or {'lost', epoch} where the epoch is another.
for i = 1, #KEYS - 1 do
  local at, key = 4 + 5 * (i - 1), KEYS[1 + i]
  local kind, limit, known = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local ticks, tick = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  if kind == RATE then
    keep_bucket(key, limit, ticks, tick, math.max(known, bucket_level(key, limit, ticks, tick)))
  elseif known > tonumber(redis.call('GET', key) or '0') then
    redis.call('SET', key, string.format('%.0f', known), 'PX', ARGV[at + 3])
  end
end
return 1
