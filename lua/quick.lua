-- quick: the batch that a healthy service sees most, decided without making a single one of the functions that follow, which
-- is most of what a small batch costs: acquires that all fit, over pools of rolling limits and tenants of token buckets, while no
-- slot turns, nothing is held, and nothing is known against a pool.
--
-- It is the same decision with the same bytes in the store, written in one piece, and the same tests hold it against the
-- same model. It writes only once all is decided: whatever it meets that is not of this kind makes it return nothing, and the
-- batch is decided by what follows, from the beginning.
--
-- Limits are arrays as they were packed: 1 unit, 2 algorithm, 3 flags, 4 amount, 5 capacity, 6-8 kept back from a priority, 9 per,
-- 10 slack, 11 sig. Levels are arrays as bucket.lua packs them: 1-5 the head (format, limits, last, keep, expiry), then the limits.

local function quick(input)
    local unpack_bytes, pack_bytes, call = struct.unpack, struct.pack, redis.call
    local floor, ceil, sub, rep = math.floor, math.ceil, string.sub, string.rep
    local ACQUIRE, BUCKET, ROLLING, SPLIT_UNKNOWN = 1, 0, 1, 8
    local HAS_SLOTS, HAS_KNOWLEDGE = 1, 4 -- and 2: has books
    local HEAD, TENANT, POOL, FORMAT = '<I1I1I6I4I4', 'I3I1I6I5I6', 'I3I1I6I6I6I6', 3
    local BOOKS, BOOKS_FIELDS = 'I7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7', 19
    local LOW, LOW_BYTES, LOWS = '<I6I7I5', 18, 4
    local SLOTS, SECOND, GRACE, ROUND = 120, 1024, 60000, 4096
    local EXACT, LONGEST_AFTER = 2 ^ 53, 2 ^ 32 - 1

    -- What is asked, but for the operations.
    local version, general, n_sets, n_buckets, n_estimates, n_ops, at = unpack_bytes('<I1I1I2I2I2I2', input)
    if version ~= 3 or general ~= 0 or n_estimates > 0 then
        return
    end
    local sets = {}
    for i = 1, n_sets do
        local n, set = nil, {}
        n, at = unpack_bytes('<I1', input, at)
        for j = 1, n do
            local limit = { unpack_bytes('<I1I1I1i8i8i8i8i8I6I4I3', input, at) }
            if limit[2] > ROLLING or limit[3] % 2 == 1 or limit[2] ~= (set[1] or limit)[2] then
                return
            end
            set[j], at = limit, limit[12]
        end
        sets[i] = set
    end
    local set_of, keys, pool_of, n_pools, key = {}, {}, {}, 0, 1
    for b = 1, n_buckets do
        local which, flags
        which, flags, at = unpack_bytes('<I2I1', input, at)
        local set = sets[which + 1]
        set_of[b], keys[b] = set, KEYS[key]
        if flags > 0 then
            if flags ~= HAS_SLOTS + 2 + HAS_KNOWLEDGE or #set == 0 or set[1][2] ~= ROLLING then
                return
            end
            at, n_pools = at + 16, n_pools + 1 -- the circuit breaker's settings
            pool_of[b], keys[n_buckets + n_pools] = n_pools, KEYS[key + 2]
            key = key + 3
        else
            if #set == 0 or set[1][2] ~= BUCKET then
                return
            end
            key = key + 1
        end
    end

    -- What is stored.
    local time = call('TIME')
    local clock = time[1] * 1000 + floor(time[2] / 1000)
    local now, raws, levels = clock, call('MGET', unpack(keys)), {}
    for i = 1, n_pools do
        if raws[n_buckets + i] then
            return
        end
    end
    for b = 1, n_buckets do
        local raw, set, t = raws[b], set_of[b], nil
        local n = #set
        if pool_of[b] then
            if not raw or #raw < 16 + 34 * n + 301 then
                return
            end
            t = { unpack_bytes(HEAD .. rep(POOL, n) .. rep('I6', n) .. BOOKS, raw) }
        elseif raw then
            if #raw < 16 + 21 * n then
                return
            end
            t = { unpack_bytes(HEAD .. rep(TENANT, n), raw) }
        else
            t = { FORMAT, n, clock, 0, 0 }
            for j = 1, n do
                local place = 5 * j
                t[place + 1], t[place + 2], t[place + 3], t[place + 4], t[place + 5] = set[j][11], 0, 0, 0, 0
            end
        end
        if t[2] ~= n then
            return
        elseif t[3] > now then
            now = t[3]
        end
        levels[b] = t
    end

    -- As of now. What of a pool would turn, or of a tenant is not plain, is not for here.
    local lows, books_at = {}, {}
    for b = 1, n_buckets do
        local t, set = levels[b], set_of[b]
        local n, last, place = #set, t[3], 5
        if pool_of[b] then
            for j = 1, n do
                local limit = set[j]
                local per = limit[9]
                local width = ceil(per / SLOTS)
                if t[place + 1] ~= limit[11] or t[place + 2] ~= 2 or t[place + 4] ~= floor((now - per - limit[10]) / width)
                    or t[place + 5] ~= floor(now / width) then
                    return
                end
                place = place + 6
            end
            place = place + n
            books_at[b] = place
            if floor(last / SECOND) ~= floor(now / SECOND) or t[place + 1] <= floor(now / SECOND) then
                return
            end
        else
            local raw, ms, from, list_of = raws[b], now - last, 17 + 21 * n, {}
            for j = 1, n do
                local limit, extras, u, list = set[j], t[place + 2], t[place + 3], ''
                if t[place + 1] ~= limit[11] or extras % 4 ~= 0 then
                    return
                end
                if extras > 0 then
                    local bytes = extras / 4 * LOW_BYTES
                    list, from = sub(raw, from, from + bytes - 1), from + bytes
                end
                if u > 0 and ms > 0 then
                    local came = ms * limit[4] + t[place + 4]
                    if came >= EXACT then
                        return
                    end
                    local whole = floor(came / limit[9])
                    if whole >= u then
                        t[place + 3], t[place + 4], list = 0, 0, ''
                    else
                        local r, bytes = came - whole * limit[9], #list
                        u = u - whole
                        t[place + 3], t[place + 4] = u, r
                        while bytes > 0 do
                            local since, low, low_rem = unpack_bytes(LOW, list, bytes - LOW_BYTES + 1)
                            if low < u or low == u and low_rem > r then
                                break
                            end
                            bytes = bytes - LOW_BYTES
                            t[place + 5], list = since, sub(list, 1, bytes)
                        end
                    end
                end
                list_of[j] = list
                place = place + 5
            end
            lows[b] = list_of
        end
    end

    -- The operations.
    local fields, expiries, keeps, answers = {}, {}, {}, { pack_bytes('<I1I6I6', 0, clock, now) }
    local ttl, class, width, cost, which = 0, 0, 1, {}, {}
    for i = 1, n_ops do
        local kind, flags, priority, n, targets, slice, nonce, check, op_ttl, _
        kind, flags, priority, n, _, targets, which[1], which[2], which[3], slice, _, nonce, check, op_ttl, cost[1], cost[2], cost[3],
            cost[4], cost[5], cost[6], at = unpack_bytes('<I1I1I1I1I1I1I2I2I2I2I1c8I6I4I6I6I6I6I6I6', input, at)
        if kind ~= ACQUIRE or flags ~= 0 and flags ~= SPLIT_UNKNOWN then
            return
        end
        if op_ttl ~= ttl then
            ttl, class, width = op_ttl, 0, 1
            while width * 128 <= ttl do
                class, width = class + 1, width * 2
            end
        end
        local deadline = ceil((now + ttl) / width) * width
        local gone = deadline + (ttl > GRACE and ttl or GRACE)
        for k = 1, targets do
            local b = which[k] + 1
            local set, t, step, place = set_of[b], levels[b], pool_of[b] and 6 or 5, 5
            for j = 1, #set do
                local limit = set[j]
                local c = cost[limit[1] + 1] * n
                if c > 0 and t[place + 3] + c > limit[5] - limit[6 + priority] then
                    return
                end
                place = place + step
            end
        end
        for k = 1, targets do
            local b = which[k] + 1
            local set, t, place = set_of[b], levels[b], 5
            if pool_of[b] then
                for j = 1, #set do
                    local c = cost[set[j][1] + 1] * n
                    t[place + 3], t[place + 6] = t[place + 3] + c, t[place + 6] + c
                    place = place + 6
                end
                place = books_at[b]
                if floor(deadline / SECOND) ~= t[place + 1] then
                    return
                end
                for u = 1, 5 do
                    local c = cost[u] * n
                    if c > 0 then
                        t[place + 1 + u], t[place + 7 + u], t[place + 13 + u] =
                            t[place + 1 + u] + c, t[place + 7 + u] + c, t[place + 13 + u] + c
                    end
                end
                t[place + 7], t[place + 13], t[place + 19] = t[place + 7] + n, t[place + 13] + n, t[place + 19] + n
                if gone > (keeps[b] or 0) then
                    keeps[b] = gone
                end
            else
                local list_of = lows[b]
                for j = 1, #set do
                    local c = cost[set[j][1] + 1] * n
                    if c > 0 then
                        local u, since, list = t[place + 3], t[place + 5], list_of[j]
                        if u == 0 then
                            list_of[j], t[place + 5] = '', now
                        elseif since < now then
                            local bytes, low, gone = #list, 0, nil
                            if bytes > 0 then
                                low = unpack_bytes('<I7', list, bytes - LOW_BYTES + 7)
                            end
                            if u >= low * 2 then
                                if bytes == LOWS * LOW_BYTES then
                                    -- Of two neighbours that are most alike in proportion the lower stands for both.
                                    local first, second = unpack_bytes('<I7', list, 7), unpack_bytes('<I7', list, 25)
                                    local third, most = unpack_bytes('<I7', list, 43), first / second
                                    gone = 2
                                    if second / third > most then
                                        most, gone = second / third, 3
                                    end
                                    if third / low > most then
                                        most, gone = third / low, 4
                                    end
                                    if low / u > most then
                                        gone = 5
                                    end
                                end
                                list = list .. pack_bytes(LOW, since, u, t[place + 4])
                                if gone then
                                    list = sub(list, 1, (gone - 1) * LOW_BYTES) .. sub(list, gone * LOW_BYTES + 1)
                                end
                                list_of[j] = list
                            end
                            t[place + 5] = now
                        end
                        t[place + 3] = u + c
                    end
                    place = place + 5
                end
                keeps[b] = 0
            end
        end
        local of_slice = fields[slice]
        if not of_slice then
            of_slice = {}
            fields[slice] = of_slice
        end
        local next_field = #of_slice + 1
        of_slice[next_field] = nonce
        of_slice[next_field + 1] = cmsgpack.pack(check, n == 1 and 'o' or rep('o', n), deadline, class, flags / SPLIT_UNKNOWN, '',
            deadline - now, cost[1], cost[2], cost[3], cost[4], cost[5], cost[6])
        if gone > (expiries[slice] or 0) then
            expiries[slice] = gone
        end
        answers[i + 1] = n == 1 and '\1\1\0\0\0\0\0\0\0\0\0\0' or pack_bytes('<I1I1I1I1i8', 1, n, 0, 0, 0)
    end

    -- All are granted: write.
    for b = 1, n_buckets do
        if keeps[b] then
            local t, set, place, tail, packed = levels[b], set_of[b], 5, '', nil
            local n, last = #set, t[3]
            local kept, expires = last + t[4], last + t[5]
            kept = keeps[b] > kept and keeps[b] or kept
            kept = kept > now and kept or now
            local needed = kept
            if pool_of[b] then
                for j = 1, n do
                    local limit = set[j]
                    local until_ms = kept + limit[9] + limit[10] + ceil(limit[9] / SLOTS)
                    if t[place + 3] > 0 and until_ms > needed then
                        needed = until_ms
                    end
                    place = place + 6
                end
            else
                local list_of = lows[b]
                for j = 1, n do
                    local u = t[place + 3]
                    if u > 0 then
                        local until_ms = kept + ceil(u / set[j][4] * set[j][9]) + 1
                        needed = until_ms > needed and until_ms or needed
                    end
                    t[place + 2] = #list_of[j] / LOW_BYTES * 4
                    tail = tail .. list_of[j]
                    place = place + 5
                end
            end
            local stays = expires >= needed and expires - now <= 2 * (needed - now) + 1000
            local expiry = stays and expires or needed + floor((needed - now) / 4)
            t[3], t[4], t[5] = now, kept - now, expiry - now < LONGEST_AFTER and expiry - now or LONGEST_AFTER
            if pool_of[b] then
                local hot = 5 + 7 * n + BOOKS_FIELDS
                packed = pack_bytes(HEAD .. rep(POOL, n) .. rep('I6', n) .. BOOKS, unpack(t, 1, hot)) .. sub(raws[b], t[hot + 1])
            else
                packed = pack_bytes(HEAD .. rep(TENANT, n), unpack(t, 1, 5 + 5 * n)) .. tail
            end
            if stays then
                call('SET', keys[b], packed, 'KEEPTTL')
            else
                call('SET', keys[b], packed, 'PXAT', string.format('%d', expiry))
            end
        end
    end
    for slice, of_slice in pairs(fields) do
        local slice_key = KEYS[key + slice]
        call('HSET', slice_key, unpack(of_slice))
        local lives = call('PTTL', slice_key)
        if lives < 0 or lives + clock < expiries[slice] then
            call('PEXPIREAT', slice_key, string.format('%d', ceil(expiries[slice] / ROUND) * ROUND))
        end
    end
    return table.concat(answers)
end

local decided = quick(ARGV[1])
if decided then
    return decided
end
