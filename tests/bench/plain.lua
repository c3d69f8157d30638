-- The baseline: the plainest token bucket of one limit, as a program that calls Redis itself would send it.
--
-- KEYS[1] the bucket; ARGV: capacity, refill per millisecond, cost. Gives 1 granted, 0 denied.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local capacity, per_ms, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local state = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = tonumber(state[1]) or capacity
local at = tonumber(state[2]) or now
level = math.min(capacity, level + (now - at) * per_ms)

local granted = 0
if level >= cost then
    level = level - cost
    granted = 1
end
redis.call('HSET', KEYS[1], 'level', level, 'at', now)
redis.call('PEXPIRE', KEYS[1], 60000)
return granted
