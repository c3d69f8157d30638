-- quick: the batch that a healthy service sees most, decided without making any of the functions that follow, which is most of
-- what a small batch costs: acquires that all fit and reports (quick_report.lua), over pools of rolling limits and tenants of token
-- buckets, while no slot turns, nothing is held, and no pool is paused, closed or suspect.
--
-- It is the same decision, with the same bytes in the store, and the same tests hold it against the same model. It writes only
-- when all is decided; whatever it meets that is not of this kind makes it return nothing, and the batch is decided from the
-- beginning by what follows. The server does not ask for it again for a while then.
--
-- A set is one array of its limits as they were packed, eleven fields each: 1 unit, 2 algorithm, 3 flags, 4 amount, 5 capacity,
-- 6-8 kept back from a priority, 9 per, 10 slack, 11 sig. Levels are arrays as bucket.lua packs them: 1-5 the head (format,
-- limits, last, keep, expiry), then of each limit sig, extras, used and what its algorithm keeps. Loops over limits carry
-- where the limit's fields begin in both (`of`, `place`). Why each step is as it is, is told where the long way does it.

local function quick(input)
    local KEYS, unpack_bytes, pack_bytes, call = KEYS, struct.unpack, struct.pack, redis.call
    local floor, ceil, min, sub, rep, byte = math.floor, math.ceil, math.min, string.sub, string.rep, string.byte
    local ACQUIRE, REPORT, BUCKET, ROLLING, SPLIT_UNKNOWN, POOL_FLAGS = 1, 2, 0, 1, 8, 7
    local FORMAT, HEAD, TENANT, POOL = 3, '<I1I1I6I4I4', 'I3I1I6I5I6', 'I3I1I6I6I6I6'
    local LIMIT, LIMIT_FIELDS = 'I1I1I1i8i8i8i8i8I6I4I3', 11
    local BOOKS, BOOKS_FIELDS, BOOKS_BYTES = 'I7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7i7', 19, 301
    local LOW, LOW_BYTES, LOWS = '<I6I7I5', 18, 4
    local SECOND, GRACE, FOREVER = 1024, 60000, 2 ^ 50

    local version, way, n_sets, n_buckets, n_estimates, n_ops, at = unpack_bytes('<I1I1I2I2I2I2', input)
    if version ~= 3 or way ~= 0 and way ~= 3 then
        return
    end

    -- Sets of limits of one algorithm that count at the start.
    local sets = {}
    for i = 1, n_sets do
        local n = byte(input, at)
        local set = { unpack_bytes('<' .. rep(LIMIT, n), input, at + 1) }
        at = set[#set]
        for of = 0, LIMIT_FIELDS * (n - 1), LIMIT_FIELDS do
            if set[of + 2] > ROLLING or set[of + 2] ~= set[2] or set[of + 3] % 2 == 1 then
                return
            end
        end
        set.n = n
        sets[i] = set
    end

    -- Pools have three keys (levels, slots, what is known), tenants one.
    local set_of, keys, is_pool, slots_key, known_at, window_of, n_known, key = {}, {}, {}, {}, {}, {}, n_buckets, 1
    for b = 1, n_buckets do
        local low, high, flags = byte(input, at, at + 2)
        local set = sets[low + 256 * high + 1]
        at = at + 3
        set_of[b], keys[b] = set, KEYS[key]
        if set.n > 0 and flags == 0 and set[2] == BUCKET then
            key = key + 1
        elseif set.n > 0 and flags == POOL_FLAGS and set[2] == ROLLING then
            n_known = n_known + 1
            is_pool[b], slots_key[b], known_at[b], keys[n_known] = true, KEYS[key + 1], n_known, KEYS[key + 2]
            window_of[b] = unpack_bytes('<I4', input, at + 8)
            at, key = at + 16, key + 3 -- behind the circuit breaker's settings
        else
            return
        end
    end

    key = key + n_estimates -- which nothing here looks at

    -- What is stored, as it was.
    local time = call('TIME')
    local clock = time[1] * 1000 + floor(time[2] / 1000)
    local now, raws, levels = clock, call('MGET', unpack(keys)), {}

    local tenant_formats, pool_formats, with_tail = {}, {}, {} -- by the number of limits; by format: something follows

    local function read(b)
        local raw, set = raws[b], set_of[b]
        local n = set.n
        if not tenant_formats[n] then
            local tenant, pool = HEAD .. rep(TENANT, n), HEAD .. rep(POOL, n) .. rep('I6', n) .. BOOKS
            tenant_formats[n], pool_formats[n] = tenant, pool
            with_tail[tenant], with_tail[pool] = tenant .. 'c0', pool .. 'c0'
        end
        if is_pool[b] then
            return raw and #raw >= 16 + 34 * n + BOOKS_BYTES and { unpack_bytes(pool_formats[n], raw) }
        elseif raw then
            return #raw >= 16 + 21 * n and { unpack_bytes(tenant_formats[n], raw) }
        end
        local t = { FORMAT, n, clock, 0, 0 }
        for j = 1, n do
            local place = 5 * j
            t[place + 1], t[place + 2], t[place + 3], t[place + 4], t[place + 5] = set[LIMIT_FIELDS * j], 0, 0, 0, 0
        end
        return t
    end

    for b = 1, n_buckets do
        local t = read(b)
        if not t or t[1] ~= FORMAT or t[2] ~= set_of[b].n then
            return
        elseif t[3] > now then
            now = t[3]
        end
        levels[b] = t
    end

    -- Of a pool: everything must be in place, as of now; of what is known of it only our levels that headers are held against
    -- (levels_seen.lua) may be there.
    local seen
    for b in pairs(is_pool) do
        local t, set, known, place, second = levels[b], set_of[b], raws[known_at[b]], 5, floor(now / SECOND)
        for of = 0, LIMIT_FIELDS * (set.n - 1), LIMIT_FIELDS do
            local width = ceil(set[of + 9] / 120)
            if t[place + 1] ~= set[of + 11] or t[place + 2] ~= 2 or t[place + 5] ~= floor(now / width)
                or t[place + 4] ~= floor((now - set[of + 9] - set[of + 10]) / width) then
                return
            end
            place = place + 6
        end
        if floor(t[3] / SECOND) ~= second or t[place + set.n + 1] <= second then
            return
        elseif known then
            seen = seen or quick_seen(levels, set_of, now)
            if not seen.read(b, known, window_of[b]) then
                return
            end
        end
    end

    -- Charging: false where it does not fit, or is not for us. Nothing is written then, so what was charged before does not matter.
    -- Most operations of a batch ask for the same; a pool is charged for a run of those at once.
    local cost, granted = {}, {} -- granted: by pool, what goes into its books
    local run_pool, run_priority, run_n

    local function charge_run()
        local b, n = run_pool, run_n
        if not b then
            return true
        end
        local t, set, sum, place = levels[b], set_of[b], granted[b], 5
        for of = 0, LIMIT_FIELDS * (set.n - 1), LIMIT_FIELDS do
            local c = cost[set[of + 1] + 1] * n
            if c > 0 then
                local u = t[place + 3] + c
                if u > set[of + 5] - set[of + 6 + run_priority] then
                    return false
                end
                t[place + 3], t[place + 6] = u, t[place + 6] + c
            end
            place = place + 6
        end
        if not sum then
            sum = { 0, 0, 0, 0, 0, 0 }
            granted[b] = sum
        end
        for u = 1, 5 do
            sum[u] = sum[u] + cost[u] * n
        end
        sum[6], run_pool = sum[6] + n, nil
        return true
    end

    local lows -- hardly ever wanted

    local function add_low(list, at, u, r)
        lows = lows or lows_open()
        return lows.add(list, at, u, r)
    end

    -- The first operation on a tenant brings it up to now. Its lows follow the levels in `raw`; in `tails` is what is to follow
    -- them now, which is the same but where a low comes or goes. `longest` is how long it will be until it is full (ms), where
    -- that is known already.
    local charged = {} -- of what is to be written: until when it is kept
    local longest, tails = {}, {} -- by tenant

    local function open_and_charge(b, n, priority)
        local t, set, raw, place, slowest = levels[b], set_of[b], raws[b], 5, 0
        local ms, behind = now - t[3], 17 + 21 * set.n
        local tail, from = nil, behind -- what has changed of `raw`, and from where it has not
        for of = 0, LIMIT_FIELDS * (set.n - 1), LIMIT_FIELDS do
            local extras, u, r, top = t[place + 2], t[place + 3], t[place + 4], t[place + 5]
            local amount, per, c = set[of + 4], set[of + 9], cost[set[of + 1] + 1] * n
            local kept, first, list, since, low, low_rem = extras / 4, behind, nil, 0, 0, 0
            if t[place + 1] ~= set[of + 11] or extras % 4 ~= 0 then
                return false
            end
            if kept > 0 then
                behind = first + kept * LOW_BYTES
                since, low, low_rem = unpack_bytes(LOW, raw, behind - LOW_BYTES)
            end
            if u > 0 and ms > 0 then
                local came = ms * amount + r
                local whole = came / per
                whole = whole - whole % 1 -- floor, without calling it
                if came >= 2 ^ 53 then
                    return false -- arith.lua can
                elseif whole >= u then
                    u, r, kept = 0, 0, 0
                else
                    u, r = u - whole, came - whole * per
                    while kept > 0 and (low > u or low == u and low_rem <= r) do
                        top, kept = since, kept - 1
                        if kept > 0 then
                            since, low, low_rem = unpack_bytes(LOW, raw, first + (kept - 1) * LOW_BYTES)
                        end
                    end
                end
            end
            if c > 0 then
                if u + c > set[of + 5] - set[of + 6 + priority] then
                    return false
                elseif u == 0 then
                    kept, top = 0, now
                elseif top < now then
                    if kept == 0 or u >= low * 2 then
                        list = sub(raw, first, first + kept * LOW_BYTES - 1)
                        list = kept < LOWS and list .. pack_bytes(LOW, top, u, r) or add_low(list, top, u, r)
                    end
                    top = now
                end
                u = u + c
            end
            t[place + 3], t[place + 4], t[place + 5] = u, r, top
            if list or kept * 4 ~= extras then
                list = list or sub(raw, first, first + kept * LOW_BYTES - 1)
                tail, from, t[place + 2] = (tail or '') .. sub(raw, from, first - 1) .. list, behind, #list / LOW_BYTES * 4
            end
            local left = u / amount * per
            slowest = left > slowest and left or slowest
            place = place + 5
        end
        tails[b] = raw and (tail and tail .. sub(raw, from) or sub(raw, from)) or ''
        longest[b] = slowest
        return true
    end

    local function charge_again(b, n, priority)
        local t, set, place, first = levels[b], set_of[b], 5, 1
        for of = 0, LIMIT_FIELDS * (set.n - 1), LIMIT_FIELDS do
            local c, u, top, size = cost[set[of + 1] + 1] * n, t[place + 3], t[place + 5], t[place + 2] / 4 * LOW_BYTES
            if c > 0 then
                if u + c > set[of + 5] - set[of + 6 + priority] then
                    return false
                elseif u == 0 or top < now then -- an operation before it did not ask for this limit
                    local tail = tails[b]
                    local list = u > 0 and add_low(sub(tail, first, first + size - 1), top, u, t[place + 4]) or ''
                    tails[b] = sub(tail, 1, first - 1) .. list .. sub(tail, first + size)
                    t[place + 2], t[place + 5], size = #list / LOW_BYTES * 4, now, #list
                end
                t[place + 3] = u + c
            end
            place, first = place + 5, first + size
        end
        longest[b] = nil
        return true
    end

    -- The operations, each charged to its buckets. Most are of one shape, which is the last bytes of an operation, its time to
    -- live and cost: what follows from it is kept as long as the shape is the same. A pool is charged for a run of such at once.
    local fields, expiries, wanted, reports = {}, {}, {}, nil
    local answers = { pack_bytes('<I1I6I6', 2, clock, now) }
    local which, shape, class, width, deadline, gone, tail_of, tail = {}, nil, 0, 1, 0, 0, nil, nil
    local open_slice, of_slice, n_fields = nil, nil, 0
    for i = 1, n_ops do
        local kind, flags, priority, n, stated, targets, slice, member, nonce, check, this
        kind, flags, priority, n, stated, targets, which[1], which[2], which[3], slice, member, nonce, check, this, at =
            unpack_bytes('<I1I1I1I1I1I1I2I2I2I2I1c8I6c40', input, at)
        if this ~= shape then
            if not charge_run() then
                return
            end
            local ttl
            shape, tail_of, class, width = this, nil, 0, 1
            ttl, cost[1], cost[2], cost[3], cost[4], cost[5], cost[6] = unpack_bytes('<I4I6I6I6I6I6I6', shape)
            while width * 128 <= ttl do
                class, width = class + 1, width * 2
            end
            deadline = ceil((now + ttl) / width) * width
            gone = deadline + (ttl > GRACE and ttl or GRACE)
        end
        if kind == REPORT then
            if not reports then
                lows = lows or lows_open()
                reports = quick_reports({
                    levels = levels, set_of = set_of, is_pool = is_pool, seen = seen, slots_key = slots_key, now = now, lows = lows,
                    charged = charged, open = open_and_charge, tails = tails, longest = longest,
                })
            end
            at = charge_run()
                and reports.settle(input, at, flags, stated, targets, which, KEYS[key + slice], member, nonce, check, cost)
            if not at then
                return
            end
            for k = 1, targets do
                charged[which[k] + 1] = charged[which[k] + 1] or 0
            end
            answers[i + 1] = '\3\0\0\0\0\0\0\0\0\0\0\0'
        elseif kind == ACQUIRE and (flags - flags % 2) % SPLIT_UNKNOWN == 0 and flags < 2 * SPLIT_UNKNOWN then
            if flags % 2 == 1 then -- it may have been sent before
                local nonces = wanted[slice] or {}
                nonces[#nonces + 1] = nonce
                wanted[slice] = nonces
            end
            for k = 1, targets do
                local b = which[k] + 1
                if not is_pool[b] then
                    if not (charged[b] and charge_again or open_and_charge)(b, n, priority) then
                        return
                    end
                    charged[b] = 0
                elseif b == run_pool and priority == run_priority then
                    run_n = run_n + n
                elseif not charge_run() or floor(deadline / SECOND) ~= levels[b][6 + 7 * set_of[b].n] then
                    return
                else
                    run_pool, run_priority, run_n = b, priority, n
                    charged[b] = gone > (charged[b] or 0) and gone or charged[b] -- until when it is kept
                end
            end
            if slice ~= open_slice then
                of_slice = fields[slice] or {}
                open_slice, fields[slice], n_fields = slice, of_slice, #of_slice
            end
            if n + 256 * flags ~= tail_of then
                tail_of = n + 256 * flags
                tail = cmsgpack.pack(n == 1 and 'o' or rep('o', n), deadline, class, flags >= SPLIT_UNKNOWN and 1 or 0, '',
                    deadline - now, cost[1], cost[2], cost[3], cost[4], cost[5], cost[6])
            end
            of_slice[n_fields + 1] = nonce
            of_slice[n_fields + 2] = cmsgpack.pack(check) .. tail
            n_fields = n_fields + 2
            if gone > (expiries[slice] or 0) then
                expiries[slice] = gone
            end
            answers[i + 1] = n == 1 and '\1\1\0\0\0\0\0\0\0\0\0\0' or pack_bytes('<I1I1I1I1i8', 1, n, 0, 0, 0)
        else
            return
        end
    end
    if not charge_run() then
        return
    end

    -- Those that may have been sent before must not have their records yet, nor come twice in this batch.
    for slice, nonces in pairs(wanted) do
        local of_slice, met = fields[slice], {}
        for i = 1, #of_slice, 2 do
            if met[of_slice[i]] then
                return
            end
            met[of_slice[i]] = true
        end
        local records = call('HMGET', KEYS[key + slice], unpack(nonces))
        for i = 1, #nonces do
            if records[i] then
                return
            end
        end
    end

    -- All are decided: write. A bucket is kept until `kept` and matters `matters` after that (expiry.lua).
    local function write(b, kept, matters, format, n_fields, tail)
        local t = levels[b]
        local needed, expires = min(kept + matters, now + FOREVER), t[3] + t[5]
        local stays = expires >= needed and expires - now <= 2 * (needed - now) + 1000
        local after = (stays and expires or needed + floor((needed - now) / 4)) - now
        t[3], t[4], t[5], t[n_fields + 1] = now, kept - now, after < 2 ^ 32 and after or 2 ^ 32 - 1, tail
        local packed = pack_bytes(with_tail[format], unpack(t, 1, n_fields + 1))
        if stays then
            call('SET', keys[b], packed, 'KEEPTTL')
        else
            call('SET', keys[b], packed, 'PXAT', string.format('%d', now + after))
        end
        return now + after
    end

    local function write_pool(b, t, set, kept)
        local matters, place = 0, 5
        for of = 0, LIMIT_FIELDS * (set.n - 1), LIMIT_FIELDS do
            local counts = set[of + 9] + set[of + 10] + ceil(set[of + 9] / 120)
            if t[place + 3] > 0 and counts > matters then
                matters = counts
            end
            place = place + 6
        end
        local books = 5 + 7 * set.n
        local hot = books + BOOKS_FIELDS
        local cold = sub(raws[b], t[hot + 1])
        for u = 1, granted[b] and 6 or 0 do
            -- The latest second stands first; then what is outstanding in it, all that was granted, all that is outstanding.
            for at_unit = books + 1 + u, books + 13 + u, 6 do
                t[at_unit] = t[at_unit] + granted[b][u]
            end
        end
        local expiry = write(b, kept, matters, pool_formats[set.n], hot, reports and reports.books_tail(b, cold) or cold)
        if reports then
            reports.write_slots(b, expiry)
        end
    end

    local function write_tenant(b, t, set, kept)
        local n, slowest, place = set.n, longest[b] or 0, 5
        for of = 0, longest[b] and -1 or LIMIT_FIELDS * (n - 1), LIMIT_FIELDS do
            local left = t[place + 3] / set[of + 4] * set[of + 9]
            slowest, place = left > slowest and left or slowest, place + 5
        end
        write(b, kept, ceil(slowest) + 1, tenant_formats[n], 5 + 5 * n, tails[b])
    end

    for b = 1, n_buckets do
        if charged[b] then
            local t = levels[b]
            if seen and seen.of[b] then
                seen.write(b, keys[known_at[b]], window_of[b])
            end
            local kept = t[3] + t[4]
            kept = kept > charged[b] and kept or charged[b]
            kept = kept > now and kept or now
            if is_pool[b] then
                write_pool(b, t, set_of[b], kept)
            else
                write_tenant(b, t, set_of[b], kept)
            end
        end
    end
    if reports then
        reports.write_records()
    end
    for slice, of_slice in pairs(fields) do
        local slice_key, expiry = KEYS[key + slice], expiries[slice]
        call('HSET', slice_key, unpack(of_slice))
        local lives = call('PTTL', slice_key)
        if lives < 0 or lives + clock < expiry then
            call('PEXPIREAT', slice_key, string.format('%d', ceil(expiry / 4096) * 4096))
        end
    end
    return table.concat(answers)
end

local decided = quick(ARGV[1])
if decided then
    return decided
end
