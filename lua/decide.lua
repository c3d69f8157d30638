-- The batch: read everything, decide in memory, write at the end. An operation that is refused leaves no trace.

local function answer(outcome, granted, at_bucket, at_limit, wait)
    return pack_bytes('<I1I1I1I1i8', outcome, granted or 0, at_bucket or 0, at_limit or 0, wait or 0)
end

local function peek(o, now)
    local rows, n = {}, 0
    for i = 1, #o do
        local bucket = o[i]
        for j = 1, #bucket.set do
            local state = bucket[j]
            local used = state.used + state.held
            n = n + 1
            rows[n] = pack_bytes('<i8i8', bucket.set[j].capacity - used, used > 0 and limit_wait(state, 0, now) or 0)
        end
    end
    return answer(PEEKED, n) .. table.concat(rows)
end

local function decide_op(o, now)
    if o.kind == ACQUIRE then
        return answer(acquire(o, now))
    elseif o.kind == RENEW then
        return answer(renew(o, now))
    elseif o.kind == PEEK then
        return peek(o, now)
    end
    return answer(settle(o, now))
end

local function stale(buckets, now)
    for i = 1, #buckets do
        local set = buckets[i].set
        for j = 1, #set do
            if set[j].algorithm == CALENDAR and calendar_stale(set[j], now) then
                return true
            end
        end
    end
    return false
end

local function open_slices(keys_from)
    local slices = {}
    for i = keys_from, #KEYS do
        slices[#slices + 1] = { key = KEYS[i], wanted = {}, raw = {}, records = {}, dirty = {}, expiry = 0 }
    end
    return slices
end

local function read_ops(input, at, n, buckets, slices)
    local ops = {}
    for i = 1, n do
        ops[i], at = read_op(input, at, buckets, slices)
        local o = ops[i]
        if o.slice and (o.kind ~= ACQUIRE or o.again) then
            o.slice.wanted[#o.slice.wanted + 1] = o.nonce
        end
    end
    return ops
end

local function decide(input)
    local version, n_sets, n_buckets, n_ops, at = unpack_bytes('<I1I2I2I2', input)
    if version ~= 1 then
        return redis.error_reply('ERR this server speaks another version of the script: ' .. version)
    end
    local sets, buckets, keys_from
    sets, at = read_sets(input, at, n_sets)
    buckets, keys_from, at = read_buckets(input, at, n_buckets, sets)
    local slices = open_slices(keys_from)
    local ops = read_ops(input, at, n_ops, buckets, slices)

    local time = redis_call('TIME')
    local clock = time[1] * 1000 + floor(time[2] / 1000)
    local now = clock
    if n_buckets > 0 then
        local keys = {}
        for i = 1, n_buckets do
            keys[i] = buckets[i].key
        end
        local raw = redis_call('MGET', unpack(keys))
        for i = 1, n_buckets do
            bucket_read(buckets[i], raw[i])
            now = max(now, buckets[i].last or 0) -- a clock that steps back changes nothing
        end
    end
    local head = pack_bytes('<I1I6I6', stale(buckets, now) and 1 or 0, clock, now)
    if stale(buckets, now) then
        return head
    end
    for i = 1, n_buckets do
        bucket_open(buckets[i], now)
    end
    for i = 1, #slices do
        slices[i].clock = clock
        slice_fetch(slices[i])
    end

    local answers = { head }
    for i = 1, n_ops do
        answers[i + 1] = decide_op(ops[i], now)
    end

    for i = 1, n_buckets do
        if buckets[i].dirty then
            bucket_write(buckets[i], now)
        end
    end
    for i = 1, #slices do
        slice_write(slices[i])
    end
    return table.concat(answers)
end

return decide(ARGV[1])
