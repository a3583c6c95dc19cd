-- Charges all that is common and all of the first alternative that fits, or nothing.
-- KEYS: 2 the grant's record, 3.. a key for each charge: the common ones, then those of each alternative.
-- ARGV: 4 the milliseconds that a record lives; 5 the grant's id; 6 how many charges are common; 7 how many
--       alternatives there are, 8.. how many charges each has; then the charges.
-- Returns {'granted', alternative, levels of its charges..}, {'refused', charge, wait} or {'full', wait}: waits in
-- microseconds, -1 for ever; {'late'} where the record exists; {'lost', epoch} where the epoch is another.
local HELD_WAIT = 1000000
if redis.call('EXISTS', KEYS[2]) == 1 then return {'late'} end
local common, alternatives = tonumber(ARGV[6]), tonumber(ARGV[7])

local function numbers(i)
  local at = 8 + alternatives + 5 * (i - 1)
  return ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
end

local levels = {}

-- In how many microseconds charge `i` fits, 0 for now; keeps the level as of now in `levels`.
local function wait(i)
  local key, kind, limit, amount, ticks, tick = KEYS[2 + i], numbers(i)
  if kind == RATE then
    levels[i] = bucket_level(key, limit, ticks, tick)
    local excess = levels[i] - (limit - amount) * ticks
    if amount > limit then return math.huge end
    return excess > 0 and math.ceil(excess / limit) * tick - now % tick or 0
  end
  local later
  if kind == HELD then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms)
    levels[i], later = redis.call('ZCARD', key), HELD_WAIT
  else
    levels[i], later = tonumber(redis.call('GET', key) or '0'), ticks * 1000
  end
  if amount > limit then return math.huge end
  return levels[i] + amount > limit and later or 0
end

local function charge(i)
  local key, kind, limit, amount, ticks, tick = KEYS[2 + i], numbers(i)
  if kind == RATE then return keep_bucket(key, limit, ticks, tick, levels[i] + amount * ticks) end
  local level = levels[i] + amount
  if kind == HELD then
    take_lease(key, ARGV[5])
  else
    redis.call('SET', key, string.format('%.0f', level), 'PX', ARGV[8 + alternatives + 5 * (i - 1) + 3])
  end
  return level
end

local function or_never(microseconds)
  return microseconds == math.huge and -1 or microseconds
end

local longest, which = 0, 0
for i = 1, common do
  local needed = wait(i)
  if needed > longest then longest, which = needed, i end
end
if which > 0 then return {'refused', which - 1, or_never(longest)} end

local soonest, chosen, from, to = math.huge, 0, common + 1, common
for alternative = 1, alternatives do
  from, to = to + 1, to + tonumber(ARGV[7 + alternative])
  local slowest = 0
  for i = from, to do slowest = math.max(slowest, wait(i)) end
  if slowest == 0 then
    chosen = alternative
    break
  end
  soonest = math.min(soonest, slowest)
end
if alternatives > 0 and chosen == 0 then return {'full', or_never(soonest)} end

-- The first that writes: where nothing may be written, nothing is charged.
chosen = math.max(0, chosen - 1)
redis.call('SET', KEYS[2], 'a' .. chosen, 'PX', ARGV[4])
local reply = {'granted', chosen}
for i = 1, common do reply[#reply + 1] = charge(i) end
for i = from, to do reply[#reply + 1] = charge(i) end
return reply
