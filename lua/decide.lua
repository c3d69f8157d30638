-- The batch: read everything, decide in memory, write at the end. An operation that is refused leaves no trace.

local decide

do
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
            local set, base, at = set_of[b], first_of[b], time_of(b, now)
            for j = 1, #set do
                local s = base + j
                local in_use = used[s] + held[s]
                n = n + 1
                rows[n] = pack_bytes('<i8i8', set[j].capacity - in_use, in_use > 0 and min(limit_wait(s, 0, at) + at - now, FOREVER) or 0)
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

    -- Is some bucket's period not the one that it is by the bucket's time? Then the server's clock is not the store's, or it
    -- did not know of a bucket that is ahead.
    local function stale(sets, n_sets, n_buckets, clock)
        for i = 1, ahead and n_buckets or n_sets do
            local set = ahead and set_of[i] or sets[i]
            for j = 1, set.calendar and #set or 0 do
                if set[j].algorithm == CALENDAR and calendar_stale(set[j], time_of(i, clock)) then
                    return true
                end
            end
        end
        return false
    end

    -- What every answer begins with: the time, and which buckets are ahead of it.
    local function answer_head(how, n_buckets, clock)
        local n, list = 0, ''
        for b = 1, ahead and n_buckets or 0 do
            if ahead[b] then
                n, list = n + 1, list .. pack_bytes('<I2I6', b - 1, ahead[b])
            end
        end
        return pack_bytes('<I1I6I2', how, clock, n) .. list
    end

    local read_levels

    do
        -- A bucket of another format: read as ours it would be nonsense, and as nothing it would be forgotten: both could admit too much.
        local function other_format(b, raw)
            return redis.error_reply('ERR ' .. key_of[b] .. ' was written by another version of rationd (format ' .. byte(raw)
                .. ', this one has ' .. LEVELS_FORMAT .. '): go back to that version, or delete the key, which forgets what was used')
        end

        local function levels_readable(raw)
            return byte(raw) >= OLDEST_FORMAT and byte(raw) <= LEVELS_FORMAT
        end

        -- The levels of all buckets, and behind them what is known of pools. Returns the values, or nil and why one
        -- cannot be read. What is not a string is nothing to MGET, and is replaced when the bucket is written.
        function read_levels(n_buckets, clock)
            for i = 1, health.n do
                key_of[n_buckets + i] = health.keys[i]
            end
            ahead = false
            local raw = n_buckets > 0 and redis_call('MGET', unpack(key_of, 1, n_buckets + health.n)) or NOTHING
            for b = 1, n_buckets do
                if raw[b] and not levels_readable(raw[b]) then
                    return nil, other_format(b, raw[b])
                end
                local last = bucket_last(b, raw[b])
                if last and last > clock then
                    ahead = ahead or {}
                    ahead[b] = last
                end
            end
            return raw
        end
    end

    local function open_slices(from, clock)
        local slices = {}
        for i = from, #batch_keys do
            slices[#slices + 1] = slice_new(batch_keys[i], clock)
        end
        return slices
    end

    local function open_all(raw, n_buckets, now)
        for b = 1, n_buckets do
            if not plain_of[b] then
                bucket_open(b, raw[b], time_of(b, now))
            end
        end
        for i = 1, health.n do
            if raw[n_buckets + i] then
                local b = health.buckets[i]
                health.read(b, raw[n_buckets + i], time_of(b, now))
            end
        end
    end

    -- Redis does not undo what a function has written when it fails. So all that can fail comes first: what is packed from what was
    -- read, and the look whether the hashes are hashes. The first slice is the first to be written, so it need not be looked at.
    local function write_all(slices, n_buckets, now)
        charge_run(now)
        health.observe(now)
        for b = 1, n_buckets do
            if dirty[b] and slots_of[b] then
                bucket_check(b)
            end
        end
        for i = 2, #slices do
            slice_check(slices[i])
        end
        for i = 1, #slices do
            slice_write(slices[i])
        end
        health.write(now)
        estimates.write(now)
        for b = 1, n_buckets do
            if dirty[b] then
                bucket_write(b, time_of(b, now))
            end
        end
    end

    local sets = {} -- of this batch

    function decide(keys, args)
        local input = args[1]
        local version, n_sets, n_buckets, n_estimates, n_ops, most, at = unpack_bytes('<I1I2I2I2I2I4', input)
        if version ~= 4 then
            return redis.error_reply('ERR this server speaks another version of the script: ' .. version)
        end
        batch_keys, outstanding.most = keys, most
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
        local raw, refused = read_levels(n_buckets, clock)
        if not raw then
            return refused
        elseif stale(sets, n_sets, n_buckets, clock) then
            return answer_head(1, n_buckets, clock)
        end
        raws = raw
        open_all(raw, n_buckets, clock)
        local slices = open_slices(keys_from + n_estimates, clock)

        local answers = { answer_head(0, n_buckets, clock) }
        for i = 1, n_ops do
            at = read_op(input, at, slices)
            answers[i + 1] = decide_op(clock)
        end
        write_all(slices, n_buckets, clock)
        return concat(answers)
    end
end
