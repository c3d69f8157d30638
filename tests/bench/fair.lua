-- The fair baseline: plain.lua for what Ration decides. Three limits of a pool and three of a tenant are all checked before
-- any is charged, and a grant leaves a reservation that waits for its report and expires.
--
-- KEYS: the pool's bucket, the tenant's bucket, the reservation; ARGV: the cost in requests, the cost in tokens, the
-- reservation's time to live in ms, then capacity and refill per millisecond of each limit: requests/minute, tokens/minute,
-- requests/day of the pool, and the same of the tenant. Gives 1 granted, 0 denied.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local requests, tokens = tonumber(ARGV[1]), tonumber(ARGV[2])
local costs = {requests, tokens, requests}
local levels = {}

for b = 1, 2 do
    local state = redis.call('HMGET', KEYS[b], 'rpm', 'tpm', 'rpd', 'at')
    local at = tonumber(state[4]) or now
    for l = 1, 3 do
        local arg = 4 + (b - 1) * 6 + (l - 1) * 2
        local capacity, per_ms = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1])
        local level = math.min(capacity, (tonumber(state[l]) or capacity) + (now - at) * per_ms)
        if level < costs[l] then
            return 0
        end
        levels[(b - 1) * 3 + l] = level - costs[l]
    end
end

redis.call('HSET', KEYS[1], 'rpm', levels[1], 'tpm', levels[2], 'rpd', levels[3], 'at', now)
redis.call('PEXPIRE', KEYS[1], 86400000)
redis.call('HSET', KEYS[2], 'rpm', levels[4], 'tpm', levels[5], 'rpd', levels[6], 'at', now)
redis.call('PEXPIRE', KEYS[2], 86400000)
redis.call('HSET', KEYS[3], 'requests', requests, 'tokens', tokens, 'pool', KEYS[1], 'tenant', KEYS[2], 'at', now)
redis.call('PEXPIRE', KEYS[3], ARGV[3])
return 1
