-- Says that a replica is alive, and renews what it holds.
-- KEYS: 2 the replicas, by when each is forgotten; 3.. the key of each lease.
-- ARGV: 4 the replica's id; 5 the epoch to begin, where there is none and any will do; 6.. the id of each lease.
-- Returns {replicas that are alive, epoch}, or {'lost', epoch} where the epoch is another.
if epoch == '' then
  epoch = ARGV[5]
  redis.call('SET', KEYS[1], epoch)
end
redis.call('ZADD', KEYS[2], lease_ends, ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms)
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', ARGV[3] + margin))
for i = 1, #KEYS - 2 do take_lease(KEYS[2 + i], ARGV[5 + i]) end
return {redis.call('ZCARD', KEYS[2]), epoch}
