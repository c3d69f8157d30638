-- The batch: read everything, decide in memory, write at the end. An operation that is refused leaves no trace.

local plain_answers = {} -- those that only name an outcome, packed

local function answer(outcome, granted, at_bucket, at_limit, wait, over_input)
    if not granted then
        local packed = plain_answers[outcome]
        if not packed then
            packed = pack_bytes('<I1I1I1I1i8', outcome, 0, 0, 0, 0)
            plain_answers[outcome] = packed
        end
        return packed
    end
    local packed = pack_bytes('<I1I1I1I1i8', outcome, granted or 0, at_bucket or 0, at_limit or 0, wait or 0)
    if over_input then
        return packed .. pack_bytes('<i8', over_input)
    end
    if at_limit == CLOSED then
        packed = packed .. pack_bytes('<I1c0', #health.of[o[1]].reason, health.of[o[1]].reason)
    end
    return packed
end

local function peek(now)
    local rows, n = {}, 0
    for i = 1, o.targets do
        local b = o[i]
        local set, base = set_of[b], first_of[b]
        for j = 1, #set do
            local s = base + j
            local in_use = used[s] + held[s]
            n = n + 1
            rows[n] = pack_bytes('<i8i8', set[j].capacity - in_use, in_use > 0 and limit_wait(s, 0, now) or 0)
        end
    end
    return answer(PEEKED, n) .. concat(rows)
end

local GRANTED_ONE = answer(GRANTED, 1)

local function decide_op(now)
    local kind = o.kind
    if kind == ACQUIRE and acquire_whole(now) then
        return o.n == 1 and GRANTED_ONE or answer(GRANTED, o.n)
    end
    charge_run(now)
    if kind == ACQUIRE then
        return answer(acquire(now))
    elseif kind == REPORT or kind == CANCEL then
        return answer(settle(now))
    end
    unfold_all(now)
    if kind == RENEW then
        return answer(renew(now))
    elseif kind == PEEK then
        return peek(now)
    elseif kind == FORGIVE then
        return forgive(now)
    end
    return health.operate(now)
end

-- Is some set's period not the one that it is at `now`? Then the server's clock is not the store's.
local function stale(sets, n, now)
    for i = 1, n do
        local set = sets[i]
        for j = 1, set.calendar and #set or 0 do
            if set[j].algorithm == CALENDAR and calendar_stale(set[j], now) then
                return true
            end
        end
    end
    return false
end

-- A bucket of another format: read as ours it would be nonsense, and as nothing it would be forgotten: both could admit too much.
local function other_format(b, raw)
    return redis.error_reply('ERR ' .. key_of[b] .. ' was written by another version of rationd (format ' .. byte(raw)
        .. ', this one has ' .. LEVELS_FORMAT .. '): go back to that version, or delete the key, which forgets what was used')
end

local function levels_readable(raw)
    return byte(raw) >= OLDEST_FORMAT and byte(raw) <= LEVELS_FORMAT
end

local function open_slices(from, clock)
    local slices = {}
    for i = from, #batch_keys do
        slices[#slices + 1] = slice_new(batch_keys[i], clock)
    end
    return slices
end

-- The levels of all buckets, and behind them what is known of pools. Returns the values and the time that decides, or nil and
-- which bucket cannot be read.
local function read_levels(n_buckets, clock)
    for i = 1, health.n do
        key_of[n_buckets + i] = health.keys[i]
    end
    local now, raw = clock, NOTHING
    if n_buckets > 0 then
        raw = redis_call('MGET', unpack(key_of, 1, n_buckets + health.n))
        for b = 1, n_buckets do
            if raw[b] and not levels_readable(raw[b]) then
                return nil, other_format(b, raw[b])
            end
            local last = bucket_last(b, raw[b])
            if last and last > now then
                now = last -- a clock that steps back changes nothing
            end
        end
    end
    return raw, now
end

local function open_all(raw, n_buckets, now)
    for b = 1, n_buckets do
        if not plain_of[b] then
            bucket_open(b, raw[b], now)
        end
    end
    for i = 1, health.n do
        if raw[n_buckets + i] then
            health.read(health.buckets[i], raw[n_buckets + i], now)
        end
    end
end

local function write_all(slices, n_buckets, now)
    charge_run(now)
    health.write(now)
    estimates.write(now)
    for b = 1, n_buckets do
        if dirty[b] then
            bucket_write(b, now)
        end
    end
    for i = 1, #slices do
        slice_write(slices[i])
    end
end

local sets = {} -- of this batch

local function decide(keys, args)
    local input = args[1]
    local version, n_sets, n_buckets, n_estimates, n_ops, at = unpack_bytes('<I1I2I2I2I2', input)
    if version ~= 4 then
        return redis.error_reply('ERR this server speaks another version of the script: ' .. version)
    end
    batch_keys = keys
    for i = 1, n_sets do
        sets[i], at = read_set(input, at)
    end
    local keys_from
    keys_from, at = read_buckets(input, at, n_buckets, sets)
    estimates.keys_from = keys_from
    estimates.begin()
    acquire_begin()

    local time = redis_call('TIME')
    local clock = time[1] * 1000 + floor(time[2] / 1000)
    local raw, now = read_levels(n_buckets, clock)
    if not raw then
        return now -- the error
    elseif stale(sets, n_sets, now) then
        return pack_bytes('<I1I6I6', 1, clock, now)
    end
    raws = raw
    open_all(raw, n_buckets, now)
    local slices = open_slices(keys_from + n_estimates, clock)

    local answers = { pack_bytes('<I1I6I6', 0, clock, now) }
    for i = 1, n_ops do
        at = read_op(input, at, slices)
        answers[i + 1] = decide_op(now)
    end
    write_all(slices, n_buckets, now)
    return concat(answers)
end
