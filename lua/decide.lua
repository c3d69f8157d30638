-- The batch: read everything, decide in memory, write at the end. An operation that is refused leaves no trace.

local function answer(outcome, granted, at_bucket, at_limit, wait, over_input)
    local packed = pack_bytes('<I1I1I1I1i8', outcome, granted or 0, at_bucket or 0, at_limit or 0, wait or 0)
    if over_input then
        return packed .. pack_bytes('<i8', over_input)
    end
    if at_limit == CLOSED then
        packed = packed .. pack_bytes('<I1c0', #know.of[o[1]].reason, know.of[o[1]].reason)
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
    return answer(PEEKED, n) .. table.concat(rows)
end

local function decide_op(now)
    local kind = o.kind
    if kind == ACQUIRE then
        return answer(acquire(now))
    elseif kind == REPORT or kind == CANCEL then
        if not settle then
            settle_open()
        end
        return answer(settle(now))
    end
    unfold_all()
    if kind == RENEW then
        if not renew then
            renew_open()
        end
        return answer(renew(now))
    elseif kind == PEEK then
        return peek(now)
    elseif kind == FORGIVE then
        if not forgive then
            forgive_open()
        end
        return forgive(now)
    end
    if not know.operate then
        know.open()
    end
    return know.operate(now)
end

local function stale(sets, now)
    for i = 1, #sets do
        local set = sets[i]
        for j = 1, #set do
            if set[j].algorithm == CALENDAR and calendar_stale(set[j], now) then
                return true
            end
        end
    end
    return false
end

local function open_slices(keys_from, clock)
    local slices = {}
    for i = keys_from, #KEYS do
        slices[#slices + 1] = { key = KEYS[i], clock = clock, fields = {}, expiry = 0, dirty = false }
    end
    return slices
end

-- The records that operations will want, in one call a slice. Reports and the like come first in a batch; whatever comes after
-- the first plain acquire is fetched when its turn comes.
local function fetch_records(input, at, n, slices)
    records_open()
    for i = 1, #slices do
        slice_open(slices[i])
    end
    for _ = 1, n do
        at = read_op(input, at, slices)
        if o.kind == ACQUIRE and not o.again then
            break
        elseif o.slice then
            o.slice.wanted[#o.slice.wanted + 1] = o.nonce
        end
    end
    for i = 1, #slices do
        slice_fetch(slices[i])
    end
end

local function decide(input)
    local version, way, n_sets, n_buckets, n_estimates, n_ops, at = unpack_bytes('<I1I1I2I2I2I2', input)
    if version ~= 3 then
        return redis.error_reply('ERR this server speaks another version of the script: ' .. version)
    end
    local sets, keys_from, any_holds
    sets, at, any_holds = read_sets(input, at, n_sets)
    if any_holds then
        holds_open()
    end
    keys_from, at = read_buckets(input, at, n_buckets, sets)
    know.estimates_from, keys_from = keys_from, keys_from + n_estimates
    for i = 1, #know.keys do
        key_of[n_buckets + i] = know.keys[i] -- read together with the levels
    end

    local time = redis_call('TIME')
    local clock = time[1] * 1000 + floor(time[2] / 1000)
    local now, raw = clock, {}
    if n_buckets > 0 then
        raw = redis_call('MGET', unpack(key_of))
        for b = 1, n_buckets do
            if raw[b] and string.byte(raw[b]) ~= LEVELS_FORMAT then
                -- Read as ours they would be nonsense, and as nothing they would be forgotten: both could admit too much.
                return redis.error_reply('ERR ' .. key_of[b] .. ' was written by another version of rationd (format '
                    .. string.byte(raw[b]) .. ', this one has ' .. LEVELS_FORMAT .. '): go back to that version, or delete the'
                    .. ' key, which forgets what was used')
            end
            local last = bucket_last(b, raw[b])
            if last and last > now then
                now = last -- a clock that steps back changes nothing
            end
        end
    end
    if stale(sets, now) then
        return pack_bytes('<I1I6I6', 1, clock, now)
    end
    for b = 1, n_buckets do
        bucket_open(b, raw[b], now)
    end
    for i = 1, #know.buckets do
        if raw[n_buckets + i] then
            if not know.read then
                know.open()
            end
            know.read(know.buckets[i], raw[n_buckets + i], now)
        end
    end
    local slices = open_slices(keys_from, clock)
    if way % 2 == 1 then
        fetch_records(input, at, n_ops, slices)
    end

    local answers = { pack_bytes('<I1I6I6', 0, clock, now) }
    for i = 1, n_ops do
        at = read_op(input, at, slices)
        answers[i + 1] = decide_op(now)
    end

    if know.write then
        know.write(now)
    end
    if know.learned_write then
        know.learned_write(now)
    end
    for b = 1, n_buckets do
        if dirty[b] then
            bucket_write(b, now)
        end
    end
    for i = 1, #slices do
        slice_write(slices[i])
    end
    return table.concat(answers)
end

return decide(ARGV[1])
