-- What every script begins with. KEYS[1] is the epoch; ARGV[1] the time in microseconds, or '' for the server's own;
-- ARGV[2] the epoch that the caller knows, '' for any; ARGV[3] the milliseconds that a lease lives.
-- A charge is five numbers in ARGV: kind, limit, amount, and
--   rate:  ticks in its period, microseconds in a tick (gateway/ledger/buckets.py says what these are)
--   held:  0, 0
--   spent: milliseconds that its key lives, 0
local RATE, HELD = '1', '2'
local MAX_LEVEL = 9007199254740992

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
-- Keys are forgotten by Redis's own clock: by another's they are kept for a day longer.
local margin = ARGV[1] == '' and 1000 or 86400000
local now_ms = math.floor(now / 1000)
local lease_ends = string.format('%.0f', now_ms + tonumber(ARGV[3]))

local epoch = redis.call('GET', KEYS[1]) or ''
if epoch ~= ARGV[2] and ARGV[2] ~= '' then return {'lost', epoch} end

-- A bucket's level now, in ticks.
local function bucket_level(key, limit, ticks, tick)
  local stored = redis.call('GET', key)
  if not stored then return 0 end
  local level, at, by = string.match(stored, '^(%d+) (%d+) (%d+)$')
  level, by = tonumber(level), tonumber(by)
  if by ~= ticks then level = math.floor(level / by * ticks) end
  local passed = math.floor((now - now % tick - tonumber(at)) / tick)
  if passed > 0 then level = math.max(0, level - passed * limit) end
  return level
end

-- Keeps it for as long as it takes to drain. Returns it.
local function keep_bucket(key, limit, ticks, tick, level)
  level = math.min(math.max(0, level), MAX_LEVEL)
  if level == 0 then
    redis.call('DEL', key)
  else
    local lives = math.ceil(level / math.max(1, limit)) * tick / 1000 + margin
    local value = string.format('%.0f %.0f %.0f', level, now - now % tick, ticks)
    redis.call('SET', key, value, 'PX', string.format('%.0f', lives))
  end
  return level
end

local function take_lease(key, id)
  redis.call('ZADD', key, lease_ends, id)
  redis.call('PEXPIRE', key, string.format('%.0f', ARGV[3] + margin))
end
